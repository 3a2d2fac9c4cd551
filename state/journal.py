"""The journal: one record a line, appended, checksummed and chained; what is durable is known.

    crc32 of the JSON, 8 hex digits, a space, {"n": 7, "t": "FILL", "ts": "…Z", "prev": "…", …}

`n` counts from 1 without gaps, over all files; `prev` is the hash of the line before. A file is
named after its first record (journal-000000000001.jsonl) and may be empty. What cannot be read at
the very end is a torn write, and cut off; anywhere else the journal is corrupt and left alone.
"""

import errno
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from domain.errors import StateCorrupt
from domain.ports import Clock
from state.filesystem import FileSystem, OpenFile
from state.wire import WireFault, codec, instant_text

ROTATE_RECORDS = 50_000
ROTATE_BYTES = 16 * 1024 * 1024
"""A file this long is followed by a new one at the next checkpoint: start-up reads ≤ 1 s of it."""
NO_HASH = "0" * 16
_RESERVED = frozenset({"n", "t", "ts", "prev"})
RECORD_BEGINS = re.compile(rb'[0-9a-f]{8} \{"n":')
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_REPAIR = "nothing was changed: run `tradewind state verify`, then `tradewind state repair`"


class JournalPoisoned(OSError):
    """An earlier write failed, so that nobody knows what is on disk: nothing more is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """One record as it was read."""

    seq: int
    kind: str
    at: datetime
    fields: Mapping[str, Any]


Take = Callable[[JournalRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TornTail:
    """What a cut-off write left behind: so many bytes from an offset to the end of a file."""

    path: Path
    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalScan:
    """A journal as it lies on disk. `last_seq` is 0 and `files` empty when there is none."""

    files: tuple[Path, ...]
    records: tuple[JournalRecord, ...]
    last_seq: int
    last_hash: str
    tail_records: int
    """How many records the last file holds."""
    tail_bytes: int
    """How many good bytes the last file holds."""
    torn: TornTail | None


def scan(
    fs: FileSystem, directory: Path, *, after_seq: int = 0, take: Take | None = None
) -> JournalScan:
    """Read and verify every file, keeping the records after `after_seq`, or handing them to `take`
    one by one and keeping none; changes nothing.

    Raises StateCorrupt naming file, byte and fault.
    """
    return _Scanner(fs, directory, after_seq, take).scan()


class JsonLinesJournal:
    """A Journal of JSON lines in a directory. After any OSError every append raises."""

    def __init__(self, fs: FileSystem, directory: Path, clock: Clock, found: JournalScan) -> None:
        self._fs = fs
        self._directory = directory
        self._clock = clock
        self._seq = found.last_seq
        self._hash = found.last_hash
        self._records_in_file = found.tail_records
        self._bytes_in_file = found.tail_bytes
        self._poison = ""
        self._file: OpenFile
        if found.files:
            self._file = fs.append(found.files[-1])
        else:
            self._file = self._new_file()

    @staticmethod
    def open(
        fs: FileSystem,
        directory: Path,
        clock: Clock,
        *,
        covered_seq: int = 0,
        take: Take | None = None,
    ) -> tuple["JsonLinesJournal", JournalScan]:
        """Open a journal, or begin one, and return it with what was found on disk.

        The scan holds the records after `covered_seq` (the snapshot's) unless `take` was given
        them, and the torn tail that was cut off. Raises what `take` raises, nothing changed;
        StateCorrupt, also when the journal ends before `covered_seq`: a snapshot never covers what
        the journal does not durably hold; OSError.
        """
        fs.make_directory(directory)
        found = scan(fs, directory, after_seq=covered_seq, take=take)
        if found.last_seq < covered_seq:
            raise StateCorrupt(
                f"{directory}: the journal ends at record {found.last_seq}, though the snapshot "
                f"covers record {covered_seq}: records are missing; {_REPAIR}"
            )
        if found.torn:
            fs.truncate(found.torn.path, found.torn.offset_bytes)
        return JsonLinesJournal(fs, directory, clock, found), found

    @property
    def last_seq(self) -> int:
        """The number of the last record written."""
        return self._seq

    def append(self, kind: str, fields: Mapping[str, object]) -> int:
        """Write one record, not yet durable, and return its number.

        `fields` are as `state.records` makes them. Raises TypeError or ValueError, nothing
        written, for what JSON cannot hold and for a reserved name; OSError for the disk.
        """
        self._check_sound()
        line = self._line(kind, fields)
        try:
            self._file.write(line)
        except OSError as fault:
            self._poison = f"record {self._seq + 1} could not be written ({fault})"
            raise
        self._seq += 1
        self._hash = line_hash(line[:-1])
        self._records_in_file += 1
        self._bytes_in_file += len(line)
        return self._seq

    def append_durable(self, kind: str, fields: Mapping[str, object]) -> int:
        """Write one record and return its number once it and all before it are durable."""
        seq = self.append(kind, fields)
        self.sync()
        return seq

    def sync(self) -> None:
        """Return once everything appended is durable. Raises OSError, never to be retried."""
        self._check_sound()
        try:
            self._file.sync()
        except OSError as fault:
            self._poison = f"fsync at record {self._seq} failed ({fault})"
            raise

    def records_after(self, seq: int) -> tuple[JournalRecord, ...]:
        """Return the records with a greater number, read and verified from disk."""
        return scan(self._fs, self._directory, after_seq=seq).records

    @property
    def is_long(self) -> bool:
        """Whether it is time to rotate."""
        return self._records_in_file >= ROTATE_RECORDS or self._bytes_in_file >= ROTATE_BYTES

    def rotate(self) -> None:
        """Begin a new file; does nothing when the present one is empty."""
        if not self._records_in_file:
            return
        self.sync()
        try:
            self._file.close()
            self._file = self._new_file()
        except OSError as fault:
            self._poison = f"no new file could be begun ({fault})"
            raise

    def prune(self, covered_seq: int) -> int:
        """Remove files that hold no record after `covered_seq`, never the last; return how many."""
        self._check_sound()
        files = journal_files(self._fs, self._directory)
        covered = [
            path for path, following in pairwise(files) if _first_seq(following) <= covered_seq + 1
        ]
        for path in covered:
            self._fs.remove(path)
        if covered:
            self._fs.sync_directory(self._directory)
        return len(covered)

    def close(self) -> None:
        """Let go of the file, making what was appended durable unless the journal is poisoned."""
        if not self._poison:
            self.sync()
            self._poison = "it was closed"
        self._file.close()

    def _new_file(self) -> OpenFile:
        path = self._directory / f"journal-{self._seq + 1:012d}.jsonl"
        file = self._fs.create(path)
        self._fs.sync_directory(self._directory)
        self._records_in_file = self._bytes_in_file = 0
        return file

    def _line(self, kind: str, fields: Mapping[str, object]) -> bytes:
        taken = _RESERVED & fields.keys()
        if taken:
            raise ValueError(f"a record's field cannot be named {', '.join(sorted(taken))}")
        head = {
            "n": self._seq + 1,
            "t": kind,
            "ts": instant_text(self._clock.now()),
            "prev": self._hash,
        }
        text = orjson.dumps(head | dict(fields), option=_OPTIONS)
        return b"%08x %b\n" % (zlib.crc32(text), text)

    def _check_sound(self) -> None:
        if self._poison:
            raise JournalPoisoned(errno.EIO, f"the journal takes no more records: {self._poison}")


class _Scanner:
    def __init__(self, fs: FileSystem, directory: Path, after_seq: int, take: Take | None) -> None:
        self._fs = fs
        self._directory = directory
        self._after_seq = after_seq
        self._records: list[JournalRecord] = []
        self._hand_over = self._records.append if take is None else take
        self._seq: int | None = None
        self._hash: str | None = None

    def scan(self) -> JournalScan:
        files = journal_files(self._fs, self._directory)
        torn: TornTail | None = None
        good_bytes = tail_records = 0
        for path in files:
            first = _first_seq(path)
            if self._seq is not None and first != self._seq + 1:
                raise _corrupt(path, 0, f"begins at record {first}, after record {self._seq}")
            self._seq = first - 1
            data = self._fs.read(path)
            good_bytes = self._read_file(path, data)
            tail_records = self._seq - first + 1
            if good_bytes < len(data):
                if path != files[-1]:
                    raise _corrupt(path, good_bytes, "unreadable, and another file follows")
                torn = TornTail(
                    path=path, offset_bytes=good_bytes, length_bytes=len(data) - good_bytes
                )
        return JournalScan(
            files=tuple(files),
            records=tuple(self._records),
            last_seq=self._seq or 0,
            last_hash=self._hash or NO_HASH,
            tail_records=tail_records,
            tail_bytes=good_bytes,
            torn=torn,
        )

    def _read_file(self, path: Path, data: bytes) -> int:
        """Read records up to the first bad line; return the offset at which it begins."""
        offset = 0
        while offset < len(data):
            end = data.find(b"\n", offset)
            line = data[offset : end if end >= 0 else len(data)]
            content = line_content(line) if end >= 0 else None
            if content is None:
                if _any_good(data, offset + 1):
                    raise _corrupt(path, offset, "unreadable, and good records follow")
                return offset
            self._take(path, offset, line, content)
            offset = end + 1
        return offset

    def _take(self, path: Path, offset: int, line: bytes, content: dict[str, Any]) -> None:
        seq = (self._seq or 0) + 1
        if content.get("n") != seq:
            raise _corrupt(path, offset, f"record {content.get('n')!r} where {seq} belongs")
        if self._hash is not None and content.get("prev") != self._hash:
            raise _corrupt(path, offset, f"record {seq} does not follow the one before it")
        self._seq, self._hash = seq, line_hash(line)
        if seq > self._after_seq:
            try:
                record = record_of(content)
            except WireFault as fault:
                raise _corrupt(path, offset, str(fault)) from fault
            self._hand_over(record)


def journal_files(fs: FileSystem, directory: Path) -> list[Path]:
    """Return a journal's files, oldest first."""
    names = fs.names(directory)
    return [directory / n for n in names if n.startswith("journal-") and n.endswith(".jsonl")]


def _first_seq(path: Path) -> int:
    digits = path.stem.removeprefix("journal-")
    if not (digits.isascii() and digits.isdigit() and int(digits) > 0):
        raise _corrupt(path, 0, "its name does not say which record it begins with")
    return int(digits)


def line_content(line: bytes) -> dict[str, Any] | None:
    """Return the JSON of a line whose checksum is right, else None."""
    if line[8:9] != b" " or line[:8] != b"%08x" % zlib.crc32(line[9:]):
        return None
    try:
        content = orjson.loads(line[9:])
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _any_good(data: bytes, offset: int) -> bool:
    """Return whether a good record begins anywhere after an offset, even in the midst of a line."""
    for found in RECORD_BEGINS.finditer(data, offset):
        end = data.find(b"\n", found.start())
        if end >= 0 and line_content(data[found.start() : end]) is not None:
            return True
    return False


def record_of(content: Mapping[str, Any]) -> JournalRecord:
    """Return the record in a line's content, whose `n` is right. Raises WireFault."""
    at = codec(datetime).decode(content.get("ts"))
    kind = codec(str).decode(content.get("t"))
    fields = dict(content)
    for name in _RESERVED:
        fields.pop(name, None)
    return JournalRecord(seq=content["n"], kind=kind, at=at, fields=fields)


def line_hash(line: bytes) -> str:
    """Return what the record after this line carries as `prev`."""
    return hashlib.blake2b(line, digest_size=8).hexdigest()


def _corrupt(path: Path, offset_bytes: int, fault: str) -> StateCorrupt:
    return StateCorrupt(f"{path}, byte {offset_bytes}: {fault}; {_REPAIR}")

"""The tape: what the engine began with, heard and decided, in order, so that it can be replayed.

    crc32 of the JSON, 8 hex digits, a space, {"n": 7, "t": "QuotesPolled", …}

One *run* is one process; its parts are tape-<run>-<part>.jsonl, and `n` counts its records from 1
over all of them. Nothing is fsynced and nothing waits for it: what a crash, a full disk or the
limit on size took away ends what can be replayed, and no more.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from state.filesystem import FileSystem, OpenFile

FOLDER = "tape"
PART_BYTES = 8 * 1024 * 1024
"""A part this long is followed by a new one; with the number of parts it bounds the tape."""
_NAME = re.compile(r"tape-([0-9]{6,})-([0-9]{4,})\.jsonl")
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeRecord:
    """One record as it was read; `number` counts from 1 within the run."""

    number: int
    kind: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeEnd:
    """Where a run's tape ends, and why: "" when it ends where its last part does."""

    path: Path | None
    offset_bytes: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapePart:
    """One file of a run."""

    run: int
    part: int
    path: Path


class TapeWriter:
    """One run being recorded. After an OSError nothing more should be appended to it."""

    def __init__(self, fs: FileSystem, directory: Path, *, parts_max: int) -> None:
        """Begin the run after the last one there; of all runs, the newest `parts_max` parts are
        kept. Raises OSError, and ValueError for room for less than two parts."""
        if parts_max < 2:
            raise ValueError(f"a tape has room for two parts at least, not {parts_max}")
        self._fs = fs
        self._directory = directory
        self._parts_max = parts_max
        fs.make_directory(directory)
        self.run = max((p.run for p in tape_parts(fs, directory)), default=0) + 1
        self._part = 0
        self._number = 0
        self._bytes_in_part = 0
        self._file = self._next_file()

    @property
    def is_long(self) -> bool:
        """Whether it is time for `next_part`."""
        return self._bytes_in_part >= PART_BYTES

    def next_part(self) -> None:
        """Go on in a new file, and drop what is beyond the limit, oldest first."""
        self._file.close()
        self._file = self._next_file()

    def append(self, kind: str, fields: Mapping[str, object]) -> int:
        """Write one record and return its number; it may be lost at any time."""
        number = self._number + 1
        text = orjson.dumps({"n": number, "t": kind, **fields}, option=_OPTIONS)
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        self._file.write(line)
        self._number = number
        self._bytes_in_part += len(line)
        return number

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _next_file(self) -> OpenFile:
        self._part += 1
        self._bytes_in_part = 0
        file = self._fs.create(self._directory / f"tape-{self.run:06d}-{self._part:04d}.jsonl")
        for surplus in tape_parts(self._fs, self._directory)[: -self._parts_max]:
            self._fs.remove(surplus.path)
        return file


def parts_within(megabytes: int) -> int:
    """Return how many parts fit into so much disk: none for none, else two at least."""
    return max(2, megabytes * 1024 * 1024 // PART_BYTES) if megabytes else 0


def tape_parts(fs: FileSystem, directory: Path) -> list[TapePart]:
    """Return the parts of all runs, oldest first."""
    found = []
    for name in fs.names(directory):
        match = _NAME.fullmatch(name)
        if match is not None:
            run, part = int(match[1]), int(match[2])
            found.append(TapePart(run=run, part=part, path=directory / name))
    return sorted(found, key=lambda p: (p.run, p.part))


class TapeReader:
    """Reads one run; after the last record `end` says where and why it ended."""

    def __init__(self, fs: FileSystem, directory: Path, run: int) -> None:
        self._fs = fs
        self._parts = [p for p in tape_parts(fs, directory) if p.run == run]
        self._number = 0
        self.end = TapeEnd(path=None, offset_bytes=0, reason="there is no such run")

    def __iter__(self) -> Iterator[TapeRecord]:
        for expected, part in enumerate(self._parts, start=1):
            if part.part != expected:
                reason = f"part {expected} is not there any more"
                self.end = TapeEnd(path=part.path, offset_bytes=0, reason=reason)
                return
            for record, end in self._records(part.path):
                self.end = end
                if record is None:
                    return
                yield record

    def _records(self, path: Path) -> Iterator[tuple[TapeRecord | None, TapeEnd]]:
        data = self._fs.read(path)
        offset = 0
        self.end = TapeEnd(path=path, offset_bytes=0)
        while offset < len(data):
            end = data.find(b"\n", offset)
            record = self._record(data[offset:end]) if end >= 0 else None
            if record is None:
                torn = TapeEnd(path=path, offset_bytes=offset, reason="what follows is unreadable")
                yield None, torn
                return
            self._number = record.number
            offset = end + 1
            yield record, TapeEnd(path=path, offset_bytes=offset)

    def _record(self, line: bytes) -> TapeRecord | None:
        if line[8:9] != b" " or line[:8] != b"%08x" % zlib.crc32(line[9:]):
            return None
        try:
            content = orjson.loads(line[9:])
        except orjson.JSONDecodeError:
            return None
        if not isinstance(content, dict) or content.pop("n", None) != self._number + 1:
            return None
        kind = content.pop("t", None)
        if not isinstance(kind, str):
            return None
        return TapeRecord(number=self._number + 1, kind=kind, fields=content)

"""What can still be read of a damaged journal, and the run of it that a snapshot goes on from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state.filesystem import FileSystem
from state.journal import (
    RECORD_BEGINS,
    JournalRecord,
    journal_files,
    line_content,
    line_hash,
    record_of,
)
from state.wire import WireFault


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodRecord:
    """A record whose checksum is right, wherever it stood; `line` has no line end."""

    line: bytes
    previous_hash: str
    record: JournalRecord

    @property
    def seq(self) -> int:
        """Its number."""
        return self.record.seq


def good_records(fs: FileSystem, directory: Path) -> list[GoodRecord]:
    """Return every record that can be read, by number, whatever lies between; changes nothing."""
    found = [
        good
        for path in journal_files(fs, directory)
        for line in fs.read(path).split(b"\n")
        if (good := _good(line)) is not None
    ]
    return sorted(found, key=lambda good: good.seq)


def chained_around(found: Sequence[GoodRecord], covered_seq: int) -> list[GoodRecord]:
    """Return the longest chain of records that a snapshot covering `covered_seq` can go on from.

    It may begin before that record and ends with the last that follows without a gap; empty when
    the next record is missing and so is the covered one.
    """
    by_seq = {good.seq: good for good in found}
    before = list(_walk_back(by_seq, covered_seq))
    chain = before[::-1]
    for seq in range(covered_seq + 1, covered_seq + 1 + len(found)):
        good = by_seq.get(seq)
        if good is None or (chain and good.previous_hash != line_hash(chain[-1].line)):
            break
        chain.append(good)
    return chain


def journal_bytes(chain: Iterable[GoodRecord]) -> bytes:
    """Return the lines of a journal file that holds these records."""
    return b"".join(good.line + b"\n" for good in chain)


def _walk_back(by_seq: dict[int, GoodRecord], seq: int) -> Iterator[GoodRecord]:
    following: GoodRecord | None = None
    while (good := by_seq.get(seq)) is not None:
        if following is not None and following.previous_hash != line_hash(good.line):
            return
        yield good
        following, seq = good, seq - 1


def _good(line: bytes) -> GoodRecord | None:
    """Return the record in a line, or the one a cut-off write left in its midst."""
    for found in RECORD_BEGINS.finditer(line):
        part = line[found.start() :]
        content = line_content(part)
        if content is not None:
            return _read(part, content)
    return None


def _read(line: bytes, content: dict[str, Any]) -> GoodRecord | None:
    seq, previous = content.get("n"), content.get("prev")
    if type(seq) is not int or not isinstance(previous, str):
        return None
    try:
        return GoodRecord(line=line, previous_hash=previous, record=record_of(content))
    except WireFault:
        return None

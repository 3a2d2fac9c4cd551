"""Saved state cut short at every byte, and with every byte changed: it loads as it was, or refuses.

A snapshot is whole or refused. A journal cut anywhere gives the state after its last whole record;
one changed in its midst is refused, one changed in its last record loses that record alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from domain.errors import Refused, StateCorrupt
from domain.ports import Clock
from domain.snapshot import Snapshot
from execution.order_states import apply_fill
from research.simulation.swarm import CALM
from research.simulation.world import Wish, World
from state.journal import JsonLinesJournal
from state.memory_filesystem import MemoryFileSystem
from state.recovery import fold
from state.snapshot_codec import decode, encode

FOLDER = Path("/fuzzed/journal")
FIRST_FILE = "journal-000000000001.jsonl"
SEED, SPEED = 7, 240.0
FAILURES_MAX = 20
Case = tuple[str, bytes]


@dataclass(slots=True)
class StateFuzz:
    """How many cases were tried, and what was wrong."""

    snapshot_bytes: int = 0
    journal_bytes: int = 0
    tried: int = 0
    loaded: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)

    def note(self, what: str, fault: str) -> None:
        """Count a case; `fault` is "" for one that came out as it must."""
        self.tried += 1
        if fault and len(self.failed) < FAILURES_MAX:
            self.failed.append(f"{what}: {fault}")


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a daemon left on its disk: its first snapshot, its last, and the journal from 1 on."""

    first: Snapshot
    last: Snapshot
    lines: tuple[bytes, ...]


def fuzz_state(size_bytes: int) -> StateFuzz:
    """Try every truncation and every changed byte of a snapshot and a journal of about this size,
    as a simulated day wrote them."""
    saved, found = _saved_by_a_day(), StateFuzz()
    document = encode(_trimmed(saved.last, size_bytes))
    found.snapshot_bytes = len(document)
    _fuzz_snapshot(document, found)
    lines = _lines_within(saved, size_bytes)
    found.journal_bytes = sum(map(len, lines))
    _fuzz_journal(saved.first, lines, found)
    return found


def _saved_by_a_day() -> _Saved:
    world = World(Wish(seed=SEED, days=1, swarm=CALM, wide=False, speed=SPEED))
    documents: list[bytes] = []
    journal: list[bytes] = []

    def synced(path: Path, data: bytes) -> None:
        if path.suffix == ".tmp":
            documents.append(data)
        elif path.name == FIRST_FILE:
            journal.append(data)
        judge(path, data)

    judge = world.daemon.disk.on_synced
    world.daemon.disk.on_synced = synced
    outcome = world.run()
    if outcome.violations:
        raise RuntimeError(f"the day whose state was to be fuzzed: {outcome.violations[0]}")
    lines = b"".join(journal).splitlines(keepends=True)
    return _Saved(decode(documents[0], "first"), decode(documents[-1], "last"), tuple(lines))


def _trimmed(snapshot: Snapshot, size_bytes: int) -> Snapshot:
    """Return a snapshot with as much as fits of what it holds, orders and fills last."""
    whole = replace(snapshot, orders=(), fills=())
    bare = replace(whole, last_decision=None, opinions={}, counters={}, marks={})
    kept = whole if len(encode(whole)) <= size_bytes else bare
    if kept is bare:
        return bare
    for count in range(1, len(snapshot.orders) + 1):
        more = replace(snapshot, orders=snapshot.orders[-count:], fills=snapshot.fills[-count:])
        if len(encode(more)) > size_bytes:
            break
        kept = more
    return kept


def _lines_within(saved: _Saved, size_bytes: int) -> list[bytes]:
    """Return the journal's first lines of about this size, some of them after the snapshot."""
    lines: list[bytes] = []
    for line in saved.lines:
        is_enough = sum(map(len, lines)) + len(line) > size_bytes
        if is_enough and len(lines) > saved.first.journal_seq + 2:
            break
        lines.append(line)
    return lines


def _damaged(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    for at in range(len(data)):
        yield "cut at", at, data[:at]
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        yield "changed at", at, bytes(changed)


def _fuzz_snapshot(document: bytes, found: StateFuzz) -> None:
    whole = decode(document, "whole")
    for how, at, damaged in _damaged(document):
        fault = ""
        try:
            is_same = decode(damaged, "fuzzed") == whole
            found.loaded += 1
            # A space for another, or the end's newline missing, changes nothing.
            fault = "" if is_same else "another state was loaded"
        except Refused:
            found.refused += 1
        except Exception as crash:  # noqa: BLE001 - whatever escapes is what is looked for
            fault = f"{type(crash).__name__}: {crash}"
        found.note(f"snapshot {how} {at}", fault)


def _fuzz_journal(first: Snapshot, lines: list[bytes], found: StateFuzz) -> None:
    data = b"".join(lines)
    states = [_opened(first, b"".join(lines[:n])) for n in range(first.journal_seq, len(lines) + 1)]
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line))
    for how, at, damaged in _damaged(data):
        whole = sum(end <= at for end in ends) - 1
        # Changed before its last record, a journal is refused; what is cut off is torn.
        may_load = how == "cut at" or whole == len(lines) - 1
        fault = ""
        try:
            recovered = _opened(first, damaged)
            found.loaded += 1
            if not may_load or whole < first.journal_seq:
                fault = "it was loaded"
            elif recovered != states[whole - first.journal_seq]:
                fault = f"another state than after record {whole}"
        except StateCorrupt:
            found.refused += 1
            if may_load and whole >= first.journal_seq:
                fault = "refused"
        except Exception as crash:  # noqa: BLE001 - whatever escapes is what is looked for
            fault = f"{type(crash).__name__}: {crash}"
        found.note(f"journal {how} {at}", fault)


class _NoClock(Clock):
    def now(self) -> Any:
        raise AssertionError("reading asks for no time")


def _opened(first: Snapshot, journal: bytes) -> Snapshot | None:
    fs = MemoryFileSystem()
    file = fs.create(FOLDER / FIRST_FILE)
    file.write(journal)
    _, read = JsonLinesJournal.open(fs, FOLDER, _NoClock(), covered_seq=first.journal_seq)
    return fold(first, read.records, apply_fill)

"""Whatever fails, whenever: the old snapshot or the new one, and the journal as far as promised."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Refused, StateCorrupt
from domain.snapshot import Snapshot
from state import records
from state.journal import JsonLinesJournal, scan
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from state.snapshot_codec import decode, encode
from tests.support.orders import FixedClock, a_snapshot, with_cash
from tests.support.snapshots import decisions, opinions, snapshots

STATE = Path("/state")
SAVES = 4
"""Enough for every generation kept to exist and one to fall off the end."""


@settings(max_examples=60)
@given(snapshots)
def test_every_field_comes_back_exactly(snapshot: Snapshot) -> None:
    read = decode(encode(snapshot), "x")
    assert read == snapshot
    assert encode(read) == encode(snapshot)


@settings(max_examples=30)
@given(decisions, opinions)
def test_facts_come_back_exactly(decision, opinion) -> None:  # type: ignore[no-untyped-def]
    _, journal = a_journal()
    facts = [
        records.Decided(decision=decision, orders=()),
        records.OpinionKept(strategy="rsi", opinion=opinion),
    ]
    for fact in facts:
        journal.append(*records.encode(fact))
    assert [records.decode(record) for record in journal.records_after(0)] == facts


def a_journal(disk: MemoryFileSystem | None = None) -> tuple[MemoryFileSystem, JsonLinesJournal]:
    disk = disk or MemoryFileSystem()
    journal, _ = JsonLinesJournal.open(disk, STATE, FixedClock())
    return disk, journal


def saved(disk: MemoryFileSystem, count: int) -> None:
    store = JsonStateStore(disk, STATE, 3)
    for cash in range(1, count + 1):
        store.save(with_cash(a_snapshot(), cash))


def operations_of_a_save() -> int:
    disk = MemoryFileSystem()
    saved(disk, SAVES)
    before = disk.operations
    JsonStateStore(disk, STATE, 3).save(a_snapshot())
    return disk.operations - before


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("failing", range(1, operations_of_a_save() + 1))
def test_a_save_that_fails_anywhere_leaves_the_old_or_the_new(failing: int, power: bool) -> None:
    disk = MemoryFileSystem()
    saved(disk, SAVES)
    disk.fail_from(disk.operations + failing)
    with pytest.raises(OSError, match="failed as told"):
        JsonStateStore(disk, STATE, 3).save(with_cash(a_snapshot(), SAVES + 1))
    disk.mend()
    if power:
        disk.lose_power()
    store = JsonStateStore(disk, STATE, 3)
    found = store.load()
    assert found is not None
    assert found.portfolio.cash_usd in (SAVES, SAVES + 1)
    store.save(with_cash(a_snapshot(), 99))
    assert store.load() == with_cash(a_snapshot(), 99)


def test_a_saved_snapshot_survives_the_power() -> None:
    disk = MemoryFileSystem()
    saved(disk, 2)
    disk.lose_power()
    found = JsonStateStore(disk, STATE, 3).load()
    assert found == with_cash(a_snapshot(), 2)


def test_a_store_survives_one_crash_after_another_at_the_same_place() -> None:
    for failing in range(1, operations_of_a_save() + 1):
        disk = MemoryFileSystem()
        saved(disk, SAVES)
        for _ in range(2 * SAVES):
            disk.fail_from(disk.operations + failing)
            with pytest.raises(OSError, match="failed as told"):
                saved(disk, 1)
            disk.mend()
        saved(disk, 2)
        store = JsonStateStore(disk, STATE, 3)
        assert store.load() == with_cash(a_snapshot(), 2)
        assert store.load_generation(1) == with_cash(a_snapshot(), 1)


@pytest.mark.parametrize("failing", range(1, 4))
def test_a_first_save_that_fails_leaves_nothing_or_the_new(failing: int) -> None:
    disk = MemoryFileSystem()
    disk.fail_from(failing)
    with pytest.raises(OSError, match="failed as told"):
        saved(disk, 1)
    disk.mend()
    disk.lose_power()
    assert JsonStateStore(disk, STATE, 3).load() is None


SMALL = encode(a_snapshot())
MASKS = [0x01, 0x02, 0x10, 0x20, 0x80, 0xFF]


def flipped(data: bytes, position: int, mask: int) -> bytes:
    damaged = bytearray(data)
    damaged[position] ^= mask
    return bytes(damaged)


def test_no_truncated_snapshot_is_believed() -> None:
    for size in range(len(SMALL) - 1):  # only the last newline may go
        with pytest.raises(StateCorrupt):
            decode(SMALL[:size], "x")


@pytest.mark.parametrize("mask", MASKS)
def test_no_flipped_byte_changes_what_is_believed(mask: int) -> None:
    for position in range(len(SMALL)):
        try:
            read = decode(flipped(SMALL, position, mask), "x")
        except Refused:
            continue
        assert read == a_snapshot()


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 200))
def test_durable_records_survive_the_power_and_no_other_is_invented(
    durable: list[bool], torn_bytes: int
) -> None:
    disk, journal = a_journal()
    promised = 0
    for number, is_durable in enumerate(durable, 1):
        write = journal.append_durable if is_durable else journal.append
        assert write("K", {"number": number}) == number
        promised = number if is_durable else promised
    disk.lose_power(torn_bytes=torn_bytes)
    journal, found = JsonLinesJournal.open(disk, STATE, FixedClock())
    numbers = [record.fields["number"] for record in found.records]
    assert promised <= len(numbers) <= len(durable)
    assert numbers == list(range(1, len(numbers) + 1))
    assert journal.append("K", {"number": 0}) == len(numbers) + 1
    assert scan(disk, STATE).torn is None


def a_written_journal(count: int = 6) -> tuple[MemoryFileSystem, Path, bytes]:
    disk, journal = a_journal()
    for number in range(count):
        journal.append_durable("FILL", {"number": number, "text": "é"})
    (name,) = disk.names(STATE)
    return disk, STATE / name, disk.read(STATE / name)


def rewritten(disk: MemoryFileSystem, path: Path, data: bytes) -> None:
    file = disk.create(path)
    file.write(data)
    file.sync()


@given(st.data())
def test_a_truncated_journal_keeps_its_whole_records(data: st.DataObject) -> None:
    disk, path, written = a_written_journal()
    size = data.draw(st.integers(0, len(written)))
    rewritten(disk, path, written[:size])
    _, found = JsonLinesJournal.open(disk, STATE, FixedClock())
    assert len(found.records) == written[:size].count(b"\n")
    assert disk.read(path) == written[: written[:size].rfind(b"\n") + 1]


@pytest.mark.parametrize("mask", [*MASKS, ord("\n") ^ ord("}"), ord(" ") ^ ord("\n")])
def test_a_flipped_byte_is_refused_or_costs_the_last_record_only(mask: int) -> None:
    disk, path, written = a_written_journal()
    last_begins = written.rstrip(b"\n").rfind(b"\n") + 1
    for position in range(len(written)):
        rewritten(disk, path, flipped(written, position, mask))
        if position < last_begins:
            with pytest.raises(StateCorrupt, match="byte"):
                scan(disk, STATE)
            continue
        found = scan(disk, STATE)
        assert [r.fields["number"] for r in found.records] == [0, 1, 2, 3, 4]
        assert found.torn is not None

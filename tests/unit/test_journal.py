"""The journal on disk."""

import errno
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from domain.errors import StateCorrupt
from state.checkpoint import checkpoint
from state.journal import JournalPoisoned, JournalRecord, JsonLinesJournal, scan
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from tests.support.orders import FixedClock, a_snapshot

STATE = Path("/state/journal")
FIRST = STATE / "journal-000000000001.jsonl"


def opened(disk: MemoryFileSystem, covered_seq: int = 0) -> JsonLinesJournal:
    journal, _ = JsonLinesJournal.open(disk, STATE, FixedClock(), covered_seq=covered_seq)
    return journal


def filled(disk: MemoryFileSystem, count: int) -> JsonLinesJournal:
    journal = opened(disk)
    for number in range(journal.last_seq + 1, count + 1):
        journal.append_durable("K", {"number": number})
    return journal


def damaged(disk: MemoryFileSystem, path: Path, data: bytes) -> None:
    file = disk.create(path)
    file.write(data)
    file.sync()


def test_a_record_is_one_readable_line() -> None:
    disk = MemoryFileSystem()
    filled(disk, 1)
    assert disk.read(FIRST) == (
        b'682c303c {"n":1,"t":"K","ts":"2026-03-02T17:00:00Z",'
        b'"prev":"0000000000000000","number":1}\n'
    )


def test_records_come_back_in_order() -> None:
    journal = filled(MemoryFileSystem(), 3)
    found = journal.records_after(1)
    assert [(r.seq, r.kind, r.fields) for r in found] == [
        (2, "K", {"number": 2}),
        (3, "K", {"number": 3}),
    ]


def test_records_that_are_taken_one_by_one_are_not_held() -> None:
    disk = MemoryFileSystem()
    filled(disk, 3)
    taken: list[int] = []
    journal, found = JsonLinesJournal.open(
        disk, STATE, FixedClock(), covered_seq=1, take=lambda record: taken.append(record.seq)
    )
    assert (taken, found.records, journal.last_seq) == ([2, 3], (), 3)


def test_what_objects_to_a_record_leaves_a_torn_tail_as_it_is() -> None:
    disk = MemoryFileSystem()
    filled(disk, 2)
    torn = disk.read(FIRST)[:-5]
    damaged(disk, FIRST, torn)

    def object_to(record: JournalRecord) -> None:
        raise StateCorrupt(f"record {record.seq}")

    with pytest.raises(StateCorrupt, match="record 1"):
        JsonLinesJournal.open(disk, STATE, FixedClock(), take=object_to)
    assert disk.read(FIRST) == torn


def test_each_record_names_the_one_before_it() -> None:
    disk = MemoryFileSystem()
    filled(disk, 2)
    first, second = (orjson.loads(line[9:]) for line in disk.read(FIRST).splitlines())
    assert first["prev"] == "0" * 16
    assert second["prev"] == "f3ba67e0adef98f0"


def test_numbering_goes_on_after_a_restart() -> None:
    disk = MemoryFileSystem()
    filled(disk, 3).close()
    assert opened(disk, covered_seq=3).append("K", {}) == 4
    assert len(scan(disk, STATE).records) == 4


def test_a_torn_tail_is_cut_off_and_reported() -> None:
    disk = MemoryFileSystem()
    filled(disk, 2)
    whole = disk.read(FIRST)
    damaged(disk, FIRST, whole + b'12345678 {"n":3')
    journal, found = JsonLinesJournal.open(disk, STATE, FixedClock())
    assert found.torn is not None
    assert (found.torn.offset_bytes, found.torn.length_bytes) == (len(whole), 15)
    assert disk.read(FIRST) == whole
    assert journal.append("K", {}) == 3


def test_looking_changes_nothing() -> None:
    disk = MemoryFileSystem()
    filled(disk, 2)
    torn = disk.read(FIRST)[:-3]
    damaged(disk, FIRST, torn)
    scan(disk, STATE)
    assert disk.read(FIRST) == torn


def test_a_bad_record_before_good_ones_is_corruption() -> None:
    disk = MemoryFileSystem()
    filled(disk, 3)
    lines = disk.read(FIRST).splitlines(keepends=True)
    damaged(disk, FIRST, lines[0] + b"x" + lines[1] + lines[2])
    with pytest.raises(StateCorrupt, match=f"byte {len(lines[0])}: unreadable, and good records"):
        opened(disk)


def test_a_record_taken_out_is_noticed() -> None:
    disk = MemoryFileSystem()
    filled(disk, 3)
    lines = disk.read(FIRST).splitlines(keepends=True)
    damaged(disk, FIRST, lines[0] + lines[2])
    with pytest.raises(StateCorrupt, match="record 3 where 2 belongs"):
        opened(disk)


def test_a_record_from_another_journal_is_noticed() -> None:
    disk, other = MemoryFileSystem(), MemoryFileSystem()
    filled(disk, 1)
    opened(other).append_durable("OTHER", {})
    opened(other).append_durable("OTHER", {})
    damaged(disk, FIRST, disk.read(FIRST) + other.read(FIRST).splitlines(keepends=True)[1])
    with pytest.raises(StateCorrupt, match="record 2 does not follow the one before it"):
        opened(disk)


def test_a_missing_file_in_the_middle_is_noticed() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 1)
    for _ in range(2):
        journal.rotate()
        journal.append("K", {})
    disk.remove(STATE / "journal-000000000002.jsonl")
    with pytest.raises(StateCorrupt, match="begins at record 3, after record 1"):
        opened(disk)


def test_only_the_last_file_may_end_torn() -> None:
    disk = MemoryFileSystem()
    filled(disk, 2).rotate()
    damaged(disk, FIRST, disk.read(FIRST)[:-5])
    with pytest.raises(StateCorrupt, match="another file follows"):
        opened(disk)


def test_a_file_with_an_odd_name_is_refused() -> None:
    disk = MemoryFileSystem()
    damaged(disk, STATE / "journal-first.jsonl", b"")
    with pytest.raises(StateCorrupt, match="its name"):
        opened(disk)


def test_a_journal_that_ends_before_the_snapshot_is_refused() -> None:
    disk = MemoryFileSystem()
    filled(disk, 2)
    with pytest.raises(StateCorrupt, match="ends at record 2, though the snapshot covers record 3"):
        opened(disk, covered_seq=3)


def test_a_failed_write_poisons_the_journal() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 1)
    disk.fail_from(disk.operations + 1, errno.ENOSPC)
    with pytest.raises(OSError, match="failed as told"):
        journal.append("K", {"number": 2})
    disk.mend()
    for write in (journal.append, journal.append_durable):
        with pytest.raises(JournalPoisoned, match="record 2 could not be written"):
            write("K", {"number": 2})
    assert len(opened(disk).records_after(0)) == 1


def test_a_failed_fsync_is_never_tried_again() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 1)
    journal.append("K", {})
    disk.fail_from(disk.operations + 1)
    with pytest.raises(OSError, match="failed as told"):
        journal.sync()
    disk.mend()
    begun = disk.operations
    with pytest.raises(JournalPoisoned, match="fsync at record 2 failed"):
        journal.sync()
    with pytest.raises(JournalPoisoned):
        journal.rotate()
    with pytest.raises(JournalPoisoned):
        journal.prune(1)
    assert disk.operations == begun


def test_durable_means_synced_and_plain_does_not() -> None:
    disk = MemoryFileSystem()
    journal = opened(disk)
    journal.append("K", {})
    assert disk.log[-1].startswith("write")
    journal.append_durable("K", {})
    assert disk.log[-1] == "sync"


@pytest.mark.parametrize("value", [Decimal(1), object(), a_snapshot(), FixedClock().now()])
def test_what_json_cannot_hold_is_refused_and_nothing_written(value: object) -> None:
    journal = filled(MemoryFileSystem(), 1)
    with pytest.raises(TypeError):
        journal.append("K", {"value": value})
    assert journal.append("K", {}) == 2


@pytest.mark.parametrize("name", ["n", "t", "ts", "prev"])
def test_a_field_cannot_take_the_place_of_the_head(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        opened(MemoryFileSystem()).append("K", {name: 1})


def test_a_new_file_goes_on_where_the_last_one_ended() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 2)
    journal.rotate()
    journal.append_durable("K", {})
    assert disk.names(STATE) == ["journal-000000000001.jsonl", "journal-000000000003.jsonl"]
    assert [r.seq for r in scan(disk, STATE).records] == [1, 2, 3]


def test_an_empty_file_is_not_followed_by_another() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 2)
    journal.rotate()
    journal.rotate()
    assert len(disk.names(STATE)) == 2


def test_only_files_wholly_covered_are_removed() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 2)
    journal.rotate()
    journal.append("K", {})
    journal.rotate()
    assert journal.prune(1) == 0
    assert journal.prune(2) == 1
    assert journal.prune(99) == 1
    assert disk.names(STATE) == ["journal-000000000004.jsonl"]


def test_numbering_survives_the_removal_of_all_records() -> None:
    disk = MemoryFileSystem()
    journal = filled(disk, 2)
    journal.rotate()
    journal.prune(2)
    disk.lose_power()
    assert opened(disk, covered_seq=2).append("K", {}) == 3


def test_a_closed_journal_takes_no_more() -> None:
    journal = filled(MemoryFileSystem(), 1)
    journal.close()
    with pytest.raises(JournalPoisoned, match="closed"):
        journal.append("K", {})


def test_a_checkpoint_makes_the_journal_durable_before_the_snapshot() -> None:
    disk = MemoryFileSystem()
    journal, store = opened(disk), JsonStateStore(disk, STATE.parent)
    journal.append("K", {})
    begun = disk.operations
    checkpoint(store, journal, a_snapshot(journal_seq=1))
    assert disk.log[begun : begun + 2] == ["sync", "create portfolio.json.tmp"]
    disk.lose_power()
    assert opened(disk, covered_seq=1).last_seq == 1


def test_a_snapshot_ahead_of_the_journal_is_never_saved() -> None:
    disk = MemoryFileSystem()
    with pytest.raises(ValueError, match="covers record 5, the journal ends at 0"):
        checkpoint(JsonStateStore(disk, STATE.parent), opened(disk), a_snapshot(journal_seq=5))


def test_a_long_journal_is_rotated_and_kept_as_far_as_any_generation_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("state.journal.ROTATE_RECORDS", 2)
    disk = MemoryFileSystem()
    journal, store = opened(disk), JsonStateStore(disk, STATE.parent, generations=2)
    for _ in range(4):
        journal.append("K", {})
        journal.append("K", {})
        checkpoint(store, journal, a_snapshot(journal_seq=journal.last_seq))
    assert store.oldest_journal_seq() == 6
    assert disk.names(STATE) == ["journal-000000000007.jsonl", "journal-000000000009.jsonl"]

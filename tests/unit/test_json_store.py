"""The files a snapshot is kept in, on a real disk."""

import stat
from pathlib import Path

import pytest

from domain.errors import Refused, StateCorrupt
from state.filesystem import LocalFileSystem
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from tests.support.orders import a_snapshot, with_cash


def a_store(directory: Path, generations: int = 5) -> JsonStateStore:
    return JsonStateStore(LocalFileSystem(), directory / "var" / "embedded-PA1", generations)


def cash_of(store: JsonStateStore, age: int) -> int:
    return int(store.load_generation(age).portfolio.cash_usd)


def test_only_the_owner_can_read_state(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.save(a_snapshot())
    directory = tmp_path / "var" / "embedded-PA1"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "portfolio.json").stat().st_mode) == 0o600


def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.save(a_snapshot())
    names = [p.name for p in (tmp_path / "var" / "embedded-PA1").iterdir()]
    assert names == ["portfolio.json"]


def test_the_last_generations_are_kept_newest_first(tmp_path: Path) -> None:
    store = a_store(tmp_path, generations=3)
    for cash in range(1, 6):
        store.save(with_cash(a_snapshot(), cash))
    assert store.ages() == [0, 1, 2]
    names = sorted(path.name for path in (tmp_path / "var" / "embedded-PA1").iterdir())
    assert names == ["portfolio.1.json", "portfolio.2.json", "portfolio.json"]
    assert [cash_of(store, age) for age in (0, 1, 2)] == [5, 4, 3]


def test_one_generation_can_be_all(tmp_path: Path) -> None:
    store = a_store(tmp_path, generations=1)
    store.save(with_cash(a_snapshot(), 1))
    store.save(with_cash(a_snapshot(), 2))
    assert (store.ages(), cash_of(store, 0)) == ([0], 2)


def test_no_generation_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        a_store(tmp_path, generations=0)


def test_a_damaged_current_snapshot_is_never_passed_over(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.save(with_cash(a_snapshot(), 1))
    store.save(with_cash(a_snapshot(), 2))
    path = tmp_path / "var" / "embedded-PA1" / "portfolio.json"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StateCorrupt, match=r"portfolio\.json: not JSON"):
        store.load()
    assert cash_of(store, 1) == 1


def test_a_missing_current_snapshot_is_no_fresh_start(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.save(a_snapshot())
    store.save(a_snapshot())
    (tmp_path / "var" / "embedded-PA1" / "portfolio.json").unlink()
    with pytest.raises(StateCorrupt, match=r"missing, though .*portfolio\.1\.json is there"):
        store.load()


def test_an_unreadable_snapshot_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateCorrupt, match="cannot be read"):
        a_store(tmp_path).load_generation(2)


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("not a directory")
    with pytest.raises(Refused, match="cannot be read"):
        a_store(tmp_path).load()


def test_the_journal_is_needed_from_the_oldest_generation_on(tmp_path: Path) -> None:
    store = a_store(tmp_path, generations=3)
    assert store.oldest_journal_seq() == 0
    for seq in (10, 20, 30, 40):
        store.save(a_snapshot(journal_seq=seq))
    assert store.oldest_journal_seq() == 20


def test_nothing_of_the_journal_may_go_while_a_generation_is_damaged(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.save(a_snapshot(journal_seq=10))
    store.save(a_snapshot(journal_seq=20))
    (tmp_path / "var" / "embedded-PA1" / "portfolio.1.json").write_bytes(b"{}")
    assert store.oldest_journal_seq() == 0


def test_there_is_a_current_snapshot_between_any_two_operations() -> None:
    disk, directory = MemoryFileSystem(), Path("/state")
    store = JsonStateStore(disk, directory, 3)
    store.save(with_cash(a_snapshot(), 1))
    begun = disk.operations
    store.save(with_cash(a_snapshot(), 2))
    assert [
        entry for entry in disk.log[begun:] if "sync" in entry or "portfolio.json" in entry
    ] == [
        "create portfolio.json.tmp",
        "sync",
        "link portfolio.json portfolio.1.json",
        "rename portfolio.json.tmp portfolio.json",
        "sync directory state",
    ]

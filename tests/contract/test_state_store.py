"""What every file system and the store on it must keep, on a real disk and in memory alike."""

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import StateCorrupt
from domain.ports import Journal, StateStore
from state.filesystem import FileSystem, LocalFileSystem
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from tests.support.orders import FixedClock, a_snapshot, an_order, with_cash

FILE_SYSTEMS: dict[str, Callable[[], FileSystem]] = {
    "local": LocalFileSystem,
    "memory": MemoryFileSystem,
}


@pytest.fixture(params=sorted(FILE_SYSTEMS))
def fs(request: pytest.FixtureRequest) -> FileSystem:
    return FILE_SYSTEMS[request.param]()


@pytest.fixture
def directory(fs: FileSystem, tmp_path: Path) -> Path:
    directory = tmp_path / "a" / "b"
    fs.make_directory(directory)
    return directory


def written(fs: FileSystem, path: Path, data: bytes) -> None:
    file = fs.create(path)
    file.write(data)
    file.sync()
    file.close()


def test_a_directory_may_be_made_twice(fs: FileSystem, directory: Path) -> None:
    fs.make_directory(directory)
    assert fs.names(directory) == []


def test_a_directory_that_is_not_there_has_no_files(fs: FileSystem, tmp_path: Path) -> None:
    assert fs.names(tmp_path / "nowhere") == []


def test_what_is_written_is_read(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    assert fs.read(directory / "x") == b"one"


def test_creating_empties_what_was_there(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    written(fs, directory / "x", b"2")
    assert fs.read(directory / "x") == b"2"


def test_appending_goes_on_at_the_end(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    file = fs.append(directory / "x")
    file.write(b"two")
    file.close()
    assert fs.read(directory / "x") == b"onetwo"


def test_appending_goes_on_after_a_cut(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    file = fs.append(directory / "x")
    fs.truncate(directory / "x", 1)
    file.write(b"two")
    file.close()
    assert fs.read(directory / "x") == b"otwo"


def test_a_rename_replaces(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    written(fs, directory / "y", b"two")
    fs.rename(directory / "x", directory / "y")
    fs.sync_directory(directory)
    assert (fs.names(directory), fs.read(directory / "y")) == (["y"], b"one")


def test_a_link_is_the_same_file_until_one_name_is_replaced(
    fs: FileSystem, directory: Path
) -> None:
    written(fs, directory / "x", b"one")
    fs.link(directory / "x", directory / "y")
    written(fs, directory / "z", b"two")
    fs.rename(directory / "z", directory / "x")
    assert (fs.read(directory / "x"), fs.read(directory / "y")) == (b"two", b"one")


def test_renaming_one_name_of_a_file_to_another_of_it_changes_nothing(
    fs: FileSystem, directory: Path
) -> None:
    written(fs, directory / "x", b"one")
    fs.link(directory / "x", directory / "y")
    fs.rename(directory / "x", directory / "y")
    assert fs.names(directory) == ["x", "y"]


def test_a_link_never_replaces(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    written(fs, directory / "y", b"two")
    with pytest.raises(FileExistsError):
        fs.link(directory / "x", directory / "y")


@pytest.mark.parametrize("verb", ["read", "append", "remove"])
def test_a_file_that_is_not_there_is_not_found(fs: FileSystem, directory: Path, verb: str) -> None:
    with pytest.raises(FileNotFoundError):
        getattr(fs, verb)(directory / "x")


def test_what_is_removed_is_gone(fs: FileSystem, directory: Path) -> None:
    written(fs, directory / "x", b"one")
    fs.remove(directory / "x")
    assert fs.names(directory) == []


def test_before_the_first_save_there_is_nothing(fs: FileSystem, tmp_path: Path) -> None:
    store: StateStore = JsonStateStore(fs, tmp_path / "new")
    assert store.load() is None


def test_what_is_saved_is_loaded_by_another_process(fs: FileSystem, tmp_path: Path) -> None:
    snapshot = a_snapshot(orders=(an_order(),), journal_seq=7)
    JsonStateStore(fs, tmp_path / "new").save(snapshot)
    assert JsonStateStore(fs, tmp_path / "new").load() == snapshot


def test_the_last_save_counts(fs: FileSystem, tmp_path: Path) -> None:
    store: StateStore = JsonStateStore(fs, tmp_path / "new", generations=3)
    for cash in range(7):
        store.save(with_cash(a_snapshot(), cash))
    assert store.load() == with_cash(a_snapshot(), 6)


def test_corrupt_state_is_refused_and_left_as_it_is(fs: FileSystem, directory: Path) -> None:
    store = JsonStateStore(fs, directory)
    store.save(a_snapshot())
    store.save(a_snapshot())
    written(fs, directory / "portfolio.json", b"{}")
    with pytest.raises(StateCorrupt):
        store.load()
    assert fs.read(directory / "portfolio.json") == b"{}"


def test_a_journal_goes_on_after_a_restart(fs: FileSystem, tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        opened, found = JsonLinesJournal.open(fs, tmp_path / "journal", FixedClock())
        assert len(found.records) == expected - 1
        journal: Journal = opened
        assert journal.append_durable("K", {"number": expected}) == expected
        opened.close()


def test_a_torn_journal_is_mended_at_the_next_start(fs: FileSystem, tmp_path: Path) -> None:
    opened, _ = JsonLinesJournal.open(fs, tmp_path / "journal", FixedClock())
    opened.append("K", {"number": 1})
    opened.append("K", {"number": 2})
    opened.close()
    (name,) = fs.names(tmp_path / "journal")
    path = tmp_path / "journal" / name
    fs.truncate(path, len(fs.read(path)) - 4)
    opened, found = JsonLinesJournal.open(fs, tmp_path / "journal", FixedClock())
    assert found.torn is not None
    assert opened.append("K", {"number": 2}) == 2
    opened.close()
    assert len(opened.records_after(0)) == 2

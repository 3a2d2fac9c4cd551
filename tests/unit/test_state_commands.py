"""`tradewind state` on real files: what is said of them, and what is done to them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.saved_state import StateFolder, folder_of
from daemon.state_repair import plan_from_broker, plan_repair
from domain.errors import Refused
from domain.orders import EXTERNAL
from domain.snapshot import Snapshot, TradingState, TradingStatus
from execution.order_states import apply_fill
from state.filesystem import LocalFileSystem
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.lock import StateLock
from state.records import Filled, encode
from state.recovery import fold
from tests.support.orders import NOON, FixedClock, a_fill, a_snapshot, an_account, with_cash

FOLDER = "embedded-PA1"
REFUSED = 5


def filled(number: int) -> Filled:
    return Filled(fill=a_fill(1, fill_id=f"f{number}", client_order_id="x"))


def journal_with(directory: Path, records: range) -> None:
    journal, _ = JsonLinesJournal.open(LocalFileSystem(), directory, FixedClock())
    for number in records:
        journal.append_durable(*encode(filled(number)))
    journal.close()


def saved(root: Path) -> Path:
    """Return a state of two generations, covering records 2 and 4, with six records in all."""
    folder = root / FOLDER
    store = JsonStateStore(LocalFileSystem(), folder)
    snapshot: Snapshot | None = a_snapshot()
    for covered in (2, 4):
        journal_with(folder / "journal", range(covered - 1, covered + 1))
        snapshot = fold(snapshot, state(root).journal().records, apply_fill)
        assert snapshot is not None
        store.save(snapshot)
    journal_with(folder / "journal", range(5, 7))
    return folder


def state(root: Path) -> StateFolder:
    return folder_of(root, "embedded", "PA1")


def book(root: Path) -> Snapshot:
    loaded = state(root).load()
    assert loaded is not None
    return loaded


def contents(root: Path) -> dict[Path, bytes]:
    """Return every file but the lock, which any run leaves behind, empty."""
    files = [p for p in root.rglob("*") if p.is_file() and p.stem != "lock"]
    return {path: path.read_bytes() for path in files}


def journal_file(folder: Path) -> Path:
    return next((folder / "journal").iterdir())


def flip(path: Path, line: int) -> None:
    """Change one byte in the middle of a line, counted from 1."""
    lines = path.read_bytes().splitlines(keepends=True)
    middle = sum(map(len, lines[: line - 1])) + len(lines[line - 1]) // 2
    data = bytearray(path.read_bytes())
    data[middle] ^= 1
    path.write_bytes(data)


@pytest.fixture(autouse=True)
def nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STATE_DIR", "VENUE", "ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


class Shell:
    """Runs `tradewind state …` on a state directory."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._root = root
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code, and what was printed and said."""
        with pytest.raises(SystemExit) as ended:
            main(["state", *arguments, "--state-dir", str(self._root)])
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json")[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def shell(root: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(root, capsys)


# --- verify --------------------------------------------------------------------------------------


def test_a_good_state_is_verified_file_by_file_and_left_alone(root: Path, shell: Shell) -> None:
    saved(root)
    before = contents(root)
    code, said = shell("verify")
    assert code == 0
    for part in ("portfolio.json", "portfolio.1.json", "records 1 to 6", "A start goes on"):
        assert part in said
    assert contents(root) == before


def test_nothing_saved_is_nothing_wrong(root: Path, shell: Shell) -> None:
    assert shell("verify")[0] == 0


def test_a_torn_tail_is_told_and_is_no_fault(root: Path, shell: Shell) -> None:
    path = journal_file(saved(root))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b'0000 {"n":')
    code, said = shell("verify")
    assert code == 0
    assert f"the last 10 bytes, from byte {size}," in said


def test_a_flipped_byte_in_the_middle_is_named_by_file_and_byte(root: Path, shell: Shell) -> None:
    path = journal_file(saved(root))
    offset = len(path.read_bytes().splitlines(keepends=True)[0])
    flip(path, 2)
    code, said = shell("verify")
    assert code == REFUSED
    assert f"{path.name}, byte {offset}" in " ".join(said.split())


def test_a_bad_newest_snapshot_means_a_start_is_refused(root: Path, shell: Shell) -> None:
    (saved(root) / "portfolio.json").write_bytes(b"{")
    code, said = shell("verify")
    assert code == REFUSED
    assert "not JSON" in said


def test_a_bad_older_snapshot_is_damage_but_no_obstacle(root: Path, shell: Shell) -> None:
    (saved(root) / "portfolio.1.json").write_bytes(b"{")
    code, said = shell("verify")
    assert code == 1
    assert "something is damaged" in said


def test_a_missing_journal_means_a_start_is_refused(root: Path, shell: Shell) -> None:
    journal = saved(root) / "journal"
    journal.rename(root / "elsewhere")
    code, said = shell("verify")
    assert code == REFUSED
    assert "ends at record 0" in said


def test_books_that_do_not_add_up_are_found(root: Path, shell: Shell) -> None:
    folder = saved(root)
    portfolio = replace(book(root).portfolio, books={})
    JsonStateStore(LocalFileSystem(), folder).save(replace(book(root), portfolio=portfolio))
    found = shell.json("verify")
    assert not found["ok"]
    assert found["states"][0]["books_fault"].startswith("AAPL: the books hold 0 shares")


# --- rewind --------------------------------------------------------------------------------------


def test_rewind_only_says_what_it_would_do(root: Path, shell: Shell) -> None:
    saved(root)
    before = contents(root)
    code, said = shell("rewind")
    assert code == 0
    assert "portfolio.1.json" in said
    assert "--yes" in said
    assert contents(root) == before


def test_rewind_takes_the_older_snapshot_and_ends_with_the_same_book(
    root: Path, shell: Shell
) -> None:
    folder = saved(root)
    before, newest = book(root), (folder / "portfolio.json").read_bytes()
    older = (folder / "portfolio.1.json").read_bytes()
    assert shell("rewind", "--yes")[0] == 0
    assert (folder / "portfolio.json").read_bytes() == older
    assert (folder / "portfolio.json.rewound-1").read_bytes() == newest
    assert book(root) == before


def test_rewind_to_a_generation_that_is_not_there_is_refused(root: Path, shell: Shell) -> None:
    saved(root)
    code, said = shell("rewind", "--to", "3", "--yes")
    assert code == REFUSED
    assert "good ones: 1" in said


def test_rewind_to_where_the_journal_no_longer_reaches_is_refused(root: Path, shell: Shell) -> None:
    folder = saved(root)
    path = journal_file(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[3:]))
    path.rename(path.with_name("journal-000000000004.jsonl"))
    before = contents(root)
    assert shell("rewind", "--yes")[0] == REFUSED
    assert contents(root) == before


@pytest.mark.parametrize("command", ["rewind", "repair"])
def test_nothing_is_put_right_while_a_daemon_uses_the_state(
    root: Path, shell: Shell, command: str
) -> None:
    folder = saved(root)
    with StateLock(folder):
        before = contents(root)
        assert shell(command, "--yes")[0] == REFUSED
        assert contents(root) == before


# --- repair --------------------------------------------------------------------------------------


def test_a_good_state_needs_no_repair(root: Path, shell: Shell) -> None:
    saved(root)
    before = contents(root)
    assert shell("repair", "--yes") == (0, f"{root / FOLDER}\n\nNothing is to be repaired.\n")
    assert contents(root) == before


def test_repair_falls_back_to_the_older_snapshot_with_the_same_book(
    root: Path, shell: Shell
) -> None:
    folder = saved(root)
    before = book(root)
    (folder / "portfolio.json").write_bytes(b"{")
    assert shell("repair", "--yes")[0] == 0
    assert book(root) == before
    assert (folder / "portfolio.json.replaced-1").read_bytes() == b"{"
    assert shell("verify")[0] == 0


def test_repair_only_says_what_it_would_do(root: Path, shell: Shell) -> None:
    flip(journal_file(saved(root)), 5)
    before = contents(root)
    found = shell.json("repair")
    assert not found["done"]
    assert "a new journal holds records 1 to 4; the snapshot covers record 4" in found["steps"]
    assert found["steps"][-1].endswith("no longer count: FILL 1")
    assert contents(root) == before


def test_a_bad_record_after_the_snapshot_cuts_the_journal_there(root: Path, shell: Shell) -> None:
    folder = saved(root)
    flip(journal_file(folder), 5)
    damaged = journal_file(folder).read_bytes()
    assert shell("repair", "--yes")[0] == 0
    assert book(root).journal_seq == 4
    assert journal_file(folder).read_bytes() == b"".join(damaged.splitlines(keepends=True)[:4])
    assert next((folder / "journal.replaced-1").iterdir()).read_bytes() == damaged
    assert shell("verify")[0] == 0


def test_a_bad_record_that_the_snapshot_covers_costs_nothing(root: Path, shell: Shell) -> None:
    folder = saved(root)
    before = book(root)
    flip(journal_file(folder), 3)
    assert shell("repair", "--yes")[0] == 0
    assert book(root) == before
    # What is left goes on from the newest snapshot: the older one cannot be gone back to.
    assert shell("rewind")[0] == REFUSED


def test_a_missing_journal_begins_anew_after_the_snapshot(root: Path, shell: Shell) -> None:
    folder = saved(root)
    (folder / "journal").rename(root / "elsewhere")
    assert shell("repair", "--yes")[0] == 0
    assert book(root).journal_seq == 4
    journal, _ = JsonLinesJournal.open(
        LocalFileSystem(), folder / "journal", FixedClock(), covered_seq=4
    )
    assert journal.append(*encode(filled(7))) == 5
    journal.close()


def test_a_record_that_contradicts_the_book_ends_the_journal_before_it(
    root: Path, shell: Shell
) -> None:
    folder = saved(root)
    journal, _ = JsonLinesJournal.open(LocalFileSystem(), folder / "journal", FixedClock())
    journal.append("SUBMITTING", {"at": "2026-03-02T17:00:00Z", "client_order_id": "never"})
    journal.append(*encode(filled(8)))
    journal.close()
    assert shell("verify")[0] == REFUSED
    assert shell("repair", "--yes")[0] == 0
    assert book(root).journal_seq == 6


@pytest.mark.parametrize(("line", "kept"), [(5, (1, 4)), (3, (4, 6))])
def test_a_record_of_another_journal_is_no_part_of_this_one(
    root: Path, shell: Shell, line: int, kept: tuple[int, int]
) -> None:
    path = journal_file(saved(root))
    journal_with(root / "other", range(11, 17))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = next((root / "other").iterdir()).read_bytes().splitlines(True)[line - 1]
    path.write_bytes(b"".join(lines))
    assert shell("verify")[0] == REFUSED
    assert shell("repair", "--yes")[0] == 0
    records = state(root).journal().records
    assert (records[0].seq, records[-1].seq) == kept


def test_a_record_of_a_newer_version_is_not_cut_off(root: Path, shell: Shell) -> None:
    folder = saved(root)
    journal, _ = JsonLinesJournal.open(LocalFileSystem(), folder / "journal", FixedClock())
    journal.append("FROM_TOMORROW", {})
    journal.close()
    before = contents(root)
    code, said = shell("repair", "--yes")
    assert code == REFUSED
    assert "newer Tradewind" in said
    assert contents(root) == before


def test_a_repair_interrupted_between_two_names_is_finished_by_the_next(
    root: Path, shell: Shell
) -> None:
    folder = saved(root)
    before = book(root)
    (folder / "journal").rename(folder / "journal.new-1")
    assert shell("repair", "--yes")[0] == 0
    assert book(root) == before


def test_the_state_of_another_account_is_not_repaired(root: Path, shell: Shell) -> None:
    folder = saved(root)
    folder.rename(folder.with_name("embedded-PA2"))
    before = contents(root)
    code, said = shell("repair", "--yes")
    assert code == REFUSED
    assert "embedded-PA1" in said
    assert contents(root) == before


def test_of_several_accounts_one_must_be_named(root: Path, shell: Shell) -> None:
    saved(root)
    JsonStateStore(LocalFileSystem(), root / "embedded-PA2").save(a_snapshot(account_id="PA2"))
    code, said = shell("repair", "--yes")
    assert code == 1
    assert "--account PA1, PA2" in said or "--account PA2, PA1" in said
    assert shell("repair", "--account", "PA1")[0] == 0


# --- from the broker -----------------------------------------------------------------------------

HALTED = TradingStatus(state=TradingState.HALTED, since_at=NOON, cause="distrust", resumes="naming")


def without_snapshots(root: Path) -> Path:
    folder = saved(root)
    for name in ("portfolio.json", "portfolio.1.json"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_without_a_usable_snapshot_repair_names_the_broker(root: Path, shell: Shell) -> None:
    without_snapshots(root)
    code, said = shell("repair", "--yes")
    assert code == REFUSED
    assert "--from-broker" in said


def test_a_book_begun_from_the_venue_is_wholly_external_and_halted(
    root: Path, shell: Shell
) -> None:
    folder = without_snapshots(root)
    account = an_account(5_000, AAPL=(7, 90))
    plan_from_broker(state(root), account, HALTED).carry_out()
    begun = book(root)
    assert begun.portfolio.positions == account.positions
    assert set(begun.portfolio.books) == {EXTERNAL}
    assert begun.trading == HALTED
    assert begun.journal_seq == 6  # numbers are not used twice
    for name in ("portfolio.json", "portfolio.1.json"):
        assert (folder / f"{name}.replaced-1").read_bytes() == name.encode()
    assert shell("verify")[0] == 0


def test_a_beginning_from_the_venue_that_was_interrupted_gives_no_number_twice(
    root: Path,
) -> None:
    folder = without_snapshots(root)
    (folder / "journal").rename(folder / "journal.replaced-1")
    (folder / "journal").mkdir()
    (folder / "journal" / "journal-000000000007.jsonl").touch()
    plan_from_broker(state(root), an_account(), HALTED).carry_out()
    assert book(root).journal_seq == 6


def test_a_usable_snapshot_is_not_given_up_for_the_venues_account(root: Path) -> None:
    folder = saved(root)
    (folder / "portfolio.json").write_bytes(b"{")
    with pytest.raises(Refused, match="keeps more"):
        plan_from_broker(state(root), an_account(), HALTED)


def test_an_exchange_that_does_not_answer_is_said_in_words(
    root: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(root)
    monkeypatch.setenv("EXCHANGE_URL", "http://127.0.0.1:9")
    code, said = shell("diff")
    assert code == 1
    assert "no exchange answers at http://127.0.0.1:9" in said


def test_remains_of_an_earlier_repair_are_never_overwritten(root: Path) -> None:
    folder = saved(root)
    for content in (b"first", b"second"):
        (folder / "portfolio.json").write_bytes(content)
        plan_repair(state(root)).carry_out()
        JsonStateStore(LocalFileSystem(), folder).save(with_cash(book(root), 1))
    assert (folder / "portfolio.json.replaced-1").read_bytes() == b"first"
    assert (folder / "portfolio.json.replaced-2").read_bytes() == b"second"

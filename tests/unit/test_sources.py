"""Where commands read from: a running daemon, else its saved state, exactly, else nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from daemon.api_client import ApiClient
from daemon.saved_state import TOKEN_FILE, StateFolder, state_folders
from daemon.settings import Settings
from daemon.sources import find_live, find_source, require_control
from domain.errors import DaemonNotRunning, Refused, StateCorrupt, TradewindError
from domain.events import Action
from domain.snapshot import Snapshot
from state.filesystem import LocalFileSystem
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.records import Filled, encode
from tests.support.daemons import CONTROL_TOKEN, ShownDaemon, a_busy_snapshot, an_app
from tests.support.orders import FixedClock, a_fill
from tests.support.settings import some_settings

NOBODY = 9  # discard: no daemon of ours ever listens there


def settings_at(root: Path, port: int = NOBODY, **more: Any) -> Settings:
    return some_settings(state_dir=root, http_port=port, **more)


def save(root: Path, snapshot: Snapshot, *facts: Filled) -> Path:
    """Write a state directory as a daemon leaves it: a snapshot, then records after it."""
    folder = root / f"{snapshot.venue}-{snapshot.account_id}"
    fs = LocalFileSystem()
    journal, _ = JsonLinesJournal.open(fs, folder / "journal", FixedClock())
    JsonStateStore(fs, folder).save(snapshot)
    for fact in facts:
        journal.append_durable(*encode(fact))
    journal.close()
    (folder / TOKEN_FILE).write_text(CONTROL_TOKEN + "\n")
    return folder


def contents(root: Path) -> dict[Path, tuple[bytes, int]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


# --- saved ---------------------------------------------------------------------------------------


def test_a_stopped_daemon_shows_its_saved_state_as_not_running(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot())

    shown = find_source(settings_at(tmp_path)).document("status")

    assert shown["running"] is False
    assert shown["equity_usd"] == "101000.00"


def test_what_the_journal_adds_to_the_snapshot_is_in_what_is_shown(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot(), Filled(fill=a_fill(1, 90, fill_id="late")))

    source = find_source(settings_at(tmp_path))

    assert source.document("fills")["fills"][-1]["fill_id"] == "late"
    assert source.document("status")["cash_usd"] == "97910.00"


def test_reading_changes_nothing_on_disk(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot(), Filled(fill=a_fill(1, 90, fill_id="late")))
    before = contents(tmp_path)

    find_source(settings_at(tmp_path)).document("status")

    assert contents(tmp_path) == before


def test_a_torn_tail_is_left_for_the_daemon_to_cut_off(tmp_path: Path) -> None:
    folder = save(tmp_path, a_busy_snapshot(), Filled(fill=a_fill(1, 90, fill_id="late")))
    (journal,) = (folder / "journal").iterdir()
    journal.write_bytes(journal.read_bytes() + b"0000 torn")
    before = contents(tmp_path)

    assert find_source(settings_at(tmp_path)).document("fills")["fills"][-1]["fill_id"] == "late"
    assert contents(tmp_path) == before


def test_a_corrupt_state_is_never_shown_as_something_else(tmp_path: Path) -> None:
    folder = save(tmp_path, a_busy_snapshot())
    (folder / "portfolio.json").write_text("{}")

    with pytest.raises(StateCorrupt):
        find_source(settings_at(tmp_path))


def test_a_snapshot_ahead_of_its_journal_is_corrupt(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot(journal_seq=7))

    with pytest.raises(StateCorrupt, match="covers record 7"):
        find_source(settings_at(tmp_path))


def test_with_nothing_saved_every_list_is_empty_and_that_is_said(tmp_path: Path) -> None:
    source = find_source(settings_at(tmp_path / "none"))

    assert source.document("positions")["positions"] == []
    assert source.document("status")["running"] is False
    assert "nothing saved" in source.heading()


def test_the_chosen_venue_comes_before_another_and_the_newest_account_first(
    tmp_path: Path,
) -> None:
    ages = {"paper-PA9": 30, "embedded-PA1": 10, "embedded-PA2": 20}
    for name, age_s in ages.items():
        venue, _, account = name.partition("-")
        folder = save(tmp_path, replace(a_busy_snapshot(), venue=venue, account_id=account))
        os.utime(folder / "portfolio.json", (age_s, age_s))

    found = [folder.path.name for folder in state_folders(tmp_path, "embedded")]

    assert found == ["embedded-PA2", "embedded-PA1", "paper-PA9"]


def test_other_folders_in_the_state_directory_are_no_state(tmp_path: Path) -> None:
    (tmp_path / "exchange").mkdir()
    (tmp_path / "embedded-empty").mkdir()

    assert state_folders(tmp_path, "embedded") == []


def test_a_state_in_use_by_a_process_that_does_not_answer_is_said(tmp_path: Path) -> None:
    folder = save(tmp_path, a_busy_snapshot())
    (folder / "lock.pid").write_text(f"{os.getpid()}\n")

    heading = find_source(settings_at(tmp_path)).heading()

    assert f"process {os.getpid()} holds this state but does not answer" in heading


def test_a_lock_left_by_a_dead_process_means_nothing(tmp_path: Path) -> None:
    folder = StateFolder(path=tmp_path, venue="embedded", account_id="PA1")
    (tmp_path / "lock.pid").write_text("4194304\n")  # above the largest process id there can be

    assert folder.holder() is None


# --- running -------------------------------------------------------------------------------------


@asynccontextmanager
async def a_running_daemon(daemon: ShownDaemon | None = None, **more: Any) -> AsyncIterator[int]:
    async with TestServer(an_app(daemon or ShownDaemon(), **more)) as server:
        assert server.port is not None
        yield server.port


async def test_a_running_daemon_comes_before_its_saved_state(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot())
    async with a_running_daemon() as port:
        source = await asyncio.to_thread(find_source, settings_at(tmp_path, port))
        shown = await asyncio.to_thread(source.document, "fills", 1)

    assert shown["running"] is True
    assert len(shown["fills"]) == 1


async def test_a_daemon_of_another_state_directory_is_not_ours(tmp_path: Path) -> None:
    elsewhere = save(tmp_path / "elsewhere", a_busy_snapshot())
    about = {"state_dir": str(elsewhere)}
    async with a_running_daemon(about=about) as port:
        live = await asyncio.to_thread(find_live, settings_at(tmp_path / "here", port))

    assert live is None


async def test_the_daemons_word_on_its_state_directory_counts(tmp_path: Path) -> None:
    folder = save(tmp_path, a_busy_snapshot())
    settings = some_settings(http_port=0)
    async with a_running_daemon(about={"state_dir": str(folder)}) as port:
        known = settings.model_copy(update={"http_port": port})
        live = await asyncio.to_thread(find_live, known)

    assert live is not None
    assert live.folder is not None
    assert live.folder.path == folder


async def test_a_daemon_that_wants_a_token_to_read_gets_the_one_beside_its_state(
    tmp_path: Path,
) -> None:
    save(tmp_path, a_busy_snapshot())
    async with a_running_daemon(read_token="another") as port:
        live = await asyncio.to_thread(find_live, settings_at(tmp_path, port))

    assert live is not None


async def test_control_shows_the_token_that_lies_beside_the_state(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot())
    daemon = ShownDaemon()
    async with a_running_daemon(daemon) as port:
        client = await asyncio.to_thread(require_control, settings_at(tmp_path, port))
        await asyncio.to_thread(client.post, Action.HALT, {"reason": "lunch"})

    assert [asked.reason for asked in daemon.asked] == ["lunch"]


async def test_control_with_a_wrong_token_is_refused_with_where_to_find_the_right_one(
    tmp_path: Path,
) -> None:
    save(tmp_path, a_busy_snapshot())
    async with a_running_daemon() as port:
        settings = settings_at(tmp_path, port, http_token="wrong-wrong")
        client = await asyncio.to_thread(require_control, settings)
        with pytest.raises(Refused, match="--state-dir"):
            await asyncio.to_thread(client.post, Action.HALT, {})


def test_control_without_a_daemon_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning, match="tradewind run"):
        require_control(settings_at(tmp_path))


# --- the client ----------------------------------------------------------------------------------


async def test_what_the_daemon_finds_wrong_with_a_request_is_told() -> None:
    async with a_running_daemon() as port:
        client = ApiClient("127.0.0.1", port, token=CONTROL_TOKEN)
        with pytest.raises(TradewindError, match="unknown field"):
            await asyncio.to_thread(client.post, Action.HALT, {"nonsense": 1})


async def test_somebody_else_at_the_port_is_not_taken_for_the_daemon() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        client = ApiClient("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(Refused, match="another program"):
            await asyncio.to_thread(client.get, "status")


def test_a_daemon_bound_to_every_address_is_asked_on_this_machine() -> None:
    assert ApiClient("0.0.0.0", 8420).url == "http://127.0.0.1:8420"
    assert ApiClient("::1", 8420).url == "http://[::1]:8420"


def test_prices_of_a_saved_position_come_from_its_marks(tmp_path: Path) -> None:
    save(tmp_path, a_busy_snapshot(marks={"AAPL": Decimal(111)}))

    rows = find_source(settings_at(tmp_path)).document("positions")["positions"]

    assert {row["symbol"]: row["mark_usd"] for row in rows}["AAPL"] == "111"

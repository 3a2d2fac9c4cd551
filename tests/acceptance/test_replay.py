"""A session recorded by the real program, killed in the middle and gone on with, heard again."""

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from research.cli import add_to
from tests.support.processes import Site, site

pytestmark = pytest.mark.acceptance
PACE = ("--lockstep", "--sessions", "1", "--json")
SETTINGS = {
    "TRADING_SYMBOLS": "AAPL,MSFT,JPM,XOM,JNJ,WMT,CAT,SPY",
    "STRATEGIES": "mean_reversion(window_bars=10,entry_z=1.0),sma_crossover",
    "BAR_TIMEFRAME": "15Min",
    "POLL_SECONDS": "25",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("replay"), **SETTINGS) as place:
        yield place


@pytest.fixture(scope="module")
def state(place: Site) -> Path:
    """The state directory of a session whose daemon was killed with orders out, and started
    again."""
    killed = place.daemon(*PACE)
    killed.await_line('"event":"fill"', count=16)
    killed.kill()
    finished = place.daemon(*PACE)
    assert finished.await_end() == 0, finished.last_words()
    assert finished.report()["fills"] > 10
    return place.state_dir


def replay(state: Path, *more: str) -> tuple[int, Any]:
    app = typer.Typer()
    add_to(app)
    result = CliRunner().invoke(app, ["replay", str(state), "--json", *more])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def tampered(
    state: Path, folder: Path, kind: str, change: Callable[[dict[str, Any]], None]
) -> Path:
    """Return a copy of the state whose records of a kind in the last run were changed, their
    checksums put right."""
    copy = folder / "tampered"
    shutil.copytree(state, copy)
    (part,) = copy.glob("*/tape/tape-000002-0001.jsonl")
    lines = part.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        record = json.loads(line[9:])
        if record["t"] == kind:
            change(record)
            text = json.dumps(record, separators=(",", ":")).encode()
            lines[number] = b"%08x %b\n" % (zlib.crc32(text), text)
    part.write_bytes(b"".join(lines))
    return copy


def test_every_decision_is_made_again_to_the_byte(state: Path) -> None:
    code, told = replay(state)

    assert (code, told["identical"]) == (0, True)
    first, second = told["runs"]
    assert first["decisions"] >= 1
    assert second["decisions"] >= 10
    assert first["tape_end"].startswith("the tape ends without a stop")
    assert second["tape_end"] == "the tape ends with the run"


def test_one_run_can_be_replayed_alone(state: Path) -> None:
    _, told = replay(state, "--run", "2")

    assert [run["run"] for run in told["runs"]] == [2]


def test_the_account_folder_may_be_named_itself(state: Path) -> None:
    (account,) = (path for path in state.iterdir() if (path / "tape").is_dir())

    assert replay(account)[0] == 0


def test_a_quote_that_was_changed_is_found_where_it_counts(state: Path, tmp_path: Path) -> None:
    def raise_apple(record: dict[str, Any]) -> None:
        for quote in record["quotes"]:
            if quote[0] == "AAPL":
                quote[2], quote[3] = round(quote[2] * 1.01, 2), round(quote[3] * 1.01, 2)

    code, told = replay(tampered(state, tmp_path, "QuotesPolled", raise_apple))

    assert code == 1
    found = told["runs"][1]["first_difference"]
    assert {"equity_usd", "reference_usd"} & {
        field["field"].rpartition(".")[2] for field in found["fields"]
    }
    assert all(field["recorded"] != field["replayed"] for field in found["fields"])


def test_an_opinion_that_was_changed_is_found_with_slot_symbol_field_and_both_values(
    state: Path, tmp_path: Path
) -> None:
    def turn(record: dict[str, Any]) -> None:
        if record["strategy"] == "mean_reversion":
            record["signals"]["strength"][1] = 0.123

    code, told = replay(tampered(state, tmp_path, "OpinionGiven", turn))

    assert code == 1
    first = told["runs"][1]["first_difference"]
    field = first["fields"][0]
    assert field["field"] == "strengths.mean_reversion"
    assert field["symbol"] in SETTINGS["TRADING_SYMBOLS"]
    assert field["replayed"] == "0.123"
    assert first["slot_at"] in first["words"]


def test_a_changed_setting_is_found_and_named(
    state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {**SETTINGS, "TARGET_POSITION_SIZE": "0.004"}.items():
        monkeypatch.setenv(name, value)

    code, told = replay(state, "--with-settings")

    assert code == 1
    changed = {change["name"]: change for change in told["runs"][0]["changed_settings"]}
    assert changed["target_position"]["now"] == "0.004"
    found = told["runs"][0]["first_difference"]["fields"]
    assert found[0]["field"] == "target_weight"
    assert found[0]["symbol"] in SETTINGS["TRADING_SYMBOLS"]


def test_the_same_settings_change_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)

    code, told = replay(state, "--with-settings")

    assert (code, [run["changed_settings"] for run in told["runs"]]) == (0, [[], []])


def test_a_tape_cut_off_in_a_record_is_replayed_up_to_there(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "torn"
    shutil.copytree(state, copy)
    (part,) = copy.glob("*/tape/tape-000002-0001.jsonl")
    data = part.read_bytes()
    part.write_bytes(data[: len(data) // 2])

    code, told = replay(copy)

    assert code == 0
    assert told["runs"][1]["tape_end"].startswith("the tape ends early: what follows is unreadable")

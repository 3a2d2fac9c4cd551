"""`tradewind data check` on any file: what it prints, and how it exits."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from domain.errors import ConfigurationFault
from research.cli import add_to
from tests.support.backtests import drawn_bars
from tests.support.splits import SESSIONS, as_traded, write_actions, write_bars

SPLIT_ROW = 60
SPLIT_DAY = SESSIONS[SPLIT_ROW].day


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    bars = as_traded(drawn_bars(90, 2, seed=5), 0, SPLIT_ROW, 3.0)
    return write_bars(tmp_path / "bars.csv", bars, ("AAPL", "JPM"))


def check(path: Path, *more: str) -> tuple[int, str]:
    app = typer.Typer()
    add_to(app)
    result = CliRunner().invoke(app, ["data", "check", str(path), *more])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def findings(path: Path) -> Any:
    return json.loads(check(path, "--json")[1])["findings"]


def test_a_split_that_nobody_tells_of_is_a_fault_with_file_symbol_and_day(raw: Path) -> None:
    code, out = check(raw, "--json")

    (found,) = json.loads(out)["findings"]
    assert code == 1
    assert (found["kind"], found["symbol"]) == ("mixed split bases", "AAPL")
    assert (found["day"], found["file"]) == (str(SPLIT_DAY), str(raw))
    assert "a split of 3 for 1" in found["detail"]


def test_a_split_that_the_file_of_actions_tells_of_is_none(raw: Path) -> None:
    write_actions(raw, [f"AAPL,{SPLIT_DAY},split,3:1,"])

    assert check(raw)[0] == 0
    assert findings(raw) == []


def test_a_person_is_shown_the_same(raw: Path) -> None:
    code, out = check(raw)

    assert code == 1
    assert "mixed split bases" in out
    assert "1 faults, 0 notices." in out


def test_notices_fail_only_the_strict(tmp_path: Path, raw: Path) -> None:
    bars = drawn_bars(90, 1, seed=5)
    bars["volume"][7] = 0.0
    path = write_bars(tmp_path / "quiet.csv", bars, ("AAPL",))

    assert check(path)[0] == 0
    assert check(path, "--strict")[0] == 1


def test_a_place_without_bars_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="no such file or folder"):
        check(tmp_path / "nowhere")

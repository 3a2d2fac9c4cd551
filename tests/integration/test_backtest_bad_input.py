"""What a backtest says of strategies that do not keep to their contract, and of spans and folders
that cannot be used: who, which symbol, which bar, and what to do."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from daemon.settings_env import load_settings
from daemon.strategy_specs import parse_specs
from domain.errors import ConfigurationFault
from research.audit.bars import made_up, made_up_sessions
from research.backtest.costs import Costs, FillAt
from research.backtest.preparing import Request, prepare
from research.cli import add_to
from tests.support.backtests import drawn_bars
from tests.support.leaks import plant
from tests.support.splits import SESSIONS, write_bars

FROM_MARCH = "if market.as_of.month >= 3:\n    "
FAULTS = {
    "raises": ("raise ArithmeticError('no answer')", "raised", "ArithmeticError: no answer"),
    "wrong_shape": ("return Signals(strength=np.ones(7))", "invalid", "shape (7,), not (2,)"),
    "no_signals": ("return None", "invalid", "answered NoneType, not Signals"),
    "infinite": (
        "return Signals(strength=np.array([0.5, np.inf]))",
        "invalid",
        "strength of JPM is inf, outside [-1, 1]",
    ),
    "too_strong": (
        "return Signals(strength=np.array([-3.0, 0.5]))",
        "invalid",
        "strength of AAPL is -3.0, outside [-1, 1]",
    ),
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_strategies").mkdir()
    return write_bars(tmp_path / "bars.csv", drawn_bars(80, 2, seed=5), ("AAPL", "JPM"))


def backtest(data: Path, strategies: str, *more: str) -> tuple[dict[str, Any], str]:
    app = typer.Typer()
    add_to(app)
    arguments = ["backtest", "--data", str(data), "--strategies", strategies, "--json", *more]
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout), result.stderr


@pytest.mark.parametrize("name", FAULTS)
def test_a_strategy_that_breaks_its_contract_is_named_with_bar_and_symbol(
    name: str, data: Path, tmp_path: Path
) -> None:
    body, fault, words = FAULTS[name]
    plant(tmp_path / "my_strategies", name, FROM_MARCH + body, cross_sectional=True)

    manifest, said = backtest(data, f"{name},sma_crossover(fast_bars=3,slow_bars=8)")

    first_of_march = next(s for s in SESSIONS if s.day.month == 3)
    benched = manifest["benched"][name]
    assert benched["fault"] == fault
    assert benched["since_at"] == first_of_march.closes_at.isoformat()
    assert words in benched["detail"]
    assert f"{name} was not asked any more after the bar of {first_of_march.day}" in said
    assert words in said


def test_the_others_go_on_trading(data: Path, tmp_path: Path) -> None:
    plant(tmp_path / "my_strategies", "raises", "raise ValueError('never')")

    manifest, _ = backtest(data, "raises,sma_crossover(fast_bars=3,slow_bars=8)")

    assert list(manifest["benched"]) == ["raises"]
    assert manifest["fills"] > 5


def test_nobody_is_benched_without_a_fault(data: Path) -> None:
    manifest, _ = backtest(data, "sma_crossover(fast_bars=3,slow_bars=8)")

    assert manifest["benched"] == {}


def test_a_span_without_bars_names_what_there_is(data: Path) -> None:
    with pytest.raises(ConfigurationFault, match="has no session from 2021-01-01 to its last"):
        backtest(data, "sma_crossover", "--from", "2021-01-01")


@pytest.mark.parametrize("option", ["--borrow-bps", "--impact-bps"])
def test_costs_that_would_pay_the_trader_are_refused(data: Path, option: str) -> None:
    with pytest.raises(ConfigurationFault, match="lie from 0 to 10,000 bps"):
        backtest(data, "sma_crossover", option, "-1")


def test_the_cut_off_for_closing_orders_is_declared(data: Path) -> None:
    more = ("--fill-at", "close", "--close-cutoff-minutes", "25")
    manifest, _ = backtest(data, "sma_crossover(fast_bars=3,slow_bars=8)", *more)

    assert manifest["costs"]["close_cutoff_s"] == 1500.0
    assert manifest["costs"]["fill_at"] == "close"
    assert manifest["fills"] > 5


def test_equal_bars_have_equal_hashes_and_others_have_not(data: Path, tmp_path: Path) -> None:
    again = write_bars(tmp_path / "again.csv", drawn_bars(80, 2, seed=5), ("AAPL", "JPM"))
    other = write_bars(tmp_path / "other.csv", drawn_bars(80, 2, seed=6), ("AAPL", "JPM"))

    hashes = [
        backtest(path, "sma_crossover(fast_bars=3,slow_bars=8)")[0]["data"]["sha256"]
        for path in (data, again, other)
    ]

    assert hashes[0] == hashes[1] != hashes[2]


def test_an_order_after_the_cut_off_is_withheld_and_others_fill_at_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sessions = made_up_sessions(3)
    data = made_up(sessions, is_daily=False, seed=8).write(tmp_path / "minutes.parquet")
    settings = load_settings(None, {}, {"NO_ENTRY_LAST_MINUTES": "0"})
    costs = Costs(half_spread_bps=0.0, fill_at=FillAt.CLOSE, close_cutoff_s=120 * 60.0)
    specs = tuple(parse_specs("sma_crossover(timeframe=15Min,fast_bars=2,slow_bars=12)"))

    one = prepare(Request(data=data, specs=specs, costs=costs), settings)
    result = one.player().run(progress=lambda _done, _of: None, stop=lambda: False)

    closes = {session.day: session.closes_at for session in sessions}
    marks = result.recording.orders.values()
    late = {
        mark.status
        for mark in marks
        if (closes[mark.intent.intended_at.date()] - mark.intent.intended_at).seconds < 120 * 60
    }
    assert late == {"withheld"}
    assert result.recording.fills
    assert {f.filled_at.time() for f in result.recording.fills} == {
        (closes[sessions[0].day] - timedelta(seconds=3)).time()
    }

"""Live beside backtest on a session recorded by the real program: bars come late, decisions come
late, orders fill in part, and every dollar of the difference is in a part with a name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from domain.errors import ConfigurationFault
from research.cli import add_to
from tests.support.processes import Site, site, until

pytestmark = [pytest.mark.acceptance, pytest.mark.long]
CASH = "20000000"
SETTINGS = {
    "TRADING_SYMBOLS": "AAPL,MSFT,JPM,XOM,JNJ,WMT,CAT,SPY",
    "STRATEGIES": "mean_reversion(window_bars=10,entry_z=1.0),sma_crossover",
    "INITIAL_CAPITAL": CASH,
    "POLL_SECONDS": "25",
    "TARGET_POSITION_SIZE": "0.08",
    "MAX_POSITION_SIZE": "0.1",
    "ORDER_SIZE_MAX_USD": "5000000",
}
LATE = """
seed = 5

[[fault]]
name = "late bars"
kind = "price.missing"
path = "/v2/stocks/bars"
symbols = ["AAPL", "XOM", "JPM"]
share = 0.3
from = "09:40"
until = "15:50"
"""
PARTS = {"data", "timing", "fill_price", "rounding", "missed_signal"}


def recorded(folder: Path, faults: str, settings: dict[str, str]) -> Iterator[Site]:
    """Record a session on an exchange with these faults."""
    with site(folder, **settings) as place:
        place.folder.mkdir(exist_ok=True)
        script = place.folder / "faults.toml"
        script.write_text(faults)
        exchange = place.exchange(
            *("--lockstep", "--start", "2026-01-05", "--cash", CASH), *("--faults", str(script))
        )
        assert until(lambda: '"ready"' in exchange.output() + exchange.said(), 30.0)
        run = place.daemon("--lockstep", "--sessions", "1", "--json")
        assert run.await_end() == 0, run.last_words()
        assert run.report()["partial_fills"] > 0
        yield place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from recorded(
        tmp_path_factory.mktemp("parity"), LATE, {**SETTINGS, "BAR_SETTLE_SECONDS": "60"}
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def parity(place: Site, *more: str) -> Any:
    app = typer.Typer()
    add_to(app)
    result = CliRunner().invoke(app, ["parity", str(place.state_dir), "--json", *more])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


@pytest.fixture
def told(place: Site, here: pytest.MonkeyPatch) -> Any:
    return parity(place)


def test_every_part_is_there_and_they_sum_to_the_difference(told: Any) -> None:
    assert told["parts_usd"].keys() == PARTS
    assert all(abs(usd) > 0.01 for usd in told["parts_usd"].values()), told["parts_usd"]
    assert abs(told["rest_usd"]) < 0.01
    explained = sum(told["parts_usd"].values())
    assert told["live_usd"] - told["backtest_usd"] == pytest.approx(explained, abs=0.01)


def test_the_late_bars_were_heard(told: Any) -> None:
    assert told["late_bars"] > 10


def test_both_sides_decided_the_same_slots(told: Any) -> None:
    assert told["slots_live"] >= 20
    assert abs(told["slots_live"] - told["slots_backtest"]) <= 1


def test_what_the_symbols_explain_is_what_the_parts_say_but_for_data(told: Any) -> None:
    for name in PARTS - {"data"}:
        by_symbol = sum(parts[name] for parts in told["by_symbol_usd"].values())
        assert by_symbol == pytest.approx(told["parts_usd"][name], abs=0.01)


def test_our_profit_is_the_venues(told: Any, place: Site) -> None:
    equity = float(place.venue("/v2/account")["equity"]) - float(CASH)

    # The venue values positions at its last trade, we at the last bar's close: the same but for
    # what traded in between.
    assert told["live_usd"] == pytest.approx(equity, abs=0.002 * float(CASH))


def test_the_report_is_for_people_too(place: Site, here: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    add_to(app)
    result = CliRunner().invoke(app, ["parity", str(place.state_dir)])

    assert "missed signal" in result.stdout
    assert "unexplained" in result.stdout


def test_other_strategies_than_the_recorded_ones_are_refused(
    place: Site, here: pytest.MonkeyPatch
) -> None:
    here.setenv("STRATEGIES", "sma_crossover(slow_bars=50)")

    with pytest.raises(ConfigurationFault, match="sma_crossover had lookback_bars 30 and has 50"):
        parity(place)


def test_a_run_that_is_not_there_is_named(place: Site, here: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationFault, match="--run 9 is not on the tape"):
        parity(place, "--run", "9")

"""The audit of whole runs: the backtest is clean, and what people do around one is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from daemon.settings import Settings
from daemon.settings_env import load_settings
from daemon.strategy_specs import parse_specs
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from research.audit.bars import BarRows, made_up, made_up_sessions, read_rows, staircase
from research.audit.findings import Checked, Probe
from research.audit.pipeline import Play, audit_fills, audit_future
from research.audit.runs import BUSY_DAILY, BUSY_MINUTES, COSTS, FREE_OF_COSTS, cuts_of, play_of
from research.cli import add_to
from tests.support.leaks import AXIS_SLIPS, plant

SPECS = parse_specs(BUSY_DAILY)
SESSIONS = made_up_sessions(16)
BARS = made_up(SESSIONS, is_daily=True, seed=4)
STAIRS = staircase(SESSIONS, is_daily=True, slot_minutes=15)
Tamper = Callable[[BarRows], BarRows]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(None, {}, {"ORDER_STYLE": "market"})


def honest(settings: Settings) -> Play:
    return play_of(SPECS, settings, FREE_OF_COSTS)


def tampering(settings: Settings, tamper: Tamper) -> Play:
    """Play a file that was made from the given one, as people do before a backtest."""
    play = honest(settings)

    def played(data: Path):  # type: ignore[no-untyped-def]
        path = data.with_name(f"tampered-{data.name}")
        return play(tamper(read_rows(data, None, None)).write(path))

    return played


def of_symbol(bars: BarRows) -> list[np.ndarray]:
    """Return the rows of each symbol, in order of time."""
    rows = [np.flatnonzero(bars.symbol == symbol) for symbol in np.unique(bars.symbol)]
    return [r[np.argsort(bars.starts_ms[r])] for r in rows]


def bodied(prices: np.ndarray) -> np.ndarray:
    prices = np.round(prices, 2)
    prices[1] = np.maximum(prices[0], prices[3])
    prices[2] = np.minimum(prices[0], prices[3])
    return prices


def each_symbol(change: Callable[[np.ndarray], np.ndarray]) -> Tamper:
    def tamper(bars: BarRows) -> BarRows:
        prices = bars.price_usd.copy()
        for rows in of_symbol(bars):
            prices[:, rows] = bodied(change(prices[:, rows]))
        return replace(bars, price_usd=prices)

    return tamper


def centred(prices: np.ndarray) -> np.ndarray:
    kernel = np.ones(3) / 3
    padded = np.pad(prices, ((0, 0), (1, 1)), mode="edge")
    return np.stack([np.convolve(row, kernel, "valid") for row in padded])


def shifted(prices: np.ndarray) -> np.ndarray:
    return np.roll(prices, -1, axis=1)


def scaled(prices: np.ndarray) -> np.ndarray:
    return 100.0 * prices / prices.mean()


def at_the_close_before(prices: np.ndarray) -> np.ndarray:
    """Let a bar open where the bar before closed: the next open is then the same bar's close."""
    before = np.concatenate([prices[3, :1], prices[3, :-1]])
    return np.stack([before, prices[1], prices[2], prices[3]])


def the_liquid_ones(bars: BarRows) -> BarRows:
    """Keep the four symbols that trade most over the whole file."""
    symbols = np.unique(bars.symbol)
    dollars = [
        (bars.price_usd[3] * bars.volume_shares)[bars.symbol == symbol].sum() for symbol in symbols
    ]
    best = symbols[np.argsort(dollars)[-4:]]
    return bars.kept(np.isin(bars.symbol, best))


def future_of(play: Play, folder: Path) -> list[Checked]:
    return audit_future(play, BARS, cuts_of(BARS, Timeframe.DAY)[:1], folder=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bars"
    made.mkdir()
    return made


def test_the_backtest_is_clean(settings: Settings, folder: Path) -> None:
    results = [
        *audit_future(
            play_of(SPECS, settings, COSTS), BARS, cuts_of(BARS, Timeframe.DAY), folder=folder
        ),
        audit_fills(honest(settings), STAIRS, folder=folder),
    ]

    assert [f.detail for one in results for f in one.findings] == []


def test_the_backtest_on_minutes_is_clean_though_stops_act_inside_bars(
    settings: Settings, folder: Path
) -> None:
    bars = made_up(made_up_sessions(4), is_daily=False, seed=6)
    tight = settings.model_copy(update={"stop_loss_percent": Decimal("0.004")})
    play = play_of(parse_specs(BUSY_MINUTES), tight, COSTS)

    results = audit_future(play, bars, cuts_of(bars, tight.bar_timeframe), folder=folder)

    assert [f.detail for one in results for f in one.findings] == []
    counters = play(bars.write(folder / "again.parquet")).result.counters
    assert counters["exits.stop_loss"] > 10


@pytest.mark.parametrize("change", [centred, shifted, scaled], ids=lambda c: c.__name__)
def test_bars_made_with_later_ones_are_found(
    change: Callable[[np.ndarray], np.ndarray], settings: Settings, folder: Path
) -> None:
    results = future_of(tampering(settings, each_symbol(change)), folder)

    assert {one.probe for one in results if not one.passed} == {Probe.PREFIX, Probe.POISON}


def test_a_universe_picked_by_later_turnover_is_found(settings: Settings, folder: Path) -> None:
    results = future_of(tampering(settings, the_liquid_ones), folder)

    assert any(not one.passed for one in results)


def test_sizes_by_the_whole_samples_volatility_are_found(settings: Settings, folder: Path) -> None:
    def play(data: Path):  # type: ignore[no-untyped-def]
        bars = read_rows(data, None, None)
        moves = np.concatenate([np.diff(np.log(bars.price_usd[3, r])) for r in of_symbol(bars)])
        size = type(settings.target_position_size)(f"{0.0002 / float(moves.std()):.6f}")
        return honest(settings.model_copy(update={"target_position_size": size}))(data)

    results = future_of(play, folder)

    assert not results[0].passed
    assert "order to " in results[0].findings[0].detail


def test_orders_that_meet_the_bar_they_were_decided_on_are_found(
    settings: Settings, folder: Path
) -> None:
    play = tampering(settings, each_symbol(at_the_close_before))

    result = audit_fills(play, STAIRS, folder=folder)

    assert not result.passed
    assert "which is no price of that bar" in result.findings[0].detail
    assert "but of the bar of" in result.findings[0].detail


def test_a_run_without_fills_proves_nothing(settings: Settings, folder: Path) -> None:
    play = play_of(parse_specs("sma_crossover(slow_bars=200)"), settings, FREE_OF_COSTS)

    assert "nothing was filled" in audit_fills(play, STAIRS, folder=folder).findings[0].detail


# --- the command ---------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    add_to(app)
    result = CliRunner().invoke(app, ["audit", "lookahead", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_the_command_says_clean_and_exits_0(tmp_path: Path, settings: Settings) -> None:
    data = BARS.write(tmp_path / "bars.parquet")

    code, out = run("sma_crossover(fast_bars=3,slow_bars=6)", "--data", str(data), "--json")

    document = json.loads(out)
    assert (code, document["clean"]) == (0, True)
    assert {check["subject"] for check in document["checks"]} == {
        "sma_crossover",
        "the backtest on daily bars",
    }


def test_the_command_exits_1_and_says_what_to_do(tmp_path: Path, settings: Settings) -> None:
    own = tmp_path / "my_strategies"
    own.mkdir()
    plant(own, "slips", AXIS_SLIPS["full_sample_scaling"])
    data = BARS.write(tmp_path / "bars.parquet")

    code, out = run("slips", "--data", str(data))

    assert code == 1
    assert "LEAK  many instants in one call" in out
    assert "What to do: give every numpy call its axis=0" in out


def test_a_strategy_that_is_not_there_is_named(settings: Settings) -> None:
    with pytest.raises(ConfigurationFault, match="no strategy is called sma_crosover"):
        run("sma_crosover")


def test_a_span_the_wrong_way_round_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationFault, match="lies after --to"):
        run("sma_crossover", "--from", "2020-01-02", "--to", "2019-01-02")

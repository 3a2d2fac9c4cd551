"""Builders and laws for markets and their tapes."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from domain.instruments import Universe, parse_universe
from exchange.markets.base import DailyBars, SessionTape
from exchange.markets.paths import on_grid
from exchange.markets.synthetic import SyntheticMarket

REPOSITORY = Path(__file__).parents[2]
REAL_DATA = REPOSITORY.parent / "shared" / "data"


@cache
def shipped_universe() -> Universe:
    path = REPOSITORY / "domain" / "universe.csv"
    return parse_universe(path.read_text(encoding="utf-8"), source=str(path))


def universe_of(*symbols: str) -> Universe:
    return shipped_universe().only(symbols)


@cache
def synthetic_market(seed: int = 7, count: int = 66) -> SyntheticMarket:
    """A market of the first `count` shipped instruments, built once: it is immutable."""
    return SyntheticMarket(seed=seed, universe=Universe(shipped_universe().instruments[:count]))


def real_file(name: str) -> Path:
    """The path of a file of the data folder beside the checkout; skips when it is not there."""
    path = REAL_DATA / name
    if not path.exists():
        pytest.skip(f"no real data: {path} is absent")
    return path


def minute_label(day: date, minute: int) -> str:
    """The New York label of the minute that starts so many minutes after 09:30."""
    opens = datetime(day.year, day.month, day.day, 9, 30, tzinfo=ZoneInfo("America/New_York"))
    return (opens + timedelta(minutes=minute)).isoformat(sep=" ")


def bars_csv(
    rows: Sequence[str], header: str = "symbol,timestamp,open,high,low,close,volume"
) -> str:
    return "\n".join([header, *rows, ""])


def assert_tape_is_sound(tape: SessionTape) -> None:
    """The laws that every tape keeps, whatever market made it."""
    n, m, ticks = len(tape.symbols), len(tape.opened_at_s), tape.ticks_per_minute
    by_minute = tape.tick_usd.reshape(n, m, ticks)
    shares = tape.tick_shares.reshape(n, m, ticks)
    traded = tape.volume > 0
    assert tape.opened_at_s[0] == tape.session.opens_at.timestamp()
    assert tape.opened_at_s[-1] + 60 == tape.session.closes_at.timestamp()
    assert (tape.tick_shares >= 0).all()
    assert np.array_equal(shares, np.rint(shares))
    assert np.array_equal(shares.sum(axis=2), tape.volume)
    assert np.array_equal(np.isnan(tape.close), ~traded)
    assert np.array_equal(by_minute[traded].max(axis=1), tape.high[traded])
    assert np.array_equal(by_minute[traded].min(axis=1), tape.low[traded])
    assert np.array_equal(by_minute[traded][:, 0], tape.open[traded])
    assert np.array_equal(by_minute[traded][:, -1], tape.close[traded])
    assert np.array_equal(on_grid(tape.tick_usd), tape.tick_usd, equal_nan=True)
    inside = (tape.vwap >= tape.low - 1e-9) & (tape.vwap <= tape.high + 1e-9)
    assert inside[traded].all()
    assert (tape.half_spread_usd > 0).all()
    assert (tape.trade_count[traded] >= 1).all()
    assert np.array_equal(tape.tick_usd[:, -1], tape.official_close_usd, equal_nan=True)
    assert_ticks_are_carried(tape, by_minute, traded)


def assert_ticks_are_carried(tape: SessionTape, by_minute: np.ndarray, traded: np.ndarray) -> None:
    before = np.concatenate([tape.previous_close_usd[:, None], by_minute[:, :-1, -1]], axis=1)
    silent = ~traded
    expected = np.broadcast_to(before[:, :, None], by_minute.shape)
    assert np.array_equal(by_minute[silent], expected[silent], equal_nan=True)


def assert_day_sums_up(tape: SessionTape, daily: DailyBars) -> None:
    """A tape of a day and the daily bar of that day say the same."""
    column = daily.days.index(tape.session.day)
    for row in range(len(tape.symbols)):
        traded = np.flatnonzero(tape.volume[row] > 0)
        if len(traded) == 0:
            assert np.isnan(daily.close[row, column])
            continue
        assert daily.open[row, column] == tape.open[row, traded[0]]
        assert daily.high[row, column] == tape.high[row, traded].max()
        assert daily.low[row, column] == tape.low[row, traded].min()
        assert daily.close[row, column] == tape.close[row, traded[-1]]
        assert daily.volume[row, column] == tape.volume[row].sum()

"""Builders of bars, rows, panels and markets from bare closes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.market import Bar, BarRow, Bars, Floats, Market, Reads
from domain.panel import Panel
from domain.ports import Strategy

NAN = float("nan")
FIRST_SLOT = datetime(2026, 6, 1, 13, 45, tzinfo=UTC)
BARS_ONLY = frozenset({Reads.BARS})


def symbols_of(count: int) -> tuple[Symbol, ...]:
    """Return S0, S1, …"""
    return tuple(Symbol(f"S{number}") for number in range(count))


def slot_at(number: int) -> datetime:
    """Return the closing instant of the numbered quarter of an hour."""
    return FIRST_SLOT + timedelta(minutes=15) * number


def a_row(*closes: float, volume: float = 100.0) -> BarRow:
    """Return a row whose bars stand still at `closes`; NaN = no bar."""
    close = np.array(closes, dtype=np.float64)
    return BarRow(
        open=close.copy(),
        high=close.copy(),
        low=close.copy(),
        close=close,
        volume=np.where(close > 0, volume, np.nan),
    )


def a_bar(symbol: str, opened_at: datetime, close_usd: float, volume: float = 100.0) -> Bar:
    """Return a bar that stands still."""
    return Bar(
        symbol=Symbol(symbol),
        opened_at=opened_at,
        open_usd=close_usd,
        high_usd=close_usd,
        low_usd=close_usd,
        close_usd=close_usd,
        volume_shares=volume,
    )


def a_panel(
    *rows: Sequence[float],
    capacity_slots: int = 8,
    stale_bars_max: int = 20,
    timeframe: Timeframe = Timeframe.FIFTEEN_MINUTES,
) -> Panel:
    """Return a panel to which rows of closes were appended, one slot each, within one session."""
    panel = Panel(
        symbols_of(len(rows[0])), timeframe, capacity_slots, stale_bars_max=stale_bars_max
    )
    for number, closes in enumerate(rows):
        panel.append(slot_at(number), a_row(*closes), number == 0)
    return panel


def walk(rows: int, columns: int, seed: int = 0, volatility: float = 0.01) -> Floats:
    """Return closes `[rows, columns]` of a geometric random walk."""
    steps = np.random.default_rng(seed).normal(scale=volatility, size=(rows, columns))
    return 100.0 * np.exp(np.cumsum(steps, axis=0))


def bars_of(close: Floats, *, reach: float = 0.0) -> Bars:
    """Return bars with these closes, opening at the close before, `reach` beyond both each way."""
    opened = np.vstack([close[:1], close[:-1]])
    arrays = (
        opened,
        np.maximum(opened, close) * (1.0 + reach),
        np.minimum(opened, close) * (1.0 - reach),
        close.copy(),
        np.where(np.isnan(close), np.nan, 1000.0),
    )
    for array in arrays:
        array.flags.writeable = False
    opens, highs, lows, closes, volumes = arrays
    return Bars(
        open=opens, high=highs, low=lows, close=closes, volume=volumes, traded=~np.isnan(close)
    )


def a_market(
    close: Floats,
    *,
    timeframe: Timeframe = Timeframe.DAY,
    reads: frozenset[Reads] = BARS_ONLY,
    panels: Mapping[Timeframe, Bars] | None = None,
) -> Market:
    """Return a Market of these closes `[rows, n]`."""
    bars = bars_of(close)
    return Market(
        as_of=slot_at(close.shape[0]),
        symbols=symbols_of(close.shape[1]),
        bars=bars,
        panels=panels or {timeframe: bars},
        reads=reads,
    )


def strengths(strategy: Strategy, close: Floats) -> list[float]:
    """Return a strategy's strengths on these closes."""
    return strategy.decide(a_market(close)).strength.tolist()

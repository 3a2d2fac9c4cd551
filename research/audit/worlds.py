"""Bars to audit on: of a history, or made up with what real ones have: late listings and holes."""

from collections.abc import Callable

import numpy as np

from daemon.strategy_sample import SAMPLE_SYMBOLS, Series, make_series
from domain.calendar import Timeframe
from domain.market import Bars, Floats
from domain.panel import Panel
from domain.ports import Strategy
from research.backtest.history import History

COLUMNS = 6
INSTANTS = 120
"""Instants that a made-up series holds beyond the first full look-back."""
HOLE_EVERY, HOLE_ROWS = 11, 2
"""A symbol that trades little misses so many bars in a row, so often."""
Change = Callable[[str, Floats], None]


def drawn_series(strategy: Strategy, *, seed: int, instants: int = INSTANTS) -> Series:
    """Return made-up bars long enough to ask a strategy at `instants` of them.

    The last symbol lists in the middle of those instants, the one before it has holes.
    """
    rows = strategy.lookback_bars + instants
    rng = np.random.default_rng(seed)
    series = make_series(SAMPLE_SYMBOLS[:COLUMNS], strategy.timeframe, rows, rng)
    listed_at = strategy.lookback_bars + instants // 3

    def blank(_name: str, values: Floats) -> None:
        values[:listed_at, -1] = np.nan
        for offset in range(HOLE_ROWS):
            values[HOLE_EVERY + offset :: HOLE_EVERY, -2] = np.nan

    return changed(series, blank)


def history_series(history: History, timeframe: Timeframe, *, last_row: int, rows: int) -> Series:
    """Return the `rows` bars of a history that end with row `last_row` of a timeframe's frame."""
    frame = history.frames[timeframe]
    part = slice(max(0, last_row + 1 - rows), last_row + 1)
    bars = {n: getattr(frame, n)[part] for n in ("open", "high", "low", "close", "volume")}
    traded = np.isfinite(bars["close"])
    return Series(
        symbols=history.symbols,
        timeframe=timeframe,
        slots=frame.slots[part],
        bars=Bars(**bars, traded=traded),
    )


def changed(series: Series, change: Change) -> Series:
    """Return a copy with its prices and volumes changed, array by array."""
    bars = series.bars
    copies = {n: getattr(bars, n).copy() for n in ("open", "high", "low", "close", "volume")}
    for name, values in copies.items():
        change(name, values)
        values.flags.writeable = False
    return Series(
        symbols=series.symbols,
        timeframe=series.timeframe,
        slots=series.slots,
        bars=Bars(**copies, traded=np.isfinite(copies["close"])),
    )


def panel_of(series: Series, *, rows: int | None = None) -> Panel:
    """Return a panel that was given the first `rows` slots, all of them by default."""
    count = len(series.slots) if rows is None else rows
    panel = Panel(series.symbols, series.timeframe, len(series.slots))
    for index in range(count):
        append(panel, series, index)
    return panel


def append(panel: Panel, series: Series, index: int) -> None:
    """Give a panel the next slot of a series."""
    before = series.slots[index - 1].date() if index else None
    slot_at = series.slots[index]
    panel.append(slot_at, series.row(index), slot_at.date() != before)


def copied(bars: Bars) -> Bars:
    """Return bars in memory of their own: nothing lies behind them."""
    return Bars(
        open=_own(bars.open),
        high=_own(bars.high),
        low=_own(bars.low),
        close=_own(bars.close),
        volume=_own(bars.volume),
        traded=np.array(bars.traded),
    )


def _own(values: Floats) -> Floats:
    own: Floats = np.array(values, order="C")
    own.flags.writeable = False
    return own

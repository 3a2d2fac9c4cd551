"""The bars and the rule that backtesting libraries are compared on, and what trades follow from it:
SMA 10/30, long or flat, filled at the next open without cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from daemon.engine import EngineParts
from domain.calendar import Calendar, Session, Timeframe
from domain.market import Floats
from exchange.sessions import xnys_calendar
from research.backtest.history import History, daily_history, minute_history
from research.backtest.record import BacktestResult
from risk.breakers import BreakerLimits
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import CAPITAL_USD, OPEN_LIMITS, parts_of

FIELDS = ("open", "high", "low", "close", "volume")
FAST, SLOW = 10, 30
TARGET_POSITION = 0.002
MINUTES_A_DAY = 1_439
"""Sessions must not touch: a minute of every day is left out."""
CALENDAR = xnys_calendar(date(2010, 1, 4), date(2030, 12, 31))
FIRST_MINUTE = datetime(2020, 1, 1, tzinfo=UTC)
WIDE_BREAKERS = BreakerLimits(
    orders_sent_per_minute_max=10**6,
    rejects_per_hour_max=10**6,
    stale_data_seconds_max=1e9,
    repeated_executions_per_hour_max=10**6,
)


def daily_of(bars: Mapping[str, Floats], symbols: Sequence[str]) -> History:
    """Return daily bars as a history of New York's sessions."""
    count = bars["close"].shape[0]
    return daily_history(
        bars, symbols, CALENDAR.sessions[:count], calendar=CALENDAR, source="bench"
    )


def minutes_of(bars: Mapping[str, Floats], symbols: Sequence[str]) -> History:
    """Return minute bars as a history of round-the-clock sessions, the first of which is a mirror
    image of the second: it is not played, and gives volumes and volatility to begin with."""
    day = min(MINUTES_A_DAY, bars["close"].shape[0])
    mirror = {name: bars[name][:day][::-1] for name in FIELDS}
    mirror["open"], mirror["close"] = mirror["close"], mirror["open"]
    whole = {name: np.vstack([mirror[name], bars[name]]) for name in FIELDS}
    sessions = _round_the_clock(day, whole["close"].shape[0])
    after = sessions[-1].opens_at
    ahead = tuple(_session(after + timedelta(days=k), MINUTES_A_DAY) for k in range(1, 31))
    calendar = Calendar((*sessions, *ahead))
    return minute_history(whole, symbols, sessions, calendar=calendar, source="bench")


def first_session(history: History) -> int:
    """Return the first session to play."""
    return 0 if history.base is Timeframe.DAY else 1


def open_parts(history: History) -> EngineParts:
    """Return an engine's parts that trade each crossing once, under limits that nothing reaches."""
    strategy = SmaCrossover(fast_bars=FAST, slow_bars=SLOW, timeframe=history.base)
    size = TARGET_POSITION if history.base is Timeframe.DAY else 5 * TARGET_POSITION
    limits = replace(OPEN_LIMITS, no_entry_first_minutes=0, no_entry_last_minutes=0)
    parts = parts_of(history, {"sma": strategy}, limits=limits, target_position=size)
    return replace(parts, rules=replace(parts.rules, breakers=WIDE_BREAKERS, open_delay_s=60.0))


def agreement(
    history: History, result: BacktestResult, bars: Mapping[str, Floats]
) -> dict[str, int | str]:
    """Return how our trades compare with the vectorised reference's, trade by trade.

    On minutes, a wish of a session's last bar waits for the next session, and is judged a bar later
    than the peers fill it; and the first averages reach back into the mirror image. Both are left
    out on both sides and counted.
    """
    row_of = _rows(history, bars)
    wanted = reference(history.symbols, bars)
    ours = {
        (f.symbol, row_of(f.filled_at), f.side.value): float(f.price_usd)
        for f in result.recording.fills
    }
    apart = _apart(history, bars["close"].shape[0])
    left_out = [key for key in {*wanted, *ours} if key[1] in apart]
    wanted -= set(left_out)
    for key in left_out:
        ours.pop(key, None)
    column_of = {symbol: column for column, symbol in enumerate(history.symbols)}
    off_open = [
        symbol
        for (symbol, row, _), price in ours.items()
        if price != bars["open"][row, column_of[symbol]]
    ]
    return {
        "reference": len(wanted),
        "missing_here": len(wanted - ours.keys()),
        "only_here": len(ours.keys() - wanted),
        "not_at_the_open": len(off_open),
        "left_out_at_session_ends": len(left_out),
        "capital_usd": str(CAPITAL_USD),
    }


def reference(symbols: Sequence[str], bars: Mapping[str, Floats]) -> set[tuple[str, int, str]]:
    """Return the trades (symbol, row, side) of the rule, by whole-array arithmetic."""
    close = bars["close"]
    with np.errstate(invalid="ignore"):
        above = _average(close, FAST) > _average(close, SLOW)
    before = np.vstack([np.zeros((1, above.shape[1]), dtype=bool), above[:-1]])
    return {
        (symbols[column], int(row) + 1, "buy" if above[row, column] else "sell")
        for row, column in np.argwhere((above != before)[:-1])
    }


def _rows(history: History, bars: Mapping[str, Floats]) -> Any:
    frame = history.frames[history.base]
    if history.base is Timeframe.DAY:
        by_day = {session.day: row for row, session in enumerate(history.sessions)}
        return lambda at: by_day[at.date()]
    # An order meets its bar just after the slot before it.
    extra = len(frame.slots) - bars["close"].shape[0]
    by_start = {slot: row + 1 - extra for row, slot in enumerate(frame.slots)}
    return lambda at: by_start.get(at.replace(second=0, microsecond=0), -1)


def _apart(history: History, count: int) -> frozenset[int]:
    """Return the rows at which sessions or the beginning make a difference that is none of ours."""
    if history.base is Timeframe.DAY:
        return frozenset()
    first = np.array(history.frames[history.base].first)
    extra = int(first[-1]) - count
    starts = {int(row) - extra + k for row in first[1:] for k in range(4)}
    return frozenset({*range(-10_000, SLOW + 1), *starts})


def _average(close: Floats, period: int) -> Floats:
    found = np.full(close.shape, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(close, period, axis=0)
    found[period - 1 :] = windows.mean(axis=2)
    return found


def _round_the_clock(first: int, count: int) -> tuple[Session, ...]:
    sizes = [first]
    while sum(sizes) < count:
        sizes.append(min(MINUTES_A_DAY, count - sum(sizes)))
    return tuple(_session(FIRST_MINUTE + timedelta(days=k), n) for k, n in enumerate(sizes))


def _session(opens_at: datetime, minutes: int) -> Session:
    closes_at = opens_at + timedelta(minutes=minutes)
    return Session(day=opens_at.date(), opens_at=opens_at, closes_at=closes_at)

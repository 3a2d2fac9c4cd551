"""Playing bars of files as sessions: ticks inside minutes, minutes inside days."""

import numpy as np

from domain.calendar import Session
from domain.market import Floats
from exchange.markets import intraday
from exchange.markets.bar_table import BarTable
from exchange.markets.base import TICKS_PER_MINUTE, SessionTape
from exchange.markets.paths import (
    minute_starts,
    pinned,
    split_shares,
    ticks_between,
    ticks_of_bars,
)
from exchange.markets.shapes import half_spread_usd, variance_shares, volume_shares
from exchange.markets.streams import stream
from exchange.markets.tapes import (
    SHARES_PER_TRADE,
    carried,
    frozen_tape,
    shares_of_session,
    whole_tape,
)

COMMON_SHARE = 0.4
"""Share of a daily bar's path that all symbols of the day have in common."""

Closes = tuple[Floats, Floats]


def minute_tape(
    table: BarTable, row: int, seed: int, *, closes_usd: Closes, dollar_volume_usd: Floats
) -> SessionTape:
    """Return session `row` of minute bars, each bar's ticks drawn inside it.

    The row labelled with the closing instant (16:00) holds the closing auction. It becomes the
    end of the last minute: its close is that minute's and the session's official close, and its
    shares trade at the last tick.
    """
    session = table.calendar.sessions[row]
    opened_at_s = minute_starts(session)
    shape = (len(table.symbols), len(opened_at_s))
    bars, shares, auction = _minute_grid(table, row, shape)
    ticks, tick_shares = _drawn_inside(table, session, seed, bars, shares)
    tick_shares[:, -1, -1] += auction
    volume = shares.copy()
    volume[:, -1] += auction
    worth = (np.where(tick_shares > 0, ticks, 0.0) * tick_shares).sum(axis=2)
    tick_usd = carried(ticks.reshape(shape[0], -1), closes_usd[0])
    vwap = np.divide(worth, volume, out=np.full(shape, np.nan), where=volume > 0)
    return frozen_tape(
        SessionTape(
            session=session,
            symbols=table.symbols,
            opened_at_s=opened_at_s,
            open=bars[0],
            high=bars[1],
            low=bars[2],
            close=bars[3],
            volume=volume,
            trade_count=np.ceil(volume / SHARES_PER_TRADE),
            vwap=vwap,
            ticks_per_minute=TICKS_PER_MINUTE,
            tick_usd=tick_usd,
            tick_shares=tick_shares.reshape(shape[0], -1),
            half_spread_usd=half_spread_usd(
                tick_usd[:, TICKS_PER_MINUTE - 1 :: TICKS_PER_MINUTE], dollar_volume_usd
            ),
            previous_close_usd=closes_usd[0].copy(),
            official_close_usd=closes_usd[1].copy(),
        )
    )


def _minute_grid(
    table: BarTable, row: int, shape: tuple[int, int]
) -> tuple[Floats, Floats, Floats]:
    """Return bars `[4, n, m]`, their shares `[n, m]` and the closing auction's `[n]`."""
    part = slice(int(table.start[row]), int(table.start[row + 1]))
    symbol, minute = table.symbol_row[part], table.minute[part]
    prices, volume = table.price_usd[:, part], table.volume_shares[part]
    last = shape[1] - 1
    bars = np.full((4, *shape), np.nan)
    shares = np.zeros(shape)
    auction = np.zeros(shape[0])
    trading = minute <= last
    bars[:, symbol[trading], minute[trading]] = prices[:, trading]
    shares[symbol[trading], minute[trading]] = volume[trading]
    closing = symbol[~trading]
    opened, high, low, close = prices[:, ~trading]
    before = bars[:, closing, last]
    bars[0, closing, last] = np.where(np.isnan(before[0]), opened, before[0])
    bars[1, closing, last] = np.fmax(before[1], high)
    bars[2, closing, last] = np.fmin(before[2], low)
    bars[3, closing, last] = close
    auction[closing] = volume[~trading]
    return bars, shares, auction


def _drawn_inside(
    table: BarTable, session: Session, seed: int, bars: Floats, shares: Floats
) -> tuple[Floats, Floats]:
    """Return ticks `[n, m, K]`, NaN where there is no bar, and their shares."""
    count, minutes = shares.shape
    uniform = np.empty((3, count, minutes))
    weights = np.empty((count, minutes, TICKS_PER_MINUTE))
    for row, symbol in enumerate(table.symbols):
        drawn = stream(seed, f"symbol/{symbol}/replay", session.day.toordinal())
        uniform[:, row] = drawn.random((3, minutes))
        weights[row] = drawn.standard_exponential((minutes, TICKS_PER_MINUTE))
    weights += 0.1
    ticks = np.full((count, minutes, TICKS_PER_MINUTE), np.nan)
    traded = ~np.isnan(bars[3])
    ticks[traded] = ticks_of_bars(bars[:, traded], uniform[:, traded])
    return ticks, split_shares(shares, weights)


def daily_tape(
    table: BarTable, row: int, seed: int, *, closes_usd: Closes, dollar_volume_usd: Floats
) -> SessionTape:
    """Return session `row` of daily bars, each played as a drawn path that opens, peaks, bottoms
    and closes where its bar says; its minutes are invented, its day is not.

    The path's variance is taken from the bar's range: ln(high / low)² / (4 ln 2), Parkinson (1980),
    The Extreme Value Method for Estimating the Variance of the Rate of Return.
    """
    session = table.calendar.sessions[row]
    minutes = len(minute_starts(session))
    ordinal = session.day.toordinal()
    part = slice(int(table.start[row]), int(table.start[row + 1]))
    traded, bar_usd = table.symbol_row[part], table.price_usd[:, part]
    names = [f"symbol/{table.symbols[k]}" for k in traded]
    ticks = minutes * TICKS_PER_MINUTE
    tick_usd = np.full((len(table.symbols), ticks), np.nan)
    tick_shares = np.zeros((len(table.symbols), ticks))
    if names:
        shares = variance_shares(minutes)
        bar_log = np.log(bar_usd)
        variance = (bar_log[1] - bar_log[2]) ** 2 / (4.0 * np.log(2.0))
        common = intraday.wandering(seed, ["market"], ordinal, shares)
        own = intraday.wandering(seed, names, ordinal, shares)
        free = np.sqrt(COMMON_SHARE) * common + np.sqrt(1.0 - COMMON_SHARE) * own
        free *= np.sqrt(variance)[:, None]
        minute_log = intraday.bridged(bar_log[0][:, None] + free, bar_log[3], shares)
        minute_variance = variance[:, None] * shares
        tick_log = ticks_between(
            minute_log,
            minute_variance * intraday.TICK_ROUGHNESS,
            intraday.tick_noise(seed, names, ordinal, minutes),
            open_log=bar_log[0],
        )
        passed = np.cumsum(np.repeat(shares, TICKS_PER_MINUTE)) / TICKS_PER_MINUTE
        tick_usd[traded] = pinned(tick_log, bar_usd, passed)
        moves = np.diff(minute_log, axis=1, prepend=bar_log[0][:, None])
        sizes = moves / np.sqrt(np.maximum(minute_variance, 1e-12))
        by_minute, by_tick = intraday.trading_weights(seed, names, ordinal, sizes)
        tick_shares[traded] = shares_of_session(
            table.volume_shares[part],
            by_minute * volume_shares(minutes),
            by_tick,
            extremes_of=tick_usd[traded],
        )
    return whole_tape(
        session,
        table.symbols,
        tick_usd,
        tick_shares,
        closes_usd=closes_usd,
        dollar_volume_usd=dollar_volume_usd,
    )

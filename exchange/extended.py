"""Trading before the open and after the close: thin tapes drawn beside the regular one.

Markets know regular sessions only. Before the open prices go from the last close to the opening
trade, after the close they wander and come back to it; both trade about a hundredth of the day's
volume, in few minutes, with a spread several times that of midday. A model, not a measurement.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import IntEnum

import numpy as np

from domain.calendar import Session
from domain.market import Floats
from exchange.instants import NEW_YORK, from_ns, to_ns, wall_ns
from exchange.markets.base import SECONDS_PER_MINUTE, SessionTape
from exchange.markets.paths import minute_starts, on_grid
from exchange.markets.streams import stream
from exchange.markets.tapes import SHARES_PER_TRADE, carried, frozen_tape
from exchange.tape_view import TapeView, view_of
from exchange.windows import EARLY_HOUR, LATE_HOUR

TICKS_PER_MINUTE = 4
DEVIATION = 0.003
"""Standard deviation of the log price in the middle of such a session."""
VOLUME_SHARE = 0.01
TRADED_SHARE = 0.15
"""Share of the ticks at which a symbol trades."""
SPREAD_MULTIPLE = 4.0


class Part(IntEnum):
    """Which side of the regular session."""

    BEFORE = 0
    AFTER = 1


def part_of(session: Session, at_ns: int) -> Part | None:
    """Return the part of a session's day an instant lies in, None for the regular one and the
    night."""
    if wall_ns(session.day, EARLY_HOUR) <= at_ns < to_ns(session.opens_at):
        return Part.BEFORE
    if to_ns(session.closes_at) <= at_ns < wall_ns(session.day, LATE_HOUR):
        return Part.AFTER
    return None


def extended_view(tape: SessionTape, part: Part, seed: int) -> TapeView:
    """Return the ticks before or after a regular session. A pure function of its arguments."""
    session = _span(tape.session, part)
    opened_at_s = minute_starts(session)
    count, ticks = len(tape.symbols), len(opened_at_s) * TICKS_PER_MINUTE
    first = tape.previous_close_usd if part is Part.BEFORE else tape.official_close_usd
    last = tape.tick_usd[:, 0] if part is Part.BEFORE else tape.official_close_usd
    noise, chance, sizes = _drawn(seed, tape.symbols, (session, part), ticks)
    known = np.isfinite(first) & np.isfinite(last)
    start, end = np.where(known, first, 1.0), np.where(known, last, 1.0)
    passed = np.arange(1, ticks + 1) / ticks
    bridge = np.cumsum(noise, axis=1) / np.sqrt(ticks)
    bridge -= passed * bridge[:, -1:]
    log = np.log(start)[:, None] + passed * np.log(end / start)[:, None]
    usd = np.maximum(on_grid(np.exp(log + DEVIATION * 2.0 * bridge)), 0.0001)
    day_shares = np.nansum(tape.volume, axis=1)
    mean_shares = day_shares * VOLUME_SHARE / (ticks * TRADED_SHARE)
    shares = np.where(chance < TRADED_SHARE, np.ceil(sizes * mean_shares[:, None]), 0.0)
    shares[~known] = 0.0
    usd = carried(np.where(shares > 0, usd, np.nan), first)
    middle = tape.half_spread_usd[:, tape.half_spread_usd.shape[1] // 2]
    spread = np.repeat((middle * SPREAD_MULTIPLE)[:, None], len(opened_at_s), axis=1)
    view = view_of(_tape(session, tape, (opened_at_s, usd, shares, spread), count))
    return replace(view, is_extended=True)


def _span(session: Session, part: Part) -> Session:
    if part is Part.BEFORE:
        opens_at = from_ns(wall_ns(session.day, EARLY_HOUR))
        return Session(day=session.day, opens_at=opens_at, closes_at=session.opens_at)
    late = session.closes_at.astimezone(NEW_YORK).replace(hour=0, minute=0)
    closes_at = (late + timedelta(hours=LATE_HOUR)).astimezone(session.closes_at.tzinfo)
    return Session(day=session.day, opens_at=session.closes_at, closes_at=closes_at)


def _drawn(
    seed: int, symbols: Sequence[str], when: tuple[Session, Part], ticks: int
) -> tuple[Floats, Floats, Floats]:
    session, part = when
    drawn = []
    for symbol in symbols:
        dice = stream(seed, f"symbol/{symbol}/extended/{part.name}", session.day.toordinal())
        drawn.append(
            (dice.standard_normal(ticks), dice.random(ticks), dice.standard_exponential(ticks))
        )
    noise, chance, sizes = (np.stack(part) for part in zip(*drawn, strict=True))
    return noise, chance, sizes


def _tape(
    session: Session,
    tape: SessionTape,
    played: tuple[np.ndarray, Floats, Floats, Floats],
    count: int,
) -> SessionTape:
    opened_at_s, usd, shares, spread = played
    ticks = usd.reshape(count, -1, TICKS_PER_MINUTE)
    by_tick = shares.reshape(ticks.shape)
    volume = by_tick.sum(axis=2)
    traded = np.where(by_tick > 0, ticks, np.nan)
    first = np.argmax(by_tick > 0, axis=2)[:, :, None]
    value = np.where(by_tick > 0, ticks * by_tick, 0.0).sum(axis=2)
    assert SECONDS_PER_MINUTE % TICKS_PER_MINUTE == 0
    return frozen_tape(
        SessionTape(
            session=session,
            symbols=tape.symbols,
            opened_at_s=opened_at_s,
            open=np.take_along_axis(traded, first, axis=2)[:, :, 0],
            high=np.fmax.reduce(traded, axis=2),
            low=np.fmin.reduce(traded, axis=2),
            close=np.where(volume > 0, ticks[:, :, -1], np.nan),
            volume=volume,
            trade_count=np.ceil(volume / SHARES_PER_TRADE),
            vwap=np.divide(value, volume, out=np.full(volume.shape, np.nan), where=volume > 0),
            ticks_per_minute=TICKS_PER_MINUTE,
            tick_usd=usd,
            tick_shares=shares,
            half_spread_usd=spread,
            previous_close_usd=tape.previous_close_usd.copy(),
            official_close_usd=usd[:, -1].copy(),
        )
    )

"""Trading before the open and after the close: thin tapes drawn beside the regular one.

Markets know regular sessions only. Before the open prices go from the last close to the opening
trade, after the close they wander and come back to it; both trade about a hundredth of the day's
volume, in few minutes, with a spread several times that of midday. A model, not a measurement.
The first trade after the close is told in its first minute, at the official price.

Only trades are drawn, and bars are made of them; ticks are laid out when somebody looks at one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntEnum

import numpy as np

from domain.calendar import Session
from domain.market import Floats
from exchange.instants import NEW_YORK, from_ns, to_ns, wall_ns
from exchange.markets.base import Instants, MinuteBars, SessionTape
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
SPARE_DEVIATIONS = 6.0
"""How many more trades are drawn than are expected, so that they last until the end."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExtendedTrades:
    """What `n` symbols trade before or after one regular session, by symbol and time.

    `row`, `tick`, `usd`, `shares` `[k]` are the trades: whose, at which tick, at what price in
    dollars, how many. `opened_at_s` int64 `[m]` are the minutes' starts, of which each has
    `TICKS_PER_MINUTE` ticks; `tape` is the regular session they lie beside.
    """

    session: Session
    tape: SessionTape
    part: Part
    opened_at_s: Instants
    row: Instants
    tick: Instants
    usd: Floats
    shares: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Symbols and ticks."""
        return len(self.tape.symbols), len(self.opened_at_s) * TICKS_PER_MINUTE

    def minutes(self) -> MinuteBars:
        """Return their minute bars."""
        count, minutes = len(self.tape.symbols), len(self.opened_at_s)
        cell = self.row * minutes + self.tick // TICKS_PER_MINUTE
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        last = np.append(first[1:], len(cell)) - 1
        where = np.divmod(cell[first], minutes)
        prices = np.full((5, count, minutes), np.nan)
        volume = np.zeros((count, minutes))
        if len(cell):
            prices[0][where], prices[3][where] = self.usd[first], self.usd[last]
            prices[1][where] = np.maximum.reduceat(self.usd, first)
            prices[2][where] = np.minimum.reduceat(self.usd, first)
            volume[where] = np.add.reduceat(self.shares, first)
            worth = np.add.reduceat(self.usd * self.shares, first)
            prices[4][where] = worth / volume[where]
        return MinuteBars(
            session=self.session,
            opened_at_s=self.opened_at_s,
            open=prices[0],
            high=prices[1],
            low=prices[2],
            close=prices[3],
            volume=volume,
            trade_count=np.ceil(volume / SHARES_PER_TRADE),
            vwap=prices[4],
        )

    def view(self) -> TapeView:
        """Return them laid out as ticks, with bids and asks."""
        usd, shares = np.full(self.shape, np.nan), np.zeros(self.shape)
        usd[self.row, self.tick], shares[self.row, self.tick] = self.usd, self.shares
        return replace(view_of(self._tape(usd, shares)), is_extended=True)

    def _tape(self, usd: Floats, shares: Floats) -> SessionTape:
        beside, bars = self.tape, self.minutes()
        is_early = self.part is Part.BEFORE
        before = beside.previous_close_usd if is_early else beside.official_close_usd
        last_usd = carried(usd, before)
        middle = beside.half_spread_usd[:, beside.half_spread_usd.shape[1] // 2]
        spread = np.repeat((middle * SPREAD_MULTIPLE)[:, None], len(self.opened_at_s), axis=1)
        return frozen_tape(
            SessionTape(
                session=self.session,
                symbols=beside.symbols,
                opened_at_s=self.opened_at_s,
                open=bars.open,
                high=bars.high,
                low=bars.low,
                close=bars.close,
                volume=bars.volume,
                trade_count=bars.trade_count,
                vwap=bars.vwap,
                ticks_per_minute=TICKS_PER_MINUTE,
                tick_usd=last_usd,
                tick_shares=shares,
                half_spread_usd=spread,
                previous_close_usd=beside.previous_close_usd.copy(),
                official_close_usd=last_usd[:, -1].copy(),
            )
        )


def extended_trades(tape: SessionTape, part: Part, seed: int) -> ExtendedTrades:
    """Return what is traded before or after a regular session. A pure function of its arguments."""
    session = _span(tape.session, part)
    opened_at_s = minute_starts(session)
    ticks = len(opened_at_s) * TICKS_PER_MINUTE
    noise, gaps, sizes = _drawn(seed, tape.symbols, (session.day, part), ticks)
    if part is Part.AFTER:
        gaps[:, 0] = 1
    # The last column stands for the end, where every path is at `last`.
    tick = np.minimum(np.cumsum(gaps, axis=1), ticks + 1)
    tick[:, -1] = ticks + 1
    passed = tick / (ticks + 1)
    walk = np.cumsum(noise * np.sqrt(np.diff(passed, axis=1, prepend=0.0)), axis=1)
    walk -= passed * walk[:, -1:]
    first = tape.previous_close_usd if part is Part.BEFORE else tape.official_close_usd
    last = tape.tick_usd[:, 0] if part is Part.BEFORE else tape.official_close_usd
    known = np.isfinite(first) & np.isfinite(last)
    start, end = np.where(known, first, 1.0), np.where(known, last, 1.0)
    log = np.log(start)[:, None] + passed * np.log(end / start)[:, None]
    usd = np.maximum(on_grid(np.exp(log + DEVIATION * 2.0 * walk)), 0.0001)
    if part is Part.AFTER:
        usd[:, 0] = np.where(known, first, usd[:, 0])
    mean_shares = np.nansum(tape.volume, axis=1) * VOLUME_SHARE / (ticks * TRADED_SHARE)
    shares = np.ceil(sizes * mean_shares[:, None])
    row, column = np.nonzero((tick <= ticks) & known[:, None] & (shares > 0))
    return ExtendedTrades(
        session=session,
        tape=tape,
        part=part,
        opened_at_s=opened_at_s,
        row=row,
        tick=tick[row, column] - 1,
        usd=usd[row, column],
        shares=shares[row, column],
    )


def extended_view(tape: SessionTape, part: Part, seed: int) -> TapeView:
    """Return the ticks before or after a regular session. A pure function of its arguments."""
    return extended_trades(tape, part, seed).view()


def _span(session: Session, part: Part) -> Session:
    if part is Part.BEFORE:
        opens_at = from_ns(wall_ns(session.day, EARLY_HOUR))
        return Session(day=session.day, opens_at=opens_at, closes_at=session.opens_at)
    late = session.closes_at.astimezone(NEW_YORK).replace(hour=0, minute=0)
    closes_at = (late + timedelta(hours=LATE_HOUR)).astimezone(session.closes_at.tzinfo)
    return Session(day=session.day, opens_at=session.closes_at, closes_at=closes_at)


def _drawn(
    seed: int, symbols: Sequence[str], when: tuple[date, Part], ticks: int
) -> tuple[Floats, Instants, Floats]:
    """Return the noise, the ticks from trade to trade and the sizes of more trades than there
    will be `[n, k]`."""
    day, part = when
    mean = ticks * TRADED_SHARE
    count = int(mean + SPARE_DEVIATIONS * np.sqrt(mean))
    noise, sizes = np.empty((len(symbols), count)), np.empty((len(symbols), count))
    gaps = np.empty((len(symbols), count), dtype=np.int64)
    for row, symbol in enumerate(symbols):
        dice = stream(seed, f"symbol/{symbol}/extended/{part.name}", day.toordinal())
        gaps[row] = dice.geometric(TRADED_SHARE, count)
        noise[row] = dice.standard_normal(count)
        sizes[row] = dice.standard_exponential(count)
    return noise, gaps, sizes

"""What the exchange asks of a market: one regular session at a time, and daily history.

A market is a pure function of its seed or file: the same question always gets the same answer, in
any order of asking. Everything random about it was decided by that seed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from domain.calendar import Calendar, Session
from domain.market import Floats
from exchange.corporate_actions import ActionTable

Instants = NDArray[np.int64]

TICKS_PER_MINUTE = 12
"""How many last-trade prices a minute's path is drawn with: one every five seconds."""
TICK_LEAD_S = 0.001
"""A tick lies this long before its instant, so that a minute's last tick is inside the minute."""
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionTape:
    """One regular session of all symbols: `n` symbols, `m` minutes, `K` ticks a minute.

    `opened_at_s` int64 `[m]`: epoch seconds of the minutes' starts. `open, high, low, close,
    volume, trade_count, vwap` float64 `[n, m]`: minute bars in dollars and shares; NaN prices and
    zero volume where a symbol had no bar. `tick_usd` `[n, m*K]`: the last trade price at each tick
    (carried where a minute has no trade, from `previous_close_usd` before the first; NaN while
    nothing is known of the symbol); `tick_shares` `[n, m*K]` sums to the minute's volume.
    A minute's first tick is its open, its last tick its close, its extreme ticks its high and low.
    `half_spread_usd` `[n, m]`: half the quoted spread. `previous_close_usd` `[n]` is the official
    close of the session before (NaN before a symbol's first), on the footing of this session's
    shares where it has a split, `official_close_usd` `[n]` this
    one's: the last tick of a symbol that traded, which carries the closing auction's shares.
    Prices lie on the grid of Reg NMS Rule 612 (cents from $1 up, hundredths of a cent below);
    arrays are read-only.
    """

    session: Session
    symbols: tuple[str, ...]
    opened_at_s: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trade_count: Floats
    vwap: Floats
    ticks_per_minute: int
    tick_usd: Floats
    tick_shares: Floats
    half_spread_usd: Floats
    previous_close_usd: Floats
    official_close_usd: Floats

    @property
    def tick_at_s(self) -> Floats:
        """Return the epoch seconds of every tick `[m*K]`: tick j (from 0) of a minute happens at
        (j + 1) · 60 / K seconds after the minute's start, less `TICK_LEAD_S`."""
        step_s = SECONDS_PER_MINUTE / self.ticks_per_minute
        offsets = np.arange(1, self.ticks_per_minute + 1) * step_s - TICK_LEAD_S
        at_s: Floats = (self.opened_at_s[:, None] + offsets).ravel()
        return at_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MinuteBars:
    """The minute bars of one stretch of a day, as a `SessionTape` has them: `opened_at_s` `[m]`,
    the rest `[n, m]`."""

    session: Session
    opened_at_s: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trade_count: Floats
    vwap: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DailyBars:
    """Regular-session bars `[n, d]` of the market's symbols on `days`, oldest first; NaN prices
    and zero volume where a symbol did not trade."""

    days: tuple[date, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


class Market(Protocol):
    """Prices the exchange plays: deterministic, whatever the order of the questions."""

    @property
    def name(self) -> str:
        """What it is, as the operator would write it: `synthetic:7` or a path."""
        ...

    @property
    def calendar(self) -> Calendar:
        """Every session it can play, and those after its end that orders may refer to."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The rows of every array."""
        ...

    @property
    def first_day(self) -> date:
        """The first session it knows."""
        ...

    @property
    def last_day(self) -> date | None:
        """The last session it knows; None when there is no last but the calendar's."""
        ...

    @property
    def actions(self) -> ActionTable:
        """Splits and dividends; raw prices show them from their ex-dates on."""
        ...

    def default_start_day(self, warmup_sessions: int | None = None) -> date:
        """Return the session trading begins with when the operator names none.

        Leaves at least `warmup_sessions` (the market's own default when None) as history.
        Raises ConfigurationFault when the market has no session after them.
        """
        ...

    def tape(self, day: date) -> SessionTape:
        """Return a session's tape, from a bounded cache. Raises LookupError for a day without."""
        ...

    def daily(self, first: date, last: date) -> DailyBars:
        """Return daily bars of the sessions in [first, last] that the market knows."""
        ...

"""A session's tape with what matching and market data need: instants, touch, last trade."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from domain.calendar import Session
from domain.market import Floats
from exchange.instants import SECOND_NS, to_ns
from exchange.markets.base import Market, SessionTape

TAPE_VIEWS_MAX = 8
"""Sessions kept at hand."""
_HALF = 1e-6
Span = tuple[int, int]
"""Two instants, both included."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TapeView:
    """One session's ticks. `at_ns` `[t]`; `last`, `bid`, `ask`, `shares` `[n, t]` in dollars and
    shares; `last` is NaN while nothing is known of a symbol. Bids are rounded down and asks up to
    the tick grid. `traded` `[n, t]` is the index of the last tick with shares, −1 before any.
    """

    tape: SessionTape
    at_ns: NDArray[np.int64]
    last: Floats
    bid: Floats
    ask: Floats
    shares: Floats
    traded: NDArray[np.int64]

    @property
    def session(self) -> Session:
        """The session played."""
        return self.tape.session

    def tick_at(self, at_ns: int) -> int:
        """Return the index of the last tick at or before an instant, −1 before the first."""
        return int(np.searchsorted(self.at_ns, at_ns, side="right")) - 1

    def ticks_in(self, span: Span) -> range:
        """Return the indices of the ticks in a span."""
        first_ns, last_ns = span
        return range(int(np.searchsorted(self.at_ns, first_ns)), self.tick_at(last_ns) + 1)


def view_of(tape: SessionTape) -> TapeView:
    """Return a tape prepared for matching."""
    last = tape.tick_usd
    half = np.repeat(tape.half_spread_usd, tape.ticks_per_minute, axis=1)
    scale = np.where(last >= 1.0, 100.0, 10_000.0)
    with np.errstate(invalid="ignore"):
        half = np.where(np.isfinite(half) & (half > 0), half, 0.5 / scale)
        bid = np.maximum(np.floor((last - half) * scale + _HALF), 1.0) / scale
        ask = np.ceil((last + half) * scale - _HALF) / scale
    columns = np.arange(last.shape[1])
    traded = np.maximum.accumulate(np.where(tape.tick_shares > 0, columns, -1), axis=1)
    return TapeView(
        tape=tape,
        at_ns=np.rint(tape.tick_at_s * 1_000).astype(np.int64) * (SECOND_NS // 1_000),
        last=last,
        bid=bid,
        ask=ask,
        shares=tape.tick_shares,
        traded=traded,
    )


class TapeViews:
    """The sessions of a market as views, the last few kept."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.column_of = {symbol: row for row, symbol in enumerate(market.symbols)}
        self._views: dict[date, TapeView] = {}
        self.views_made = 0
        """How often a session had to be prepared: work that takes a while."""
        self._current: tuple[int, int, TapeView] | None = None

    def of_day(self, day: date) -> TapeView:
        """Return a session's view. Raises LookupError when the market has none that day."""
        found = self._views.pop(day, None)
        if found is None:
            found = view_of(self.market.tape(day))
            self.views_made += 1
        self._views[day] = found
        while len(self._views) > TAPE_VIEWS_MAX:
            self._views.pop(next(iter(self._views)))
        return found

    def tape(self, day: date) -> SessionTape:
        """Return a session's tape, the view's own if there is one: reading history must not push
        the session being played out of the market's cache. Raises LookupError as `of_day` does."""
        known = self._views.get(day)
        return known.tape if known else self.market.tape(day)

    def latest(self, at_ns: int) -> TapeView | None:
        """Return the view of the last session that had opened by an instant, None before any.

        After the market's last day it stays that day's.
        """
        if self._current and self._current[0] <= at_ns < self._current[1]:
            return self._current[2]
        session, until_ns = self._opened(at_ns)
        if session is None:
            return None
        view = self.of_day(session.day)
        self._current = (to_ns(session.opens_at), until_ns, view)
        return view

    def _opened(self, at_ns: int) -> tuple[Session | None, int]:
        """Return the last playable session opened by an instant, and when the next one opens."""
        last_day = self.market.last_day
        found: Session | None = None
        for session in self._around(at_ns):
            if to_ns(session.opens_at) > at_ns:
                return found, to_ns(session.opens_at)
            if session.day >= self.market.first_day and (
                last_day is None or session.day <= last_day
            ):
                found = session
        return found, 1 << 62

    def _around(self, at_ns: int) -> tuple[Session, ...]:
        sessions = self.market.calendar.sessions
        low, high = 0, len(sessions)
        while low < high:
            middle = (low + high) // 2
            if to_ns(sessions[middle].opens_at) > at_ns:
                high = middle
            else:
                low = middle + 1
        last_day = self.market.last_day
        start = low - 1
        if last_day is not None:
            while start > 0 and sessions[start].day > last_day:
                start -= 1
        return sessions[max(0, start) : low + 1]

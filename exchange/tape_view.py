"""A session's tape with what matching and market data need: instants, touch, last trade."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.calendar import Session
from domain.market import Flags, Floats
from exchange.instants import SECOND_NS
from exchange.markets.base import SessionTape

_HALF = 1e-6
Span = tuple[int, int]
"""Two instants, both included."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TapeView:
    """One session's ticks. `at_ns` `[t]`; `last`, `bid`, `ask`, `shares` `[n, t]` in dollars and
    shares; `last` is NaN while nothing is known of a symbol. Bids are rounded down and asks up to
    the tick grid. `traded` `[n, t]` is the index of the last tick with shares, −1 before any.
    `halted` `[n, t]`: where a symbol is halted, None when none is all day.
    """

    tape: SessionTape
    at_ns: NDArray[np.int64]
    last: Floats
    bid: Floats
    ask: Floats
    shares: Floats
    traded: NDArray[np.int64]
    halted: Flags | None = None
    is_extended: bool = False
    """Whether it is of the hours beside the regular session."""

    @property
    def session(self) -> Session:
        """The session played."""
        return self.tape.session

    def tick_at(self, at_ns: int) -> int:
        """Return the index of the last tick at or before an instant, −1 before the first."""
        return int(np.searchsorted(self.at_ns, at_ns, side="right")) - 1

    def is_halted(self, row: int, tick: int) -> bool:
        """Whether a symbol is halted at a tick."""
        return self.halted is not None and tick >= 0 and bool(self.halted[row, tick])

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

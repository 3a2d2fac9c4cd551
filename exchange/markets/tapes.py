"""Putting a session's tape together from ticks and shares."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from functools import reduce

import numpy as np

from domain.calendar import Session
from domain.market import Floats
from exchange.markets.base import TICKS_PER_MINUTE, SessionTape
from exchange.markets.paths import minute_starts, split_shares
from exchange.markets.shapes import CLOSING_AUCTION_SHARE, half_spread_usd

SHARES_PER_TRADE = 120.0
"""How many shares a trade is taken to have; trade counts are made from it, not observed."""
SHARES_A_DAY_MIN = 4.0
"""The fewest shares a drawn day is played with: its open, high, low and close each trade."""
TAPES_CACHED_MAX = 4
"""Sessions kept ready (6 MB each for 66 symbols): the one being played and its neighbours."""


def shares_of_session(
    day_shares: Floats, minute_weights: Floats, tick_weights: Floats, *, extremes_of: Floats
) -> Floats:
    """Return whole shares of ticks `[n, m*K]` that sum to `day_shares` `[n]` exactly (at least
    `SHARES_A_DAY_MIN`).

    `minute_weights` `[n, m]`, `tick_weights` `[n, m, K]`. The last tick carries the closing
    auction and what rounding left. One share each trades at the first, the highest, the lowest and
    the last tick of `extremes_of` `[n, m*K]`, so that the day's bar is in its trades however thin.
    """
    rows = np.arange(len(day_shares))
    spread = np.maximum(day_shares, SHARES_A_DAY_MIN) - SHARES_A_DAY_MIN
    traded = np.floor(spread * (1.0 - CLOSING_AUCTION_SHARE))
    by_tick = split_shares(split_shares(traded, minute_weights), tick_weights)
    shares: Floats = by_tick.reshape(len(day_shares), -1)
    shares[:, -1] += spread - traded + 1.0
    shares[:, 0] += 1.0
    shares[rows, extremes_of.argmax(axis=1)] += 1.0
    shares[rows, extremes_of.argmin(axis=1)] += 1.0
    return shares


def carried(values: Floats, before: Floats) -> Floats:
    """Return `values` `[n, t]` with each NaN replaced by the last value before it, those at the
    beginning by `before` `[n]`."""
    known = ~np.isnan(values)
    latest = np.maximum.accumulate(np.where(known, np.arange(values.shape[1]), -1), axis=1)
    filled: Floats = np.take_along_axis(values, np.maximum(latest, 0), axis=1)
    return np.where(latest >= 0, filled, before[:, None])


def whole_tape(
    session: Session,
    symbols: tuple[str, ...],
    tick_usd: Floats,
    tick_shares: Floats,
    *,
    closes_usd: tuple[Floats, Floats],
    dollar_volume_usd: Floats,
) -> SessionTape:
    """Return the tape of drawn ticks, its bars read off them.

    `tick_usd` is NaN in the rows of symbols that did not trade; `closes_usd` are the previous and
    this session's official closes. A minute without shares has no bar, and its ticks carry the
    price before it.
    """
    ticks = tick_usd.reshape(len(symbols), -1, TICKS_PER_MINUTE)
    shares = tick_shares.reshape(ticks.shape)
    volume = _over_ticks(np.add, shares)
    ticks = np.where((volume > 0.0)[:, :, None], ticks, np.nan)
    worth = (ticks * shares).sum(axis=2)
    previous, official = closes_usd
    last_usd = carried(ticks.reshape(tick_usd.shape), previous)
    return frozen_tape(
        SessionTape(
            session=session,
            symbols=symbols,
            opened_at_s=minute_starts(session),
            open=ticks[:, :, 0].copy(),
            high=_over_ticks(np.maximum, ticks),
            low=_over_ticks(np.minimum, ticks),
            close=ticks[:, :, -1].copy(),
            volume=volume,
            trade_count=np.ceil(volume / SHARES_PER_TRADE),
            vwap=np.divide(worth, volume, out=ticks[:, :, -1].copy(), where=volume > 0.0),
            ticks_per_minute=TICKS_PER_MINUTE,
            tick_usd=last_usd,
            tick_shares=tick_shares,
            half_spread_usd=half_spread_usd(
                last_usd[:, TICKS_PER_MINUTE - 1 :: TICKS_PER_MINUTE], dollar_volume_usd
            ),
            previous_close_usd=previous,
            official_close_usd=official,
        )
    )


def _over_ticks(combine: Callable[[Floats, Floats], Floats], values: Floats) -> Floats:
    """Return `values` `[n, m, K]` reduced over ticks `[n, m]`: numpy is slow over a short last
    axis. Sums are exact because shares are whole."""
    return reduce(combine, (values[:, :, tick] for tick in range(values.shape[2])))


def frozen_tape(tape: SessionTape) -> SessionTape:
    """Return the tape with every array made read-only."""
    for name in SessionTape.__slots__:
        value = getattr(tape, name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return tape


class TapeCache:
    """The last `TAPES_CACHED_MAX` tapes asked for; the least recently used one goes."""

    __slots__ = ("_make", "_tapes")

    def __init__(self, make: Callable[[date], SessionTape]) -> None:
        self._make = make
        self._tapes: OrderedDict[date, SessionTape] = OrderedDict()

    def tape(self, day: date) -> SessionTape:
        """Return a day's tape, made if it is not at hand."""
        found = self._tapes.get(day)
        if found is None:
            found = self._tapes[day] = self._make(day)
            if len(self._tapes) > TAPES_CACHED_MAX:
                self._tapes.popitem(last=False)
        self._tapes.move_to_end(day)
        return found

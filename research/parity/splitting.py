"""The difference between two accounts, split by what made it. Pure arithmetic; it sums exactly.

For each wish (slot, symbol, leg) let a side have asked for q shares (signed), got f of them at the
average price p, and seen the price m when it decided. All shares are valued at the last price M.
Then, with l for live and b for the backtest,

    f_l (M − p_l) − f_b (M − p_b)  =  − f_l (p_l − m_l) + f_b (p_b − m_b)      fill price
                                      − f_l (m_l − m_b)                        timing
                                      + (f_l − f_b) (M − m_b)                  shares

and the shares that differ are  f_l − f_b = (q_l − q_b) − ((q_l − f_l) − (q_b − f_b)): asked for
differently, or not filled. Of wishes that both had, what was asked for differently is explained, in
this order and never by more than there is, by what was held at the time (a part that did not fill
is asked for again: missed signal), by the size at another price (timing), and the rest by whole
shares and what caps left of them (rounding).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.instruments import Symbol
from domain.orders import Leg

Key = tuple[datetime, Symbol, Leg]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One side's order of a slot and what came of it, signed: more than 0 buys. `held` is what
    stood in the book at the decision, `sized` the unrounded shares wanted, None when unknown."""

    asked: float
    filled: float
    price_usd: float
    seen_usd: float
    fees_usd: float
    held: float
    sized: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What made the difference, in dollars, live less backtest."""

    data: float = 0.0
    timing: float = 0.0
    fill_price: float = 0.0
    rounding: float = 0.0
    missed_signal: float = 0.0

    @property
    def total(self) -> float:
        """All of them together."""
        return self.data + self.timing + self.fill_price + self.rounding + self.missed_signal

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(
            data=self.data + other.data,
            timing=self.timing + other.timing,
            fill_price=self.fill_price + other.fill_price,
            rounding=self.rounding + other.rounding,
            missed_signal=self.missed_signal + other.missed_signal,
        )


def split(
    live: Mapping[Key, Wish],
    backtest: Mapping[Key, Wish],
    last_usd: Mapping[Symbol, float],
    seen_usd: Mapping[Key, float],
) -> dict[Key, Parts]:
    """Return the parts of every wish that either side had. `seen_usd` is the price at a slot for
    wishes that the backtest did not have."""
    keys = sorted({*live, *backtest}, key=lambda key: (key[0], key[1], key[2].value))
    return {
        key: _of_wish(live.get(key), backtest.get(key), last_usd[key[1]], seen_usd[key])
        for key in keys
    }


def total(parts: Iterable[Parts]) -> Parts:
    """Return the sum."""
    found = Parts()
    for part in parts:
        found = found + part
    return found


def _of_wish(live: Wish | None, backtest: Wish | None, last: float, slot: float) -> Parts:
    seen = backtest.seen_usd if backtest is not None else slot
    gap = last - seen
    fill_price, timing = 0.0, 0.0
    if live is not None:
        fill_price -= live.filled * (live.price_usd - live.seen_usd) + live.fees_usd
        timing -= live.filled * (live.seen_usd - seen)
    if backtest is not None:
        fill_price += backtest.filled * (backtest.price_usd - seen) + backtest.fees_usd
    if live is None or backtest is None or live.asked * backtest.asked <= 0:
        shares = (live.filled if live else 0.0) - (backtest.filled if backtest else 0.0)
        return Parts(fill_price=fill_price, timing=timing, missed_signal=shares * gap)
    differently = live.asked - backtest.asked
    again = _explained(differently, backtest.held - live.held)
    sized = _explained(differently - again, _sized(live, backtest))
    rest = differently - again - sized
    unfilled = (live.asked - live.filled) - (backtest.asked - backtest.filled)
    return Parts(
        fill_price=fill_price,
        timing=timing + sized * gap,
        rounding=rest * gap,
        missed_signal=(again - unfilled) * gap,
    )


def _explained(shares: float, by: float) -> float:
    """Return as much of a difference in shares as a cause accounts for: never more than there is,
    nor against its direction."""
    return max(0.0, min(shares, by)) if shares > 0 else min(0.0, max(shares, by))


def _sized(live: Wish, backtest: Wish) -> float:
    """Return by how many unrounded shares the sizes differ."""
    if live.sized is None or backtest.sized is None:
        return 0.0
    return live.sized - backtest.sized

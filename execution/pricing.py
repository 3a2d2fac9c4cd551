"""The default order policy: a marketable limit inside a collar, re-priced once, then given up.

Every limit is rounded to the tick on the side that gives less away: a buy's down, a sell's up. It
still reaches the touch whenever a tick lies between the touch and the collar's edge.
"""

from decimal import Decimal
from functools import lru_cache

from domain.market import Quote
from domain.money import CENT, Rounding, to_price, to_quantity
from domain.orders import AtLimit, AtMarket, Order, Side, Terms

REPRICINGS_MAX = 1
"""How often an entry is priced anew before it is given up; an exit goes to the market then."""
STALE_EXIT_COLLAR_FACTOR = Decimal(2)
"""How much wider a protective exit's collar is when only an old price is known."""
COLLARS_MAX = 64
"""Collars whose exact form is kept."""

_FINEST_USD = Decimal("0.000000001")
_FINEST_BPS = Decimal("0.0001")
_BPS = Decimal(10_000)


def entry_terms(side: Side, quote: Quote, tick_usd: Decimal, collar_bps: float) -> AtLimit:
    """Return a limit through the touch by at most `collar_bps`. Raises ValueError below one tick.

    When the collar is narrower than the way to the next tick, the limit rests short of the touch.
    """
    return AtLimit(_through(side, _touch(side, quote), tick_usd, _bps(collar_bps)))


def reprice(order: Order, quote: Quote, tick_usd: Decimal, collar_bps: float) -> Terms | None:
    """Return new terms for what is left of an unfilled entry, None when it is to be given up.

    It is given up after REPRICINGS_MAX, when it is no limit order, and when the touch has run more
    than one collar beyond the first limit: the decision was made for another price.
    """
    terms, side = order.intent.terms, order.intent.side
    if order.repricings >= REPRICINGS_MAX or not isinstance(terms, AtLimit):
        return None
    collar = _bps(collar_bps)
    touch = _touch(side, quote)
    farthest_usd = _through(side, terms.limit_usd, tick_usd, collar)
    fresh_usd = _through(side, touch, tick_usd, collar)
    if side is Side.BUY:
        return AtLimit(min(fresh_usd, farthest_usd)) if farthest_usd >= touch else None
    return AtLimit(max(fresh_usd, farthest_usd)) if farthest_usd <= touch else None


def exit_terms(
    side: Side, quote: Quote, tick_usd: Decimal, collar_bps: float, *, repricings: int
) -> Terms:
    """Return the terms of a protective exit on a fresh quote, within the exits' own collar: first
    a limit, then the market."""
    if repricings >= REPRICINGS_MAX:
        return AtMarket()
    return entry_terms(side, quote, tick_usd, collar_bps)


def stale_exit_terms(
    side: Side, last_good_usd: Decimal, tick_usd: Decimal, collar_bps: float, *, repricings: int
) -> Terms:
    """Return the terms of a protective exit when only an old price is known: wider than the exits'
    collar."""
    if repricings >= REPRICINGS_MAX:
        return AtMarket()
    collar = _bps(collar_bps) * STALE_EXIT_COLLAR_FACTOR
    return AtLimit(_through(side, last_good_usd, tick_usd, collar))


def _touch(side: Side, quote: Quote) -> Decimal:
    observed_usd = quote.ask_usd if side is Side.BUY else quote.bid_usd
    return to_price(observed_usd, _FINEST_USD, Rounding.NEAREST)


@lru_cache(maxsize=COLLARS_MAX)
def _bps(collar_bps: float) -> Decimal:
    collar = to_quantity(collar_bps, _FINEST_BPS)
    if not 0 <= collar < _BPS:
        raise ValueError(f"a collar is between 0 and 10,000 bps, not {collar_bps!r}")
    return collar


def _through(side: Side, touch_usd: Decimal, tick_usd: Decimal, collar: Decimal) -> Decimal:
    if side is Side.BUY:
        limit_usd = to_price(touch_usd * (1 + collar / _BPS), tick_usd, Rounding.DOWN)
    else:
        limit_usd = to_price(touch_usd * (1 - collar / _BPS), tick_usd, Rounding.UP)
    if tick_usd >= CENT or limit_usd < 1:
        return limit_usd
    # Quoted below a dollar, and the collar reaches beyond it, where the grid is coarser.
    return to_price(limit_usd, CENT, Rounding.DOWN if side is Side.BUY else Rounding.UP)

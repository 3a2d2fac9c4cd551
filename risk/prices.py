"""Which prices may be believed, and what is said of an exit priced on less than a fresh one."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache

from domain.market import Quote
from domain.money import Rounding, tick_for, to_price
from domain.orders import OrderIntent, Side
from risk.exposure import LIMITED
from risk.screening import Sketch
from risk.view import RiskView

_NO_AGE = timedelta(0)
AGES_KEPT_MAX = 16
"""Greatest ages kept as lengths of time: there is one of entries and one of exits."""
FUTURE_TOLERANCE_S = 1.0
"""A quote dated further ahead of our clock than this is a bad one, not a fresh one."""
JUMP_CONFIRMATIONS = 12
"""So many quotes in a row around a new level make it the level (a minute at defaults)."""
LEAP_SHARE = 0.08
"""A price that moves further between two quotes may be of other shares: one new share for ten old
ones moves it by 9 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPrice:
    """The last good mid of one symbol, and a new level that is not believed yet."""

    mid_usd: float
    doubted_usd: float = 0.0
    doubted_times: int = 0


def observe_price(known: KnownPrice | None, quote: Quote, price_jump_max: Decimal) -> KnownPrice:
    """Return what is known of a symbol after one more quote.

    A quote within `price_jump_max` of the last good mid on both sides is good. One outside is
    doubted until JUMP_CONFIRMATIONS in a row agree on it: a spike is ignored, a real jump is
    followed after a minute.
    """
    limit, mid_usd = float(price_jump_max), quote.mid_usd
    if known is None or quote_jump(quote, known.mid_usd) <= limit:
        return KnownPrice(mid_usd=mid_usd)
    agrees = known.doubted_times > 0 and quote_jump(quote, known.doubted_usd) <= limit
    times = known.doubted_times + 1 if agrees else 1
    if times >= JUMP_CONFIRMATIONS:
        return KnownPrice(mid_usd=mid_usd)
    return KnownPrice(mid_usd=known.mid_usd, doubted_usd=mid_usd, doubted_times=times)


def quote_jump(quote: Quote, good_usd: float) -> float:
    """Return how far the worse side of a quote lies from a good price, as a share of it."""
    return max(abs(quote.bid_usd / good_usd - 1.0), abs(quote.ask_usd / good_usd - 1.0))


def quote_age_s(quote: Quote, view: RiskView) -> float:
    """Return seconds since the venue quoted; negative for a quote from the future."""
    return (view.as_of - quote.quoted_at).total_seconds()


def is_fresh(quote: Quote | None, view: RiskView, max_age_s: float) -> bool:
    """Return whether a quote may price an order."""
    return quote is not None and -FUTURE_TOLERANCE_S <= quote_age_s(quote, view) <= max_age_s


def is_surely_fresh(quote: Quote, view: RiskView, max_age_s: float) -> bool:
    """Return whether a quote is fresh, not to the microsecond; when in doubt, not."""
    return _NO_AGE <= view.as_of - quote.quoted_at < _age(max_age_s)


@lru_cache(maxsize=AGES_KEPT_MAX)
def _age(age_s: float) -> timedelta:
    return timedelta(seconds=age_s)


def is_surely_inside(order: Sketch, collar_bps: float) -> bool:
    """Return whether an order's limit lies inside a collar before the collar is rounded."""
    limit = order.limit_usd
    if limit is None:
        return True
    if order.is_buy:
        ask_usd = order.quote.ask_usd
        return limit < ask_usd + ask_usd * collar_bps / 10_000
    bid_usd = order.quote.bid_usd
    return limit > bid_usd - bid_usd * collar_bps / 10_000


def limit_usd(intent: OrderIntent) -> Decimal | None:
    """Return the order's limit price, None when it has none."""
    terms = intent.terms
    return terms.limit_usd if isinstance(terms, LIMITED) else None


def collar_usd(side: Side, touch_usd: float, collar_bps: float) -> Decimal:
    """Return the worst limit price within a collar: `collar_bps` through the touch, rounded to the
    tick beyond it (so that whoever rounds either way is inside).

    `touch_usd` is the ask for a buy, the bid for a sell. Raises ValueError when nothing is left
    of the price.
    """
    through = touch_usd * collar_bps / 10_000
    price_usd = touch_usd + side.sign * through
    tick_usd = tick_for(Decimal(repr(price_usd)))
    return to_price(price_usd, tick_usd, Rounding.UP if side is Side.BUY else Rounding.DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPricing:
    """When an exit's price is remarkable enough to be said."""

    price_max_age_s: float = 5.0
    collar_bps: float = 50.0

    def is_plain(self, order: Sketch, view: RiskView) -> bool:
        """Whether nothing is to be said of an order that only closes; when in doubt, not."""
        if not order.is_known or view.session is None or order.opposite_shares:
            return False
        return is_surely_fresh(order.quote, view, self.price_max_age_s) and is_surely_inside(
            order, self.collar_bps
        )

    def notes(self, intent: OrderIntent, view: RiskView) -> tuple[str, ...]:
        """Return what a person should know of an order that only closes and is let through."""
        said = []
        if view.session is None:
            said.append("the market is closed: the venue keeps this order for the open")
        quote = view.quotes.get(intent.symbol)
        if quote is None or not is_fresh(quote, view, self.price_max_age_s):
            said.append(self._priced_on(quote, intent, view))
        touch_usd = _touch_usd(quote, intent, view)
        limit = limit_usd(intent)
        if limit is not None and touch_usd is not None:
            worst_usd = collar_usd(intent.side, touch_usd, self.collar_bps)
            if (limit - worst_usd) * intent.side.sign > 0:
                said.append(
                    f"its limit {limit} USD lies beyond the exit collar's {worst_usd} USD"
                    f" ({self.collar_bps:g} bps)"
                )
        if view.has_opposite_working(intent.symbol, intent.side):
            said.append("an opposite order is working: the venue may call this a wash trade")
        return tuple(said)

    def _priced_on(self, quote: Quote | None, intent: OrderIntent, view: RiskView) -> str:
        mark_usd = view.mark_usd(intent.symbol)
        known = f"the last good price {mark_usd:.4f} USD" if mark_usd else "no known price at all"
        why = "no quote" if quote is None else f"quote is {quote_age_s(quote, view):.1f} s old"
        return f"{why}: this exit rests on {known}, collar {self.collar_bps:g} bps"


def _touch_usd(quote: Quote | None, intent: OrderIntent, view: RiskView) -> float | None:
    if quote is None:
        return view.mark_usd(intent.symbol)
    return quote.ask_usd if intent.side is Side.BUY else quote.bid_usd

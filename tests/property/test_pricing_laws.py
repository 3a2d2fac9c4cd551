"""No price of ours is one the venue refuses for its tick, whatever the market and the collar."""

from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.alpaca.codec import encode_order
from daemon.engine.board import tick_of
from domain.instruments import Symbol
from domain.market import Quote
from domain.money import tick_for
from domain.orders import ApprovedOrder, AtLimit, OrderStatus, Side, Terms
from domain.values import replace
from exchange.parsing import on_grid
from execution import pricing
from tests.support.orders import NOON, an_intent, an_order

sides = st.sampled_from(list(Side))
collars = st.floats(0.0, 500.0)
prices = st.floats(0.0002, 20_000.0) | st.floats(0.97, 1.03) | st.floats(0.0001, 0.0009)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    """Draw a bid and an ask: of any size, around a dollar, where ticks change, or tiny; as floats,
    most of them off every grid."""
    low, high = sorted((draw(prices), draw(prices)))
    return Quote(
        symbol=Symbol("AAPL"),
        bid_usd=low,
        ask_usd=high,
        quoted_at=NOON,
        bid_size_shares=100.0,
        ask_size_shares=100.0,
    )


def judged(terms: Terms | None) -> None:
    """Let the venue look at a price as it is written on the wire; what it refuses is raised."""
    if isinstance(terms, AtLimit):
        intent = an_intent(terms=terms)
        order = ApprovedOrder(intent=intent, approved_at=NOON, expires_at=NOON, epoch=0)
        on_grid(Decimal(encode_order(order)["limit_price"]), "limit_price")


def priced(terms_of) -> Terms | None:  # type: ignore[no-untyped-def]
    """Return terms; a price below one tick is no price, and none is sent."""
    try:
        terms: Terms | None = terms_of()
    except ValueError:
        assume(False)
    return terms


@given(sides, quotes(), collars)
def test_an_entry_is_on_the_grid(side: Side, quote: Quote, collar: float) -> None:
    judged(priced(lambda: pricing.entry_terms(side, quote, tick_of(quote), collar)))


@given(sides, quotes(), collars)
def test_an_exit_is_on_the_grid(side: Side, quote: Quote, collar: float) -> None:
    tick = tick_of(quote)
    judged(priced(lambda: pricing.exit_terms(side, quote, tick, collar, repricings=0)))


@given(sides, prices, collars)
def test_an_exit_on_an_old_price_is_on_the_grid(side: Side, last: float, collar: float) -> None:
    good = Decimal(repr(last))
    terms = priced(
        lambda: pricing.stale_exit_terms(side, good, tick_for(good), collar, repricings=0)
    )
    judged(terms)


@given(sides, quotes(), quotes(), collars)
def test_what_is_priced_anew_is_on_the_grid(
    side: Side, first: Quote, later: Quote, collar: float
) -> None:
    terms = priced(lambda: pricing.entry_terms(side, first, tick_of(first), collar))
    order = an_order(OrderStatus.CANCELED)
    shares = order.intent.quantity_shares * side.sign
    intent = replace(order.intent, side=side, terms=terms, deltas={"a": shares})
    order = replace(order, intent=intent)
    judged(priced(lambda: pricing.reprice(order, later, tick_of(later), collar)))

"""The default order policy."""

from decimal import Decimal

import pytest

from domain.instruments import Symbol
from domain.market import Quote
from domain.money import CENT
from domain.orders import AtLimit, AtMarket, AtStop, Side
from execution.pricing import entry_terms, exit_terms, reprice, stale_exit_terms
from tests.support.orders import NOON, an_intent, an_order


def a_quote(bid: float, ask: float) -> Quote:
    return Quote(symbol=Symbol("AAPL"), bid_usd=bid, ask_usd=ask, quoted_at=NOON)


def limit(amount: str) -> AtLimit:
    return AtLimit(Decimal(amount))


def test_a_buy_reaches_through_the_ask_by_the_collar() -> None:
    assert entry_terms(Side.BUY, a_quote(99.98, 100.0), CENT, 10.0) == limit("100.10")


def test_a_sell_reaches_through_the_bid_by_the_collar() -> None:
    assert entry_terms(Side.SELL, a_quote(100.0, 100.02), CENT, 10.0) == limit("99.90")


def test_a_buy_is_rounded_down_inside_the_collar() -> None:
    assert entry_terms(Side.BUY, a_quote(33.32, 33.33), CENT, 10.0) == limit("33.36")


def test_a_sell_is_rounded_up_inside_the_collar() -> None:
    assert entry_terms(Side.SELL, a_quote(33.33, 33.34), CENT, 10.0) == limit("33.30")


def test_a_collar_narrower_than_a_tick_still_meets_the_touch() -> None:
    assert entry_terms(Side.BUY, a_quote(9.99, 10.0), CENT, 1.0) == limit("10.00")
    assert entry_terms(Side.SELL, a_quote(10.0, 10.01), CENT, 1.0) == limit("10.00")


def test_no_price_is_paid_beyond_the_collar_to_reach_a_touch_between_ticks() -> None:
    assert entry_terms(Side.BUY, a_quote(10.0, 10.0051), CENT, 1.0) == limit("10.00")


def test_binary_noise_moves_no_price_off_its_tick() -> None:
    # 0.1 + 0.2 style: 0.9 × 1.001 is 0.9009 exactly, and 0.9008999… in binary.
    assert entry_terms(Side.BUY, a_quote(0.89, 0.9), Decimal("0.0001"), 10.0) == limit("0.9009")


def test_a_collar_that_reaches_over_a_dollar_ends_on_a_cent() -> None:
    """Found by the laws of prices: quoted below a dollar, 1.0001 was asked for, and refused."""
    assert entry_terms(Side.BUY, a_quote(0.98, 0.9999), Decimal("0.0001"), 2.0) == limit("1.00")


@pytest.mark.parametrize("collar", [-1.0, 10_000.0, 20_000.0])
def test_a_collar_that_is_none_is_refused(collar: float) -> None:
    with pytest.raises(ValueError, match="collar"):
        entry_terms(Side.BUY, a_quote(99.0, 100.0), CENT, collar)


def test_an_entry_is_repriced_at_the_fresh_quote() -> None:
    order = an_order(intent=an_intent(terms=limit("100.10")))
    assert reprice(order, a_quote(100.02, 100.05), CENT, 10.0) == limit("100.15")


def test_a_repriced_entry_goes_at_most_one_collar_beyond_its_first_limit() -> None:
    order = an_order(intent=an_intent(terms=limit("100.00")))
    assert reprice(order, a_quote(100.06, 100.08), CENT, 10.0) == limit("100.10")


def test_an_entry_is_given_up_when_the_market_ran_away() -> None:
    buy = an_order(intent=an_intent(terms=limit("100.00")))
    sell = an_order(intent=an_intent(terms=limit("100.00"), side=Side.SELL))
    assert reprice(buy, a_quote(100.1, 100.11), CENT, 10.0) is None
    assert reprice(sell, a_quote(99.89, 99.9), CENT, 10.0) is None


def test_a_sell_is_repriced_downwards_within_one_collar() -> None:
    order = an_order(intent=an_intent(terms=limit("100.00"), side=Side.SELL))
    assert reprice(order, a_quote(99.95, 99.97), CENT, 10.0) == limit("99.90")


def test_an_entry_is_repriced_once_only() -> None:
    order = an_order(intent=an_intent(terms=limit("100.00")), repricings=1)
    assert reprice(order, a_quote(99.99, 100.0), CENT, 10.0) is None


@pytest.mark.parametrize("terms", [AtMarket(), AtStop(Decimal("90"))])
def test_only_limits_are_repriced(terms: AtMarket | AtStop) -> None:
    order = an_order(intent=an_intent(terms=terms))
    assert reprice(order, a_quote(99.99, 100.0), CENT, 10.0) is None


def test_a_protective_exit_has_a_collar_of_its_own() -> None:
    quote = a_quote(100.0, 100.02)
    assert exit_terms(Side.SELL, quote, CENT, 30.0, repricings=0) == limit("99.70")


def test_a_protective_exit_ends_at_the_market() -> None:
    quote = a_quote(100.0, 100.02)
    assert exit_terms(Side.SELL, quote, CENT, 30.0, repricings=1) == AtMarket()


def test_an_exit_on_an_old_price_is_wider_still() -> None:
    price = Decimal("100")
    assert stale_exit_terms(Side.SELL, price, CENT, 30.0, repricings=0) == limit("99.40")
    assert stale_exit_terms(Side.BUY, price, CENT, 30.0, repricings=0) == limit("100.60")
    assert stale_exit_terms(Side.SELL, price, CENT, 30.0, repricings=1) == AtMarket()

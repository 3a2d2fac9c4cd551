"""Which prices may be believed."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.market import Quote
from domain.orders import AtLimit, AtMarket, AtStopLimit, Side
from risk.prices import (
    FUTURE_TOLERANCE_S,
    JUMP_CONFIRMATIONS,
    KnownPrice,
    collar_usd,
    observe_price,
)
from risk.witnesses import NOON, STOCK, at_instant, calm_view, entry, quote
from tests.support.risks import gate

JUMP_MAX = Decimal("0.20")


def at(mid_usd: float) -> Quote:
    return Quote(symbol=STOCK, bid_usd=mid_usd, ask_usd=mid_usd, quoted_at=NOON)


def after(*mids_usd: float) -> KnownPrice:
    known = None
    for mid_usd in mids_usd:
        known = observe_price(known, at(mid_usd), JUMP_MAX)
    assert known is not None
    return known


def test_the_first_quote_is_believed() -> None:
    assert after(100.0).mid_usd == 100.0


def test_a_quote_within_the_band_moves_the_good_price() -> None:
    assert after(100.0, 119.0).mid_usd == 119.0


def test_a_spike_and_back_leaves_no_trace() -> None:
    assert after(100.0, 1_000.0, 100.5) == KnownPrice(mid_usd=100.5)


def test_a_new_level_counts_once_confirmed() -> None:
    doubted = [150.0] * (JUMP_CONFIRMATIONS - 1)
    assert after(100.0, *doubted).mid_usd == 100.0
    assert after(100.0, *doubted, 150.0).mid_usd == 150.0


def test_a_level_must_be_confirmed_in_a_row() -> None:
    doubted = [150.0] * (JUMP_CONFIRMATIONS - 1)
    assert after(100.0, *doubted, 100.0, 150.0).mid_usd == 100.0
    assert after(100.0, *doubted, 300.0).mid_usd == 100.0


def test_one_absurd_side_is_enough_to_doubt_a_quote() -> None:
    lopsided = Quote(symbol=STOCK, bid_usd=100.0, ask_usd=130.0, quoted_at=NOON)
    assert observe_price(KnownPrice(mid_usd=100.0), lopsided, JUMP_MAX).mid_usd == 100.0


def test_no_entry_on_a_quote_with_one_absurd_side() -> None:
    empty_bid = Quote(symbol=STOCK, bid_usd=70.0, ask_usd=100.01, quoted_at=NOON)
    view = replace(calm_view(), quotes={STOCK: empty_bid})
    assert [d.rule for d in gate().judge(entry(), view).denials] == ["price_sanity"]


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_no_entry_on_an_absurd_price(factor: float) -> None:
    view = replace(calm_view(), quotes={STOCK: at(100.0 * factor)})
    assert "price_sanity" in {d.rule for d in gate().judge(entry(), view).denials}


def test_before_the_first_good_price_of_the_day_the_previous_close_tells() -> None:
    view = replace(calm_view(), last_good_usd={}, reference_close_usd={STOCK: 50.0})
    assert "price_sanity" in {d.rule for d in gate().judge(entry(), view).denials}


@pytest.mark.parametrize(("ahead_s", "rules"), [(FUTURE_TOLERANCE_S, []), (1.001, ["stale_price"])])
def test_a_quote_from_the_future_is_bad(ahead_s: float, rules: list[str]) -> None:
    future = quote(STOCK, at=NOON + timedelta(seconds=ahead_s))
    view = replace(calm_view(), quotes={STOCK: future})
    assert [d.rule for d in gate().judge(entry(), view).denials] == rules


def test_age_is_taken_from_the_venues_time() -> None:
    view = replace(calm_view(), as_of=NOON + timedelta(seconds=5.5))
    assert [d.rule for d in gate().judge(entry(), view).denials] == ["stale_price"]
    fresh = at_instant(calm_view(), NOON + timedelta(seconds=5.5))
    assert gate().judge(entry(), fresh).denials == ()


@pytest.mark.parametrize(
    ("side", "worst"), [(Side.BUY, Decimal("100.12")), (Side.SELL, Decimal("99.89"))]
)
def test_the_collar_is_rounded_to_the_tick_beyond(side: Side, worst: Decimal) -> None:
    touch_usd = 100.0 + side.sign * 0.01
    assert collar_usd(side, touch_usd, 10.0) == worst


def test_a_cheap_stocks_collar_is_on_its_finer_grid() -> None:
    assert collar_usd(Side.BUY, 0.5, 100.0) == Decimal("0.5050")


def test_a_short_sale_priced_through_the_bid_is_denied() -> None:
    low = entry(1, side=Side.SELL, terms=AtLimit(Decimal("99.88")))
    assert "collar" in {d.rule for d in gate().judge(low, calm_view()).denials}


def test_a_passive_limit_is_inside_any_collar() -> None:
    assert gate().judge(entry(terms=AtLimit(Decimal("90.00"))), calm_view()).denials == ()


def test_an_order_without_a_limit_has_no_collar() -> None:
    assert gate().judge(entry(terms=AtMarket()), calm_view()).denials == ()


def test_a_stop_limits_collar_is_measured_from_its_stop() -> None:
    above = AtStopLimit(Decimal("110.00"), Decimal("110.11"))
    beyond = AtStopLimit(Decimal("110.00"), Decimal("110.12"))
    assert gate().judge(entry(terms=above), calm_view()).denials == ()
    assert [d.rule for d in gate().judge(entry(terms=beyond), calm_view()).denials] == ["collar"]

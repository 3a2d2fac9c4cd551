"""What turning a knob changes in the venue, for those that no other test turns."""

import re
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.corporate_actions import ActionTable
from exchange.knobs import FillModel, Knobs, WireLimits
from exchange.orders import Status, TimeInForce
from exchange.venue import Venue
from tests.support.exchanges import (
    DAYS,
    EXACT,
    MONDAY,
    PLENTY,
    HandMarket,
    buy,
    close_ns,
    make_venue,
    open_ns,
    sell,
    tick_ns,
)
from tests.unit.test_exchange_corporate_actions import split

TESTS = Path(__file__).parents[1]
D = Decimal


def turned(market: HandMarket | None = None, cash: int = 100_000, **knobs: object) -> Venue:
    venue_knobs = replace(PLENTY, **knobs)  # type: ignore[arg-type]
    return make_venue(market, at_ns=tick_ns(0), knobs=venue_knobs, cash_usd=D(cash))


def test_every_knob_is_turned_by_a_test() -> None:
    text = "".join(
        file.read_text(encoding="utf-8")
        for file in TESTS.rglob("*.py")
        if file.name != "test_exchange_knobs.py"
    )
    words = set(re.findall(r"\w+", text))
    groups = (FillModel, Knobs, WireLimits)
    assert {field.name for group in groups for field in fields(group)} - words == set()


@pytest.mark.parametrize(("multiple", "power"), [(4, 400_000), (2, 200_000), (1, 100_000)])
def test_buying_power_is_a_multiple(multiple: int, power: int) -> None:
    assert turned(multiplier_max=multiple).totals().buying_power == power


def test_margin_needs_some_equity() -> None:
    assert turned(cash=5_000).totals().multiplier == 4
    assert turned(cash=5_000, margin_equity_min_usd=D(5_001)).totals().multiplier == 1


@pytest.mark.parametrize(("collar", "reserved"), [("0.03", "1030"), ("0.10", "1100")])
def test_a_market_order_reserves_more_than_the_ask(collar: str, reserved: str) -> None:
    venue = make_venue(knobs=replace(EXACT, market_collar=D(collar)))
    venue.submit(buy(qty="10"))
    assert venue.account.reserved_usd == D(reserved)


@pytest.mark.parametrize(
    ("knob", "from_usd"), [("buy_stop_collar_low", 20.0), ("buy_stop_collar_high", 100.0)]
)
def test_an_elected_buy_stop_fills_no_further_than_its_collar(knob: str, from_usd: float) -> None:
    jump = [from_usd, from_usd, from_usd * 1.05]
    market = HandMarket(ticks={MONDAY: {"AAA": jump}}, flat_usd=from_usd)
    for collar, status in (("0.01", Status.NEW), ("0.20", Status.FILLED)):
        venue = turned(market, **{knob: D(collar)})
        order = venue.submit(buy(qty="1", stop=f"{from_usd * 1.02:.2f}"))
        venue.advance(tick_ns(3))
        assert venue.order(order.id).status is status


@pytest.mark.parametrize("share", ["0.25", "0.75"])
def test_margins_are_shares_of_what_is_held(share: str) -> None:
    venue = turned(initial_rate=D(share), maintenance_rate=D(share))
    venue.submit(buy(qty="10"))
    totals = venue.totals()
    assert totals.initial_margin == totals.maintenance_margin == 1_000 * D(share)


def test_a_split_ends_open_orders_where_they_do_not_follow_it() -> None:
    doubled = ActionTable([split("2", "1", symbol="AAA", day=DAYS[1])])
    for follows, status in ((True, Status.NEW), (False, Status.CANCELED)):
        venue = turned(HandMarket(actions=doubled), adjusts_orders_for_splits=follows)
        order = venue.submit(buy(limit=90, time_in_force=TimeInForce.GTC))
        venue.advance(open_ns(DAYS[1]))
        assert venue.order(order.id).status is status


def test_what_is_hard_to_borrow_costs_its_own_rate() -> None:
    for rate, fee in (("0.36", D(1)), ("0.72", D(2))):
        venue = turned(
            hard_to_borrow=("AAA",), shorts_hard_to_borrow=True, hard_to_borrow_rate=D(rate)
        )
        venue.submit(sell(qty="10"))
        venue.advance(open_ns(DAYS[1]))
        (charge,) = venue.register.activities
        assert -charge.net_amount == fee


@pytest.mark.parametrize(("days", "ends"), [(1, True), (5, False)])
def test_a_gtc_order_lives_so_many_days(days: int, ends: bool) -> None:
    venue = turned(gtc_days=days)
    order = venue.submit(buy(limit=90, time_in_force=TimeInForce.GTC))
    venue.advance(close_ns(DAYS[1]) + 12 * 3600 * 10**9)
    assert venue.order(order.id).status.is_terminal is ends

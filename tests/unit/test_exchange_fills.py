"""The fill model: what trades when, how much of it, at what price."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from exchange.knobs import FillModel, Knobs
from exchange.orders import OrderType, Status, TimeInForce
from exchange.records import EventKind, VenueEvent
from tests.support.exchanges import (
    DAYS,
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

D = Decimal


def fills(events: list[VenueEvent]) -> list[tuple[int, Decimal, Decimal]]:
    return [
        (e.at_ns, e.execution.qty, e.execution.price_usd) for e in events if e.execution is not None
    ]


def kinds(events: list[VenueEvent]) -> list[str]:
    return [e.kind.value for e in events if e.order is not None]


def market_of(*prices: float, shares: tuple[float, ...] = ()) -> HandMarket:
    return HandMarket(
        ticks={MONDAY: {"AAA": prices}}, shares={MONDAY: {"AAA": shares}} if shares else {}
    )


@pytest.mark.wire("rules.fills")
def test_a_market_buy_fills_at_the_ask() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(buy(qty="50"))
    assert told.status is Status.PENDING_NEW
    assert fills(venue.take_events()) == [(tick_ns(0), D(50), D("100.01"))]


def test_a_market_sell_fills_at_the_bid() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(sell(qty="50"))
    assert fills(venue.take_events()) == [(tick_ns(0), D(50), D("99.99"))]


@pytest.mark.wire("rules.fills")
def test_an_order_takes_no_more_than_its_share_of_each_tick() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="250"))
    first = fills(venue.take_events())
    later = fills(venue.advance(tick_ns(5)))
    assert [(at, qty) for at, qty, _ in first + later] == [
        (tick_ns(0), D(100)),
        (tick_ns(1), D(100)),
        (tick_ns(2), D(50)),
    ]


def test_two_orders_share_what_one_tick_gives() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="70"))
    venue.submit(buy(qty="70"))
    assert [qty for _, qty, _ in fills(venue.take_events())] == [D(70), D(30)]


def test_nothing_fills_at_a_tick_without_trades() -> None:
    venue = make_venue(market_of(100, shares=(1000, 0, 0, 500)), at_ns=tick_ns(0))
    venue.submit(buy(qty="120"))
    venue.take_events()
    assert fills(venue.advance(tick_ns(2))) == []
    assert fills(venue.advance(tick_ns(3))) == [(tick_ns(3), D(20), D("100.01"))]


def test_a_thin_tick_gives_at_least_one_share() -> None:
    venue = make_venue(market_of(100, shares=(3, 3, 3, 3)), at_ns=tick_ns(0))
    venue.submit(buy(qty="2"))
    assert [q for _, q, _ in fills(venue.take_events())] == [D(1)]
    assert [q for _, q, _ in fills(venue.advance(tick_ns(1)))] == [D(1)]


def test_a_marketable_limit_buy_takes_the_ask_not_its_limit() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(limit="101"))
    assert fills(venue.take_events()) == [(tick_ns(0), D(10), D("100.01"))]


def test_a_limit_inside_the_spread_waits_for_a_trade_at_it() -> None:
    venue = make_venue(market_of(100, 100.01, 100), at_ns=tick_ns(0))
    venue.submit(buy(limit="100"))
    assert fills(venue.take_events()) == []
    assert fills(venue.advance(tick_ns(2))) == [(tick_ns(2), D(10), D(100))]


def test_a_resting_buy_fills_at_its_limit_when_the_tape_touches_it() -> None:
    venue = make_venue(market_of(100, 99.5, 99), at_ns=tick_ns(0))
    venue.submit(buy(limit="99"))
    assert fills(venue.advance(tick_ns(5))) == [(tick_ns(2), D(10), D(99))]


def test_a_resting_buy_fills_better_when_the_tape_gaps_through_it() -> None:
    venue = make_venue(market_of(100, 95), at_ns=tick_ns(0))
    venue.submit(buy(limit="99"))
    assert fills(venue.advance(tick_ns(1))) == [(tick_ns(1), D(10), D("95.01"))]


def test_a_resting_sell_fills_at_its_limit_or_better() -> None:
    venue = make_venue(market_of(100, 101, 105), at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(buy(qty="20"))
    venue.submit(sell(qty="10", limit="101"))
    venue.submit(sell(qty="10", limit="104"))
    venue.take_events()
    assert fills(venue.advance(tick_ns(5))) == [
        (tick_ns(1), D(10), D(101)),
        (tick_ns(2), D(10), D("104.99")),
    ]


def test_slippage_and_impact_move_the_price_against_the_order() -> None:
    knobs = Knobs(fills=FillModel(volume_share_max=0.25, slippage_bps=2, impact_bps=10))
    venue = make_venue(at_ns=tick_ns(0), knobs=knobs)
    venue.submit(buy(qty="250"))
    # 2 bps + 10 bps · √(250 / 1000) = 7 bps of 100.01, rounded up.
    assert [price for _, _, price in fills(venue.take_events())] == [D("100.09")]


def test_slippage_never_takes_an_order_beyond_its_limit() -> None:
    knobs = Knobs(fills=FillModel(slippage_bps=50, impact_bps=0))
    venue = make_venue(at_ns=tick_ns(0), knobs=knobs)
    venue.submit(buy(limit="100.05"))
    assert [price for _, _, price in fills(venue.take_events())] == [D("100.05")]


@pytest.mark.wire("rules.stop")
def test_a_buy_stop_is_elected_by_a_trade_at_its_price() -> None:
    venue = make_venue(market_of(100, 100.5, 101, 101.2), at_ns=tick_ns(0))
    venue.submit(buy(stop="101"))
    assert fills(venue.advance(tick_ns(1))) == []
    assert fills(venue.advance(tick_ns(3))) == [(tick_ns(2), D(10), D("101.01"))]


def test_a_sell_stop_is_elected_by_a_trade_at_or_under_its_price() -> None:
    venue = make_venue(market_of(100, 99.5, 98), at_ns=tick_ns(0))
    venue.submit(buy())
    venue.submit(sell(stop="99"))
    venue.take_events()
    assert fills(venue.advance(tick_ns(5))) == [(tick_ns(2), D(10), D("97.99"))]


def test_a_quote_does_not_elect_a_stop() -> None:
    venue = make_venue(market_of(100, 100.99, 100), at_ns=tick_ns(0))
    venue.submit(buy(stop="101"))
    assert fills(venue.advance(close_ns() - 1)) == []


def test_a_stop_limit_waits_at_its_limit_once_elected() -> None:
    venue = make_venue(market_of(100, 101, 103, 102.5, 101.5), at_ns=tick_ns(1) - 1)
    venue.submit(buy(stop="102", limit="102"))
    assert fills(venue.advance(tick_ns(3))) == []
    assert fills(venue.advance(tick_ns(4))) == [(tick_ns(4), D(10), D("101.51"))]


@pytest.mark.wire("rules.stop")
def test_an_elected_buy_stop_does_not_chase_beyond_its_collar() -> None:
    venue = make_venue(market_of(100, 110, 103.5, 102), at_ns=tick_ns(0))
    venue.submit(buy(stop="101"))
    # 2.5 % above 101 is 103.53: 110 is too dear, 103.5 has its ask at 103.51.
    assert fills(venue.advance(tick_ns(5))) == [(tick_ns(2), D(10), D("103.51"))]


@pytest.mark.wire("rules.trailing")
def test_a_trailing_stop_follows_the_high_and_fills_on_the_way_down() -> None:
    venue = make_venue(market_of(100, 102, 104, 103.2, 102.9), at_ns=tick_ns(0))
    venue.submit(buy())
    told = venue.submit(sell(type=OrderType.TRAILING_STOP, trail_price=D(1)))
    assert (told.hwm, told.stop_price) == (D(100), D(99))
    venue.advance(tick_ns(2))
    assert venue.order(told.id).stop_price == D(103)
    assert fills(venue.advance(tick_ns(9))) == [(tick_ns(4), D(10), D("102.89"))]


def test_a_percentage_trails_in_proportion() -> None:
    venue = make_venue(market_of(100, 110), at_ns=tick_ns(0))
    venue.submit(buy())
    told = venue.submit(sell(type=OrderType.TRAILING_STOP, trail_percent=D(10)))
    venue.advance(tick_ns(1))
    assert venue.order(told.id).stop_price == D(99)


@pytest.mark.wire("rules.ioc-fok")
def test_ioc_takes_what_there_is_and_cancels_the_rest() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(buy(qty="150", time_in_force=TimeInForce.IOC))
    after = venue.order(told.id)
    assert (after.status, after.filled_qty) == (Status.CANCELED, D(100))


@pytest.mark.wire("rules.ioc-fok")
def test_fok_takes_all_or_nothing() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    too_much = venue.submit(buy(qty="150", time_in_force=TimeInForce.FOK))
    enough = venue.submit(buy(qty="100", time_in_force=TimeInForce.FOK))
    assert venue.order(too_much.id).filled_qty == 0
    assert venue.order(too_much.id).status is Status.CANCELED
    assert venue.order(enough.id).status is Status.FILLED


@pytest.mark.wire("rules.opg-cls")
def test_an_opening_order_gets_the_opening_trade_in_full() -> None:
    venue = make_venue(market_of(101, 102))
    told = venue.submit(buy(qty="900", time_in_force=TimeInForce.OPG))
    assert fills(venue.advance(close_ns())) == [(tick_ns(0), D(900), D(101))]
    assert venue.order(told.id).status is Status.FILLED


@pytest.mark.wire("rules.opg-cls")
def test_a_closing_order_gets_the_official_close_in_full() -> None:
    venue = make_venue(market_of(*([100.0] * 19), 97.5), at_ns=tick_ns(3))
    venue.submit(buy(qty="900", time_in_force=TimeInForce.CLS))
    assert fills(venue.advance(close_ns())) == [(close_ns(), D(900), D("97.5"))]


def test_a_closing_limit_that_is_too_low_expires() -> None:
    venue = make_venue(at_ns=tick_ns(3))
    told = venue.submit(buy(limit="90", time_in_force=TimeInForce.CLS))
    venue.advance(close_ns())
    assert venue.order(told.id).status is Status.EXPIRED


@pytest.mark.wire("rules.day-gtc")
def test_a_day_order_expires_at_the_close_and_a_gtc_order_does_not() -> None:
    venue = make_venue(at_ns=tick_ns(3))
    day = venue.submit(buy(limit="90"))
    gtc = venue.submit(buy(limit="91", time_in_force=TimeInForce.GTC))
    venue.advance(close_ns() - 1)
    assert venue.order(day.id).status is Status.NEW
    venue.advance(close_ns())
    assert venue.order(day.id).status is Status.EXPIRED
    assert venue.order(day.id).finished_ns == close_ns()
    assert venue.order(gtc.id).status is Status.NEW


def test_a_gtc_order_fills_on_a_later_day() -> None:
    tuesday = DAYS[1]
    market = HandMarket(ticks={tuesday: {"AAA": (95, 89)}})
    venue = make_venue(market, at_ns=tick_ns(3))
    venue.submit(buy(limit="90", time_in_force=TimeInForce.GTC))
    venue.take_events()
    assert fills(venue.advance(close_ns(tuesday))) == [(tick_ns(1, tuesday), D(10), D("89.01"))]


@pytest.mark.wire("rules.day-gtc")
def test_a_gtc_order_is_cancelled_after_ninety_days() -> None:
    venue = make_venue(at_ns=tick_ns(3))
    told = venue.submit(buy(limit="1", time_in_force=TimeInForce.GTC))
    venue.advance(close_ns(MONDAY + timedelta(days=89)))
    assert not venue.order(told.id).status.is_terminal
    venue.advance(close_ns(MONDAY + timedelta(days=92)))
    assert venue.order(told.id).status is Status.CANCELED


def test_an_order_given_after_the_close_waits_for_the_next_day() -> None:
    tuesday = DAYS[1]
    venue = make_venue(at_ns=close_ns() + 1)
    told = venue.submit(buy())
    assert told.status is Status.ACCEPTED
    assert told.expires_ns == close_ns(tuesday)
    assert fills(venue.advance(open_ns(tuesday))) == []
    events = venue.advance(tick_ns(0, tuesday))
    assert fills(events) == [(tick_ns(0, tuesday), D(10), D("100.01"))]


@pytest.mark.wire("rules.waiting")
def test_a_waiting_order_becomes_new_at_four_in_new_york() -> None:
    venue = make_venue(at_ns=close_ns() + 1)
    told = venue.submit(buy())
    venue.take_events()
    events = venue.advance(open_ns(DAYS[1]))
    assert kinds(events) == ["new"]
    assert venue.order(told.id).submitted_ns > told.submitted_ns


def test_weekends_pass_without_a_fill() -> None:
    friday, monday = DAYS[4], DAYS[5]
    venue = make_venue(at_ns=close_ns(friday) + 1)
    venue.submit(buy())
    assert [at for at, _, _ in fills(venue.advance(close_ns(monday)))] == [tick_ns(0, monday)]


@pytest.mark.wire("rules.fractions")
def test_an_order_in_dollars_buys_what_they_pay_for() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(replace(buy(), qty=None, notional=D(50)))
    after = venue.order(told.id)
    assert after.status is Status.FILLED
    assert after.filled_qty == D("0.499950004")
    assert D(50) - after.filled_value_usd < D("0.000001")


def test_the_stream_tells_each_step_of_an_order_once() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="150"))
    events = venue.take_events() + venue.advance(tick_ns(2))
    assert kinds(events) == ["pending_new", "new", "partial_fill", "fill"]
    assert [e.seq for e in events] == [e.seq for e in sorted(events, key=lambda e: e.seq)]
    assert events[-1].kind is EventKind.FILL

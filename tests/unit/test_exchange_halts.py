"""Halts and pauses: nothing trades, nothing is quoted, orders rest, an auction reopens."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from exchange import luld
from exchange.assets import list_assets
from exchange.errors import Refusal
from exchange.halts import Halt
from exchange.instants import MINUTE_NS
from exchange.knobs import Knobs
from exchange.market_data import MarketData
from exchange.orders import Status, TimeInForce
from exchange.records import EventKind
from exchange.tape_view import view_of
from exchange.venue import Venue, VenueConfig
from tests.support.exchanges import (
    DAYS,
    EXACT,
    EXACT_FILLS,
    MONDAY,
    TICKS,
    HandMarket,
    buy,
    close_ns,
    make_venue,
    open_ns,
    sell,
    session_on,
    tick_ns,
)

D = Decimal
TUESDAY = DAYS[1]
RISING = HandMarket(ticks={MONDAY: {"AAA": [100 + n / 10 for n in range(TICKS)]}})


def rising() -> Venue:
    """A venue on prices that rise by ten cents a tick, at the fourth tick ($100.30)."""
    return make_venue(RISING, at_ns=tick_ns(3))


@pytest.mark.wire("rules.halts")
def test_a_halted_symbol_does_not_trade_and_its_price_stands() -> None:
    venue = rising()
    venue.halt("AAA")
    order = venue.submit(buy(qty="10"))
    events = venue.advance(tick_ns(12))
    assert order.status is Status.PENDING_NEW
    assert venue.order(order.id).status is Status.NEW
    assert all(e.execution is None for e in events)
    assert venue.prices.at(venue.now_ns)("AAA") == D("100.3")
    assert venue.prices.at(venue.now_ns)("BBB") == 100


@pytest.mark.wire("rules.halts")
def test_orders_that_rested_meet_the_reopening_auction() -> None:
    venue = rising()
    venue.halt("AAA")
    at_market = venue.submit(buy(qty="10"))
    too_low = venue.submit(buy(qty="10", limit="100.50"))
    venue.advance(tick_ns(9))
    venue.resume("AAA")
    venue.advance(tick_ns(10))
    filled = venue.order(at_market.id)
    assert (filled.status, filled.filled_avg_price) == (Status.FILLED, D(101))
    assert venue.order(too_low.id).status is Status.NEW


def test_a_halt_with_an_end_resumes_by_itself() -> None:
    venue = rising()
    venue.halt("AAA", "LUDP", venue.now_ns + 2 * MINUTE_NS)
    order = venue.submit(buy(qty="10"))
    events = venue.advance(tick_ns(9))
    kinds = [e.kind for e in events if e.halt is not None]
    assert kinds == [EventKind.HALTED, EventKind.RESUMED]
    assert venue.order(order.id).filled_avg_price == D("100.8")


def test_an_immediate_order_in_a_halted_symbol_is_cancelled() -> None:
    venue = rising()
    venue.halt("AAA")
    order = venue.submit(buy(qty="10", time_in_force=TimeInForce.IOC))
    assert venue.order(order.id).status is Status.CANCELED


def test_a_resting_order_can_be_cancelled_while_halted() -> None:
    venue = rising()
    order = venue.submit(buy(qty="10", limit="90"))
    venue.halt("AAA")
    assert venue.cancel(order.id).status is Status.CANCELED


def test_a_stop_is_not_elected_while_halted_but_at_the_reopening() -> None:
    venue = rising()
    venue.submit(buy(qty="10"))
    stop = venue.submit(buy(qty="5", stop="100.60", position_intent=None))
    venue.halt("AAA")
    venue.advance(tick_ns(9))
    assert venue.order(stop.id).status is Status.NEW
    venue.resume("AAA")
    venue.advance(tick_ns(10))
    assert venue.order(stop.id).filled_avg_price == D(101)


def test_a_venue_can_refuse_orders_in_halted_symbols() -> None:
    knobs = replace(EXACT, accepts_orders_when_halted=False)
    venue = make_venue(RISING, at_ns=tick_ns(3), knobs=knobs)
    venue.halt("AAA")
    with pytest.raises(Refusal, match='asset "AAA" is halted'):
        venue.submit(buy(qty="10"))
    venue.submit(buy("BBB"))


def test_halting_twice_is_halting_once() -> None:
    venue = rising()
    venue.halt("AAA", "T1")
    venue.halt("AAA", "T12")
    venue.resume("AAA")
    venue.resume("AAA")
    assert [h.reason for h in venue.register.halts] == ["T1"]


def test_an_unknown_symbol_or_reason_cannot_be_halted() -> None:
    venue = rising()
    with pytest.raises(Refusal, match="asset not found for ZZZ"):
        venue.halt("ZZZ")
    with pytest.raises(ValueError, match="halt reason 'BORED'"):
        venue.halt("AAA", "BORED")


def test_planned_halts_happen_when_they_are_due() -> None:
    planned = Halt(symbol="AAA", from_ns=tick_ns(3), until_ns=tick_ns(6), reason="T1")
    config = VenueConfig(
        seed=7, cash_usd=D(1000), start_ns=open_ns(), knobs=EXACT, halts=(planned,)
    )
    venue = Venue(RISING, list_assets(RISING, {}), config)
    events = venue.advance(close_ns())
    told = [(e.kind, e.at_ns) for e in events if e.halt is not None]
    assert told == [(EventKind.HALTED, tick_ns(3)), (EventKind.RESUMED, tick_ns(6))]


def test_bars_and_ticks_leave_out_what_a_halt_prevented() -> None:
    venue = rising()
    venue.halt("AAA", until_ns=tick_ns(6))
    venue.advance(close_ns())
    data = MarketData(venue.views)
    session = venue.market.calendar.sessions[0]
    block = data.bars.session_block(session, 1, venue.now_ns)
    row = 0
    assert block.close[row].tolist()[:5] == pytest.approx(
        [100.1, 100.3, np.nan, 100.7, 100.9], nan_ok=True
    )
    assert block.volume[row].tolist()[:5] == [2000, 2000, 0, 1000, 2000]
    assert block.open[row, 3] == 100.7
    trades = data.tick_trades("AAA", session_on(MONDAY), (open_ns(), close_ns()))
    quotes = data.tick_quotes("AAA", session_on(MONDAY), (open_ns(), close_ns()))
    assert len(trades) == len(quotes) == TICKS - 3
    assert data.bars.daily(MONDAY, MONDAY, venue.now_ns).volume[row, 0] == 17_000


def test_the_latest_quote_is_the_one_before_the_halt() -> None:
    venue = rising()
    venue.advance(tick_ns(4))
    venue.halt("AAA")
    venue.advance(tick_ns(12))
    quote = MarketData(venue.views).latest_quotes(["AAA"], venue.now_ns)["AAA"]
    assert quote["t"] == "2026-01-05T14:32:29.999Z"
    assert quote["bp"] == 100.39


def test_over_a_close_the_price_stands_until_the_halt_ends() -> None:
    later = HandMarket(
        ticks={MONDAY: {"AAA": [100.0] * 4 + [80.0] * 16}, TUESDAY: {"AAA": (70.0,)}}
    )
    venue = make_venue(later, at_ns=tick_ns(3))
    venue.submit(buy(qty="10"))
    venue.halt("AAA")
    closing = venue.submit(sell(qty="10", time_in_force=TimeInForce.CLS))
    venue.advance(close_ns())
    assert venue.order(closing.id).status is Status.EXPIRED
    assert venue.prices.at(venue.now_ns)("AAA") == 100
    venue.advance(tick_ns(2, TUESDAY))
    assert venue.prices.at(venue.now_ns)("AAA") == 100
    assert venue.prices.lastday(venue.now_ns, has_begun=False)("AAA") == 100
    venue.resume("AAA")
    venue.advance(tick_ns(3, TUESDAY))
    assert venue.prices.at(venue.now_ns)("AAA") == 70


def test_an_order_for_the_open_waits_for_a_late_opening() -> None:
    planned = Halt(symbol="AAA", from_ns=open_ns(), until_ns=tick_ns(5), reason="T1")
    config = VenueConfig(
        seed=7, cash_usd=D(10_000), start_ns=open_ns() - MINUTE_NS, knobs=EXACT, halts=(planned,)
    )
    venue = Venue(RISING, list_assets(RISING, {}), config)
    order = venue.submit(buy(qty="10", time_in_force=TimeInForce.OPG))
    venue.advance(tick_ns(7))
    assert venue.order(order.id).filled_avg_price == D("100.6")


def test_a_killed_venue_comes_back_halted() -> None:
    venue = make_venue(RISING)
    events = venue.advance(tick_ns(3))
    venue.halt("AAA", until_ns=tick_ns(9))
    events += venue.advance(tick_ns(5))
    again = make_venue(RISING)
    again.redo(events)
    again.advance(venue.now_ns)
    assert again.state() == venue.state()
    for both in (venue, again):
        both.submit(buy(qty="10"))
    assert venue.advance(tick_ns(12)) == again.advance(tick_ns(12))


def test_a_halt_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="ends after it begins"):
        Halt(symbol="AAA", from_ns=2, until_ns=1, reason="T1")


def bands_of(*prices: float) -> list[luld.Band]:
    market = HandMarket(ticks={MONDAY: {"AAA": prices}})
    return luld.bands(view_of(market.tape(MONDAY)), 0)


def test_bands_open_five_per_cent_around_the_opening_price_and_follow_one_per_cent_moves() -> None:
    found = bands_of(100, 100, 100, 103, 103, 103, 103, 103)
    assert (found[0].up_usd, found[0].down_usd, found[0].indicator) == (110, 90, "A")
    assert [b.indicator for b in found[1:]] == ["B"] * (len(found) - 1)
    assert found[1].tick == 5
    assert found[1].up_usd == round(101.2 * 1.1, 2)


def test_bands_are_wider_for_cheap_shares() -> None:
    # The last 25 minutes double every band, and a session of ten minutes is all of them.
    two_dollars = HandMarket(flat_usd=2.0)
    band = luld.bands(view_of(two_dollars.tape(MONDAY)), 0)[0]
    assert (band.up_usd, band.down_usd) == (2.8, 1.2)
    cents = HandMarket(flat_usd=0.5)
    band = luld.bands(view_of(cents.tape(MONDAY)), 0)[0]
    assert (band.up_usd, band.down_usd) == (0.8, 0.2)


def test_a_trade_beyond_the_bands_pauses_for_five_minutes_where_bands_are_in_force() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": [100.0] * 5 + [85.0] * 15}})
    knobs = Knobs(fills=EXACT_FILLS, luld_pauses=True)
    venue = make_venue(market, knobs=knobs)
    events = venue.advance(close_ns())
    halts = [e.halt for e in events if e.kind is EventKind.HALTED]
    assert [(h.symbol, h.reason, h.from_ns) for h in halts if h] == [
        ("AAA", "LUDP", tick_ns(5) - 1)
    ]
    assert halts[0] is not None
    assert halts[0].until_ns == tick_ns(5) - 1 + 5 * MINUTE_NS
    played = venue.views.of_day(MONDAY)
    assert played.last[0, :15].tolist() == [100.0] * 15
    found = luld.bands(played, 0)
    assert [b.indicator for b in found] == ["A", "E"]
    assert found[1].tick == 15


def test_a_quiet_symbol_is_never_paused() -> None:
    market = HandMarket()
    assert luld.pauses(view_of(market.tape(MONDAY)), 0) == []


def test_without_bands_nothing_pauses() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": [100.0] * 5 + [85.0] * 15}})
    venue = make_venue(market)
    venue.advance(close_ns() + int(timedelta(hours=1).total_seconds()) * 10**9)
    assert venue.register.halts == []

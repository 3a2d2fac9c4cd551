"""Cancels that take a while: races with fills, shares held meanwhile, and a death in between."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.errors import Refusal
from exchange.knobs import Knobs
from exchange.orders import Status, VenueOrder
from exchange.records import VenueEvent
from exchange.replacing import Replacement
from exchange.venue import Venue
from tests.support.exchanges import (
    EXACT,
    MONDAY,
    PLENTY,
    HandMarket,
    buy,
    close_ns,
    make_venue,
    sell,
    tick_ns,
)

DELAY_S = 45.0
SECOND_NS = 10**9
DUE_NS = tick_ns(0) + round(DELAY_S) * SECOND_NS
"""Between the second tick after the request and the third."""
FALLING = HandMarket(ticks={MONDAY: {"AAA": [100, 98, 96]}})


def waiting(market: HandMarket | None = None, knobs: Knobs = PLENTY) -> Venue:
    return make_venue(market, at_ns=tick_ns(0), knobs=replace(knobs, cancel_delay_s=DELAY_S))


def told(events: list[VenueEvent], order: VenueOrder) -> list[str]:
    return [e.kind.value for e in events if e.order is not None and e.order.id == order.id]


@pytest.mark.wire("update.pending-cancel")
def test_a_cancel_is_pending_and_then_done() -> None:
    venue = waiting()
    order = venue.submit(buy(limit=90))
    assert venue.cancel(order.id).status is Status.PENDING_CANCEL
    assert venue.next_event_ns() == DUE_NS
    venue.advance(DUE_NS - 1)
    assert venue.order(order.id).status is Status.PENDING_CANCEL
    venue.advance(DUE_NS)
    assert venue.order(order.id).status is Status.CANCELED
    assert venue.account.reserved_usd == 0


def test_the_stream_tells_both_steps() -> None:
    venue = waiting()
    order = venue.submit(buy(limit=90))
    venue.cancel(order.id)
    events = venue.take_events() + venue.advance(DUE_NS)
    assert told(events, order) == ["pending_new", "new", "pending_cancel", "canceled"]


def test_an_order_may_fill_before_its_cancel_is_done() -> None:
    venue = waiting(FALLING)
    order = venue.submit(buy(limit="98.50"))
    venue.cancel(order.id)
    events = venue.advance(DUE_NS + SECOND_NS)
    assert venue.order(order.id).status is Status.FILLED
    assert told(events, order)[-1] == "fill"


def test_what_fills_in_part_meanwhile_is_still_going_to_be_cancelled() -> None:
    market = HandMarket(
        ticks={MONDAY: {"AAA": [100, 98, 96]}}, shares={MONDAY: {"AAA": [1000, 30, 1000]}}
    )
    venue = waiting(market, EXACT)
    order = venue.submit(buy(limit="98.50"))
    venue.cancel(order.id)
    venue.advance(DUE_NS - 1)
    half = venue.order(order.id)
    assert (half.status, half.filled_qty) == (Status.PENDING_CANCEL, 3)
    venue.advance(DUE_NS)
    assert venue.order(order.id).status is Status.CANCELED
    assert venue.account.qty("AAA") == 3


def test_shares_are_held_until_the_cancel_is_done() -> None:
    venue = waiting()
    venue.submit(buy(qty="10"))
    offer = venue.submit(sell(qty="10", limit=120))
    venue.cancel(offer.id)
    with pytest.raises(Refusal, match="insufficient qty"):
        venue.submit(sell(qty="10", limit=121))
    venue.advance(DUE_NS)
    venue.submit(sell(qty="10", limit=121))


def test_a_pending_cancel_can_be_asked_for_again_and_not_replaced() -> None:
    venue = waiting()
    order = venue.submit(buy(limit=90))
    first = venue.cancel(order.id)
    venue.advance(DUE_NS - SECOND_NS)
    assert venue.cancel(order.id) == first
    with pytest.raises(Refusal, match="cannot replace order in pending_cancel status"):
        venue.replace(order.id, Replacement(limit_price=Decimal(91)))


def test_a_bracket_ends_when_its_entry_s_cancel_is_done() -> None:
    venue = waiting()
    wish = buy(
        limit=90,
        order_class="bracket",
        take_profit_limit=Decimal(110),
        stop_loss_stop=Decimal(80),
    )
    head = venue.submit(wish)
    venue.cancel(head.id)
    legs = venue.book.by_id[head.id].leg_ids
    assert {venue.order(leg).status for leg in legs} == {Status.HELD}
    venue.advance(DUE_NS)
    assert {venue.order(leg).status for leg in (head.id, *legs)} == {Status.CANCELED}


def test_a_day_order_expires_though_its_cancel_is_pending() -> None:
    venue = waiting()
    order = venue.submit(buy(limit=90))
    venue.advance(close_ns() - SECOND_NS)
    venue.cancel(order.id)
    venue.advance(close_ns() + 3600 * SECOND_NS)
    assert venue.order(order.id).status is Status.EXPIRED
    assert not venue.register.pending_changes


def test_a_killed_venue_finishes_its_cancels() -> None:
    venue = waiting()
    order = venue.submit(buy(limit=90))
    before = venue.state()
    venue.cancel(order.id)
    redone = Venue(venue.market, venue.assets, venue.config, before)
    redone.redo(venue.take_events()[-1:])
    loaded = Venue(venue.market, venue.assets, venue.config, venue.state())
    for again in (redone, loaded):
        again.advance(DUE_NS)
        assert again.order(order.id).status is Status.CANCELED


def test_without_the_knob_a_cancel_is_done_at_once() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    order = venue.submit(buy(limit=90))
    assert venue.cancel(order.id).status is Status.CANCELED

"""Replacements that take a while: races with fills, what they tie up, and a death in between."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.errors import Refusal
from exchange.knobs import Knobs
from exchange.orders import Status, TimeInForce, VenueOrder
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
THIN = HandMarket(
    ticks={MONDAY: {"AAA": [100, 98, 96]}}, shares={MONDAY: {"AAA": [1000, 30, 1000]}}
)


def waiting(market: HandMarket | None = None, knobs: Knobs = PLENTY) -> Venue:
    return make_venue(market, at_ns=tick_ns(0), knobs=replace(knobs, replace_delay_s=DELAY_S))


def told(events: list[VenueEvent], order: VenueOrder) -> list[str]:
    return [e.kind.value for e in events if e.order is not None and e.order.id == order.id]


def lowered(venue: Venue, old: VenueOrder, limit: str = "91") -> VenueOrder:
    return venue.replace(old.id, Replacement(limit_price=Decimal(limit)))


def test_the_old_order_is_pending_and_the_new_one_takes_its_place_when_it_is_due() -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    new = lowered(venue, old)
    assert (new.status, new.replaces) == (Status.PENDING_NEW, old.id)
    assert venue.order(old.id).status is Status.PENDING_REPLACE
    assert venue.next_event_ns() == DUE_NS
    venue.advance(DUE_NS)
    gone = venue.order(old.id)
    assert (gone.status, gone.replaced_by) == (Status.REPLACED, new.id)
    assert venue.order(new.id).status is Status.NEW


@pytest.mark.wire("update.pending-replace")
def test_the_stream_tells_pending_replace_then_replaced_then_the_new_order() -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    new = lowered(venue, old)
    events = venue.take_events() + venue.advance(DUE_NS)
    assert told(events, old) == ["pending_new", "new", "pending_replace", "replaced"]
    assert [kind for kind in told(events, new) if kind != "quiet"] == ["new"]


@pytest.mark.wire("update.replace-loses")
def test_an_order_that_fills_meanwhile_is_not_replaced() -> None:
    venue = waiting(FALLING)
    old = venue.submit(buy(limit="98.50"))
    new = lowered(venue, old)
    events = venue.advance(DUE_NS)
    assert venue.order(old.id).status is Status.FILLED
    refused = venue.order(new.id)
    assert (refused.status, refused.reason != "") == (Status.REJECTED, True)
    assert told(events, old)[-2:] == ["fill", "order_replace_rejected"]
    assert told(events, new)[-1] == "rejected"
    assert (venue.account.reserved_usd, venue.account.qty("AAA")) == (0, 10)


def test_what_fills_in_part_meanwhile_counts_against_the_replacement() -> None:
    venue = waiting(THIN, EXACT)
    old = venue.submit(buy(limit="98.50"))
    new = venue.replace(old.id, Replacement(qty=Decimal(8), limit_price=Decimal(91)))
    venue.advance(DUE_NS - 1)
    half = venue.order(old.id)
    assert (half.status, half.filled_qty) == (Status.PENDING_REPLACE, 3)
    venue.advance(DUE_NS)
    assert (venue.order(new.id).status, venue.order(new.id).qty) == (Status.NEW, 5)


def test_a_replacement_of_less_than_has_filled_meanwhile_is_refused_and_the_old_one_goes_on() -> (
    None
):
    venue = waiting(THIN, EXACT)
    old = venue.submit(buy(limit="98.50"))
    venue.replace(old.id, Replacement(qty=Decimal(3)))
    venue.advance(DUE_NS)
    assert venue.order(old.id).status is Status.PARTIALLY_FILLED


@pytest.mark.parametrize(("limit", "counts"), [("95", "950"), ("85", "900")])
def test_the_larger_of_both_counts_against_buying_power(limit: str, counts: str) -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    lowered(venue, old, limit)
    assert venue.account.reserved_usd == Decimal(counts)
    venue.advance(DUE_NS)
    assert venue.account.reserved_usd == Decimal(limit) * 10


def test_the_larger_of_both_counts_against_the_shares() -> None:
    venue = waiting()
    venue.submit(buy(qty="10"))
    offer = venue.submit(sell(qty="4", limit=120))
    venue.replace(offer.id, Replacement(qty=Decimal(9)))
    with pytest.raises(Refusal, match="insufficient qty"):
        venue.submit(sell(qty="2", limit=121))
    venue.submit(sell(qty="1", limit=121))
    venue.advance(DUE_NS)
    assert venue.account.held["AAA"] == 10


@pytest.mark.wire("update.pending-replace")
def test_an_order_about_to_be_replaced_is_neither_cancelled_nor_replaced_again() -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    new = lowered(venue, old)
    with pytest.raises(Refusal, match='order is already in "pending_replace" state'):
        venue.cancel(old.id)
    with pytest.raises(Refusal, match="order already pending replacement"):
        lowered(venue, old, "92")
    with pytest.raises(Refusal, match="cannot replace order in pending_new status"):
        lowered(venue, new, "92")


def test_cancelling_the_replacement_lets_the_old_order_stand() -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    new = lowered(venue, old)
    venue.cancel(new.id)
    assert told(venue.take_events(), old)[-1] == "order_replace_rejected"
    venue.advance(DUE_NS + SECOND_NS)
    assert venue.order(old.id).status is Status.NEW
    assert venue.account.reserved_usd == 900


def test_cancelling_everything_ends_both() -> None:
    venue = waiting()
    lowered(venue, venue.submit(buy(limit=90)))
    venue.cancel_all()
    assert venue.book.open_orders() == []
    assert not venue.register.pending_changes


def test_a_chain_is_counted_from_when_the_replacement_took_effect() -> None:
    venue = waiting()
    new = lowered(venue, venue.submit(buy(limit=90)))
    venue.advance(DUE_NS + 2 * SECOND_NS)
    with pytest.raises(Refusal, match="order chain not fully replaced"):
        lowered(venue, new, "92")
    venue.advance(DUE_NS + 3 * SECOND_NS)
    lowered(venue, new, "92")


def test_a_bracket_s_exits_follow_an_entry_that_is_replaced_late() -> None:
    venue = waiting(FALLING)
    wish = buy(
        limit=90,
        order_class="bracket",
        take_profit_limit=Decimal(110),
        stop_loss_stop=Decimal(80),
    )
    head = venue.submit(wish)
    legs = head.leg_ids
    new = lowered(venue, head, "97")
    assert {venue.order(leg).status for leg in legs} == {Status.HELD}
    venue.advance(DUE_NS + 60 * SECOND_NS)
    entry = venue.order(new.id)
    assert (entry.status, entry.leg_ids) == (Status.FILLED, legs)
    assert [venue.order(leg).status for leg in legs] == [Status.NEW, Status.HELD]


def test_an_entry_that_fills_before_its_replacement_keeps_its_exits() -> None:
    venue = waiting(FALLING)
    wish = buy(
        limit="98.50",
        order_class="bracket",
        take_profit_limit=Decimal(110),
        stop_loss_stop=Decimal(80),
    )
    head = venue.submit(wish)
    new = lowered(venue, head)
    venue.advance(DUE_NS)
    assert venue.order(new.id).status is Status.REJECTED
    assert [venue.order(leg).status for leg in head.leg_ids] == [Status.NEW, Status.HELD]


def test_an_order_that_expires_first_is_not_replaced() -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    venue.advance(close_ns() - SECOND_NS)
    new = venue.replace(old.id, Replacement(time_in_force=TimeInForce.GTC))
    venue.advance(close_ns() + 3600 * SECOND_NS)
    assert venue.order(old.id).status is Status.EXPIRED
    assert venue.order(new.id).status is Status.REJECTED
    assert not venue.register.pending_changes


def test_a_killed_venue_finishes_its_replacements() -> None:
    venue = waiting()
    old = venue.submit(buy(limit=90))
    before = venue.state()
    venue.take_events()
    new = lowered(venue, old, "95")
    redone = Venue(venue.market, venue.assets, venue.config, before)
    redone.redo(venue.take_events())
    loaded = Venue(venue.market, venue.assets, venue.config, venue.state())
    for again in (redone, loaded):
        assert again.account.reserved_usd == 950
        again.advance(DUE_NS)
        assert again.order(old.id).status is Status.REPLACED
        assert again.order(new.id).status is Status.NEW


def test_without_the_knob_a_replacement_is_done_at_once() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    old = venue.submit(buy(limit=90))
    new = lowered(venue, old)
    assert venue.order(old.id).status is Status.REPLACED
    assert venue.order(new.id).status is Status.NEW

"""What becomes of orders and trades on rare occasions: by a fate, over a night, at a close."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.admission import Configuration
from exchange.errors import Refusal
from exchange.fates import RARE, Fate
from exchange.knobs import Knobs
from exchange.orders import Status, TimeInForce, VenueOrder
from exchange.records import EventKind, VenueEvent
from exchange.replacing import Replacement
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

SECOND_NS = 10**9
EVENING_NS = close_ns() + 3600 * SECOND_NS
FALLING = HandMarket(ticks={MONDAY: {"AAA": [100, 98, 96]}})
D = Decimal


def told(events: list[VenueEvent], order: VenueOrder) -> list[str]:
    return [e.kind.value for e in events if e.order is not None and e.order.id == order.id]


def rested(market: HandMarket | None = None, knobs: Knobs = PLENTY) -> tuple[Venue, VenueOrder]:
    """A venue and a bid of ten at 98.50 for as long as it takes."""
    venue = make_venue(market, at_ns=tick_ns(0), knobs=knobs)
    order = venue.submit(buy(limit="98.50", time_in_force=TimeInForce.GTC))
    venue.take_events()
    return venue, order


@pytest.mark.wire("update.rejected")
def test_an_order_may_be_rejected_after_it_was_taken() -> None:
    venue, order = rested()
    venue.fates.turn(order.id, Fate.REJECTED)
    assert told(venue.take_events(), order) == ["rejected"]
    rejected = venue.order(order.id)
    assert rejected.status is Status.REJECTED
    assert rejected.reason
    assert venue.account.reserved_usd == 0


def test_a_rejected_entry_takes_its_exits_with_it() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    wish = buy(
        limit=90,
        order_class="bracket",
        take_profit_limit=D(110),
        stop_loss_stop=D(80),
    )
    head = venue.submit(wish)
    venue.fates.turn(head.id, Fate.REJECTED)
    assert venue.book.open_orders() == []


@pytest.mark.wire("update.rare")
@pytest.mark.parametrize("status", sorted(RARE))
def test_a_rare_status_keeps_what_the_order_ties_up_and_ends_with_the_night(status: Status) -> None:
    venue, order = rested()
    venue.fates.turn(order.id, Fate(status.value))
    assert venue.order(order.id).status is status
    assert venue.account.reserved_usd == 985
    venue.advance(open_ns(DAYS[1]))
    assert venue.order(order.id).status is Status.NEW


@pytest.mark.parametrize(
    ("fate", "fills"),
    [
        (Fate.STOPPED, True),
        (Fate.ACCEPTED_FOR_BIDDING, True),
        (Fate.SUSPENDED, False),
        (Fate.PENDING_REVIEW, False),
        (Fate.DONE_FOR_DAY, False),
        (Fate.CALCULATED, False),
    ],
)
def test_some_rare_statuses_trade_and_others_do_not(fate: Fate, fills: bool) -> None:
    venue, order = rested(FALLING)
    venue.fates.turn(order.id, fate)
    venue.advance(tick_ns(4))
    assert (venue.order(order.id).status is Status.FILLED) == fills


@pytest.mark.wire("update.rare")
@pytest.mark.parametrize(
    ("fate", "event"),
    [
        (Fate.STOPPED, "stopped"),
        (Fate.SUSPENDED, "suspended"),
        (Fate.DONE_FOR_DAY, "done_for_day"),
        (Fate.CALCULATED, "calculated"),
        (Fate.RESTATED, "restated"),
        (Fate.ACCEPTED_FOR_BIDDING, "quiet"),
    ],
)
def test_the_stream_tells_a_rare_status_by_its_name(fate: Fate, event: str) -> None:
    venue, order = rested()
    venue.fates.turn(order.id, fate)
    assert told(venue.take_events(), order) == [event]


def test_a_suspended_order_works_again_when_it_is_let() -> None:
    venue, order = rested(FALLING)
    venue.fates.turn(order.id, Fate.SUSPENDED)
    venue.fates.resume(order.id, Fate.SUSPENDED)
    assert told(venue.take_events(), order) == ["suspended", "new"]
    venue.advance(tick_ns(4))
    assert venue.order(order.id).status is Status.FILLED


def test_a_finished_order_has_no_fate() -> None:
    venue, order = rested()
    venue.cancel(order.id)
    venue.take_events()
    for fate in Fate:
        venue.fates.turn(order.id, fate)
    assert venue.take_events() == []


def test_a_rare_status_can_be_cancelled_and_not_replaced() -> None:
    venue, order = rested()
    venue.fates.turn(order.id, Fate.SUSPENDED)
    with pytest.raises(Refusal, match="cannot replace order in suspended status"):
        venue.replace(order.id, Replacement(limit_price=D(97)))
    assert venue.cancel(order.id).status is Status.CANCELED


@pytest.mark.wire("update.done-for-day")
def test_a_gtc_order_is_done_for_the_day_at_the_close_where_that_is_wished() -> None:
    venue, order = rested(knobs=replace(PLENTY, done_for_day_at_close=True))
    assert told(venue.advance(EVENING_NS), order) == ["done_for_day"]
    assert venue.order(order.id).status is Status.DONE_FOR_DAY
    assert told(venue.advance(open_ns(DAYS[1])), order) == ["new"]


def test_a_gtc_order_goes_on_over_the_night_without_a_word_by_default() -> None:
    venue, order = rested()
    assert told(venue.advance(open_ns(DAYS[1])), order) == []


JUDGING = replace(PLENTY, judges_waiting_orders=True)


@pytest.mark.wire("update.rejected")
@pytest.mark.parametrize(
    ("forbids", "reason"),
    [
        (Configuration(no_shorting=True), "account is not allowed to short"),
        (Configuration(is_blocked=True), "account is not authorized to trade"),
        (Configuration(suspend_trade=True), "new orders are rejected by user request"),
    ],
)
def test_an_order_that_waited_is_rejected_when_it_may_not_be_any_more(
    forbids: Configuration, reason: str
) -> None:
    venue = make_venue(at_ns=EVENING_NS, knobs=JUDGING)
    short = venue.submit(sell(limit=100))
    assert short.status is Status.ACCEPTED
    venue.configure(forbids)
    events = venue.advance(open_ns(DAYS[1]))
    assert told(events, short)[-1] == "rejected"
    assert venue.order(short.id).reason == reason


def test_an_order_that_waited_is_rejected_when_the_day_has_cost_its_buying_power() -> None:
    slump = HandMarket(ticks={MONDAY: {"AAA": [100, 20]}, DAYS[1]: {"AAA": [20]}})
    venue = make_venue(slump, at_ns=tick_ns(0), knobs=JUDGING, cash_usd=D(10_000))
    venue.submit(buy(qty="80"))
    venue.advance(EVENING_NS)
    late = venue.submit(buy("BBB", qty="250", limit=100))
    venue.advance(open_ns(DAYS[1]))
    assert (venue.order(late.id).status, venue.order(late.id).reason) == (
        Status.REJECTED,
        "insufficient buying power",
    )


def test_an_order_that_waited_works_when_all_is_still_there() -> None:
    venue = make_venue(at_ns=EVENING_NS, knobs=JUDGING)
    order = venue.submit(buy(limit=90))
    venue.advance(open_ns(DAYS[1]))
    assert venue.order(order.id).status is Status.NEW


def test_waiting_orders_are_not_judged_again_by_default() -> None:
    venue = make_venue(at_ns=EVENING_NS)
    order = venue.submit(buy(limit=90))
    venue.configure(Configuration(is_blocked=True))
    venue.advance(open_ns(DAYS[1]))
    assert venue.order(order.id).status is Status.NEW


def bought(qty: str = "10") -> tuple[Venue, VenueOrder]:
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    order = venue.submit(buy(qty=qty))
    venue.take_events()
    return venue, order


@pytest.mark.wire("update.trade-bust")
def test_a_busted_trade_gives_shares_and_money_back_and_leaves_the_status() -> None:
    venue, order = bought()
    (execution,) = venue.register.executions
    venue.fates.bust(execution.id)
    (event,) = venue.take_events()
    assert event.execution is not None
    assert (event.kind, event.execution.undoes) == (EventKind.TRADE_BUST, execution.id)
    assert (event.execution.qty, event.execution.position_qty) == (10, 0)
    after = venue.order(order.id)
    assert (after.status, after.filled_qty, after.filled_value_usd) == (Status.FILLED, 0, 0)
    assert (venue.account.cash, venue.account.qty("AAA")) == (100_000, 0)
    assert venue.register.standing() == []


@pytest.mark.wire("update.trade-correct")
def test_a_corrected_trade_has_another_price_and_another_id() -> None:
    venue, order = bought()
    (execution,) = venue.register.executions
    venue.fates.correct(execution.id, 1.02)
    (_, event) = venue.take_events()
    price = (execution.price_usd * D("1.02")).quantize(D("0.01"))
    assert event.kind is EventKind.TRADE_CORRECT
    assert event.execution is not None
    assert (event.execution.corrects, event.execution.price_usd) == (execution.id, price)
    assert event.execution.id != execution.id
    assert venue.account.cash == 100_000 - 10 * price
    assert venue.account.holdings["AAA"].average_entry_usd == price
    assert venue.order(order.id).filled_avg_price == price
    assert [e.price_usd for e in venue.register.standing()] == [price]


def test_what_was_sold_on_or_is_offered_is_not_taken_back() -> None:
    venue, _ = bought()
    (execution,) = venue.register.executions
    offer = venue.submit(sell(qty="1", limit=120))
    venue.fates.bust(execution.id)
    assert venue.account.qty("AAA") == 10
    venue.cancel(offer.id)
    venue.submit(sell(qty="10"))
    venue.fates.bust(execution.id)
    assert venue.account.qty("AAA") == 0


def test_a_busted_sale_gives_the_shares_back() -> None:
    venue, _ = bought()
    venue.submit(sell(qty="10"))
    cash = venue.account.cash
    sale = venue.register.executions[-1]
    venue.fates.bust(sale.id)
    assert venue.account.qty("AAA") == 10
    assert venue.account.cash == cash - 10 * sale.price_usd


def test_a_trade_is_taken_back_once_and_on_its_own_day() -> None:
    venue, _ = bought()
    (execution,) = venue.register.executions
    venue.advance(tick_ns(0, DAYS[1]))
    venue.fates.bust(execution.id)
    venue.fates.correct(execution.id, 1.5)
    assert venue.register.executions == [execution]
    venue.submit(buy(qty="1"))
    last = venue.register.executions[-1]
    venue.fates.bust(last.id)
    venue.fates.bust(last.id)
    assert len(venue.register.executions) == 3


def test_a_killed_venue_knows_what_was_taken_back() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=EXACT)
    before = venue.state()
    venue.take_events()
    venue.submit(buy(qty="10"))
    venue.submit(buy(qty="20"))
    first, second = venue.register.executions
    venue.fates.bust(first.id)
    venue.fates.correct(second.id, 1.1)
    redone = Venue(venue.market, venue.assets, venue.config, before)
    redone.redo(venue.take_events())
    loaded = Venue(venue.market, venue.assets, venue.config, venue.state())
    assert redone.state() == venue.state()
    for again in (redone, loaded):
        assert again.register.standing() == venue.register.standing()

"""An order's news and fills in the engine: booked once, counted as held, priced anew once."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from daemon.engine.commands import CancelOrder, SubmitOrder
from daemon.engine.rules import OrderStyle
from domain.events import (
    Action,
)
from domain.instruments import Symbol
from domain.orders import (
    EXTERNAL,
    ApprovedOrder,
    AtLimit,
    AtMarket,
    Leg,
    OrderStatus,
    Side,
    TimeInForce,
)
from domain.snapshot import Outcome, TradingState
from state.records import Decided, Filled
from tests.support.engines import NAN, A, B, Desk, a_desk, entry, ready, recorded

LONG_A = (1.0, NAN, NAN)
HOURS = 1e5
"""Patience without end, in seconds."""


def desk_with_an_order(
    says: tuple[float, ...] = LONG_A, **rules: Any
) -> tuple[Desk, ApprovedOrder]:
    """A desk whose order for AAA, 100 shares, works at the venue."""
    desk = ready(Desk(says={"one": says}, **rules))
    desk.slot(desk.next_slot())
    return desk, desk.work(desk.sent[0])


def repriced(desk: Desk, order: ApprovedOrder) -> list[ApprovedOrder]:
    """Let patience run out and the cancel arrive; return what is sent for it."""
    before = len(desk.sent)
    desk.wait(16).poll(**desk.mids())
    desk.tell(order, OrderStatus.CANCELED, desk.order(order).filled_shares)
    return desk.sent[before:]


# --- the order as it is meant --------------------------------------------------------------------


def test_an_entry_is_a_limit_through_the_touch_inside_the_collar() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    intent = desk.sent[0].intent
    assert intent.terms == AtLimit(Decimal("100.11"))
    assert intent.reference_usd == 100


def test_patient_entries_join_the_near_side() -> None:
    desk = ready(Desk(says={"one": LONG_A}, order_style=OrderStyle.LIMIT))
    desk.slot(desk.next_slot())
    assert desk.sent[0].intent.terms == AtLimit(Decimal("99.99"))


def test_entries_may_be_at_the_market_and_good_till_cancelled() -> None:
    desk = ready(
        Desk(says={"one": LONG_A}, order_style=OrderStyle.MARKET, time_in_force=TimeInForce.GTC)
    )
    desk.slot(desk.next_slot())
    intent = desk.sent[0].intent
    assert (intent.terms, intent.time_in_force) == (AtMarket(), TimeInForce.GTC)


def test_books_share_an_order_by_what_they_want_of_it() -> None:
    desk = ready(Desk({"one": entry(), "two": entry(weight=3.0)}))
    desk.says = {"one": LONG_A, "two": LONG_A}
    desk.slot(desk.next_slot())
    assert desk.sent[0].intent.deltas == {"one": 25, "two": 75}


def test_books_that_want_opposite_things_cross_inside_without_an_order() -> None:
    desk = ready(Desk({"one": entry(), "two": entry()}))
    desk.says = {"one": LONG_A, "two": (0.0, NAN, NAN)}
    desk.slot(desk.next_slot())
    desk.fill_all()
    desk.says = {"one": (0.0, NAN, NAN), "two": LONG_A}
    desk.slot(desk.next_slot())
    books = desk.memory.portfolio.books
    assert len(desk.sent) == 1
    assert (books["one"].shares(A), books["two"].shares(A)) == (0, 50)
    assert desk.books_match()


def test_ids_differ_by_the_orders_that_ended_before() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    desk.slot(desk.next_slot())
    slots = {o.intent.slot_at for o in desk.sent}
    assert len(slots) == 2
    first = desk.engine.core.identity(A, order.intent.slot_at, Leg.OPEN)
    assert first not in {o.intent.client_order_id for o in desk.sent}


def test_an_id_is_the_same_as_long_as_its_order_has_not_ended() -> None:
    desk, order = desk_with_an_order()
    again = desk.engine.core.identity(A, order.intent.slot_at, Leg.OPEN)
    assert again == order.intent.client_order_id


def test_ids_go_on_counting_in_a_new_process() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    slot_at = order.intent.slot_at
    expected = desk.engine.core.identity(A, slot_at, Leg.OPEN)
    assert desk.restarted().engine.core.identity(A, slot_at, Leg.OPEN) == expected


# --- working counts as held ----------------------------------------------------------------------


def test_no_second_order_while_one_works() -> None:
    desk, _ = desk_with_an_order()
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    assert desk.decision.outcomes[A].outcome is Outcome.WORKING


def test_an_approved_order_counts_as_working_before_it_is_sent() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1


def test_no_second_order_after_a_restart_while_one_works() -> None:
    desk, _ = desk_with_an_order()
    fresh = ready(desk.restarted())
    fresh.slot(fresh.next_slot())
    assert not fresh.sent


def test_shares_reported_filled_and_not_booked_yet_still_count() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED, 60)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    desk.fill(order, 60)
    assert desk.held() == 60
    desk.slot(desk.next_slot())
    desk.fill_all()
    assert desk.held() == 100


def test_a_changed_wish_cancels_what_works_before_anything_else_is_ordered() -> None:
    desk, order = desk_with_an_order(reprice_after_s=HOURS)
    desk.says["one"] = (-1.0, NAN, NAN)
    commands = desk.slot(desk.next_slot())
    assert [c.client_order_id for c in commands if isinstance(c, CancelOrder)] == [
        order.intent.client_order_id
    ]
    assert not [c for c in commands if isinstance(c, SubmitOrder)]
    assert desk.decision.outcomes[A].outcome is Outcome.CANCELED_FIRST


def test_a_cancel_is_asked_for_once() -> None:
    desk, _ = desk_with_an_order(reprice_after_s=HOURS)
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    desk.slot(desk.next_slot())
    assert len(desk.cancels) == 1


# --- fills ---------------------------------------------------------------------------------------


def test_a_fill_is_booked_and_recorded() -> None:
    desk, order = desk_with_an_order()
    fill = desk.a_fill(order)
    commands = desk.book(fill)
    assert desk.held() == 100
    assert desk.memory.portfolio.cash_usd == 90_000
    assert [f for f in recorded(commands) if type(f) is Filled] == [Filled(fill=fill)]


def test_a_fill_heard_twice_is_booked_once() -> None:
    desk, order = desk_with_an_order()
    fill = desk.fill(order, 40)
    assert desk.book(fill) == []
    assert desk.held() == 40
    assert desk.order(order).filled_shares == 40
    assert desk.memory.counters["fills"] == 1


def test_a_fill_heard_again_after_a_restart_is_booked_once() -> None:
    desk, order = desk_with_an_order()
    fill = desk.fill(order, 40)
    fresh = desk.restarted()
    assert fresh.book(fill) == []
    assert fresh.held() == 40


def test_a_fill_before_the_acknowledgement_is_booked() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.sent[0]
    desk.start(order)
    desk.fill(order, 100)
    desk.tell(order, OrderStatus.WORKING)
    assert desk.held() == 100
    assert desk.order(order).status is OrderStatus.FILLED
    assert not desk.memory.working


def test_a_fill_after_the_end_of_its_order_is_booked_to_its_books() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED, 30)
    desk.fill(order, 30)
    assert desk.memory.portfolio.books["one"].shares(A) == 30
    assert desk.order(order).status is OrderStatus.CANCELED
    assert desk.order(order).unbooked_shares == 0


def test_a_fill_of_an_order_that_is_not_ours_is_external() -> None:
    desk, order = desk_with_an_order()
    desk.book(replace(desk.a_fill(order, 7), client_order_id="by-hand"))
    assert desk.memory.portfolio.books[EXTERNAL].shares(A) == 7
    assert desk.books_match()
    assert desk.memory.counters["external_fills"] == 1


def test_an_execution_in_our_name_that_nothing_here_decided_halts() -> None:
    """The state was an old backup, or another Tradewind trades the account: the position was taken
    for somebody's, and bought once more by those who held it already."""
    desk, order = desk_with_an_order()
    stranger = order.intent.client_order_id[:-1] + "7"
    desk.book(replace(desk.a_fill(order, 7), client_order_id=stranger))
    assert desk.memory.trading.state is TradingState.HALTED
    assert stranger in desk.memory.trading.evidence
    assert desk.books_match()


def test_shares_beyond_an_order_are_external() -> None:
    desk, order = desk_with_an_order()
    desk.fill(order, 100)
    desk.fill(order, 5)
    books = desk.memory.portfolio.books
    assert (books["one"].shares(A), books[EXTERNAL].shares(A)) == (100, 5)
    assert desk.books_match()


@pytest.mark.parametrize(
    "change", [{"symbol": B}, {"side": Side.SELL}], ids=["another symbol", "another side"]
)
def test_a_fill_that_cannot_be_its_orders_is_external_and_quarantines(
    change: dict[str, object],
) -> None:
    desk, order = desk_with_an_order()
    odd = replace(desk.a_fill(order, 5), **change)  # type: ignore[arg-type]
    desk.book(odd)
    assert desk.memory.portfolio.books[EXTERNAL].shares(odd.symbol) == odd.signed_shares
    assert A in desk.memory.quarantined
    assert desk.order(order).filled_shares == 0
    assert desk.books_match()


def test_partial_fills_go_to_the_books_in_parts() -> None:
    desk = ready(Desk({"one": entry(), "two": entry(weight=3.0)}))
    desk.says = {"one": LONG_A, "two": LONG_A}
    desk.slot(desk.next_slot())
    order = desk.work(desk.sent[0])
    desk.fill(order, 50)
    books = desk.memory.portfolio.books
    assert abs(books["one"].shares(A) - Decimal("12.5")) <= Decimal("0.5")
    desk.fill(order, 50)
    books = desk.memory.portfolio.books
    assert (books["one"].shares(A), books["two"].shares(A)) == (25, 75)


def test_the_last_share_finishes_the_order() -> None:
    desk, order = desk_with_an_order()
    desk.fill(order, 99)
    assert desk.order(order).status is OrderStatus.PARTIALLY_FILLED
    desk.fill(order, 1)
    assert desk.order(order).status is OrderStatus.FILLED


def test_getting_in_and_out_is_noted_for_the_minimum_hold() -> None:
    desk, order = desk_with_an_order()
    desk.fill(order)
    assert desk.memory.entered_at == {A: desk.now}
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    desk.fill_all()
    assert desk.memory.entered_at == {}
    assert A not in desk.memory.marks


def test_fills_count_toward_the_days_turnover_but_exits_do_not() -> None:
    desk, order = desk_with_an_order()
    desk.fill(order)
    assert desk.memory.turnover_on(desk.now.date()) == 10_000
    desk.poll(AAA=90)
    desk.wait(1).poll(AAA=90)
    desk.fill_all(price=90)
    assert desk.held() == 0
    assert desk.memory.turnover_on(desk.now.date()) == 10_000


# --- pricing anew --------------------------------------------------------------------------------


def test_an_order_that_does_not_fill_in_time_is_canceled_to_be_priced_anew() -> None:
    desk, order = desk_with_an_order()
    assert not [c for c in desk.wait(14).poll() if isinstance(c, CancelOrder)]
    (asked,) = [c for c in desk.wait(1).poll() if isinstance(c, CancelOrder)]
    assert asked.client_order_id == order.intent.client_order_id
    assert asked.venue_order_id
    assert desk.wait(5).poll() == []


def test_what_is_left_is_sent_with_the_deltas_that_are_left() -> None:
    desk = ready(Desk({"one": entry(), "two": entry(weight=3.0)}))
    desk.says = {"one": LONG_A, "two": LONG_A}
    desk.slot(desk.next_slot())
    order = desk.work(desk.sent[0])
    desk.fill(order, 60)
    got = {n: b.shares(A) for n, b in desk.memory.portfolio.books.items()}
    (again,) = repriced(desk, order)
    assert again.intent.quantity_shares == 40
    assert again.intent.deltas == {"one": 25 - got["one"], "two": 75 - got["two"]}
    desk.fill_all()
    books = desk.memory.portfolio.books
    assert (books["one"].shares(A), books["two"].shares(A)) == (25, 75)


def test_the_second_try_has_another_id_and_is_recorded_first() -> None:
    desk, order = desk_with_an_order()
    (again,) = repriced(desk, order)
    assert again.intent.client_order_id != order.intent.client_order_id
    assert again.intent.slot_at == order.intent.slot_at
    last = desk.facts(Decided)[-1]
    assert [o.intent for o in last.orders] == [again.intent]
    assert last.orders[0].repricings == 1


def test_the_second_try_is_priced_on_the_quote_of_then() -> None:
    desk, order = desk_with_an_order()
    desk.wait(1).poll(AAA=100.05)
    (again,) = repriced(desk, order)
    assert again.intent.terms == AtLimit(Decimal("100.16"))


def test_an_order_is_priced_anew_once_and_then_given_up() -> None:
    desk, order = desk_with_an_order()
    (again,) = repriced(desk, order)
    assert repriced(desk, desk.work(again)) == []
    assert desk.memory.counters["orders_given_up"] == 1


def test_an_order_whose_price_ran_away_is_given_up_at_once() -> None:
    desk, order = desk_with_an_order()
    desk.wait(1).poll(AAA=101)
    assert repriced(desk, order) == []


def test_an_order_canceled_for_another_reason_is_not_sent_again() -> None:
    desk, order = desk_with_an_order(reprice_after_s=HOURS)
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    desk.tell(order, OrderStatus.CANCELED)
    assert len(desk.sent) == 1


def test_a_wish_that_changes_while_the_cancel_is_on_its_way_stops_the_second_try() -> None:
    desk, order = desk_with_an_order()
    desk.wait(16).poll()
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    desk.tell(order, OrderStatus.CANCELED)
    assert len(desk.sent) == 1


def test_the_operators_cancel_all_stops_the_second_try() -> None:
    desk, order = desk_with_an_order()
    desk.wait(16).poll()
    desk.ask(Action.CANCEL_ALL)
    desk.tell(order, OrderStatus.CANCELED)
    assert len(desk.sent) == 1


def test_an_order_that_filled_before_its_cancel_arrived_is_not_sent_again() -> None:
    desk, order = desk_with_an_order()
    desk.wait(16).poll()
    desk.fill(order)
    desk.tell(order, OrderStatus.FILLED, 100)
    assert len(desk.sent) == 1
    assert desk.held() == 100


def test_pricing_anew_waits_for_fills_that_were_reported_and_not_heard_yet() -> None:
    desk, order = desk_with_an_order()
    desk.wait(16).poll()
    desk.tell(order, OrderStatus.CANCELED, 70)
    assert len(desk.sent) == 1
    desk.fill(order, 70)
    assert [o.intent.quantity_shares for o in desk.sent[1:]] == [30]


def test_a_second_try_passes_the_gate() -> None:
    desk, order = desk_with_an_order()
    desk.wait(16).poll()
    desk.memory.quarantined[A] = "in doubt"
    desk.tell(order, OrderStatus.CANCELED)
    assert len(desk.sent) == 1
    assert desk.decision.outcomes[A].outcome is Outcome.DENIED


def test_what_a_decision_said_of_other_symbols_still_stands_after_pricing_anew() -> None:
    desk, order = desk_with_an_order()
    repriced(desk, order)
    assert set(desk.decision.outcomes) == {A, B, Symbol("CCC")}

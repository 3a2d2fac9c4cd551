"""From when executions may be missing, and which orders must be asked about."""

from dataclasses import replace
from datetime import timedelta

from daemon.comparing import FILLS_OVERLAP
from daemon.memory import Memory
from daemon.settling import doubtful_orders, fills_wanted_since, live_orders
from domain.instruments import Symbol
from domain.orders import Order, OrderStatus
from domain.snapshot import RECENT_FILLS_MAX, Snapshot
from tests.support.orders import NOON, a_fill, a_snapshot, an_intent, an_order, shares

LATER, SAVED = NOON + timedelta(minutes=5), NOON + timedelta(hours=1)


def saved(**changes: object) -> Snapshot:
    return replace(a_snapshot(), saved_at=SAVED, **changes)


def a_memory(*orders: Order) -> Memory:
    return Memory.of(a_snapshot(orders=orders), (Symbol("AAPL"),))


def test_with_nothing_open_nothing_is_missing_since_the_last_fill() -> None:
    snapshot = saved(fills=(a_fill(), a_fill(filled_at=LATER)))
    assert fills_wanted_since(snapshot) == LATER - FILLS_OVERLAP


def test_a_working_order_may_have_filled_since_it_was_intended() -> None:
    working = an_order(OrderStatus.WORKING, intent=an_intent(intended_at=NOON))
    snapshot = saved(fills=(a_fill(filled_at=LATER),), orders=(working,))
    assert fills_wanted_since(snapshot) == NOON - FILLS_OVERLAP


def test_a_finished_order_with_shares_not_booked_counts_as_open() -> None:
    finished = an_order(
        OrderStatus.FILLED, intent=an_intent(intended_at=NOON), reported_shares=shares(10)
    )
    snapshot = saved(fills=(a_fill(filled_at=LATER),), orders=(finished,))
    assert fills_wanted_since(snapshot) == NOON - FILLS_OVERLAP


def test_saving_again_without_asking_the_venue_forgets_no_fill() -> None:
    working = an_order(OrderStatus.WORKING, intent=an_intent(intended_at=NOON))
    first = saved(orders=(working,))
    again = replace(first, saved_at=SAVED + timedelta(days=1))
    assert fills_wanted_since(again) == fills_wanted_since(first)


def test_a_book_in_which_nothing_ever_happened_is_complete_as_saved() -> None:
    assert fills_wanted_since(saved(fills=(), orders=())) == SAVED - FILLS_OVERLAP


def test_executions_older_than_those_remembered_are_not_asked_for_again() -> None:
    working = an_order(OrderStatus.WORKING, intent=an_intent(intended_at=NOON))
    fills = tuple(
        a_fill(fill_id=f"f{n}", filled_at=LATER + timedelta(seconds=n))
        for n in range(RECENT_FILLS_MAX)
    )
    # Of those before the oldest remembered one nobody could tell whether they are booked.
    assert fills_wanted_since(saved(fills=fills, orders=(working,))) > LATER


def test_only_what_the_venue_has_acknowledged_is_live() -> None:
    memory = a_memory(
        an_order(OrderStatus.SUBMITTING, intent=an_intent(client_order_id="tw1-sent")),
        an_order(
            OrderStatus.WORKING, intent=an_intent(client_order_id="tw1-works"), venue_order_id="v1"
        ),
    )
    assert live_orders(memory) == ["tw1-works"]
    assert doubtful_orders(memory) == ["tw1-sent"]


def test_an_order_being_canceled_is_in_doubt_though_acknowledged() -> None:
    canceling = an_order(OrderStatus.CANCELING, venue_order_id="v1", cancel_requested_at=NOON)
    assert doubtful_orders(a_memory(canceling)) == ["tw1-a"]

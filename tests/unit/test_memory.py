"""What the engine keeps of finished orders."""

from dataclasses import replace
from datetime import timedelta

from daemon.memory import Memory
from domain.instruments import Symbol
from domain.orders import Order, OrderStatus
from domain.snapshot import FINISHED_ORDERS_MAX
from tests.support.orders import a_snapshot, an_order


def _order(number: int, status: OrderStatus) -> Order:
    order = an_order()
    identity = f"tw1-{number:06d}"
    slot_at = order.intent.slot_at + timedelta(minutes=number)
    intent = replace(order.intent, client_order_id=identity, slot_at=slot_at)
    return replace(order, intent=intent, status=status)


def test_the_last_orders_to_end_are_kept_however_early_they_began() -> None:
    """Seed 2008: the oldest working order ended, was dropped at once, and its record with it."""
    memory = Memory.of(a_snapshot(), (Symbol("AAPL"),))
    memory.remember(_order(0, OrderStatus.WORKING))
    for number in range(1, FINISHED_ORDERS_MAX + 10):
        memory.remember(_order(number, OrderStatus.CANCELED))
    ended = _order(0, OrderStatus.CANCELED)
    memory.remember(ended)
    intent = ended.intent
    assert memory.orders[intent.client_order_id] == ended
    assert memory.finished_on(intent.symbol, intent.slot_at, intent.leg) == 1


def test_an_order_whose_last_fills_came_after_its_end_is_the_last_of_the_finished_ones() -> None:
    memory = Memory.of(a_snapshot(), (Symbol("AAPL"),))
    ended = _order(0, OrderStatus.FILLED)
    memory.remember(replace(ended, reported_shares=ended.intent.quantity_shares))
    for number in range(1, FINISHED_ORDERS_MAX + 10):
        memory.remember(_order(number, OrderStatus.CANCELED))
    booked = replace(ended, filled_shares=ended.intent.quantity_shares)
    memory.remember(booked)
    assert list(memory.orders)[-1] == ended.intent.client_order_id


def test_an_order_that_waits_for_fills_after_its_end_is_not_among_those_dropped() -> None:
    memory = Memory.of(a_snapshot(), (Symbol("AAPL"),))
    ended = _order(0, OrderStatus.CANCELED)
    memory.remember(ended)
    memory.remember(replace(ended, reported_shares=ended.intent.quantity_shares))
    for number in range(1, FINISHED_ORDERS_MAX + 10):
        memory.remember(_order(number, OrderStatus.CANCELED))
    assert ended.intent.client_order_id in memory.orders


def test_an_order_ends_once_however_often_it_is_heard_of() -> None:
    memory = Memory.of(a_snapshot(), (Symbol("AAPL"),))
    ended = _order(1, OrderStatus.CANCELED)
    before = memory.counters.get("orders.canceled", 0)
    memory.remember(ended)
    memory.remember(replace(ended, reason="heard of again"))
    intent = ended.intent
    assert memory.finished_on(intent.symbol, intent.slot_at, intent.leg) == 1
    assert memory.counters["orders.canceled"] == before + 1


def test_every_order_of_a_leg_that_ends_is_counted() -> None:
    memory = Memory.of(a_snapshot(), (Symbol("AAPL"),))
    intent = an_order().intent
    for identity in ("tw1-x", "tw1-y", "tw1-z"):
        named = replace(intent, client_order_id=identity)
        memory.remember(replace(an_order(), intent=named, status=OrderStatus.CANCELED))
    assert memory.finished_on(intent.symbol, intent.slot_at, intent.leg) == 3

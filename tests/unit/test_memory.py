"""The working copy of a snapshot: what it keeps, what it counts, what it forgets."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings

from daemon import memory as memory_module
from daemon.memory import Memory, save_opinion
from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.orders import Leg, Order, OrderStatus
from domain.signals import Opinion, Signals
from domain.snapshot import FINISHED_ORDERS_MAX, Snapshot, TradingState, TradingStatus
from tests.support.orders import NOON, a_fill, a_portfolio, a_snapshot, an_intent, an_order
from tests.support.snapshots import snapshots

AAPL, MSFT = Symbol("AAPL"), Symbol("MSFT")
SYMBOLS = (AAPL, MSFT)


def a_memory() -> Memory:
    return Memory(
        venue="embedded",
        account_id="PA1",
        symbols=SYMBOLS,
        portfolio=a_portfolio(),
        trading=TradingStatus(state=TradingState.ACTIVE, since_at=NOON),
    )


def saved(memory: Memory) -> Snapshot:
    return memory.snapshot(saved_at=NOON, journal_seq=0)


# --- orders --------------------------------------------------------------------------------------


def test_an_unfinished_order_works_and_a_finished_one_does_not() -> None:
    memory = a_memory()
    memory.remember(an_order(OrderStatus.WORKING))
    assert list(memory.working) == ["tw1-a"]
    memory.remember(an_order(OrderStatus.CANCELED))
    assert not memory.working
    assert memory.orders["tw1-a"].status is OrderStatus.CANCELED


def test_a_finished_order_whose_fills_are_to_come_works_on() -> None:
    memory = a_memory()
    memory.remember(an_order(OrderStatus.FILLED, reported_shares=Decimal(10)))
    assert list(memory.working) == ["tw1-a"]
    memory.remember(
        an_order(OrderStatus.FILLED, reported_shares=Decimal(10), filled_shares=Decimal(10))
    )
    assert not memory.working


def test_an_order_whose_fills_are_to_come_is_saved_once() -> None:
    memory = a_memory()
    memory.remember(an_order(OrderStatus.FILLED, reported_shares=Decimal(10)))
    assert len(saved(memory).orders) == 1


def test_the_end_of_an_order_is_counted_once() -> None:
    memory = a_memory()
    memory.remember(an_order(OrderStatus.WORKING))
    for _ in range(3):
        memory.remember(an_order(OrderStatus.CANCELED))
    assert memory.counters == {"orders.canceled": 1}


def test_ends_are_not_counted_again_by_a_restart() -> None:
    memory = a_memory()
    memory.remember(an_order(OrderStatus.CANCELED))
    assert Memory.of(saved(memory), SYMBOLS).counters == {"orders.canceled": 1}


def numbered(number: int, status: OrderStatus = OrderStatus.CANCELED) -> Order:
    return an_order(status, intent=an_intent(client_order_id=f"tw1-{number}"))


def test_only_the_latest_finished_orders_are_kept() -> None:
    memory = a_memory()
    for number in range(FINISHED_ORDERS_MAX + 3):
        memory.remember(numbered(number))
    assert len(memory.orders) == FINISHED_ORDERS_MAX
    assert "tw1-2" not in memory.orders
    assert "tw1-3" in memory.orders


def test_working_orders_are_never_dropped() -> None:
    memory = a_memory()
    memory.remember(an_order(OrderStatus.WORKING))
    for number in range(FINISHED_ORDERS_MAX + 3):
        memory.remember(numbered(number))
    assert "tw1-a" in memory.orders
    assert len(memory.orders) == FINISHED_ORDERS_MAX + 1


def test_ordinals_count_what_ended_of_a_slot_and_leg() -> None:
    memory = a_memory()
    assert memory.finished_on(AAPL, NOON, Leg.OPEN) == 0
    memory.remember(numbered(1, OrderStatus.WORKING))
    assert memory.finished_on(AAPL, NOON, Leg.OPEN) == 0
    memory.remember(numbered(1))
    memory.remember(numbered(2))
    assert memory.finished_on(AAPL, NOON, Leg.OPEN) == 2
    assert memory.finished_on(AAPL, NOON, Leg.CLOSE) == 0
    assert memory.finished_on(MSFT, NOON, Leg.OPEN) == 0
    assert memory.finished_on(AAPL, NOON + timedelta(minutes=5), Leg.OPEN) == 0


def test_ordinals_are_the_same_after_a_restart() -> None:
    memory = a_memory()
    for number in range(FINISHED_ORDERS_MAX + 3):
        memory.remember(numbered(number))
    again = Memory.of(saved(memory), SYMBOLS)
    expected = memory.finished_on(AAPL, NOON, Leg.OPEN)
    assert again.finished_on(AAPL, NOON, Leg.OPEN) == expected == FINISHED_ORDERS_MAX


# --- fills ---------------------------------------------------------------------------------------


def test_a_booked_fill_is_known() -> None:
    memory = a_memory()
    assert not memory.is_booked("f1")
    memory.note_booked(a_fill())
    assert memory.is_booked("f1")


def test_a_booked_fill_is_known_after_a_restart() -> None:
    memory = a_memory()
    memory.note_booked(a_fill())
    assert Memory.of(saved(memory), SYMBOLS).is_booked("f1")


def test_the_oldest_of_very_many_fills_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "BOOKED_FILL_IDS_MAX", 3)
    memory = a_memory()
    for number in range(4):
        memory.note_booked(a_fill(fill_id=f"f{number}"))
    assert [memory.is_booked(f"f{n}") for n in range(4)] == [False, True, True, True]


def test_turnover_is_what_our_orders_traded_today() -> None:
    memory = a_memory()
    memory.remember(an_order())
    memory.note_booked(a_fill(10, 100))
    memory.note_booked(a_fill(1, 50, fill_id="f2"))
    assert memory.turnover_on(NOON.date()) == 1_050
    assert memory.turnover_on(NOON.date() + timedelta(days=1)) == 0


def test_turnover_starts_anew_each_day() -> None:
    memory = a_memory()
    memory.remember(an_order())
    memory.note_booked(a_fill(10, 100))
    memory.note_booked(a_fill(1, 50, fill_id="f2", filled_at=NOON + timedelta(days=1)))
    assert memory.turnover_on(NOON.date() + timedelta(days=1)) == 50


@pytest.mark.parametrize("leg", [Leg.EXIT, Leg.FLATTEN])
def test_getting_out_is_no_turnover(leg: Leg) -> None:
    memory = a_memory()
    memory.remember(an_order(intent=an_intent(leg=leg)))
    memory.note_booked(a_fill(10, 100))
    assert memory.turnover_on(NOON.date()) == 0


def test_what_others_traded_is_no_turnover() -> None:
    memory = a_memory()
    memory.note_booked(a_fill(10, 100))
    assert memory.turnover_on(NOON.date()) == 0


def test_turnover_and_entries_of_the_day_outlive_a_restart() -> None:
    memory = a_memory()
    memory.remember(an_order())
    memory.note_entry(NOON)
    memory.note_booked(a_fill(10, 100))
    again = Memory.of(saved(memory), SYMBOLS)
    assert again.turnover_on(NOON.date()) == 1_000
    assert again.entries_on(NOON.date()) == memory.entries_on(NOON.date()) == 1


def test_entries_are_counted_by_day() -> None:
    memory = a_memory()
    memory.note_entry(NOON)
    memory.note_entry(NOON)
    assert memory.entries_on(NOON.date()) == 2
    memory.note_entry(NOON + timedelta(days=1))
    assert memory.entries_on(NOON.date()) == 0
    assert memory.entries_on(NOON.date() + timedelta(days=1)) == 1


def test_entries_of_earlier_days_do_not_count_today_after_a_restart() -> None:
    memory = a_memory()
    earlier = an_intent(client_order_id="tw1-old", intended_at=NOON - timedelta(days=1))
    memory.remember(an_order(OrderStatus.FILLED, intent=earlier))
    memory.remember(an_order())
    assert Memory.of(saved(memory), SYMBOLS).entries_on(NOON.date()) == 1


# --- opinions ------------------------------------------------------------------------------------


def an_opinion(*strengths: float) -> Opinion:
    return Opinion(
        strategy="sma",
        slot_at=NOON,
        timeframe=Timeframe.DAY,
        signals=Signals(
            strength=np.array(strengths), evidence={"fast_usd": np.arange(float(len(strengths)))}
        ),
    )


def test_an_opinion_is_saved_by_symbol_without_those_it_is_silent_about() -> None:
    kept = save_opinion(an_opinion(np.nan, 0.5), SYMBOLS)
    assert dict(kept.strengths) == {MSFT: 0.5}
    assert dict(kept.evidence["fast_usd"]) == {MSFT: 1.0}
    assert (len(kept.strengths), MSFT in kept.strengths, AAPL in kept.strengths) == (1, True, False)
    with pytest.raises(KeyError):
        _ = kept.strengths[AAPL]


def test_opinions_of_strategies_that_are_gone_are_kept() -> None:
    memory = a_memory()
    memory.opinions["sma"] = an_opinion(1.0, 0.0)
    once = Memory.of(saved(memory), SYMBOLS)
    assert set(once.foreign_opinions) == {"sma"}
    twice = Memory.of(saved(once), (MSFT,))
    assert dict(twice.foreign_opinions["sma"].strengths) == {AAPL: 1.0, MSFT: 0.0}


# --- all of it -----------------------------------------------------------------------------------


@settings(max_examples=25)
@given(snapshots)
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    again = Memory.of(snapshot, SYMBOLS).snapshot(
        saved_at=snapshot.saved_at, journal_seq=snapshot.journal_seq
    )
    # Orders of one identity fall together, and stand in another order.
    orders = {o.client_order_id: o for o in snapshot.orders}
    assert {o.client_order_id: o for o in again.orders} == orders
    assert len(again.orders) == len(orders)
    assert replace(again, orders=()) == replace(snapshot, orders=())


def test_a_plain_snapshot_gives_a_plain_memory() -> None:
    memory = Memory.of(a_snapshot(), SYMBOLS)
    assert not memory.is_reconciled
    assert memory.session is None
    assert memory.portfolio == a_portfolio()

"""What the shell and the venue say of an order: withheld, rejected, in doubt, changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.engine.commands import Notify, Record, RecordDurably
from daemon.engine.rules import OrderStyle
from domain.events import (
    OrderChanged,
    SubmitRejected,
    SubmitUnresolved,
    SubmitWithheld,
)
from domain.orders import (
    ApprovedOrder,
    OrderStatus,
    OrderUpdate,
)
from domain.snapshot import TradingState
from state.records import OrderMoved, StatusChanged, Submitting
from tests.support.engines import NAN, A, B, Desk, a_desk, ready, recorded

LONG_A = (1.0, NAN, NAN)


def desk_with_an_order(
    says: tuple[float, ...] = LONG_A,
) -> tuple[Desk, ApprovedOrder]:
    """A desk whose order for AAA, 100 shares, works at the venue."""
    desk = ready(Desk(says={"one": says}))
    desk.slot(desk.next_slot())
    return desk, desk.work(desk.sent[0])


def withheld(desk: Desk, order: ApprovedOrder) -> list[object]:
    identity = order.intent.client_order_id
    return list(desk.post(SubmitWithheld(at=desk.now, client_order_id=identity, reason="because")))


# --- the last check and the wire -----------------------------------------------------------------


def test_sending_is_recorded_as_it_starts() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    commands = desk.start(desk.sent[0])
    assert [type(f) for f in recorded(commands)] == [Submitting]
    assert desk.order(desk.sent[0]).status is OrderStatus.SUBMITTING


@pytest.mark.parametrize("is_started", [False, True], ids=["never sent", "never arrived"])
@pytest.mark.parametrize("is_canceled", [False, True], ids=["wanted", "being canceled"])
def test_an_order_withheld_is_finished_and_recorded(is_started: bool, is_canceled: bool) -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.sent[0]
    if is_started:
        desk.start(order)
    if is_canceled:
        desk.says["one"] = (-1.0, NAN, NAN)
        desk.slot(desk.next_slot())
    withheld(desk, order)
    assert desk.order(order).status is OrderStatus.WITHHELD
    assert desk.facts(OrderMoved)[-1].status is OrderStatus.WITHHELD
    assert not desk.memory.working


def test_a_symbol_whose_order_was_withheld_is_ordered_again_under_another_id() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    withheld(desk, desk.sent[0])
    desk.slot(desk.next_slot())
    assert len({o.intent.client_order_id for o in desk.sent}) == 2


def test_withholding_what_the_venue_ended_changes_nothing() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    assert withheld(desk, order) == []
    assert desk.order(order).status is OrderStatus.CANCELED


def test_an_order_that_worked_and_is_gone_quarantines_its_symbol() -> None:
    desk, order = desk_with_an_order()
    withheld(desk, order)
    assert A in desk.memory.quarantined


def test_a_rejection_is_finished_recorded_and_told() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.sent[0]
    desk.start(order)
    identity = order.intent.client_order_id
    commands = desk.post(
        SubmitRejected(at=desk.now, client_order_id=identity, reason="no power", code=40310000)
    )
    assert desk.order(order).status is OrderStatus.REJECTED
    assert desk.facts(OrderMoved)[-1].status is OrderStatus.REJECTED
    assert [c.key for c in commands if isinstance(c, Notify)] == ["rejected:AAA"]


def test_a_rejection_of_what_the_venue_ended_changes_nothing() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    identity = order.intent.client_order_id
    event = SubmitRejected(at=desk.now, client_order_id=identity, reason="late", code=None)
    assert desk.post(event) == []


def unresolved(desk: Desk, order: ApprovedOrder) -> list[object]:
    identity = order.intent.client_order_id
    return list(
        desk.post(SubmitUnresolved(at=desk.now, client_order_id=identity, reason="no word"))
    )


def test_an_order_nobody_knows_about_quarantines_its_symbol() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.sent[0]
    desk.start(order)
    before = desk.memory.trading.epoch
    commands = unresolved(desk, order)
    assert desk.memory.quarantined == {A: "no word"}
    assert desk.order(order).status is OrderStatus.UNRESOLVED
    assert desk.memory.trading.epoch == before + 1
    durable = [type(c.fact) for c in commands if isinstance(c, RecordDurably)]
    assert durable[0] is StatusChanged


def test_an_order_in_doubt_still_counts_as_held() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.start(desk.sent[0])
    unresolved(desk, desk.sent[0])
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1


def test_a_quarantined_symbol_is_not_entered_again() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    desk.memory.quarantined[A] = "in doubt"
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1


def test_doubt_about_what_the_stream_has_told_of_meanwhile_is_none() -> None:
    desk, order = desk_with_an_order()
    assert unresolved(desk, order) == []
    assert not desk.memory.quarantined
    assert desk.order(order).status is OrderStatus.WORKING


def test_a_cancel_in_doubt_quarantines_but_keeps_the_order() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.sent[0]
    desk.start(order)
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    unresolved(desk, order)
    assert A in desk.memory.quarantined
    assert desk.memory.working


def test_starting_to_send_what_is_being_canceled_leaves_it_so() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    desk.start(desk.sent[0])
    assert desk.order(desk.sent[0]).status is OrderStatus.CANCELING


# --- news ----------------------------------------------------------------------------------------


def test_news_of_an_order_is_recorded_once() -> None:
    desk, order = desk_with_an_order()
    assert desk.tell(order, OrderStatus.WORKING) == []


def test_news_out_of_order_leads_nowhere_back() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    desk.tell(order, OrderStatus.WORKING)
    assert desk.order(order).status is OrderStatus.CANCELED


def test_news_of_orders_that_are_not_ours_is_counted() -> None:
    desk, _ = desk_with_an_order()
    foreign = replace(desk.open_orders()[0], client_order_id="by-hand")
    desk.post(OrderChanged(at=desk.now, update=OrderUpdate(report=foreign, at=desk.now)))
    assert desk.memory.counters["external_order_news"] == 1


def test_news_that_cannot_be_true_quarantines_and_voids_approvals() -> None:
    desk, order = desk_with_an_order()
    desk.tell(order, OrderStatus.CANCELED)
    before = desk.memory.trading.epoch
    desk.tell(order, OrderStatus.FILLED, 100)
    assert A in desk.memory.quarantined
    assert desk.memory.trading.epoch == before + 1
    assert desk.memory.trading.state is TradingState.ACTIVE


def test_an_expired_order_is_recorded_and_leaves_room_for_another() -> None:
    desk, order = desk_with_an_order()
    commands = desk.tell(order, OrderStatus.EXPIRED)
    assert any(isinstance(c, Record) and type(c.fact) is OrderMoved for c in commands)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 2


def test_watched_are_what_is_held_and_what_is_on_order() -> None:
    desk, _ = desk_with_an_order((1.0, 1.0, NAN))
    desk.fill(desk.sent[0])
    desk.tell(desk.sent[0], OrderStatus.FILLED, 100)
    assert set(desk.engine.watched_symbols()) == {A, B}


def test_waiting_for_an_order_longer_does_not_price_a_patient_one_anew() -> None:
    desk = ready(Desk(says={"one": LONG_A}, order_style=OrderStyle.LIMIT))
    desk.slot(desk.next_slot())
    desk.work(desk.sent[0])
    desk.wait(timedelta(minutes=5).total_seconds()).poll()
    assert not desk.cancels


def test_an_order_of_which_the_venue_gave_no_id_yet_is_not_chased() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.start(desk.sent[0])
    desk.wait(60).poll()
    assert not desk.cancels

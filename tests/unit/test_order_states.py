"""What each piece of news makes of an order."""

from datetime import timedelta
from decimal import Decimal

import pytest

from domain.instruments import Symbol
from domain.orders import OrderStatus, Side
from execution.order_states import (
    TRANSITIONS,
    ImpossibleUpdate,
    advance,
    apply_fill,
    begin_submit,
    diagram,
    leave_unresolved,
    reconcile,
    reject,
    request_cancel,
    withhold,
)
from tests.support.orders import NOON, a_fill, a_report, an_intent, an_order

S = OrderStatus


def test_every_status_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)


def test_only_what_is_terminal_leads_nowhere() -> None:
    assert {s for s, following in TRANSITIONS.items() if not following} == {
        s for s in OrderStatus if s.is_terminal
    }


def test_an_order_is_submitted_acknowledged_and_filled() -> None:
    order = begin_submit(an_order(S.APPROVED), NOON)
    assert (order.status, order.submitted_at) == (S.SUBMITTING, NOON)
    order = advance(order, a_report(S.WORKING))
    assert (order.status, order.venue_order_id) == (S.WORKING, "v1")
    order = apply_fill(order, a_fill(4))
    assert (order.status, order.remaining_shares) == (S.PARTIALLY_FILLED, 6)
    order = apply_fill(order, a_fill(6, 101, fill_id="f2"))
    assert (order.status, order.finished_at) == (S.FILLED, NOON)
    assert (order.filled_shares, order.filled_value_usd) == (10, 1006)


def test_a_late_report_of_fewer_shares_changes_nothing() -> None:
    order = advance(an_order(S.WORKING), a_report(S.PARTIALLY_FILLED, 4))
    assert advance(order, a_report(S.PARTIALLY_FILLED, 3)).unbooked_shares == 4


@pytest.mark.parametrize("is_over", [False, True], ids=["at the end", "after the end"])
def test_fewer_shares_are_waited_for_when_the_venue_says_less(is_over: bool) -> None:
    """Found in simulation (seed 9000051): an execution was taken back while a killed daemon had
    still to book it; the order waited for it for ever, and its symbol with it."""
    order = advance(an_order(S.WORKING), a_report(S.PARTIALLY_FILLED, 4))
    if is_over:
        order = advance(order, a_report(S.CANCELED, 4))
    less = a_report(S.CANCELED, 3, updated_at=NOON + timedelta(hours=1))
    after = advance(order, less)
    assert after.unbooked_shares == 3
    assert apply_fill(after, a_fill(3)).remaining_shares == 0


def test_late_news_of_shares_taken_back_at_the_end_is_not_waited_for() -> None:
    """World 38: an execution was taken back in the instant in which its order was canceled. The
    account told of what was left; the stream, late, of what had been: three shares more, which the
    order waited for for ever, whatever the account said."""
    told = advance(an_order(S.WORKING), a_report(S.CANCELED, 3))
    late = advance(told, a_report(S.CANCELED, 4))
    assert advance(late, a_report(S.CANCELED, 3)).unbooked_shares == 3


def test_a_report_of_shares_never_counts_as_their_fill() -> None:
    order = advance(an_order(S.WORKING), a_report(S.PARTIALLY_FILLED, 4))
    assert (order.filled_shares, order.reported_shares, order.unbooked_shares) == (0, 4, 4)


def test_shares_reported_filled_stay_working_until_their_fill_is_booked() -> None:
    order = advance(an_order(S.WORKING), a_report(S.CANCELED, 4))
    assert order.status is S.CANCELED
    assert order.remaining_signed_shares == 4
    assert apply_fill(order, a_fill(4)).remaining_shares == 0


def test_reported_shares_never_shrink() -> None:
    order = advance(an_order(S.WORKING), a_report(S.PARTIALLY_FILLED, 4))
    assert advance(order, a_report(S.PARTIALLY_FILLED, 2)).reported_shares == 4


def test_late_news_leads_back_nowhere() -> None:
    order = an_order(S.PARTIALLY_FILLED, filled_shares=Decimal(4))
    assert advance(order, a_report(S.WORKING)).status is S.PARTIALLY_FILLED
    canceling = request_cancel(order, NOON)
    assert advance(canceling, a_report(S.PARTIALLY_FILLED, 4)).status is S.CANCELING


@pytest.mark.parametrize("ended", [S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED])
def test_late_news_of_life_does_not_wake_the_dead(ended: OrderStatus) -> None:
    assert advance(an_order(ended), a_report(S.WORKING)).status is ended


def test_a_late_fill_is_counted_after_the_end() -> None:
    order = apply_fill(an_order(S.CANCELED), a_fill(3))
    assert (order.status, order.filled_shares) == (S.CANCELED, 3)


def test_an_order_cannot_end_twice_and_differently() -> None:
    with pytest.raises(ImpossibleUpdate, match="canceled and cannot become filled"):
        advance(an_order(S.CANCELED), a_report(S.FILLED, 10))


def test_the_same_end_may_be_told_twice() -> None:
    order = advance(an_order(S.WORKING), a_report(S.EXPIRED))
    assert advance(order, a_report(S.EXPIRED)) == order


@pytest.mark.parametrize("status", [S.WORKING, S.FILLED])
def test_news_of_an_order_that_was_withheld_is_alarming(status: OrderStatus) -> None:
    with pytest.raises(ImpossibleUpdate, match="withheld"):
        advance(an_order(S.WITHHELD), a_report(status))


@pytest.mark.parametrize("ended", [S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.WITHHELD])
def test_an_ended_order_found_alive_by_looking_it_up_is_alarming(ended: OrderStatus) -> None:
    with pytest.raises(ImpossibleUpdate, match="cannot become working"):
        reconcile(an_order(ended), a_report(S.WORKING))


def test_looking_up_an_ended_order_confirms_it() -> None:
    assert reconcile(an_order(S.FILLED), a_report(S.FILLED, 10)).status is S.FILLED


def test_a_cancel_that_never_arrived_leaves_the_order_working() -> None:
    order = reconcile(request_cancel(an_order(), NOON), a_report(S.WORKING))
    assert (order.status, order.cancel_requested_at) == (S.WORKING, None)


def test_a_cancel_that_never_arrived_leaves_a_partly_filled_order_so() -> None:
    canceling = request_cancel(an_order(filled_shares=Decimal(4)), NOON)
    assert reconcile(canceling, a_report(S.WORKING, 4)).status is S.PARTIALLY_FILLED


def test_a_cancel_still_pending_at_the_venue_stays_so() -> None:
    canceling = request_cancel(an_order(), NOON)
    assert reconcile(canceling, a_report(S.CANCELING, 3)).reported_shares == 3
    assert reconcile(canceling, a_report(S.CANCELING)).status is S.CANCELING
    assert reconcile(canceling, a_report(S.CANCELED)).status is S.CANCELED


def test_a_fill_during_a_cancel_leaves_it_pending_until_all_is_filled() -> None:
    canceling = request_cancel(an_order(), NOON)
    partly = apply_fill(canceling, a_fill(4))
    assert (partly.status, partly.cancel_requested_at) == (S.CANCELING, NOON)
    assert apply_fill(partly, a_fill(6, fill_id="f2")).status is S.FILLED


def test_asking_twice_to_cancel_keeps_the_first_time() -> None:
    once = request_cancel(an_order(), NOON)
    assert request_cancel(once, NOON.replace(hour=18)) == once


def test_a_submission_in_doubt_may_be_sent_again_or_given_up() -> None:
    unresolved = leave_unresolved(begin_submit(an_order(S.APPROVED), NOON), "timed out")
    assert (unresolved.status, unresolved.reason) == (S.UNRESOLVED, "timed out")
    again = begin_submit(unresolved, NOON.replace(hour=18))
    assert (again.status, again.submitted_at) == (S.SUBMITTING, NOON)
    given_up = withhold(unresolved, NOON, "absent")
    assert (given_up.status, given_up.finished_at) == (S.WITHHELD, NOON)


def test_what_may_be_on_the_wire_cannot_be_withheld() -> None:
    with pytest.raises(ImpossibleUpdate):
        withhold(an_order(S.SUBMITTING), NOON, "too late")


def test_a_definite_refusal_ends_an_order_with_its_reason() -> None:
    order = reject(an_order(S.SUBMITTING), NOON, "insufficient buying power")
    assert (order.status, order.reason) == (S.REJECTED, "insufficient buying power")


def test_an_end_keeps_the_reason_known_before_when_none_is_given() -> None:
    order = request_cancel(an_order(reason="price ran away"), NOON)
    assert advance(order, a_report(S.CANCELED)).reason == "price ran away"


@pytest.mark.parametrize(
    "changes", [{"client_order_id": "tw1-b"}, {"symbol": Symbol("MSFT")}, {"side": Side.SELL}]
)
def test_news_and_fills_of_another_order_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ImpossibleUpdate, match="not one of"):
        advance(an_order(), a_report(S.WORKING, **changes))
    with pytest.raises(ImpossibleUpdate, match="not one of"):
        apply_fill(an_order(), a_fill(**changes))


def test_more_shares_than_ordered_are_counted_and_shown() -> None:
    order = apply_fill(an_order(intent=an_intent(10)), a_fill(12))
    assert (order.status, order.remaining_shares) == (S.FILLED, 0)
    assert order.filled_shares == 12


def test_the_diagram_shows_every_transition_once() -> None:
    lines = diagram().splitlines()
    arrows = sum(len(following) for following in TRANSITIONS.values())
    ends = sum(s.is_terminal for s in OrderStatus)
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> approved"]
    assert len(lines) == 2 + arrows + ends == len(set(lines))
    assert "    canceling --> working" in lines
    assert "    filled --> [*]" in lines

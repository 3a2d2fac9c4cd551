"""Laws of an order's life under any news in any order."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders import Fill, Order, OrderReport, OrderStatus
from execution.order_states import (
    TRANSITIONS,
    ImpossibleUpdate,
    advance,
    apply_fill,
    begin_submit,
    leave_unresolved,
    reconcile,
    reject,
    request_cancel,
    withhold,
)
from tests.support.orders import NOON, a_fill, a_report, an_order

VENUE_STATUSES = [
    OrderStatus.WORKING,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.CANCELING,
    OrderStatus.FILLED,
    OrderStatus.CANCELED,
    OrderStatus.EXPIRED,
    OrderStatus.REJECTED,
]
statuses = st.sampled_from(list(OrderStatus))
reports = st.builds(a_report, st.sampled_from(VENUE_STATUSES), st.integers(0, 10))
fills = st.builds(a_fill, st.integers(1, 4), st.integers(90, 110))
STEPS = {
    "submit": lambda order: begin_submit(order, NOON),
    "unresolve": lambda order: leave_unresolved(order, "timed out"),
    "withhold": lambda order: withhold(order, NOON, "late"),
    "reject": lambda order: reject(order, NOON, "no"),
    "cancel": lambda order: request_cancel(order, NOON),
}


def take(order: Order, news: OrderReport | Fill | str) -> Order:
    try:
        if isinstance(news, OrderReport):
            return advance(order, news)
        return apply_fill(order, news) if isinstance(news, Fill) else STEPS[news](order)
    except ImpossibleUpdate:
        return order


@given(st.lists(reports | fills | st.sampled_from(sorted(STEPS)), max_size=12))
def test_any_news_keeps_the_laws(all_news: list[OrderReport | Fill | str]) -> None:
    order = an_order(OrderStatus.APPROVED)
    for news in all_news:
        after = take(order, news)
        assert after.status == order.status or after.status in TRANSITIONS[order.status]
        assert after.filled_shares >= order.filled_shares
        is_report = isinstance(news, OrderReport)
        of_the_end = is_report and after.status.is_terminal and news.status is after.status
        assert after.reported_shares >= after.filled_shares
        assert of_the_end or after.reported_shares >= order.reported_shares
        assert after.remaining_shares >= 0
        assert after.status.is_terminal == (after.finished_at is not None)
        assert not order.status.is_terminal or after.status is order.status
        order = after


@given(statuses, reports)
def test_what_the_table_does_not_know_is_refused_by_name(
    status: OrderStatus, report: OrderReport
) -> None:
    order = an_order(status)
    for function in (advance, reconcile):
        try:
            after = function(order, report)
        except ImpossibleUpdate:
            continue
        assert after.status is status or after.status in TRANSITIONS[status]


@given(statuses, reports)
def test_the_same_report_twice_is_the_same_as_once(
    status: OrderStatus, report: OrderReport
) -> None:
    try:
        once = advance(an_order(status), report)
    except ImpossibleUpdate:
        return
    assert advance(once, report) == once


@given(st.permutations([a_fill(n, fill_id=f"f{n}") for n in (1, 2, 3, 4)]))
def test_fills_in_any_order_end_alike(shuffled: list[Fill]) -> None:
    order = an_order()
    for fill in shuffled:
        order = apply_fill(order, fill)
    assert (order.status, order.filled_shares) == (OrderStatus.FILLED, Decimal(10))
    assert order.filled_value_usd == Decimal(1000)


@pytest.mark.parametrize("start", list(OrderStatus))
def test_from_every_status_an_end_can_be_reached(start: OrderStatus) -> None:
    reached, frontier = {start}, [start]
    while frontier:
        following = TRANSITIONS[frontier.pop()] - reached
        reached |= following
        frontier += following
    assert any(status.is_terminal for status in reached)


def test_every_status_can_come_about() -> None:
    following = {s for after in TRANSITIONS.values() for s in after}
    assert following | {OrderStatus.APPROVED} == set(OrderStatus)

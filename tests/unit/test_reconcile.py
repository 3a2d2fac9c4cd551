"""Our book beside the venue's."""

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from domain.instruments import Symbol
from domain.orders import Order, OrderReport, OrderStatus
from domain.portfolio import AccountReport, Portfolio
from state import ledger
from state.reconcile import (
    ORDER_TABLE,
    Action,
    Differences,
    Ours,
    PositionDifference,
    Theirs,
    book_matches_venue,
    compare,
)
from tests.support.orders import a_fill, a_portfolio, a_report, an_account, an_order

S = OrderStatus
AAPL = Symbol("AAPL")


def holding(quantity: int = 10, price: int | str = 100) -> Portfolio:
    return ledger.book(a_portfolio(), a_fill(quantity, price), None)


def compared(
    orders: list[Order] | None = None,
    reports: dict[str, OrderReport | None] | None = None,
    portfolio: Portfolio | None = None,
    account: AccountReport | None = None,
) -> Differences:
    return compare(
        portfolio or a_portfolio(),
        orders or [],
        account or an_account(),
        reports or {},
        prefix="tw1-",
    )


def action_on(order: Order | None, *told: OrderReport | None, name: str = "tw1-a") -> Action | None:
    found = compared([order] if order else [], dict.fromkeys([name], told[0]) if told else {})
    return found.orders[0].action if found.orders else None


def test_equal_books_do_not_differ() -> None:
    found = compared(portfolio=holding(), account=an_account(99_000, AAPL=(10, 100)))
    assert found.is_empty
    assert found.can_adopt


def test_an_order_both_see_alike_is_no_difference() -> None:
    order = an_order(S.WORKING, venue_order_id="v1")
    assert compared([order], {"tw1-a": a_report(S.WORKING)}).is_empty


@pytest.mark.parametrize("status", [S.APPROVED, S.SUBMITTING, S.UNRESOLVED, S.WORKING, S.CANCELING])
def test_an_unfinished_order_not_seen_open_is_looked_up(status: OrderStatus) -> None:
    assert action_on(an_order(status)) is Action.LOOK_UP


@pytest.mark.parametrize("status", [S.APPROVED, S.SUBMITTING, S.UNRESOLVED])
def test_an_order_in_doubt_and_definitely_absent_is_for_the_caller_to_decide(
    status: OrderStatus,
) -> None:
    assert action_on(an_order(status), None) is Action.DECIDE


@pytest.mark.parametrize("told", [S.WORKING, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED])
def test_an_order_in_doubt_and_found_is_advanced(told: OrderStatus) -> None:
    assert action_on(an_order(S.UNRESOLVED), a_report(told)) is Action.ADVANCE


def test_an_acknowledged_order_that_is_gone_is_not_trusted() -> None:
    assert action_on(an_order(S.WORKING), None) is Action.DISTRUST


def test_an_order_given_up_that_lives_is_not_trusted() -> None:
    assert action_on(an_order(S.WITHHELD), a_report(S.WORKING)) is Action.DISTRUST


def test_a_finished_order_is_left() -> None:
    assert action_on(an_order(S.FILLED)) is None
    assert action_on(an_order(S.FILLED), a_report(S.FILLED)) is None


def test_an_order_with_our_name_that_we_do_not_know_is_adopted_and_told() -> None:
    assert action_on(None, a_report(S.WORKING)) is Action.ADOPT
    assert action_on(None, a_report(S.FILLED)) is None


def test_an_order_by_someone_else_is_counted() -> None:
    assert action_on(None, a_report(S.WORKING), name="by-hand") is Action.COUNT


def test_the_table_knows_every_pair_that_can_come_about() -> None:
    seen_by_us = [Ours.IN_DOUBT, Ours.LIVE, Ours.FINISHED]
    possible = {*product(seen_by_us, Theirs)}
    possible |= {*product([Ours.LOST, Ours.FOREIGN], [Theirs.LIVE, Theirs.FINISHED])}
    assert set(ORDER_TABLE) == possible


def test_fills_not_booked_yet_come_before_adopting() -> None:
    found = compared([an_order(S.WORKING)], {"tw1-a": a_report(S.FILLED, 10)})
    assert found.unbooked == ("tw1-a",)
    assert not found.can_adopt


def test_a_finished_order_with_fills_we_do_not_know_is_a_difference() -> None:
    found = compared([an_order(S.CANCELED)], {"tw1-a": a_report(S.CANCELED, 4)})
    assert (found.orders, found.unbooked) == ((), ("tw1-a",))
    assert not found.is_empty


@pytest.mark.parametrize(
    ("order", "reports"),
    [
        (an_order(S.WORKING), {}),
        (an_order(S.UNRESOLVED), {"tw1-a": None}),
        (an_order(S.WORKING), {"tw1-a": None}),
    ],
)
def test_nothing_is_adopted_while_an_order_is_in_question(
    order: Order, reports: dict[str, OrderReport | None]
) -> None:
    assert not compared([order], reports).can_adopt


def test_differing_positions_are_named_from_both_sides() -> None:
    account = an_account(99_000, AAPL=(7, 100), MSFT=(-1, 50))
    found = compared(portfolio=holding(), account=account)
    assert found.positions == (
        PositionDifference(symbol=AAPL, our_shares=Decimal(10), venue_shares=Decimal(7)),
        PositionDifference(symbol=Symbol("MSFT"), our_shares=Decimal(0), venue_shares=Decimal(-1)),
    )
    assert not found.is_empty


def test_adopting_ends_every_difference() -> None:
    account = an_account(80_000, AAPL=(7, 90), MSFT=(-1, 50))
    adopted = ledger.adopt(holding(), account, {})
    assert compared(portfolio=adopted, account=account).is_empty


def test_cash_is_compared_to_the_cent() -> None:
    account = an_account("99_000.004", AAPL=(10, 100))
    assert compared(portfolio=holding(), account=account).cash_usd == 0
    account = an_account("98_999.99", AAPL=(10, 100))
    assert compared(portfolio=holding(), account=account).cash_usd == Decimal("-0.01")


def test_parts_of_cents_are_not_adopted_back_and_forth() -> None:
    # A split left 42.5 shares; each sale of a half share put the book and the venue's rounded cash
    # a cent apart, one way and then the other, and each time a person was told of it.
    sold = replace(holding(), cash_usd=Decimal("99_000.005"))
    rounded = an_account("99_000.00", AAPL=(10, 100))
    assert compared(portfolio=sold, account=rounded).cash_usd == 0
    adopted = ledger.adopt(sold, rounded, {})
    again = ledger.flow(adopted, Decimal("0.005"))
    assert compared(portfolio=again, account=an_account("99_000.01", AAPL=(10, 100))).is_empty
    later = ledger.flow(adopted, Decimal("-1.01"))
    assert compared(portfolio=later, account=an_account("98_999.00", AAPL=(10, 100))).is_empty


def test_two_cents_are_a_difference_even_beside_parts_of_cents() -> None:
    sold = replace(holding(), cash_usd=Decimal("99_000.005"))
    assert compared(portfolio=sold, account=an_account("99_000.03", AAPL=(10, 100))).cash_usd


def test_averages_are_compared_to_four_decimals() -> None:
    near = an_account(99_000, AAPL=(10, "100.0001"))
    assert compared(portfolio=holding(), account=near).averages == {}
    far = an_account(99_000, AAPL=(10, "100.0002"))
    assert compared(portfolio=holding(), account=far).averages == {
        AAPL: (Decimal(100), Decimal("100.0002"))
    }


def test_a_book_that_matches_says_nothing() -> None:
    assert book_matches_venue(holding(), an_account(99_000, AAPL=(10, 100))) is None


def test_a_mismatch_names_quantity_cash_and_average() -> None:
    portfolio = ledger.book(holding(), a_fill(1, 50, symbol=Symbol("MSFT")), None)
    mismatch = book_matches_venue(portfolio, an_account(99_000, AAPL=(10, 101), MSFT=(2, 50)))
    assert str(mismatch) == (
        "MSFT: 1 shares booked, 2 at the venue; cash: $98950 booked, $99000 at the venue; "
        "AAPL: average entry $100 booked, $101 at the venue"
    )


def test_an_order_whose_id_at_the_venue_is_new_to_us_is_advanced() -> None:
    order = an_order(S.WORKING)
    assert action_on(order, a_report(S.WORKING)) is Action.ADVANCE
    assert action_on(replace(order, venue_order_id="v1"), a_report(S.WORKING)) is None

"""Corporate actions on what the account does not show."""

from decimal import Decimal

import pytest

from domain.corporate import ActionKind, CorporateAction
from domain.events import ActionsRead
from domain.orders import OPERATOR
from state import ledger
from tests.support.engines import TUESDAY, A, Desk, a_desk


def a_split(ratio: str) -> ActionsRead:
    action = CorporateAction(
        action_id="a1",
        kind=ActionKind.SPLIT,
        symbol=A,
        ex_day=TUESDAY.day,
        pay_day=TUESDAY.day,
        ratio=Decimal(ratio),
    )
    return ActionsRead(at=TUESDAY.opens_at, day=TUESDAY.day, actions=(action,))


def owing(shares: int) -> Desk:
    """A desk whose books owe each other shares that the account does not hold."""
    desk, moves = a_desk(), {"one": Decimal(shares), OPERATOR: Decimal(-shares)}
    portfolio = desk.memory.portfolio
    desk.memory.portfolio = ledger.cross(portfolio, A, moves, Decimal(188))
    return desk


@pytest.mark.parametrize("ratio", ["2", "0.33333333333"])
def test_what_books_owe_each_other_splits_though_the_account_holds_none(ratio: str) -> None:
    """Found in simulation (seed 9000047): a person had sold what a strategy held. The split waited
    for an account that had nothing to show, and a stop took the old basis for a fall by half."""
    desk = owing(10)
    desk.post(a_split(ratio))
    books = desk.memory.portfolio.books
    assert abs(books["one"].shares(A) - 10 * Decimal(ratio)) < Decimal("1e-8")
    assert books[OPERATOR].shares(A) == -books["one"].shares(A)
    assert abs(books["one"].positions[A].average_entry_usd * Decimal(ratio) - 188) < Decimal("1e-6")
    assert (A not in desk.memory.quarantined, desk.held()) == (True, 0)
    assert desk.books_match()

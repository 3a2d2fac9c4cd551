"""Corporate actions keep the laws of the book: books sum, capital stays, nothing is gained."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.corporate import ActionDone, ActionKind, CorporateAction
from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import EXTERNAL
from domain.portfolio import Book, Portfolio, Position
from state import corporate, ledger

A, B = Symbol("AAPL"), Symbol("MSFT")
EX = date(2026, 6, 2)
ratios = st.sampled_from([Decimal(r) for r in ("2", "4", "0.1", "1.5", "0.25", "1.05")])
lots = st.integers(-500, 500).map(Decimal)
prices = st.decimals("0.5", "900", places=4)


def an_action(kind: ActionKind = ActionKind.SPLIT, **changes: object) -> CorporateAction:
    fields = {"action_id": "a1", "kind": kind, "symbol": A, "ex_day": EX, "pay_day": EX}
    return CorporateAction(**{**fields, **changes})  # type: ignore[arg-type]


@st.composite
def portfolios(draw: st.DrawFn, shares: st.SearchStrategy[Decimal] = lots) -> Portfolio:
    """Draw an account whose books sum to it."""
    held = draw(st.dictionaries(st.sampled_from(["sma", "rsi", EXTERNAL]), shares, max_size=3))
    entry = draw(prices)
    books = {
        name: Book(
            cash_usd=-shares * entry,
            positions={A: Position(quantity_shares=shares, average_entry_usd=entry)},
        )
        for name, shares in held.items()
        if shares
    }
    net = sum(held.values(), ZERO)
    positions = {A: Position(quantity_shares=net, average_entry_usd=entry)} if net else {}
    return Portfolio(cash_usd=Decimal(50_000), positions=positions, books=books)


def shares_sum(portfolio: Portfolio, symbol: Symbol) -> Decimal:
    return sum((b.shares(symbol) for b in portfolio.books.values()), ZERO)


def adjusted_usd(portfolio: Portfolio, marks: dict[Symbol, Decimal]) -> Decimal:
    """What losses are measured by: equity less flows."""
    return ledger.equity_usd(portfolio, marks) - portfolio.flows_usd


@given(portfolios(), ratios, prices)
def test_a_split_neither_makes_nor_loses_anything(
    before: Portfolio, ratio: Decimal, mark: Decimal
) -> None:
    action = an_action(ratio=ratio)
    after = corporate.carry_out(before, action)
    assert shares_sum(after, A) == after.shares(A)
    assert ledger.capital_usd(after) == ledger.capital_usd(before)
    marks = corporate.marks_after({A: mark}, action, None)
    assert abs(adjusted_usd(after, marks) - adjusted_usd(before, {A: mark})) < Decimal("0.01")


@given(portfolios(), ratios)
def test_what_shares_cost_stays_with_them(before: Portfolio, ratio: Decimal) -> None:
    after = corporate.carry_out(before, an_action(ratio=ratio))
    for name, held_by in before.books.items():
        old, new = held_by.positions[A], after.books[name].positions.get(A)
        if new is None:
            continue
        cost = old.quantity_shares * old.average_entry_usd
        assert abs(new.quantity_shares * new.average_entry_usd - cost) < Decimal("0.001")


thirds = Decimal(1) / 3


@given(lots.filter(bool), lots.filter(bool), st.sampled_from([Decimal(3), Decimal("0.5"), thirds]))
def test_books_that_cancel_out_split_like_any_other(
    first: Decimal, second: Decimal, ratio: Decimal
) -> None:
    assume(first + second)
    held = {"operator": -first - second, "rsi": first, "sma": second}
    books = {
        name: Book(
            cash_usd=-shares * 90,
            positions={A: Position(quantity_shares=shares, average_entry_usd=Decimal(90))},
        )
        for name, shares in held.items()
    }
    before = Portfolio(cash_usd=Decimal(50_000), positions={}, books=books)
    after = corporate.carry_out(before, an_action(ratio=ratio), ZERO)
    assert shares_sum(after, A) == 0
    for name, shares in held.items():
        new = after.books[name].positions[A]
        assert abs(new.quantity_shares - shares * ratio) < Decimal("1e-8")
        assert abs(new.average_entry_usd - 90 / ratio) < Decimal("0.001")


@given(portfolios(), st.decimals("0.01", "9", places=2), prices)
def test_a_dividend_moves_neither_loss_nor_drawdown(
    before: Portfolio, cash: Decimal, mark: Decimal
) -> None:
    assume(mark > cash)
    action = an_action(ActionKind.DIVIDEND, cash_usd=cash)
    after = corporate.carry_out(before, action)
    marks = corporate.marks_after({A: mark}, action, None)
    assert abs(adjusted_usd(after, marks) - adjusted_usd(before, {A: mark})) <= Decimal("0.01")
    assert ledger.capital_usd(after) == ledger.capital_usd(before)
    paid = ledger.adopt_cash(after, after.cash_usd + corporate.amount_usd(before, action))
    assert adjusted_usd(paid, marks) == adjusted_usd(after, marks)


@given(portfolios(), st.decimals("0.01", "9", places=2))
def test_a_dividend_is_the_holding_books_to_the_cent(before: Portfolio, cash: Decimal) -> None:
    assume(before.positions)
    action = an_action(ActionKind.DIVIDEND, cash_usd=cash)
    after = corporate.carry_out(before, action)
    gained = {n: after.books[n].cash_usd - b.cash_usd for n, b in before.books.items()}
    assert sum(gained.values(), ZERO) == corporate.amount_usd(before, action)
    for name, gain in gained.items():
        assert abs(gain - before.books[name].shares(A) * cash) <= Decimal("0.03")


@given(portfolios(), st.decimals("0.01", "9", places=2))
def test_money_that_never_comes_is_taken_back_whole(before: Portfolio, cash: Decimal) -> None:
    assume(before.positions)
    action = an_action(ActionKind.DIVIDEND, cash_usd=cash)
    done = ActionDone(
        action_id="a1",
        symbol=A,
        kind=ActionKind.DIVIDEND,
        ex_day=EX,
        pay_day=EX,
        amount_usd=corporate.amount_usd(before, action),
        is_paid=False,
    )
    after = corporate.take_back(corporate.carry_out(before, action), done)
    money = {name: held_by.cash_usd for name, held_by in before.books.items()}
    assert {name: held_by.cash_usd for name, held_by in after.books.items()} == money
    assert (after.flows_usd, after.realized_usd) == (before.flows_usd, before.realized_usd)


@given(portfolios(), prices)
def test_a_cash_merger_leaves_money_and_no_shares(before: Portfolio, rate: Decimal) -> None:
    action = an_action(ActionKind.MERGER, ratio=ZERO, cash_usd=rate)
    after = corporate.carry_out(before, action)
    assert not corporate.is_held(after, A)
    assert ledger.capital_usd(after) == ledger.capital_usd(before)
    worth = adjusted_usd(after, {}) - adjusted_usd(before, {A: rate})
    assert abs(worth) <= Decimal("0.01")


@given(portfolios(), ratios)
def test_a_stock_merger_changes_the_name_in_every_book(before: Portfolio, ratio: Decimal) -> None:
    action = an_action(ActionKind.MERGER, ratio=ratio, new_symbol=B)
    after = corporate.carry_out(before, action)
    assert not corporate.is_held(after, A)
    assert shares_sum(after, B) == after.shares(B)


@given(portfolios(lots.map(abs)), st.sampled_from([Decimal("1.5"), Decimal("0.3")]))
def test_fractions_that_were_paid_out_are_missing_in_some_book(
    before: Portfolio, ratio: Decimal
) -> None:
    action = an_action(ratio=ratio)
    exact = corporate.shares_after(action, before.shares(A))
    whole = exact.to_integral_value(rounding="ROUND_DOWN")
    assume(whole != exact)
    after = corporate.carry_out(before, action, whole)
    assert after.shares(A) == whole == shares_sum(after, A)


def test_more_than_the_ratio_gives_is_refused() -> None:
    held = {A: Position(quantity_shares=Decimal(10), average_entry_usd=Decimal(100))}
    before = Portfolio(
        cash_usd=ZERO, positions=held, books={"sma": Book(cash_usd=Decimal(-1000), positions=held)}
    )
    with pytest.raises(ValueError, match="cannot come to"):
        corporate.carry_out(before, an_action(ratio=Decimal(2)), Decimal(30))


def test_an_action_leaves_other_symbols_alone() -> None:
    held = {B: Position(quantity_shares=Decimal(10), average_entry_usd=Decimal(100))}
    before = Portfolio(cash_usd=ZERO, positions=held, books={"sma": Book(positions=held)})
    assert corporate.carry_out(before, an_action(ratio=Decimal(2))) == before

"""What is taken back leaves the book as if it had never been; what is put right, as it is now."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.orders import Fill, Side
from domain.portfolio import Portfolio
from state import busts, ledger
from tests.property.test_ledger_properties import (
    SYMBOLS,
    histories,
    orders_with_parts,
    prices,
)
from tests.support.orders import a_fill

Ordered = tuple[dict[str, Decimal], list[Fill]]


@st.composite
def an_order_in_parts(draw: st.DrawFn) -> Ordered:
    """Draw what the books want of an order, and its fills in a row."""
    deltas, cumulative = draw(orders_with_parts())
    side = Side.BUY if sum(deltas.values()) > 0 else Side.SELL
    symbol, before, fills = draw(st.sampled_from(SYMBOLS)), Decimal(0), []
    for filled in cumulative:
        fill = a_fill(symbol=symbol, side=side)
        fills.append(replace(fill, quantity_shares=filled - before, price_usd=draw(prices)))
        before = filled
    return deltas, fills


def booked(portfolio: Portfolio, deltas: dict[str, Decimal], fills: list[Fill]) -> Portfolio:
    before = Decimal(0)
    for fill in fills:
        portfolio = ledger.book(portfolio, fill, deltas, before)
        before += fill.quantity_shares
    return portfolio


def filled(fills: list[Fill]) -> Decimal:
    return sum((f.quantity_shares for f in fills), Decimal(0))


def shares_of_books(portfolio: Portfolio) -> dict[tuple[str, str], Decimal]:
    return {
        (name, symbol): held.quantity_shares
        for name, book in portfolio.books.items()
        for symbol, held in book.positions.items()
    }


@given(histories(), an_order_in_parts(), st.data())
def test_without_one_of_its_fills_every_book_holds_what_the_others_give_it(
    before: Portfolio, order: Ordered, data: st.DataObject
) -> None:
    deltas, fills = order
    gone = data.draw(st.sampled_from(fills))
    rest = [f for f in fills if f is not gone]
    after = busts.take_back(booked(before, deltas, fills), gone, deltas, filled(fills))
    expected = booked(before, deltas, rest)
    assert shares_of_books(after) == shares_of_books(expected)
    assert after.cash_usd == expected.cash_usd
    assert ledger.capital_usd(after) == ledger.capital_usd(expected)


@given(histories(), an_order_in_parts(), prices, st.data())
def test_at_another_price_every_book_holds_the_same_and_the_account_has_paid_that(
    before: Portfolio, order: Ordered, price: Decimal, data: st.DataObject
) -> None:
    deltas, fills = order
    number = data.draw(st.integers(0, len(fills) - 1))
    right = [replace(f, price_usd=price) if n == number else f for n, f in enumerate(fills)]
    paid = booked(before, deltas, fills)
    after = busts.reprice(paid, fills[number], price, deltas, filled(fills))
    assert shares_of_books(after) == shares_of_books(paid)
    assert after.cash_usd == booked(before, deltas, right).cash_usd
    assert ledger.capital_usd(after) == ledger.capital_usd(before)
    marks = dict.fromkeys(SYMBOLS, Decimal(100))
    profits = [ledger.book_profit_usd(b, marks) for b in after.books.values()]
    assert sum(profits, Decimal(0)) == ledger.account_profit_usd(after, marks)


@given(histories(), prices, prices)
def test_a_trade_put_right_at_once_costs_what_it_would_have(
    before: Portfolio, wrong: Decimal, right: Decimal
) -> None:
    fill = replace(a_fill(5, 10), price_usd=wrong)
    if before.shares(fill.symbol) < 0:
        return
    paid = ledger.book(before, fill, {"a": Decimal(5)})
    after = busts.reprice(paid, fill, right, {"a": Decimal(5)}, Decimal(5))
    expected = ledger.book(before, replace(fill, price_usd=right), {"a": Decimal(5)})
    ours, theirs = after.positions[fill.symbol], expected.positions[fill.symbol]
    assert abs(ours.average_entry_usd - theirs.average_entry_usd) <= Decimal("1e-9")

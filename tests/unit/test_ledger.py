"""Booking fills: averages, profit, books, flows and what is adopted."""

from collections.abc import Iterator
from decimal import Decimal, FloatOperation, localcontext

import pytest

from domain.instruments import Symbol
from domain.orders import EXTERNAL, Side
from domain.portfolio import Book, Portfolio, Position
from state import ledger
from tests.support.orders import (
    a_fill,
    a_portfolio,
    a_position,
    an_account,
    positions,
    shares,
    usd,
)

AAPL = Symbol("AAPL")
MSFT = Symbol("MSFT")
SMA = {"sma": shares(10)}


@pytest.fixture(autouse=True)
def no_floats() -> Iterator[None]:
    with localcontext() as context:
        context.traps[FloatOperation] = True
        yield


def after(*fills: tuple[int, int], start: Portfolio | None = None) -> Portfolio:
    """Return the portfolio after (signed quantity, price) fills of one book's orders."""
    portfolio = start or a_portfolio()
    for quantity, price in fills:
        side = Side.BUY if quantity > 0 else Side.SELL
        fill = a_fill(abs(quantity), price, side=side)
        portfolio = ledger.book(portfolio, fill, {"sma": shares(quantity)})
    return portfolio


def test_buying_pays_cash_for_shares() -> None:
    portfolio = after((10, 100))
    assert portfolio.cash_usd == 99_000
    assert portfolio.positions == {AAPL: a_position(10, 100)}
    assert portfolio.books["sma"] == Book(
        cash_usd=usd(-1000), positions={AAPL: a_position(10, 100)}
    )


def test_adding_averages_the_entry() -> None:
    assert after((10, 100), (30, 120)).positions[AAPL] == a_position(40, 115)


def test_reducing_keeps_the_entry_and_realizes_profit() -> None:
    portfolio = after((10, 100), (-4, 110))
    assert portfolio.positions[AAPL] == a_position(6, 100)
    assert portfolio.realized_usd == 40


def test_closing_leaves_no_position() -> None:
    portfolio = after((10, 100), (-10, 90))
    assert portfolio.positions == {}
    assert portfolio.books["sma"].positions == {}
    assert (portfolio.realized_usd, portfolio.cash_usd) == (-100, 99_900)


def test_selling_through_zero_starts_a_new_short() -> None:
    portfolio = after((10, 100), (-15, 110))
    assert portfolio.positions[AAPL] == a_position(-5, 110)
    assert portfolio.realized_usd == 100


def test_buying_through_zero_starts_a_new_long() -> None:
    portfolio = after((-10, 100), (15, 90))
    assert portfolio.positions[AAPL] == a_position(5, 90)
    assert portfolio.realized_usd == 100


def test_a_short_averages_and_realizes_the_other_way_round() -> None:
    portfolio = after((-10, 100), (-10, 110), (5, 100))
    assert portfolio.positions[AAPL] == a_position(-15, 105)
    assert portfolio.realized_usd == 25


def test_an_average_is_kept_to_ten_decimals() -> None:
    average = after((1, 100), (2, 101)).positions[AAPL].average_entry_usd
    assert average == usd("100.6666666667")


def test_a_fee_leaves_the_cash_and_is_the_books() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(fee_usd=usd("0.03")), SMA)
    assert (portfolio.cash_usd, portfolio.fees_usd) == (usd("98999.97"), usd("0.03"))
    book = portfolio.books["sma"]
    assert (book.cash_usd, book.fees_usd) == (usd("-1000.03"), usd("0.03"))


def test_a_fee_is_divided_by_shares_to_the_cent() -> None:
    deltas = {"a": shares(5), "b": shares(3), "c": shares(2)}
    portfolio = ledger.book(a_portfolio(), a_fill(fee_usd=usd("0.05")), deltas)
    fees = {name: book.fees_usd for name, book in portfolio.books.items()}
    assert fees == {"a": usd("0.02"), "b": usd("0.01"), "c": usd("0.02")}


def test_a_fill_without_deltas_is_external() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(), None)
    assert portfolio.books[EXTERNAL].shares(AAPL) == 10


def test_shares_beyond_the_order_are_external() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(12), SMA)
    assert portfolio.books["sma"].shares(AAPL) == 10
    assert portfolio.books[EXTERNAL].shares(AAPL) == 2


def test_a_fill_after_the_order_was_full_is_wholly_external() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(2), SMA, filled_before=shares(12))
    assert portfolio.books[EXTERNAL].shares(AAPL) == 2
    assert "sma" not in portfolio.books


def test_a_fill_as_large_as_the_whole_order_after_a_part_of_it_is_partly_external() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(10), SMA, filled_before=shares(4))
    assert portfolio.books["sma"].shares(AAPL) == 6
    assert portfolio.books[EXTERNAL].shares(AAPL) == 4


def test_books_share_a_partial_fill_in_proportion() -> None:
    deltas = {"a": shares(6), "b": shares(4)}
    portfolio = ledger.book(a_portfolio(), a_fill(5), deltas)
    assert (portfolio.books["a"].shares(AAPL), portfolio.books["b"].shares(AAPL)) == (3, 2)


def test_opposite_wishes_cross_inside_at_the_fills_price() -> None:
    deltas = {"a": shares(14), "b": shares(-4)}
    portfolio = ledger.book(a_portfolio(), a_fill(10, 100), deltas)
    assert portfolio.cash_usd == 99_000
    assert portfolio.books["a"] == Book(cash_usd=usd(-1400), positions={AAPL: a_position(14, 100)})
    assert portfolio.books["b"] == Book(cash_usd=usd(400), positions={AAPL: a_position(-4, 100)})


def test_partial_fills_end_with_every_book_at_its_delta() -> None:
    deltas = {"a": shares(14), "b": shares(-4)}
    portfolio, filled = a_portfolio(), shares(0)
    for part in (1, 2, 3, 4):
        portfolio = ledger.book(portfolio, a_fill(part), deltas, filled)
        filled += part
    assert {n: b.shares(AAPL) for n, b in portfolio.books.items()} == deltas


def test_fractional_shares_are_divided_to_their_own_lot() -> None:
    deltas = {"a": shares("0.5"), "b": shares("0.25")}
    portfolio = ledger.book(a_portfolio(), a_fill("0.30"), deltas)
    held = [portfolio.books[name].shares(AAPL) for name in ("a", "b")]
    assert held == [shares("0.2"), shares("0.1")]


def test_deltas_of_the_other_side_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot serve"):
        ledger.book(a_portfolio(), a_fill(side=Side.SELL), SMA)


def test_crossing_moves_shares_between_books_and_not_the_account() -> None:
    before = after((10, 100))
    portfolio = ledger.cross(before, AAPL, {"sma": shares(-4), "rsi": shares(4)}, usd(110))
    assert (portfolio.cash_usd, portfolio.positions) == (before.cash_usd, before.positions)
    assert portfolio.books["sma"].realized_usd == 40
    assert portfolio.books["rsi"] == Book(cash_usd=usd(-440), positions={AAPL: a_position(4, 110)})


@pytest.mark.parametrize(
    ("moves", "price"),
    [({"a": shares(1)}, usd(1)), ({"a": shares(1), "b": shares(-1)}, usd(0))],
)
def test_a_crossing_that_does_not_balance_is_refused(
    moves: dict[str, Decimal], price: Decimal
) -> None:
    with pytest.raises(ValueError, match="cannot cross"):
        ledger.cross(a_portfolio(), AAPL, moves, price)


def test_what_an_account_held_before_is_external_and_no_profit() -> None:
    portfolio = ledger.open_account(an_account(5_000, AAPL=(10, 100)))
    assert portfolio.books[EXTERNAL].shares(AAPL) == 10
    assert ledger.capital_usd(portfolio) == 6_000
    assert ledger.account_profit_usd(portfolio, {}) == 0
    assert portfolio.flows_usd == 0


def test_an_empty_account_opens_without_books() -> None:
    assert ledger.open_account(an_account(5_000)) == a_portfolio(5_000)


def test_a_deposit_is_a_flow_and_no_profit() -> None:
    portfolio = ledger.adopt(after((10, 100)), an_account(109_000, AAPL=(10, 100)), {})
    assert (portfolio.cash_usd, portfolio.flows_usd) == (109_000, 10_000)
    assert ledger.account_profit_usd(portfolio, {AAPL: usd(100)}) == 0


def test_shares_bought_by_hand_are_external_and_nearly_no_flow() -> None:
    venue = an_account(98_490, AAPL=(10, 100), MSFT=(5, 102))
    portfolio = ledger.adopt(after((10, 100)), venue, {})
    assert portfolio.books[EXTERNAL].positions == {MSFT: a_position(5, 102)}
    assert portfolio.flows_usd == 0
    assert ledger.account_profit_usd(portfolio, {AAPL: usd(100), MSFT: usd(103)}) == 5


def test_shares_sold_by_hand_at_the_mark_lose_nothing() -> None:
    venue = an_account(100_300, AAPL=(2, 100))
    before, marks = after((10, 100)), {AAPL: usd("162.50")}
    portfolio = ledger.adopt(before, venue, marks)
    assert portfolio.flows_usd == 0
    assert portfolio.books[EXTERNAL].shares(AAPL) == -8
    assert ledger.equity_usd(portfolio, marks) == ledger.equity_usd(before, marks)


def test_a_position_gone_at_the_venue_is_gone_here() -> None:
    portfolio = ledger.adopt_positions(after((10, 100)), {}, {})
    assert portfolio.positions == {}
    assert portfolio.books["sma"].shares(AAPL) + portfolio.books[EXTERNAL].shares(AAPL) == 0
    assert portfolio.flows_usd == -1_000


def test_the_venues_average_is_adopted_without_touching_a_book() -> None:
    before = after((10, 100))
    portfolio = ledger.adopt_positions(before, positions(AAPL=(10, 99)), {})
    assert portfolio.positions[AAPL] == a_position(10, 99)
    assert (portfolio.books, portfolio.flows_usd) == (before.books, 0)


def test_adopting_what_is_already_so_changes_nothing() -> None:
    before = after((10, 100))
    assert ledger.adopt(before, an_account(99_000, AAPL=(10, 100)), {}) == before


def test_a_dividend_is_profit_of_its_book() -> None:
    before = after((10, 100))
    portfolio = ledger.earn(before, usd(7), "sma")
    assert (portfolio.cash_usd, portfolio.realized_usd, portfolio.flows_usd) == (99_007, 7, 0)
    assert ledger.book_profit_usd(portfolio.books["sma"], {AAPL: usd(100)}) == 7
    assert ledger.account_profit_usd(portfolio, {AAPL: usd(100)}) == 7


def test_an_exit_reduces_books_in_proportion() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(10), {"a": shares(6), "b": shares(4)})
    assert ledger.exit_deltas(portfolio, AAPL, shares(5)) == {"a": -3, "b": -2}


def test_an_exit_of_everything_empties_opposite_books_too() -> None:
    portfolio = ledger.book(a_portfolio(), a_fill(10), {"a": shares(14), "b": shares(-4)})
    assert ledger.exit_deltas(portfolio, AAPL, shares(10)) == {"a": -14, "b": 4}


def test_an_exit_leaves_what_we_did_not_open_alone() -> None:
    portfolio = ledger.book(after((10, 100)), a_fill(5), None)
    assert ledger.own_shares(portfolio, AAPL) == 10
    assert ledger.exit_deltas(portfolio, AAPL, shares(10)) == {"sma": -10}
    with pytest.raises(ValueError, match="cannot give up 15"):
        ledger.exit_deltas(portfolio, AAPL, shares(15))


def test_flattening_takes_what_we_did_not_open_as_well() -> None:
    portfolio = ledger.book(after((10, 100)), a_fill(5), None)
    assert ledger.flatten_deltas(portfolio, AAPL, shares(15)) == {"sma": -10, EXTERNAL: -5}


def test_a_short_is_exited_by_buying() -> None:
    assert ledger.exit_deltas(after((-10, 100)), AAPL, shares(4)) == {"sma": 4}


def test_nothing_is_given_up_of_what_is_not_held() -> None:
    with pytest.raises(ValueError, match="the books hold 0"):
        ledger.exit_deltas(a_portfolio(), AAPL, shares(1))


def test_equity_counts_marks_and_else_entries() -> None:
    portfolio = after((10, 100))
    assert ledger.equity_usd(portfolio, {AAPL: usd(90)}) == 99_900
    assert ledger.equity_usd(portfolio, {MSFT: usd(90)}) == 100_000


def test_a_short_costs_what_its_price_rises() -> None:
    portfolio = after((-10, 100))
    assert ledger.book_profit_usd(portfolio.books["sma"], {AAPL: usd(110)}) == -100


def test_the_portfolio_given_is_never_changed() -> None:
    before = after((10, 100))
    copy = Portfolio(
        cash_usd=before.cash_usd,
        positions=dict(before.positions),
        books={
            name: Book(cash_usd=book.cash_usd, positions=dict(book.positions))
            for name, book in before.books.items()
        },
    )
    after((-3, 90), start=before)
    ledger.adopt(before, an_account(1, MSFT=(1, 1)), {})
    assert before == copy


def test_a_position_is_found_by_symbol_only() -> None:
    portfolio = ledger.book(after((10, 100)), a_fill(3, 50, symbol=MSFT), {"rsi": shares(3)})
    assert portfolio.positions == {
        AAPL: a_position(10, 100),
        MSFT: Position(quantity_shares=shares(3), average_entry_usd=usd(50)),
    }

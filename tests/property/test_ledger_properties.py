"""The laws of the ledger under any history."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, FloatOperation, localcontext

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.instruments import Symbol
from domain.orders import EXTERNAL, Side
from domain.portfolio import Portfolio
from state import ledger
from state.apportion import apportion, divide
from tests.support.orders import a_fill, a_portfolio, an_account

SYMBOLS = [Symbol("AAPL"), Symbol("MSFT")]
BOOKS = ["a", "b", "c"]
whole_deltas = st.dictionaries(
    st.sampled_from(BOOKS), st.integers(-40, 40).map(Decimal), min_size=1
).filter(lambda deltas: sum(deltas.values()) != 0)
tiny_deltas = st.dictionaries(
    st.sampled_from(BOOKS), st.decimals(-3, 3, places=6), min_size=1
).filter(lambda deltas: sum(deltas.values()) != 0)
prices = st.decimals("0.01", 500, places=4)
fees = st.decimals(0, "0.50", places=2)


def net_of(deltas: Mapping[str, Decimal]) -> Decimal:
    return abs(sum(deltas.values(), Decimal(0)))


@st.composite
def orders_with_parts(draw: st.DrawFn) -> tuple[dict[str, Decimal], list[Decimal]]:
    """Draw deltas and the cumulative shares filled after each partial fill."""
    deltas = draw(whole_deltas)
    total = int(net_of(deltas))
    cuts = draw(st.lists(st.integers(1, total), max_size=6))
    return deltas, [Decimal(cut) for cut in sorted({*cuts, total})]


@st.composite
def histories(draw: st.DrawFn) -> Portfolio:
    """Draw a portfolio after any mixture of everything the ledger can do."""
    with localcontext() as context:
        context.traps[FloatOperation] = True
        portfolio = a_portfolio()
        for _ in range(draw(st.integers(0, 6))):
            portfolio = _step(draw, portfolio)
        return portfolio


def _step(draw: st.DrawFn, portfolio: Portfolio) -> Portfolio:
    symbol, price = draw(st.sampled_from(SYMBOLS)), draw(prices)
    kind = draw(st.sampled_from(["order", "order", "external", "cross", "flow", "earn", "adopt"]))
    if kind == "order":
        return _fill_order(draw, portfolio, symbol)
    if kind == "external":
        fill = a_fill(draw(st.integers(1, 9)), 7, symbol=symbol, fee_usd=draw(fees))
        return ledger.book(portfolio, fill, None)
    if kind == "cross":
        moved = Decimal(draw(st.integers(-9, 9)))
        return ledger.cross(portfolio, symbol, {"a": moved, "b": -moved}, price)
    if kind == "flow":
        return ledger.flow(portfolio, Decimal(draw(st.integers(-500, 500))))
    if kind == "earn":
        return ledger.earn(portfolio, Decimal(draw(st.integers(-5, 5))), "b")
    held = draw(st.dictionaries(st.sampled_from(SYMBOLS), st.tuples(st.integers(1, 9), prices)))
    return ledger.adopt(portfolio, an_account(90_000, **held), {symbol: price})


def _fill_order(draw: st.DrawFn, portfolio: Portfolio, symbol: Symbol) -> Portfolio:
    deltas, cumulative = draw(orders_with_parts())
    side = Side.BUY if sum(deltas.values()) > 0 else Side.SELL
    before = Decimal(0)
    for filled in cumulative:
        fill = a_fill(symbol=symbol, side=side, fee_usd=draw(fees))
        fill = replace(fill, quantity_shares=filled - before, price_usd=draw(prices))
        portfolio = ledger.book(portfolio, fill, deltas, before)
        before = filled
    return portfolio


@given(histories())
def test_the_books_hold_what_the_account_holds(portfolio: Portfolio) -> None:
    for symbol in SYMBOLS:
        held = sum((b.shares(symbol) for b in portfolio.books.values()), Decimal(0))
        assert held == portfolio.shares(symbol)


@given(histories(), prices, prices)
def test_the_books_profits_are_the_accounts_exactly(
    portfolio: Portfolio, first: Decimal, second: Decimal
) -> None:
    marks = dict(zip(SYMBOLS, (first, second), strict=True))
    profits = [ledger.book_profit_usd(book, marks) for book in portfolio.books.values()]
    assert sum(profits, Decimal(0)) == ledger.account_profit_usd(portfolio, marks)


@given(histories())
def test_nothing_but_opening_sets_the_capital(portfolio: Portfolio) -> None:
    assert ledger.capital_usd(portfolio) == 100_000


@given(histories())
def test_no_position_is_empty_and_no_book_misses_a_fee(portfolio: Portfolio) -> None:
    for owner in (portfolio, *portfolio.books.values()):
        assert all(p.quantity_shares != 0 for p in owner.positions.values())
    assert sum((b.fees_usd for b in portfolio.books.values()), Decimal(0)) == portfolio.fees_usd
    assert all(b.fees_usd >= 0 for b in portfolio.books.values())


@given(histories(), prices, prices)
def test_profit_is_realized_plus_open_less_fees_to_a_millionth(
    portfolio: Portfolio, first: Decimal, second: Decimal
) -> None:
    marks = dict(zip(SYMBOLS, (first, second), strict=True))
    for book in portfolio.books.values():
        opened = sum(
            (
                p.quantity_shares * (marks[s] - p.average_entry_usd)
                for s, p in book.positions.items()
            ),
            Decimal(0),
        )
        told = book.realized_usd - book.fees_usd + opened
        assert abs(told - ledger.book_profit_usd(book, marks)) < Decimal("0.000001")


@given(histories(), st.integers(-5_000, 5_000), prices, prices)
def test_a_flow_moves_no_profit(
    portfolio: Portfolio, amount: int, first: Decimal, second: Decimal
) -> None:
    marks = dict(zip(SYMBOLS, (first, second), strict=True))
    after = ledger.flow(portfolio, Decimal(amount))
    assert ledger.account_profit_usd(after, marks) == ledger.account_profit_usd(portfolio, marks)


@given(orders_with_parts())
def test_however_an_order_fills_every_book_gets_its_delta(
    order: tuple[dict[str, Decimal], list[Decimal]],
) -> None:
    deltas, cumulative = order
    got = [apportion(deltas, filled) for filled in cumulative]
    assert got[-1] == deltas


@given(orders_with_parts())
def test_a_book_only_ever_moves_its_own_way(
    order: tuple[dict[str, Decimal], list[Decimal]],
) -> None:
    deltas, cumulative = order
    had = dict.fromkeys(deltas, Decimal(0))
    for filled in cumulative:
        got = apportion(deltas, filled)
        assert all((got[n] - had[n]) * deltas[n] >= 0 for n in deltas)
        assert abs(sum(got.values())) == filled
        had = got


@given(tiny_deltas, st.integers(1, 1_000_000))
def test_fractions_are_divided_exactly(deltas: dict[str, Decimal], part: int) -> None:
    total = net_of(deltas)
    filled = (total * part / 1_000_000).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    assume(0 < filled <= total)
    got = apportion(deltas, filled)
    assert abs(sum(got.values())) == filled
    assert all(abs(got[name]) <= abs(deltas[name]) for name in deltas)


claims = st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 60), min_size=1)


@given(claims)
def test_seats_are_added_one_at_a_time_and_never_taken_back(wanted: dict[str, int]) -> None:
    before = divide(wanted, 0)
    assert set(before.values()) == {0}
    for seats in range(1, sum(wanted.values()) + 1):
        now = divide(wanted, seats)
        grown = [now[name] - before[name] for name in wanted]
        assert sorted(grown) == [0] * (len(wanted) - 1) + [1]
        before = now
    assert before == wanted


@given(claims, st.integers(0, 400))
def test_a_division_is_fair_to_within_rounding(wanted: dict[str, int], seats: int) -> None:
    total = sum(wanted.values())
    seats = min(seats, total)
    given_out = divide(wanted, seats)
    for name, claim in wanted.items():
        for other in wanted:
            # Sainte-Laguë: no seat is better moved to another (the divisors' test).
            if given_out[name] > 0 and other != name:
                assert (2 * given_out[name] - 1) * wanted[other] <= (
                    2 * given_out[other] + 1
                ) * claim


@given(whole_deltas, st.integers(1, 9), st.integers(0, 100))
def test_exits_go_toward_zero_and_sum_to_the_order(
    deltas: dict[str, Decimal], external: int, percent: int
) -> None:
    total = sum(deltas.values(), Decimal(0))
    side = Side.BUY if total > 0 else Side.SELL
    opening = replace(a_fill(side=side), quantity_shares=abs(total))
    portfolio = ledger.book(a_portfolio(), opening, deltas)
    portfolio = ledger.book(portfolio, a_fill(external), None)
    quantity = max(Decimal(1), abs(total) * percent // 100)
    given_up = ledger.exit_deltas(portfolio, SYMBOLS[0], quantity)
    assert EXTERNAL not in given_up
    assert sum(given_up.values()) == -side.sign * quantity
    for name, moved in given_up.items():
        held = portfolio.books[name].shares(SYMBOLS[0])
        assert held * moved < 0
        assert abs(moved) <= abs(held)

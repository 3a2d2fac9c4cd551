"""The book of what we own and owe: every function takes a portfolio and returns the next one.

Two laws hold after each of them, exactly:
    Σ books' shares of a symbol = the account's shares of it
    capital_usd(portfolio) = cash − flows − Σ books' cash, and only opening sets it,
from which Σ books' profit = equity − capital − flows = the account's profit at any marks.
Averages and realized profit are for showing and are kept to AVERAGE_DECIMALS.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Decimal

from domain.instruments import Symbol
from domain.money import CENT, ZERO
from domain.orders import EXTERNAL, BookName, Fill, Side
from domain.portfolio import AccountReport, Book, Portfolio, Position
from domain.values import Value, replace
from state.apportion import apportion

AVERAGE_DECIMALS = Decimal("1e-10")
_EMPTY = Book()
_BUY = Side.BUY
_NO_FEES: Mapping[BookName, Decimal] = {}


def open_account(report: AccountReport) -> Portfolio:
    """Return the portfolio of an account seen for the first time.

    What it holds is EXTERNAL's, taken over at the venue's average entry: no profit yet.
    """
    cost_usd = sum(
        (p.quantity_shares * p.average_entry_usd for p in report.positions.values()), ZERO
    )
    books = {}
    if report.positions:
        books[EXTERNAL] = Book(cash_usd=-cost_usd, positions=dict(report.positions))
    return Portfolio(cash_usd=report.cash_usd, positions=dict(report.positions), books=books)


class Deal(Value, frozen=True):
    """A fill to be booked: what each book wants of its whole order, and the shares of it booked
    earlier. `deltas` None: no order of ours."""

    fill: Fill
    deltas: Mapping[BookName, Decimal] | None
    filled_before: Decimal = ZERO


def book(
    portfolio: Portfolio,
    fill: Fill,
    deltas: Mapping[BookName, Decimal] | None,
    filled_before: Decimal = ZERO,
) -> Portfolio:
    """Return the portfolio after a fill that was not booked before.

    `deltas` are the order's (what each book wants of the whole of it), `filled_before` the shares
    of it booked earlier; each book gets its part by `apportion`, exactly its delta once all has
    filled, opposite deltas crossing at the fill's price. None, and shares beyond the order, go to
    EXTERNAL. The fee is divided by shares moved. Raises ValueError for deltas of another sign.
    """
    return book_all(portfolio, (Deal(fill, deltas, filled_before),))


def book_all(portfolio: Portfolio, deals: Iterable[Deal]) -> Portfolio:
    """Return the portfolio after fills in a row, each booked as `book` does: of many at once the
    positions are copied once."""
    cash_usd, realized_usd, fees_usd = (
        portfolio.cash_usd,
        portfolio.realized_usd,
        portfolio.fees_usd,
    )
    positions = dict(portfolio.positions)
    open_books: dict[BookName, _OpenBook] = {}
    for deal in deals:
        fill = deal.fill
        moves = shares_by_book(fill, deal.deltas, deal.filled_before)
        symbol, price_usd, fee_usd = fill.symbol, fill.price_usd, fill.fee_usd
        fees = _split_fee(fee_usd, moves) if fee_usd else _NO_FEES
        signed_shares, before = fill.signed_shares, positions.get(symbol)
        after, realized = _position_after(before, signed_shares, price_usd)
        paid_usd = signed_shares * price_usd
        for name, moved in moves.items():
            if not moved:
                continue
            held_by = open_books.get(name)
            if held_by is None:
                held_by = open_books[name] = _OpenBook(portfolio.books.get(name, _EMPTY))
            had = held_by.positions.get(symbol)
            # Most often one book trades all of it and holds what the account does: said once.
            if had is before and moved == signed_shares:
                held_by.trade(symbol, after, realized, paid_usd)
            else:
                now, gained = _position_after(had, moved, price_usd)
                held_by.trade(symbol, now, gained, moved * price_usd)
            if name in fees:
                held_by.charge(fees[name])
        if after is None:
            del positions[symbol]
        else:
            positions[symbol] = after
        cash_usd = cash_usd - paid_usd - fee_usd
        realized_usd += realized
        fees_usd += fee_usd
    books = dict(portfolio.books)
    for name, held_by in open_books.items():
        books[name] = held_by.closed()
    return replace(
        portfolio,
        cash_usd=cash_usd,
        positions=positions,
        books=books,
        realized_usd=realized_usd,
        fees_usd=fees_usd,
    )


def cross(
    portfolio: Portfolio, symbol: Symbol, moves: Mapping[BookName, Decimal], price_usd: Decimal
) -> Portfolio:
    """Return the portfolio after books traded with each other; the account does not change.

    `moves` are signed shares per book. Raises ValueError unless they sum to 0 and the price is
    positive.
    """
    if sum(moves.values(), ZERO) != 0 or price_usd <= 0:
        raise ValueError(f"books cannot cross {symbol} {dict(moves)} at {price_usd}")
    books = dict(portfolio.books)
    for name, moved in moves.items():
        if moved:
            books[name] = _trade(books.get(name, _EMPTY), symbol, moved, price_usd)
    return replace(portfolio, books=books)


def adopt_positions(
    portfolio: Portfolio,
    positions: Mapping[Symbol, Position],
    marks: Mapping[Symbol, Decimal],
) -> Portfolio:
    """Return the portfolio holding exactly the venue's positions; differences become EXTERNAL's.

    What came or went is a flow in kind, valued at its mark, else at the venue's average entry,
    else at ours: no profit. With `adopt_cash` after it, a trade by hand is nearly no flow, a
    deposit wholly one. The account's averages become the venue's.
    """
    moves = {
        symbol: _shares(positions, symbol) - portfolio.shares(symbol)
        for symbol in sorted({*positions, *portfolio.positions})
    }
    external = portfolio.books.get(EXTERNAL, _EMPTY)
    flows_usd = ZERO
    for symbol, moved in moves.items():
        if moved:
            known = positions.get(symbol) or portfolio.positions[symbol]
            price_usd = marks.get(symbol, known.average_entry_usd)
            external = _trade(external, symbol, moved, price_usd)
            flows_usd += moved * price_usd
    changed = any(moves.values()) or dict(positions) != dict(portfolio.positions)
    if not changed:
        return portfolio
    books = {**portfolio.books, EXTERNAL: external} if any(moves.values()) else portfolio.books
    return replace(
        portfolio,
        positions=dict(positions),
        books=books,
        flows_usd=portfolio.flows_usd + flows_usd,
    )


def adopt_cash(portfolio: Portfolio, cash_usd: Decimal) -> Portfolio:
    """Return the portfolio with the venue's cash; the difference is a deposit or withdrawal."""
    return flow(portfolio, cash_usd - portfolio.cash_usd)


def adopt(
    portfolio: Portfolio, account: AccountReport, marks: Mapping[Symbol, Decimal]
) -> Portfolio:
    """Return the portfolio as the venue sees it, once every known fill has been booked."""
    return adopt_cash(adopt_positions(portfolio, account.positions, marks), account.cash_usd)


def flow(portfolio: Portfolio, amount_usd: Decimal) -> Portfolio:
    """Return the portfolio after a deposit (> 0) or withdrawal (< 0): no profit, no loss."""
    return replace(
        portfolio,
        cash_usd=portfolio.cash_usd + amount_usd,
        flows_usd=portfolio.flows_usd + amount_usd,
    )


def earn(portfolio: Portfolio, amount_usd: Decimal, name: BookName) -> Portfolio:
    """Return the portfolio after income (dividend, interest; < 0 for a charge) of one book."""
    earner = portfolio.books.get(name, _EMPTY)
    earned = replace(
        earner,
        cash_usd=earner.cash_usd + amount_usd,
        realized_usd=earner.realized_usd + amount_usd,
    )
    return replace(
        portfolio,
        cash_usd=portfolio.cash_usd + amount_usd,
        realized_usd=portfolio.realized_usd + amount_usd,
        books={**portfolio.books, name: earned},
    )


def own_shares(portfolio: Portfolio, symbol: Symbol) -> Decimal:
    """Return the signed shares that are not EXTERNAL's: what we may trade."""
    external = portfolio.books.get(EXTERNAL)
    return portfolio.shares(symbol) - (external.shares(symbol) if external else ZERO)


def exit_deltas(
    portfolio: Portfolio, symbol: Symbol, quantity_shares: Decimal
) -> dict[BookName, Decimal]:
    """Return what each book gives up of an exit of `quantity_shares` (> 0) of our own shares.

    Pro rata to what each holds, EXTERNAL left alone; they sum to the signed order. Raises
    ValueError for more than we hold.
    """
    held = {
        name: -held_by.shares(symbol)
        for name, held_by in portfolio.books.items()
        if name != EXTERNAL and held_by.shares(symbol)
    }
    return _reduce(held, symbol, quantity_shares)


def flatten_deltas(
    portfolio: Portfolio, symbol: Symbol, quantity_shares: Decimal
) -> dict[BookName, Decimal]:
    """Return what each book, EXTERNAL too, gives up when the operator flattens the account."""
    held = {
        name: -held_by.shares(symbol)
        for name, held_by in portfolio.books.items()
        if held_by.shares(symbol)
    }
    return _reduce(held, symbol, quantity_shares)


def equity_usd(portfolio: Portfolio, marks: Mapping[Symbol, Decimal]) -> Decimal:
    """Return cash plus positions at their marks; a symbol without a mark counts at its entry."""
    return portfolio.cash_usd + _value(portfolio.positions, marks)


def capital_usd(portfolio: Portfolio) -> Decimal:
    """Return what the account was worth when it was opened, positions at cost."""
    books_cash_usd = sum((b.cash_usd for b in portfolio.books.values()), ZERO)
    return portfolio.cash_usd - portfolio.flows_usd - books_cash_usd


def account_profit_usd(portfolio: Portfolio, marks: Mapping[Symbol, Decimal]) -> Decimal:
    """Return what was made or lost since opening, deposits and withdrawals left out.

    Every mark is needed for it to equal the sum of `book_profit_usd`: averages differ by book.
    """
    return equity_usd(portfolio, marks) - capital_usd(portfolio) - portfolio.flows_usd


def book_profit_usd(held_by: Book, marks: Mapping[Symbol, Decimal]) -> Decimal:
    """Return what one book has made or lost, fees included; positions at their marks."""
    return held_by.cash_usd + _value(held_by.positions, marks)


def _value(positions: Mapping[Symbol, Position], marks: Mapping[Symbol, Decimal]) -> Decimal:
    return sum(
        (p.quantity_shares * marks.get(s, p.average_entry_usd) for s, p in positions.items()), ZERO
    )


def _shares(positions: Mapping[Symbol, Position], symbol: Symbol) -> Decimal:
    position = positions.get(symbol)
    return position.quantity_shares if position else ZERO


def shares_by_book(
    fill: Fill, deltas: Mapping[BookName, Decimal] | None, filled_before: Decimal
) -> Mapping[BookName, Decimal]:
    """Return the signed shares of a fill that each book gets."""
    if deltas is None:
        return {EXTERNAL: fill.signed_shares}
    net = sum(deltas.values(), ZERO)
    ordered = net if fill.side is _BUY else -net
    if ordered <= ZERO or filled_before < ZERO:
        raise ValueError(f"fill {fill.fill_id} ({fill.side}) cannot serve {dict(deltas)}")
    if not filled_before and fill.quantity_shares == ordered:
        # All at once, as most orders fill: each book gets what it wanted.
        return deltas
    filled_after = filled_before + fill.quantity_shares
    moves: dict[BookName, Decimal] = {}
    if filled_before < ordered:
        moves = apportion(deltas, min(filled_after, ordered))
        if filled_before > 0:
            had = apportion(deltas, filled_before)
            moves = {name: got - had[name] for name, got in moves.items()}
    beyond = filled_after - max(ordered, filled_before)
    if beyond > 0:
        moves[EXTERNAL] = moves.get(EXTERNAL, ZERO) + fill.side.sign * beyond
    return moves


def _split_fee(fee_usd: Decimal, moves: Mapping[BookName, Decimal]) -> dict[BookName, Decimal]:
    """Return a fee divided by shares moved; the last book bears the rounding, so it sums."""
    movers = sorted(name for name, moved in moves.items() if moved)
    total = sum((abs(moves[name]) for name in movers), ZERO)
    fees: dict[BookName, Decimal] = {}
    left = fee_usd
    for name in movers[:-1]:
        fees[name] = (fee_usd * abs(moves[name]) / total).quantize(CENT, ROUND_DOWN)
        left -= fees[name]
    fees[movers[-1]] = left
    return fees


class _OpenBook:
    """A book while fills are booked into it."""

    __slots__ = ("cash_usd", "fees_usd", "positions", "realized_usd")

    def __init__(self, held_by: Book) -> None:
        self.cash_usd = held_by.cash_usd
        self.fees_usd = held_by.fees_usd
        self.realized_usd = held_by.realized_usd
        self.positions = dict(held_by.positions)

    def trade(
        self, symbol: Symbol, now: Position | None, realized_usd: Decimal, paid_usd: Decimal
    ) -> None:
        """Hold a position from now on that was paid for."""
        if now is None:
            del self.positions[symbol]
        else:
            self.positions[symbol] = now
        self.cash_usd -= paid_usd
        self.realized_usd += realized_usd

    def charge(self, fee_usd: Decimal) -> None:
        """Bear a fee."""
        self.cash_usd -= fee_usd
        self.fees_usd += fee_usd

    def closed(self) -> Book:
        return Book(
            cash_usd=self.cash_usd,
            fees_usd=self.fees_usd,
            realized_usd=self.realized_usd,
            positions=self.positions,
        )


def _trade(held_by: Book, symbol: Symbol, moved: Decimal, price_usd: Decimal) -> Book:
    traded = _OpenBook(held_by)
    now, realized_usd = _position_after(traded.positions.get(symbol), moved, price_usd)
    traded.trade(symbol, now, realized_usd, moved * price_usd)
    return traded.closed()


def _position_after(
    before: Position | None, moved: Decimal, price_usd: Decimal
) -> tuple[Position | None, Decimal]:
    """Return a position after signed shares moved at a price (None: nothing is held), and the
    profit that realized.

    Adding averages the entry, reducing keeps it, going through zero starts anew at the price.
    """
    if before is None:
        return Position(quantity_shares=moved, average_entry_usd=price_usd), ZERO
    held, entry_usd = before.quantity_shares, before.average_entry_usd
    after = held + moved
    if (held > ZERO) == (moved > ZERO):
        average_usd = ((held * entry_usd + moved * price_usd) / after).quantize(AVERAGE_DECIMALS)
        return Position(quantity_shares=after, average_entry_usd=average_usd), ZERO
    closed = -moved if abs(moved) <= abs(held) else held
    realized_usd = closed * (price_usd - entry_usd)
    if not after:
        return None, realized_usd
    kept_usd = entry_usd if (after > ZERO) == (held > ZERO) else price_usd
    return Position(quantity_shares=after, average_entry_usd=kept_usd), realized_usd


def _reduce(
    held: Mapping[BookName, Decimal], symbol: Symbol, quantity_shares: Decimal
) -> dict[BookName, Decimal]:
    net = sum(held.values(), ZERO)
    if not 0 < quantity_shares <= abs(net):
        raise ValueError(f"cannot give up {quantity_shares} {symbol}: the books hold {-net}")
    return {name: moved for name, moved in apportion(held, quantity_shares).items() if moved}

"""What a bust makes of the book: an execution never was, or had another price.

The laws of `state.ledger` hold here too: books sum to the account, capital does not change. Each
book gives back what the last shares of its order gave it, and what was made or lost by an execution
that never was is made or lost no more.
"""

from collections.abc import Mapping
from decimal import Decimal

from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import BookName, Fill, Order, Side
from domain.portfolio import Book, Portfolio, Position
from domain.values import replace
from state import ledger
from state.ledger import AVERAGE_DECIMALS

_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
_EMPTY = Book()


def carry_out(
    portfolio: Portfolio, fill: Fill, corrected: Fill | None, order: Order | None
) -> Portfolio:
    """Return the portfolio after a fill that was booked is taken back, or put right; `order` as it
    was before, None for one that is not ours."""
    deltas, filled = (order.intent.deltas, order.filled_shares) if order else (None, ZERO)
    if corrected is not None and corrected.quantity_shares == fill.quantity_shares:
        return reprice(portfolio, fill, corrected.price_usd, deltas, filled)
    portfolio = take_back(portfolio, fill, deltas, filled)
    if corrected is None:
        return portfolio
    return ledger.book(portfolio, corrected, deltas, filled - fill.quantity_shares)


def take_back(
    portfolio: Portfolio, fill: Fill, deltas: Mapping[BookName, Decimal] | None, filled: Decimal
) -> Portfolio:
    """Return the portfolio without a fill that was booked before.

    `deltas` are its order's, None for one that is not ours, and `filled` the shares of it booked so
    far, this fill's included. A fee stays paid: venues tell of those by themselves.
    """
    undone = replace(fill, side=_OTHER[fill.side], fee_usd=ZERO)
    if deltas is None:
        return ledger.book(portfolio, undone, None)
    given = {name: -delta for name, delta in deltas.items()}
    return ledger.book(portfolio, undone, given, filled - fill.quantity_shares)


def reprice(
    portfolio: Portfolio,
    fill: Fill,
    price_usd: Decimal,
    deltas: Mapping[BookName, Decimal] | None,
    filled: Decimal,
) -> Portfolio:
    """Return the portfolio with a fill that was booked before at another price.

    What is still held of its shares costs the new price; of the others the profit changes.
    """
    dearer_usd = price_usd - fill.price_usd
    before = ZERO if deltas is None else filled - fill.quantity_shares
    moves = ledger.shares_by_book(fill, deltas, before)
    books = dict(portfolio.books)
    for name, moved in moves.items():
        held_by = books.get(name, _EMPTY)
        position, realized_usd = _repriced(held_by.positions.get(fill.symbol), moved, dearer_usd)
        books[name] = replace(
            held_by,
            cash_usd=held_by.cash_usd - moved * dearer_usd,
            realized_usd=held_by.realized_usd + realized_usd,
            positions=_with(held_by.positions, fill, position),
        )
    position, realized_usd = _repriced(
        portfolio.positions.get(fill.symbol), fill.signed_shares, dearer_usd
    )
    return replace(
        portfolio,
        cash_usd=portfolio.cash_usd - fill.signed_shares * dearer_usd,
        realized_usd=portfolio.realized_usd + realized_usd,
        positions=_with(portfolio.positions, fill, position),
        books=books,
    )


def _repriced(
    held: Position | None, moved: Decimal, dearer_usd: Decimal
) -> tuple[Position | None, Decimal]:
    """Return a position whose last signed shares were dearer, and the change of what was realized:
    of shares that are not held any more, or that closed."""
    shares = held.quantity_shares if held else ZERO
    kept = min(moved, shares, key=abs) if moved * shares > 0 else ZERO
    realized_usd = (kept - moved) * dearer_usd
    if held is None or not kept:
        return held, realized_usd
    cost_usd = shares * held.average_entry_usd + kept * dearer_usd
    # Shares of another book's price may have been put right by more than this one's ever cost.
    average_usd = max((cost_usd / shares).quantize(AVERAGE_DECIMALS), ZERO)
    return replace(held, average_entry_usd=average_usd), realized_usd


def _with(
    positions: Mapping[Symbol, Position], fill: Fill, position: Position | None
) -> Mapping[Symbol, Position]:
    return positions if position is None else {**positions, fill.symbol: position}

"""What a corporate action makes of the book: shares, basis, and money that is on its way.

The laws of `state.ledger` hold here too: books sum to the account, capital does not change. Money
that was earned and has not come yet is credited to the books that held the shares, and is a flow
out of the account; when it comes, it is a flow in. So on the ex-date, when the price falls by what
is paid, neither today's loss nor the drawdown moves, and on the day of payment nothing does.
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from domain.corporate import ActionDone, CorporateAction
from domain.instruments import Symbol
from domain.money import CENT, ZERO
from domain.orders import BookName
from domain.portfolio import Portfolio, Position
from domain.values import replace
from state.apportion import apportion
from state.ledger import AVERAGE_DECIMALS

SHARE_STEP = Decimal("1e-9")
"""Venues keep shares to so many decimals, and cut the rest off."""


def shares_after(action: CorporateAction, shares: Decimal) -> Decimal:
    """Return what signed shares become, cut off to SHARE_STEP toward zero."""
    return (shares * action.ratio).quantize(SHARE_STEP, ROUND_DOWN).normalize() + ZERO


def is_held(portfolio: Portfolio, symbol: Symbol) -> bool:
    """Return whether the account or any book of it has shares of a symbol."""
    return symbol in portfolio.positions or any(
        symbol in held_by.positions for held_by in portfolio.books.values()
    )


def amount_usd(portfolio: Portfolio, action: CorporateAction) -> Decimal:
    """Return the money an action brings to the account, to the cent; negative for a short."""
    return (portfolio.shares(action.symbol) * action.cash_usd).quantize(CENT)


def carry_out(
    portfolio: Portfolio, action: CorporateAction, shares: Decimal | None = None
) -> Portfolio:
    """Return the portfolio after an action on what it holds.

    `shares` are the account's afterwards as the venue counts them (a fraction may have been paid
    out), None for exactly the ratio's; the books share them as they shared those before. Cost
    stays with the shares, less in the books what was paid out. Raises ValueError when the venue
    counts more than the ratio gives.
    """
    symbol, becomes = action.symbol, action.becomes
    before = {n: b.shares(symbol) for n, b in portfolio.books.items() if b.shares(symbol)}
    exact = {name: shares_after(action, held) for name, held in before.items()}
    after = _divided(exact, shares_after(action, portfolio.shares(symbol)), shares)
    books = dict(portfolio.books)
    paid = _money(portfolio, action, before)
    for name in before:
        held_by = books[name]
        # A book's stops are measured from its average: what was paid out is no fall.
        positions = _lowered(held_by.positions, symbol, action.cash_usd)
        books[name] = replace(
            held_by,
            cash_usd=held_by.cash_usd + paid[name],
            positions=_converted(positions, symbol, becomes, after[name]),
        )
    total = sum(after.values(), ZERO)
    money = sum(paid.values(), ZERO)
    return replace(
        portfolio,
        positions=_converted(portfolio.positions, symbol, becomes, total),
        books=books,
        realized_usd=portfolio.realized_usd + money,
        flows_usd=portfolio.flows_usd - money,
    )


def marks_after(
    marks: Mapping[Symbol, Decimal], action: CorporateAction, seen_usd: Decimal | None
) -> dict[Symbol, Decimal]:
    """Return the last prices as they would be of the shares there are afterwards; `seen_usd`: what
    was seen of those already, None where every price is of the shares before."""
    changed = dict(marks)
    mark_usd = changed.pop(action.symbol, None)
    if seen_usd is not None:
        changed[action.becomes] = seen_usd
    elif mark_usd is not None and action.ratio > 0:
        left_usd = mark_usd - action.cash_usd
        changed[action.becomes] = (max(left_usd, CENT) / action.ratio).quantize(AVERAGE_DECIMALS)
    return changed


def take_back(portfolio: Portfolio, done: ActionDone) -> Portfolio:
    """Return the portfolio after money that was credited never came: a loss of the books that
    hold the symbol, of the largest book when none does any more."""
    holders = {n: b.shares(done.symbol) for n, b in portfolio.books.items()}
    held = {name: shares for name, shares in holders.items() if shares}
    if not held:
        held = dict.fromkeys(sorted(portfolio.books)[:1], Decimal(1))
    books = dict(portfolio.books)
    for name, part in _split_money(done.amount_usd, held).items():
        held_by = books[name]
        books[name] = replace(
            held_by,
            cash_usd=held_by.cash_usd - part,
        )
    return replace(
        portfolio,
        books=books,
        realized_usd=portfolio.realized_usd - done.amount_usd,
        flows_usd=portfolio.flows_usd + done.amount_usd,
    )


def _divided(
    exact: Mapping[BookName, Decimal], expected: Decimal, shares: Decimal | None
) -> dict[BookName, Decimal]:
    """Return the books' shares so that they sum to the account's."""
    total = sum(exact.values(), ZERO)
    wanted = expected if shares is None else shares
    if total == wanted:
        return dict(exact)
    is_crumb = abs(wanted - total) <= SHARE_STEP * len(exact)
    if not is_crumb:
        if wanted == 0:
            return dict.fromkeys(exact, ZERO)
        if total == 0 or (total > 0) != (wanted > 0) or abs(wanted) > abs(total) + 1:
            raise ValueError(f"books with {total} shares cannot come to {wanted}")
    if is_crumb or abs(wanted) > abs(total):
        # Cut off book by book, another sum is left than of the whole: the first bears the rest.
        first = min(exact)
        return {**exact, first: exact[first] + wanted - total}
    return apportion(exact, abs(wanted))


def _money(
    portfolio: Portfolio, action: CorporateAction, before: Mapping[BookName, Decimal]
) -> dict[BookName, Decimal]:
    if not action.cash_usd:
        return dict.fromkeys(before, ZERO)
    return _split_money(amount_usd(portfolio, action), before)


def _split_money(total_usd: Decimal, shares: Mapping[BookName, Decimal]) -> dict[BookName, Decimal]:
    """Return money divided by signed shares, in cents; the last book bears the rounding."""
    names = sorted(shares)
    net = sum(shares.values(), ZERO)
    if net == 0:
        return dict.fromkeys(names, ZERO)
    parts = {n: (total_usd * shares[n] / net).quantize(CENT, ROUND_DOWN) for n in names[:-1]}
    parts[names[-1]] = total_usd - sum(parts.values(), ZERO)
    return parts


def _lowered(
    positions: Mapping[Symbol, Position], symbol: Symbol, cash_usd: Decimal
) -> Mapping[Symbol, Position]:
    held = positions[symbol]
    if not cash_usd:
        return positions
    average_usd = max(held.average_entry_usd - cash_usd, ZERO)
    return {**positions, symbol: replace(held, average_entry_usd=average_usd)}


def _converted(
    positions: Mapping[Symbol, Position], symbol: Symbol, becomes: Symbol, shares: Decimal
) -> dict[Symbol, Position]:
    """Return positions with one symbol's shares replaced, what they cost carried over."""
    converted = dict(positions)
    old = converted.pop(symbol, None)
    if shares == 0:
        return converted
    cost_usd = old.quantity_shares * old.average_entry_usd if old else ZERO
    other = converted.pop(becomes, None)
    if other is not None:
        shares += other.quantity_shares
        cost_usd += other.quantity_shares * other.average_entry_usd
        if shares == 0:
            return converted
    average_usd = abs(cost_usd / shares).quantize(AVERAGE_DECIMALS)
    converted[becomes] = Position(quantity_shares=shares, average_entry_usd=average_usd)
    return converted

"""What we own and owe, by account and by book."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import compress, filterfalse
from operator import is_not

from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import BookName
from domain.values import Value, field


class Position(Value, frozen=True, kw_only=True):
    """Signed shares of one symbol (long > 0 > short) and what they cost on average."""

    quantity_shares: Decimal
    average_entry_usd: Decimal

    def __post_init__(self) -> None:
        if not self.quantity_shares or self.average_entry_usd < ZERO:
            raise ValueError(f"not a position: {self!r}")


class Book(Value, frozen=True, kw_only=True):
    """One strategy's share of the account.

    `cash_usd` is the sum of its own trades (negative after buying), so its profit is exactly
    cash_usd + Σ shares × price; `fees_usd` are already inside it.
    """

    cash_usd: Decimal = ZERO
    fees_usd: Decimal = ZERO
    realized_usd: Decimal = ZERO
    positions: Mapping[Symbol, Position] = field(default_factory=dict)

    def shares(self, symbol: Symbol) -> Decimal:
        """Return signed shares held, 0 when none."""
        position = self.positions.get(symbol)
        return position.quantity_shares if position else ZERO


class Portfolio(Value, frozen=True, kw_only=True):
    """Cash and positions of the account, and the books they are divided into.

    Σ books' shares = the account's shares, symbol by symbol. `flows_usd` sums deposits less
    withdrawals since the first start and is no profit.
    """

    cash_usd: Decimal
    positions: Mapping[Symbol, Position] = field(default_factory=dict)
    books: Mapping[BookName, Book] = field(default_factory=dict)
    realized_usd: Decimal = ZERO
    fees_usd: Decimal = ZERO
    flows_usd: Decimal = ZERO

    def shares(self, symbol: Symbol) -> Decimal:
        """Return signed shares held, 0 when none."""
        position = self.positions.get(symbol)
        return position.quantity_shares if position else ZERO


class AccountReport(Value, frozen=True, kw_only=True):
    """The account as the venue sees it."""

    account_id: str
    cash_usd: Decimal
    equity_usd: Decimal
    last_equity_usd: Decimal
    buying_power_usd: Decimal
    positions: Mapping[Symbol, Position]
    is_blocked: bool
    shorting_enabled: bool
    reported_at: datetime


def moved(before: Mapping[Symbol, Position], after: Mapping[Symbol, Position]) -> list[Symbol]:
    """Return the symbols whose position is not the same object any more, or gone."""
    others = map(is_not, after.values(), map(before.get, after))
    found = list(compress(after, others))
    if len(after) - len(found) + sum(map(before.__contains__, found)) < len(before):
        found += filterfalse(after.__contains__, before)
    return found

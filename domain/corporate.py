"""What companies do to their shares: splits, dividends, mergers."""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from domain.instruments import Symbol
from domain.money import ZERO
from domain.values import Value


class ActionKind(StrEnum):
    """What happens. OTHER is what this program does not know how to book."""

    SPLIT = "split"
    DIVIDEND = "dividend"
    MERGER = "merger"
    RENAMING = "renaming"
    OTHER = "other"


class CorporateAction(Value, frozen=True, kw_only=True):
    """One share of `symbol` becomes `ratio` shares of `new_symbol` (itself, unless named) and
    `cash_usd` dollars, for who holds it when `ex_day` begins; the money comes on `pay_day`.

    Raises ValueError for a split or dividend that cannot be.
    """

    action_id: str
    kind: ActionKind
    symbol: Symbol
    ex_day: date
    pay_day: date
    ratio: Decimal = Decimal(1)
    cash_usd: Decimal = ZERO
    new_symbol: Symbol = Symbol("")
    detail: str = ""

    def __post_init__(self) -> None:
        if self.ratio < 0 or self.cash_usd < 0:
            raise ValueError(f"{self.action_id}: less than nothing for a share: {self!r}")
        if self.kind is ActionKind.SPLIT and self.ratio <= 0:
            raise ValueError(f"{self.action_id}: a split into nothing")

    @property
    def becomes(self) -> Symbol:
        """The symbol that is held afterwards."""
        return self.new_symbol or self.symbol

    @property
    def changes_shares(self) -> bool:
        """Whether the number of shares, or their name, is another one afterwards."""
        return self.ratio != 1 or self.becomes != self.symbol


class ActionDone(Value, frozen=True, kw_only=True):
    """A corporate action that was booked: it is never booked again. `amount_usd` was credited to
    the books that held it (charged, when negative) and is owed by the venue until it is paid."""

    action_id: str
    symbol: Symbol
    kind: ActionKind
    ex_day: date
    pay_day: date
    amount_usd: Decimal = ZERO
    is_paid: bool = True


ACTIONS_KEPT_MAX = 500
"""Booked actions remembered; a year brings a few for each symbol held."""

"""What happens to an account apart from orders: dividends, splits, fees, interest, and
money that its owner brings or takes."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class ActivityKind(StrEnum):
    """Kinds of account activities that are no trades, in the wire's words."""

    DIVIDEND = "DIV"
    SPLIT = "SPLIT"
    CASH_IN_LIEU = "CIL"
    FEE = "FEE"
    INTEREST = "INT"
    DEPOSIT = "CSD"
    WITHDRAWAL = "CSW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One entry: `net_amount` dollars came (< 0: went), and of a split `qty` shares.

    A split is two entries, the old shares going and the new ones coming, with `price_usd` the
    value of one; of a dividend `qty` shares were paid `price_usd` each. `action_id` is the
    corporate action behind it.
    """

    id: str
    ordinal: int
    kind: ActivityKind
    at_ns: int
    day: date
    net_amount: Decimal
    description: str
    symbol: str | None = None
    qty: Decimal | None = None
    price_usd: Decimal | None = None
    action_id: str | None = None

    @property
    def moved_qty(self) -> Decimal:
        """Shares that came (< 0: went)."""
        moves = self.kind in (ActivityKind.SPLIT, ActivityKind.CASH_IN_LIEU)
        return self.qty if moves and self.qty is not None else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DividendDue:
    """A dividend that a position is entitled to (a short: owes), until it is paid."""

    action_id: str
    symbol: str
    qty: Decimal
    cash_usd: Decimal
    payable_on: date

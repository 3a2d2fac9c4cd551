"""How much was lost: today against the previous close, and in all against the peak."""

from decimal import Decimal

from domain.money import ZERO
from domain.values import Value


class LossBases(Value, frozen=True, kw_only=True):
    """What losses are measured from, in USD.

    `day_start_usd` is equity at the previous close and `flows_today_usd` deposits less withdrawals
    since; `peak_usd` is the highest value so far of equity less all flows, and `flows_usd` all
    flows since the first start (`Portfolio.flows_usd`). A deposit or a withdrawal moves equity and
    flows alike, so it changes no ratio. Raises ValueError unless both bases are positive.
    """

    day_start_usd: Decimal
    peak_usd: Decimal
    flows_today_usd: Decimal = ZERO
    flows_usd: Decimal = ZERO

    def __post_init__(self) -> None:
        if self.day_start_usd <= 0 or self.peak_usd <= 0:
            raise ValueError(f"losses cannot be measured from nothing: {self!r}")


def daily_loss_ratio(equity_usd: Decimal, bases: LossBases) -> Decimal:
    """Return today's loss as a share of equity at the previous close; negative for a gain."""
    return (bases.day_start_usd - (equity_usd - bases.flows_today_usd)) / bases.day_start_usd


def drawdown_ratio(equity_usd: Decimal, bases: LossBases) -> Decimal:
    """Return the fall from the peak as a share of the peak; negative at a new peak."""
    return (bases.peak_usd - (equity_usd - bases.flows_usd)) / bases.peak_usd

"""No single order above a number of shares."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from domain.orders import AtLimit, Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import Witness, Witnesses, calm_view, entry, priced_at


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSharesRule:
    """A wrong price makes a modest amount of money a huge number of shares."""

    order_size_max_shares: int
    name: ClassVar[str] = "order_shares"
    setting: ClassVar[str] = SETTING_OF["order_size_max_shares"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the shares above the limit."""
        if intent.quantity_shares <= self.order_size_max_shares:
            return None
        wording = Wording(
            limit=f"{self.order_size_max_shares} shares an order",
            value=f"{intent.quantity_shares:f} shares",
            headroom=f"{self.order_size_max_shares} shares",
            action=f"order less, or raise {self.setting}",
        )
        return deny(self, wording, Decimal(self.order_size_max_shares))

    def spares(self, order: Sketch) -> bool:
        """Spare orders below the limit."""
        return order.shares < self.order_size_max_shares

    def witnesses(self) -> Witnesses:
        """Return the largest order within the limit, and one share more, of a $1 stock."""
        cheap = priced_at(calm_view(), 1.0)
        most = self.order_size_max_shares
        at_a_dollar = AtLimit(Decimal(1))
        return Witnesses(
            inside=Witness(intent=entry(most, terms=at_a_dollar), view=cheap),
            outside=Witness(intent=entry(most + 1, terms=at_a_dollar), view=cheap),
            unit="1 share",
        )

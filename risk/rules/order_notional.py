"""No single order above an amount of money, however large the account."""

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.exposure import worst_price_usd
from risk.limits import SETTING_OF
from risk.rule import Wording, fits, no_price, reduce_to, usd
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import Witnesses, calm_view, entry, on_both_sides


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotionalRule:
    """Shares × the worst price the order may get must not exceed the limit."""

    order_size_max_usd: Decimal
    _most_usd: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "order_notional"
    setting: ClassVar[str] = SETTING_OF["order_size_max_usd"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_most_usd", float(self.order_size_max_usd) * CAUTION)

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part above the limit."""
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        price_usd = worst_price_usd(intent, mark_usd)
        room_shares = float(self.order_size_max_usd) / price_usd
        if fits(intent, room_shares):
            return None
        wording = Wording(
            limit=f"{usd(self.order_size_max_usd)} an order",
            value=usd(float(intent.quantity_shares) * price_usd),
            headroom=usd(self.order_size_max_usd),
            action=f"order less, or raise {self.setting}",
        )
        return reduce_to(self, intent, view, room_shares, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders below the limit at their worst price."""
        return order.worst_value_usd <= self._most_usd

    def witnesses(self) -> Witnesses:
        """Return the largest order within the limit, and one share more."""
        price_usd = worst_price_usd(entry(), 0.0)
        most = (self.order_size_max_usd / Decimal(repr(price_usd))).to_integral_value(ROUND_DOWN)
        return on_both_sides(calm_view(), inside_shares=most)

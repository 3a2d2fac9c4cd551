"""No more than so many entries a day."""

from dataclasses import dataclass, replace
from typing import ClassVar

from domain.orders import Denial, OrderIntent, Severity
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import Witnesses, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersPerDayRule:
    """Fewer than `orders_per_day_max` entries today."""

    orders_per_day_max: int
    name: ClassVar[str] = "orders_per_day"
    setting: ClassVar[str] = SETTING_OF["orders_per_day_max"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection when the day's entries are used up."""
        if view.orders_today < self.orders_per_day_max:
            return None
        wording = Wording(
            limit=f"{self.orders_per_day_max} entries a day",
            value=f"{view.orders_today} today",
            headroom="0 orders",
            action=f"wait for tomorrow; if it is no surprise, raise {self.setting}",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare entries until the day's are used up."""
        return order.entries + order.view.orders_today < self.orders_per_day_max

    def witnesses(self) -> Witnesses:
        """Return the last entry of the day, and one more."""
        calm = calm_view()
        return between(
            entry(),
            inside=replace(calm, orders_today=self.orders_per_day_max - 1),
            outside=replace(calm, orders_today=self.orders_per_day_max),
            unit="1 order",
        )

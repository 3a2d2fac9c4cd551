"""No more than so many entries a minute."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from domain.orders import Denial, OrderIntent, Severity
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import NOON, Witnesses, between, calm_view, entry

WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRateRule:
    """Fewer than `orders_per_minute_max` entries in the minute before: more is a fault of ours."""

    orders_per_minute_max: int
    name: ClassVar[str] = "order_rate"
    setting: ClassVar[str] = SETTING_OF["orders_per_minute_max"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection when the minute's entries are used up."""
        times = view.order_times
        if len(times) < self.orders_per_minute_max:
            return None
        since_at = view.as_of - WINDOW
        recent = sum(1 for at in times if at > since_at)
        if recent < self.orders_per_minute_max:
            return None
        wording = Wording(
            limit=f"{self.orders_per_minute_max} entries a minute",
            value=f"{recent} in the last minute",
            headroom="0 orders",
            action=f"wait a minute; if it is no surprise, raise {self.setting}",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare entries while all that is remembered is fewer than a minute's limit."""
        return order.entries + len(order.view.order_times) < self.orders_per_minute_max

    def witnesses(self) -> Witnesses:
        """Return the last entry of the minute, and one more."""
        calm = calm_view()
        just_before = NOON - timedelta(seconds=1)
        return between(
            entry(),
            inside=replace(calm, order_times=(just_before,) * (self.orders_per_minute_max - 1)),
            outside=replace(calm, order_times=(just_before,) * self.orders_per_minute_max),
            unit="1 order",
        )

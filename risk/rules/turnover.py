"""No more than a share of equity traded a day."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.exposure import PROTECTIVE_LEGS
from risk.limits import SETTING_OF
from risk.rule import Wording, fits, no_equity, no_price, percent, reduce_to, usd
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import EQUITY_USD, PRICE_USD, Witnesses, calm_view, on_both_sides


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnoverRule:
    """Traded today + may still fill + this order ≤ `daily_turnover_max` of equity; protective
    exits do not count."""

    daily_turnover_max: Decimal
    _share: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "turnover"
    setting: ClassVar[str] = SETTING_OF["daily_turnover_max"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_share", float(self.daily_turnover_max) * CAUTION)

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part above the day's limit."""
        if intent.leg in PROTECTIVE_LEGS:
            return None
        if view.equity_usd is None:
            return no_equity(self)
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        cap_usd = float(self.daily_turnover_max * view.equity_usd)
        spent_usd = float(view.turnover_today_usd) + view.exposure.turnover_usd
        room_shares = (cap_usd - spent_usd) / mark_usd
        if fits(intent, room_shares):
            return None
        asked_usd = float(intent.quantity_shares) * mark_usd
        wording = Wording(
            limit=f"{percent(self.daily_turnover_max)} of equity a day = {usd(cap_usd)}",
            value=f"{usd(spent_usd + asked_usd)} with this order",
            headroom=usd(max(0.0, cap_usd - spent_usd)),
            action=f"wait for tomorrow, or raise {self.setting}",
        )
        return reduce_to(self, intent, view, room_shares, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders while the day's turnover lasts."""
        cap_usd = self._share * order.equity_usd
        return order.turnover_usd + order.value_usd <= cap_usd - order.turnover_today_usd

    def witnesses(self) -> Witnesses:
        """Return an order that takes the last of the day's turnover, and one share more."""
        spent_usd = self.daily_turnover_max * EQUITY_USD - 10 * Decimal(repr(PRICE_USD))
        return on_both_sides(replace(calm_view(), turnover_today_usd=spent_usd), inside_shares=10)

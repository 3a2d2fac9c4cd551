"""No entry once the day has lost too much."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from domain.money import CENT
from domain.orders import Denial, OrderIntent, Severity
from risk.limits import SETTING_OF
from risk.losses import daily_loss_ratio
from risk.rule import Wording, deny, missing, no_equity, percent
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import EQUITY_USD, Witnesses, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyLossRule:
    """Today's loss against the previous close, deposits left out, must be below the limit."""

    max_daily_loss_percent: Decimal
    name: ClassVar[str] = "daily_loss"
    setting: ClassVar[str] = SETTING_OF["max_daily_loss_percent"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection once the limit is reached."""
        equity_usd = view.loss_equity_usd
        if equity_usd is None:
            return no_equity(self)
        if view.loss_bases is None:
            return missing(self, "equity at the previous close", "wait for the account report")
        lost = daily_loss_ratio(equity_usd, view.loss_bases)
        if lost < self.max_daily_loss_percent:
            return None
        wording = Wording(
            limit=f"{percent(self.max_daily_loss_percent)} below the previous close",
            value=f"{percent(lost)} lost today",
            headroom="0 shares today",
            action="nothing: it clears at the next session's open",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare every order until the limit is reached."""
        equity_usd, bases = order.view.loss_equity_usd, order.view.loss_bases
        if equity_usd is None or bases is None:
            return False
        return daily_loss_ratio(equity_usd, bases) < self.max_daily_loss_percent

    def witnesses(self) -> Witnesses:
        """Return an entry a cent before the limit, and at it."""
        calm, at_limit_usd = calm_view(), EQUITY_USD * (1 - self.max_daily_loss_percent)
        return between(
            entry(),
            inside=replace(calm, equity_usd=at_limit_usd + CENT),
            outside=replace(calm, equity_usd=at_limit_usd),
            unit="1 cent",
        )

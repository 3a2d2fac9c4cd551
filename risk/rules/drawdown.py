"""No entry once the account has fallen too far from its peak."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from domain.money import CENT
from domain.orders import Denial, OrderIntent, Severity
from risk.limits import SETTING_OF
from risk.losses import LossBases, drawdown_ratio
from risk.rule import Wording, deny, missing, no_equity, percent
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import EQUITY_USD, Witnesses, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownRule:
    """The fall from the peak, deposits left out, must be below the limit."""

    max_drawdown_percent: Decimal
    name: ClassVar[str] = "drawdown"
    setting: ClassVar[str] = SETTING_OF["max_drawdown_percent"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection once the limit is reached."""
        equity_usd = view.loss_equity_usd
        if equity_usd is None:
            return no_equity(self)
        if view.loss_bases is None:
            return missing(self, "the peak of equity", "wait for the account report")
        fallen = drawdown_ratio(equity_usd, view.loss_bases)
        if fallen < self.max_drawdown_percent:
            return None
        wording = Wording(
            limit=f"{percent(self.max_drawdown_percent)} below the peak",
            value=f"{percent(fallen)} below the peak",
            headroom="0 shares until resumed",
            action="find out why, then `tradewind resume` naming drawdown",
            severity=Severity.CRITICAL,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare every order until the limit is reached."""
        equity_usd, bases = order.view.loss_equity_usd, order.view.loss_bases
        if equity_usd is None or bases is None:
            return False
        return drawdown_ratio(equity_usd, bases) < self.max_drawdown_percent

    def witnesses(self) -> Witnesses:
        """Return an entry a cent before the limit, and at it."""
        at_limit_usd = EQUITY_USD * (1 - self.max_drawdown_percent)
        bases = LossBases(day_start_usd=at_limit_usd, peak_usd=EQUITY_USD)
        calm = replace(calm_view(), loss_bases=bases)
        return between(
            entry(),
            inside=replace(calm, equity_usd=at_limit_usd + CENT),
            outside=replace(calm, equity_usd=at_limit_usd),
            unit="1 cent",
        )

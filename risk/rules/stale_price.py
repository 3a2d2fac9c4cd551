"""No entry on a price that is old by the venue's own clock."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from domain.orders import Denial, OrderIntent, Severity
from risk.limits import SETTING_OF
from risk.prices import FUTURE_TOLERANCE_S, is_fresh, is_surely_fresh, quote_age_s
from risk.rule import Wording, deny, missing
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import NOON, STOCK, Witnesses, between, calm_view, entry, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class StalePriceRule:
    """The quote must be at most this old; one from the future is bad, not fresh."""

    order_price_max_age_seconds: float
    name: ClassVar[str] = "stale_price"
    setting: ClassVar[str] = SETTING_OF["order_price_max_age_seconds"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to a missing, old or future quote."""
        seen = view.quotes.get(intent.symbol)
        if seen is None:
            return missing(self, f"a quote of {intent.symbol}", "wait for a quote")
        if is_fresh(seen, view, self.order_price_max_age_seconds):
            return None
        age_s = quote_age_s(seen, view)
        wording = Wording(
            limit=f"quote between -{FUTURE_TOLERANCE_S:g} and "
            f"{self.order_price_max_age_seconds:g} s old",
            value=f"{age_s:.3f} s old",
            headroom="0 shares until a fresh quote",
            action="wait for a fresh quote; if all are old, see `tradewind doctor`",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders on quotes of less than the limit's age, and none from the future."""
        return is_surely_fresh(order.quote, order.view, self.order_price_max_age_seconds)

    def witnesses(self) -> Witnesses:
        """Return an entry on a quote of just this age, and a millisecond older."""
        oldest_at = NOON - timedelta(seconds=self.order_price_max_age_seconds)
        calm = calm_view()
        old = quote(STOCK, at=oldest_at)
        older = quote(STOCK, at=oldest_at - timedelta(milliseconds=1))
        return between(
            entry(),
            inside=replace(calm, quotes={**calm.quotes, STOCK: old}),
            outside=replace(calm, quotes={**calm.quotes, STOCK: older}),
            unit="1 ms",
        )

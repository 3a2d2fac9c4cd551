"""No entry may be priced further through the touch than the collar."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from domain.orders import AtLimit, AtStopLimit, Denial, OrderIntent, Severity, Side
from risk.limits import SETTING_OF
from risk.prices import collar_usd, is_surely_inside, limit_usd
from risk.rule import Wording, deny, missing
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import PRICE_USD, Witness, Witnesses, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class CollarRule:
    """A limit price may lie `collar_bps` through the ask (buys) or the bid (sells), to the tick.

    An order without a limit price pays the touch and is bounded by its size. A stop-limit is
    measured from its stop when that lies beyond the touch.
    """

    collar_bps: float
    name: ClassVar[str] = "collar"
    setting: ClassVar[str] = SETTING_OF["collar_bps"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to a limit price beyond the collar."""
        limit = limit_usd(intent)
        if limit is None:
            return None
        seen = view.quotes.get(intent.symbol)
        if seen is None:
            return missing(self, f"a quote of {intent.symbol}", "wait for a quote")
        sign = intent.side.sign
        touch_usd = seen.ask_usd if intent.side is Side.BUY else seen.bid_usd
        if isinstance(intent.terms, AtStopLimit):
            touch_usd = sign * max(sign * touch_usd, sign * float(intent.terms.stop_usd))
        # Most limits lie well inside; only the doubtful ones need the exact tick.
        if sign * (float(limit) - touch_usd) <= 0:
            return None
        worst_usd = collar_usd(intent.side, touch_usd, self.collar_bps)
        if sign * (limit - worst_usd) <= 0:
            return None
        wording = Wording(
            limit=f"{worst_usd:f} USD = {self.collar_bps:g} bps through {touch_usd:.4f} USD",
            value=f"limit {limit:f} USD",
            headroom=f"{sign * (worst_usd - limit):f} USD",
            action=f"price the order inside the collar, or raise {self.setting}",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders without a limit, and limits inside the collar before it is rounded."""
        return is_surely_inside(order, self.collar_bps)

    def witnesses(self) -> Witnesses:
        """Return a buy limited at the collar, and one a tick above."""
        calm = calm_view()
        worst_usd = collar_usd(Side.BUY, PRICE_USD + 0.01, self.collar_bps)
        return Witnesses(
            inside=Witness(intent=entry(terms=AtLimit(worst_usd)), view=calm),
            outside=Witness(intent=entry(terms=AtLimit(worst_usd + Decimal("0.01"))), view=calm),
            unit="1 tick",
        )

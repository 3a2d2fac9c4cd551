"""Nothing is sold that is not owned, unless shorts are on and the asset can be borrowed."""

from dataclasses import dataclass, replace
from typing import ClassVar

from domain.orders import Denial, OrderIntent, Side
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import STOCK, Witness, Witnesses, calm_view, entry, holding


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortSaleRule:
    """A sale reaches no further than what is held less what is being sold already.

    For a strategy's order only shares that we opened count as held: selling a stranger's would
    be a short of our own.
    """

    allow_shorts: bool
    name: ClassVar[str] = "short_sale"
    setting: ClassVar[str] = SETTING_OF["allow_shorts"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part of a sale that would be short."""
        if intent.side is Side.BUY:
            return None
        owned_shares = view.closing_shares(intent)
        if owned_shares >= intent.quantity_shares:
            return None
        rights = view.assets.get(intent.symbol)
        if self.allow_shorts and rights is not None and rights.shortable:
            return None
        why = "not shortable at the venue" if self.allow_shorts else "shorts are off"
        wording = Wording(
            limit=f"{owned_shares:f} shares owned and not being sold; {why}",
            value=f"{intent.quantity_shares:f} shares to sell",
            headroom=f"{owned_shares:f} shares",
            action=f"sell what is held, or allow shorts with {self.setting}=true",
        )
        return deny(self, wording, owned_shares)

    def spares(self, order: Sketch) -> bool:
        """Spare purchases; of sales only those are asked about that do more than close."""
        if order.is_buy or not self.allow_shorts:
            return order.is_buy
        rights = order.view.assets.get(order.symbol)
        return rights is not None and rights.shortable

    def witnesses(self) -> Witnesses:
        """Return a sale of all that is held, and of one share more."""
        calm = calm_view()
        if self.allow_shorts:
            unshortable = replace(calm.assets[STOCK], shortable=False)
            calm = replace(calm, assets={**calm.assets, STOCK: unshortable})
        view = holding(calm, {STOCK: 10})
        return Witnesses(
            inside=Witness(intent=entry(10, side=Side.SELL), view=view),
            outside=Witness(intent=entry(11, side=Side.SELL), view=view),
            unit="1 share",
        )

"""Never buy and sell the same symbol at once."""

from dataclasses import dataclass, replace
from typing import ClassVar

from domain.orders import Denial, OrderIntent, Side
from risk.rule import BUILT_IN, Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import STOCK, Witnesses, between, calm_view, entry, holding, working


@dataclass(frozen=True, slots=True, kw_only=True)
class OppositeOrderRule:
    """An order that could trade with one of our own would be a wash trade; the venue refuses it."""

    name: ClassVar[str] = "opposite_order"
    setting: ClassVar[str] = BUILT_IN
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection while an order on the other side may still fill."""
        if not view.has_opposite_working(intent.symbol, intent.side):
            return None
        reach = view.reach(intent.symbol)
        shares = reach.selling if intent.side is Side.BUY else reach.buying
        other = Side.SELL if intent.side is Side.BUY else Side.BUY
        wording = Wording(
            limit="no order against one of our own",
            value=f"{shares:f} shares of {intent.symbol} working to {other}",
            headroom="0 shares until it is canceled or filled",
            action="cancel the other order first",
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders with nothing working against them."""
        return not order.opposite_shares

    def witnesses(self) -> Witnesses:
        """Return an entry alone, and one against a working sale of a share."""
        held = holding(calm_view(), {STOCK: 1})
        selling = replace(held, working=(working(entry(1, side=Side.SELL)),))
        return between(entry(), inside=held, outside=selling, unit="1 share working")

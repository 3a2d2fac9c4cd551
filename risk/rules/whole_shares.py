"""Whole shares, unless fractions are on and the asset can be split."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from domain.money import WHOLE_SHARE, to_quantity
from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Wording, deny
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import STOCK, Witness, Witnesses, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSharesRule:
    """Fractional orders cannot carry gtc stops and are refused for many assets."""

    fractional_shares: bool
    name: ClassVar[str] = "whole_shares"
    setting: ClassVar[str] = SETTING_OF["fractional_shares"]
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the broken part of a quantity."""
        whole_shares = to_quantity(intent.quantity_shares, WHOLE_SHARE)
        if whole_shares == intent.quantity_shares:
            return None
        rights = view.assets.get(intent.symbol)
        if self.fractional_shares and rights is not None and rights.fractionable:
            return None
        why = "the venue does not split it" if self.fractional_shares else "fractions are off"
        wording = Wording(
            limit=f"whole shares; {why}",
            value=f"{intent.quantity_shares:f} shares",
            headroom=f"{whole_shares:f} shares",
            action=f"order whole shares, or allow fractions with {self.setting}=true",
        )
        return deny(self, wording, whole_shares)

    def spares(self, order: Sketch) -> bool:
        """Spare whole shares."""
        quantity_shares = order.intent.quantity_shares
        return quantity_shares == quantity_shares.to_integral_value()

    def witnesses(self) -> Witnesses:
        """Return an order of whole shares, and of half a share more."""
        calm = calm_view()
        if self.fractional_shares:
            unsplittable = replace(calm.assets[STOCK], fractionable=False)
            calm = replace(calm, assets={**calm.assets, STOCK: unsplittable})
        return Witnesses(
            inside=Witness(intent=entry(10), view=calm),
            outside=Witness(intent=entry(Decimal("10.5")), view=calm),
            unit="half a share",
        )

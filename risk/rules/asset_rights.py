"""Only symbols we know and the venue lets us trade now."""

from dataclasses import dataclass, replace
from typing import ClassVar

from domain.orders import Denial, OrderIntent, Severity
from risk.rule import BUILT_IN, Wording, deny, missing
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import STOCK, Witnesses, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRightsRule:
    """An entry needs an instrument of ours and an asset that is tradable and not halted."""

    name: ClassVar[str] = "asset_rights"
    setting: ClassVar[str] = BUILT_IN
    binds_closing: ClassVar[bool] = False

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to a symbol that is unknown, not tradable or halted."""
        symbol = intent.symbol
        if symbol not in view.instruments:
            return missing(self, f"instrument {symbol}", "add it to the universe file")
        rights = view.assets.get(symbol)
        if rights is None:
            return missing(self, f"what the venue allows of {symbol}", "see `tradewind doctor`")
        if rights.tradable and not rights.is_halted:
            return None
        wording = Wording(
            limit="the asset must be tradable and not halted",
            value=f"{symbol} is {'halted' if rights.is_halted else 'not tradable'}",
            headroom="0 shares",
            action="wait for the halt to end, or name it in EXCLUDED_SYMBOLS",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders in what we know and may trade now."""
        rights = order.view.assets.get(order.symbol)
        return rights is not None and rights.tradable and not rights.is_halted

    def witnesses(self) -> Witnesses:
        """Return an entry into a tradable asset, and into the same one halted."""
        calm = calm_view()
        halted = replace(calm.assets[STOCK], is_halted=True)
        outside = replace(calm, assets={**calm.assets, STOCK: halted})
        return between(entry(), inside=calm, outside=outside, unit="1 halt")

"""No order above a share of what usually trades in a day."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Wording, fits, missing, percent, reduce_to
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import STOCK, Witnesses, calm_view, on_both_sides


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeShareRule:
    """Shares ≤ `adv_share_max` × the mean volume of 20 days: more would move the price."""

    adv_share_max: Decimal
    _share: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "volume_share"
    setting: ClassVar[str] = SETTING_OF["adv_share_max"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_share", float(self.adv_share_max))

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part above the limit."""
        volume_shares = view.average_volume_shares.get(intent.symbol)
        if volume_shares is None or not volume_shares > 0:
            what = f"the 20-day volume of {intent.symbol}"
            return missing(self, what, "wait for daily bars; see `tradewind doctor`")
        room_shares = float(self.adv_share_max) * volume_shares
        if fits(intent, room_shares):
            return None
        wording = Wording(
            limit=f"{percent(self.adv_share_max)} of {volume_shares:,.0f} shares a day",
            value=f"{intent.quantity_shares:f} shares",
            headroom=f"{room_shares:,.1f} shares",
            action=f"order less, trade it over several days, or raise {self.setting}",
        )
        return reduce_to(self, intent, view, room_shares, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders for less than the share of a known volume."""
        volume_shares = order.view.average_volume_shares.get(order.symbol, 0.0)
        return order.shares <= self._share * volume_shares

    def witnesses(self) -> Witnesses:
        """Return an order of just this share of a thinly traded stock, and one share more."""
        calm = calm_view()
        thin = {**calm.average_volume_shares, STOCK: 10 / float(self.adv_share_max)}
        return on_both_sides(replace(calm, average_volume_shares=thin), inside_shares=10)

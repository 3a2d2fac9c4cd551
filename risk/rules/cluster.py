"""Names that move together are limited as a few names, not as many."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Cap, cap_room_shares, fits, no_equity, no_price, over_cap
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import (
    EQUITY_USD,
    PEER,
    STOCK,
    Witnesses,
    calm_view,
    holding,
    on_both_sides,
    whole_shares_worth,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRule:
    """A correlation cluster stays within `cluster_names_max` positions of the largest size.

    A symbol without a cluster stands alone: its position limit is enough.
    """

    cluster_names_max: int
    max_position_size: Decimal
    _share: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "cluster"
    setting: ClassVar[str] = SETTING_OF["cluster_names_max"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(
            self, "_share", float(self.max_position_size) * self.cluster_names_max * CAUTION
        )

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part above the cluster's limit."""
        cluster = view.cluster_of.get(intent.symbol)
        if cluster is None:
            return None
        if view.equity_usd is None:
            return no_equity(self)
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        cap_usd = float(self.max_position_size * self.cluster_names_max * view.equity_usd)
        held_usd = view.exposure.by_cluster_usd.get(cluster, 0.0)
        cap = Cap(f"cluster {cluster}", cap_usd, held_usd)
        room_shares = cap_room_shares(intent, view, cap, mark_usd)
        if fits(intent, room_shares):
            return None
        return over_cap(self, intent, view, cap, room_shares)

    def spares(self, order: Sketch) -> bool:
        """Spare orders whose cluster stays below its limit, and symbols without one."""
        cap_usd = self._share * order.equity_usd
        if order.gross_usd + order.value_usd <= cap_usd:
            return True
        cluster = order.view.cluster_of.get(order.symbol)
        if cluster is None:
            return order.view.equity_usd is not None
        return order.cluster_usd(cluster) + order.value_usd <= cap_usd

    def witnesses(self) -> Witnesses:
        """Return an order that fills its cluster, and one share more."""
        cap_usd = self.max_position_size * self.cluster_names_max * EQUITY_USD
        calm = replace(calm_view(), cluster_of={STOCK: "chips", PEER: "chips"})
        held = holding(calm, {PEER: whole_shares_worth(cap_usd) - 10})
        return on_both_sides(held, inside_shares=10)

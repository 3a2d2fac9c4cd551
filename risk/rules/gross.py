"""Longs plus shorts stay within a share of equity."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Cap, cap_room_shares, fits, no_equity, no_price, over_cap
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import (
    EQUITY_USD,
    OTHER,
    Witnesses,
    calm_view,
    holding,
    on_both_sides,
    whole_shares_worth,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrossRule:
    """Σ worst sizes over all symbols stays within `max_gross_exposure` of equity."""

    max_gross_exposure: Decimal
    _share: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "gross"
    setting: ClassVar[str] = SETTING_OF["max_gross_exposure"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_share", float(self.max_gross_exposure) * CAUTION)

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part above the limit."""
        if view.equity_usd is None:
            return no_equity(self)
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        cap_usd = float(self.max_gross_exposure * view.equity_usd)
        cap = Cap("gross exposure", cap_usd, view.exposure.gross_usd)
        room_shares = cap_room_shares(intent, view, cap, mark_usd)
        if fits(intent, room_shares):
            return None
        return over_cap(self, intent, view, cap, room_shares)

    def spares(self, order: Sketch) -> bool:
        """Spare orders until the limit is near."""
        return order.gross_usd + order.value_usd <= self._share * order.equity_usd

    def witnesses(self) -> Witnesses:
        """Return an order that fills the gross exposure, and one share more."""
        most_shares = whole_shares_worth(self.max_gross_exposure * EQUITY_USD)
        held = holding(calm_view(), {OTHER: most_shares - 10})
        return on_both_sides(held, inside_shares=10)

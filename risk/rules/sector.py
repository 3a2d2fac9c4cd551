"""No sector above its share of equity, ETFs looked through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from domain.instruments import Sector
from domain.money import ZERO
from domain.orders import Denial, OrderIntent
from risk.exposure import UNKNOWN_LOOK_THROUGH
from risk.limits import SETTING_OF
from risk.rule import Cap, cap_room_shares, fits, no_equity, no_price, over_cap
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import (
    EQUITY_USD,
    PEER,
    Witnesses,
    calm_view,
    holding,
    on_both_sides,
    whole_shares_worth,
)

_ALL = 1.0 + 1e-5
"""No sector surpasses all by more: what an instrument looks through to sums to 1, nearly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorRule:
    """Each sector that an order adds to stays within its cap; a sector without one has none."""

    sector_caps: Mapping[Sector, Decimal]
    _caps: Mapping[Sector, float] = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "sector"
    setting: ClassVar[str] = SETTING_OF["sector_caps"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # The caps in floats once, for screens: only a memory of what the field above says.
        caps = {sector: float(cap) for sector, cap in self.sector_caps.items()}
        object.__setattr__(self, "_caps", caps)

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return the objection of the fullest sector."""
        if view.equity_usd is None:
            return no_equity(self)
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        instrument = view.instruments.get(intent.symbol)
        look_through = instrument.look_through if instrument else UNKNOWN_LOOK_THROUGH
        equity_usd, by_sector_usd = float(view.equity_usd), view.exposure.by_sector_usd
        fullest, least_shares = None, float("inf")
        for sector, share in look_through.items():
            if share <= 0:
                continue
            cap_usd = float(self.sector_caps.get(sector, ZERO)) * equity_usd
            cap = Cap(sector, cap_usd, by_sector_usd.get(sector, 0.0), share)
            room_shares = cap_room_shares(intent, view, cap, mark_usd)
            if room_shares < least_shares:
                fullest, least_shares = cap, room_shares
        if fullest is None or fits(intent, least_shares):
            return None
        return over_cap(self, intent, view, fullest, least_shares)

    def spares(self, order: Sketch) -> bool:
        """Spare orders whose sectors all stay below their caps."""
        equity_usd, caps, value_usd = order.equity_usd * CAUTION, self._caps, order.value_usd
        all_usd = (order.gross_usd + value_usd) * _ALL
        for sector, share in order.instrument.look_through.items():
            cap_usd = caps.get(sector, 0.0) * equity_usd
            if share > 0 and not all_usd <= cap_usd:
                sector_usd = order.totals.by_sector_usd.get(sector, 0.0) + value_usd * share
                if not sector_usd <= cap_usd:
                    return False
        return order.view.equity_usd is not None

    def witnesses(self) -> Witnesses:
        """Return an order that fills its sector to the cap, and one share more."""
        cap_usd = self.sector_caps.get(Sector.INFORMATION_TECHNOLOGY, ZERO) * EQUITY_USD
        held = holding(calm_view(), {PEER: whole_shares_worth(cap_usd) - 10})
        return on_both_sides(held, inside_shares=10)

"""No more than a share of equity in ETFs together."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from domain.instruments import Kind
from domain.orders import Denial, OrderIntent
from risk.limits import SETTING_OF
from risk.rule import Cap, cap_room_shares, fits, no_equity, no_price, over_cap
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import (
    EQUITY_USD,
    FUND,
    OTHER_FUND,
    Witnesses,
    calm_view,
    holding,
    on_both_sides,
    whole_shares_worth,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtfRule:
    """All ETFs together stay within `etf_cap` of equity, whatever sectors they hold."""

    etf_cap: Decimal
    _share: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "etf"
    setting: ClassVar[str] = SETTING_OF["etf_cap"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_share", float(self.etf_cap) * CAUTION)

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part of an ETF order above the cap."""
        instrument = view.instruments.get(intent.symbol)
        if instrument is None or instrument.kind is not Kind.ETF:
            return None
        if view.equity_usd is None:
            return no_equity(self)
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        cap = Cap("ETFs", float(self.etf_cap * view.equity_usd), view.exposure.etf_usd)
        room_shares = cap_room_shares(intent, view, cap, mark_usd)
        if fits(intent, room_shares):
            return None
        return over_cap(self, intent, view, cap, room_shares)

    def spares(self, order: Sketch) -> bool:
        """Spare stocks, and ETFs while all together stay below the cap."""
        if order.instrument.kind is not Kind.ETF:
            return order.view.equity_usd is not None
        return order.totals.etf_usd + order.value_usd <= self._share * order.equity_usd

    def witnesses(self) -> Witnesses:
        """Return an ETF order that fills the cap, and one share more."""
        most_shares = whole_shares_worth(self.etf_cap * EQUITY_USD)
        held = holding(calm_view(), {OTHER_FUND: most_shares - 10})
        return on_both_sides(held, inside_shares=10, symbol=FUND)

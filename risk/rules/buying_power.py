"""Orders are paid from settled cash, never from sales that have not filled."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from domain.money import ZERO
from domain.orders import Denial, OrderIntent, Side
from risk.exposure import SHORT_SALE_MARGIN, worst_price_usd
from risk.rule import CASH_SETTING, Wording, fits, missing, no_equity, no_price, reduce_to, usd
from risk.screening import CAUTION, Sketch
from risk.view import RiskView
from risk.witnesses import EQUITY_USD, Witnesses, calm_view, entry, on_both_sides


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyingPowerRule:
    """Worst cost ≤ settled cash less what working orders may take, and ≤ the venue's figure.

    A gross exposure above 1 is paid by what it lets us borrow. A share sold short takes its worst
    price and Alpaca's margin. Orders approved in this judgement come off the venue's figure too:
    it cannot know them yet.
    """

    max_gross_exposure: Decimal
    _borrowed: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "buying_power"
    setting: ClassVar[str] = CASH_SETTING
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_borrowed", max(0.0, float(self.max_gross_exposure) - 1))

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to the part that cannot be paid."""
        mark_usd = view.mark_usd(intent.symbol)
        if mark_usd is None:
            return no_price(self, intent)
        if view.equity_usd is None:
            return no_equity(self)
        if view.settled_cash_usd is None:
            return missing(self, "settled cash", "wait for the next account report")
        if view.buying_power_usd is None:
            return missing(self, "buying power", "wait for the next account report")
        borrowed_usd = max(0.0, float(self.max_gross_exposure) - 1) * float(view.equity_usd)
        reserved_usd = view.exposure.reserved_usd
        own_usd = float(view.settled_cash_usd) + borrowed_usd - reserved_usd
        venue_usd = float(view.buying_power_usd) - view.approved_cash_usd
        free_usd = min(own_usd, venue_usd)
        price_usd = worst_price_usd(intent, mark_usd)
        if intent.side is Side.BUY:
            room_shares = free_usd / price_usd
        else:
            owned_shares = max(0.0, float(view.reach(intent.symbol).lowest))
            room_shares = owned_shares + max(0.0, free_usd) / (price_usd * SHORT_SALE_MARGIN)
        if fits(intent, room_shares):
            return None
        wording = Wording(
            limit=f"{usd(view.settled_cash_usd)} settled, {usd(reserved_usd)} of it reserved; "
            f"venue's buying power {usd(view.buying_power_usd)}",
            value=usd(float(intent.quantity_shares) * price_usd),
            headroom=usd(max(0.0, free_usd)),
            action="wait until sales have filled and settled, or put in more cash",
        )
        return reduce_to(self, intent, view, room_shares, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders that both our cash and the venue's figure pay at their worst price."""
        borrowed_usd = self._borrowed * order.equity_usd
        cost_usd = order.worst_value_usd * (1.0 if order.is_buy else SHORT_SALE_MARGIN)
        return (
            order.reserved_usd + cost_usd <= (order.cash_usd + borrowed_usd) * CAUTION
            and order.new_cash_usd + cost_usd <= order.buying_power_usd * CAUTION
        )

    def witnesses(self) -> Witnesses:
        """Return an order that takes the last of the cash, and one share more."""
        price_usd = Decimal(repr(worst_price_usd(entry(), 0.0)))
        borrowed_usd = max(ZERO, self.max_gross_exposure - 1) * EQUITY_USD
        last = replace(calm_view(), settled_cash_usd=10 * price_usd - borrowed_usd)
        return on_both_sides(last, inside_shares=10)

"""No entry on a quote that jumped absurdly far from the last good price."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from domain.market import Quote
from domain.orders import Denial, OrderIntent, Severity
from risk.limits import SETTING_OF
from risk.prices import quote_jump
from risk.rule import Wording, deny, missing, percent
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import NOON, PRICE_USD, STOCK, Witnesses, between, calm_view, entry


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSanityRule:
    """Both sides of the quote must lie near the last good mid, or the previous close when the day
    has shown none. (A crossed quote cannot exist.)"""

    price_jump_max: Decimal
    _most: float = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "price_sanity"
    setting: ClassVar[str] = SETTING_OF["price_jump_max"]
    binds_closing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # In a float once, for screens: only a memory of what the field above says.
        object.__setattr__(self, "_most", float(self.price_jump_max))

    def check(self, intent: OrderIntent, view: RiskView) -> Denial | None:
        """Return an objection to an absurd quote, or when nothing tells absurd from sane."""
        symbol = intent.symbol
        seen = view.quotes.get(symbol)
        good_usd = view.last_good_usd.get(symbol) or view.reference_close_usd.get(symbol)
        if seen is None:
            return missing(self, f"a quote of {symbol}", "wait for a quote")
        if not good_usd:
            return missing(self, f"a good price of {symbol}", "wait for bars or a few quotes")
        far = quote_jump(seen, good_usd)
        if far <= float(self.price_jump_max) + _SLACK:
            return None
        wording = Wording(
            limit=f"within {percent(self.price_jump_max)} of {good_usd:.4f} USD",
            value=f"bid {seen.bid_usd:.4f}, ask {seen.ask_usd:.4f} USD: {percent(far)} away",
            headroom="0 shares until the price is confirmed",
            action=f"wait: a new level counts after a minute of it; or raise {self.setting}",
            severity=Severity.WARNING,
        )
        return deny(self, wording)

    def spares(self, order: Sketch) -> bool:
        """Spare orders whose quote lies near the last good price on both sides."""
        good_usd = order.good_usd or order.view.reference_close_usd.get(order.symbol)
        if not good_usd:
            return False
        return quote_jump(order.quote, good_usd) <= self._most

    def witnesses(self) -> Witnesses:
        """Return an entry with the ask at the limit, and a cent above."""
        furthest_usd = PRICE_USD * (1 + float(self.price_jump_max))
        return between(
            entry(),
            inside=_asking(furthest_usd),
            outside=_asking(furthest_usd + 0.01),
            unit="1 cent",
        )


_SLACK = 1e-12


def _asking(ask_usd: float) -> RiskView:
    calm = calm_view()
    seen = Quote(symbol=STOCK, bid_usd=PRICE_USD, ask_usd=ask_usd, quoted_at=NOON)
    return replace(calm, quotes={**calm.quotes, STOCK: seen})

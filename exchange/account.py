"""The account: cash, holdings, what open orders tie up, and the arithmetic of equity.

Everything is exact Decimal; rounding to cents happens where the wire is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from domain.money import CENT, ZERO
from domain.orders import Side
from exchange.knobs import Knobs
from exchange.orders import Status, VenueOrder

PriceOf = Callable[[str], Decimal]


def to_cents(amount_usd: Decimal) -> Decimal:
    """Return an amount rounded to the cent, half to even."""
    return amount_usd.quantize(CENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Signed shares of one symbol and their signed cost; `lastday_qty` was held at the close."""

    qty: Decimal
    cost_usd: Decimal
    lastday_qty: Decimal = ZERO

    @property
    def average_entry_usd(self) -> Decimal:
        """What one share cost on average."""
        return self.cost_usd / self.qty

    @property
    def opened_today_usd(self) -> Decimal:
        """Cost of the shares added since the last close."""
        kept = self.lastday_qty if self.lastday_qty * self.qty > 0 else ZERO
        added = max(ZERO, abs(self.qty) - abs(kept))
        return added * self.average_entry_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The account's sums at one instant, rounded so that they add up to the cent."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    multiplier: int
    buying_power: Decimal
    regt_buying_power: Decimal
    cash_buying_power: Decimal


@dataclass(slots=True, kw_only=True)
class Account:
    """Cash and holdings of one account; changed only by the venue.

    `reserved_usd` and `held` are running sums over the open orders: Σ reserved_usd and, by
    symbol, Σ held_qty.
    """

    id: str
    created_ns: int
    cash: Decimal
    last_equity: Decimal
    last_maintenance_margin: Decimal = ZERO
    holdings: dict[str, Holding] = field(default_factory=dict)
    reserved_usd: Decimal = ZERO
    held: dict[str, Decimal] = field(default_factory=dict)

    def qty(self, symbol: str) -> Decimal:
        """Return signed shares held, 0 when none."""
        holding = self.holdings.get(symbol)
        return holding.qty if holding else ZERO

    def available_qty(self, symbol: str) -> Decimal:
        """Return the shares (≥ 0) that no closing order ties up."""
        return abs(self.qty(symbol)) - self.held.get(symbol, ZERO)

    def apply_fill(self, symbol: str, side: Side, qty: Decimal, price_usd: Decimal) -> Decimal:
        """Move shares and cash; return the signed position afterwards.

        A fill that would cross zero is a fault of the caller: ValueError.
        """
        moved = side.sign * qty
        self.cash -= moved * price_usd
        before = self.holdings.get(symbol)
        if before is None:
            self.holdings[symbol] = Holding(qty=moved, cost_usd=moved * price_usd)
            return moved
        after = before.qty + moved
        if after * before.qty < 0:
            raise ValueError(f"{symbol}: a fill of {moved} crosses zero from {before.qty}")
        if after == 0:
            del self.holdings[symbol]
            return ZERO
        grows = abs(after) > abs(before.qty)
        cost = before.cost_usd + moved * price_usd if grows else before.average_entry_usd * after
        self.holdings[symbol] = Holding(qty=after, cost_usd=cost, lastday_qty=before.lastday_qty)
        return after

    def reprice(self, symbol: str, moved_qty: Decimal, dearer_usd: Decimal) -> None:
        """Make shares that moved (signed) dearer by so much each: cash, and what is still held of
        them."""
        self.cash -= moved_qty * dearer_usd
        holding = self.holdings.get(symbol)
        if holding is not None and holding.qty * moved_qty > 0:
            kept = min(moved_qty, holding.qty, key=abs)
            cost_usd = holding.cost_usd + kept * dearer_usd
            self.holdings[symbol] = replace(holding, cost_usd=cost_usd)

    def put_holding(self, symbol: str, holding: Holding | None) -> None:
        """Replace a holding, whatever it was; None: nothing is held any more."""
        if holding is None:
            self.holdings.pop(symbol, None)
        else:
            self.holdings[symbol] = holding

    def claim(self, before: VenueOrder | None, after: VenueOrder) -> None:
        """Replace what an order tied up before by what it ties up now."""
        reserved_before, held_before = _claims(before)
        reserved_after, held_after = _claims(after)
        self.reserved_usd += reserved_after - reserved_before
        if held_after != held_before:
            held = self.held.get(after.symbol, ZERO) + held_after - held_before
            if held:
                self.held[after.symbol] = held
            else:
                self.held.pop(after.symbol, None)

    def totals(self, price_of: PriceOf, knobs: Knobs, freed_usd: Decimal = ZERO) -> Totals:
        """Return the account's sums at the given prices, as if `freed_usd` were not reserved.

        equity = cash + long + short; initial margin 50 % of gross, maintenance 30 %; buying power
        by multiplier: 4 → 4 · (last equity − last maintenance) less what was opened today,
        2 → 2 · (equity − initial), 1 → cash; always less what open orders reserve.
        Source: the venue's published sample account, exact to the cent.
        """
        long_value, short_value = self._values(price_of)
        cash = to_cents(self.cash)
        equity = cash + long_value + short_value
        gross = long_value - short_value
        initial = to_cents(gross * knobs.initial_rate)
        multiplier = self._multiplier(equity, knobs)
        free = max(ZERO, equity - initial)
        return Totals(
            cash=cash,
            long_value=long_value,
            short_value=short_value,
            equity=equity,
            initial_margin=initial,
            maintenance_margin=to_cents(gross * knobs.maintenance_rate),
            multiplier=multiplier,
            buying_power=self._buying_power(multiplier, free, knobs, freed_usd),
            regt_buying_power=2 * free,
            cash_buying_power=max(ZERO, to_cents(self.cash - self.reserved_usd)),
        )

    def _values(self, price_of: PriceOf) -> tuple[Decimal, Decimal]:
        long_value = short_value = ZERO
        for symbol, holding in self.holdings.items():
            value = to_cents(holding.qty * price_of(symbol))
            if value >= 0:
                long_value += value
            else:
                short_value += value
        return long_value, short_value

    def _multiplier(self, equity: Decimal, knobs: Knobs) -> int:
        return knobs.multiplier_max if equity >= knobs.margin_equity_min_usd else 1

    def _buying_power(
        self, multiplier: int, free_usd: Decimal, knobs: Knobs, freed_usd: Decimal
    ) -> Decimal:
        if multiplier == 1:
            gross = self.cash
        elif multiplier == 2:
            gross = 2 * free_usd
        else:
            opened = ZERO
            if knobs.opened_today_counts:
                opened = sum((h.opened_today_usd for h in self.holdings.values()), ZERO)
            gross = 4 * (self.last_equity - self.last_maintenance_margin) - opened
        return max(ZERO, to_cents(gross - self.reserved_usd + freed_usd))

    def close_day(self, equity: Decimal, maintenance_margin: Decimal) -> None:
        """Make this instant the last close that the next day is measured against."""
        self.last_equity = equity
        self.last_maintenance_margin = maintenance_margin
        for symbol, holding in self.holdings.items():
            self.holdings[symbol] = Holding(
                qty=holding.qty, cost_usd=holding.cost_usd, lastday_qty=holding.qty
            )

    def reclaim(self, orders: Mapping[str, VenueOrder]) -> None:
        """Recompute what open orders tie up from the orders themselves (after loading)."""
        self.reserved_usd, self.held = ZERO, {}
        for order in orders.values():
            self.claim(None, order)


def _claims(order: VenueOrder | None) -> tuple[Decimal, Decimal]:
    if order is None or order.status is Status.HELD:
        return ZERO, ZERO
    return order.reserved_usd, order.held_qty

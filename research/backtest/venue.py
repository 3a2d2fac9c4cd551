"""A venue made of bars: the exchange's fill rules where all that is known of a bar is its bar.

An order takes the touch of the instant it meets the market at (the bar's open, as a rule), pays
for its own size, and gets no more than a share of the bar's volume. A limit that the touch does
not reach rests, and fills at its price when the bar trades there. The rest of a day order ends
with its session. Compare `exchange.matching`, which does the same on every tick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.events import OrderChanged, OrderFilled
from domain.instruments import Symbol
from domain.market import Floats
from domain.money import ZERO, Rounding, tick_for, to_price
from domain.orders import (
    AtLimit,
    AtMarket,
    Fill,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderUpdate,
    Side,
    TimeInForce,
)
from domain.values import Value
from research.backtest.costs import Costs

_EXACT = 1e-9
_BUY = Side.BUY


class BarTouch(Value, frozen=True, kw_only=True, eq=False):
    """How a bar meets orders: arrays `[n]`, NaN where a symbol has no bar.

    `bid`, `ask`: what an order takes; `low`, `high`: how far the bar trades after that instant;
    `volume`: the shares of the whole bar.
    """

    bid: Floats
    ask: Floats
    low: Floats
    high: Floats
    volume: Floats

    @staticmethod
    def of(bid: Floats, ask: Floats, low: Floats, high: Floats, volume: Floats) -> "BarTouch":
        """Return the touch of arrays `[n]`."""
        return BarTouch(bid=bid, ask=ask, low=low, high=high, volume=volume)


@dataclass(slots=True)
class _Working:
    intent: OrderIntent
    submitted_at: datetime
    filled: Decimal = ZERO


class BarVenue:
    """Orders and the account of one backtest. `cash_usd` and `shares` are kept on their own, so
    that our ledger has something to agree with."""

    def __init__(self, symbols: Sequence[Symbol], costs: Costs, *, cash_usd: Decimal) -> None:
        self.cash_usd = cash_usd
        self.shares: dict[Symbol, Decimal] = {}
        self.working: dict[str, _Working] = {}
        self._column_of = {symbol: column for column, symbol in enumerate(symbols)}
        self._costs = costs
        self._used: dict[int, Decimal] = {}
        self._known: set[str] = set()
        self._fills = 0

    def begin_bar(self) -> None:
        """Give the next bar's volume out anew."""
        self._used.clear()

    def take(self, intent: OrderIntent, at: datetime) -> str:
        """Take an order in, to meet the market when `meet` is called; return why not, "" if so."""
        identity = intent.client_order_id
        if identity in self._known:
            return "client_order_id must be unique"
        self._known.add(identity)
        self.working[identity] = _Working(intent, at)
        return ""

    def acknowledge(self, identity: str, at: datetime) -> OrderChanged:
        """Return the news that an order works."""
        return self._changed(self.working[identity], OrderStatus.WORKING, at, "")

    def meet(self, touch: BarTouch, at: datetime) -> list[OrderFilled]:
        """Let every working order meet a bar."""
        met = []
        for order in list(self.working.values()):
            filled = self._met(order, touch, at)
            if filled is not None:
                met.append(filled)
        return met

    def meet_one(self, identity: str, touch: BarTouch, at: datetime) -> OrderFilled | None:
        """Let one order meet a bar."""
        return self._met(self.working[identity], touch, at)

    def cancel(self, identity: str, at: datetime, reason: str) -> OrderChanged | None:
        """Cancel an order; None when it does not work any more."""
        order = self.working.pop(identity, None)
        return self._changed(order, OrderStatus.CANCELED, at, reason) if order else None

    def end_session(self, at: datetime) -> list[OrderChanged]:
        """End the day's orders."""
        over = [i for i, o in self.working.items() if o.intent.time_in_force is TimeInForce.DAY]
        return [
            self._changed(self.working.pop(identity), OrderStatus.EXPIRED, at, "end of session")
            for identity in over
        ]

    def differences(self, cash_usd: Decimal, shares: Mapping[Symbol, Decimal]) -> list[str]:
        """Return where a book differs from this account, in words; empty when it agrees."""
        found = [] if cash_usd == self.cash_usd else [f"cash {cash_usd}, here {self.cash_usd}"]
        for symbol in sorted({*shares, *self.shares}):
            booked, held = shares.get(symbol, ZERO), self.shares.get(symbol, ZERO)
            if booked != held:
                found.append(f"{symbol} {booked}, here {held}")
        return found

    def _met(self, order: _Working, touch: BarTouch, at: datetime) -> OrderFilled | None:
        intent = order.intent
        column = self._column_of[intent.symbol]
        volume: float = touch.volume.item(column)
        is_buy = intent.side is _BUY
        touch_usd: float = (touch.ask if is_buy else touch.bid).item(column)
        # NaN fails both comparisons: no bar, no trade.
        if not volume > 0 or not touch_usd > 0:
            return None
        available = self._available(column, volume)
        quantity = intent.quantity_shares - order.filled
        if available < quantity:
            quantity = available
        if quantity <= ZERO:
            return None
        price_usd = self._price_usd(intent, touch, touch_usd, quantity)
        if price_usd is None:
            return None
        return self._filled(order, column, (quantity, price_usd), at)

    def _available(self, column: int, volume: float) -> Decimal:
        """Return how many shares of the bar are left for us: at least one of a bar that traded."""
        most = max(1.0, volume * self._costs.volume_share_max)
        whole, used = Decimal(int(most)), self._used.get(column)
        return whole if used is None else whole - used

    def _price_usd(
        self,
        intent: OrderIntent,
        touch: BarTouch,
        touch_usd: float,
        quantity: Decimal,
    ) -> Decimal | None:
        terms, side, column, slip = intent.terms, intent.side, self._column_of[intent.symbol], 0.0
        if self._costs.impact_bps:
            slip_bps = self._costs.slip_bps(float(quantity), touch.volume.item(column))
            slip = side.sign * slip_bps / 1e4
        taken_usd = _on_tick(side, touch_usd, slip)
        if isinstance(terms, AtMarket):
            return taken_usd
        if not isinstance(terms, AtLimit):
            raise TypeError(f"a backtest fills market and limit orders, not {terms!r}")
        limit_usd = float(terms.limit_usd)
        if (limit_usd - touch_usd) * side.sign >= -_EXACT:
            better = min if side is _BUY else max
            return better(taken_usd, terms.limit_usd)
        reached = (
            touch.low.item(column) <= limit_usd + _EXACT
            if side is _BUY
            else touch.high.item(column) >= limit_usd - _EXACT
        )
        return terms.limit_usd if reached else None

    def _filled(
        self, order: _Working, column: int, deal: tuple[Decimal, Decimal], at: datetime
    ) -> OrderFilled:
        intent = order.intent
        quantity, price_usd = deal
        identity, symbol, side = intent.client_order_id, intent.symbol, intent.side
        self._fills += 1
        order.filled += quantity
        self._used[column] = self._used.get(column, ZERO) + quantity
        if order.filled >= intent.quantity_shares:
            del self.working[identity]
        fee_usd = self._costs.fee_usd(quantity, price_usd)
        signed = quantity if side is _BUY else -quantity
        self.cash_usd -= signed * price_usd + fee_usd
        held = self.shares.get(symbol, ZERO) + signed
        if held:
            self.shares[symbol] = held
        else:
            self.shares.pop(symbol, None)
        fill = Fill(
            fill_id=f"bar-{self._fills}",
            client_order_id=identity,
            venue_order_id=identity,
            symbol=symbol,
            side=side,
            quantity_shares=quantity,
            price_usd=price_usd,
            fee_usd=fee_usd,
            filled_at=at,
        )
        return OrderFilled(at=at, fill=fill)

    def _changed(
        self, order: _Working, status: OrderStatus, at: datetime, reason: str
    ) -> OrderChanged:
        intent = order.intent
        report = OrderReport(
            client_order_id=intent.client_order_id,
            venue_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            status=status,
            quantity_shares=intent.quantity_shares,
            filled_shares=order.filled,
            terms=intent.terms,
            time_in_force=intent.time_in_force,
            submitted_at=order.submitted_at,
            updated_at=at,
            reason=reason,
        )
        return OrderChanged(at=at, update=OrderUpdate(report=report, at=at))


def _on_tick(side: Side, touch_usd: float, slip: float) -> Decimal:
    """Return the touch moved against the order, to the tick; exact when nothing moves it."""
    # Most are written with four decimals at most: to round those, which is dear, changes nothing.
    text = repr(touch_usd)
    touch = Decimal(text if len(text) - text.find(".") <= 5 else repr(round(touch_usd, 4)))
    if slip == 0.0:
        return touch
    rounding = Rounding.UP if side is _BUY else Rounding.DOWN
    moved_usd = touch_usd * (1.0 + slip)
    if moved_usd < float(_LEAST_USD):
        return touch
    return to_price(moved_usd, tick_for(touch), rounding)


_LEAST_USD = Decimal("0.0001")

"""The mornings of ex-dates and payment dates: positions, open orders and cash.

Before the day begins, splits change shares and prices of what is held and ordered, and dividends
are owed to who held over the night; they are paid on their payment date, shorts being charged.
Open orders are treated as FINRA rule 5330 (before 2010 NASD 3220) has it for orders to buy at a
limit and to sell at a stop: a dividend of a cent or more comes off their price, rounded down; a
forward split comes off it likewise and multiplies their size; a reverse split ends every order. Of
limits to sell and stops to buy the rule says nothing: a dividend leaves them, a split scales them.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from domain.money import ZERO, Rounding, tick_for, to_price
from domain.orders import Side
from exchange.account import Holding, to_cents
from exchange.activities import Activity, ActivityKind, DividendDue
from exchange.assets import Asset
from exchange.corporate_actions import (
    ActionKind,
    ActionTable,
    CorporateAction,
    dividend_usd,
    split_position,
)
from exchange.knobs import Knobs
from exchange.numbers import decimal_text
from exchange.orders import QUANTITY_STEP, OrderType, Status, VenueOrder
from exchange.prices import Prices
from exchange.records import EventKind
from exchange.register import Register
from exchange.trading import Trading

ONE = Decimal(1)
CENT_USD = Decimal("0.01")
"""A dividend of less moves no order."""
_SHOWN = Decimal("0.000001")


class CorporateDays:
    """Carries out what is due on a morning."""

    def __init__(
        self,
        register: Register,
        trading: Trading,
        prices: Prices,
        assets: Mapping[str, Asset],
        terms: tuple[ActionTable, Knobs],
    ) -> None:
        self._register = register
        self._trading = trading
        self._prices = prices
        self._assets = assets
        self._actions, self._knobs = terms

    def begin(self, day: date) -> None:
        """Do what is due before a day begins."""
        for action in self._actions.on(day):
            if action.symbol not in self._assets:
                continue
            if action.is_split:
                self._split(action)
            else:
                self._owe(action)
        for due in tuple(self._register.dues):
            if due.payable_on <= day:
                self._pay(due, day)

    def _owe(self, action: CorporateAction) -> None:
        if self._knobs.reduces_orders_for_dividends and action.cash_usd >= CENT_USD:
            for order in self._open_of(action.symbol):
                self._reduce(order, action.cash_usd)
        qty = self._register.account.qty(action.symbol)
        if qty == 0 or not self._knobs.pays_dividends:
            return
        payable_on = action.ex_date if self._knobs.pays_on_ex_date else action.payable_date
        due = DividendDue(
            action_id=action.id,
            symbol=action.symbol,
            qty=qty,
            cash_usd=action.cash_usd,
            payable_on=payable_on,
        )
        self._register.record_due(due)

    def _pay(self, due: DividendDue, day: date) -> None:
        net_usd = dividend_usd(due.qty, due.cash_usd)
        ids = self._register.next_activity_id()
        activity = Activity(
            id=ids[0],
            ordinal=ids[1],
            kind=ActivityKind.DIVIDEND,
            at_ns=self._register.now_ns,
            day=day,
            net_amount=net_usd,
            description=f"Cash DIV @ {decimal_text(due.cash_usd)}",
            symbol=due.symbol,
            qty=due.qty,
            price_usd=due.cash_usd,
            action_id=due.action_id,
        )
        self._register.record_payment(due, activity)

    def _split(self, action: CorporateAction) -> None:
        for order in self._open_of(action.symbol):
            is_reverse = action.kind is ActionKind.REVERSE_SPLIT
            if is_reverse or not self._knobs.adjusts_orders_for_splits:
                self._end(order)
            else:
                self._scale(order, action.ratio)
        holding = self._register.account.holdings.get(action.symbol)
        if holding is not None:
            self._split_holding(action, holding)

    def _split_holding(self, action: CorporateAction, held: Holding) -> None:
        symbol, ratio = action.symbol, action.ratio
        whole = self._knobs.cash_in_lieu or not self._assets[symbol].fractionable
        after = split_position(held.qty, held.cost_usd, ratio, whole_shares=whole)
        price_usd = self._prices.at(self._register.now_ns)(symbol)
        value = to_cents(held.qty * price_usd * ratio)
        whole_qty = after.qty + after.fraction_qty
        told = (
            f"From QTY:{decimal_text(held.qty)}, To QTY:{decimal_text(whole_qty)}, "
            f"Position Value:{value}"
        )
        entries = [
            self._entry(action, "REMOVE", told, (-held.qty, price_usd * ratio)),
            self._entry(action, "ADD", told, (whole_qty, price_usd)),
        ]
        if after.fraction_qty:
            entries.append(self._in_lieu(action, after.fraction_qty, price_usd))
        kept = None
        if after.qty:
            kept = Holding(qty=after.qty, cost_usd=after.cost_usd, lastday_qty=after.qty)
        self._register.record_reorganized(symbol, kept, tuple(entries))

    def _entry(
        self, action: CorporateAction, word: str, told: str, moved: tuple[Decimal, Decimal]
    ) -> Activity:
        qty, price_usd = moved
        activity_id, ordinal = self._register.next_activity_id()
        return Activity(
            id=activity_id,
            ordinal=ordinal,
            kind=ActivityKind.SPLIT,
            at_ns=self._register.now_ns,
            day=action.ex_date,
            net_amount=ZERO,
            description=f"{word}, {told}",
            symbol=action.symbol,
            qty=qty,
            price_usd=price_usd.quantize(_SHOWN),
            action_id=action.id,
        )

    def _in_lieu(self, action: CorporateAction, qty: Decimal, price_usd: Decimal) -> Activity:
        activity_id, ordinal = self._register.next_activity_id()
        return Activity(
            id=activity_id,
            ordinal=ordinal,
            kind=ActivityKind.CASH_IN_LIEU,
            at_ns=self._register.now_ns,
            day=action.ex_date,
            net_amount=to_cents(qty * price_usd),
            description=f"Cash in lieu of {decimal_text(qty)} shares",
            symbol=action.symbol,
            qty=-qty,
            price_usd=price_usd,
            action_id=action.id,
        )

    def _open_of(self, symbol: str) -> list[VenueOrder]:
        return self._register.book.open_of(symbol)

    def _scale(self, seen: VenueOrder, ratio: Decimal) -> None:
        order = self._register.book.by_id[seen.id]
        if order.status.is_terminal:
            return
        # What a replacement under way asks for is on the old footing.
        scaled = None if order.waits else _scaled(order, ratio)
        if scaled is None:
            self._end(order)
        else:
            self._restate(scaled)

    def _reduce(self, seen: VenueOrder, cash_usd: Decimal) -> None:
        order = self._register.book.by_id[seen.id]
        if order.status.is_terminal:
            return
        reduced = _reduced(order, cash_usd)
        if reduced is None:
            self._end(order)
        elif reduced != order:
            self._restate(reduced)

    def _restate(self, order: VenueOrder) -> None:
        kind = EventKind.QUIET if order.status is Status.HELD else EventKind.RESTATED
        self._register.record(kind, replace(order, updated_ns=self._register.now_ns))

    def _end(self, seen: VenueOrder) -> None:
        order = self._register.book.by_id[seen.id]
        if not order.status.is_terminal:
            self._trading.finish(order, Status.CANCELED)


def _scaled(order: VenueOrder, ratio: Decimal) -> VenueOrder | None:
    """Return an order on the footing of new shares, None when nothing is left of it.

    What has filled stays as it was: the rest is scaled, whole shares staying whole.
    """
    qty = order.qty
    if qty is not None:
        step = ONE if (qty - order.filled_qty) % 1 == 0 else QUANTITY_STEP
        left = ((qty - order.filled_qty) * ratio).quantize(step, rounding=ROUND_DOWN)
        if left <= 0:
            return None
        qty = order.filled_qty + left
    down, up = Rounding.DOWN, Rounding.UP
    limit_way, stop_way = (down, up) if order.side is Side.BUY else (up, down)
    cap_qty = order.cap_qty
    return replace(
        order,
        qty=qty,
        cap_qty=None if cap_qty is None else (cap_qty * ratio).quantize(QUANTITY_STEP, ROUND_DOWN),
        limit_price=_divided(order.limit_price, ratio, limit_way),
        stop_price=_divided(order.stop_price, ratio, stop_way),
        trail_price=_divided(order.trail_price, ratio, Rounding.UP),
        hwm=_divided(order.hwm, ratio, stop_way),
        collar_price=_divided(order.collar_price, ratio, limit_way),
        # Kept short, so that sums of reservations stay exact.
        reserve_usd=(order.reserve_usd / ratio).quantize(_SHOWN, ROUND_UP),
    )


def _divided(price_usd: Decimal | None, ratio: Decimal, rounding: Rounding) -> Decimal | None:
    if price_usd is None:
        return None
    tick = tick_for(price_usd / ratio)
    return max(tick, (price_usd / ratio / tick).to_integral_value(rounding.value) * tick)


def _reduced(order: VenueOrder, cash_usd: Decimal) -> VenueOrder | None:
    """Return an order after a dividend: a buy limit or a sell stop lower by it, None when nothing
    is left of its price; every other order as it is."""
    is_buy = order.side is Side.BUY
    if is_buy and order.type is not OrderType.LIMIT:
        return order
    if not is_buy and order.stop_price is None:
        return order
    lowered = {
        name: _lowered(price_usd, cash_usd)
        for name in ("limit_price", "stop_price", "hwm")
        if (price_usd := getattr(order, name)) is not None
    }
    if any(price_usd is None for price_usd in lowered.values()):
        return None
    changed = replace(order, **lowered)  # type: ignore[arg-type]
    if is_buy and order.intent.opens:
        assert changed.limit_price is not None
        changed = replace(changed, reserve_usd=changed.limit_price)
    return changed


def _lowered(price_usd: Decimal, cash_usd: Decimal) -> Decimal | None:
    left_usd = price_usd - cash_usd
    return (
        to_price(left_usd, tick_for(left_usd), Rounding.DOWN)
        if left_usd >= tick_for(left_usd)
        else None
    )

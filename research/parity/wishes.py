"""The orders of a live run and of a backtest as wishes that can be laid side by side."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from domain.instruments import Symbol
from domain.orders import Fill, Leg, OrderIntent
from domain.snapshot import Decision
from research.parity.splitting import Key, Wish


def wishes_of(
    intents: Iterable[OrderIntent],
    fills: Iterable[Fill],
    decisions: Mapping[datetime, Decision],
    slots: Sequence[datetime],
) -> dict[Key, Wish]:
    """Return the wishes behind orders, one for each slot, symbol and leg.

    An order that was priced anew is the same wish: what the first asked for was asked for, and
    what any of them got was got. Stops and targets, which act inside a bar, belong to the end of
    that bar, of `slots`. Sizes come from the live decisions, for both sides: the backtest
    heard the same opinions.
    """
    by_key: dict[Key, list[OrderIntent]] = {}
    key_of: dict[str, Key] = {}
    for intent in intents:
        key = _slot(intent, slots), intent.symbol, intent.leg
        by_key.setdefault(key, []).append(intent)
        key_of[intent.client_order_id] = key
    booked = sorted(fills, key=lambda fill: fill.filled_at)
    got: dict[Key, list[Fill]] = {}
    for fill in booked:
        if fill.client_order_id in key_of:
            got.setdefault(key_of[fill.client_order_id], []).append(fill)
    return {
        key: _wish(key, orders, got.get(key, []), booked, decisions)
        for key, orders in by_key.items()
    }


def _slot(intent: OrderIntent, slots: Sequence[datetime]) -> datetime:
    index = bisect_left(slots, intent.slot_at)
    is_inside = intent.leg in (Leg.EXIT, Leg.FLATTEN) and index < len(slots)
    return slots[index] if is_inside else intent.slot_at


def _wish(
    key: Key,
    orders: list[OrderIntent],
    fills: list[Fill],
    booked: list[Fill],
    decisions: Mapping[datetime, Decision],
) -> Wish:
    first_at = min(order.intended_at for order in orders)
    first = [order for order in orders if order.intended_at == first_at]
    sign = first[0].side.sign
    filled = sum(float(fill.signed_shares) for fill in fills)
    paid = sum(float(fill.signed_shares) * float(fill.price_usd) for fill in fills)
    seen = float(first[0].reference_usd)
    return Wish(
        asked=sign * sum(float(order.quantity_shares) for order in first),
        filled=filled,
        price_usd=paid / filled if filled else seen,
        seen_usd=seen,
        fees_usd=sum(float(fill.fee_usd) for fill in fills),
        held=_held(booked, key[1], first_at),
        sized=_sized(key, seen, decisions),
    )


def _held(booked: list[Fill], symbol: Symbol, at: datetime) -> float:
    """Return what had been filled of a symbol before an instant."""
    return sum(
        float(fill.signed_shares)
        for fill in booked
        if fill.symbol == symbol and fill.filled_at < at
    )


def _sized(key: Key, seen: float, decisions: Mapping[datetime, Decision]) -> float | None:
    """Return the unrounded shares a weight comes to at the price a side saw."""
    slot_at, symbol, leg = key
    decision = decisions.get(slot_at)
    if leg is not Leg.OPEN or decision is None or symbol not in decision.outcomes or not seen:
        return None
    weight = decision.outcomes[symbol].target_weight
    return weight * float(decision.equity_usd) / seen

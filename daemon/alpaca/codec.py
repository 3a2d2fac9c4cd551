"""Orders and executions, in the trading API's JSON and in our words.

Lenient to what it does not know (keys, enum values, numbers as text), strict about what it needs:
an answer without it proves nothing and raises VenueUnavailable. Money stays Decimal throughout.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from domain.errors import VenueUnavailable
from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import (
    ApprovedOrder,
    AtLimit,
    AtMarket,
    AtStop,
    AtStopLimit,
    Bust,
    Fill,
    OrderReport,
    OrderStatus,
    Side,
    Terms,
    TimeInForce,
)

T = TypeVar("T")

_STATUSES: Mapping[str, OrderStatus] = {
    "pending_new": OrderStatus.WORKING,
    "accepted": OrderStatus.WORKING,
    "new": OrderStatus.WORKING,
    "held": OrderStatus.WORKING,
    "accepted_for_bidding": OrderStatus.WORKING,
    "pending_review": OrderStatus.WORKING,
    "pending_replace": OrderStatus.WORKING,
    "stopped": OrderStatus.WORKING,
    "suspended": OrderStatus.WORKING,
    "calculated": OrderStatus.WORKING,
    "done_for_day": OrderStatus.WORKING,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "pending_cancel": OrderStatus.CANCELING,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


class OrderWire(msgspec.Struct):
    """An order as the venue writes it, on REST and on the stream."""

    id: str
    symbol: str
    side: str
    status: str
    client_order_id: str | None = None
    qty: Decimal | None = None
    filled_qty: Decimal | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    submitted_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    order_class: str | None = None
    legs: list["OrderWire"] | None = None
    reason: str | None = None
    reject_reason: str | None = None
    replaced_by: str | None = None


class ActivityWire(msgspec.Struct):
    """One execution in the account's activities."""

    id: str
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    transaction_time: datetime


class UpdateWire(msgspec.Struct):
    """One event of the trading stream."""

    event: str
    order: OrderWire
    timestamp: datetime | None = None
    at: datetime | None = None
    execution_id: str | None = None
    previous_execution_id: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None


_one_order = msgspec.json.Decoder(OrderWire, strict=False)
_many_orders = msgspec.json.Decoder(list[OrderWire], strict=False)
_many_activities = msgspec.json.Decoder(list[ActivityWire], strict=False)


def encode_decimal(number: Decimal) -> str:
    """Return a plain decimal without exponent or trailing zeros, as the venue writes them."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def encode_order(order: ApprovedOrder) -> dict[str, str]:
    """Return the body of `POST /v2/orders`."""
    intent = order.intent
    return {
        "symbol": intent.symbol,
        "qty": encode_decimal(intent.quantity_shares),
        "side": intent.side.value,
        "time_in_force": intent.time_in_force.value,
        "client_order_id": intent.client_order_id,
        **_encode_terms(intent.terms),
    }


def _encode_terms(terms: Terms) -> dict[str, str]:
    match terms:
        case AtMarket():
            return {"type": "market"}
        case AtLimit(limit_usd=limit):
            return {"type": "limit", "limit_price": encode_decimal(limit)}
        case AtStop(stop_usd=stop):
            return {"type": "stop", "stop_price": encode_decimal(stop)}
        case AtStopLimit(stop_usd=stop, limit_usd=limit):
            return {
                "type": "stop_limit",
                "stop_price": encode_decimal(stop),
                "limit_price": encode_decimal(limit),
            }


def decode_order(body: bytes) -> OrderReport:
    """Return the order of an answer."""
    return to_report(decode(_one_order, body))


def decode_order_rows(body: bytes) -> list[OrderWire]:
    """Return the orders of one page as written: paging needs their raw fields."""
    return decode(_many_orders, body)


def decode_activities(body: bytes) -> list[ActivityWire]:
    """Return the executions of one page as written."""
    return decode(_many_activities, body)


def to_report(wire: OrderWire) -> OrderReport:
    """Return an order in our words.

    A status we do not know counts as working: it may still fill. What our words cannot hold
    (trailing stops, notional amounts, other lives) stands in `reason`.
    """
    filled = ZERO if wire.filled_qty is None else owed(wire.filled_qty, "filled_qty")
    status = _STATUSES.get(wire.status, OrderStatus.WORKING)
    if status is OrderStatus.WORKING and filled > 0:
        status = OrderStatus.PARTIALLY_FILLED
    submitted_at = wire.submitted_at or wire.created_at or wire.updated_at
    if submitted_at is None:
        raise VenueUnavailable(f"order {wire.id} came without any time")
    return OrderReport(
        client_order_id=wire.client_order_id or "",
        venue_order_id=wire.id,
        symbol=Symbol(wire.symbol),
        side=to_side(wire.side),
        status=status,
        quantity_shares=filled if wire.qty is None else owed(wire.qty, "qty"),
        filled_shares=filled,
        terms=_to_terms(wire),
        time_in_force=TimeInForce.GTC if wire.time_in_force == "gtc" else TimeInForce.DAY,
        submitted_at=to_utc(submitted_at),
        updated_at=to_utc(wire.updated_at or submitted_at),
        reason=_reason(wire),
    )


def to_side(text: str) -> Side:
    """Return the side of the venue's word for it."""
    if text.startswith("buy"):
        return Side.BUY
    if text.startswith("sell"):
        return Side.SELL
    raise VenueUnavailable(f"the venue names a side we do not know: {text!r}")


def to_fill(wire: ActivityWire, *, client_order_id: str) -> Fill:
    """Return an execution in our words.

    Its id is the part after `::`, which is the stream's execution_id, so that both count once.
    """
    return Fill(
        fill_id=wire.id.rpartition("::")[2],
        client_order_id=client_order_id,
        venue_order_id=wire.order_id,
        symbol=Symbol(wire.symbol),
        side=to_side(wire.side),
        quantity_shares=_above_zero(wire.qty, "an execution's qty"),
        price_usd=_above_zero(wire.price, "an execution's price"),
        fee_usd=ZERO,
        filled_at=to_utc(wire.transaction_time),
    )


def update_fill(wire: UpdateWire, *, received_at: datetime) -> Fill | None:
    """Return the execution of a stream event, None when the event carries none."""
    if wire.execution_id is None or wire.price is None or wire.qty is None:
        return None
    return Fill(
        fill_id=wire.execution_id,
        client_order_id=wire.order.client_order_id or "",
        venue_order_id=wire.order.id,
        symbol=Symbol(wire.order.symbol),
        side=to_side(wire.order.side),
        quantity_shares=_above_zero(wire.qty, "an execution's qty"),
        price_usd=_above_zero(wire.price, "an execution's price"),
        fee_usd=ZERO,
        filled_at=to_utc(wire.timestamp or wire.at or received_at),
    )


def update_bust(wire: UpdateWire, *, received_at: datetime) -> Bust:
    """Return what a `trade_bust` or `trade_correct` takes back; sources are silent about the keys
    of both, so that any may be missing."""
    corrected = None
    if wire.event == "trade_correct" and wire.previous_execution_id:
        corrected = update_fill(wire, received_at=received_at)
    return Bust(
        fill_id=wire.previous_execution_id or wire.execution_id or "",
        client_order_id=wire.order.client_order_id or "",
        symbol=Symbol(wire.order.symbol),
        corrected=corrected,
    )


def owed(number: Decimal, what: str) -> Decimal:
    """Return a number that can be owed. Raises VenueUnavailable for NaN and infinities."""
    if not number.is_finite():
        raise VenueUnavailable(f"the venue's {what} is no number: {number}")
    return number


def _above_zero(number: Decimal, what: str) -> Decimal:
    if owed(number, what) == 0:
        raise VenueUnavailable(f"the venue's {what} is zero")
    return abs(number)


def encode_instant(at: datetime) -> str:
    """Return an instant as RFC 3339 in UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_known_status(status: str) -> bool:
    """Return whether the venue's status is one we have a word for."""
    return status in _STATUSES


def _to_terms(wire: OrderWire) -> Terms:
    limit = None if wire.limit_price is None else owed(wire.limit_price, "limit_price")
    stop = None if wire.stop_price is None else owed(wire.stop_price, "stop_price")
    if limit is not None:
        return AtLimit(limit) if stop is None else AtStopLimit(stop, limit)
    return AtMarket() if stop is None else AtStop(stop)


def _reason(wire: OrderWire) -> str:
    notes = [wire.reason or wire.reject_reason or ""]
    if not is_known_status(wire.status):
        notes.append(f"unknown status {wire.status!r}")
    if wire.status == "replaced":
        notes.append(f"replaced by {wire.replaced_by}")
    if wire.type not in (None, "market", "limit", "stop", "stop_limit"):
        notes.append(f"type {wire.type}")
    if wire.time_in_force not in (None, "day", "gtc"):
        notes.append(f"time in force {wire.time_in_force}")
    if wire.qty is None:
        notes.append("ordered by amount of money")
    return "; ".join(note for note in notes if note)


def to_utc(at: datetime) -> datetime:
    """Return the same instant in UTC."""
    # A venue that leaves the offset out means UTC.
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """Return what a decoder reads. Raises VenueUnavailable: such an answer proves nothing."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise VenueUnavailable(f"the venue's answer cannot be read: {fault}") from fault

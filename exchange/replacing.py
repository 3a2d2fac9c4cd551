"""What a PATCH may change of an order, and what it may not."""

from dataclasses import dataclass, replace
from decimal import Decimal

from exchange import errors
from exchange.instants import SECOND_NS
from exchange.orders import OrderClass, OrderRequest, OrderType, Status, TimeInForce, VenueOrder
from exchange.parsing import checked

_NOT_YET = (
    Status.PENDING_NEW,
    Status.PENDING_CANCEL,
    Status.PENDING_REVIEW,
    Status.SUSPENDED,
    Status.DONE_FOR_DAY,
    Status.CALCULATED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The changes asked for; None = as it is."""

    qty: Decimal | None = None
    time_in_force: TimeInForce | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    client_order_id: str | None = None


def judge_chain(old: VenueOrder, now_ns: int, settles_s: float) -> None:
    """Raise the Refusal of replacing an order that has itself just replaced one."""
    replaced_ns = old.created_ns if old.wait is None else old.wait.due_ns
    if old.replaces is not None and now_ns - replaced_ns < settles_s * SECOND_NS:
        raise errors.against_rule("order chain not fully replaced")


def replacement_request(old: VenueOrder, change: Replacement) -> OrderRequest:
    """Return the request of the order that would take the old one's place, or raise Refusal.

    A quantity is counted against the whole of the old order: what has filled of it is taken off.
    """
    _judge_state(old)
    _judge_change(old, change)
    by_percent = old.trail_percent is not None
    request = OrderRequest(
        symbol=old.symbol,
        side=old.side,
        type=old.type,
        time_in_force=change.time_in_force or old.time_in_force,
        qty=_left(change.qty or old.qty, old),
        limit_price=change.limit_price or old.limit_price,
        stop_price=change.stop_price or old.stop_price,
        trail_price=None if by_percent else change.trail or old.trail_price,
        trail_percent=(change.trail or old.trail_percent) if by_percent else None,
        extended_hours=old.extended_hours,
        client_order_id=change.client_order_id,
        order_class=old.order_class,
    )
    if old.type is OrderType.TRAILING_STOP:
        request = replace(request, stop_price=None)
    return checked(request)


def _left(total: Decimal | None, old: VenueOrder) -> Decimal | None:
    return None if total is None else total - old.filled_qty


def _judge_state(old: VenueOrder) -> None:
    if old.status is Status.REPLACED:
        raise errors.against_rule("order already replaced")
    if old.status is Status.PENDING_REPLACE:
        raise errors.against_rule("order already pending replacement")
    if old.status.is_terminal:
        raise errors.against_rule(f"order is not open, status: {old.status}")
    if old.status in _NOT_YET or old.status is Status.ACCEPTED:
        raise errors.against_rule(f"cannot replace order in {old.status} status")
    if old.notional is not None:
        raise errors.against_rule("cannot replace notional orders")


def _judge_change(old: VenueOrder, change: Replacement) -> None:
    if change.qty is not None and change.qty % 1 != 0:
        raise errors.invalid("qty must be integer")
    if change.qty is not None and old.order_class is not OrderClass.SIMPLE:
        raise errors.against_rule(f"qty of {old.order_class} orders cannot be changed")
    if change.qty is not None and change.qty <= old.filled_qty:
        raise errors.against_rule("qty must be > filled_qty")
    if change.stop_price is not None and old.type is OrderType.LIMIT:
        raise errors.against_rule("limit orders must not have stop_price")
    if change.limit_price is not None and old.type in (OrderType.MARKET, OrderType.STOP):
        raise errors.against_rule(f"{old.type} orders must not have limit_price")
    if change.trail is not None and old.type is not OrderType.TRAILING_STOP:
        raise errors.against_rule(f"{old.type} orders must not have trail")
    wanted = (
        (change.qty, old.qty),
        (change.time_in_force, old.time_in_force),
        (change.limit_price, old.limit_price),
        (change.stop_price, old.stop_price),
        (change.trail, old.trail_percent or old.trail_price),
    )
    if all(new is None or new == known for new, known in wanted):
        raise errors.against_rule("order parameters are not changed")

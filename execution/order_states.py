"""An order's life: which status may follow which, and what each piece of news makes of an order."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from domain.errors import VenueError
from domain.orders import TERMINAL, Fill, Order, OrderReport, OrderStatus
from domain.values import replace


class ImpossibleUpdate(VenueError):
    """News of an order that cannot be true beside what is known of it: trust neither, look."""


_LIVE = frozenset(
    {OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELING},
)
_ENDED = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED}
)
_NOTHING: frozenset[OrderStatus] = frozenset()
# Looked up once: a member of an enumeration is found through its class, and orders are many.
_SUBMITTING, _CANCELING, _FILLED = (
    OrderStatus.SUBMITTING,
    OrderStatus.CANCELING,
    OrderStatus.FILLED,
)

TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    # A crash may lose our note that it was sent: the venue's word is taken from here on.
    OrderStatus.APPROVED: _LIVE
    | _ENDED
    | {OrderStatus.SUBMITTING, OrderStatus.UNRESOLVED, OrderStatus.WITHHELD},
    OrderStatus.SUBMITTING: _LIVE | _ENDED | {OrderStatus.UNRESOLVED},
    # The same id is sent again only after a definite "no such order"; or it is given up.
    OrderStatus.UNRESOLVED: _LIVE | _ENDED | {OrderStatus.SUBMITTING, OrderStatus.WITHHELD},
    OrderStatus.WORKING: _ENDED | {OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELING},
    OrderStatus.PARTIALLY_FILLED: frozenset(
        {
            OrderStatus.CANCELING,
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.EXPIRED,
            # What is left of it; what filled stays.
            OrderStatus.REJECTED,
        }
    ),
    # Back to working when the cancel never arrived; unresolved when the submission was cancelled
    # before its own answer came and none did; withheld when it was cancelled before it was sent.
    OrderStatus.CANCELING: _ENDED
    | {
        OrderStatus.WORKING,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.UNRESOLVED,
        OrderStatus.WITHHELD,
    },
    OrderStatus.FILLED: _NOTHING,
    OrderStatus.CANCELED: _NOTHING,
    OrderStatus.EXPIRED: _NOTHING,
    OrderStatus.REJECTED: _NOTHING,
    OrderStatus.WITHHELD: _NOTHING,
}

_PROGRESS: Mapping[OrderStatus, int] = {
    OrderStatus.APPROVED: 0,
    OrderStatus.SUBMITTING: 1,
    OrderStatus.UNRESOLVED: 1,
    OrderStatus.WORKING: 2,
    OrderStatus.PARTIALLY_FILLED: 3,
    OrderStatus.CANCELING: 4,
}
"""How far along a live status is; news from further back is late."""


def advance(order: Order, report: OrderReport) -> Order:
    """Return the order after news that may be late, doubled or out of order.

    News from further back is ignored but for what only grows (`reported_shares`, the venue's id);
    a finished order stays as it ended. `filled_shares` never changes here: only fills change it.
    Raises ImpossibleUpdate for another order's news, for a second, different end, and for news of
    an order that was withheld.
    """
    heard = _hear(order, report)
    status = report.status
    if order.status.is_terminal:
        if order.status is OrderStatus.WITHHELD or (status.is_terminal and status != order.status):
            raise _impossible(order, status)
        return heard
    if not status.is_terminal and _PROGRESS[status] <= _PROGRESS[order.status]:
        return heard
    return _move(heard, status, at=report.updated_at, reason=report.reason)


def reconcile(order: Order, report: OrderReport) -> Order:
    """Return the order as the venue sees it, looked up when nothing of it was in flight.

    Unlike `advance` it may lead back: a cancel that never arrived leaves the order working.
    Raises ImpossibleUpdate as `advance` does, and when an order that ended lives at the venue.
    """
    if order.status.is_terminal and report.status != order.status:
        raise _impossible(order, report.status)
    if order.status is not OrderStatus.CANCELING or report.status.is_terminal:
        return advance(order, report)
    if report.status is OrderStatus.CANCELING:
        return _hear(order, report)
    some_filled = order.filled_shares > 0 or report.filled_shares > 0
    status = OrderStatus.PARTIALLY_FILLED if some_filled else OrderStatus.WORKING
    back = _move(_hear(order, report), status, at=report.updated_at, reason="cancel did not arrive")
    return replace(back, cancel_requested_at=None)


def apply_fill(order: Order, fill: Fill) -> Order:
    """Return the order with a fill that was not applied before; the caller keeps `fill_id`s apart.

    The last share makes it FILLED; a finished order keeps its status and counts the shares.
    Raises ImpossibleUpdate for a fill of another order, symbol or side.
    """
    intent = order.intent
    is_its = fill.side is intent.side and fill.symbol == intent.symbol
    if not is_its or fill.client_order_id != intent.client_order_id:
        raise ImpossibleUpdate(
            f"fill {fill.fill_id} ({fill.side} {fill.symbol} for {fill.client_order_id}) "
            f"is not one of {intent.client_order_id} ({intent.side} {intent.symbol})"
        )
    filled_shares, reported_shares = (
        order.filled_shares + fill.quantity_shares,
        order.reported_shares,
    )
    status, finished_at = order.status, order.finished_at
    if status not in TERMINAL:
        if filled_shares >= intent.quantity_shares:
            status, finished_at = _FILLED, fill.filled_at
        elif status is not _CANCELING:
            status = OrderStatus.PARTIALLY_FILLED
    if status is not order.status and status not in TRANSITIONS[order.status]:
        raise _impossible(order, status)
    return replace(
        order,
        status=status,
        filled_shares=filled_shares,
        filled_value_usd=order.filled_value_usd + fill.quantity_shares * fill.price_usd,
        reported_shares=filled_shares if filled_shares > reported_shares else reported_shares,
        venue_order_id=order.venue_order_id or fill.venue_order_id,
        finished_at=finished_at,
    )


def begin_submit(order: Order, at: datetime) -> Order:
    """Return the order as its first byte may leave, for the first time or once more."""
    if _SUBMITTING not in TRANSITIONS[order.status]:
        raise _impossible(order, _SUBMITTING)
    return replace(order, status=_SUBMITTING, submitted_at=order.submitted_at or at)


def leave_unresolved(order: Order, reason: str) -> Order:
    """Return the order whose submission had no conclusive answer."""
    return replace(_move(order, OrderStatus.UNRESOLVED, at=None, reason=reason))


def withhold(order: Order, at: datetime, reason: str) -> Order:
    """Return the order that was not sent, or, once definitely absent, is not sent again."""
    return _move(order, OrderStatus.WITHHELD, at=at, reason=reason)


def reject(order: Order, at: datetime, reason: str) -> Order:
    """Return the order that the venue definitely refused, with no earlier attempt in doubt."""
    return _move(order, OrderStatus.REJECTED, at=at, reason=reason)


def request_cancel(order: Order, at: datetime) -> Order:
    """Return the order whose cancellation is being asked for; asking again changes nothing."""
    if order.status is OrderStatus.CANCELING:
        return order
    moved = _move(order, OrderStatus.CANCELING, at=at, reason=order.reason)
    return replace(moved, cancel_requested_at=at)


def diagram() -> str:
    """Return the table as a Mermaid state diagram, for the docs; the same text every time."""
    lines = ["stateDiagram-v2", f"    [*] --> {OrderStatus.APPROVED.value}"]
    for status in OrderStatus:
        following = TRANSITIONS[status]
        lines += [f"    {status.value} --> {n.value}" for n in OrderStatus if n in following]
        if not following:
            lines.append(f"    {status.value} --> [*]")
    return "\n".join(lines) + "\n"


def _move(order: Order, status: OrderStatus, *, at: datetime | None, reason: str) -> Order:
    if status not in TRANSITIONS[order.status]:
        raise _impossible(order, status)
    finished_at = at if status.is_terminal else None
    return replace(order, status=status, finished_at=finished_at, reason=reason or order.reason)


def _hear(order: Order, report: OrderReport) -> Order:
    """Return the order with what can be learnt from any report, however late."""
    intent = order.intent
    if (report.client_order_id, report.symbol, report.side) != (
        intent.client_order_id,
        intent.symbol,
        intent.side,
    ):
        raise ImpossibleUpdate(
            f"a report of {report.client_order_id} ({report.side} {report.symbol}) "
            f"is not one of {intent.client_order_id} ({intent.side} {intent.symbol})"
        )
    return replace(
        order,
        reported_shares=_reported(order, report),
        venue_order_id=order.venue_order_id or report.venue_order_id,
        submitted_at=order.submitted_at or report.submitted_at,
    )


def _reported(order: Order, report: OrderReport) -> Decimal:
    """Return how many shares the venue has said were filled: late news says less, and so does what
    it says at the end or after it, when it has taken an execution back that we never heard of."""
    if order.is_restated:
        return order.filled_shares
    said = report.filled_shares
    if said >= order.reported_shares:
        return said
    at_the_end = report.status.is_terminal and not order.status.is_terminal
    # An execution may be taken back in the very instant of the end: of two reports of that one the
    # last heard holds, as comparing goes on until the venue's is heard last.
    ended_at = order.finished_at
    after_it = ended_at is not None and (
        report.updated_at > ended_at
        or (report.updated_at == ended_at and report.status is order.status)
    )
    return max(order.filled_shares, said) if at_the_end or after_it else order.reported_shares


def _impossible(order: Order, status: OrderStatus) -> ImpossibleUpdate:
    return ImpossibleUpdate(
        f"order {order.client_order_id} is {order.status.value} and cannot become {status.value}: "
        f"compare it with the venue's ({order.venue_order_id or 'no id known'})"
    )

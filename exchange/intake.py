"""From an admitted request to the orders it becomes: one, or a head and its legs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal

from domain.calendar import Session
from domain.money import ZERO
from domain.orders import Side
from exchange import errors
from exchange.admission import Admission, Touch
from exchange.agenda import gtc_expiry_ns
from exchange.instants import to_ns, wall_ns
from exchange.matching import trailing_stop_price
from exchange.orders import (
    QUANTITY_STEP,
    OrderClass,
    OrderRequest,
    OrderType,
    PositionIntent,
    Status,
    TimeInForce,
    VenueOrder,
)

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where an order is written out: now, its trading day, and where ids come from."""

    now_ns: int
    session: Session
    gtc_days: int
    next_id: Callable[[], tuple[str, int]]
    client_id_for: Callable[[int], str]
    touch: Touch | None


def write_order(request: OrderRequest, admission: Admission, desk: Desk) -> VenueOrder:
    """Return the head order of a request, not yet accepted."""
    order_id, ordinal = desk.next_id()
    return VenueOrder(
        id=order_id,
        ordinal=ordinal,
        client_order_id=request.client_order_id or desk.client_id_for(ordinal),
        symbol=request.symbol,
        side=request.side,
        intent=admission.intent,
        type=request.type,
        time_in_force=request.time_in_force,
        order_class=request.order_class,
        status=Status.PENDING_NEW,
        created_ns=desk.now_ns,
        submitted_ns=desk.now_ns,
        updated_ns=desk.now_ns,
        expires_ns=expiry_ns(request, desk),
        qty=request.qty,
        notional=request.notional,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        trail_price=request.trail_price,
        trail_percent=request.trail_percent,
        extended_hours=request.extended_hours,
        reserve_usd=admission.reserve_usd,
        cap_qty=_cap(request, admission, desk.touch),
    )


def _cap(request: OrderRequest, admission: Admission, touch: Touch | None) -> Decimal | None:
    """Return how many shares an order in dollars may close: what they are worth now, so that a
    falling price cannot make it sell more than is held. None for every other order."""
    if request.notional is None or admission.intent.opens or touch is None:
        return None
    price = touch.bid_usd if request.side is Side.SELL else touch.ask_usd
    return (request.notional / price).quantize(QUANTITY_STEP, rounding=ROUND_DOWN)


def expiry_ns(request: OrderRequest, desk: Desk) -> int:
    """Return when an order ends by itself."""
    day: date = desk.session.day
    if request.time_in_force is TimeInForce.GTC:
        return gtc_expiry_ns(day, desk.gtc_days)
    if request.extended_hours:
        return wall_ns(day, 20)
    return to_ns(desk.session.closes_at)


def with_trail(order: VenueOrder, last_usd: Decimal) -> VenueOrder:
    """Return a trailing stop with its first high-water mark and stop; others unchanged."""
    if order.type is not OrderType.TRAILING_STOP:
        return order
    return replace(order, hwm=last_usd, stop_price=trailing_stop_price(order, last_usd))


def write_legs(
    request: OrderRequest, head: VenueOrder, desk: Desk
) -> tuple[VenueOrder, list[VenueOrder]]:
    """Return the head, knowing its legs, and the legs, all held."""
    parts = _parts(request)
    if not parts:
        return head, []
    exit_side = head.side if head.order_class is OrderClass.OCO else _other(head.side)
    legs = [_leg(part, head, exit_side, desk) for part in parts]
    return replace(head, leg_ids=tuple(leg.id for leg in legs)), legs


def head_request(request: OrderRequest, touch: Touch) -> OrderRequest:
    """Return the request of a group's head after judging its prices; simple ones unchanged.

    Raises Refusal when a bracket's, OTO's or OCO's prices do not fit together.
    """
    match request.order_class:
        case OrderClass.SIMPLE:
            return request
        case OrderClass.OCO:
            return _oco_head(request)
        case OrderClass.BRACKET:
            if request.take_profit_limit is None:
                raise errors.against_rule("bracket orders require take_profit.limit_price")
            if request.stop_loss_stop is None:
                raise errors.against_rule("bracket orders require stop_loss.stop_price")
        case OrderClass.OTO:
            if (request.take_profit_limit is None) == (request.stop_loss_stop is None):
                raise errors.against_rule(
                    "oto orders require either take_profit.limit_price or stop_loss.stop_price"
                )
    base = request.limit_price or request.stop_price or touch.ask_usd
    _judge_exits(request, base)
    return request


def _judge_exits(request: OrderRequest, base: Decimal) -> None:
    sign = request.side.sign
    profit, loss = request.take_profit_limit, request.stop_loss_stop
    above, below = (">= base_price + 0.01", "<= base_price - 0.01")
    if sign < 0:
        above, below = below, above
    base_text = format(base, "f")
    if profit is not None and loss is not None and (profit - loss) * sign <= 0:
        relation = ">" if sign > 0 else "<"
        raise errors.against_rule(
            f"take_profit.limit_price must be {relation} stop_loss.stop_price"
        )
    if profit is not None and (profit - base) * sign < CENT:
        raise errors.against_rule(f"take_profit.limit_price must be {above}", base_price=base_text)
    if loss is not None and (base - loss) * sign < CENT:
        raise errors.against_rule(f"stop_loss.stop_price must be {below}", base_price=base_text)


def _oco_head(request: OrderRequest) -> OrderRequest:
    limit = request.take_profit_limit or request.limit_price
    if request.type is not OrderType.LIMIT or limit is None:
        raise errors.against_rule("oco orders require take_profit.limit_price")
    if request.stop_loss_stop is None:
        raise errors.against_rule("oco orders require stop_loss.stop_price")
    if (limit - request.stop_loss_stop) * request.side.sign >= 0:
        relation = ">" if request.side is Side.SELL else "<"
        raise errors.against_rule(
            f"take_profit.limit_price must be {relation} stop_loss.stop_price"
        )
    return replace(request, limit_price=limit, take_profit_limit=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    type: OrderType
    limit: Decimal | None
    stop: Decimal | None


def _parts(request: OrderRequest) -> list[_Part]:
    if request.order_class is OrderClass.SIMPLE:
        return []
    parts = []
    if request.take_profit_limit is not None:
        parts.append(_Part(type=OrderType.LIMIT, limit=request.take_profit_limit, stop=None))
    if request.stop_loss_stop is not None:
        limit = request.stop_loss_limit
        kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
        parts.append(_Part(type=kind, limit=limit, stop=request.stop_loss_stop))
    return parts


def _leg(part: _Part, head: VenueOrder, side: Side, desk: Desk) -> VenueOrder:
    leg_id, ordinal = desk.next_id()
    closes = PositionIntent.BUY_TO_CLOSE if side is Side.BUY else PositionIntent.SELL_TO_CLOSE
    return replace(
        head,
        id=leg_id,
        ordinal=ordinal,
        client_order_id=desk.client_id_for(ordinal),
        side=side,
        intent=closes,
        type=part.type,
        limit_price=part.limit,
        stop_price=part.stop,
        trail_price=None,
        trail_percent=None,
        status=Status.HELD,
        parent_id=head.id,
        leg_ids=(),
        reserve_usd=ZERO,
        is_armed=head.order_class is OrderClass.OCO,
    )


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY

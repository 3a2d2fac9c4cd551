"""From a JSON body to an order request: shape, numbers, enums, prices; refusals worded as known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from domain.money import tick_for
from domain.orders import Side
from exchange import errors
from exchange.numbers import has_places, read_decimal
from exchange.orders import (
    OrderClass,
    OrderRequest,
    OrderType,
    PositionIntent,
    TimeInForce,
)

CLIENT_ORDER_ID_MAX = 128
QUANTITY_PLACES = 9
Body = Mapping[str, object]
E = TypeVar("E", bound=StrEnum)


def parse_order(body: Body, resolve_symbol: Callable[[str], str | None]) -> OrderRequest:
    """Return the order a body asks for, or raise the Refusal it deserves.

    `resolve_symbol` turns a symbol or asset id into a listed symbol, None when there is none.
    """
    name = _text(body, "symbol")
    if not name:
        raise errors.invalid("symbol is required")
    side = _enum(body, "side", Side, "invalid side")
    kind = _enum(body, "type", OrderType, "invalid order type")
    tif = _enum(body, "time_in_force", TimeInForce, "invalid time_in_force")
    qty, notional = _size(body)
    symbol = resolve_symbol(name)
    if symbol is None:
        raise errors.against_rule(f'asset "{name}" not found')
    legs = _legs(body)
    request = OrderRequest(
        symbol=symbol,
        side=side,
        type=kind,
        time_in_force=tif,
        qty=qty,
        notional=notional,
        limit_price=_price(body, "limit_price"),
        stop_price=_price(body, "stop_price"),
        trail_price=_number(body, "trail_price"),
        trail_percent=_number(body, "trail_percent"),
        extended_hours=_flag(body, "extended_hours"),
        client_order_id=_client_id(body),
        order_class=_order_class(body),
        take_profit_limit=legs.take_profit_limit,
        stop_loss_stop=legs.stop_loss_stop,
        stop_loss_limit=legs.stop_loss_limit,
        position_intent=_optional_enum(body, "position_intent", PositionIntent),
    )
    return checked(request)


def checked(request: OrderRequest) -> OrderRequest:
    """Return a request whose prices and times fit its type, or raise the Refusal it deserves."""
    _check_prices(request)
    if request.is_fractional and request.time_in_force is not TimeInForce.DAY:
        raise errors.against_rule("fractional orders must be DAY orders")
    if request.is_fractional and request.order_class is not OrderClass.SIMPLE:
        raise errors.against_rule("fractional orders must be simple orders")
    in_day_limit = request.type is OrderType.LIMIT and request.time_in_force in (
        TimeInForce.DAY,
        TimeInForce.GTC,
    )
    if request.extended_hours and not in_day_limit:
        raise errors.against_rule("extended hours order must be DAY or GTC limit orders")
    if request.order_class is not OrderClass.SIMPLE and request.time_in_force not in (
        TimeInForce.DAY,
        TimeInForce.GTC,
    ):
        raise errors.against_rule(f"{request.order_class} orders must be DAY or GTC orders")
    _check_auction(request)
    return request


def _check_auction(request: OrderRequest) -> None:
    if request.time_in_force not in (TimeInForce.OPG, TimeInForce.CLS):
        return
    if request.type not in (OrderType.MARKET, OrderType.LIMIT):
        raise errors.against_rule(f"{request.time_in_force} orders must be market or limit orders")


def _check_prices(request: OrderRequest) -> None:
    fault = _price_fault(request)
    if fault is not None:
        raise errors.invalid(fault).unless("price_errors_are_rules")
    if request.type is OrderType.TRAILING_STOP:
        trails = [t for t in (request.trail_price, request.trail_percent) if t is not None]
        _check_trail(request, trails)


def _price_fault(request: OrderRequest) -> str | None:
    """Return what is wrong with the presence of limit and stop price, None when nothing is."""
    has_limit = request.limit_price is not None or request.order_class is OrderClass.OCO
    has_stop = request.stop_price is not None
    faults = {
        OrderType.MARKET: [
            (has_limit or has_stop, "market orders require no stop or limit price"),
        ],
        OrderType.LIMIT: [
            (not has_limit, "limit orders require a limit price"),
            (has_stop, "limit orders must not have stop_price"),
        ],
        OrderType.STOP: [
            (not has_stop, "stop orders require a stop price"),
            (has_limit, "stop orders must not have limit_price"),
        ],
        OrderType.STOP_LIMIT: [
            (not (has_limit and has_stop), "stop limit orders require both stop and limit price"),
        ],
        OrderType.TRAILING_STOP: [
            (has_limit or has_stop, "trailing stop orders require no stop or limit price"),
        ],
    }
    return next((message for is_wrong, message in faults[request.type] if is_wrong), None)


def _check_trail(request: OrderRequest, trails: list[Decimal]) -> None:
    if len(trails) != 1:
        raise errors.invalid(
            "trailing stop orders must specify one of trail_price or trail_percent"
        ).unless("price_errors_are_rules")
    if trails[0] <= 0 or (request.trail_percent is not None and request.trail_percent >= 100):
        raise errors.invalid("trail_price and trail_percent must be > 0")
    if request.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
        raise errors.against_rule("trailing stop orders must be DAY or GTC orders")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Legs:
    take_profit_limit: Decimal | None
    stop_loss_stop: Decimal | None
    stop_loss_limit: Decimal | None


def _legs(body: Body) -> _Legs:
    profit, loss = _object(body, "take_profit"), _object(body, "stop_loss")
    return _Legs(
        take_profit_limit=_price(profit, "limit_price"),
        stop_loss_stop=_price(loss, "stop_price"),
        stop_loss_limit=_price(loss, "limit_price"),
    )


def _size(body: Body) -> tuple[Decimal | None, Decimal | None]:
    qty, notional = _number(body, "qty"), _number(body, "notional")
    if qty is not None and notional is not None:
        raise errors.invalid("only one of qty or notional is accepted")
    if qty is not None:
        if qty <= 0:
            raise errors.invalid("qty must be > 0")
        if not has_places(qty, QUANTITY_PLACES):
            raise errors.invalid("qty must have no more than 9 decimal places")
        return qty, None
    if notional is None:
        raise errors.invalid("qty or notional is required")
    if notional < 1:
        raise errors.invalid("notional must be >= 1.00").unless("minimum_notional_is_403")
    if not has_places(notional, 2):
        raise errors.invalid("notional must have no more than 2 decimal places")
    return None, notional


def _price(body: Body, field: str) -> Decimal | None:
    price = _number(body, field)
    if price is None:
        return None
    if price <= 0:
        raise errors.invalid(f"{field} must be > 0")
    return on_grid(price, field)


def on_grid(price_usd: Decimal, field: str) -> Decimal:
    """Return a price that lies on the tick grid, or raise the sub-penny Refusal."""
    tick = tick_for(price_usd)
    if not has_places(price_usd, 2 if tick == Decimal("0.01") else 4):
        raise errors.sub_penny(field, price_usd)
    return price_usd


def _number(body: Body, field: str) -> Decimal | None:
    value = body.get(field)
    if value is None or value == "":
        return None
    try:
        return read_decimal(value)
    except ValueError as fault:
        raise errors.invalid(f"{field} is not a number: {str(value)[:40]}") from fault


def _text(body: Body, field: str) -> str:
    value = body.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise errors.malformed_body()
    return value


def _object(body: Body, field: str) -> Body:
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.malformed_body()
    return value


def _flag(body: Body, field: str) -> bool:
    value = body.get(field)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise errors.malformed_body()


def _enum(body: Body, field: str, words: type[E], message: str) -> E:
    try:
        return words(_text(body, field))
    except ValueError as fault:
        raise errors.invalid(message) from fault


def _optional_enum(body: Body, field: str, words: type[E]) -> E | None:
    if not _text(body, field):
        return None
    return _enum(body, field, words, f"invalid {field}")


def _order_class(body: Body) -> OrderClass:
    text = _text(body, "order_class")
    if text in ("", "simple"):
        return OrderClass.SIMPLE
    return _enum(body, "order_class", OrderClass, "invalid order_class")


def _client_id(body: Body) -> str | None:
    text = _text(body, "client_order_id")
    if len(text) > CLIENT_ORDER_ID_MAX:
        raise errors.invalid("client_order_id must be no more than 128 characters")
    return text or None

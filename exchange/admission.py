"""Whether the venue takes an order: the rules judged against assets, account and own orders.

Order of judging: shape (already done by `parsing`), asset, fractional rules, blocks, direction
and quantity, wash trades, buying power.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.money import ZERO
from domain.orders import Side
from exchange import errors
from exchange.account import Account
from exchange.assets import Asset
from exchange.knobs import Knobs
from exchange.numbers import decimal_text
from exchange.orders import (
    OrderClass,
    OrderRequest,
    OrderType,
    PositionIntent,
    Status,
    TimeInForce,
    VenueOrder,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the account's owner may switch."""

    no_shorting: bool = False
    suspend_trade: bool = False
    fractional_trading: bool = True
    max_margin_multiplier: int = 4
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    max_options_trading_level: int | None = None
    is_blocked: bool = False
    liquidates_only: bool = False


DEFAULT_CONFIGURATION = Configuration()


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """Best bid and ask, in dollars."""

    bid_usd: Decimal
    ask_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an order is judged against. `buying_power` is what is free now."""

    asset: Asset
    account: Account
    own_orders: Sequence[VenueOrder]
    touch: Touch | None
    buying_power: Decimal
    configuration: Configuration
    knobs: Knobs
    freed_qty: Decimal = ZERO
    """Shares a replaced order gives back."""
    unreleased_qty: Decimal = ZERO
    """Shares that orders held which have just ended, and which are not free yet."""
    is_change: bool = False
    """Whether it stands in the place of an order that was taken before."""
    is_settling: bool = False
    """Whether the symbol's last fill has not reached the books of positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A taken order's intent, and the buying power each share of it ties up."""

    intent: PositionIntent
    reserve_usd: Decimal


def admit(request: OrderRequest, around: Surroundings) -> Admission:
    """Return what the venue makes of a request, or raise the Refusal it deserves."""
    _judge_asset(request, around)
    _judge_blocks(around.configuration)
    intent = _intent(request, around)
    _judge_intent(request, intent, around)
    if intent.opens:
        if around.configuration.liquidates_only:
            raise errors.forbidden("account is restricted to liquidation only")
        _judge_direction(request, intent, around)
    else:
        _judge_quantity(request, around)
    _judge_fraction(request, intent, around)
    if around.knobs.wash_trade_check:
        _judge_wash(request, around)
    reserve = reserve_per_share(request, around.touch, around.knobs) if intent.opens else ZERO
    if intent.opens:
        _judge_buying_power(request, reserve, around.buying_power)
    return Admission(intent=intent, reserve_usd=reserve)


def _judge_asset(request: OrderRequest, around: Surroundings) -> None:
    if not around.asset.is_active:
        raise errors.invalid(f"asset {request.symbol} is not active")
    if not around.asset.tradable or around.touch is None:
        raise errors.against_rule(f'asset "{request.symbol}" is not tradable')


def _judge_blocks(configuration: Configuration) -> None:
    if configuration.is_blocked:
        raise errors.forbidden("account is not authorized to trade")
    if configuration.suspend_trade:
        raise errors.forbidden("new orders are rejected by user request")


def _intent(request: OrderRequest, around: Surroundings) -> PositionIntent:
    held = around.account.qty(request.symbol)
    if request.side is Side.BUY:
        return PositionIntent.BUY_TO_CLOSE if held < 0 else PositionIntent.BUY_TO_OPEN
    return PositionIntent.SELL_TO_CLOSE if held > 0 else PositionIntent.SELL_TO_OPEN


def _judge_intent(request: OrderRequest, intent: PositionIntent, around: Surroundings) -> None:
    wanted = request.position_intent
    if wanted is not None and wanted is not intent:
        raise errors.against_rule(
            f"position intent mismatch, inferred: {intent}, specified: {wanted}"
        )
    is_exit = not intent.opens
    if request.order_class is OrderClass.OCO and (around.is_settling or not is_exit):
        raise errors.against_rule("oco orders must be exit orders")
    adds = around.account.qty(request.symbol) != 0 and not around.is_change
    if request.order_class is OrderClass.BRACKET and not around.knobs.adds_brackets_to_positions:
        is_exit = is_exit or adds
    if request.order_class in (OrderClass.BRACKET, OrderClass.OTO) and is_exit:
        raise errors.against_rule(f"{request.order_class} orders must be entry orders")


def _judge_direction(request: OrderRequest, intent: PositionIntent, around: Surroundings) -> None:
    shorts = intent is PositionIntent.SELL_TO_OPEN
    opposite = PositionIntent.BUY_TO_OPEN if shorts else PositionIntent.SELL_TO_OPEN
    if any(o.intent is opposite and _is_live(o) for o in around.own_orders):
        if shorts:
            raise errors.forbidden("cannot open a short sell while a long buy order is open")
        raise errors.forbidden("cannot open a long buy while a short sell order is open")
    if not shorts:
        return
    if request.is_fractional:
        raise errors.against_rule("fractional orders cannot be sold short")
    allowed = around.knobs.shorting_enabled and not around.configuration.no_shorting
    if not allowed:
        raise errors.forbidden("account is not allowed to short")
    hard = around.asset.symbol in around.knobs.hard_to_borrow
    if not around.asset.shortable or (hard and not around.knobs.shorts_hard_to_borrow):
        refusal = errors.forbidden(f'asset "{request.symbol}" cannot be sold short')
        raise refusal.unless("not_shortable_is_422")


def _judge_quantity(request: OrderRequest, around: Surroundings) -> None:
    account, symbol = around.account, request.symbol
    kept = around.unreleased_qty
    available = account.available_qty(symbol) + around.freed_qty - kept
    requested = request.qty
    if requested is None:
        assert request.notional is not None and around.touch is not None
        touch = around.touch
        price = touch.bid_usd if request.side is Side.SELL else touch.ask_usd
        requested = request.notional / price
    if requested <= available:
        return
    related = [o.id for o in around.own_orders if o.held_qty and _is_live(o)]
    holding = {
        "available": decimal_text(available),
        "existing_qty": decimal_text(abs(account.qty(symbol))),
        "held_for_orders": decimal_text(account.held.get(symbol, ZERO) + kept),
    }
    raise errors.insufficient_quantity(symbol, decimal_text(requested), holding, related)


def _judge_fraction(request: OrderRequest, intent: PositionIntent, around: Surroundings) -> None:
    if not request.is_fractional:
        return
    if not (around.asset.fractionable and around.configuration.fractional_trading):
        raise errors.forbidden(f'asset "{request.symbol}" is not fractionable')
    if request.time_in_force is not TimeInForce.DAY:
        raise errors.against_rule("fractional orders must be DAY orders")
    if request.order_class is not OrderClass.SIMPLE:
        raise errors.against_rule("fractional orders must be simple orders")
    if intent is PositionIntent.SELL_TO_OPEN:
        raise errors.against_rule("fractional orders cannot be sold short")


_EXEMPT_CLASSES = (OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO)


def _judge_wash(request: OrderRequest, around: Surroundings) -> None:
    if request.order_class in _EXEMPT_CLASSES or request.type is OrderType.TRAILING_STOP:
        return
    for other in around.own_orders:
        if other.side is request.side or not _is_live(other) or _is_exempt(other):
            continue
        named = _unpriced_kind(other.type) or _unpriced_kind(request.type)
        if named is not None:
            raise errors.wash_trade(other.id, named)
        if _limits_meet(request, other):
            raise errors.wash_trade(other.id, "limit")


def _is_exempt(order: VenueOrder) -> bool:
    return order.order_class in _EXEMPT_CLASSES or order.type is OrderType.TRAILING_STOP


def _unpriced_kind(order_type: OrderType) -> str | None:
    if order_type is OrderType.MARKET:
        return "market"
    return "stop" if order_type is OrderType.STOP else None


def _limits_meet(request: OrderRequest, other: VenueOrder) -> bool:
    if request.limit_price is None or other.limit_price is None:
        return True
    gap = (request.limit_price - other.limit_price) * request.side.sign
    return gap >= 0


def _is_live(order: VenueOrder) -> bool:
    return not order.status.is_terminal and order.status is not Status.HELD


def reserve_per_share(request: OrderRequest, touch: Touch | None, knobs: Knobs) -> Decimal:
    """Return the buying power one share of an opening order ties up.

    Buys: the limit, or the stop or ask with the market collar on top. Shorts: the larger of the
    limit and the collared ask.
    """
    if touch is None:
        return ZERO
    collared = touch.ask_usd * (1 + knobs.market_collar)
    if request.side is Side.SELL:
        return max(collared, request.limit_price or ZERO)
    if request.limit_price is not None:
        return request.limit_price
    if request.stop_price is not None:
        return max(touch.ask_usd, request.stop_price) * (1 + knobs.market_collar)
    return collared


def _judge_buying_power(request: OrderRequest, reserve_usd: Decimal, free_usd: Decimal) -> None:
    cost = request.notional if request.notional is not None else reserve_usd * _asked(request)
    if cost > free_usd:
        cost_text = decimal_text(cost.quantize(Decimal("0.01")))
        raise errors.insufficient_buying_power(decimal_text(free_usd), cost_text)


def _asked(request: OrderRequest) -> Decimal:
    assert request.qty is not None
    return request.qty

"""What the trading API writes: key sets, decimals in strings, instants; nothing else decides them.

Every key of an object is always present, null when unset. Money on the account is in cents;
average prices have six places at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.calendar import Session
from domain.money import ZERO
from exchange.account import Account, Holding, Totals, to_cents
from exchange.activities import Activity, ActivityKind
from exchange.admission import Configuration
from exchange.assets import Asset
from exchange.day_trades import DAY_TRADES_MAX
from exchange.ids import asset_id, ulid_text
from exchange.instants import (
    NEW_YORK,
    from_ns,
    new_york_rfc3339,
    rfc3339,
    rfc3339_micro,
    rfc3339_short,
)
from exchange.knobs import Knobs
from exchange.numbers import decimal_text
from exchange.order_book import OrderBook
from exchange.orders import Execution, Status, VenueOrder
from exchange.records import EventKind, VenueEvent

Json = dict[str, object]
_MICRO = Decimal("0.000001")
_RATIO = Decimal("0.0000000001")


def money_text(amount_usd: Decimal) -> str:
    """Return an amount in cents as text."""
    return decimal_text(to_cents(amount_usd))


def _optional(amount: Decimal | None) -> str | None:
    return None if amount is None else decimal_text(amount)


def _when(at_ns: int | None) -> str | None:
    return None if at_ns is None else rfc3339(at_ns)


def _average(amount: Decimal | None) -> str | None:
    return None if amount is None else decimal_text(amount.quantize(_MICRO))


def order_json(order: VenueOrder, book: OrderBook, *, nested: bool) -> Json:
    """Return an order; with `nested` its legs lie under it."""
    return _order(order, [book.by_id[i] for i in order.leg_ids] if nested else ())


def _order(order: VenueOrder, legs: Sequence[VenueOrder]) -> Json:
    status = order.status
    finished = _when(order.finished_ns)
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": rfc3339(order.created_ns),
        "updated_at": rfc3339(order.updated_ns),
        "submitted_at": rfc3339(order.submitted_ns),
        "filled_at": finished if status is Status.FILLED else None,
        "expired_at": finished if status is Status.EXPIRED else None,
        "expires_at": rfc3339_short(order.expires_ns),
        "canceled_at": finished if status is Status.CANCELED else None,
        "failed_at": finished if status is Status.REJECTED else None,
        "replaced_at": finished if status is Status.REPLACED else None,
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset_id(order.symbol),
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": _optional(order.notional),
        "qty": _optional(order.qty),
        "filled_qty": decimal_text(order.filled_qty),
        "filled_avg_price": _average(order.filled_avg_price),
        "order_class": order.order_class.value,
        "order_type": order.type.value,
        "type": order.type.value,
        "side": order.side.value,
        "position_intent": order.intent.value,
        "time_in_force": order.time_in_force.value,
        "limit_price": _optional(order.limit_price),
        "stop_price": _optional(order.stop_price),
        "status": status.value,
        "extended_hours": order.extended_hours,
        "legs": [_order(leg, ()) for leg in legs] if legs else None,
        "trail_percent": _optional(order.trail_percent),
        "trail_price": _optional(order.trail_price),
        "hwm": _optional(order.hwm),
        "subtag": None,
        "source": None,
    }


def account_json(
    account: Account, totals: Totals, configuration: Configuration, at_ns: int
) -> Json:
    """Return the account as it stands at an instant."""
    cash, buying_power = decimal_text(totals.cash), decimal_text(totals.buying_power)
    equity, zero = decimal_text(totals.equity), "0"
    free = max(ZERO, totals.equity - totals.initial_margin)
    return {
        "id": account.id,
        "account_number": "PA" + account.id.replace("-", "")[:10].upper(),
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "created_at": rfc3339_micro(account.created_ns),
        "balance_asof": from_ns(at_ns).astimezone(NEW_YORK).date().isoformat(),
        "cash": cash,
        "equity": equity,
        "last_equity": money_text(account.last_equity),
        "portfolio_value": equity,
        "position_market_value": decimal_text(totals.long_value + totals.short_value),
        "long_market_value": decimal_text(totals.long_value),
        "short_market_value": decimal_text(totals.short_value),
        "buying_power": buying_power,
        "effective_buying_power": buying_power,
        "regt_buying_power": decimal_text(totals.regt_buying_power),
        "non_marginable_buying_power": decimal_text(totals.cash_buying_power),
        "options_buying_power": decimal_text(free),
        "initial_margin": decimal_text(totals.initial_margin),
        "maintenance_margin": decimal_text(totals.maintenance_margin),
        "last_maintenance_margin": money_text(account.last_maintenance_margin),
        "sma": zero,
        "multiplier": str(totals.multiplier),
        "accrued_fees": zero,
        "pending_reg_taf_fees": zero,
        "intraday_adjustments": zero,
        "trading_blocked": configuration.is_blocked,
        "transfers_blocked": False,
        "account_blocked": configuration.is_blocked,
        "trade_suspended_by_user": configuration.suspend_trade,
        "shorting_enabled": totals.multiplier > 1 and not configuration.no_shorting,
        "crypto_tier": 0,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "admin_configurations": {},
        "user_configurations": None,
    }


def configuration_json(configuration: Configuration) -> Json:
    """Return what the account's owner has switched."""
    return {
        "disable_overnight_trading": configuration.disable_overnight_trading,
        "dtbp_check": None,
        "fractional_trading": configuration.fractional_trading,
        "max_margin_multiplier": str(configuration.max_margin_multiplier),
        "max_options_trading_level": configuration.max_options_trading_level,
        "no_shorting": configuration.no_shorting,
        "pdt_check": None,
        "ptp_no_exception_entry": configuration.ptp_no_exception_entry,
        "suspend_trade": configuration.suspend_trade,
        "trade_confirm_email": configuration.trade_confirm_email,
    }


def day_trade_fields(count: int, totals: Totals) -> Json:
    """Return the account's fields of the retired day-trading rule."""
    return {
        "pattern_day_trader": count > DAY_TRADES_MAX,
        "daytrade_count": count,
        "daytrading_buying_power": decimal_text(totals.buying_power),
    }


FRACTIONS_BESIDE = "fractional_eh_enabled"
"""The attribute of assets whose fractions can be traded before the open and after the close."""


def attributes_of(asset: Asset, knobs: Knobs) -> list[str]:
    """Return what is remarkable about an asset, in the wire's words."""
    return [FRACTIONS_BESIDE] if asset.fractionable and knobs.extended_hours else []


def asset_json(asset: Asset, knobs: Knobs) -> Json:
    """Return a listed asset."""
    borrow = "easy_to_borrow"
    if asset.symbol in knobs.hard_to_borrow:
        borrow = "hard_to_borrow"
    if not asset.shortable:
        borrow = "not_shortable"
    margin = knobs.maintenance_rate * 100
    return {
        "id": asset.id,
        "class": "us_equity",
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": asset.name,
        "status": "active" if asset.is_active else "inactive",
        "tradable": asset.tradable,
        "marginable": asset.marginable,
        "shortable": asset.shortable,
        "easy_to_borrow": borrow == "easy_to_borrow",
        "borrow_status": borrow,
        "fractionable": asset.fractionable,
        "maintenance_margin_requirement": float(margin) if margin % 1 else int(margin),
        "margin_requirement_long": decimal_text(margin),
        "margin_requirement_short": decimal_text(margin),
        "attributes": attributes_of(asset, knobs),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Prices a position is shown at: now, and at the last close."""

    price_of: Callable[[str], Decimal]
    lastday_of: Callable[[str], Decimal | None]


def position_json(asset: Asset, holding: Holding, available: Decimal, marks: Marks) -> Json:
    """Return a position; a short's quantity, value and cost are negative."""
    qty, price = holding.qty, marks.price_of(asset.symbol)
    lastday = marks.lastday_of(asset.symbol)
    cost, value = to_cents(holding.cost_usd), to_cents(qty * price)
    kept = holding.lastday_qty if holding.lastday_qty * qty > 0 else ZERO
    kept = min(kept, qty, key=abs)
    basis = kept * (lastday or price) + (qty - kept) * holding.average_entry_usd
    intraday = value - to_cents(basis)
    return {
        "asset_id": asset.id,
        "symbol": asset.symbol,
        "exchange": asset.exchange,
        "asset_class": "us_equity",
        "asset_marginable": asset.marginable,
        "qty": decimal_text(qty),
        "qty_available": decimal_text(available if qty > 0 else -available),
        "side": "long" if qty > 0 else "short",
        "avg_entry_price": _average(holding.average_entry_usd),
        "cost_basis": decimal_text(cost),
        "market_value": decimal_text(value),
        "current_price": decimal_text(price),
        "lastday_price": _optional(lastday if lastday is not None else price),
        "change_today": _ratio(price - lastday, lastday) if lastday else "0",
        "unrealized_pl": decimal_text(value - cost),
        "unrealized_plpc": _ratio(value - cost, abs(cost)),
        "unrealized_intraday_pl": decimal_text(intraday),
        "unrealized_intraday_plpc": _ratio(intraday, abs(basis)),
    }


def _ratio(part: Decimal, whole: Decimal) -> str:
    return decimal_text((part / whole).quantize(_RATIO)) if whole else "0"


def activity_json(execution: Execution) -> Json:
    """Return an execution as an account activity."""
    return {
        "activity_type": "FILL",
        "id": stamped_id(execution.at_ns, execution.id),
        "cum_qty": decimal_text(execution.cum_qty),
        "leaves_qty": decimal_text(execution.leaves_qty),
        "order_id": execution.order_id,
        "order_status": "filled" if execution.completes else "partially_filled",
        "price": decimal_text(execution.price_usd),
        "qty": decimal_text(execution.qty),
        "side": execution.side.value,
        "symbol": execution.symbol,
        "transaction_time": rfc3339_micro(execution.at_ns),
        "type": "fill" if execution.completes else "partial_fill",
    }


def entry_json(activity: Activity) -> Json:
    """Return an activity that is no trade."""
    body: Json = {
        "activity_type": activity.kind.value,
        "id": stamped_id(activity.at_ns, activity.id),
        "date": activity.day.isoformat(),
        "created_at": rfc3339_micro(activity.at_ns),
        "net_amount": decimal_text(activity.net_amount),
        "description": activity.description,
        "status": "executed",
    }
    if activity.symbol is not None:
        body["symbol"] = activity.symbol
    if activity.qty is not None:
        body["qty"] = decimal_text(activity.qty)
    if activity.price_usd is not None:
        is_dividend = activity.kind is ActivityKind.DIVIDEND
        body["per_share_amount" if is_dividend else "price"] = decimal_text(activity.price_usd)
    return body


def stamped_id(at_ns: int, own_id: str) -> str:
    """Return an activity's id: New York's wall time, then its own id."""
    local = from_ns(at_ns).astimezone(NEW_YORK)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{own_id}"


def clock_json(at_ns: int, *, is_open: bool, next_open_ns: int, next_close_ns: int) -> Json:
    """Return the market's clock."""
    return {
        "timestamp": new_york_rfc3339(at_ns),
        "is_open": is_open,
        "next_open": new_york_rfc3339(next_open_ns),
        "next_close": new_york_rfc3339(next_close_ns),
    }


def session_json(session: Session, settles: str) -> Json:
    """Return a session as the calendar lists it, in New York's wall time."""
    opens = session.opens_at.astimezone(NEW_YORK)
    closes = session.closes_at.astimezone(NEW_YORK)
    return {
        "date": session.day.isoformat(),
        "open": f"{opens:%H:%M}",
        "close": f"{closes:%H:%M}",
        "session_open": "0400",
        "session_close": "2000",
        "settlement_date": settles,
    }


STREAMED = frozenset(
    {
        EventKind.PENDING_NEW,
        EventKind.ACCEPTED,
        EventKind.NEW,
        EventKind.HELD,
        EventKind.PARTIAL_FILL,
        EventKind.FILL,
        EventKind.PENDING_CANCEL,
        EventKind.PENDING_REPLACE,
        EventKind.CANCELED,
        EventKind.EXPIRED,
        EventKind.REJECTED,
        EventKind.REPLACED,
        EventKind.DONE_FOR_DAY,
        EventKind.STOPPED,
        EventKind.SUSPENDED,
        EventKind.CALCULATED,
        EventKind.TRADE_BUST,
        EventKind.TRADE_CORRECT,
        EventKind.RESTATED,
        EventKind.CANCEL_REJECTED,
        EventKind.REPLACE_REJECTED,
    }
)


def trade_update_json(event: VenueEvent, seed: int) -> Json | None:
    """Return what the trading stream says of an event, None for what it keeps to itself."""
    if event.kind not in STREAMED or event.order is None:
        return None
    at = rfc3339(event.at_ns)
    data: Json = {"event": event.kind.value, "timestamp": at}
    if event.execution is not None:
        previous = event.execution.undoes or event.execution.corrects
        if previous is not None:
            data["previous_execution_id"] = previous
        data["execution_id"] = event.execution.id
        data["price"] = decimal_text(event.execution.price_usd)
        data["qty"] = decimal_text(event.execution.qty)
        data["position_qty"] = decimal_text(event.execution.position_qty)
    body = _order(event.order, event.legs)
    if event.order.reason:
        body["reason"] = event.order.reason
    if event.order.cancel_asked_ns is not None:
        body["cancel_requested_at"] = rfc3339(event.order.cancel_asked_ns)
    data["order"] = body
    data["at"] = at
    data["event_id"] = ulid_text(event.at_ns, event.seq, seed)
    return {"stream": "trade_updates", "data": data}

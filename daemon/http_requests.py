"""What a request to the daemon may say, and what is wrong with one that says something else."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

import orjson

from domain.events import Action, OperatorAsked, OperatorOrder
from domain.instruments import Symbol
from domain.money import tick_for
from domain.orders import AtLimit, AtStop, AtStopLimit, Side, Terms, TimeInForce

ROWS_MAX = 1_000
"""Rows of a list that `?limit=` may ask for."""
NUMBER_MAX = Decimal("1e9")
"""No price and no quantity is above this: what is, is a slip or an attack."""
Choice = TypeVar("Choice", bound=StrEnum)
_ORDER_FIELDS = frozenset(
    {"symbol", "side", "quantity_shares", "limit_usd", "stop_usd", "time_in_force"}
)


def parse_limit(text: str | None) -> int | None:
    """Return how many rows were asked for, None for all. Raises ValueError."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= ROWS_MAX):
        raise ValueError(f'"limit" must be a whole number from 1 to {ROWS_MAX}')
    return int(text)


def parse_body(raw: bytes, content_type: str) -> dict[str, object]:
    """Return the JSON object of a request, {} for none. Raises ValueError."""
    if not raw:
        return {}
    if content_type != "application/json":
        raise ValueError("send JSON (Content-Type: application/json)")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as fault:
        raise ValueError(f"the body is no JSON: {fault}") from fault
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - the caller's value
    return body


def parse_asked(action: Action, body: Mapping[str, object], at: datetime) -> OperatorAsked:
    """Return what an operator asks for. Raises ValueError naming the field."""
    known = {"reason", "subject"} | (_ORDER_FIELDS if action is Action.ORDER else set())
    unknown = set(body) - known
    if unknown:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}")
    order = _parse_order(body) if action is Action.ORDER else None
    subject = str(body.get("subject", ""))
    if action is Action.UNBENCH and not subject:
        raise ValueError('"subject" must name the strategy to unbench')
    return OperatorAsked(
        at=at,
        action=action,
        reason=str(body.get("reason", "")),
        subject=subject,
        order=order,
    )


def _parse_order(body: Mapping[str, object]) -> OperatorOrder:
    symbol = str(body.get("symbol", "")).strip().upper()
    if not symbol:
        raise ValueError('"symbol" must name what to trade')
    return OperatorOrder(
        symbol=Symbol(symbol),
        side=_parse_choice(Side, body, "side"),
        quantity_shares=_parse_positive(body, "quantity_shares"),
        terms=_parse_terms(body),
        time_in_force=_parse_choice(TimeInForce, {"time_in_force": "day", **body}, "time_in_force"),
    )


def _parse_terms(body: Mapping[str, object]) -> Terms | None:
    """Return the price terms given, None for the default policy."""
    limit_usd = _parse_price(body, "limit_usd") if "limit_usd" in body else None
    stop_usd = _parse_price(body, "stop_usd") if "stop_usd" in body else None
    if limit_usd is not None and stop_usd is not None:
        return AtStopLimit(stop_usd=stop_usd, limit_usd=limit_usd)
    if stop_usd is not None:
        return AtStop(stop_usd)
    return AtLimit(limit_usd) if limit_usd is not None else None


def _parse_price(body: Mapping[str, object], name: str) -> Decimal:
    price = _parse_positive(body, name)
    tick = tick_for(price)
    if price % tick:
        raise ValueError(f'"{name}" must be a multiple of {tick} USD, not {price}')
    return price


def _parse_positive(body: Mapping[str, object], name: str) -> Decimal:
    try:
        number = Decimal(str(body.get(name, "")))
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or not 0 < number <= NUMBER_MAX:
        raise ValueError(f'"{name}" must be a number above 0')
    return number


def _parse_choice(form: type[Choice], body: Mapping[str, object], name: str) -> Choice:
    try:
        return form(str(body.get(name, "")).lower())
    except ValueError as fault:
        raise ValueError(f'"{name}" must be {" or ".join(form)}') from fault

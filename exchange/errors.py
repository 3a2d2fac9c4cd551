"""What the venue answers when it refuses: one constructor per row of the error table."""

from collections.abc import Callable, Mapping
from decimal import Decimal

UNPROCESSABLE = 40010001
RULE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000


OTHERWISE = {
    "price_errors_are_rules": (422, RULE, None),
    "minimum_notional_is_403": (403, FORBIDDEN, "cost basis must be >= minimal amount of order 1"),
    "not_shortable_is_422": (422, RULE, None),
    "wash_trade_is_422": (422, RULE, None),
    "malformed_body_is_422": (422, 40010000, None),
}
"""Knob → status, code and words (None: the same) of refusals of which sources have seen two."""


class Refusal(Exception):
    """A request understood and refused; carries exactly what goes onto the wire."""

    def __init__(
        self,
        http_status: int,
        code: int | None,
        message: str,
        extras: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.extras = dict(extras or {})
        self.knob: str | None = None
        """The knob that gives it the other status and code that have been seen."""

    def unless(self, knob: str) -> "Refusal":
        """Return this refusal, told otherwise where a knob of `OTHERWISE` is turned."""
        self.knob = knob
        return self

    def told(self, is_on: Callable[[str], bool]) -> "Refusal":
        """Return the refusal as it is told, given which knobs are turned."""
        if self.knob is None or not is_on(self.knob):
            return self
        http_status, code, words = OTHERWISE[self.knob]
        return Refusal(http_status, code, words or self.message, self.extras)

    def body(self) -> dict[str, object]:
        """Return the JSON body: code (when the venue sends one), message, extras."""
        head: dict[str, object] = {} if self.code is None else {"code": self.code}
        return {**head, "message": self.message, **self.extras}


def invalid(message: str) -> Refusal:
    """Return the refusal of a missing or impossible parameter."""
    return Refusal(422, UNPROCESSABLE, message)


def against_rule(message: str, **extras: object) -> Refusal:
    """Return the refusal of a well-formed order that a rule forbids."""
    return Refusal(422, RULE, message, extras)


def forbidden(message: str, **extras: object) -> Refusal:
    """Return the refusal of what the account may not do."""
    return Refusal(403, FORBIDDEN, message, extras)


def not_found(message: str) -> Refusal:
    """Return the refusal of a request about something that does not exist."""
    return Refusal(404, NOT_FOUND, message)


def malformed_body() -> Refusal:
    """Return the refusal of a body that is not the JSON expected."""
    refusal = Refusal(400, 40010000, "request body format is invalid")
    return refusal.unless("malformed_body_is_422")


def endpoint_not_found() -> Refusal:
    """Return the answer of an unknown path."""
    return not_found("endpoint not found.")


def unknown_order(order_id: str) -> Refusal:
    """Return the answer about an order the account does not have."""
    return not_found(f"order not found for {order_id}")


def trading_rate_limited() -> Refusal:
    """Return the 429 of the trading API."""
    return Refusal(429, 42910000, "rate limit exceeded")


def data_rate_limited() -> Refusal:
    """Return the 429 of the market-data API."""
    return Refusal(429, None, "too many requests.")


def bad_data_request(message: str) -> Refusal:
    """Return the market-data API's 400, which has no code."""
    return Refusal(400, None, message)


def insufficient_buying_power(available_usd: str, cost_usd: str) -> Refusal:
    """Return the refusal of an order the account cannot pay."""
    return forbidden("insufficient buying power", buying_power=available_usd, cost_basis=cost_usd)


def insufficient_quantity(
    symbol: str, requested: str, holding: Mapping[str, str], related_orders: list[str]
) -> Refusal:
    """Return the refusal to sell (or buy back) more than is free.

    `holding` has `available`, `existing_qty` and `held_for_orders`.
    """
    message = (
        "insufficient qty available for order "
        f"(requested: {requested}, available: {holding['available']})"
    )
    extras: dict[str, object] = {**holding, "symbol": symbol}
    if related_orders:
        extras["related_orders"] = related_orders
    return forbidden(message, **extras)


def day_trade_denied() -> Refusal:
    """Return the refusal of a fourth day trade, by the retired rule."""
    message = "trade denied due to pattern day trading protection"
    return Refusal(403, 40310100, message)


def wash_trade(existing_order_id: str, other_type: str) -> Refusal:
    """Return the refusal of an order that could trade with the account's own."""
    refusal = forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason=f"opposite side {other_type} order exists",
    )
    return refusal.unless("wash_trade_is_422")


def sub_penny(field: str, price_usd: Decimal) -> Refusal:
    """Return the refusal of a price off the tick grid."""
    return against_rule(
        f"invalid {field} {price_usd:f}. "
        "sub-penny increment does not fulfill minimum pricing criteria"
    )


def not_cancelable(status: str) -> Refusal:
    """Return the refusal to cancel what is finished."""
    return against_rule(f'order is already in "{status}" state')

"""The order that closes a position, all of it or a part."""

from decimal import ROUND_DOWN, Decimal

from domain.orders import Side
from exchange import errors
from exchange.orders import QUANTITY_STEP, OrderRequest, OrderType, TimeInForce


def closing_request(
    symbol: str, held: Decimal, qty: Decimal | None, percentage: Decimal | None
) -> OrderRequest:
    """Return the market order that closes `held` shares, or `qty` or a percentage of them.

    Raises the Refusal of a position that is not there or a part that is nothing.
    """
    if held == 0:
        raise errors.not_found("position does not exist")
    if percentage is not None:
        part = abs(held) * percentage / 100
        qty = part.quantize(QUANTITY_STEP, rounding=ROUND_DOWN)
    wanted = abs(held) if qty is None else qty
    if wanted <= 0:
        raise errors.invalid("qty must be > 0")
    return OrderRequest(
        symbol=symbol,
        side=Side.SELL if held > 0 else Side.BUY,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        qty=wanted,
    )

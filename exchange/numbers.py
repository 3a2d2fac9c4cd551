"""Decimals as the wire writes and reads them."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

AMOUNT_MAX = Decimal(10) ** 12
"""Larger amounts in a request are refused: nothing real is, and arithmetic on them is not free."""


TEXT_MAX = 64


def _from_text(text: object) -> Decimal:
    return Decimal(str(text)) if len(str(text)) <= TEXT_MAX else Decimal("NaN")


def _from_number(number: object) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))


_DECIMAL_OF: dict[type, Callable[[object], Decimal]] = {
    int: _from_number,
    Decimal: _from_number,
    str: _from_text,
}


def decimal_text(amount: Decimal) -> str:
    """Return a decimal in plain notation without trailing zeros."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def read_decimal(value: object) -> Decimal:
    """Return the number a JSON value stands for, written as a number or as a string.

    Raises ValueError for anything else, for NaN and infinity, and beyond ±AMOUNT_MAX.
    """
    try:
        number = _DECIMAL_OF[type(value)](value)
    except (KeyError, InvalidOperation) as fault:
        raise ValueError(f"not a number: {value!r}") from fault
    if not number.is_finite() or abs(number) > AMOUNT_MAX:
        raise ValueError(f"not a usable number: {value!r}")
    return number


def has_places(number: Decimal, places: int) -> bool:
    """Whether a number within ±AMOUNT_MAX has no more than `places` decimal places."""
    return number == number.quantize(Decimal(1).scaleb(-places))

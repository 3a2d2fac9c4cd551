"""The one border between what is observed (float64) and what is owed (Decimal).

Owed amounts (cash, quantities, order prices, fees) are `Decimal`; bulk observations are float64.
Only the functions here convert, and each rounds toward the safe side.
"""

import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum

CENT = Decimal("0.01")
ZERO = Decimal(0)
WHOLE_SHARE = Decimal(1)
FRACTIONAL_LOT = Decimal("0.000001")
_PLACES = {Decimal(1).scaleb(-places): places for places in range(10)}
"""Steps that need no division, which is what rounding costs most, and their decimal places."""
_QUANTIZED_MAX = Decimal(10**15)
"""Below it every such step fits into a Decimal's 28 digits."""
_WRITTEN_MIN, _WRITTEN_MAX = 1e-4, 1e15
"""From one to below the other a float is written with its decimal places, and no exponent."""


class Rounding(Enum):
    """Which neighbour on the price grid an inexact price goes to."""

    DOWN = ROUND_FLOOR
    UP = ROUND_CEILING
    NEAREST = ROUND_HALF_EVEN


def tick_for(price_usd: Decimal) -> Decimal:
    """Return the minimum price increment of a US equity: a cent from $1 up, 1/100 cent below.

    Source: SEC Regulation NMS, Rule 612.
    """
    return CENT if price_usd >= 1 else Decimal("0.0001")


def to_price(observed_usd: float | Decimal, tick_usd: Decimal, rounding: Rounding) -> Decimal:
    """Return an observed price on the tick grid, rounded the way the caller finds safe.

    Raises ValueError for NaN, infinity, zero and negative prices.
    """
    if isinstance(observed_usd, float) and _WRITTEN_MIN <= observed_usd < _WRITTEN_MAX:
        # Most observed prices lie on the grid: as they are written, they have no more places.
        written, places = repr(float(observed_usd)), _PLACES.get(tick_usd)
        if places and len(written) - written.index(".") <= places + 1:
            return Decimal(written)
        observed_usd = Decimal(written)
    exact = observed_usd if isinstance(observed_usd, Decimal) else _exact(observed_usd)
    price = _on_grid(exact, tick_usd, rounding._value_)
    if price <= 0:
        raise ValueError(f"no price: {observed_usd!r}")
    return price


def to_quantity(wanted_shares: float | Decimal, lot_shares: Decimal) -> Decimal:
    """Return whole lots, rounded toward zero; the sign is kept. Raises ValueError for NaN."""
    exact = wanted_shares if isinstance(wanted_shares, Decimal) else _exact(wanted_shares)
    return _on_grid(exact, lot_shares, ROUND_DOWN)


def to_usd(observed_usd: float) -> Decimal:
    """Return an observed amount of money to the cent, half to even."""
    return _exact(observed_usd).quantize(CENT, rounding=ROUND_HALF_EVEN)


def _on_grid(exact: Decimal, step: Decimal, mode: str) -> Decimal:
    if step in _PLACES and -_QUANTIZED_MAX < exact < _QUANTIZED_MAX:
        rounded = exact.quantize(step, mode)
        # What is written more coarsely than the grid lies on it, and stays as it is written.
        is_coarse = rounded == exact and rounded.compare_total_mag(exact) < 0
        return exact if is_coarse else rounded
    return (exact / step).to_integral_value(rounding=mode) * step


def _exact(observed: float) -> Decimal:
    if not math.isfinite(observed):
        raise ValueError(f"not a number that can be owed: {observed!r}")
    # repr is the shortest decimal that reads back as this float: 187.31, not 187.3099999…
    return Decimal(repr(float(observed)))

"""Virtual books: one net order divided into what each book wants of it."""

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from domain.market import Floats
from domain.money import FRACTIONAL_LOT

LOT_TOLERANCE = 1e-6
"""Of a lot: what float arithmetic may lose, so that 3 shares are not taken for 2.999…"""


def lots_toward_zero(shares: float, lot: float) -> int:
    """Return how many whole lots there are in a signed number of shares, toward zero."""
    exact = shares / lot
    nearest = round(exact)
    return nearest if abs(exact - nearest) < LOT_TOLERANCE else math.trunc(exact)


def grid_for(held_shares: Sequence[float], lot_shares: Decimal) -> Decimal:
    """Return the lot the books are divided on: finer where one holds broken lots already."""
    lot = float(lot_shares)
    for held in held_shares:
        lots = held / lot
        if not abs(lots - round(lots)) < LOT_TOLERANCE:
            return FRACTIONAL_LOT
    return lot_shares


def split(deltas: Sequence[float], total: int) -> list[int]:
    """Return whole lots for each book, summing to `total`, each within one lot of its delta.

    deltas: signed lots, fractions included, whose sum truncated is `total`. Rounds toward zero
    and gives what is left to the largest remainders, the first of equal ones (largest-remainder
    method, as in apportionment). A book never gives more than its delta rounded up.
    """
    if len(deltas) == 1:
        return [total]
    parts = [lots_toward_zero(delta, 1.0) for delta in deltas]
    missing = total - sum(parts)
    if missing:
        step = 1 if missing > 0 else -1
        # Remainders that differ by float noise are equal: else the order of columns would decide.
        left = [round(step * (p - d) / LOT_TOLERANCE) for p, d in zip(parts, deltas, strict=True)]
        order = sorted(range(len(parts)), key=lambda i: (left[i], i))
        for index in order[: abs(missing)]:
            parts[index] += step
    return parts


def scaled(deltas: Sequence[float], total: int) -> list[float]:
    """Return deltas shrunk to sum to a total that is nearer to zero than their own sum.

    Pro rata; to a total of zero only the larger side shrinks, so that what can cross does.
    """
    bought = sum(delta for delta in deltas if delta > 0)
    sold = -sum(delta for delta in deltas if delta < 0)
    if total:
        return [delta * (total / (bought - sold)) for delta in deltas]
    crossed = min(bought, sold)
    if not crossed:
        return [0.0 for _ in deltas]
    return [delta * (crossed / (bought if delta > 0 else sold)) for delta in deltas]


def over_books(values: Floats) -> Floats:
    """Return the sum of `[s, ...]` over the books; of one book it is the book's own, not a copy."""
    if values.shape[0] == 1:
        only: Floats = values[0]
        return only
    total: Floats = np.add.reduce(values, 0)
    return total

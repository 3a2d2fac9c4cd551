"""How much of equity one name at full strength gets."""

import numpy as np

from domain.market import Floats


def base_weights(
    volatility: Floats, *, reference: float | Floats, target_position: float, max_position: float
) -> Floats:
    """Return the weight of each name at full strength: inverse to volatility, capped.

    volatility: annualised, > 0, `[..., n]`. A name at `reference` gets `target_position`, one
    twice as volatile half of it (inverse-volatility or "naive risk parity" weights).
    """
    weights: Floats = np.minimum(target_position * reference / volatility, max_position)
    return weights


def median(values: Floats) -> float:
    """Return the median of a non-empty array without NaN; `np.median` takes ten times as long."""
    count = values.shape[0]
    middle = count // 2
    if count % 2:
        return float(np.partition(values, middle)[middle])
    parted = np.partition(values, (middle - 1, middle))
    return float(parted[middle - 1] + parted[middle]) / 2

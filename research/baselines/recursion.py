"""The wealth of a portfolio that is refinanced at every close, as published for on-line portfolios.

For close t, with w the weights that the day left, ŵ the refinanced ones, and y the price relatives
of the next day:

    V̂(t) = V(t) · (1 − c · ‖w(t) − ŵ(t)‖₁)          V(t+1) = V̂(t) · (y(t+1) · ŵ(t))

The norm runs over all assets, cash among them, so that moving x from cash to stocks costs 2x·c.
Trades happen at the very close their weights were decided on: this is for comparing with published
tables, never for a verdict.
"""

from dataclasses import dataclass

import numpy as np

from domain.market import Floats

PENALTY = 1e-4
"""c: the published charge on turnover."""
CASH_A_YEAR = 0.01
DAYS_A_YEAR = 252.0
"""Sessions over which cash earns its year: a declared choice, the publication names none."""
SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wealth:
    """`curve` `[t + 1]` of wealth, from 1; `turnover` `[t]`, the L1 of each refinancing."""

    curve: Floats
    turnover: Floats


def with_cash(relatives: Floats, a_year: float = CASH_A_YEAR) -> Floats:
    """Return price relatives `[t, n]` with cash as the last column: `[t, n + 1]`."""
    daily = (1.0 + a_year) ** (1.0 / DAYS_A_YEAR)
    return np.column_stack([relatives, np.full(len(relatives), daily)])


def wealth(
    relatives: Floats, weights: Floats, *, penalty: float = PENALTY, start: Floats | None = None
) -> Wealth:
    """Return the wealth of weights `[t, n]`, each row chosen before the relatives of its row.

    `start` `[n]` are the weights held before the first refinancing; None holds the first row's
    already. Raises ValueError for weights that are negative or do not sum to 1.
    """
    if weights.shape != relatives.shape:
        raise ValueError(f"weights {weights.shape} do not fit relatives {relatives.shape}")
    off = np.abs(weights.sum(axis=1) - 1.0) > SUM_TOLERANCE
    if np.any(off) or np.any(weights < -SUM_TOLERANCE):
        raise ValueError("weights must be at least 0 and sum to 1")
    held = weights[0] if start is None else start
    curve = np.empty(len(relatives) + 1)
    turnover = np.empty(len(relatives))
    curve[0] = 1.0
    for at in range(len(relatives)):
        turnover[at] = float(np.abs(held - weights[at]).sum())
        grown = weights[at] * relatives[at]
        factor = float(grown.sum())
        curve[at + 1] = curve[at] * (1.0 - penalty * turnover[at]) * factor
        held = grown / factor
    return Wealth(curve=curve, turnover=turnover)

"""Target weights from closes: what a baseline wants to hold, decided at a close.

`closes` `[t, n]` are NaN before a symbol is listed and after it ends. A schedule maps rows to
weights `[n]` (sum 1, zero for what is not traded); between its rows the holdings drift. Row t sees
closes up to t and none after.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import numpy as np

from domain.market import Floats
from research.baselines import online


class Objective(StrEnum):
    """What an optimiser wants."""

    LEAST_VARIANCE = "least variance"
    GREATEST_UTILITY = "greatest utility"


Schedule = Mapping[int, Floats]
REBALANCE_SESSIONS = 21
LOOKBACK_SESSIONS = 504
RISK_AVERSION = 2.5
"""λ of mean-variance utility, of daily returns."""


def equal_weight(closes: Floats, rows: range, every: int = REBALANCE_SESSIONS) -> Schedule:
    """Return equal weights of all that trades, every `every` sessions."""
    return {row: _equal(closes[row]) for row in rows[::every]}


def buy_and_hold(closes: Floats, rows: range) -> Schedule:
    """Return equal weights bought once; what is listed later is never bought."""
    return {rows[0]: _equal(closes[rows[0]])}


def min_variance(closes: Floats, rows: range, every: int = REBALANCE_SESSIONS) -> Schedule:
    """Return the long-only portfolio of least variance, Ledoit-Wolf covariance.

    Sources: H. Markowitz, Portfolio Selection, Journal of Finance 7(1), 1952; O. Ledoit, M. Wolf, A
    Well-conditioned Estimator for Large-dimensional Covariance Matrices, Journal of Multivariate
    Analysis 88(2), 2004.
    """
    return _optimised(closes, rows[::every], Objective.LEAST_VARIANCE, RISK_AVERSION)


def mean_variance(
    closes: Floats,
    rows: range,
    every: int = REBALANCE_SESSIONS,
    risk_aversion: float = RISK_AVERSION,
) -> Schedule:
    """Return the long-only portfolio of greatest mean − λ·variance, sample means (Markowitz)."""
    return _optimised(closes, rows[::every], Objective.GREATEST_UTILITY, risk_aversion)


def from_online(closes: Floats, rows: range, policy: Callable[[Floats], Floats]) -> Schedule:
    """Return an on-line portfolio's weights for every row, of the symbols that trade throughout.

    The policy begins at the first row; what has no price on every row of the span is left out.
    """
    span = closes[rows[0] : rows[-1] + 1]
    whole = np.isfinite(span).all(axis=0)
    weights = np.zeros(span.shape)
    if whole.any():
        relatives = np.ones((len(span), int(whole.sum())))
        # Row k of a policy answers before it sees relatives k; here it may know close k.
        relatives[:-1] = span[1:, whole] / span[:-1, whole]
        weights[:, whole] = policy(relatives)
    return {row: weights[at] for at, row in enumerate(rows)}


def in_hindsight(closes: Floats, rows: range) -> Schedule:
    """Return the constant weights that were best over the very span: never held by anyone."""
    span = closes[rows[0] : rows[-1] + 1]
    whole = np.isfinite(span).all(axis=0)
    weights = np.zeros(closes.shape[1])
    weights[whole] = online.best_constant(span[1:, whole] / span[:-1, whole])
    return dict.fromkeys(rows, weights)


def _equal(closes: Floats) -> Floats:
    known = np.isfinite(closes)
    weights: Floats = known / max(1, int(known.sum()))
    return weights


def _optimised(closes: Floats, rows: range, objective: Objective, risk_aversion: float) -> Schedule:
    # Takes seconds to import, and only two of the baselines need it.
    from skfolio.moments import LedoitWolf
    from skfolio.optimization import MeanRisk, ObjectiveFunction
    from skfolio.prior import EmpiricalPrior

    function = {
        Objective.LEAST_VARIANCE: ObjectiveFunction.MINIMIZE_RISK,
        Objective.GREATEST_UTILITY: ObjectiveFunction.MAXIMIZE_UTILITY,
    }[objective]
    schedule = {}
    for row in rows:
        window = closes[max(0, row - LOOKBACK_SESSIONS) : row + 1]
        known = np.isfinite(window).all(axis=0)
        if len(window) <= LOOKBACK_SESSIONS or known.sum() < 2:
            # No history to estimate from yet: what one does who knows nothing.
            schedule[row] = _equal(closes[row])
            continue
        returns = window[1:, known] / window[:-1, known] - 1.0
        model = MeanRisk(
            objective_function=function,
            risk_aversion=risk_aversion,
            prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()),
        )
        model.fit(returns)
        weights = np.zeros(closes.shape[1])
        weights[known] = np.maximum(model.weights_, 0.0)
        schedule[row] = weights / weights.sum()
    return schedule

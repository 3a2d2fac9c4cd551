"""Sharpe ratios that know how long they were measured, how skewed, and how often one tried.

All Sharpe ratios here are of one period, never annualised: √T stands in the formulas. Sources:
[PSR] D. H. Bailey, M. López de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2),
2012. [DSR] D. H. Bailey, M. López de Prado, The Deflated Sharpe Ratio, Journal of Portfolio
Management 40(5), 2014.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from domain.market import Floats

NAN = float("nan")
PERIODS_MIN = 3
"""Fewer returns have no shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A Sharpe ratio of one period, and what its error depends on.

    `kurtosis` is the whole one: 3 for a normal distribution.
    """

    sharpe: float
    periods: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    @property
    def error(self) -> float:
        """The standard error of the ratio ([PSR], from E. Mertens 2002)."""
        return math.sqrt(self.spread / (self.periods - 1))

    @property
    def spread(self) -> float:
        """1 − γ₃·SR + (γ₄ − 1)/4·SR²: the variance of the ratio times T − 1."""
        bend = (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        # Can fall below 0 only for shapes that no sample has; a floor keeps the root real.
        return max(1.0 - self.skewness * self.sharpe + bend, 1e-12)


def estimate(returns: Floats) -> Estimate | None:
    """Return the estimate of returns `[t]`; None when they are too few or do not vary."""
    known = returns[np.isfinite(returns)]
    if len(known) < PERIODS_MIN:
        return None
    deviation = float(np.std(known, ddof=1))
    if not deviation > 1e-12 * max(1.0, abs(float(known.mean()))):
        return None
    return Estimate(
        sharpe=float(known.mean()) / deviation,
        periods=len(known),
        skewness=float(stats.skew(known)),
        kurtosis=float(stats.kurtosis(known, fisher=False)),
    )


def probabilistic_sharpe(found: Estimate, benchmark: float = 0.0) -> float:
    """Return the probability that the true ratio lies above `benchmark` ([PSR], equation 11)."""
    return float(stats.norm.cdf((found.sharpe - benchmark) / found.error))


def expected_max_sharpe(variance: float, trials: int) -> float:
    """Return the best ratio to expect of `trials` without skill whose ratios vary by `variance`.

    √V·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))), γ Euler's constant ([DSR], equation 1); 0 for
    one trial, of which nothing was chosen. Raises ValueError for none.
    """
    if trials < 1:
        raise ValueError("a ratio cannot be deflated by no trials")
    if trials == 1:
        return 0.0
    first = float(stats.norm.ppf(1.0 - 1.0 / trials))
    second = float(stats.norm.ppf(1.0 - 1.0 / (trials * math.e)))
    gamma = float(np.euler_gamma)
    return math.sqrt(variance) * ((1.0 - gamma) * first + gamma * second)


def deflated_sharpe(found: Estimate, *, trials: int, variance: float) -> float:
    """Return the probability that the true ratio is above 0, given how many were tried ([DSR]).

    `variance` is that of the trials' ratios, of one period.
    """
    return probabilistic_sharpe(found, expected_max_sharpe(variance, trials))


def min_track_record(found: Estimate, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Return how many periods are needed to say, with confidence, that the ratio lies above.

    1 + spread·(z/(SR − SR*))², infinite when the ratio lies not above ([PSR], equation 13).
    """
    if found.sharpe <= benchmark:
        return math.inf
    z = float(stats.norm.ppf(confidence))
    return 1.0 + found.spread * (z / (found.sharpe - benchmark)) ** 2

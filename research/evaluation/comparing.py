"""Is one better than the other, or than many others? Tests that respect dependence in time.

Thin over arch (bootstraps, SPA, StepM) and statsmodels (HAC). Chance comes from a seed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import SPA, StationaryBootstrap, StepM, optimal_block_length
from scipy import stats
from statsmodels.regression.linear_model import OLS

from domain.market import Floats
from research.evaluation.curves import ratio

REPLICATIONS = 2_000
SEED = 20_140_901
"""Of every resampling that is given no other: the same question gets the same answer."""
VARIANCE_MIN = 1e-18


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean with its HAC standard error; `p_above` is of the hypothesis that it is at most 0."""

    mean: float
    error: float
    t: float
    p_above: float
    lags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with a two-sided bootstrap interval; `block` is the mean block length in periods."""

    value: float
    low: float
    high: float
    block: float


def newey_west(series: Floats, lags: int | None = None) -> Mean:
    """Return the mean of a series with Newey-West errors (Bartlett weights).

    `lags` None takes ⌊4·(T/100)^(2/9)⌋. Source: W. K. Newey, K. D. West, A Simple, Positive
    Semi-definite, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix, Econometrica
    55(3), 1987; the rule for lags is that of their 1994 paper as EViews uses it.
    """
    count = len(series)
    used = math.floor(4.0 * (count / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    fitted = OLS(series, np.ones(count)).fit(
        cov_type="HAC", cov_kwds={"maxlags": used, "use_correction": False}
    )
    mean, error = float(fitted.params[0]), float(fitted.bse[0])
    t = mean / error if error > 0 else 0.0
    return Mean(mean=mean, error=error, t=t, p_above=float(stats.norm.sf(t)), lags=used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Diebold and Mariano's test: negative when the first loses less; `p` is two-sided."""

    statistic: float
    p: float


def diebold_mariano(first: Floats, second: Floats, horizon: int = 1) -> Comparison:
    """Return whether two series of losses `[t]` differ in the mean, forecasts `horizon` ahead.

    The variance takes horizon − 1 autocovariances with equal weights (Diebold, Mariano 1995),
    corrected for small samples and read off Student's t (D. Harvey, S. Leybourne, P. Newbold,
    Testing the Equality of Prediction Mean Squared Errors, International Journal of Forecasting
    13(2), 1997). Raises ValueError for series of different length.
    """
    if first.shape != second.shape or len(first) <= horizon:
        raise ValueError(f"{len(first)} and {len(second)} losses, {horizon} ahead")
    count = len(first)
    difference = first - second
    centred = difference - difference.mean()
    variance = float(centred @ centred) / count
    for lag in range(1, horizon):
        variance += 2.0 * float(centred[lag:] @ centred[:-lag]) / count
    if variance <= VARIANCE_MIN:
        return Comparison(statistic=0.0, p=1.0)
    raw = float(difference.mean()) / math.sqrt(variance / count)
    shrunk = math.sqrt((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count)
    statistic = raw * shrunk
    return Comparison(statistic=statistic, p=float(2.0 * stats.t.sf(abs(statistic), count - 1)))


def block_length(returns: Floats) -> float:
    """Return the mean block of a stationary bootstrap that suits a series, at least 1.

    Source: A. Patton, D. Politis, H. White, Correction to Automatic Block-Length Selection,
    Econometric Reviews 28(4), 2009; as arch computes it.
    """
    found = float(optimal_block_length(returns)["stationary"].iloc[0])
    return max(1.0, found) if math.isfinite(found) else 1.0


def interval(
    figure: Callable[..., float],
    *series: Floats,
    confidence: float = 0.95,
    replications: int = REPLICATIONS,
    seed: int = SEED,
) -> Interval:
    """Return a figure of one or several series `[t]`, resampled together, with its interval.

    Stationary bootstrap (D. Politis, J. Romano, JASA 89, 1994), percentile interval; the block is
    the longest that any of the series asks for.
    """
    block = max(block_length(s) for s in series)
    drawn = StationaryBootstrap(math.ceil(block), *series, seed=np.random.default_rng(seed))
    low, high = drawn.conf_int(
        lambda *s: np.array([figure(*s)]), reps=replications, method="percentile", size=confidence
    )[:, 0]
    return Interval(value=figure(*series), low=float(low), high=float(high), block=block)


def ratio_difference(first: Floats, second: Floats) -> float:
    """Return the first's Sharpe ratio above the second's, of one period."""
    return ratio(first) - ratio(second)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Several candidates against one benchmark.

    `p_best` is Hansen's consistent p-value of "none is better"; `better` are those that Romano and
    Wolf's step-down finds better with a family-wise error of `size`.
    """

    p_best: float
    better: tuple[str, ...]
    size: float


def contest(
    benchmark: Floats,
    candidates: Mapping[str, Floats],
    *,
    size: float = 0.05,
    replications: int = REPLICATIONS,
    seed: int = SEED,
) -> Contest:
    """Return whether any of several series of returns `[t]` has a higher mean than the benchmark.

    Sources: P. R. Hansen, A Test for Superior Predictive Ability, JBES 23(4), 2005; J. Romano,
    M. Wolf, Stepwise Multiple Testing as Formalized Data Snooping, Econometrica 73(4), 2005. A
    candidate that equals the benchmark throughout has nothing to test and is left out.
    """
    apart = {n: r for n, r in candidates.items() if np.var(r - benchmark) > VARIANCE_MIN}
    if not apart:
        return Contest(p_best=1.0, better=(), size=size)
    names = list(apart)
    # arch compares losses: a loss is a return with its sign turned.
    losses = -np.column_stack([apart[name] for name in names])
    block = math.ceil(max(block_length(apart[name] - benchmark) for name in names))
    spa = SPA(
        -benchmark, losses, block_size=block, reps=replications, seed=np.random.default_rng(seed)
    )
    spa.compute()
    step = StepM(
        -benchmark,
        losses,
        size=size,
        block_size=block,
        reps=replications,
        seed=np.random.default_rng(seed),
    )
    step.compute()
    better = tuple(names[int(column)] for column in step.superior_models)
    return Contest(p_best=float(spa.pvalues["consistent"]), better=better, size=size)

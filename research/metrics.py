"""What a curve of equity says: returns, risk, and ratios of the two; each with its source.

Returns are simple, one a period; a year has `periods_per_year` of them. Where a figure cannot be
said (too few periods, no variation), it is NaN: never zero, never infinite by accident.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from domain.market import Floats

TRADING_DAYS = 252.0
NAN = float("nan")


def returns_of(equity: Floats) -> Floats:
    """Return simple returns `[t − 1]` of a curve `[t]`. Raises ValueError unless all are > 0."""
    if not np.all(equity > 0):
        raise ValueError("an equity that is not above 0 has no returns")
    returns: Floats = np.diff(equity) / equity[:-1]
    return returns


def compounded(returns: Floats) -> Floats:
    """Return the curve `[t + 1]` from 1 that returns `[t]` make."""
    curve: Floats = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return curve


def growth(equity: Floats, periods_per_year: float = TRADING_DAYS) -> float:
    """Return the compound growth a year of a curve `[t]` (0.07 = 7 % a year)."""
    periods = len(equity) - 1
    if periods < 1 or equity[0] <= 0 or equity[-1] <= 0:
        return NAN
    return float((equity[-1] / equity[0]) ** (periods_per_year / periods) - 1.0)


def volatility(returns: Floats, periods_per_year: float = TRADING_DAYS) -> float:
    """Return the standard deviation (divisor n − 1) a year."""
    if len(returns) < 2:
        return NAN
    return float(np.std(returns, ddof=1) * math.sqrt(periods_per_year))


def sharpe(returns: Floats, riskless: float = 0.0, periods_per_year: float = TRADING_DAYS) -> float:
    """Return mean excess return over its deviation (divisor n − 1), annualised by √periods.

    `riskless` is the rate of one period. NaN without variation. Source: W. F. Sharpe, The Sharpe
    Ratio, Journal of Portfolio Management 21(1), 1994.
    """
    excess = returns - riskless
    if len(excess) < 2:
        return NAN
    return _over(float(excess.mean()), float(np.std(excess, ddof=1)), periods_per_year)


def sortino(returns: Floats, target: float = 0.0, periods_per_year: float = TRADING_DAYS) -> float:
    """Return mean return above the target over the downside deviation, annualised by √periods.

    The downside deviation is √(mean of min(0, r − target)²) over *all* periods. NaN when none fell
    short. Source: F. A. Sortino, R. van der Meer, Downside Risk, Journal of Portfolio Management
    17(4), 1991.
    """
    if len(returns) < 2:
        return NAN
    excess = returns - target
    short = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    return _over(float(excess.mean()), short, periods_per_year)


def _over(mean: float, deviation: float, periods_per_year: float) -> float:
    # What is left of a constant series is float noise, and no variation.
    if not deviation > 1e-12 * max(1.0, abs(mean)):
        return NAN
    return mean / deviation * math.sqrt(periods_per_year)


def drawdowns(equity: Floats) -> Floats:
    """Return how far each point lies below the highest before it `[t]`, as a share (0 … 1)."""
    fallen: Floats = 1.0 - equity / np.maximum.accumulate(equity)
    return fallen


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """The deepest fall: its share of the peak, and the rows of peak, bottom and recovery (None
    while it lasts)."""

    depth: float
    peak: int
    bottom: int
    recovered: int | None


def max_drawdown(equity: Floats) -> Drawdown:
    """Return the deepest fall of a curve `[t]`, t ≥ 1."""
    fallen = drawdowns(equity)
    bottom = int(np.argmax(fallen))
    peak = int(np.argmax(equity[: bottom + 1]))
    after = np.flatnonzero(equity[bottom:] >= equity[peak])
    return Drawdown(
        depth=float(fallen[bottom]),
        peak=peak,
        bottom=bottom,
        recovered=bottom + int(after[0]) if len(after) else None,
    )


def calmar(equity: Floats, periods_per_year: float = TRADING_DAYS) -> float:
    """Return compound growth a year over the deepest fall; NaN when nothing ever fell.

    Over the whole curve, where the original takes three years. Source: T. W. Young, Calmar Ratio:
    A Smoother Tool, Futures 20(1), 1991.
    """
    depth = max_drawdown(equity).depth
    return growth(equity, periods_per_year) / depth if depth > 0 else NAN


def information_ratio(
    returns: Floats, benchmark: Floats, periods_per_year: float = TRADING_DAYS
) -> float:
    """Return mean return above a benchmark over its deviation (tracking error), annualised.

    Source: T. H. Goodwin, The Information Ratio, Financial Analysts Journal 54(4), 1998.
    """
    if returns.shape != benchmark.shape:
        raise ValueError(f"{len(returns)} returns cannot be compared with {len(benchmark)}")
    return sharpe(returns - benchmark, 0.0, periods_per_year)


def value_at_risk(returns: Floats, level: float = 0.95) -> float:
    """Return the loss of one period that is exceeded with probability 1 − level, from history.

    The empirical quantile: the smallest observed loss x with P(loss ≤ x) ≥ level; positive is a
    loss. Source: P. Jorion, Value at Risk, 3rd ed., 2007, chapter 5 (historical simulation).
    """
    losses = _losses(returns, level)
    return NAN if losses is None else float(losses[_rank(len(losses), level)])


def expected_shortfall(returns: Floats, level: float = 0.95) -> float:
    """Return the mean loss of the worst 1 − level of periods (CVaR), the boundary one in part.

    Source: R. T. Rockafellar, S. Uryasev, Conditional Value-at-Risk for General Loss
    Distributions, Journal of Banking & Finance 26(7), 2002 (proposition 8).
    """
    losses = _losses(returns, level)
    if losses is None:
        return NAN
    rank = _rank(len(losses), level)
    boundary = (rank + 1) / len(losses) - level
    beyond = float(losses[rank + 1 :].sum()) / len(losses)
    return (boundary * float(losses[rank]) + beyond) / (1.0 - level)


def _losses(returns: Floats, level: float) -> Floats | None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"a level lies between 0 and 1, not {level}")
    return np.sort(-returns) if len(returns) else None


def _rank(count: int, level: float) -> int:
    # 0.95 · 20 is 19.000000000000004 in floats: the slack keeps the 19th loss the 19th.
    return max(0, math.ceil(level * count - 1e-9) - 1)


def hit_rate(profits: Sequence[float]) -> float:
    """Return the share of closed trades that made money; NaN without any."""
    return sum(1 for p in profits if p > 0) / len(profits) if profits else NAN


def profit_factor(profits: Sequence[float]) -> float:
    """Return gross profits over gross losses of closed trades; NaN when nothing was lost."""
    lost = -sum(p for p in profits if p < 0)
    return sum(p for p in profits if p > 0) / lost if lost > 0 else NAN


def turnover(traded_usd: float, equity: Floats, periods_per_year: float = TRADING_DAYS) -> float:
    """Return what was traded a year, both ways, as a multiple of mean equity."""
    periods = len(equity) - 1
    if periods < 1:
        return NAN
    return traded_usd / float(np.mean(equity)) * periods_per_year / periods


def monthly_returns(days: Sequence[date], equity: Floats) -> dict[tuple[int, int], float]:
    """Return the return of every (year, month), the first from the curve's first point."""
    last: dict[tuple[int, int], float] = {}
    for day, value in zip(days, equity.tolist(), strict=True):
        last[day.year, day.month] = value
    months, before = {}, float(equity[0])
    for key, value in last.items():
        months[key] = value / before - 1.0
        before = value
    return months


def rolling_sharpe(returns: Floats, window: int, periods_per_year: float = TRADING_DAYS) -> Floats:
    """Return the Sharpe ratio of the last `window` returns at each, NaN before there are so."""
    rolled = np.full(len(returns), np.nan)
    if len(returns) >= window > 1:
        windows = np.lib.stride_tricks.sliding_window_view(returns, window)
        mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
        known = deviation > 1e-12
        ratio = np.divide(mean, deviation, out=np.full(len(mean), np.nan), where=known)
        rolled[window - 1 :] = ratio * math.sqrt(periods_per_year)
    return rolled

"""What a play came to, and how its ratios are taken; light enough for every command to import."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np

from daemon.strategy_specs import StrategySpec
from domain.market import Floats
from research import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a trial is worth: net Sharpe ratio a year, turnover a year, deepest fall.

    Sharpe, Sortino and Calmar would be one objective three times over; these three disagree.
    """

    sharpe: float
    turnover: float
    max_drawdown: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """What a play came to: returns of its sessions `[t]`, and what it traded."""

    first: date
    last: date
    returns: Floats
    traded_usd: float
    capital_usd: float

    @property
    def equity(self) -> Floats:
        """The curve `[t + 1]` from its capital."""
        grown: Floats = self.capital_usd * metrics.compounded(self.returns)
        return grown

    def score(self) -> Score:
        """Return what a search compares."""
        equity = self.equity
        return Score(
            sharpe=metrics.sharpe(self.returns),
            turnover=metrics.turnover(self.traded_usd, equity),
            max_drawdown=metrics.max_drawdown(equity).depth,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """One trial: a configuration over one span. `sharpe` and `active` are of one session, None
    when nothing ever moved."""

    spec: StrategySpec
    curve: Curve
    sharpe: float | None
    active: float | None


def played(spec: StrategySpec, curve: Curve, yardstick: Floats) -> Played:
    """Return a trial; `yardstick` `[t]` are the returns of equal weights over its sessions."""
    if not float(np.std(curve.returns)) > 1e-12:
        return Played(spec=spec, curve=curve, sharpe=None, active=None)
    return Played(
        spec=spec,
        curve=curve,
        sharpe=ratio(curve.returns),
        active=ratio(active(curve.returns, yardstick)),
    )


def active(returns: Floats, yardstick: Floats) -> Floats:
    """Return what returns `[t]` are above a yardstick's once both swing alike.

    The candidate is scaled to the yardstick's volatility over the span, so that holding more cash
    is neither a merit nor a fault. One that never moved has given the yardstick's return away.
    """
    own, theirs = float(np.std(returns, ddof=1)), float(np.std(yardstick, ddof=1))
    scaled: Floats = returns * (theirs / own) if own > 1e-12 else returns
    difference: Floats = scaled - yardstick
    return difference


def ratio(returns: Floats) -> float:
    """Return the Sharpe ratio of one period; 0 for what does not vary."""
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation if deviation > 1e-12 else 0.0


def a_year(one: float) -> float:
    """Return a ratio of one session as one of a year."""
    return one * math.sqrt(metrics.TRADING_DAYS)

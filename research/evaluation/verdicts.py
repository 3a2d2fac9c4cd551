"""Beats, no evidence, or worse: what out-of-sample returns say of strategies beside yardsticks.

A strategy *beats* a yardstick when all of these hold: its deflated Sharpe ratio and that of what it
made above the yardstick are at least 0.95, counting every trial ever made of the bars; the 95 %
bootstrap interval of the difference of Sharpe ratios lies above 0; and the step-down test of all
strategies together keeps it. It is *worse* when that interval lies below 0. Over several yardsticks
the strictest answer holds. Anything else is no evidence, however good it looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.market import Floats
from research import metrics
from research.evaluation.comparing import (
    Contest,
    Interval,
    Mean,
    contest,
    diebold_mariano,
    interval,
    newey_west,
    ratio_difference,
)
from research.evaluation.curves import a_year, active, ratio
from research.evaluation.ledger import Count
from research.evaluation.sharpe import (
    deflated_sharpe,
    estimate,
    expected_max_sharpe,
    min_track_record,
    probabilistic_sharpe,
)

CONFIDENCE = 0.95
SESSIONS_MIN = 60
"""Fewer say nothing, whatever they say."""


class Verdict(StrEnum):
    """The three answers there are, strictest first."""

    WORSE = "worse"
    NO_EVIDENCE = "no evidence"
    BEATS = "beats"


STRICTEST = (Verdict.WORSE, Verdict.NO_EVIDENCE, Verdict.BEATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A strategy beside one yardstick; ratios a year, `excess` is of one session at equal
    volatility with Newey-West errors, `p_equal` Diebold and Mariano's, two-sided."""

    yardstick: str
    verdict: Verdict
    difference: Interval
    excess: Mean
    p_equal: float
    deflated: float
    survives: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of one strategy out of sample; ratios a year unless said otherwise."""

    name: str
    verdict: Verdict
    sessions: int
    growth: float
    volatility: float
    max_drawdown: float
    sharpe: Interval
    probabilistic: float
    deflated: float
    hurdle: float
    """The ratio that luck alone would have reached with so many trials."""
    trials: int
    min_track_record_sessions: float
    against: tuple[Against, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """All strategies, and for each yardstick whether any of them is better (Hansen's SPA)."""

    judged: tuple[Judged, ...]
    p_none_better: Mapping[str, float]


def judge(
    strategies: Mapping[str, Floats], yardsticks: Mapping[str, Floats], count: Count
) -> Verdicts:
    """Return the verdicts on out-of-sample returns `[t]` of the same sessions."""
    contests = {
        name: contest(
            returns,
            {candidate: active(own, returns) + returns for candidate, own in strategies.items()},
            size=1.0 - CONFIDENCE,
        )
        for name, returns in yardsticks.items()
    }
    judged = tuple(
        _judged(name, returns, yardsticks, contests, count) for name, returns in strategies.items()
    )
    return Verdicts(judged=judged, p_none_better={n: c.p_best for n, c in contests.items()})


def _judged(
    name: str,
    returns: Floats,
    yardsticks: Mapping[str, Floats],
    contests: Mapping[str, Contest],
    count: Count,
) -> Judged:
    trials = max(1, count.trials)
    found = estimate(returns)
    if found is None or len(returns) < SESSIONS_MIN:
        return _mute(name, returns, trials)
    deflated = deflated_sharpe(found, trials=trials, variance=count.sharpe_variance)
    against = tuple(
        _against(returns, own, yardstick, contests[yardstick], name, deflated, count)
        for yardstick, own in yardsticks.items()
    )
    equity = metrics.compounded(returns)
    return Judged(
        name=name,
        verdict=strictest([a.verdict for a in against]),
        sessions=len(returns),
        growth=metrics.growth(equity),
        volatility=metrics.volatility(returns),
        max_drawdown=metrics.max_drawdown(equity).depth,
        sharpe=_yearly(interval(ratio, returns, confidence=CONFIDENCE)),
        probabilistic=probabilistic_sharpe(found),
        deflated=deflated,
        hurdle=a_year(expected_max_sharpe(count.sharpe_variance, trials)),
        trials=trials,
        min_track_record_sessions=min_track_record(found, confidence=CONFIDENCE),
        against=against,
    )


def _against(  # noqa: PLR0913 - one value for each thing a verdict rests on
    returns: Floats,
    yardstick: Floats,
    named: str,
    held: Contest,
    name: str,
    deflated: float,
    count: Count,
) -> Against:
    difference = _yearly(interval(ratio_difference, returns, yardstick, confidence=CONFIDENCE))
    above = active(returns, yardstick)
    found = estimate(above)
    own = (
        deflated_sharpe(found, trials=max(1, count.trials), variance=count.active_variance)
        if found is not None
        else 0.0
    )
    survives = name in held.better
    if difference.high < 0.0:
        verdict = Verdict.WORSE
    elif difference.low > 0.0 and survives and min(deflated, own) >= CONFIDENCE:
        verdict = Verdict.BEATS
    else:
        verdict = Verdict.NO_EVIDENCE
    return Against(
        yardstick=named,
        verdict=verdict,
        difference=difference,
        excess=newey_west(above),
        p_equal=diebold_mariano(-(above + yardstick), -yardstick).p,
        deflated=own,
        survives=survives,
    )


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the strictest of some verdicts; without any there is no evidence."""
    return min(verdicts, key=STRICTEST.index, default=Verdict.NO_EVIDENCE)


def _yearly(found: Interval) -> Interval:
    return Interval(
        value=a_year(found.value),
        low=a_year(found.low),
        high=a_year(found.high),
        block=found.block,
    )


def _mute(name: str, returns: Floats, trials: int) -> Judged:
    """Return what is said of a record that is too short, or in which nothing was traded."""
    nothing = metrics.NAN
    equity = metrics.compounded(returns)
    return Judged(
        name=name,
        verdict=Verdict.NO_EVIDENCE,
        sessions=len(returns),
        growth=metrics.growth(equity),
        volatility=metrics.volatility(returns),
        max_drawdown=metrics.max_drawdown(equity).depth,
        sharpe=Interval(value=nothing, low=nothing, high=nothing, block=nothing),
        probabilistic=nothing,
        deflated=nothing,
        hurdle=nothing,
        trials=trials,
        min_track_record_sessions=nothing,
        against=(),
    )

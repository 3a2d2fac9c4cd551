"""From what was played to what is said: verdicts, paths and cross-validation of an outcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from domain.market import Floats
from research import metrics
from research.evaluation.bench import ALWAYS_LONG, Bench
from research.evaluation.crossing import Crossed, cross
from research.evaluation.curves import Curve
from research.evaluation.ledger import Count, Ledger, Trial, trial_line
from research.evaluation.paths import Drawing, Paths, drawn_paths
from research.evaluation.results import (
    crossed_document,
    paths_document,
    ratio_a_year,
    verdicts_document,
)
from research.evaluation.verdicts import SESSIONS_MIN, Verdicts, judge
from research.evaluation.walking import (
    HINDSIGHT,
    YARDSTICKS,
    Answer,
    Evaluation,
    FoldJob,
    Outcome,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """Everything said of an evaluation. `series` are out-of-sample returns `[t]` by name."""

    days: list[date]
    series: Mapping[str, Floats]
    verdicts: Verdicts | None
    paths: Mapping[str, tuple[Paths, ...]]
    crossed: tuple[Crossed, ...]
    count: Count
    folds: list[int]


def judge_outcome(
    evaluation: Evaluation, outcome: Outcome, bench: Bench, ledger: Ledger
) -> Judgement:
    """Return what an outcome, whole or partial, is worth."""
    folds = outcome.whole_folds(evaluation)
    names = [s.spec.name for s in evaluation.spaces]
    tested = [row for n in folds for row in evaluation.folds[n].test]
    series: dict[str, Floats] = {}
    for name in (*names, ALWAYS_LONG):
        pieces = [outcome.folds[n][name].curve.returns for n in folds]
        series[name] = np.concatenate(pieces) if pieces else np.zeros(0)
    positions = np.array(tested, dtype=np.int64) - evaluation.tested.start
    for name, curve in outcome.baselines.items():
        series[name] = curve.returns[positions]
    count = ledger.count(bench.data_hash, len(tested))
    yardsticks = {name: series[name] for name in YARDSTICKS if name in series}
    ready = len(tested) >= SESSIONS_MIN and len(yardsticks) == len(YARDSTICKS)
    return Judgement(
        days=[bench.history.sessions[row].day for row in tested],
        series=series,
        verdicts=judge({n: series[n] for n in names}, yardsticks, count) if ready else None,
        paths={
            name: tuple(drawn_paths(series[name], drawing) for drawing in Drawing)
            for name in names
            if ready and float(np.std(series[name])) > 0
        },
        crossed=tuple(_crossed(evaluation, outcome, names)),
        count=count,
        folds=folds,
    )


def _crossed(evaluation: Evaluation, outcome: Outcome, names: Sequence[str]) -> Iterator[Crossed]:
    if evaluation.combinations is None:
        return
    for name in names:
        found = cross(name, outcome.groups.get(name, []), evaluation.combinations)
        if found is not None:
            yield found


def trials_of(answer: Answer, bench: Bench, *, purpose: str, at: datetime) -> list[Trial]:
    """Return the ledger's lines of an answer."""
    conditions = answer.job.subject.conditions_hash()
    return [trial_line(t, bench.data_hash, conditions, purpose, at) for t in answer.trials]


def document_of(judged: Judgement, evaluation: Evaluation, outcome: Outcome) -> dict[str, Any]:
    """Return everything said, as plain data."""
    return {
        "trials": {
            "counted": judged.count.trials,
            "unreadable": judged.count.unreadable,
            "sharpe_deviation_a_year": ratio_a_year(judged.count.sharpe_variance**0.5),
            "active_deviation_a_year": ratio_a_year(judged.count.active_variance**0.5),
        },
        "verdicts": None if judged.verdicts is None else verdicts_document(judged.verdicts),
        "baselines": baselines_document(judged.series, outcome.baselines),
        "paths": {n: [paths_document(p) for p in found] for n, found in judged.paths.items()},
        "cross_validation": {c.name: crossed_document(c) for c in judged.crossed},
        "folds": [_fold_document(evaluation, outcome, n, judged) for n in judged.folds],
    }


def baselines_document(
    series: Mapping[str, Floats], played: Mapping[str, Curve]
) -> dict[str, dict[str, Any]]:
    """Return the plain figures of the yardsticks and other baselines."""
    found = {}
    for name in (ALWAYS_LONG, *played):
        returns = series[name]
        if len(returns) < 2:
            continue
        curve = metrics.compounded(returns)
        found[name] = {
            "growth": _known(metrics.growth(curve)),
            "volatility": _known(metrics.volatility(returns)),
            "sharpe": _known(metrics.sharpe(returns)),
            "max_drawdown": round(metrics.max_drawdown(curve).depth, 6),
            "in_hindsight": name in HINDSIGHT,
            "yardstick": name in YARDSTICKS,
        }
    return found


def _fold_document(
    evaluation: Evaluation, outcome: Outcome, number: int, judged: Judgement
) -> dict[str, Any]:
    fold = evaluation.folds[number]
    played = outcome.folds[number]
    strategies = {}
    for name, answer in played.items():
        assert isinstance(answer.job, FoldJob)
        assert answer.chosen is not None
        curve = answer.curve
        best = max((t.sharpe for t in answer.trials if t.sharpe is not None), default=None)
        strategies[name] = {
            "chosen": dict(answer.chosen.parameters),
            "trials": len(answer.trials),
            "best_train_sharpe": ratio_a_year(best),
            "test_sharpe": _known(metrics.sharpe(curve.returns)),
            "test_return": round(float(np.prod(1.0 + curve.returns)) - 1.0, 6),
            "turnover": round(curve.score().turnover, 4),
        }
    one = next(iter(played.values())).curve
    return {
        "number": number,
        "train_sessions": len(fold.train),
        "test_sessions": len(fold.test),
        "test_first": str(one.first),
        "test_last": str(one.last),
        "strategies": strategies,
    }


def _known(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None

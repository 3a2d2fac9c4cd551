"""Cross-validated paths and the probability of overfitting, from configurations played by group."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.strategy_specs import StrategySpec
from domain.market import Floats
from research import metrics
from research.evaluation.overfitting import Overfitting, overfitting
from research.evaluation.splits import Combinations
from research.evaluation.walking import Answer, GroupJob


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossed:
    """One strategy cross-validated: `sharpes` a year of each path, `chosen` for each split, and
    the overfitting of choosing among `trials` (None for one, of which nothing is chosen)."""

    name: str
    trials: int
    sharpes: tuple[float, ...]
    chosen: tuple[StrategySpec, ...]
    overfitting: Overfitting | None


def cross(name: str, answers: Sequence[Answer], found: Combinations) -> Crossed | None:
    """Return what cross-validation says of a strategy; None while a group is missing."""
    pieces: dict[str, dict[int, Floats]] = defaultdict(dict)
    specs: dict[str, StrategySpec] = {}
    for answer in answers:
        assert isinstance(answer.job, GroupJob)
        key = repr(sorted(answer.job.spec.parameters.items()))
        specs[key] = answer.job.spec
        pieces[key][answer.job.group] = answer.curve.returns
    whole = [key for key, groups in pieces.items() if len(groups) == len(found.groups)]
    if not whole or len(whole) < len(pieces):
        return None
    columns = [np.concatenate([pieces[key][g] for g in range(len(found.groups))]) for key in whole]
    returns = np.column_stack(columns)
    chosen, tested = [], []
    for split in found.splits:
        best = _best(returns[split.train])
        chosen.append(specs[whole[best]])
        tested.append({g: pieces[whole[best]][g] for g in split.groups})
    paths = [found.path(number, tested) for number in range(found.paths)]
    return Crossed(
        name=name,
        trials=len(whole),
        sharpes=tuple(metrics.sharpe(path) for path in paths),
        chosen=tuple(chosen),
        overfitting=overfitting(returns) if len(whole) > 1 else None,
    )


def _best(returns: Floats) -> int:
    deviation = returns.std(axis=0, ddof=1)
    ratios = np.divide(
        returns.mean(axis=0), deviation, out=np.zeros(returns.shape[1]), where=deviation > 1e-12
    )
    return int(np.argmax(ratios))

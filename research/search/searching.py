"""Ways to look for parameters: grid, random, Optuna's TPE and NSGA-II; and what to choose at last.

A search plays one trial after the other and is the same for the same seed, so that many searches
can run side by side, on one machine or several, without changing what any of them finds. Sources:
J. Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011 (TPE); K. Deb et al., A
Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE TEC 6(2), 2002.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from daemon.registry import Discovery
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from research.evaluation.curves import Score
from research.search.spaces import Space, possible, refused

TRIALS_MAX = 10_000
"""Trials of one search."""
SUGGESTIONS_PER_TRIAL = 20
"""Suggestions, repeated and impossible ones included, for each trial: a small space runs out."""
GENERATION = 10


class Method(StrEnum):
    """How to search."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"
    NSGA2 = "nsga2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A trial's parameters and its score."""

    spec: StrategySpec
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a space is searched; a grid is searched whole, whatever `trials` says."""

    method: Method = Method.GRID
    trials: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.trials <= TRIALS_MAX:
            raise ConfigurationFault(
                f"a search with no trials finds nothing, and more than {TRIALS_MAX} are too many: "
                f"--trials {self.trials}"
            )


def candidates(
    space: Space, search: Search, discovery: Discovery, base: Timeframe
) -> list[StrategySpec]:
    """Return points fixed before anything is looked at: the grid, or random ones without repeats.

    Adaptive methods have none of their own; for them, as many random ones.
    """
    if search.method is Method.GRID or space.size <= search.trials:
        found = possible(space, space.points(), discovery, base)
        if len(found) > TRIALS_MAX:
            raise ConfigurationFault(
                f"{space.spec.name}: a grid of {len(found)}; the most is {TRIALS_MAX}: search it "
                "with --method random or tpe"
            )
        return found
    generator = np.random.default_rng(search.seed)
    order = generator.permutation(space.size)
    sizes = [len(values) for values in space.choices.values()]
    shuffled = (space.at([int(i) for i in np.unravel_index(n, sizes)]) for n in order)
    found = []
    for spec in shuffled:
        if refused(spec, discovery, base) is None:
            found.append(spec)
        if len(found) == search.trials:
            break
    return found or possible(space, space.points(), discovery, base)


def run_search(
    space: Space,
    search: Search,
    play: Callable[[StrategySpec], Score],
    discovery: Discovery,
    base: Timeframe,
) -> list[Scored]:
    """Return the trials of a search, each point once, in the order they were played."""
    if search.method in (Method.GRID, Method.RANDOM) or not space.choices:
        return [
            Scored(spec=spec, score=play(spec))
            for spec in candidates(space, search, discovery, base)
        ]
    return _adaptive(space, search, play, discovery, base)


def _adaptive(
    space: Space,
    search: Search,
    play: Callable[[StrategySpec], Score],
    discovery: Discovery,
    base: Timeframe,
) -> list[Scored]:
    # Takes a second to import, and a grid needs none of it.
    import optuna
    from optuna.distributions import CategoricalDistribution, IntDistribution

    possible(space, space.points(), discovery, base)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    many = search.method is Method.NSGA2
    study = optuna.create_study(
        sampler=_sampler(search),
        directions=["maximize", "minimize", "minimize"] if many else ["maximize"],
    )
    distributions = {
        name: IntDistribution(0, len(values) - 1)
        if all(isinstance(v, int | float) for v in values)
        else CategoricalDistribution(list(range(len(values))))
        for name, values in space.choices.items()
    }
    played: dict[tuple[int, ...], Scored] = {}
    for _ in range(search.trials * SUGGESTIONS_PER_TRIAL):
        if len(played) == search.trials:
            break
        suggested = study.ask(distributions)
        index = tuple(int(suggested.params[name]) for name in space.choices)
        spec = space.at(index)
        if refused(spec, discovery, base) is not None:
            study.tell(suggested, state=optuna.trial.TrialState.FAIL)
            continue
        if index not in played:
            played[index] = Scored(spec=spec, score=play(spec))
        score = played[index].score
        sharpe = score.sharpe if np.isfinite(score.sharpe) else 0.0
        objectives = [sharpe, score.turnover, score.max_drawdown] if many else [sharpe]
        study.tell(suggested, objectives)
    return list(played.values())


def _sampler(search: Search) -> Any:
    import optuna

    if search.method is Method.NSGA2:
        return optuna.samplers.NSGAIISampler(
            population_size=min(GENERATION, search.trials), seed=search.seed
        )
    return optuna.samplers.TPESampler(
        seed=search.seed, n_startup_trials=min(10, max(1, search.trials // 2))
    )


def chosen(trials: Sequence[Scored], method: Method) -> Scored:
    """Return the trial to go on with: the best net Sharpe ratio, the first of equals.

    NSGA-II's choice is balanced: of the trials that no other beats in all three, the one whose
    ranks in the three have the least sum. Raises ConfigurationFault for no trials.
    """
    if not trials:
        raise ConfigurationFault("a search with no trials has nothing to choose")
    if method is not Method.NSGA2:
        return max(trials, key=lambda t: _sharpe(t.score))
    # Who never traded turned nothing over and never fell: that is no virtue.
    traded = [t for t in trials if np.isfinite(t.score.sharpe)] or list(trials)
    front = [t for t in traded if not any(_dominates(o.score, t.score) for o in traded)]
    keys = (
        sorted(-_sharpe(t.score) for t in front),
        sorted(t.score.turnover for t in front),
        sorted(t.score.max_drawdown for t in front),
    )

    def ranks(trial: Scored) -> tuple[int, float]:
        score = trial.score
        places = (
            keys[0].index(-_sharpe(score)),
            keys[1].index(score.turnover),
            keys[2].index(score.max_drawdown),
        )
        return sum(places), -_sharpe(score)

    return min(front, key=ranks)


def _sharpe(score: Score) -> float:
    # A trial that never traded has no ratio; it neither won nor lost.
    return score.sharpe if np.isfinite(score.sharpe) else 0.0


def _dominates(one: Score, other: Score) -> bool:
    ours = (-_sharpe(one), one.turnover, one.max_drawdown)
    theirs = (-_sharpe(other), other.turnover, other.max_drawdown)
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs

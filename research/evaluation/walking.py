"""Walk-forward and cross-validation as jobs: what is played where, and what comes back.

Every job is a value that draws on nothing but itself and the bench of its process, so it gives the
same on any machine. Baselines come first, then fold by fold, so that an interrupted evaluation
holds whole folds; cross-validation last.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from daemon.strategy_specs import StrategySpec
from domain.market import Floats
from research.baselines import online, weights
from research.evaluation.bench import ALWAYS_LONG, Bench, Subject
from research.evaluation.curves import Curve, Played, played
from research.evaluation.splits import Combinations, Fold
from research.pool import Pool
from research.search.searching import Scored, Search, candidates, chosen, run_search
from research.search.spaces import Space

BASELINES: Mapping[str, Callable[[Floats, range], weights.Schedule]] = {
    "equal_weight": weights.equal_weight,
    "buy_and_hold": weights.buy_and_hold,
    "min_variance": weights.min_variance,
    "mean_variance": weights.mean_variance,
    "uniform_crp": lambda c, r: weights.from_online(c, r, online.constant),
    "exponentiated_gradient": lambda c, r: weights.from_online(c, r, online.exponentiated_gradient),
    "universal": lambda c, r: weights.from_online(c, r, online.universal),
    "best_crp_in_hindsight": weights.in_hindsight,
}
"""All filled at the next open. Buying once is UBAH of the on-line set."""
HINDSIGHT = frozenset({"best_crp_in_hindsight"})
YARDSTICKS = ("equal_weight", "buy_and_hold", "min_variance", ALWAYS_LONG)
"""What a strategy is judged against: what anyone could have held, and the engine on its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineJob:
    """Play a baseline over sessions."""

    subject: Subject
    name: str
    rows: range


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldJob:
    """Search a space on a fold's training span, then play what was chosen on its test span."""

    subject: Subject
    space: Space
    search: Search
    number: int
    fold: Fold


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupJob:
    """Play one configuration over one group of cross-validation."""

    subject: Subject
    spec: StrategySpec
    group: int
    rows: range


Job = BaselineJob | FoldJob | GroupJob


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a job came to: its trials, and the curve it was about."""

    job: Job
    trials: tuple[Played, ...]
    chosen: StrategySpec | None
    curve: Curve


def carry_out(job: Job) -> Answer:
    """Return the answer of a job; the same wherever it is carried out."""
    bench = job.subject.bench()
    if isinstance(job, BaselineJob):
        before = range(max(0, job.rows.start - 1), job.rows.stop - 1)
        curve = bench.play_weights(BASELINES[job.name](bench.closes, before), job.rows)
        return Answer(job=job, trials=(), chosen=None, curve=curve)
    if isinstance(job, GroupJob):
        trial = _trial(bench, job.spec, job.rows)
        return Answer(job=job, trials=(trial,), chosen=None, curve=trial.curve)
    return _fold(bench, job)


def _fold(bench: Bench, job: FoldJob) -> Answer:
    if job.space.spec.kind == ALWAYS_LONG:
        spec = job.space.spec
        return Answer(job=job, trials=(), chosen=spec, curve=bench.play([spec], job.fold.test))
    trials: list[Played] = []

    def play(spec: StrategySpec) -> Scored:
        trials.append(_trial(bench, spec, job.fold.train))
        return Scored(spec=spec, score=trials[-1].curve.score())

    scored = run_search(
        job.space, job.search, lambda spec: play(spec).score, bench.discovery, bench.base
    )
    best = chosen(scored, job.search.method).spec
    return Answer(
        job=job, trials=tuple(trials), chosen=best, curve=bench.play([best], job.fold.test)
    )


def _trial(bench: Bench, spec: StrategySpec, rows: range) -> Played:
    return played(spec, bench.play([spec], rows), bench.equal_weight_returns(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is evaluated, and how. `combinations` None leaves cross-validation out."""

    subject: Subject
    spaces: tuple[Space, ...]
    search: Search
    folds: tuple[Fold, ...]
    combinations: Combinations | None
    sessions: range

    @property
    def tested(self) -> range:
        """From the first session tested to the last."""
        return range(self.folds[0].test.start, self.folds[-1].test.stop)

    def jobs(self, bench: Bench) -> list[Job]:
        """Return everything to do, in the order of its worth."""
        jobs: list[Job] = [
            BaselineJob(subject=self.subject, name=name, rows=self.tested) for name in BASELINES
        ]
        naive = Space(spec=StrategySpec(name=ALWAYS_LONG, kind=ALWAYS_LONG))
        for number, fold in enumerate(self.folds):
            jobs.extend(
                FoldJob(
                    subject=self.subject,
                    space=space,
                    search=replace(self.search, seed=self._seed(space, number)),
                    number=number,
                    fold=fold,
                )
                for space in (naive, *self.spaces)
            )
        if self.combinations is not None:
            for space in self.spaces:
                jobs.extend(self._groups(space, bench, self.combinations))
        return jobs

    def _groups(self, space: Space, bench: Bench, found: Combinations) -> Iterator[Job]:
        for spec in candidates(space, self.search, bench.discovery, bench.base):
            for group, rows in enumerate(found.groups):
                start = self.sessions.start
                yield GroupJob(
                    subject=self.subject,
                    spec=spec,
                    group=group,
                    rows=range(start + rows.start, start + rows.stop),
                )

    def _seed(self, space: Space, number: int) -> int:
        told = f"{self.search.seed}/{space.spec.name}/{number}"
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:4], "big")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What an evaluation has come to so far."""

    baselines: dict[str, Curve] = field(default_factory=dict)
    folds: dict[int, dict[str, Answer]] = field(default_factory=dict)
    groups: dict[str, list[Answer]] = field(default_factory=dict)
    is_partial: bool = False

    def add(self, answer: Answer) -> None:
        """Take an answer in."""
        job = answer.job
        if isinstance(job, BaselineJob):
            self.baselines[job.name] = answer.curve
        elif isinstance(job, FoldJob):
            self.folds.setdefault(job.number, {})[job.space.spec.name] = answer
        else:
            self.groups.setdefault(job.spec.name, []).append(answer)

    def whole_folds(self, evaluation: Evaluation) -> list[int]:
        """Return the folds that every strategy has been played on."""
        names = {ALWAYS_LONG, *(s.spec.name for s in evaluation.spaces)}
        return [number for number, answers in sorted(self.folds.items()) if set(answers) == names]


def walk(
    evaluation: Evaluation,
    bench: Bench,
    pool: Pool,
    *,
    told: Callable[[Answer, int, int], None],
    stop: Callable[[], bool],
) -> Outcome:
    """Carry out an evaluation's jobs; `told` hears each answer, in order, and how far it is."""
    jobs: Sequence[Job] = evaluation.jobs(bench)
    outcome = Outcome()
    done = 0
    for answer in pool.run(carry_out, jobs, stop):
        outcome.add(answer)
        done += 1
        told(answer, done, len(jobs))
    outcome.is_partial = done < len(jobs)
    return outcome

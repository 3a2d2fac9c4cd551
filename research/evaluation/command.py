"""`tradewind walk-forward`: options in; folds played, verdicts printed, everything saved."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from daemon import settings_rules
from daemon.clock import SystemClock
from daemon.commands.options import settings_of
from daemon.commands.printing import print_json, say
from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec
from domain.errors import ConfigurationFault
from research.backtest.command import interruptible
from research.backtest.costs import Costs
from research.backtest.preparing import Request
from research.backtest.results import claim
from research.evaluation import results
from research.evaluation.bench import ALWAYS_LONG, Bench, Subject, written
from research.evaluation.judging import document_of, judge_outcome, trials_of
from research.evaluation.ledger import FILE, Ledger
from research.evaluation.printing import verdict_lines
from research.evaluation.splits import Combinations, Fold, WalkForward, combinations
from research.evaluation.walking import BASELINES, Answer, Evaluation, Outcome, walk
from research.pool import Pool, pool_of
from research.search.searching import Method, Search
from research.search.spaces import Space, parse_spaces, possible

RESULT_FOLDERS_MAX = 10_000
FOLDS_MAX = 500
PURPOSE = "walk-forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as given."""

    data: Path
    strategies: str
    first: date | None
    last: date | None
    out: Path | None
    symbols: str | None
    universe: Path | None
    train: int
    test: int
    purge: int
    embargo: int
    folds: tuple[str, ...]
    cross_validate: str
    method: str
    trials: int
    seed: int
    commission_bps: float
    half_spread_bps: float | None
    resume_after: int | None
    workers: int | None
    ray: str | None
    env_file: Path | None
    as_json: bool


def run_walk_forward(options: Options) -> None:
    """Prepare, play, judge, save, and say what came of it. Raises ConfigurationFault, Refused."""
    settings = settings_of(options.env_file, {})
    spaces = _spaces(options)
    search = _search(options)
    pool = pool_of(workers=options.workers, ray=options.ray)
    discovery = settings_rules.discover_strategies(settings)
    # One point of each space, to load what all of them need; a space without any is refused here.
    loading = [
        possible(space, space.points(), discovery, settings.bar_timeframe)[0] for space in spaces
    ]
    subject = Subject(request=_request(options, loading), settings=settings)
    bench = subject.bench()
    folds = _folds(options, bench)
    evaluation = Evaluation(
        subject=subject,
        spaces=tuple(spaces),
        search=search,
        folds=tuple(folds),
        combinations=_combinations(options, bench),
        sessions=bench.sessions,
    )
    # Whatever cannot be searched is said before anything is made or played.
    evaluation.jobs(bench)
    folder = options.out or _next_folder(settings.state_dir / "walk-forwards")
    claim(folder)
    for note in bench.prepared.notes:
        say(note)
    ledger = Ledger(settings.state_dir / "research" / FILE)
    outcome, trials = _played(evaluation, bench, pool, ledger)
    document = _saved(folder, options, evaluation, bench, outcome, trials, ledger)
    if outcome.is_partial:
        say(f"Interrupted: {len(document['folds'])} of {len(folds)} folds are whole")
    if options.as_json:
        print_json({"folder": str(folder), **document})
        return
    verdict_lines(document)
    say(f"Saved in {folder}; a page of it: tradewind report {folder}")


def _spaces(options: Options) -> list[Space]:
    spaces = parse_spaces(options.strategies)
    taken = [s.spec.name for s in spaces if s.spec.name in {ALWAYS_LONG, *BASELINES}]
    if taken:
        raise ConfigurationFault(
            f"--strategies: {taken[0]} is the name of a baseline: give a name="
        )
    return spaces


def _search(options: Options) -> Search:
    try:
        method = Method(options.method)
    except ValueError as fault:
        accepted = ", ".join(Method)
        raise ConfigurationFault(f"--method {options.method}: write {accepted}") from fault
    return Search(method=method, trials=options.trials, seed=options.seed)


def _request(options: Options, specs: Sequence[StrategySpec]) -> Request:
    if options.first and options.last and options.first > options.last:
        raise ConfigurationFault(f"--from {options.first} lies after --to {options.last}")
    return Request(
        data=options.data,
        specs=tuple(specs),
        costs=Costs(half_spread_bps=options.half_spread_bps, commission_bps=options.commission_bps),
        first=options.first,
        last=options.last,
        symbols=tuple(s.strip().upper() for s in (options.symbols or "").split(",") if s.strip()),
        universe=options.universe,
        resumes_after=options.resume_after,
    )


def _folds(options: Options, bench: Bench) -> list[Fold]:
    if options.folds:
        return [_written_fold(text, bench) for text in options.folds]
    plan = WalkForward(train=options.train, test=options.test, purge=options.purge)
    folds = plan.folds(bench.sessions)
    if len(folds) > FOLDS_MAX:
        raise ConfigurationFault(
            f"{len(folds)} folds; the most is {FOLDS_MAX}: test on longer spans"
        )
    return folds


def _written_fold(text: str, bench: Bench) -> Fold:
    """Return the fold written as TRAIN_FROM:TRAIN_TO:TEST_FROM:TEST_TO, four days."""
    try:
        days = [date.fromisoformat(part.strip()) for part in text.split(":")]
    except ValueError as fault:
        raise ConfigurationFault(f"--fold {text}: {fault}") from fault
    if len(days) != 4:
        raise ConfigurationFault(
            f"--fold {text}: write TRAIN_FROM:TRAIN_TO:TEST_FROM:TEST_TO, four days"
        )
    history = bench.history
    train = history.session_range(days[0], days[1])
    test = history.session_range(days[2], days[3])
    if test.stop > bench.sessions.stop or train.start < bench.sessions.start:
        raise ConfigurationFault(f"--fold {text} lies outside --from and --to")
    return Fold(train=train, test=test)


def _combinations(options: Options, bench: Bench) -> Combinations | None:
    if options.cross_validate == "off":
        return None
    try:
        groups, tested = (int(part) for part in options.cross_validate.split(","))
    except ValueError as fault:
        raise ConfigurationFault(
            f"--cross-validate {options.cross_validate}: write GROUPS,TESTED such as 6,2, or off"
        ) from fault
    return combinations(
        len(bench.sessions),
        groups=groups,
        tested=tested,
        purge=options.purge,
        embargo=options.embargo,
    )


def _next_folder(root: Path) -> Path:
    for number in range(1, RESULT_FOLDERS_MAX):
        folder = root / f"{number:04d}"
        if not folder.exists():
            return folder
    raise ConfigurationFault(f"{root} holds {RESULT_FOLDERS_MAX} results: clear some away")


def _played(
    evaluation: Evaluation, bench: Bench, pool: Pool, ledger: Ledger
) -> tuple[Outcome, list[Mapping[str, Any]]]:
    """Return what was played and the table of trials; each trial is in the ledger by then."""
    rows: list[Mapping[str, Any]] = []
    clock = SystemClock()

    def counted(answer: Answer) -> None:
        lines = trials_of(answer, bench, purpose=PURPOSE, at=clock.now())
        ledger.add(lines)
        rows.extend(
            {
                "strategy": line.strategy,
                "parameters": line.parameters,
                "first": line.first,
                "last": line.last,
                "sharpe_a_year": results.ratio_a_year(line.sharpe),
                "active_a_year": results.ratio_a_year(line.active),
                "turnover_a_year": line.turnover,
                "max_drawdown": line.max_drawdown,
            }
            for line in lines
        )

    with interruptible() as stop, _progress() as advance:

        def told(answer: Answer, done: int, total: int) -> None:
            counted(answer)
            advance(done, total)

        return walk(evaluation, bench, pool, told=told, stop=stop), rows


@contextmanager
def _progress() -> Any:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jobs,"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Walk-forward", total=None)
        show: Callable[[int, int], None] = lambda done, total: bar.update(  # noqa: E731
            task, completed=done, total=total
        )
        yield show


def _saved(  # noqa: PLR0913 - everything a manifest is made of
    folder: Path,
    options: Options,
    evaluation: Evaluation,
    bench: Bench,
    outcome: Outcome,
    trials: list[Mapping[str, Any]],
    ledger: Ledger,
) -> dict[str, Any]:
    judged = judge_outcome(evaluation, outcome, bench, ledger)
    settings: Settings = evaluation.subject.settings
    document = {
        "code_version": version("tradewind"),
        "complete": not outcome.is_partial,
        "data": {
            "source": bench.history.source,
            "sha256": bench.data_hash,
            "symbols": bench.instruments,
            "first": str(bench.history.sessions[bench.sessions[0]].day),
            "last": str(bench.history.sessions[bench.sessions[-1]].day),
        },
        "conditions": evaluation.subject.conditions_hash(),
        "settings": settings.model_dump(),
        "resumes_after": evaluation.subject.request.resumes_after,
        "search": {
            "method": evaluation.search.method.value,
            "trials": evaluation.search.trials,
            "seed": evaluation.search.seed,
            "spaces": [
                {**written(s.spec), "choices": {k: list(v) for k, v in s.choices.items()}}
                for s in evaluation.spaces
            ],
        },
        "split": {
            "train": options.train,
            "test": options.test,
            "purge": options.purge,
            "embargo": options.embargo,
            "folds": len(evaluation.folds),
            "cross_validate": options.cross_validate,
        },
        "ledger": str(ledger.path),
        "tested": {
            "sessions": len(judged.days),
            "first": str(judged.days[0]) if judged.days else None,
            "last": str(judged.days[-1]) if judged.days else None,
        },
        **document_of(judged, evaluation, outcome),
    }
    results.save(folder, document, judged.days, judged.series, trials)
    del document["settings"]
    return document

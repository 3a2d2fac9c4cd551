"""`tradewind backtest`: options in, a result folder and a summary out."""

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from daemon.clock import SystemClock
from daemon.commands.options import settings_of
from daemon.commands.printing import print_json
from daemon.fingerprint import settings_hash
from daemon.settings import Settings
from daemon.strategy_specs import parse_specs
from domain.errors import ConfigurationFault
from research.backtest.costs import Costs, FillAt
from research.backtest.preparing import Prepared, Request, prepare
from research.backtest.record import BacktestResult
from research.backtest.results import claim, load, save
from research.evaluation.counting import count_backtest
from research.reports.figures import figures_of
from research.reports.summary import summary_lines

RESULT_FOLDERS_MAX = 10_000
"""Numbered result folders under STATE_DIR/backtests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as given."""

    data: Path
    strategies: str | None
    first: date | None
    last: date | None
    out: Path | None
    symbols: str | None
    universe: Path | None
    capital: float | None
    fill_at: str
    half_spread_bps: float | None
    impact_bps: float
    commission_per_share: float
    commission_bps: float
    volume_share: float
    borrow_bps: float
    close_cutoff_minutes: float
    resume_after: int | None
    seed: int | None
    env_file: Path | None
    as_json: bool


def run_backtest(options: Options) -> None:
    """Prepare, play, save, and say what came of it. Raises ConfigurationFault and Refused."""
    settings = _settings(options)
    request = _request(options, settings)
    prepared = prepare(request, settings)
    folder = options.out or _next_folder(settings.state_dir / "backtests")
    claim(folder)
    for note in prepared.notes:
        _say(note)
    result = _played(prepared)
    about = {
        "code_version": version("tradewind"),
        "seed": settings.seed,
        "settings_hash": settings_hash(settings),
        "settings": settings.model_dump(),
        "strategies": [_written(spec) for spec in request.specs],
    }
    manifest = save(folder, prepared, result, about)
    count_backtest(prepared, request, settings, result, SystemClock().now())
    for name, benching in sorted(result.benched.items()):
        _say(
            f"{name} was not asked any more after the bar of {benching.since_at:%Y-%m-%d %H:%M} "
            f"UTC: {benching.detail}"
        )
    if result.is_partial:
        _say(f"Interrupted: {len(result.recording.days)} of {len(prepared.plan.sessions)} sessions")
    if options.as_json:
        shown = {k: v for k, v in manifest.items() if k not in ("settings", "sectors", "marks_usd")}
        print_json({"folder": str(folder), **shown})
        return
    if result.recording.days:
        for line in summary_lines(figures_of(load(folder))):
            _say(line)
    _say(f"Saved in {folder}; a page of it: tradewind report {folder}")


def _settings(options: Options) -> Settings:
    overrides: dict[str, object] = {}
    if options.capital is not None:
        overrides["INITIAL_CAPITAL"] = str(options.capital)
    if options.seed is not None:
        overrides["SEED"] = str(options.seed)
    return settings_of(options.env_file, overrides)


def _request(options: Options, settings: Settings) -> Request:
    if options.first and options.last and options.first > options.last:
        raise ConfigurationFault(f"--from {options.first} lies after --to {options.last}")
    try:
        fill_at = FillAt(options.fill_at)
    except ValueError as fault:
        accepted = ", ".join(FillAt)
        raise ConfigurationFault(f"--fill-at {options.fill_at}: write {accepted}") from fault
    specs = tuple(parse_specs(options.strategies)) if options.strategies else settings.strategies
    return Request(
        data=options.data,
        specs=specs,
        costs=Costs(
            half_spread_bps=options.half_spread_bps,
            impact_bps=options.impact_bps,
            commission_per_share_usd=Decimal(repr(options.commission_per_share)),
            commission_bps=options.commission_bps,
            volume_share_max=options.volume_share,
            borrow_bps=options.borrow_bps,
            close_cutoff_s=60.0 * options.close_cutoff_minutes,
            fill_at=fill_at,
        ),
        first=options.first,
        last=options.last,
        symbols=tuple(s.strip().upper() for s in (options.symbols or "").split(",") if s.strip()),
        universe=options.universe,
        resumes_after=options.resume_after,
    )


def _next_folder(root: Path) -> Path:
    for number in range(1, RESULT_FOLDERS_MAX):
        folder = root / f"{number:04d}"
        if not folder.exists():
            return folder
    raise ConfigurationFault(f"{root} holds {RESULT_FOLDERS_MAX} results: clear some away")


def _written(spec: Any) -> str:
    parameters = ",".join(f"{k}={v}" for k, v in spec.parameters.items())
    return f"{spec.name}: {spec.kind}({parameters}), weight {spec.weight:g}"


def _played(prepared: Prepared) -> BacktestResult:
    player = prepared.player()
    # What was loaded lives to the end: the collector need not look at it again and again.
    gc.freeze()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sessions,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with (
        interruptible() as stop,
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task("Backtest", total=len(prepared.plan.sessions))
        return player.run(
            progress=lambda done, total: bar.update(task, completed=done, total=total), stop=stop
        )


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the run between two sessions; a second one ends the program."""
    asked = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")

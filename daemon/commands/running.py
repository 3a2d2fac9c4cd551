"""`tradewind run`: the daemon."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress, TaskID

from daemon.assembly import Assembly
from daemon.clock import SystemClock
from daemon.commands.options import EnvFile, settings_of
from daemon.embedded import ExchangeOptions
from daemon.logs import Secrets, configure_logs
from daemon.program import RunOptions, run
from daemon.report import RunReport
from daemon.settings import Settings
from daemon.settings_env import demo_overrides

EMBEDDED_SPEED = 1.0


class VenueChoice(StrEnum):
    """Where to trade."""

    EMBEDDED = "embedded"
    PAPER = "paper"


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("run")(run_command)


def run_command(  # noqa: PLR0913 - the options of design §9
    venue: Annotated[
        VenueChoice | None, typer.Option(help="Where to trade; keys are needed for paper.")
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many sessions.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.01, help="Embedded: market seconds in a second.")
    ] = None,
    market: Annotated[
        str | None,
        typer.Option(help="Embedded: synthetic[:SEED], or a file or folder of bars."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Embedded: the first day traded, YYYY-MM-DD.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Embedded: seed of the market.")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Where the book survives.")] = None,
    env_file: EnvFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide and record everything, send nothing.")
    ] = False,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Embedded: the exchange waits for the daemon.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Demo pace: 5-minute bars, no turnover limit.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on standard output.")
    ] = False,
) -> None:
    """Run the daemon until stopped (Ctrl-C or SIGTERM: orderly; a second time: at once)."""
    overrides: dict[str, object] = {}
    if venue is not None:
        overrides["VENUE"] = venue.value
    if state_dir is not None:
        overrides["STATE_DIR"] = str(state_dir)
    if seed is not None:
        overrides["SEED"] = str(seed)
    fallbacks = demo_overrides() if demo else {}
    settings = settings_of(env_file, overrides, fallbacks)
    options = RunOptions(
        exchange=exchange_options(
            settings, market=market, speed=speed, seed=seed, start=start, lockstep=lockstep
        ),
        sessions_max=sessions,
        is_dry_run=dry_run,
        version=version("tradewind"),
        environ=dict(os.environ),
        on_assembled=_freeze,
        progress=ProgressBar(),
        say=teller(settings),
    )
    report = _run_on_uvloop(settings, options)
    if report is None:
        return
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(dict(report.fields)) + b"\n")
    else:
        _say_report(report)


def _freeze(assembly: Assembly) -> None:
    """Spare later collections what start-up made: it lives as long as the process does."""
    gc.collect()
    gc.freeze()


def exchange_options(
    settings: Settings,
    *,
    market: str | None,
    speed: float | None,
    seed: int | None,
    start: str | None,
    lockstep: bool,
) -> ExchangeOptions:
    """Return what is asked of the embedded exchange; what was not given explicitly is None."""
    return ExchangeOptions(
        url=settings.exchange_url.rstrip("/"),
        state_dir=settings.state_dir,
        market=market,
        speed=speed,
        seed=seed,
        start=_day(start) if start else None,
        cash_usd=str(settings.initial_capital)
        if "initial_capital" in settings.model_fields_set
        else None,
        lockstep=True if lockstep else None,
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD") from fault


class ProgressBar:
    """Shows how far a step has come, on a terminal; elsewhere the steps' own lines are enough."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Draw `done` of `total`; the bar goes when it is full."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(f"  {what}", total=total)
        self._bar.update(self._task, completed=done)
        if done >= total:
            self._bar.stop()
            self._bar = None


def teller(settings: Settings) -> Callable[[str], None]:
    """Configure the logs, and return what tells a person, line by line, what start-up does."""
    configure_logs(
        level=settings.log_level,
        log_format=settings.log_format,
        secrets=Secrets(settings.secret_values()),
        stream=sys.stderr,
        now=SystemClock().now,
    )

    def say(line: str) -> None:
        sys.stderr.write(f"  {datetime.now(UTC):%H:%M:%S}  {line}\n")  # noqa: TID251
        sys.stderr.flush()

    return say


def _run_on_uvloop(settings: Settings, options: RunOptions) -> RunReport | None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(run(settings, options))
        except BaseExceptionGroup as group:
            raise first_of(group) from group


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first leaf of an exception group: what went wrong first."""
    first: BaseException = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _say_report(report: RunReport) -> None:
    fields = report.fields
    sys.stderr.write(
        f"\nSessions {fields['sessions']}, decisions {fields['slots_decided']}, fills "
        f"{fields['fills']}, equity ${fields['equity_usd']}, profit ${fields['pnl_usd']} "
        f"(synthetic profit means nothing)\n"
    )

"""Commands that show it trade: the demonstration that `make run` calls, and the view alone."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from daemon.api_client import ApiClient
from daemon.child import ChildDaemon, ChildEnded
from daemon.commands.options import EnvFile, settings_of
from daemon.commands.printing import StateDir, say, settings_here
from daemon.settings import Settings
from daemon.settings_env import DEMO_LABEL, demo_overrides
from daemon.sources import HOW_TO_START, LiveSource, find_live
from daemon.top import PLAIN_ROWS, SCREEN_ROWS, show, tell, watch_of
from daemon.words import signed_usd, usd
from domain.errors import DaemonNotRunning, TradewindError

DEMO_SPEED: Final = 60.0
STOPS_THE_DAEMON: Final = "q or Ctrl-C stops the daemon"
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of the terminal view.")]


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("demo")(demo_command)
    app.command("top")(top_command)


def top_command(plain: Plain = False, state_dir: StateDir = None, env_file: EnvFile = None) -> None:
    """Watch a running daemon in the terminal; leaving does not stop it."""
    settings = settings_here(env_file, state_dir)
    source = find_live(settings)
    if source is None:
        url = ApiClient(settings.http_host, settings.http_port).url
        raise DaemonNotRunning(f"no daemon answers at {url}; {HOW_TO_START}")
    try:
        _watch(settings, source, plain=plain, how_to_stop="", is_over=lambda: False)
    except KeyboardInterrupt:
        return


def demo_command(
    speed: Annotated[
        float, typer.Option(min=0.01, help="Market seconds in a second.")
    ] = DEMO_SPEED,
    plain: Plain = False,
    market: Annotated[
        str | None, typer.Option(help="synthetic[:SEED], or a file or folder of bars.")
    ] = None,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Start the daemon on the embedded exchange and show it trading; Ctrl-C stops both."""
    overrides: dict[str, object] = {"VENUE": "embedded"}
    if state_dir is not None:
        overrides["STATE_DIR"] = str(state_dir)
    settings = settings_of(env_file, overrides, demo_overrides())
    running = find_live(settings)
    if running is not None:
        say(f"A daemon is running already: {running.heading()}")
        say("Showing it; Ctrl-C leaves the view and does not stop it")
        try:
            _watch(settings, running, plain=plain, how_to_stop="", is_over=lambda: False)
        except KeyboardInterrupt:
            return
        return
    arguments = ["--demo", "--venue", "embedded", "--speed", f"{speed:g}"]
    arguments += ["--market", market] if market else []
    arguments += ["--state-dir", str(settings.state_dir)]
    arguments += ["--env-file", str(env_file)] if env_file else []
    with _stopped_like_by_hand():
        _demonstrate(settings, arguments, plain=plain)


@contextmanager
def _stopped_like_by_hand() -> Iterator[None]:
    """Take SIGTERM and a closed terminal for Ctrl-C: the daemon that was started is stopped."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _demonstrate(settings: Settings, arguments: list[str], *, plain: bool) -> None:
    say(f"Starting Tradewind on its embedded exchange ({DEMO_LABEL}: 5-minute bars)")
    child = ChildDaemon.start(arguments, settings.state_dir)
    client = ApiClient(settings.http_host, settings.http_port)
    try:
        child.wait_until_ready(client, _step)
        _watch(
            settings,
            _started(settings, client),
            plain=plain,
            how_to_stop=STOPS_THE_DAEMON,
            is_over=lambda: child.has_ended,
        )
        child.check()
    except KeyboardInterrupt:
        say("")
    except BrokenPipeError:
        # Nobody reads any more (`make run | head`): what was started is not left behind.
        child.stop(lambda line: None)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - Python flushes it at exit
        return
    except ChildEnded:
        raise
    except TradewindError as fault:
        say(f"tradewind: {fault}")
    _stop(child, settings.state_dir)


def _started(settings: Settings, client: ApiClient) -> LiveSource:
    source = find_live(settings)
    if source is None:
        raise TradewindError(f"the daemon was started and does not answer at {client.url}")
    return source


def _stop(child: ChildDaemon, state_dir: Path) -> None:
    say("Stopping the daemon (Ctrl-C again kills it)")
    try:
        report = child.stop(_step)
    except KeyboardInterrupt:
        child.kill()
        say("Killed. Nothing is lost: the next start looks up what was under way")
        raise typer.Exit(1) from None
    for line in closing_lines(report):
        say(line)
    say(f"Its book is in {state_dir}: `make run` goes on from there")


def closing_lines(report: dict[str, Any] | None) -> list[str]:
    """Return the closing summary for people."""
    if report is None:
        return ["It left no closing report; see daemon.log in the state directory"]
    denials = ", ".join(f"{rule} {count}" for rule, count in report["denials"].items())
    orders = ", ".join(f"{count} {status}" for status, count in report["orders"].items())
    books = ", ".join(
        f"{name} {signed_usd(made)}" for name, made in report["profit_by_book_usd"].items()
    )
    matches = "as the venue has it" if report["book_matches_venue"] else "NOT as the venue has it"
    return [
        "",
        f"Since this account began: {report['sessions']} sessions closed, "
        f"{report['slots_decided']} decisions, {report['fills']} fills; this run took "
        f"{report['uptime_s']:g} s",
        f"Orders: {orders or 'none'}",
        f"Denials by rule: {denials or 'none'}",
        f"Equity {usd(report['equity_usd'])}, since the start {signed_usd(report['pnl_usd'])}"
        + (f" ({books})" if books else ""),
        f"Cash and positions are {matches}; trading is {report['trading_state']}",
        "These prices are made up: synthetic profit means nothing, and no return is promised.",
    ]


def _watch(
    settings: Settings,
    source: LiveSource,
    *,
    plain: bool,
    how_to_stop: str,
    is_over: Callable[[], bool],
) -> None:
    if plain or not sys.stdout.isatty():
        watch = watch_of(settings, source, rows=PLAIN_ROWS)
        tell(watch, source.client, _write, is_over=is_over)
        return
    watch = watch_of(settings, source, rows=SCREEN_ROWS, how_to_stop=how_to_stop)
    console = Console(highlight=False, markup=False, emoji=False)
    show(watch, source.client, console, is_over=is_over)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _step(step: str) -> None:
    say(f"  {step}")

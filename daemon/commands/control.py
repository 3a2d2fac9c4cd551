"""Commands that control: asked of the running daemon, through the same gate and journal."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daemon import flattening
from daemon.alpaca.client import open_session
from daemon.api_client import ApiClient, Document
from daemon.clock import SystemClock
from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson, StateDir, print_json, say, settings_here
from daemon.http_requests import parse_asked
from daemon.notify import send_test
from daemon.saved_state import StateFolder, state_folders
from daemon.settings import Settings
from daemon.sources import find_live, require_control
from domain.errors import Refused, TradewindError
from domain.events import Action
from risk.halts import LATCHES, QUARANTINE

Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]


class SideChoice(StrEnum):
    """Which way."""

    BUY = "buy"
    SELL = "sell"


class TimeInForceChoice(StrEnum):
    """How long an order works."""

    DAY = "day"
    GTC = "gtc"


MUST_BE_NAMED = (*(c for c in LATCHES if LATCHES[c].must_be_named), QUARANTINE)


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("halt")(halt_command)
    app.command("reduce")(reduce_command)
    app.command("resume")(resume_command)
    app.command("flatten")(flatten_command)
    app.command("cancel-all")(cancel_all_command)
    app.command("order")(order_command)
    app.command("unbench")(unbench_command)
    app.command("notify")(notify_command)


# --- trading states ------------------------------------------------------------------------------


def halt_command(
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Order nothing any more, not even exits; flatten still works."""
    settings = settings_here(env_file, state_dir)
    _control(settings, Action.HALT, {"reason": reason}, as_json=as_json)


def reduce_command(
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Let only orders toward zero pass."""
    settings = settings_here(env_file, state_dir)
    _control(settings, Action.REDUCE, {"reason": reason}, as_json=as_json)


def resume_command(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(help=f"What you have settled: {', '.join(MUST_BE_NAMED)}."),
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Trade again. What must be named before it is lifted, `tradewind status` tells."""
    settings = settings_here(env_file, state_dir)
    body = {"reason": reason, "subject": ",".join(subjects or ())}
    _control(settings, Action.RESUME, body, as_json=as_json)


def cancel_all_command(
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Cancel every working order of ours."""
    settings = settings_here(env_file, state_dir)
    _control(settings, Action.CANCEL_ALL, {"reason": reason}, as_json=as_json)


def unbench_command(
    name: Annotated[str, typer.Argument(help="The strategy to ask again.")],
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Ask a benched strategy again from the next slot on."""
    settings = settings_here(env_file, state_dir)
    _control(settings, Action.UNBENCH, {"reason": reason, "subject": name}, as_json=as_json)


# --- orders --------------------------------------------------------------------------------------


def order_command(  # noqa: PLR0913 - each is an option
    side: Annotated[SideChoice, typer.Argument(help="buy or sell.")],
    symbol: Annotated[str, typer.Argument(help="Such as AAPL.")],
    quantity: Annotated[str, typer.Argument(metavar="QTY", help="Shares.")],
    limit: Annotated[str | None, typer.Option(help="Limit price in USD.")] = None,
    stop: Annotated[str | None, typer.Option(help="Stop price in USD.")] = None,
    tif: Annotated[
        TimeInForceChoice, typer.Option(help="day, or gtc: good until canceled.")
    ] = TimeInForceChoice.DAY,
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Give an order of your own; without --limit or --stop it is a limit just through the touch."""
    body = {
        "symbol": symbol,
        "side": side.value,
        "quantity_shares": quantity,
        "time_in_force": tif.value,
        "reason": reason,
        **({"limit_usd": limit} if limit is not None else {}),
        **({"stop_usd": stop} if stop is not None else {}),
    }
    _control(settings_here(env_file, state_dir), Action.ORDER, body, as_json=as_json)


def flatten_command(
    reason: Reason = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Close everything and buy nothing back until `resume`; works with the daemon down, too."""
    settings = settings_here(env_file, state_dir)
    if find_live(settings) is not None:
        _control(settings, Action.FLATTEN, {"reason": reason}, as_json=as_json)
        return
    folders = state_folders(settings.state_dir, settings.venue)
    if not folders:
        raise TradewindError(
            f"nothing to flatten: no daemon answers and nothing is saved in {settings.state_dir}"
        )
    document = _flatten_stopped(settings, folders[0], reason, _run_arguments(folders[0], env_file))
    if as_json:
        print_json(document)
    else:
        say(document["answer"])
    if not document["flat"]:
        raise typer.Exit(1)


def _run_arguments(folder: StateFolder, env_file: Path | None) -> tuple[str, ...]:
    given = ("--env-file", str(env_file)) if env_file else ()
    return ("--venue", folder.venue, "--state-dir", str(folder.path.parent), *given)


def _flatten_stopped(
    settings: Settings, folder: StateFolder, reason: str, arguments: tuple[str, ...]
) -> Document:
    trading = flattening.latch(settings, folder, reason)
    say(f"Latched in {folder.path}: whatever runs next closes everything first")
    client = ApiClient(settings.http_host, settings.http_port)
    result = flattening.close_all(settings, client, arguments, say=lambda line: say(f"  {line}"))
    answer = "flat: nothing is held, nothing works; `tradewind resume` lifts it"
    if result.problem:
        answer = f"the venue could not be asked ({result.problem}); the next start closes all"
    elif not result.is_flat:
        answer = (
            f"{result.positions} positions and {result.working_orders} orders are left (is the "
            "market closed?); the next start goes on"
        )
    return {
        "running": False,
        "action": Action.FLATTEN.value,
        "answer": answer,
        "flat": result.is_flat,
        "positions": result.positions,
        "working_orders": result.working_orders,
        "trading_state": trading.state.value,
        "cause": trading.cause,
        "resumes": trading.resumes,
    }


# --- asking the daemon ---------------------------------------------------------------------------


def _control(settings: Settings, action: Action, body: Mapping[str, str], *, as_json: bool) -> None:
    """Ask the daemon and tell what came of it; exits 5 when it refused, 3 when none runs."""
    given = {name: value for name, value in body.items() if value}
    try:
        parse_asked(action, given, SystemClock().now())
    except ValueError as fault:
        raise typer.BadParameter(str(fault).replace('"', "")) from fault
    document = require_control(settings).post(action, given)
    if as_json:
        print_json(document)
    else:
        say(_told(action, document))
    if document["refused"]:
        raise typer.Exit(Refused.exit_code)


def _told(action: Action, document: Document) -> str:
    lines = [f"{action.value}: {document['answer']}"]
    state = f"Trading is {document['trading_state']}"
    if document.get("cause"):
        state += f" ({document['cause']}); resumes: {document['resumes']}"
    return "\n".join([*lines, state])


# --- the webhook ---------------------------------------------------------------------------------


def notify_command(
    test: Annotated[bool, typer.Option("--test", help="Send a test message.")] = False,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Send a test message to NOTIFY_URL."""
    if not test:
        raise typer.BadParameter("nothing to do; write `tradewind notify --test`")
    settings = settings_here(env_file, None)
    url = settings.notify_url.get_secret_value() if settings.notify_url else ""
    asyncio.run(_send_test(url))
    if as_json:
        print_json({"sent": True})
    else:
        say("Sent: the webhook took a test message")


async def _send_test(url: str) -> None:
    async with open_session(1) as session:
        await send_test(session, url, SystemClock().now())

"""`doctor`: look at everything that could be wrong before a start, change nothing."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from daemon import diagnosis, settings_rules, wiring
from daemon.alpaca.client import open_session
from daemon.backoff import seeded_jitter
from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson, StateDir, print_json, print_page, settings_here
from daemon.diagnosis import Finding, Level, VenueSeen
from daemon.embedded import ExchangeIdentity, probe
from daemon.saved_state import StateFolder, state_folders
from daemon.settings import Settings
from daemon.settings_env import default_env_file
from daemon.sources import find_live
from daemon.tables import facts
from daemon.universe import UniverseChoice, choose_universe
from domain.errors import NotAuthorized, Refused, TradewindError, VenueError
from domain.instruments import Symbol
from domain.ports import Clock
from domain.snapshot import Snapshot
from risk.breakers import Level as BreakerLevel
from risk.breakers import Readings, levels
from risk.halts import causes_of

VENUE_S_MAX: Final = 20.0
"""How long all questions to the venue may take."""
CONNECTIONS_MAX: Final = 4
LEVEL_STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.WRONG: "bold red"}


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("doctor")(doctor_command)


def doctor_command(
    as_json: AsJson = False,
    show_settings: Annotated[
        bool, typer.Option("--settings", help="List every setting, secrets masked.")
    ] = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Check settings, keys, venue, prices, limits in dollars, state and strategies.

    Exits 0 when nothing is wrong, 1 when something is, 4 when the settings cannot be used.
    """
    settings = settings_here(env_file, state_dir)
    choice = choose_universe(settings)
    findings = list(_findings(settings, choice, env_file))
    is_wrong = diagnosis.worst(findings) is Level.WRONG
    if as_json:
        print_json(
            {
                "ok": not is_wrong,
                "findings": [
                    {"subject": f.subject, "level": f.level.value, "text": f.text} for f in findings
                ],
                "settings": settings.shown(),
                "symbols": list(choice.universe.symbols),
            }
        )
    else:
        _print(settings, findings, show_settings=show_settings)
    if is_wrong:
        raise typer.Exit(1)


def _print(settings: Settings, findings: list[Finding], *, show_settings: bool) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for finding in findings:
        level = Text(finding.level.value, style=LEVEL_STYLES[finding.level])
        grid.add_row(level, finding.subject, finding.text)
    count = sum(1 for f in findings if f.level is Level.WRONG)
    verdict = "Nothing is wrong." if not count else f"{count} to be put right."
    shown = [Text(""), facts(settings.shown())] if show_settings else []
    heading = f"{settings.venue} · state {settings.state_dir}"
    print_page(heading, Group(grid, *shown, Text(""), Text(verdict, style="bold")))


def _findings(
    settings: Settings, choice: UniverseChoice, env_file: Path | None
) -> Iterator[Finding]:
    path = env_file or default_env_file(Path.cwd())
    mode = stat.S_IMODE(path.stat().st_mode) if path is not None else None
    yield from diagnosis.of_settings(settings, mode)
    for note in choice.notes:
        yield Finding(subject="universe", level=Level.NOTE, text=note)
    yield Finding(subject="universe", level=Level.OK, text=f"{len(choice.universe)} symbols")
    seen = asyncio.run(look_at_venue(settings, choice.universe.symbols))
    yield from diagnosis.of_venue(settings, seen)
    yield from diagnosis.of_data(settings, choice.universe, seen)
    snapshot, found = _state(settings)
    equity_usd, where_from = _equity(settings, seen, snapshot)
    yield from diagnosis.of_limits(settings, choice.universe, equity_usd, where_from)
    yield from diagnosis.of_breakers(_breakers(settings, snapshot))
    prices_usd = seen.quotes_usd or diagnosis.saved_prices_usd(snapshot)
    yield from diagnosis.of_share_prices(settings, equity_usd, prices_usd)
    yield from diagnosis.of_strategies(settings, settings_rules.discover_strategies(settings))
    yield from found
    if snapshot is not None:
        yield from diagnosis.of_saved(snapshot)
    yield _instance(settings)


def _breakers(settings: Settings, snapshot: Snapshot | None) -> tuple[BreakerLevel, ...]:
    held = causes_of(snapshot.trading) if snapshot is not None else ()
    return levels(Readings(), settings_rules.armed_limits(settings), held)


def _equity(settings: Settings, seen: VenueSeen, snapshot: Snapshot | None) -> tuple[Decimal, str]:
    if seen.equity_usd is not None:
        if settings.venue == "paper" and seen.equity_usd > settings.initial_capital:
            return settings.initial_capital, "INITIAL_CAPITAL caps what is sized by"
        return seen.equity_usd, "the account's now"
    if snapshot is not None and snapshot.last_decision is not None:
        return snapshot.last_decision.equity_usd, "at the last decision"
    return settings.initial_capital, "INITIAL_CAPITAL: no account is known yet"


# --- the state directory, and who uses it --------------------------------------------------------


def _state(settings: Settings) -> tuple[Snapshot | None, list[Finding]]:
    """Return the newest saved state and what is to be said of all of them."""
    root = settings.state_dir
    found = [_root(root)]
    newest: Snapshot | None = None
    for folder in state_folders(root, settings.venue):
        try:
            snapshot = folder.load()
        except Refused as fault:
            found.append(Finding(subject="state", level=Level.WRONG, text=str(fault)))
            continue
        if snapshot is None:
            continue
        newest = newest or snapshot
        found.append(Finding(subject="state", level=Level.OK, text=_described(folder, snapshot)))
    return newest, found


def _root(root: Path) -> Finding:
    if not root.exists():
        text = f"{root}: not there yet; the first start makes it"
        return Finding(subject="state", level=Level.OK, text=text)
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        text = f"{root}: cannot be read and written by this user (owner uid {root.stat().st_uid})"
        return Finding(subject="state", level=Level.WRONG, text=text)
    if root.stat().st_uid != os.getuid():
        text = f"{root}: belongs to uid {root.stat().st_uid}, not to us ({os.getuid()})"
        return Finding(subject="state", level=Level.NOTE, text=text)
    return Finding(subject="state", level=Level.OK, text=f"{root}: readable, writable and ours")


def _described(folder: StateFolder, snapshot: Snapshot) -> str:
    holder = folder.holder()
    used = f"in use by process {holder}" if holder else "not in use"
    return (
        f"{folder.path}: saved {snapshot.saved_at:%Y-%m-%d %H:%M} UTC, "
        f"{len(snapshot.portfolio.positions)} positions, trading "
        f"{snapshot.trading.state.value}; {used}"
    )


def _instance(settings: Settings) -> Finding:
    live = find_live(settings)
    if live is not None:
        return Finding(subject="daemon", level=Level.OK, text=live.heading())
    address = (settings.http_host, settings.http_port)
    if settings.http_port and _is_taken(address):
        text = f"port {address[1]} on {address[0]} is taken by another program; set HTTP_PORT"
        return Finding(subject="daemon", level=Level.WRONG, text=text)
    return Finding(subject="daemon", level=Level.OK, text="not running; its port is free")


def _is_taken(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1.0):
            return True
    except OSError:
        return False


# --- the venue -----------------------------------------------------------------------------------


async def look_at_venue(settings: Settings, symbols: tuple[Symbol, ...]) -> VenueSeen:
    """Return what the venue answers within VENUE_S_MAX; nothing is changed there."""
    async with open_session(CONNECTIONS_MAX) as session:
        try:
            async with asyncio.timeout(VENUE_S_MAX):
                identity = None
                if settings.venue == "embedded":
                    identity = await probe(session, settings.exchange_url.rstrip("/"))
                    if identity is None:
                        text = f"no exchange at {settings.exchange_url} yet; a start brings it up"
                        return VenueSeen(problem=text, is_down=True)
                clock, pace = wiring.venue_time(identity)
                connection = wiring.connect(
                    settings, session, clock=clock, pace=pace, jitter=seeded_jitter(settings.seed)
                )
                return await _asked(settings, connection, clock, symbols, identity)
        except TimeoutError:
            return VenueSeen(problem=f"the venue did not answer within {VENUE_S_MAX:.0f} s")
        except NotAuthorized as fault:
            return VenueSeen(problem=f"the keys are not accepted ({fault}); make new paper keys")
        except TradewindError as fault:
            return VenueSeen(problem=str(fault))


async def _asked(
    settings: Settings,
    connection: wiring.Connection,
    clock: Clock,
    symbols: tuple[Symbol, ...],
    identity: ExchangeIdentity | None,
) -> VenueSeen:
    account = await connection.broker.account()
    before = clock.now()
    told = await connection.broker.clock()
    middle = before + (clock.now() - before) / 2
    skew_s = (told.at - middle).total_seconds() / (identity.speed if identity else 1.0)
    quotes: dict[Symbol, float] = {}
    data_problem = ""
    try:
        fetched = await connection.prices.fetch(symbols, max_age_s=0.0)
        quotes = {symbol: quote.mid_usd for symbol, quote in fetched.items()}
    except VenueError as fault:
        data_problem = str(fault)
    where = settings.exchange_url if identity else wiring.PAPER_TRADING_URL
    what = f"market {identity.market}, {identity.speed:g}× time" if identity else "Alpaca paper"
    return VenueSeen(
        description=f"{where} answers: {what}",
        account_id=account.account_id,
        equity_usd=account.equity_usd,
        is_blocked=account.is_blocked,
        skew_s=None if identity and identity.lockstep else skew_s,
        is_open=told.is_open,
        next_open_at=told.next_open_at,
        quotes_usd=quotes,
        data_problem=data_problem,
    )

"""Commands that read: what is held, done and thought, from the daemon or its saved state."""

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import RenderableType
from rich.text import Text

from daemon import explaining, tables, views
from daemon.api_client import Document
from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson, StateDir, print_json, print_page, say, settings_here
from daemon.settings import Settings
from daemon.sources import Source, find_source
from daemon.tables_why import explained, why_not_page
from domain.errors import TradewindError
from domain.snapshot import RECENT_FILLS_MAX

ROWS_SHOWN = 40
"""Orders and fills shown to a person unless --limit says otherwise; JSON holds all."""
CSV_COLUMNS = (
    "filled_at",
    "symbol",
    "side",
    "quantity_shares",
    "price_usd",
    "fee_usd",
    "client_order_id",
    "fill_id",
)
Limit = Annotated[int | None, typer.Option(min=1, max=1000, help="The newest rows only.")]


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("status")(status_command)
    app.command("positions")(positions_command)
    app.command("orders")(orders_command)
    app.command("fills")(fills_command)
    app.command("signals")(signals_command)
    app.command("risk")(risk_command)
    app.command("why-not")(why_not_command)
    app.command("explain")(explain_command)


# --- one document each ---------------------------------------------------------------------------


def status_command(
    as_json: AsJson = False, state_dir: StateDir = None, env_file: EnvFile = None
) -> None:
    """Show equity, profit, exposure, trading state and the last decision."""
    _show("status", tables.status, settings_here(env_file, state_dir), as_json=as_json)


def positions_command(
    as_json: AsJson = False, state_dir: StateDir = None, env_file: EnvFile = None
) -> None:
    """Show what is held, by symbol and book."""
    _show("positions", tables.positions, settings_here(env_file, state_dir), as_json=as_json)


def orders_command(
    as_json: AsJson = False,
    limit: Limit = None,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Show working and finished orders, newest first."""
    settings = settings_here(env_file, state_dir)
    rows = limit if as_json else limit or ROWS_SHOWN
    _show("orders", tables.orders, settings, as_json=as_json, limit=rows)


def signals_command(
    as_json: AsJson = False, state_dir: StateDir = None, env_file: EnvFile = None
) -> None:
    """Show every strategy's latest opinion of every symbol."""
    _show("signals", tables.signals, settings_here(env_file, state_dir), as_json=as_json)


def risk_command(
    as_json: AsJson = False, state_dir: StateDir = None, env_file: EnvFile = None
) -> None:
    """Show trading state, losses, exposure by sector against its caps, and denials."""
    settings = settings_here(env_file, state_dir)
    caps = {sector.value: str(cap) for sector, cap in settings.sector_caps.items()}
    _show("risk", lambda document: tables.risk(document, caps), settings, as_json=as_json)


def _show(
    name: str,
    body: Callable[[Document], RenderableType],
    settings: Settings,
    *,
    as_json: bool,
    limit: int | None = None,
) -> None:
    source = find_source(settings)
    document = source.document(name, limit)
    if as_json:
        print_json(document)
    else:
        print_page(source.heading(), _body(document, body))


def _body(document: Document, body: Callable[[Document], RenderableType]) -> RenderableType:
    return Text("Nothing to show yet.") if document.get("saved") is False else body(document)


# --- fills ---------------------------------------------------------------------------------------


def fills_command(
    as_json: AsJson = False,
    csv_file: Annotated[
        str | None, typer.Option("--csv", help="Write CSV to this file, or - for the output.")
    ] = None,
    limit: Limit = None,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Show what was bought and sold, oldest first."""
    settings = settings_here(env_file, state_dir)
    if csv_file is None:
        rows = limit if as_json else limit or ROWS_SHOWN
        _show("fills", tables.fills, settings, as_json=as_json, limit=rows)
        return
    if as_json:
        raise typer.BadParameter("write --csv or --json, not both")
    fills = find_source(settings).document("fills", limit)["fills"]
    if csv_file == "-":
        _write_csv(sys.stdout, fills)
        return
    try:
        with Path(csv_file).open("w", newline="", encoding="utf-8") as file:
            _write_csv(file, fills)
    except OSError as fault:
        raise TradewindError(f"{csv_file} cannot be written: {fault.strerror}") from fault
    capped = f" (the latest {RECENT_FILLS_MAX:,})" if len(fills) == RECENT_FILLS_MAX else ""
    say(f"{len(fills)} fills{capped} written to {csv_file}")


def _write_csv(file: TextIO, fills: list[Document]) -> None:
    writer = csv.DictWriter(file, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(fills)


# --- why, and why not ----------------------------------------------------------------------------


def why_not_command(
    symbol: Annotated[str, typer.Argument(help="Such as AAPL.")],
    at: Annotated[
        str | None, typer.Option("--at", help="The decision at or before this instant (UTC).")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Say why a symbol was not ordered: signals, target, and everything that stood in the way."""
    settings = settings_here(env_file, state_dir)
    source = find_source(settings)
    symbol = symbol.upper()
    decision = source.document("decisions") if at is None else _decision_at(source, symbol, at)
    if decision.get("slot_at") is None:
        if as_json:
            print_json({**decision, "symbol": symbol, "outcome": None})
        else:
            print_page(source.heading(), Text("Nothing has been decided yet."))
        return
    try:
        answer = explaining.why_not(decision, symbol)
    except LookupError as fault:
        near = get_close_matches(symbol, [row["symbol"] for row in decision["outcomes"]], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise typer.BadParameter(f"{symbol} is not in the universe{hint}") from fault
    status = source.document("status")
    answer |= {key: status[key] for key in ("trading_state", "cause", "resumes", "benched")}
    answer |= {"quarantined": status["quarantined"].get(symbol, ""), "running": source.is_running}
    if as_json:
        print_json(answer)
    else:
        print_page(source.heading(), why_not_page(answer))


def _decision_at(source: Source, symbol: str, at: str) -> Document:
    instant = _instant(at)
    if source.folder is None:
        raise TradewindError("earlier decisions are in the journal, which is not on this machine")
    records = source.folder.journal().records
    found = explaining.decision_at(records, symbol, instant)
    if found is None:
        reach = f"{records[0].at:%Y-%m-%d %H:%M} UTC" if records else "now: it is empty"
        raise TradewindError(
            f"no decision on {symbol} at or before {instant:%Y-%m-%d %H:%M:%S} UTC is in the "
            f"journal, which begins at {reach}"
        )
    only = replace(found, outcomes={k: v for k, v in found.outcomes.items() if k == symbol})
    return views.decision(only)


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as fault:
        raise typer.BadParameter(
            f"{text!r} is no instant; write 2026-01-05T14:40 (UTC)", param_hint="--at"
        ) from fault
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def explain_command(
    order: Annotated[str, typer.Argument(help="Its id (client or venue), or its beginning.")],
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """Show an order's whole lineage: decision, approval, submission, news, fills."""
    source = find_source(settings_here(env_file, state_dir))
    records = source.folder.journal().records if source.folder else ()
    found = explaining.lineage(records, source.document("orders").get("orders", ()), order)
    if as_json:
        print_json({"running": source.is_running, **found})
    else:
        print_page(source.heading(), explained(found))

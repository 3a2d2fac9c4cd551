"""Documents of /api/v1 as tables for people: numbers to the right, every figure with its unit."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from daemon.api_client import Document
from daemon.words import instant, percent, signed_usd, strength, usd

PIPE_COLUMNS = 160
"""Width when the output is no terminal: wide enough that nothing is cut."""
TABLE_COLUMNS_MAX = 140
"""Wider terminals do not make a table easier to read."""
STATE_STYLES = {"ACTIVE": "bold green", "REDUCING": "bold yellow", "HALTED": "bold red"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading with the unit, and how a row's value is written."""

    heading: str
    write: Callable[[Document], str | Text]
    is_number: bool = False
    wraps: bool = False


def console_for(stream: TextIO | None = None) -> Console:
    """Return where tables are printed; no colours and a fixed width off a terminal."""
    stream = stream or sys.stdout
    is_terminal = stream.isatty()
    # What is printed holds brackets and colons of its own: neither is markup.
    console = Console(
        file=stream, highlight=False, markup=False, emoji=False, no_color=not is_terminal
    )
    console.width = min(console.width, TABLE_COLUMNS_MAX) if is_terminal else PIPE_COLUMNS
    return console


def table(rows: Iterable[Document], columns: Sequence[Column], *, empty: str) -> RenderableType:
    """Return rows under headings, or the `empty` sentence when there are none."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
        )
    for row in rows:
        grid.add_row(*(column.write(row) for column in columns))
    return grid if grid.row_count else Text(empty)


def facts(pairs: Mapping[str, str | Text]) -> RenderableType:
    """Return names and what they are, one a line; empty ones are left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        if value:
            grid.add_row(name, value)
    return grid


def _at(key: str) -> Callable[[Document], str]:
    return lambda row: instant(row[key])


def _text(key: str) -> Callable[[Document], str]:
    return lambda row: str(row[key] or "")


def _usd(key: str) -> Callable[[Document], str]:
    return lambda row: usd(row[key])


def _books(row: Document) -> str:
    return ", ".join(f"{name} {shares}" for name, shares in row["books"].items())


# --- what is held and done -----------------------------------------------------------------------


def state_text(status: Document) -> Text:
    """Return the trading state, and while it is not ACTIVE why and what to do."""
    state = str(status["trading_state"])
    text = Text(state, style=STATE_STYLES.get(state, "bold"))
    if state != "ACTIVE":
        text.append(f" since {instant(status['trading_state_since'])}", style="not bold")
        for name in ("cause", "evidence", "action", "resumes"):
            if status.get(name):
                text.append(f"\n{name}: {status[name]}", style="not bold default")
    return text


def status(document: Document) -> RenderableType:
    """Return the one-page answer to "how is it doing?"."""
    exposure, tripped = document["exposure"], document["breakers_tripped"]
    sectors = sorted(exposure["sectors"].items(), key=lambda kv: -float(kv[1]))
    return facts(
        {
            "Trading": state_text(document),
            "Breakers": "tripped: " + ", ".join(tripped) if tripped else "armed",
            "Equity": f"{usd(document['equity_usd'])}, cash {usd(document['cash_usd'])}",
            "Today": signed_usd(document["profit_today_usd"]),
            "Drawdown": f"{percent(document['drawdown'])} below the peak",
            "Exposure": f"gross {percent(exposure['gross'])}, net {percent(exposure['net'])} of "
            "equity",
            "Sectors": ", ".join(f"{name} {percent(share)}" for name, share in sectors),
            "Positions": f"{document['positions']}, orders working {document['working_orders']}",
            "Decision": document["last_decision"],
            "Benched": _lines(document["benched"]),
            "Quarantined": _lines(document["quarantined"]),
            "As of": instant(document["as_of"]),
        }
    )


def _lines(reasons: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {reason}" for name, reason in reasons.items())


def positions(document: Document) -> RenderableType:
    """Return every position, the largest first."""
    rows = sorted(document["positions"], key=lambda row: -abs(float(row["value_usd"])))
    columns = (
        Column("Symbol", _text("symbol")),
        Column("Shares", _text("quantity_shares"), is_number=True),
        Column("Entry", _usd("average_entry_usd"), is_number=True),
        Column("Mark", _usd("mark_usd"), is_number=True),
        Column("Value", _usd("value_usd"), is_number=True),
        Column("Profit", lambda row: signed_usd(row["profit_usd"]), is_number=True),
        Column("Sector", _text("sector")),
        Column("Books (shares)", _books, wraps=True),
    )
    return table(rows, columns, empty="No positions.")


def orders(document: Document) -> RenderableType:
    """Return orders, newest first."""
    columns = (
        Column("Intended", _at("intended_at")),
        Column("Symbol", _text("symbol")),
        Column("Side", _text("side")),
        Column("Shares", _text("quantity_shares"), is_number=True),
        Column("Filled", _text("filled_shares"), is_number=True),
        Column("Average", lambda row: usd(row["filled_average_usd"]), is_number=True),
        Column("Terms (USD)", lambda row: f"{row['terms']} {row['time_in_force']}"),
        Column("Leg", _text("leg")),
        Column("Status", lambda row: _with_reason(row["status"], row["reason"]), wraps=True),
        Column("Order", _text("client_order_id")),
    )
    return table(document["orders"], columns, empty="No orders.")


def _with_reason(word: str, reason: str) -> str:
    return f"{word}: {reason}" if reason else word


def fills(document: Document) -> RenderableType:
    """Return fills, oldest first."""
    columns = (
        Column("Filled", _at("filled_at")),
        Column("Symbol", _text("symbol")),
        Column("Side", _text("side")),
        Column("Shares", _text("quantity_shares"), is_number=True),
        Column("Price", _usd("price_usd"), is_number=True),
        Column("Fee", _usd("fee_usd"), is_number=True),
        Column("Order", _text("client_order_id")),
    )
    return table(document["fills"], columns, empty="No fills.")


def signals(document: Document) -> RenderableType:
    """Return the latest opinion of every strategy on every symbol, the strongest first."""
    opinions: Mapping[str, Document] = document["opinions"]
    symbols = {symbol for opinion in opinions.values() for symbol in opinion["strengths"]}
    ranked = sorted(symbols, key=lambda s: (-_loudness(opinions, s), s))
    rows = [
        {"symbol": symbol, **{n: o["strengths"].get(symbol) for n, o in opinions.items()}}
        for symbol in ranked
    ]
    columns = [Column("Symbol", _text("symbol"))]
    columns += [
        Column(name, lambda row, name=name: strength(row[name]), is_number=True)  # type: ignore[misc]
        for name in opinions
    ]
    asked = {
        name: f"{opinion['timeframe']} bars of {instant(opinion['slot_at'])}, "
        f"{len(opinion['strengths'])} opinions"
        for name, opinion in opinions.items()
    }
    benched = {name: f"benched: {why}" for name, why in document.get("benched", {}).items()}
    note = Text("Strengths from -1 (sell) to +1 (buy); blank is no opinion.")
    body = table(rows, columns, empty="No opinions yet.")
    return Group(facts(asked | benched), note, body) if rows else Group(facts(benched), body)


def _loudness(opinions: Mapping[str, Document], symbol: str) -> float:
    return sum(abs(float(o["strengths"].get(symbol, 0.0))) for o in opinions.values())


def denials(rows: Iterable[Document]) -> RenderableType:
    """Return what the gate objected to at the last decision."""
    columns = (
        Column("Symbol", _text("symbol")),
        Column("Wanted", _text("wanted_shares"), is_number=True),
        Column("Allowed", _text("allowed_shares"), is_number=True),
        Column("Rule", _text("rule")),
        Column("Limit", _text("limit"), wraps=True),
        Column("Value", _text("value"), wraps=True),
        Column("Setting", _text("setting")),
    )
    return table(rows, columns, empty="Nothing was denied at the last decision.")


def breakers(rows: Iterable[Document]) -> RenderableType:
    """Return every circuit breaker with its limit, what is measured and what is left."""
    columns = (
        Column("Breaker", _text("breaker")),
        Column("Is", lambda row: "TRIPPED" if row["tripped"] else "armed"),
        Column("Value", _text("value"), wraps=True),
        Column("Headroom", _text("headroom"), wraps=True),
        Column("Setting", _text("setting")),
    )
    return table(rows, columns, empty="No circuit breakers are known.")


def risk(document: Document, caps: Mapping[str, str]) -> RenderableType:
    """Return state, losses, exposure against the caps (sector → share), and denials."""
    exposure = document["exposure"]
    counted = {
        name.removeprefix("denials."): count
        for name, count in document["counters"].items()
        if name.startswith("denials.")
    }
    sectors = [
        {"sector": name, "share": share, "cap": caps.get(name)}
        for name, share in sorted(exposure["sectors"].items(), key=lambda kv: -float(kv[1]))
    ]
    columns = (
        Column("Sector", _text("sector")),
        Column("Held of equity", lambda row: percent(row["share"]), is_number=True),
        Column("Cap set here", lambda row: percent(row["cap"]), is_number=True),
    )
    summary: dict[str, str | Text] = {
        "Trading": state_text(document),
        "Equity": usd(document["equity_usd"]),
        "Today": signed_usd(document["profit_today_usd"]),
        "Drawdown": f"{percent(document['drawdown'])} below the peak",
        "Exposure": f"gross {percent(exposure['gross'])}, net {percent(exposure['net'])}",
        "Denials so far": ", ".join(f"{rule} {count}" for rule, count in sorted(counted.items())),
        "Cooling down": ", ".join(
            f"{s} until {instant(t)}" for s, t in document["cooldowns"].items()
        ),
        "Quarantined": _lines(document["quarantined"]),
        "Benched": _lines(document["benched"]),
    }
    return Group(
        facts(summary),
        Text(""),
        breakers(document["breakers"]),
        Text(""),
        table(sectors, columns, empty="Nothing is held."),
        Text(""),
        denials(document["denials"]),
    )

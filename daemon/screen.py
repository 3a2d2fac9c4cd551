"""The terminal view as a page of text: a pure function of what is known and the window's size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath

from rich.text import Text

from daemon.api_client import Document
from daemon.screen_grid import (
    GAP,
    Cell,
    Page,
    Panel,
    column,
    fitted,
    rows_of,
    side_by_side,
    wrapped,
)
from daemon.words import day_and_time, percent, signed_usd, time_of_day, usd

COLUMNS_MIN, ROWS_MIN = 40, 12
"""A smaller window shows the upper left of this."""
STATE_STYLES = {
    "ACTIVE": "bold black on green",
    "REDUCING": "bold black on yellow",
    "HALTED": "bold white on red",
}
SIDE_STYLES = {"buy": "green", "sell": "magenta"}
NAMES_SHORT = {
    "Information Technology": "Technology",
    "Communication Services": "Communication",
    "Consumer Discretionary": "Discretionary",
    "Consumer Staples": "Staples",
}
NO_PROMISE = "synthetic profit means nothing"
NO_PROMISE_ON_PAPER = "paper money; the past promises nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What the header says of the market; empty while unknown."""

    market: str = ""
    pace: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Everything the page shows. `overview` is None until the daemon has answered once.

    `problem` says why what is shown may be old. `denials` are the latest, newest first.
    """

    overview: Document | None = None
    facts: MarketFacts = field(default_factory=MarketFacts)
    state_dir: str = ""
    denials: Sequence[Document] = ()
    notice: str = ""
    problem: str = ""
    how_to_stop: str = "q or Ctrl-C leaves; the daemon goes on"


def page(sight: Sight, width: int, height: int) -> Page:
    """Return the page for a window of `width` × `height` cells; exactly that large."""
    width, height = max(width, COLUMNS_MIN), max(height, ROWS_MIN)
    footer = _footer(sight, width)
    if sight.overview is None:
        waiting = Text(sight.problem or "Waiting for the daemon's first answer…", style="bold")
        lines = [fitted(waiting, width)]
        blank = [fitted(Text(""), width)] * (height - len(lines) - len(footer))
        return Page([*lines, *blank, *footer])
    header = _header(sight, sight.overview, width)
    body_height = height - len(header) - len(footer)
    body = _body(sight, sight.overview, width, body_height)
    return Page([*header, *body, *footer][:height])


# --- header and footer ---------------------------------------------------------------------------


def _header(sight: Sight, overview: Document, width: int) -> list[Text]:
    lines = [*_whose(sight, overview, width), *_state(overview, width)]
    lines.append(fitted(_money(overview, width), width))
    lines.append(fitted(_exposure(overview), width))
    decided = f"{time_of_day(overview['last_decision_at'])} {overview['last_decision']}".strip()
    return [*lines, *wrapped(decided, width, lines_max=2)]


def _whose(sight: Sight, overview: Document, width: int) -> list[Text]:
    facts = sight.facts
    name = Text("Tradewind ", style="bold")
    parts = [overview["venue"], f"account {overview['account_id']}", facts.pace, facts.market]
    name.append(" · ".join(part for part in parts if part), style="not bold")
    left = " · ".join(part for part in (day_and_time(overview["as_of"]), facts.phase) if part)
    room = width - len(left) - len(" · state ")
    place = f" · state {_tail(sight.state_dir, room)}" if room > 0 else ""
    return [fitted(name, width), fitted(Text(left + place), width)]


def _tail(path: str, room: int) -> str:
    """Return a path that fits, its beginning cut: the end tells accounts apart."""
    if len(path) <= room:
        return path
    name = PurePath(path).name
    return f"…{path[-(room - 1) :]}" if room > len(name) + 1 else f"…{name[-max(0, room - 1) :]}"


def _state(overview: Document, width: int) -> list[Text]:
    state = str(overview["trading_state"])
    if state == "ACTIVE":
        return []
    head = Text(f" {state} ", style=STATE_STYLES[state])
    head.append(
        f" {overview['evidence'] or overview['cause']}", style="not bold default on default"
    )
    action = f"{overview['action']}; resumes: {overview['resumes']}"
    return [fitted(head, width), *wrapped(action, width, lines_max=2, style="yellow")]


def _money(overview: Document, width: int) -> Text:
    state, today = str(overview["trading_state"]), Decimal(overview["profit_today_usd"])
    equity = Decimal(overview["equity_usd"])
    began = equity - today
    line = Text()
    if state == "ACTIVE":
        line.append(f" {state} ", style=STATE_STYLES[state])
        line.append(GAP)
    line.append(f"Equity {usd(equity)}", style="bold")
    line.append(f"{GAP}today ")
    share = f" ({percent(today / began)})" if began > 0 else ""
    line.append(f"{signed_usd(today)}{share}", style=_gain(today))
    line.append(f"{GAP}drawdown {percent(overview['drawdown'])}")
    return line


def _exposure(overview: Document) -> Text:
    exposure = overview["exposure"]
    parts = (
        f"Gross {percent(exposure['gross'])}",
        f"net {percent(exposure['net'])}",
        f"cash {usd(overview['cash_usd'])}",
        f"{overview['positions']} positions",
        f"{overview['working_orders']} orders working",
    )
    return Text(GAP.join(parts))


def _gain(amount: Decimal) -> str:
    if amount == 0:
        return ""
    return "green" if amount > 0 else "red"


def _footer(sight: Sight, width: int) -> list[Text]:
    is_paper = sight.overview is not None and sight.overview["venue"] == "paper"
    promise = NO_PROMISE_ON_PAPER if is_paper else NO_PROMISE
    lines = []
    if sight.problem and sight.overview is not None:
        lines.append(fitted(Text(sight.problem, style="bold white on red"), width))
    elif sight.notice:
        lines.append(fitted(Text(sight.notice, style="yellow"), width))
    keys = f"{sight.how_to_stop} · {promise}"
    return [*lines, fitted(Text(keys, style="dim"), width)]


# --- the panels ----------------------------------------------------------------------------------


def _body(sight: Sight, overview: Document, width: int, height: int) -> list[Text]:
    left_width = (width - len(GAP)) * 11 // 20
    right_width = width - len(GAP) - left_width
    left = (
        Panel(title="Positions", draw=lambda w: _positions(overview, w), rows_min=4, weight=3),
        Panel(title="Last orders", draw=lambda w: _orders(overview, w), rows_min=3, weight=2),
    )
    right = (
        Panel(title="Sectors", draw=lambda w: _sectors(overview, w), rows_min=3, weight=3),
        Panel(title="Strategies", draw=lambda w: _strategies(overview, w), rows_min=3, weight=4),
        Panel(title="Last fills", draw=lambda w: _fills(overview, w), rows_min=3, weight=3),
        Panel(title="Last denials", draw=lambda w: _denials(sight, w), rows_min=1, weight=3),
    )
    return side_by_side(column(left, left_width, height), column(right, right_width, height))


def _rows(rows: Sequence[Document], cells: Sequence[Cell], width: int, empty: str) -> list[Text]:
    return rows_of(rows, cells, width) if rows else [Text(empty, style="dim")]


def _profit_style(row: Document) -> str:
    return _gain(Decimal(row["profit_usd"])) if row["profit_usd"] is not None else ""


def _side_style(row: Document) -> str:
    return SIDE_STYLES.get(str(row["side"]), "")


def _signed_shares(row: Document) -> str:
    return f"{'+' if row['side'] == 'buy' else '-'}{row['quantity_shares']}"


def _positions(overview: Document, width: int) -> list[Text]:
    cells = (
        Cell("Symbol", lambda row: row["symbol"]),
        Cell("Shares", lambda row: row["quantity_shares"], is_number=True),
        Cell("Value", lambda row: usd(row["value_usd"]), is_number=True),
        Cell("Profit", lambda row: signed_usd(row["profit_usd"]), True, _profit_style),
        Cell("Mark", lambda row: usd(row["mark_usd"]), is_number=True),
        Cell("Entry", lambda row: usd(row["average_entry_usd"]), is_number=True),
        Cell("Sector", lambda row: _short(row["sector"])),
    )
    return _rows(overview["position_rows"], cells, width, "None yet.")


def _short(sector: str) -> str:
    return NAMES_SHORT.get(sector, sector)


def _orders(overview: Document, width: int) -> list[Text]:
    cells = (
        Cell("Time", lambda row: time_of_day(row["intended_at"])),
        Cell("Symbol", lambda row: row["symbol"]),
        Cell("Shares", _signed_shares, True, _side_style),
        Cell("Status", _status),
        Cell("Terms (USD)", lambda row: f"{row['terms']} {row['time_in_force']}"),
        Cell("Leg", lambda row: row["leg"]),
    )
    return _rows(overview["order_rows"], cells, width, "None yet.")


def _status(row: Document) -> str:
    words = str(row["status"]).replace("_", " ")
    if row["status"] == "partially_filled":
        return f"{row['filled_shares']} filled"
    return words


def _fills(overview: Document, width: int) -> list[Text]:
    cells = (
        Cell("Time", lambda row: time_of_day(row["filled_at"])),
        Cell("Symbol", lambda row: row["symbol"]),
        Cell("Shares", _signed_shares, True, _side_style),
        Cell("Price", lambda row: usd(row["price_usd"]), is_number=True),
    )
    return _rows(overview["fill_rows"], cells, width, "None yet.")


def _strategies(overview: Document, width: int) -> list[Text]:
    cells = (
        Cell("Book", _book, style=_bench_style),
        Cell("Opinions", lambda row: _count(row["opinions"]), is_number=True),
        Cell("Profit", lambda row: signed_usd(row["profit_usd"]), True, _profit_style),
        Cell("Bars", lambda row: row["benched"] or row["timeframe"] or "", style=_bench_style),
    )
    return _rows(overview["strategy_rows"], cells, width, "None asked yet.")


def _book(row: Document) -> str:
    return f"{row['name']} (benched)" if row["benched"] else str(row["name"])


def _bench_style(row: Document) -> str:
    return "bold red" if row["benched"] else ""


def _count(opinions: object) -> str:
    return "" if opinions is None else str(opinions)


def _sectors(overview: Document, width: int) -> list[Text]:
    sectors = sorted(overview["exposure"]["sectors"].items(), key=lambda kv: -float(kv[1]))
    if not sectors:
        return [Text("Nothing is held.", style="dim")]
    names = [_short(name) for name, _ in sectors]
    name_width = min(max(map(len, names)), max(8, width // 2))
    shares = [float(share) for _, share in sectors]
    widest = max(shares) or 1.0
    room = width - name_width - len(" 00.00 %  ") - 1
    lines = []
    for name, share in zip(names, shares, strict=True):
        line = Text(f"{name[:name_width]:<{name_width}} {percent(round(share, 4)):>8} ")
        line.append("█" * max(0, round(room * share / widest)), style="cyan")
        lines.append(line)
    return lines


def _denials(sight: Sight, width: int) -> list[Text]:
    lines = []
    for row in sight.denials:
        line = Text(f"{time_of_day(row['decided_at'])} ")
        line.append(f"{row['symbol']} ", style="bold")
        line.append(f"{row['rule']}: {row['value']} (limit {row['limit']})")
        lines.append(line)
    return lines or [Text("None yet.", style="dim")]

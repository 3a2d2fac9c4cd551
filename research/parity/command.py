"""`tradewind parity STATE_DIR`: the difference between live and backtest, part by part."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from daemon.commands.options import settings_of
from daemon.commands.printing import print_json, print_page, settings_here
from daemon.tables import Column, table
from daemon.tape_head import engine_of
from domain.errors import ConfigurationFault, Refused
from research.backtest.costs import Costs
from research.parity.comparing import Parity, compare
from research.parity.session import gather
from research.parity.splitting import Parts
from research.replay.sources import account_folder, open_run, runs_in

REST_MAX_USD = 0.01
"""More than this unexplained is an error of ours, not a finding."""
SYMBOLS_SHOWN = 12
PART_NAMES = ("data", "timing", "fill_price", "rounding", "missed_signal")
MEANINGS = {
    "data": "bars that came late or were missing when strategies were asked",
    "timing": "the price when we decided, against the bar's close",
    "fill_price": "what a fill cost against the price seen, here and there",
    "rounding": "whole shares, and what caps left of them",
    "missed_signal": "wishes that one side did not have, or that did not fill",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as given."""

    state_dir: Path
    run: int | None
    half_spread_bps: float | None
    impact_bps: float
    env_file: Path | None
    as_json: bool


def run_parity(options: Options) -> None:
    """Compare the latest run that began with cash alone, or the one named. Raises
    ConfigurationFault, and Refused when more than REST_MAX_USD stays unexplained."""
    settings_here(options.env_file, None)
    settings = settings_of(options.env_file)
    folder = account_folder(options.state_dir)
    number = options.run or _flat_run(folder)
    recorded = open_run(folder, *runs_in(folder, number))
    live = gather(engine_of(recorded.head), recorded.head, recorded)
    costs = Costs(half_spread_bps=options.half_spread_bps, impact_bps=options.impact_bps)
    parity = compare(live, settings, costs)
    if options.as_json:
        print_json({"run": number, **_document(parity)})
    else:
        print_page(f"Parity of run {number} in {folder}", _page(parity))
    if abs(parity.rest_usd) >= REST_MAX_USD:
        raise Refused(
            f"{parity.rest_usd:.2f} USD are unexplained: fills are missing from the tape, or the "
            "account was touched from outside"
        )


def _flat_run(folder: Path) -> int:
    """Return the latest run that began with cash alone."""
    for number in reversed(runs_in(folder, None)):
        if not open_run(folder, number).head.snapshot.portfolio.positions:
            return number
    raise ConfigurationFault(
        f"{folder}: every run on the tape began with positions, and a backtest begins with cash"
    )


def _document(parity: Parity) -> dict[str, Any]:
    return {
        "sessions": parity.sessions,
        "slots_live": parity.slots_live,
        "slots_backtest": parity.slots_backtest,
        "late_bars": parity.late_bars,
        "fills_live": parity.fills_live,
        "fills_backtest": parity.fills_backtest,
        "live_usd": parity.live_usd,
        "backtest_usd": parity.backtest_usd,
        "difference_usd": parity.difference_usd,
        "parts_usd": asdict(parity.parts),
        "rest_usd": parity.rest_usd,
        "by_symbol_usd": {symbol: asdict(parts) for symbol, parts in parity.by_symbol.items()},
    }


def _page(parity: Parity) -> Group:
    rows: list[dict[str, Any]] = [
        {"part": name.replace("_", " "), "usd": getattr(parity.parts, name), "is": MEANINGS[name]}
        for name in PART_NAMES
    ]
    rows.append({"part": "rest", "usd": parity.rest_usd, "is": "unexplained"})
    columns = (
        Column("Part", lambda row: str(row["part"])),
        Column("USD", lambda row: f"{row['usd']:,.2f}", is_number=True),
        Column("What it is", lambda row: str(row["is"]), wraps=True),
    )
    return Group(
        Text(
            f"{parity.sessions} sessions, {parity.slots_live} slots live and "
            f"{parity.slots_backtest} in the backtest; {parity.fills_live} and "
            f"{parity.fills_backtest} fills; {parity.late_bars} bars came late"
        ),
        Text(
            f"Live {parity.live_usd:,.2f} USD, backtest {parity.backtest_usd:,.2f} USD: "
            f"{parity.difference_usd:+,.2f}",
            style="bold",
        ),
        Text(""),
        table(rows, columns, empty=""),
        Text(""),
        table(_symbols(parity), _symbol_columns(), empty="No orders."),
    )


def _symbols(parity: Parity) -> Sequence[dict[str, Any]]:
    most = sorted(parity.by_symbol.items(), key=lambda item: -abs(item[1].total))
    return [{"symbol": symbol, "parts": parts} for symbol, parts in most[:SYMBOLS_SHOWN]]


def _symbol_columns() -> tuple[Column, ...]:
    def shown(name: str) -> Column:
        def value(row: Any) -> str:
            parts: Parts = row["parts"]
            return f"{getattr(parts, name):,.2f}"

        return Column(name.replace("_", " "), value, is_number=True)

    return (
        Column("Symbol", lambda row: str(row["symbol"])),
        *(shown(name) for name in PART_NAMES if name != "data"),
        shown("total"),
    )

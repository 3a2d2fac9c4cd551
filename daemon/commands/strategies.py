"""Commands about strategies: what there is, whether one keeps its contract, a new one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from daemon import settings_rules, tables
from daemon.api_client import Document
from daemon.commands.options import EnvFile
from daemon.commands.printing import AsJson, StateDir, print_json, print_page, settings_here
from daemon.registry import Discovery, EnlistedStrategy, Raised, attempt, make
from daemon.settings import Settings
from daemon.sources import find_source
from daemon.strategy_check import CheckResult, ReplayedOrder, check_strategy, replay_session
from daemon.strategy_specs import StrategySpec, parse_specs
from daemon.strategy_template import write_template
from daemon.tables import Column, table
from daemon.views import instant
from daemon.words import strength, time_of_day, usd
from domain.errors import ConfigurationFault
from domain.ports import Strategy

ORDERS_SHOWN = 20
"""Orders of the replayed session that a person is shown; JSON holds all."""
STATE_STYLES = {"enabled": "green", "shadow": "dim", "benched": "bold red"}


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="List strategies, or check one.", invoke_without_command=True)
    group.callback()(strategies_command)
    group.command("check")(check_command)
    app.add_typer(group, name="strategies")
    app.command("new-strategy")(new_strategy_command)


# --- what there is -------------------------------------------------------------------------------


def strategies_command(
    context: typer.Context,
    as_json: AsJson = False,
    state_dir: StateDir = None,
    env_file: EnvFile = None,
) -> None:
    """List strategies: enabled, in shadow, benched, and files that do not load."""
    if context.invoked_subcommand is not None:
        return
    settings = settings_here(env_file, state_dir)
    discovery = settings_rules.discover_strategies(settings)
    enlisted = settings_rules.enlist_strategies(settings, discovery)
    source = find_source(settings)
    benched: Mapping[str, str] = source.document("status").get("benched", {})
    rows = [_row(e, discovery, benched) for e in enlisted.values()]
    errors = [{"path": str(e.path), "reason": e.reason} for e in discovery.errors]
    if as_json:
        print_json({"running": source.is_running, "strategies": rows, "load_errors": errors})
    else:
        print_page(source.heading(), _listed(rows, errors, settings))


def _row(enlisted: EnlistedStrategy, discovery: Discovery, benched: Mapping[str, str]) -> Document:
    file = discovery.files[enlisted.spec.kind]
    strategy = enlisted.strategy
    state = "shadow" if enlisted.in_shadow else "enabled"
    if enlisted.abstains:
        state = f"abstains: {enlisted.abstains}"
    if enlisted.name in benched:
        state = "benched"
    return {
        "name": enlisted.name,
        "state": state,
        "benched": benched.get(enlisted.name, ""),
        "abstains": enlisted.abstains,
        "timeframe": strategy.timeframe.value,
        "lookback_bars": strategy.lookback_bars,
        "weight": 0.0 if enlisted.in_shadow else enlisted.spec.weight,
        "parameters": {name: _plain(getattr(strategy, name)) for name in file.parameters},
        "heavy": enlisted.heavy,
        "summary": file.summary,
        "path": str(file.path),
    }


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _listed(
    rows: Sequence[Document], errors: Sequence[Document], settings: Settings
) -> RenderableType:
    columns = (
        Column("Name", lambda row: str(row["name"])),
        Column("State", _state, wraps=True),
        Column("Bars", lambda row: str(row["timeframe"])),
        Column("Look-back (bars)", lambda row: str(row["lookback_bars"]), is_number=True),
        Column("Weight", lambda row: f"{row['weight']:g}", is_number=True),
        Column("Parameters", _parameters, wraps=True),
        Column("What it does", lambda row: str(row["summary"]), wraps=True),
    )
    listed = table(rows, columns, empty="No strategies found.")
    note = (
        f"Combined by {settings.combination}. A file not named in STRATEGIES runs in shadow: "
        f"heard, never traded. Your own go to {settings.strategies_dir}."
    )
    broken = {e["path"]: Text(e["reason"], style="red") for e in errors}
    if not broken:
        return Group(listed, Text(""), Text(note))
    faults = tables.facts(broken)
    return Group(listed, Text(""), Text("Did not load:", style="bold red"), faults, Text(note))


def _state(row: Document) -> Text:
    text = f"benched ({row['benched']})" if row["benched"] else str(row["state"])
    return Text(text, style=STATE_STYLES.get(str(row["state"]), ""))


def _parameters(row: Document) -> str:
    shown = {name: v for name, v in row["parameters"].items() if name != "timeframe"}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


# --- checking one --------------------------------------------------------------------------------


def check_command(
    name: Annotated[
        str, typer.Argument(help="A strategy, or one with parameters: rsi_reversion(period=7).")
    ],
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the session replayed.")] = 1,
    env_file: EnvFile = None,
) -> None:
    """Check that a strategy keeps its contract, and show what it would order in one session."""
    settings = settings_here(env_file, None)
    strategy = _strategy_named(name, settings)
    results = check_strategy(strategy)
    passed = all(result.passed for result in results)
    replayed = attempt(lambda: replay_session(strategy, seed=seed)) if passed else []
    orders = [] if isinstance(replayed, Raised) else replayed
    if isinstance(replayed, Raised):
        detail = f"raised {replayed}"
        results.append(CheckResult(name="replays one session", passed=False, detail=detail))
        passed = False
    if as_json:
        print_json(_checked_document(name, results, orders))
    else:
        heading = f"{name} · {strategy.timeframe.value} bars, look-back {strategy.lookback_bars}"
        print_page(heading, _checked(results, orders))
    if not passed:
        raise typer.Exit(1)


def _strategy_named(name: str, settings: Settings) -> Strategy:
    """Return the strategy of a name in STRATEGIES, of a file, or of a spec with parameters."""
    discovery = settings_rules.discover_strategies(settings)
    enabled = {spec.name: spec for spec in settings.strategies}
    if name in enabled:
        spec = enabled[name]
    elif name in discovery.files:
        spec = StrategySpec(name=name, kind=name)
    else:
        specs = parse_specs(name)
        if len(specs) != 1:
            raise ConfigurationFault(f"{name}: name one strategy")
        spec = specs[0]
    return make(spec, discovery, bar_timeframe=settings.bar_timeframe)


def _checked_document(
    name: str, results: Sequence[CheckResult], orders: Sequence[ReplayedOrder]
) -> Document:
    return {
        "strategy": name,
        "passed": all(r.passed for r in results),
        "checks": [{"name": r.name, "passed": r.passed, "detail": r.detail} for r in results],
        "orders": [_order_row(o) for o in orders],
    }


def _order_row(order: ReplayedOrder) -> Document:
    return {
        "slot_at": instant(order.slot_at),
        "symbol": order.symbol,
        "action": order.action.value,
        "strength": round(order.strength, 6),
        "price_usd": round(order.price_usd, 4),
    }


def _checked(results: Sequence[CheckResult], orders: Sequence[ReplayedOrder]) -> RenderableType:
    lines = [
        Text.assemble(
            ("pass  ", "green") if r.passed else ("FAIL  ", "bold red"),
            r.name,
            f": {r.detail}" if r.detail else "",
        )
        for r in results
    ]
    columns = (
        Column("Slot (New York)", lambda row: time_of_day(row["slot_at"])),
        Column("Symbol", lambda row: str(row["symbol"])),
        Column("Action", lambda row: str(row["action"])),
        Column("Strength", lambda row: strength(row["strength"]), is_number=True),
        Column("Price", lambda row: usd(row["price_usd"]), is_number=True),
    )
    shown = [_order_row(o) for o in orders[:ORDERS_SHOWN]]
    more = len(orders) - len(shown)
    parts: list[RenderableType] = [*lines, Text("")]
    if all(r.passed for r in results):
        parts.append(Text(f"One made-up session: {len(orders)} orders it alone would have placed."))
        parts.append(table(shown, columns, empty="None."))
    if more:
        parts.append(Text(f"… and {more} more; --json shows all."))
    return Group(*parts)


# --- a new one -----------------------------------------------------------------------------------


def new_strategy_command(
    name: Annotated[str, typer.Argument(help="Lower case, such as my_breakout.")],
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Write a working strategy into your folder, to be changed."""
    folder: Path = settings_here(env_file, None).strategies_dir
    path = write_template(folder, name)
    if as_json:
        print_json({"path": str(path), "name": name})
        return
    print_page(
        f"Wrote {path}",
        Text(
            f"Check it:   tradewind strategies check {name}\n"
            f"Watch it:   it runs in shadow from the next start on, heard and never traded\n"
            f"Trade it:   name it in .env: STRATEGIES=...,{name}"
        ),
    )

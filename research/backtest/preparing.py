"""From settings and files to a backtest: the daemon's own wiring, on a history's universe."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from daemon import settings_rules
from daemon.engine import EngineParts
from daemon.engine.rules import EngineRules, OrderStyle
from daemon.registry import EnlistedStrategy, enlist
from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec
from daemon.universe import LEVERAGED_OR_INVERSE, load_universe
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.instruments import (
    UNIVERSE_COLUMNS,
    Instrument,
    Kind,
    Sector,
    Symbol,
    Tier,
    Universe,
    parse_sector,
    parse_universe,
    unclassified,
)
from exchange.markets.bar_files import read_bar_files
from research.backtest.actions import with_actions
from research.backtest.costs import Costs, FillAt
from research.backtest.history import History, load_history
from research.backtest.playing import Plan, Player
from risk.view import AssetRights

SESSION_S = 24 * 3600.0
"""Longer than any session."""
FUND_CLASSES: Mapping[str, Sector] = {
    "fixed income": Sector.BONDS,
    "commodity": Sector.GOLD,
    "broad/international equity": Sector.UNCLASSIFIED,
}
"""Classes of funds in symbol lists, beside the GICS names. Funds are held under the cap on ETFs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for. `first`/`last` are days, None = as far as the file goes."""

    data: Path
    specs: tuple[StrategySpec, ...]
    costs: Costs
    first: date | None = None
    last: date | None = None
    symbols: tuple[str, ...] = ()
    universe: Path | None = None
    resumes_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A backtest ready to run, and what the manifest says of it."""

    history: History
    parts: EngineParts
    plan: Plan
    notes: tuple[str, ...]

    def player(self) -> Player:
        """Return the run, its panels filled with the bars before the first session."""
        return Player(self.history, self.parts, self.plan)


def prepare(request: Request, settings: Settings) -> Prepared:
    """Return the backtest of a request. Raises ConfigurationFault for whatever cannot be used."""
    files = read_bar_files(request.data)
    held = sorted({symbol for file in files for symbol in file.symbols})
    is_daily = files[0].is_daily
    universe, notes = universe_of(held, request, settings)
    base = Timeframe.DAY if is_daily else settings.bar_timeframe
    enlisted = _enlisted(request.specs, settings, base, is_daily)
    rules = _rules(settings, enlisted, universe, base)
    if request.costs.fill_at is FillAt.CLOSE:
        # Market on close: an order waits for the auction, and nobody prices it anew meanwhile.
        rules = replace(rules, order_style=OrderStyle.MARKET, reprice_after_s=SESSION_S)
    history = load_history(request.data, universe.symbols, rules.timeframes())
    history = with_actions(history, request.data)
    universe = settings_rules.lot_sized(universe.only(history.symbols), settings)
    history_order = {symbol: column for column, symbol in enumerate(history.symbols)}
    universe = Universe(tuple(sorted(universe.instruments, key=lambda i: history_order[i.symbol])))
    limits = settings_rules.risk_limits(settings)
    parts = EngineParts(
        universe=universe,
        rules=rules,
        limits=limits,
        allocation=settings_rules.allocation_rules(settings),
        gate=settings_rules.risk_gate(settings, limits),
        calendar=history.calendar,
    )
    plan = Plan(
        sessions=history.session_range(request.first, request.last),
        costs=request.costs,
        capital_usd=Decimal(settings.initial_capital),
        resumes_after=request.resumes_after,
    )
    return Prepared(history=history, parts=parts, plan=plan, notes=notes)


def universe_of(
    held: Sequence[str], request: Request, settings: Settings
) -> tuple[Universe, tuple[str, ...]]:
    """Return the instruments of a file's symbols, and what a person should know of them.

    Known ones come from the universe file; of the others, a symbol list (`--universe`) gives
    sector and kind; what nobody knows is Unclassified, the strictest class.
    """
    wanted = request.symbols or tuple(s for s in held if s not in LEVERAGED_OR_INVERSE)
    missing = [s for s in wanted if s not in held]
    if missing:
        raise ConfigurationFault(
            f"--symbols: {', '.join(missing)} not in {request.data}, which holds {len(held)}: "
            f"{', '.join(held[:10])}…"
        )
    known = {i.symbol: i for i in load_universe(settings).instruments}
    if request.universe is not None:
        known = {**_listed(request.universe), **known}
    strangers = [s for s in wanted if s not in known]
    notes = []
    if strangers:
        notes.append(
            f"{len(strangers)} symbols are in no universe file and count as Unclassified: "
            f"{', '.join(strangers[:12])}{'…' if len(strangers) > 12 else ''}"
        )
    instruments = [known.get(Symbol(s)) or unclassified(s) for s in wanted]
    return Universe(tuple(instruments)), tuple(notes)


def _enlisted(
    specs: Sequence[StrategySpec], settings: Settings, base: Timeframe, is_daily: bool
) -> Mapping[str, EnlistedStrategy]:
    found = enlist(specs, settings_rules.discover_strategies(settings), bar_timeframe=base)
    chosen = {e.name: e for e in found if not e.in_shadow}
    mute = [f"{name} ({e.abstains})" for name, e in chosen.items() if e.abstains]
    if mute:
        raise ConfigurationFault(f"--strategies: {', '.join(mute)}: never has an opinion")
    intraday = [n for n, e in chosen.items() if is_daily and e.strategy.timeframe.is_intraday]
    if intraday:
        raise ConfigurationFault(
            f"--strategies: {', '.join(intraday)} wants bars shorter than the file's daily ones: "
            "write timeframe=1Day"
        )
    return chosen


def _rules(
    settings: Settings,
    enlisted: Mapping[str, EnlistedStrategy],
    universe: Universe,
    base: Timeframe,
) -> EngineRules:
    rules = settings_rules.engine_rules(settings, enlisted, {})
    rights = AssetRights(
        tradable=True, shortable=settings.allow_shorts, fractionable=settings.fractional_shares
    )
    if base is Timeframe.DAY and settings.flatten_at_close:
        raise ConfigurationFault("FLATTEN_AT_CLOSE needs minute bars: a daily bar has no last hour")
    return replace(
        rules, base_timeframe=base, rights=dict.fromkeys(universe.symbols, rights),
        capital_cap_usd=None,
    )  # fmt: skip


def _listed(path: Path) -> dict[Symbol, Instrument]:
    """Return the instruments of a universe file, or of a plain list with symbol, sector, kind."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigurationFault(f"--universe {path}: cannot be read: {fault}") from fault
    rows = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    header = next(csv.reader(rows[:1]), [])
    if all(column in header for column in UNIVERSE_COLUMNS):
        return {i.symbol: i for i in parse_universe(text, source=str(path)).instruments}
    missing = [c for c in ("symbol", "sector", "kind") if c not in header]
    if missing:
        raise ConfigurationFault(f"--universe {path}: column {', '.join(missing)} is missing")
    found = {}
    for number, row in enumerate(csv.DictReader(rows), 2):
        instrument = _instrument(row, where=f"--universe {path}, row {number}")
        found[instrument.symbol] = instrument
    return found


def _instrument(row: Mapping[str, str], *, where: str) -> Instrument:
    try:
        kind = Kind(row["kind"].strip().lower())
        named = row["sector"].strip()
        sector = FUND_CLASSES.get(named.lower()) or parse_sector(named)
    except (ValueError, AttributeError) as fault:
        raise ConfigurationFault(f"{where}: {fault}") from fault
    plain = unclassified(row["symbol"].strip().upper())
    return replace(
        plain,
        name=(row.get("name") or plain.symbol).strip(),
        kind=kind,
        sector=sector,
        tier=Tier.ETF if kind is Kind.ETF else Tier.AGGRESSIVE,
        look_through={sector: 1.0},
    )

"""The backtest over the bars that a run of the daemon came to know."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from daemon import settings_rules
from daemon.engine import EngineParts
from daemon.engine.rules import StrategyEntry
from daemon.registry import EnlistedStrategy
from daemon.settings import Settings
from domain.calendar import Calendar, Session, Timeframe
from domain.errors import ConfigurationFault
from domain.instruments import Symbol, Universe
from domain.market import Floats, Market, Reads
from domain.panel import slot_of
from domain.ports import Strategy
from domain.signals import Signals, StrategyName
from research.backtest.costs import Costs
from research.backtest.history import Frame, History
from research.backtest.playing import Plan, Player
from research.backtest.record import BacktestResult
from research.parity.session import FIELDS, LiveRun
from risk.gate import RiskGate
from risk.rules import all_rules

Bars = Mapping[str, Floats]


def history_of(live: LiveRun) -> History:
    """Return the bars of a run as a history: what it was warmed with, then what it heard."""
    heard = live.head.rules.timeframes()
    timeframes = tuple(t for t in Timeframe if t in {*heard, Timeframe.DAY})
    sessions = _sessions(live)
    return History(
        source=f"the tape of the run of {live.head.at:%Y-%m-%d %H:%M} UTC",
        symbols=live.symbols,
        calendar=Calendar(live.head.sessions),
        sessions=sessions,
        base=live.head.rules.base_timeframe,
        frames={t: _frame(live, t, sessions) for t in timeframes},
    )


def _sessions(live: LiveRun) -> tuple[Session, ...]:
    """Return the sessions from the first bar known to the last session traded."""
    first = min(
        [slot.date() for _, slots in live.warmed.values() for slot in slots[:1]]
        + [session.day for session in live.sessions]
    )
    last = max(session.day for session in live.sessions)
    return tuple(s for s in live.head.sessions if first <= s.day <= last)


def _frame(live: LiveRun, timeframe: Timeframe, sessions: Sequence[Session]) -> Frame:
    warm = _warm_rows(live, timeframe)
    slots: list[datetime] = []
    first = [0]
    for session in sessions:
        grid = session.slots(timeframe)
        if any(slot in warm or (timeframe, slot) in live.rows for slot in grid):
            slots += grid
        first.append(len(slots))
    bars = {name: np.full((len(slots), len(live.symbols)), np.nan) for name in FIELDS}
    for row, slot in enumerate(slots):
        known = live.rows.get((timeframe, slot))
        for name in FIELDS:
            if known is not None:
                bars[name][row] = getattr(known, name)
            elif slot in warm:
                bars[name][row] = warm[slot][name]
    # A slot in which nothing traded is no bar to trade on.
    traded = bars["volume"] > 0
    for values in bars.values():
        values[~traded] = np.nan
        values.flags.writeable = False
    return Frame(timeframe=timeframe, slots=tuple(slots), first=tuple(first), **bars)


def _warm_rows(live: LiveRun, timeframe: Timeframe) -> dict[datetime, dict[str, Floats]]:
    history, slots = live.warmed.get(timeframe, ({}, ()))
    rows = {slot: {name: np.full(len(live.symbols), np.nan) for name in FIELDS} for slot in slots}
    for column, symbol in enumerate(live.symbols):
        for bar in history.get(symbol, ()):
            slot = slot_of(bar.opened_at, timeframe, slots)
            if slot is not None:
                row = rows[slot]
                row["open"][column], row["high"][column] = bar.open_usd, bar.high_usd
                row["low"][column], row["close"][column] = bar.low_usd, bar.close_usd
                row["volume"][column] = bar.volume_shares
    return rows


# --- who answers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Remembered:
    """A strategy that says what it said then: the same opinions on the same slots."""

    timeframe: Timeframe
    lookback_bars: int
    slots: Sequence[datetime]
    answers: Sequence[Signals]
    reads: frozenset[Reads] = frozenset({Reads.BARS})
    cross_sectional: bool = True

    def decide(self, market: Market) -> Signals:
        """Return the answer that stood at the instant; none before the first."""
        index = bisect_right(self.slots, market.as_of) - 1
        if index < 0:
            return Signals(strength=np.full(market.bars.close.shape[1], np.nan))
        return self.answers[index]


def remembered(live: LiveRun) -> dict[StrategyName, Strategy]:
    """Return every strategy of a run as one that repeats its recorded answers."""
    found: dict[StrategyName, Strategy] = {}
    for name, entry in live.head.rules.strategies.items():
        given = sorted(live.opinions.get(name, {}).items(), key=lambda item: item[0])
        found[name] = Remembered(
            timeframe=entry.strategy.timeframe,
            lookback_bars=entry.strategy.lookback_bars,
            slots=[slot for slot, _ in given],
            answers=[signals for _, signals in given],
        )
    return found


def present(live: LiveRun, settings: Settings) -> dict[StrategyName, Strategy]:
    """Return the strategies of a run by their code of today. Raises ConfigurationFault where they
    are not the ones that were recorded."""
    found = settings_rules.discover_strategies(settings)
    enlisted = settings_rules.enlist_strategies(settings, found)
    wrong = []
    for name, entry in live.head.rules.strategies.items():
        fault = _not_the_same(entry, enlisted.get(name))
        if fault:
            wrong.append(f"{name} {fault}")
    if wrong:
        raise ConfigurationFault(
            f"STRATEGIES: not those of the recorded run: {'; '.join(wrong)}; run parity with the "
            "settings of that run"
        )
    return {name: enlisted[name].strategy for name in live.head.rules.strategies}


def _not_the_same(recorded: StrategyEntry, now: EnlistedStrategy | None) -> str:
    if now is None:
        return "is not there any more"
    weight = 0.0 if now.in_shadow else now.spec.weight
    if weight != recorded.weight:
        return f"had weight {recorded.weight:g} and has {weight:g}"
    for field in ("timeframe", "lookback_bars"):
        before, after = getattr(recorded.strategy, field), getattr(now.strategy, field)
        if before != after:
            return f"had {field} {before} and has {after}"
    return ""


# --- the run -------------------------------------------------------------------------------------


def play(
    live: LiveRun, history: History, strategies: Mapping[StrategyName, Strategy], costs: Costs
) -> BacktestResult:
    """Return the backtest of a run's sessions with its own rules, limits and sizes."""
    head = live.head
    entries = {
        name: replace(entry, strategy=strategies[name])
        for name, entry in head.rules.strategies.items()
    }
    parts = EngineParts(
        universe=Universe(head.universe),
        rules=replace(head.rules, strategies=entries, capital_cap_usd=None),
        limits=head.limits,
        allocation=head.allocation,
        gate=RiskGate(
            rules=all_rules(head.limits), approval_ttl_s=head.approval_ttl_s, exits=head.exits
        ),
        calendar=history.calendar,
    )
    days = {session.day for session in live.sessions}
    plan = Plan(
        sessions=_range(history, days),
        costs=costs,
        capital_usd=capital_usd(live),
        stacks=False,
    )
    player = Player(history, parts, plan)
    return player.run(progress=lambda _done, _of: None, stop=lambda: False)


def capital_usd(live: LiveRun) -> Decimal:
    """Return the cash that a run began with."""
    return live.head.snapshot.portfolio.cash_usd


def _range(history: History, days: set[date]) -> range:
    chosen = [k for k, session in enumerate(history.sessions) if session.day in days]
    return range(chosen[0], chosen[-1] + 1)


def marks_of(live: LiveRun, history: History) -> dict[Symbol, float]:
    """Return the last close of each symbol, at which both sides are valued; what it was last
    ordered at where no bar is known."""
    close = history.frames[history.base].close
    marks = {i.symbol: float(i.reference_usd) for i in live.intents.values()}
    for column, symbol in enumerate(history.symbols):
        known = np.flatnonzero(np.isfinite(close[:, column]))
        if len(known):
            marks[symbol] = float(close[known[-1], column])
    return marks


def close_at(history: History, symbol: Symbol, slot_at: datetime) -> float:
    """Return a symbol's close at a slot, or the last one before it; NaN where none is known."""
    frame = history.frames[history.base]
    column = history.symbols.index(symbol)
    rows = [k for k, slot in enumerate(frame.slots) if slot <= slot_at]
    closes = frame.close[rows, column]
    known = np.flatnonzero(np.isfinite(closes))
    return float(closes[known[-1]]) if len(known) else float("nan")

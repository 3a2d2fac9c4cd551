"""What one run of the daemon did, gathered from its tape by letting the engine hear it again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import numpy as np

from daemon.engine import Engine
from daemon.engine.commands import Command, RecordDurably, SubmitOrder
from daemon.tape_head import TapeHead
from daemon.tape_reading import Entry, RecordedDecision, Warming
from domain.calendar import Session, Timeframe
from domain.errors import ConfigurationFault
from domain.events import BarsClosed, Event, OpinionGiven, OrderFilled, SessionOpened
from domain.instruments import Symbol
from domain.market import Bar, BarRow, Floats
from domain.orders import Fill, OrderIntent
from domain.portfolio import Portfolio
from domain.signals import Signals, StrategyName
from domain.snapshot import Decision
from state.records import Decided

FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(slots=True, kw_only=True)
class LiveRun:
    """What happened, in the engine's words. `rows` are the bars as they came to be known, late
    ones put where they belong; `late` counts them."""

    head: TapeHead
    warmed: dict[Timeframe, tuple[Mapping[Symbol, Sequence[Bar]], Sequence[datetime]]] = field(
        default_factory=dict
    )
    rows: dict[tuple[Timeframe, datetime], BarRow] = field(default_factory=dict)
    late: int = 0
    sessions: list[Session] = field(default_factory=list)
    opinions: dict[StrategyName, dict[datetime, Signals]] = field(default_factory=dict)
    decisions: dict[datetime, Decision] = field(default_factory=dict)
    intents: dict[str, OrderIntent] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    final: Portfolio | None = None

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The universe, in column order."""
        return tuple(i.symbol for i in self.head.universe)


def gather(engine: Engine, head: TapeHead, entries: Iterable[Entry]) -> LiveRun:
    """Return what a run did. Raises ConfigurationFault for one that did not begin with cash alone,
    or in which nothing was decided: there is nothing to compare a backtest with."""
    held = head.snapshot.portfolio.positions
    if held:
        raise ConfigurationFault(
            f"the run of {head.at:%Y-%m-%d %H:%M} UTC began with positions "
            f"({', '.join(sorted(held)[:5])}), and a backtest begins with cash: name another with "
            "--run"
        )
    live = LiveRun(head=head)
    for entry in entries:
        if isinstance(entry, Warming):
            engine.warm(entry.timeframe, entry.history, entry.slots)
            live.warmed[entry.timeframe] = entry.history, entry.slots
        elif not isinstance(entry, RecordedDecision):
            _note_event(live, entry)
            for command in engine.handle(entry):
                _note_command(live, command)
    live.final = engine.memory.portfolio
    if not live.decisions or not live.sessions:
        raise ConfigurationFault(
            f"the run of {head.at:%Y-%m-%d %H:%M} UTC decided nothing: there is nothing to compare"
        )
    return live


def _note_event(live: LiveRun, event: Event) -> None:
    if isinstance(event, BarsClosed):
        _note_bars(live, event)
    elif isinstance(event, OpinionGiven):
        live.opinions.setdefault(event.strategy, {})[event.slot_at] = event.signals
    elif isinstance(event, OrderFilled):
        live.fills.setdefault(event.fill.fill_id, event.fill)
    elif isinstance(event, SessionOpened) and event.session not in live.sessions:
        live.sessions.append(event.session)


def _note_bars(live: LiveRun, event: BarsClosed) -> None:
    for timeframe, row in event.rows.items():
        live.rows[timeframe, event.slot_at] = row
    for timeframe, slot_at, row in event.late:
        known = live.rows.get((timeframe, slot_at))
        live.rows[timeframe, slot_at] = row if known is None else _amended(known, row)
        live.late += int(np.isfinite(row.close).sum())


def _amended(known: BarRow, late: BarRow) -> BarRow:
    """Return a row with the bars that came late in the place of what was there."""
    has_late = np.isfinite(late.close)

    def mend(name: str) -> Floats:
        values: Floats = np.where(has_late, getattr(late, name), getattr(known, name))
        return values

    return BarRow(**{name: mend(name) for name in FIELDS})


def _note_command(live: LiveRun, command: Command) -> None:
    if isinstance(command, SubmitOrder):
        intent = command.order.intent
        live.intents[intent.client_order_id] = intent
    elif isinstance(command, RecordDurably) and isinstance(command.fact, Decided):
        decision = command.fact.decision
        # Exits and re-pricings are decisions of a few symbols: the slot's own stands first.
        live.decisions.setdefault(decision.slot_at, decision)


def profit_usd(portfolio: Portfolio, start_usd: Decimal, marks: Mapping[Symbol, float]) -> float:
    """Return what a portfolio gained since it was `start_usd` in cash, at these prices, deposits
    and withdrawals taken out."""
    value = sum(
        float(position.quantity_shares) * marks[symbol]
        for symbol, position in portfolio.positions.items()
    )
    return float(portfolio.cash_usd - start_usd - portfolio.flows_usd) + value

"""What the engine knows while it runs: the working copy of a Snapshot."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from domain.calendar import Session, Timeframe
from domain.corporate import ACTIONS_KEPT_MAX, ActionDone
from domain.errors import WhyRefused
from domain.instruments import Symbol
from domain.market import Floats
from domain.money import ZERO
from domain.orders import TERMINAL, Fill, Leg, Order, OrderStatus
from domain.portfolio import Portfolio
from domain.signals import Opinion, Signals, StrategyName
from domain.snapshot import (
    FINISHED_ORDERS_MAX,
    RECENT_FILLS_MAX,
    Benching,
    DayStart,
    Decision,
    SavedOpinion,
    Snapshot,
    TradingStatus,
)

BOOKED_FILL_IDS_MAX = 20_000
"""Executions remembered so that none is booked twice; far more than a day can bring."""
_PROTECTIVE = frozenset({Leg.EXIT, Leg.FLATTEN})
_ENDED_AS = {status: f"orders.{status.value}" for status in OrderStatus}
"""What orders that ended so are counted as."""


class Refused(NamedTuple):
    """An order of a symbol that would be refused again: when it was refused last, and why."""

    at: datetime
    why: WhyRefused


@dataclass(slots=True, kw_only=True)
class Memory:
    """Everything the engine must not forget, in the form it works on."""

    venue: str
    account_id: str
    symbols: tuple[Symbol, ...]
    portfolio: Portfolio
    trading: TradingStatus
    orders: dict[str, Order] = field(default_factory=dict)
    working: dict[str, Order] = field(default_factory=dict)
    """Every order of which something may still be booked."""
    fills: deque[Fill] = field(default_factory=lambda: deque(maxlen=RECENT_FILLS_MAX))
    booked_fill_ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    opinions: dict[StrategyName, Opinion] = field(default_factory=dict)
    foreign_opinions: dict[StrategyName, SavedOpinion] = field(default_factory=dict)
    benched: dict[StrategyName, Benching] = field(default_factory=dict)
    quarantined: dict[Symbol, str] = field(default_factory=dict)
    cooldowns: dict[Symbol, datetime] = field(default_factory=dict)
    entered_at: dict[Symbol, datetime] = field(default_factory=dict)
    decided_slots: dict[Timeframe, datetime] = field(default_factory=dict)
    due_at_open: list[datetime] = field(default_factory=list)
    last_decision: Decision | None = None
    marks: dict[Symbol, Decimal] = field(default_factory=dict)
    day_start: DayStart | None = None
    equity_peak_usd: Decimal | None = None
    daily_loss_days: list[date] = field(default_factory=list)
    actions: dict[str, ActionDone] = field(default_factory=dict)
    """Corporate actions that were booked, by id, the oldest first."""
    counters: dict[str, int] = field(default_factory=dict)
    # Not saved: rebuilt from what is, from the next refusal, or from the venue within one cycle.
    finished: dict[tuple[Symbol, datetime, Leg], int] = field(default_factory=dict)
    ended: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Orders of which nothing more will be booked, the first to end first."""
    session: Session | None = None
    submitted_at: deque[datetime] = field(default_factory=deque)
    turnover_day: date | None = None
    turnover_usd: Decimal = ZERO
    entry_day: date | None = None
    entries: int = 0
    is_reconciled: bool = False
    refused: dict[Symbol, Refused] = field(default_factory=dict)
    """What the venue refuses until something changes."""

    def count(self, what: str, by: int = 1) -> None:
        """Add to a running total of the closing report."""
        self.counters[what] = self.counters.get(what, 0) + by

    def remember(self, order: Order) -> None:
        """Keep the latest version of an order; finished ones up to FINISHED_ORDERS_MAX."""
        identity = order.intent.client_order_id
        if order.status not in TERMINAL:
            self.orders[identity] = self.working[identity] = order
            return
        before = self.orders.get(identity)
        if before is None or before.status not in TERMINAL:
            self.count(_ENDED_AS[order.status])
            leg = _leg_of(order)
            self.finished[leg] = self.finished.get(leg, 0) + 1
        # One that ended and whose last fills are still to come counts as working until they are.
        if order.reported_shares > order.filled_shares:
            self.orders[identity] = self.working[identity] = order
            self.ended.pop(identity, None)
            return
        if self.working.pop(identity, None) is not None:
            # It stands where it ended, not where it began: the last to end are kept.
            self.orders.pop(identity, None)
        self.orders[identity] = order
        self.ended[identity] = None
        if len(self.ended) > FINISHED_ORDERS_MAX:
            oldest, _ = self.ended.popitem(last=False)
            leg = _leg_of(self.orders.pop(oldest))
            left = self.finished.pop(leg) - 1
            if left:
                self.finished[leg] = left

    def finished_on(self, symbol: Symbol, slot_at: datetime, leg: Leg) -> int:
        """Return how many orders of a slot and leg have ended: the next one's ordinal."""
        return self.finished.get((symbol, slot_at, leg), 0)

    def is_booked(self, fill_id: str) -> bool:
        """Return whether an execution is in the ledger already."""
        return fill_id in self.booked_fill_ids

    def note_booked(self, fill: Fill) -> None:
        """Remember an execution as booked, and what it adds to the day's turnover.

        Protective exits are no turnover: a limit on churning must not count getting out.
        """
        self.booked_fill_ids[fill.fill_id] = None
        if len(self.booked_fill_ids) > BOOKED_FILL_IDS_MAX:
            self.booked_fill_ids.popitem(last=False)
        self.fills.append(fill)
        order = self.orders.get(fill.client_order_id)
        if order is None or order.intent.leg in _PROTECTIVE:
            return
        day = fill.filled_at.date()
        if self.turnover_day != day:
            self.turnover_day, self.turnover_usd = day, ZERO
        self.turnover_usd += fill.quantity_shares * fill.price_usd

    def note_busted(self, fill: Fill, corrected: Fill | None) -> None:
        """Forget an execution that was taken back, and remember what stands in its place; what it
        added to the day's turnover stays."""
        self.fills.remove(fill)
        if corrected is not None:
            self.fills.append(corrected)
            self.booked_fill_ids[corrected.fill_id] = None

    def note_entry(self, at: datetime) -> None:
        """Count an order that opens, for the rate limits."""
        day = at.date()
        if self.entry_day != day:
            self.entry_day, self.entries = day, 0
        self.entries += 1
        self.submitted_at.append(at)

    def entries_on(self, day: date) -> int:
        """Return how many orders that open were approved on a day."""
        return self.entries if self.entry_day == day else 0

    def turnover_on(self, day: date) -> Decimal:
        """Return what was traded on a day, protective exits left out, in USD."""
        return self.turnover_usd if self.turnover_day == day else ZERO

    def note_action(self, done: ActionDone) -> None:
        """Remember a corporate action as booked, or as paid."""
        self.actions[done.action_id] = done
        if len(self.actions) > ACTIONS_KEPT_MAX:
            del self.actions[next(iter(self.actions))]

    def snapshot(self, *, saved_at: datetime, journal_seq: int) -> Snapshot:
        """Return all that must survive, as an immutable value."""
        finished = tuple(o for i, o in self.orders.items() if i not in self.working)
        return Snapshot(
            venue=self.venue,
            account_id=self.account_id,
            saved_at=saved_at,
            journal_seq=journal_seq,
            portfolio=self.portfolio,
            trading=self.trading,
            orders=(*self.working.values(), *finished),
            fills=tuple(self.fills),
            opinions={
                **self.foreign_opinions,
                **{name: save_opinion(o, self.symbols) for name, o in self.opinions.items()},
            },
            benched=dict(self.benched),
            quarantined=dict(self.quarantined),
            cooldowns=dict(self.cooldowns),
            entered_at=dict(self.entered_at),
            decided_slots=dict(self.decided_slots),
            due_at_open=tuple(self.due_at_open),
            last_decision=self.last_decision,
            marks=dict(self.marks),
            day_start=self.day_start,
            equity_peak_usd=self.equity_peak_usd,
            daily_loss_days=tuple(self.daily_loss_days),
            actions=tuple(self.actions.values()),
            counters=dict(self.counters),
        )

    @staticmethod
    def of(snapshot: Snapshot, symbols: tuple[Symbol, ...]) -> "Memory":
        """Return the working copy of a snapshot for a universe, whose columns may have changed."""
        memory = Memory(
            venue=snapshot.venue,
            account_id=snapshot.account_id,
            portfolio=snapshot.portfolio,
            trading=snapshot.trading,
            benched=dict(snapshot.benched),
            quarantined=dict(snapshot.quarantined),
            cooldowns=dict(snapshot.cooldowns),
            entered_at=dict(snapshot.entered_at),
            decided_slots=dict(snapshot.decided_slots),
            due_at_open=list(snapshot.due_at_open),
            last_decision=snapshot.last_decision,
            marks=dict(snapshot.marks),
            day_start=snapshot.day_start,
            equity_peak_usd=snapshot.equity_peak_usd,
            daily_loss_days=list(snapshot.daily_loss_days),
            foreign_opinions=dict(snapshot.opinions),
            actions={done.action_id: done for done in snapshot.actions},
            symbols=symbols,
        )
        # Finished orders were saved after the working ones; oldest must be dropped first.
        for order in snapshot.orders:
            memory.remember(order)
            if order.intent.leg is Leg.OPEN:
                if memory.entry_day is None or order.intent.intended_at.date() > memory.entry_day:
                    memory.entry_day, memory.entries = order.intent.intended_at.date(), 0
                memory.entries += order.intent.intended_at.date() == memory.entry_day
        for fill in snapshot.fills:
            memory.note_booked(fill)
        # Last: remembering finished orders has counted them once more.
        memory.counters = dict(snapshot.counters)
        return memory


def _leg_of(order: Order) -> tuple[Symbol, datetime, Leg]:
    intent = order.intent
    return intent.symbol, intent.slot_at, intent.leg


class _BySymbol(Mapping[Symbol, float]):
    """An array `[n]` by symbol, without the columns of which nothing was said.

    Spelled out only when looked at, which is mostly off the loop, when it is written.
    """

    def __init__(self, symbols: tuple[Symbol, ...], values: Floats, said: Floats) -> None:
        self._symbols, self._values, self._said = symbols, values, said
        self._known: dict[Symbol, float] | None = None

    def _spelled(self) -> dict[Symbol, float]:
        if self._known is None:
            columns = zip(self._symbols, self._values.tolist(), self._said.tolist(), strict=True)
            self._known = {symbol: value for symbol, value, said in columns if said == said}
        return self._known

    def __len__(self) -> int:
        return len(self._spelled())

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._spelled())

    def __getitem__(self, symbol: Symbol) -> float:
        return self._spelled()[symbol]


class _Evidence(Mapping[str, Mapping[Symbol, float]]):
    """Evidence arrays by name, each by symbol; spelled out only when looked at, as `_BySymbol`."""

    def __init__(self, symbols: tuple[Symbol, ...], signals: Signals) -> None:
        self._symbols, self._signals = symbols, signals

    def __len__(self) -> int:
        return len(self._signals.evidence)

    def __iter__(self) -> Iterator[str]:
        return iter(self._signals.evidence)

    def __getitem__(self, name: str) -> _BySymbol:
        signals = self._signals
        return _BySymbol(self._symbols, signals.evidence[name], signals.strength)


def save_opinion(opinion: Opinion, symbols: tuple[Symbol, ...]) -> SavedOpinion:
    """Return an opinion by symbol; columns without one are left out."""
    signals = opinion.signals
    return SavedOpinion(
        slot_at=opinion.slot_at,
        timeframe=opinion.timeframe,
        strengths=_BySymbol(symbols, signals.strength, signals.strength),
        evidence=_Evidence(symbols, signals),
    )

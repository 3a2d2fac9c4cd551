"""handle(event) → commands: the only door to the program's decisions. Synchronous, no I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from allocation.allocate import Allocator
from allocation.rules import AllocationRules
from daemon.engine.acting import Acting
from daemon.engine.at_once import AtOnce
from daemon.engine.board import Board
from daemon.engine.breaking import Breaking
from daemon.engine.busting import Busting
from daemon.engine.commands import Ask, Command, Record, Save, ScheduleDecision
from daemon.engine.core import Core
from daemon.engine.deciding import Deciding, cancel
from daemon.engine.guarding import Guarding
from daemon.engine.leaps import Leaps
from daemon.engine.operating import Operating
from daemon.engine.opinions import Opinions
from daemon.engine.ordering import Ordering
from daemon.engine.panels import Panels
from daemon.engine.reconciling import Reconciling
from daemon.engine.rules import EngineRules
from daemon.engine.skipping import Skipping
from daemon.memory import Memory
from domain.calendar import Calendar, Session, Timeframe
from domain.events import (
    AccountReported,
    ActionsRead,
    AssetsRead,
    BarsClosed,
    DecisionDue,
    Event,
    OperatorAsked,
    OpinionFailed,
    OpinionGiven,
    OrderChanged,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    StateDistrusted,
    StoppingBegan,
    StrategyHung,
    SubmitRejected,
    SubmitStarted,
    SubmitUnresolved,
    SubmitWithheld,
    TradeBusted,
    VitalsMeasured,
)
from domain.instruments import Symbol, Universe
from domain.market import Bar
from domain.snapshot import Snapshot
from execution.identity import is_ours
from risk.breakers import Level
from risk.gate import RiskGate
from risk.limits import RiskLimits
from state.records import Noted

NEVER = datetime.min.replace(tzinfo=UTC)
A_STRANGER_OF_OUR_NAME = (
    "an execution in our name that this state never decided: it is an old backup, or another "
    "Tradewind trades the account"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What an engine is made of."""

    universe: Universe
    rules: EngineRules
    limits: RiskLimits
    allocation: AllocationRules
    gate: RiskGate
    calendar: Calendar


class Engine:
    """All decisions of the daemon. The same events give the same commands, live or replayed."""

    def __init__(
        self, parts: EngineParts, memory: Memory, *, now: datetime, panels: Panels | None = None
    ) -> None:
        """`panels` other than new, empty ones: a backtest's know its whole history already."""
        self.memory = memory
        self.is_stopping = False
        self._rules = parts.rules
        hold_bars_min = parts.allocation.hold_bars_min
        if panels is None:
            panels = Panels(parts.universe, parts.rules, base_slots_min=hold_bars_min)
        self._core = Core(
            universe=parts.universe,
            rules=parts.rules,
            limits=parts.limits,
            memory=memory,
            panels=panels,
            board=Board(parts.universe, price_jump_max=parts.limits.price_jump_max),
            gate=parts.gate,
            calendar=parts.calendar,
            now=now,
        )
        allocator = Allocator(parts.universe, parts.allocation)
        self._opinions = Opinions(parts.universe, parts.rules, panels, memory)
        self._deciding = Deciding(
            self._core, self._opinions, allocator, hold_bars_min=hold_bars_min
        )
        self._allocation = parts.allocation
        self._ordering = Ordering(self._core)
        self._guarding = Guarding(self._core)
        self._operating = Operating(self._core, self._opinions, self._guarding)
        self._breaking = Breaking(self._core, self._guarding)
        self._acting = Acting(self._core, self._ordering)
        self._busting = Busting(self._core, self._ordering)
        self._leaps = Leaps(self._core)
        self._reconciling = Reconciling(
            self._core,
            self._guarding,
            self._ordering,
            breaking=self._breaking,
            acting=self._acting,
            leaps=self._leaps,
        )
        self._heavy = frozenset(
            name
            for name, entry in parts.rules.strategies.items()
            if getattr(entry.strategy, "heavy", False)
        )
        self._open_slots: dict[datetime, tuple[Timeframe, ...]] = {}
        self._handlers = self._make_handlers()

    # --- for the shell ---------------------------------------------------------------------------

    def warm(
        self,
        timeframe: Timeframe,
        history: Mapping[Symbol, Sequence[Bar]],
        slots: Sequence[datetime],
    ) -> None:
        """Load bars from before the start."""
        self._core.panels.warm(timeframe, history, slots)

    def skipping(self) -> Skipping:
        """Return what passes over quiet slots; for a history, that knows what comes."""
        return Skipping(self._core, self._deciding, self._guarding, self._allocation)

    def at_once(self) -> AtOnce:
        """Return what takes in many orders' news together; for a history, where none waits."""
        return AtOnce(self._core, self._breaking)

    def snapshot(self, saved_at: datetime) -> Snapshot:
        """Return everything that must survive; the writer puts the journal's number in."""
        return self.memory.snapshot(saved_at=saved_at, journal_seq=0)

    @property
    def core(self) -> Core:
        """What the engine knows, for metrics and views; read only."""
        return self._core

    def watched_symbols(self) -> list[Symbol]:
        """Return the symbols whose quotes must be fresh: held ones and those on order."""
        ordered = (o.intent.symbol for o in self.memory.working.values())
        known = self._core.instruments
        return [
            s for s in dict.fromkeys((*self.memory.portfolio.positions, *ordered)) if s in known
        ]

    def breakers(self) -> tuple[Level, ...]:
        """Return how every circuit breaker stands."""
        return self._breaking.levels()

    @property
    def operator_answer(self) -> str:
        """What came of the operator's last wish, in words."""
        return self._operating.answer

    @property
    def operator_refused(self) -> bool:
        """Whether the operator's last wish was understood and not done."""
        return self._operating.is_refused

    def orders_being_canceled(self) -> list[str]:
        """Return the ids of orders that a stop waits for."""
        return [i for i, o in self.memory.working.items() if o.cancel_requested_at is not None]

    # --- the door --------------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Command]:
        """Take in one event and return what is to be done about it, in order."""
        core = self._core
        if event.at > core.now:
            core.now = event.at
        return self._handlers[type(event)](event)

    def _make_handlers(self) -> dict[type[Event], Callable[[Any], list[Command]]]:
        return {
            QuotesPolled: self._on_quotes,
            BarsClosed: self._on_bars,
            OpinionGiven: self._on_opinion,
            OpinionFailed: self._on_failure,
            DecisionDue: lambda e: self._decide(e.slot_at),
            OrderFilled: self._on_fill,
            TradeBusted: self._busting.busted,
            OrderChanged: lambda e: [*self._ordering.changed(e), *self._breaking.answered()],
            SubmitStarted: lambda e: self._ordering.started(e) + self._breaking.submitted(e),
            SubmitWithheld: self._ordering.withheld,
            SubmitRejected: self._on_rejected,
            SubmitUnresolved: self._ordering.unresolved,
            AccountReported: self._reconciling.account,
            SessionOpened: self._on_open,
            SessionClosed: self._on_close,
            OperatorAsked: self._operating.asked,
            StateDistrusted: self._guarding.distrust,
            VitalsMeasured: self._breaking.measured,
            ActionsRead: self._acting.read,
            AssetsRead: self._acting.assets,
            StrategyHung: self._opinions.hung,
            StoppingBegan: lambda _: self._stop(),
        }

    # --- market ----------------------------------------------------------------------------------

    def _on_quotes(self, event: QuotesPolled) -> list[Command]:
        core = self._core
        core.board.update(event.quotes)
        told = self._leaps.quoted(core.board.leapt) if core.board.leapt else []
        if core.leapt:
            told += self._leaps.waited()
        for reason, count in event.invalid.items():
            core.memory.count(f"quotes_invalid.{reason}", count)
        core.refresh_marks()
        session = core.memory.session
        # Who was held up over the night may find another day's prices before the session's end was
        # told: what they say of what is held is not known before that morning was read.
        if self.is_stopping or session is None or core.now >= session.closes_at:
            return told
        return [*told, *self._guarding.check(event.quotes), *self._ordering.chase()]

    def _on_bars(self, event: BarsClosed) -> list[Command]:
        core, session = self._core, self._core.memory.session
        for late, _ in list(self._open_slots.items()):
            # The slot before is still open: what has not been said by now comes too late.
            if late < event.slot_at:
                self._give_up(late)
        starts = {
            t: session is not None and _is_first(event.slot_at, t, session) for t in event.rows
        }
        core.panels.add(event, session=session, session_starts=starts)
        if self.is_stopping:
            return []
        timeframes = tuple(event.rows)
        asks = self._opinions.ask(event.slot_at, timeframes, core.board, core.now)
        self._open_slots[event.slot_at] = timeframes
        if not asks:
            return self._decide(event.slot_at)
        due_at = core.now + timedelta(seconds=self._rules.opinion_wait_s)
        heavy = any(isinstance(a, Ask) and a.strategy in self._heavy for a in asks)
        # Asks are answered before the next event unless they run in a worker.
        return [*asks, ScheduleDecision(slot_at=event.slot_at, due_at=due_at)] if heavy else asks

    def _on_opinion(self, event: OpinionGiven) -> list[Command]:
        return [*self._opinions.accept(event), *self._decide_if_complete(event.slot_at)]

    def _on_failure(self, event: OpinionFailed) -> list[Command]:
        return [*self._opinions.fail(event), *self._decide_if_complete(event.slot_at)]

    def _decide_if_complete(self, slot_at: datetime) -> list[Command]:
        # A slot that was decided, given up, or waits for the open is not opened by a late answer.
        if slot_at not in self._open_slots or self._opinions.is_waiting_for(slot_at):
            return []
        return self._decide(slot_at)

    def _decide(self, slot_at: datetime) -> list[Command]:
        """Decide a slot now, once; outside the session it waits for the next open."""
        memory, was_kept = self.memory, slot_at in self.memory.due_at_open
        timeframes = self._open_slots.pop(slot_at, None)
        self._opinions.close(slot_at)
        if self.is_stopping or (timeframes is None and not was_kept):
            return []
        if timeframes is None:
            # What waits for an open is a session's close, where a bar of every length ends.
            timeframes = self._rules.timeframes()
        if was_kept:
            memory.due_at_open.remove(slot_at)
        if self._is_decided(slot_at, timeframes):
            return []
        if memory.session is None or slot_at >= memory.session.closes_at:
            memory.due_at_open = [slot_at]
            memory.count("slots_awaiting_open")
            return [Record(fact=Noted(at=self._core.now, due_at_open=(slot_at,))), Save()]
        if not memory.is_reconciled or (not was_kept and self._is_too_old(slot_at)):
            memory.count("slots_missed")
            return []
        return self._deciding.decide(slot_at, timeframes)

    def _is_decided(self, slot_at: datetime, timeframes: tuple[Timeframe, ...]) -> bool:
        """Return whether an earlier process decided the slot: a durable record is final."""
        decided = self.memory.decided_slots
        return any(decided.get(t, NEVER) >= slot_at for t in timeframes)

    def _is_too_old(self, slot_at: datetime) -> bool:
        """Return whether a slot was missed while we were down. One that waited for the open is
        as young as the open, and is not asked about."""
        age_s = (self._core.now - slot_at).total_seconds()
        return age_s > self._rules.decision_max_age_s

    def _give_up(self, slot_at: datetime) -> None:
        self._open_slots.pop(slot_at, None)
        self._opinions.close(slot_at)
        self.memory.count("slots_missed")

    def _on_fill(self, event: OrderFilled) -> list[Command]:
        commands, identity = self._ordering.filled(event), event.fill.client_order_id
        if not commands:
            return []
        if identity in self.memory.orders:
            return commands + self._breaking.filled(event)
        if is_ours(identity):
            commands += self._guarding.distrust(
                StateDistrusted(at=self._core.now, cause=A_STRANGER_OF_OUR_NAME, evidence=identity)
            )
        return commands

    # --- sessions --------------------------------------------------------------------------------

    def _on_rejected(self, event: SubmitRejected) -> list[Command]:
        commands = [*self._ordering.rejected(event), *self._breaking.answered()]
        if event.is_account_blocked:
            commands += self._guarding.blocked(event.reason)
        return commands

    def _on_open(self, event: SessionOpened) -> list[Command]:
        self.memory.session = event.session
        self.memory.refused.clear()
        commands = [*self._acting.session_opened(event), *self._guarding.session_opened(event)]
        waiting = list(self.memory.due_at_open)
        if waiting:
            due_at = event.session.opens_at + timedelta(seconds=self._rules.open_delay_s)
            # After a restart inside the session the open may be long past: then at once.
            due_at = max(due_at, self._core.now + timedelta(seconds=1))
            commands += [ScheduleDecision(slot_at=slot_at, due_at=due_at) for slot_at in waiting]
        return [*commands, *self._opinions.catch_up(self._core.board, self._core.now)]

    def _on_close(self, event: SessionClosed) -> list[Command]:
        self.memory.session = None
        self.memory.count("sessions")
        return [*self._guarding.session_closed(event), Save()]

    # --- stopping --------------------------------------------------------------------------------

    def _stop(self) -> list[Command]:
        self.is_stopping = True
        if not self._rules.cancels_at_stop:
            return [Save()]
        commands: list[Command] = []
        for order in list(self.memory.working.values()):
            commands += cancel(self._core, order, "the daemon is stopping")
        return [*commands, Save()]


def _is_first(slot_at: datetime, timeframe: Timeframe, session: Session) -> bool:
    """Return whether a slot is the first of its session on this timeframe."""
    return slot_at == min(session.opens_at + timeframe.length, session.closes_at)

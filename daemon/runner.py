"""Carries out what the engine asks for, one event at a time, and stops in stages."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from daemon.asking import Asker
from daemon.engine import Engine
from daemon.engine.commands import (
    Ask,
    CancelOrder,
    Command,
    Compare,
    Notify,
    Record,
    RecordDurably,
    Save,
    ScheduleDecision,
    SubmitOrder,
)
from daemon.pacing import Pacing
from daemon.recording import Recorder
from daemon.submitting import Submitter
from domain.events import DecisionDue, Event, StateDistrusted
from domain.orders import ApprovedOrder
from domain.ports import Broker, Clock
from domain.snapshot import TradingState

INBOX_EVENTS_MAX = 10_000
"""Events that may wait while one is handled; more is a loop of ours, not a busy market."""
JOBS_MAX = 1_000
"""Submissions, cancels and saves under way at once."""
SAVE_EVERY_S = 5.0
"""Loop time between snapshots; the journal holds every fact in between."""
SETTLE_S_MAX = 10.0
"""Shutdown, stage 2: how long working orders and requests in flight may take to settle."""
FINAL_SAVE_S_MAX = 10.0
"""Shutdown, stage 3: how long the last records and snapshot may take."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """Who else hears: metrics, the event feed, a person."""

    on_event: Callable[[Event, list[Command], float], None]
    on_notify: Callable[[Notify], None]
    on_arrival: Callable[[Event], None] = lambda event: None
    """Hears of an event before it is handled."""


class Runner:
    """The shell around the engine: events in, commands out, nothing decided here."""

    def __init__(
        self,
        engine: Engine,
        *,
        asker: Asker,
        broker: Broker,
        recorder: Recorder,
        observers: Observers,
        timing: "Timing",
    ) -> None:
        self._engine = engine
        self._asker = asker
        self._recorder = recorder
        self._observers = observers
        self._clock = timing.clock
        self._pacing = timing.pacing
        self._stopwatch_s = timing.stopwatch_s
        self._inbox: deque[Event] = deque()
        self._is_draining = False
        self._jobs: set[asyncio.Task[None]] = set()
        self._save_due = False
        self._save_timer: asyncio.TimerHandle | None = None
        self._durable: asyncio.Future[int] | None = None
        self._fatal: asyncio.Future[BaseException] | None = None
        self.before_decision: Callable[[], Coroutine[Any, Any, None]] | None = None
        """Awaited before a scheduled decision, so that its prices are as fresh as a slot's."""
        self.compare: Callable[[], Coroutine[Any, Any, bool]] | None = None
        """Has the account read and compared; for when the engine cannot wait for the next time."""
        self.is_sending = True
        """Cleared for a dry run: everything is decided and recorded, nothing is sent."""
        self.submitter = Submitter(
            broker,
            clock=self._clock,
            post=self.post,
            objection=self.objection,
            jitter=timing.jitter,
        )

    # --- events in -------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Have an event handled, now or, from inside a handler, right after the present one."""
        if len(self._inbox) >= INBOX_EVENTS_MAX:
            raise RuntimeError(f"{INBOX_EVENTS_MAX} events wait: the engine feeds itself")
        self._inbox.append(event)
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while self._inbox:
                self._handle(self._inbox.popleft())
        finally:
            self._is_draining = False

    def _handle(self, event: Event) -> None:
        self._observers.on_arrival(event)
        started_s = self._stopwatch_s()
        commands = self._engine.handle(event)
        self._observers.on_event(event, commands, self._stopwatch_s() - started_s)
        for command in commands:
            self._carry_out(command)

    # --- commands out ----------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        match command:
            case Ask():
                self._ask(command)
            case ScheduleDecision():
                self.spawn(self._due(command.slot_at, command.due_at), "decision-due")
            case Record():
                self._recorder.record(command.fact)
            case RecordDurably():
                self._durable = self._recorder.record_durably(command.fact)
            case SubmitOrder():
                self._submit(command.order)
            case CancelOrder():
                self.spawn(self._at_work(self.submitter.cancel(command)), "cancel")
            case Save() | Compare():
                self._soon(command)
            case Notify():
                self._observers.on_notify(command)

    def _ask(self, ask: Ask) -> None:
        if self._asker.is_heavy(ask.strategy):
            self.spawn(self._at_work(self._ask_in_thread(ask)), f"ask-{ask.strategy}")
        else:
            self.post(self._asker.ask(ask))

    async def _ask_in_thread(self, ask: Ask) -> None:
        self.post(await asyncio.to_thread(self._asker.ask, ask))

    def _submit(self, order: ApprovedOrder) -> None:
        self.spawn(
            self._at_work(self.submitter.submit(order, self._durable)),
            f"submit-{order.intent.symbol}",
        )

    def objection(self, order: ApprovedOrder) -> str:
        """Return why an approval is void at this instant, "" when it holds: the last check."""
        memory = self._engine.memory
        trading, known = memory.trading, memory.orders.get(order.intent.client_order_id)
        is_halted = trading.state is TradingState.HALTED
        objections = (
            (not self.is_sending, "dry run: nothing is sent"),
            (self._recorder.is_failed, "the state directory cannot be written"),
            (
                trading.epoch != order.epoch,
                f"trading is {trading.state.value} since the approval: {trading.cause}",
            ),
            (self._clock.now() > order.expires_at, "the approval has expired"),
            (
                known is not None and known.cancel_requested_at is not None,
                "it was canceled before it was sent",
            ),
            (self._engine.is_stopping and not is_halted, "the daemon is stopping"),
        )
        return next((why for is_so, why in objections if is_so), "")

    async def _due(self, slot_at: datetime, due_at: datetime) -> None:
        await self._pacing.sleep_until(due_at)
        with self._pacing.at_work():
            if self.before_decision is not None:
                await self.before_decision()
            self.post(DecisionDue(at=self._clock.now(), slot_at=slot_at))

    async def _at_work(self, job: Coroutine[Any, Any, None]) -> None:
        with self._pacing.at_work():
            await job

    # --- saving ----------------------------------------------------------------------------------

    def _soon(self, command: Save | Compare) -> None:
        if isinstance(command, Save):
            self._save_soon()
        elif self.compare is not None:
            self.reconcile_soon(self.compare)

    def _save_soon(self) -> None:
        if not self._save_due and not self._recorder.is_failed:
            self._save_due = True
            self._save_timer = asyncio.get_running_loop().call_later(SAVE_EVERY_S, self._save)

    def _save(self) -> "asyncio.Future[None] | None":
        self._save_due = False
        if self._recorder.is_failed:
            return None
        return self._recorder.save(self._engine.snapshot(self._clock.now()))

    def disk_failed(self, fault: OSError) -> None:
        """Halt: what is on disk is not known any more."""
        self.post(
            StateDistrusted(
                at=self._clock.now(), cause="the state directory failed", evidence=str(fault)
            )
        )

    # --- jobs ------------------------------------------------------------------------------------

    def spawn(self, job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a job beside the others; what it raises ends the program."""
        if len(self._jobs) >= JOBS_MAX:
            job.close()
            raise RuntimeError(f"{JOBS_MAX} jobs are under way: something does not end")
        task = asyncio.get_running_loop().create_task(job, name=name)
        self._jobs.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if task.cancelled():
            return
        fault = task.exception()
        if fault is not None and self._fatal is not None and not self._fatal.done():
            self._fatal.set_result(fault)

    async def watch_jobs(self) -> None:
        """Raise what any job raised: an error nobody foresaw ends the program."""
        self._fatal = asyncio.get_running_loop().create_future()
        raise await self._fatal

    def reconcile_soon(self, reconcile: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Have the account read again in the background."""

        async def job() -> None:
            with self._pacing.at_work():
                await reconcile()

        self.spawn(job(), "reconcile")

    # --- stopping --------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Stage 2: wait until no order is working or in flight, at most SETTLE_S_MAX."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + SETTLE_S_MAX
        # What settles an order is news to the engine, which knows no loop to set an event on.
        while self._unsettled() and loop.time() < due_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        left = self._unsettled()
        if left:
            _log.warning("orders_left_working", orders=left)

    def _unsettled(self) -> list[str]:
        leaving = self._engine.orders_being_canceled()
        in_flight = [o for o in self._engine.memory.working if self.submitter.is_in_flight(o)]
        return sorted({*leaving, *in_flight})

    async def final_save(self) -> None:
        """Stage 3: write everything that is left and let go of the files."""
        for task in list(self._jobs):
            task.cancel()
        if self._save_timer is not None:
            self._save_timer.cancel()
        try:
            async with asyncio.timeout(FINAL_SAVE_S_MAX):
                saved = self._save()
                if saved is not None:
                    await saved
                await self._recorder.close()
        except (TimeoutError, OSError) as fault:
            _log.critical("final_save_failed", reason=str(fault) or "took too long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the runner's time and chance come from."""

    clock: Clock
    pacing: Pacing
    stopwatch_s: Callable[[], float]
    jitter: Callable[[float, float], float]

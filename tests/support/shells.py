"""Engine, runner, recorder and feeds on one venue in memory, in virtual time, disk included."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from daemon.alpaca.client import LAST_CHECK
from daemon.asking import Asker
from daemon.backoff import seeded_jitter
from daemon.clock import ClockPace
from daemon.comparing import BookView
from daemon.engine import Engine, StrategyEntry
from daemon.engine.commands import Command, Notify
from daemon.feeds import FeedRules, Feeds, Venue
from daemon.memory import Memory
from daemon.pacing import ClockPacing
from daemon.recording import Recorder
from daemon.runner import Observers, Runner, Timing
from daemon.settling import live_orders
from daemon.startup import memory_of
from domain.calendar import Session, Timeframe
from domain.errors import RequestNotSent
from domain.events import Event
from domain.instruments import Symbol
from domain.market import Quote
from domain.orders import ApprovedOrder, OrderReport
from domain.signals import StrategyName
from execution.order_states import apply_fill
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from state.recovery import Folding
from tests.support.engines import (
    CALENDAR,
    UNIVERSE,
    WIDE_ALLOCATION,
    WIDE_LIMITS,
    an_engine,
    daily_bar,
    rules_of,
)
from tests.support.fake_venue import FakeBroker, FakePriceSource, FakeVenue, WallClock
from tests.support.virtual_loop import current_loop

DIRECTORY = Path("/state")


class Writer(Executor):
    """Writes at once, or, while `is_stuck`, when it is let go; in order either way."""

    def __init__(self) -> None:
        self.is_stuck = False
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, write: Callable[[], Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._waiting.append((future, write))
        if not self.is_stuck:
            self.let_go()
        return future

    def let_go(self) -> None:
        self.is_stuck = False
        while self._waiting:
            future, write = self._waiting.popleft()
            try:
                future.set_result(write())
            except Exception as fault:  # noqa: BLE001
                future.set_exception(fault)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing is held."""


class NoNote:
    """Notes nothing."""

    def write(self, name: StrategyName) -> None:
        """Note nothing."""

    def clear(self) -> None:
        """Note nothing."""


class LoggedBroker(FakeBroker):
    """Writes every submission into the log that the disk writes into, too, and looks whether its
    record would outlive the power at that instant."""

    def __init__(self, venue: FakeVenue, fs: MemoryFileSystem) -> None:
        super().__init__(venue)
        self._fs = fs
        self.were_durable: list[bool] = []

    async def submit(self, order: ApprovedOrder) -> OrderReport:
        objection = LAST_CHECK.get()()
        if objection:  # as the client asks before the first byte
            raise RequestNotSent(objection)
        self._fs.log.append(f"submit {order.intent.symbol}")
        identity = order.intent.client_order_id.encode()
        kept = (c.synced for p, c in self._fs._durable.items() if p.suffix == ".jsonl")
        self.were_durable.append(any(identity in content for content in kept))
        return await super().submit(order)


class LivePrices(FakePriceSource):
    """Quotes that are always of now, around the mids of the shell."""

    def __init__(self, venue: FakeVenue, show: Callable[[], None]) -> None:
        super().__init__(venue)
        self._show = show

    async def fetch(self, symbols: Sequence[Symbol], *, max_age_s: float) -> dict[Symbol, Quote]:
        """Return the quotes of the instant at which they were asked for."""
        self._show()
        return await super().fetch(symbols, max_age_s=max_age_s)


class Shell:
    """One daemon process on a venue and a disk that outlive it."""

    def __init__(
        self,
        strategies: Mapping[StrategyName, StrategyEntry],
        *,
        now: datetime,
        before: "Shell | None" = None,
        poll_s: float = 5.0,
        **rules: Any,
    ) -> None:
        self.poll_s = poll_s
        self.mids_usd: dict[str, float] = {}
        """What is quoted instead of $100."""
        if before is None:
            self.clock = WallClock(current_loop().wall, now)
            self.venue = FakeVenue(self.clock)
            self.venue.sessions = list(CALENDAR.sessions)
            self.fs = MemoryFileSystem()
        else:
            self.clock, self.venue, self.fs = before.clock, before.venue, before.fs
        self.strategies, self._rules = strategies, rules
        self.rules = rules_of(strategies, **rules)
        self.broker = LoggedBroker(self.venue, self.fs)
        self.prices = LivePrices(self.venue, self.show)
        self.writer = Writer()
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self.notices: list[Notify] = []
        self.on_arrival: Callable[[Event], None] = lambda event: None
        self.on_handled: Callable[[Event, list[Command], float], None] = self._heard
        self._open_state()

    def _open_state(self) -> None:
        """Recover what the disk holds, as start-up does, and put the parts together."""
        store = JsonStateStore(self.fs, DIRECTORY)
        saved = store.load()
        folding = Folding(saved, apply_fill)
        journal, _ = JsonLinesJournal.open(
            self.fs,
            DIRECTORY / "journal",
            self.clock,
            covered_seq=saved.journal_seq if saved else 0,
            take=folding.take,
        )
        memory = memory_of(
            folding.recovered(),
            self.venue.account(),
            venue="embedded",
            symbols=UNIVERSE.symbols,
            now=self.clock.now(),
        )
        self.engine = self._an_engine(memory)
        self.recorder = Recorder(
            journal, store, writer=self.writer, on_failure=lambda f: self.runner.disk_failed(f)
        )
        self.pacing = ClockPacing(ClockPace(self.clock))
        self.runner = self._a_runner()
        self.feeds = self._the_feeds()
        self.runner.before_decision = self.feeds.refresh
        self.runner.compare = self.feeds.reconcile

    def _a_runner(self) -> Runner:
        return Runner(
            self.engine,
            asker=Asker(
                {name: entry.strategy for name, entry in self.strategies.items()},
                note=NoNote(),
                clock=self.clock,
                stopwatch_s=lambda: 0.0,
                budget_s=1.0,
            ),
            broker=self.broker,
            recorder=self.recorder,
            observers=Observers(
                on_event=lambda event, commands, took_s: self.on_handled(event, commands, took_s),
                on_notify=self.notices.append,
                on_arrival=lambda event: self.on_arrival(event),
            ),
            timing=Timing(
                clock=self.clock,
                pacing=self.pacing,
                stopwatch_s=lambda: 0.0,
                jitter=seeded_jitter(3),
            ),
        )

    def _the_feeds(self) -> Feeds:
        return Feeds(
            Venue(prices=self.prices, broker=self.broker, calendar=CALENDAR),
            clock=self.clock,
            pacing=self.pacing,
            post=self.runner.post,
            rules=FeedRules(
                symbols=UNIVERSE.symbols,
                timeframes=self.rules.timeframes(),
                settle_s=1.0,
                poll_s=self.poll_s,
                order_price_max_age_s=5.0,
                mark_max_age_s=30.0,
                reconcile_s=60.0,
                sessions_max=None,
            ),
            book=BookView(
                watched=self.engine.watched_symbols,
                live=lambda: live_orders(self.memory),
                booked=lambda: tuple(self.memory.fills),
                differs=lambda: self.engine.core.differing_usd is not None,
            ),
        )

    def _an_engine(self, memory: Memory) -> Engine:
        return an_engine(
            self.rules,
            memory,
            now=self.clock.now(),
            limits=WIDE_LIMITS,
            allocation=WIDE_ALLOCATION,
        )

    def _heard(self, event: Event, commands: list[Command], took_s: float) -> None:
        self.events.append(event)
        self.commands += commands

    @property
    def memory(self) -> Memory:
        return self.engine.memory

    # --- running ---------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run every loop of the daemon; what a job raises is raised here."""
        loop = asyncio.get_running_loop()
        await self.recorder.save(self.engine.snapshot(self.clock.now()))
        jobs = [
            loop.create_task(job)
            for job in (
                self.runner.watch_jobs(),
                self.feeds.order_news(lambda is_reconnect: self._connected(is_reconnect)),
            )
        ]
        await asyncio.sleep(0)
        assert await self.feeds.reconcile()
        jobs += [
            loop.create_task(job)
            for job in (
                self.feeds.sessions(),
                self.feeds.quotes(),
                self.feeds.reconciling(lambda: self.runner.submitter.sending == 0),
            )
        ]
        try:
            yield
        finally:
            jobs_left = [*jobs, *self.runner._jobs]
            for task in jobs_left:
                task.cancel()
            results = await asyncio.gather(*jobs_left, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _connected(self, is_reconnect: bool) -> None:
        if is_reconnect:
            self.runner.reconcile_soon(self.feeds.reconcile)

    async def until(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - self.clock.now()).total_seconds()))

    def restarted(self) -> "Shell":
        """Return the next process: the venue and the disk are as this one left them."""
        self.fs.kill()
        later = Shell(
            self.strategies, now=self.clock.now(), before=self, poll_s=self.poll_s, **self._rules
        )
        later.mids_usd = self.mids_usd
        return later

    # --- the venue -------------------------------------------------------------------------------

    def show(self) -> None:
        """Show quotes of now around $100, or `mids_usd`."""
        for symbol in UNIVERSE.symbols:
            mid = self.mids_usd.get(symbol, 100.0)
            self.venue.quote(symbol, round(mid - 0.01, 4), round(mid + 0.01, 4))

    def trade_day(self, session: Session) -> None:
        """Let every symbol have a daily bar of $100 with little volume."""
        for symbol in UNIVERSE.symbols:
            self.venue.bar(symbol, Timeframe.DAY, daily_bar(symbol, session).opened_at, 100.0)

    def matches_venue(self) -> bool:
        """Return whether our book holds exactly what the venue's account holds."""
        ours = {s: p.quantity_shares for s, p in self.memory.portfolio.positions.items()}
        theirs = {s: p.quantity_shares for s, p in self.venue.positions.items()}
        return ours == theirs and self.memory.portfolio.cash_usd == self.venue.cash_usd


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)

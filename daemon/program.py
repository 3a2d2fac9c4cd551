"""The daemon's life: find the venue, recover, trade, and stop in stages."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import structlog

from daemon import startup, wiring
from daemon.alpaca.client import open_session
from daemon.asking import AskNoteFile
from daemon.assembly import Assembly, Ground, assemble
from daemon.backoff import seeded_jitter
from daemon.clock import (
    ClockPace,
    LockstepClock,
    LockstepPace,
    Pace,
    SystemClock,
    VenueClock,
    real_time_s,
    stopwatch_s,
)
from daemon.embedded import EmbeddedExchange, ExchangeOptions, find_or_start
from daemon.feeds import Feeds
from daemon.http_server import serve
from daemon.pacing import ClockPacing, LockstepPacing, Pacing, VenuePacing
from daemon.report import RunReport, report_of
from daemon.sdnotify import ServiceManager
from daemon.settings import Settings
from daemon.watchdog import Watchdog, start_over
from domain.errors import VenueError
from domain.events import StoppingBegan, StrategyHung
from domain.ports import Clock

CONNECTIONS_MAX = 40
BEAT_S = 0.5
"""How often the loop says that it turns."""
LAST_RECONCILE_S_MAX = 5.0
"""Shutdown: how long the last look at the venue's account may take."""

_log = structlog.get_logger("tradewind")
RECONCILE_S = 60.0
"""Market time between two looks at the account…"""
RECONCILE_REAL_S_MIN = 1.0
"""…and the least real time between them, however fast market time runs."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line says beyond the settings."""

    exchange: ExchangeOptions
    sessions_max: int | None = None
    is_dry_run: bool = False
    version: str = "0"
    environ: dict[str, str] = field(default_factory=dict)
    say: Say = lambda line: None
    """Told, in a sentence, what start-up is doing."""


@dataclass(slots=True)
class _Time:
    """How this run waits, by the venue it trades on."""

    clock: Clock
    pace: Pace
    pacing: Pacing
    lockstep: LockstepPacing | None = None


async def run(settings: Settings, options: RunOptions) -> RunReport:
    """Trade until stopped, or for so many sessions; return what happened.

    Raises ConfigurationFault, Refused, StateCorrupt and other TradewindErrors before anything is
    ordered.
    """
    async with open_session(CONNECTIONS_MAX) as session:
        exchange = None
        if settings.venue == "embedded":
            options.say(f"Looking for the embedded exchange at {options.exchange.url}")
            exchange = await find_or_start(session, options.exchange)
            found = "Started" if exchange.is_ours else "Found"
            identity = exchange.identity
            options.say(
                f"{found} it: market {identity.market}, {identity.speed:g}× time, "
                f"now {identity.now:%Y-%m-%d %H:%M} UTC"
            )
        program = _Program(settings, options, session, exchange)
        try:
            return await program.live()
        finally:
            if exchange is not None and program.stopped_cleanly:
                await exchange.stop(session)


class _Program:
    """One run, from recovery to the last save."""

    def __init__(
        self,
        settings: Settings,
        options: RunOptions,
        session: aiohttp.ClientSession,
        exchange: EmbeddedExchange | None,
    ) -> None:
        self._settings = settings
        self._options = options
        self._session = session
        self._exchange = exchange
        self._jitter = seeded_jitter(settings.seed)
        self._stop = asyncio.Event()
        self._signals = 0
        self._started_s = real_time_s()
        self.stopped_cleanly = False
        self._manager = ServiceManager(options.environ, process_id=os.getpid())

    # --- life ------------------------------------------------------------------------------------

    async def live(self) -> RunReport:
        time = self._time()
        connection = wiring.connect(
            self._settings, self._session, clock=time.clock, pace=time.pace, jitter=self._jitter
        )
        self._options.say("Reading the account")
        account = await connection.broker.account()
        files = startup.open_state(
            self._settings.state_dir,
            venue=self._settings.venue,
            account_id=account.account_id,
            clock=time.clock,
        )
        try:
            note = AskNoteFile(files.directory / "asking")
            assembly = await assemble(
                self._settings,
                Ground(
                    connection=connection,
                    files=files,
                    account=account,
                    clock=time.clock,
                    pacing=time.pacing,
                    note=note,
                    session=self._session,
                    jitter=self._jitter,
                ),
                reconcile_s=max(RECONCILE_S, RECONCILE_REAL_S_MIN * self._speed()),
                sessions_max=self._options.sessions_max,
                say=self._options.say,
            )
            if self._options.is_dry_run:
                assembly.runner.is_sending = False
            hung = note.read()
            if hung:
                assembly.runner.post(StrategyHung(at=time.clock.now(), strategy=hung))
            await self._trade(assembly, time)
            return report_of(
                assembly,
                uptime_s=real_time_s() - self._started_s,
                account=await self._final_account(assembly),
            )
        finally:
            files.lock.release()

    def _speed(self) -> float:
        return self._exchange.identity.speed if self._exchange is not None else 1.0

    def _time(self) -> _Time:
        if self._exchange is None:
            clock: Clock = SystemClock()
            pace: Pace = ClockPace(clock)
            return _Time(clock, pace, ClockPacing(pace))
        identity = self._exchange.identity
        if not identity.lockstep:
            venue_clock = VenueClock(identity.clock)
            pace = ClockPace(venue_clock, speed=identity.speed)
            return _Time(venue_clock, pace, VenuePacing(venue_clock))
        stepped = LockstepClock(identity.now)
        pacing = LockstepPacing(stepped, self._advance)
        return _Time(stepped, LockstepPace(stepped), pacing, pacing)

    async def _advance(self, to: datetime) -> datetime:
        assert self._exchange is not None
        answer = await self._exchange.advance(self._session, to)
        return datetime.fromisoformat(answer["now"]).astimezone(UTC)

    async def _final_account(self, assembly: Assembly) -> Any:
        with contextlib.suppress(VenueError):
            return await assembly.connection.broker.account()
        return None

    # --- trading ---------------------------------------------------------------------------------

    async def _trade(self, assembly: Assembly, time: _Time) -> None:
        watchdog = Watchdog(
            self._settings.watchdog_seconds, stopwatch_s=stopwatch_s, on_hang=start_over
        )
        with self._signals_caught():
            async with serve(assembly.app, self._settings, say=self._options.say):
                watchdog.start()
                try:
                    await self._run_loops(assembly, time, watchdog)
                finally:
                    watchdog.stop()

    async def _run_loops(self, assembly: Assembly, time: _Time, watchdog: Watchdog) -> None:
        """Run every loop until a signal or the last session; what brings in is stopped first."""
        feeds, runner = assembly.feeds, assembly.runner
        async with asyncio.TaskGroup() as group:

            def begin(job: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
                return group.create_task(job, name=name)

            stopping = begin(self._stop.wait(), "stop")
            carrying = [
                begin(self._beat(assembly, watchdog), "beat"),
                begin(runner.watch_jobs(), "jobs"),
                begin(assembly.notifier.run(), "notifier"),
                begin(feeds.order_news(assembly.on_stream_connected), "order-news"),
            ]
            if time.lockstep is not None:
                carrying.append(begin(time.lockstep.conduct(), "lockstep"))
            await self._recover(assembly, feeds)
            sessions = begin(feeds.sessions(), "sessions")
            bringing = [
                sessions,
                begin(feeds.quotes(), "quotes"),
                begin(feeds.reconciling(assembly.is_quiet), "reconciling"),
            ]
            self._manager.ready("trading")
            await asyncio.wait({stopping, sessions}, return_when=asyncio.FIRST_COMPLETED)
            for task in bringing:
                task.cancel()
            await self._stop_in_stages(assembly)
            for task in (*carrying, stopping):
                task.cancel()

    async def _recover(self, assembly: Assembly, feeds: Feeds) -> None:
        """Settle every order in doubt and take in the venue's account, before anything new."""
        self._options.say("Comparing the book with the venue")
        await assembly.settle_doubts()
        while not await feeds.reconcile():
            self._manager.still_starting(30.0)
            await asyncio.sleep(2.0)
        self._options.say("Ready; trading from the next bar on")

    async def _beat(self, assembly: Assembly, watchdog: Watchdog) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            assembly.metrics.loop_lagged(max(0.0, loop.time() - due_s))
            watchdog.beat()
            self._manager.progressed()
            assembly.publish_counts()

    # --- stopping --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        self._signals += 1
        self._stop.set()
        if self._signals > 1:
            _log.critical("forced_stop", hint="working orders may be left at the venue")
            raise SystemExit(1)

    async def _stop_in_stages(self, assembly: Assembly) -> None:
        self._options.say("Stopping: no new decisions")
        self._manager.stopping("stopping")
        runner = assembly.runner
        runner.post(StoppingBegan(at=assembly.clock.now()))
        self._options.say("Stopping: settling what works")
        await runner.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_RECONCILE_S_MAX):
                await assembly.feeds.reconcile()
        self._options.say("Stopping: saving")
        await assembly.notifier.drain()
        await runner.final_save()
        self.stopped_cleanly = True

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
from daemon.assembling import assemble
from daemon.assembly import Assembly, Ground
from daemon.backoff import seeded_jitter
from daemon.clock import ClockPace, LockstepClock, LockstepPace, Pace, SystemClock, VenueClock
from daemon.embedded import EmbeddedExchange, ExchangeOptions, find_or_start
from daemon.feeds import Feeds
from daemon.http_server import serve
from daemon.keeping import ExchangeKeeper
from daemon.machine import Machine, ReadableNote, Watch, this_machine
from daemon.pacing import ClockPacing, LockstepPacing, Pacing, VenuePacing
from daemon.report import RunReport, report_of
from daemon.sdnotify import ServiceManager
from daemon.settings import Settings
from daemon.settings_conflicts import WHERE_TO_GET_KEYS
from domain.errors import ConfigurationFault, NotAuthorized, TradewindError, VenueError
from domain.events import StoppingBegan, StrategyHung
from domain.portfolio import AccountReport
from domain.ports import Clock

CONNECTIONS_MAX = 40
BEAT_S = 0.5
"""How often the loop says that it turns."""
LAST_RECONCILE_S_MAX = 5.0
"""Shutdown: how long the last look at the venue's account may take."""
FINAL_LOOKS_MAX = 2

_log = structlog.get_logger("tradewind")
RECONCILE_S = 60.0
"""Market time between two looks at the account…"""
RECONCILE_REAL_S_MIN = 1.0
"""…and the least real time between them, however fast market time runs."""
RECONCILE_AGAIN_S = 2.0
"""Start-up: loop time until the account is asked for again."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line says beyond the settings."""

    exchange: ExchangeOptions
    sessions_max: int | None = None
    is_dry_run: bool = False
    version: str = "0"
    environ: dict[str, str] = field(default_factory=dict)
    progress: startup.Progress = lambda what, done, total: None
    """Told how far a step that takes a while has come."""
    say: Say = lambda line: None
    """Told, in a sentence, what start-up is doing."""
    machine: Machine = field(default_factory=this_machine)
    on_assembled: Callable[[Assembly], None] = lambda assembly: None
    """Shown the daemon once it is put together, before it trades."""


@dataclass(slots=True)
class _Time:
    """How this run waits, by the venue it trades on."""

    clock: Clock
    pace: Pace
    pacing: Pacing
    lockstep: LockstepPacing | None = None


@dataclass(frozen=True, slots=True)
class _Started:
    """A daemon put together, and what must be given back when it ends."""

    assembly: Assembly
    time: _Time
    files: startup.StateFiles
    running: ReadableNote
    """Says that we run; still there at the next start when this one did not end cleanly."""


async def run(settings: Settings, options: RunOptions) -> RunReport | None:
    """Trade until stopped, or for so many sessions; return what happened, None when stopped
    before anything could.

    Raises ConfigurationFault, Refused, StateCorrupt and other TradewindErrors before anything is
    ordered.
    """
    async with options.machine.open_session(CONNECTIONS_MAX) as session:
        return await _Program(settings, options, session).live()


class _Program:
    """One run, from recovery to the last save."""

    def __init__(
        self, settings: Settings, options: RunOptions, session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._options = options
        self._session = session
        self._exchange: EmbeddedExchange | None = None
        self._jitter = seeded_jitter(settings.seed)
        self._stop = asyncio.Event()
        self._starting: asyncio.Task[_Started] | None = None
        self._signals = 0
        self._started_s = options.machine.real_time_s()
        self._manager = ServiceManager(options.environ, process_id=os.getpid())

    # --- life ------------------------------------------------------------------------------------

    async def live(self) -> RunReport | None:
        with self._signals_caught():
            try:
                report = await self._live()
            except TradewindError:
                # A refusal is a clean end too: an exchange of ours is not left behind.
                await self._stop_exchange()
                raise
            await self._stop_exchange()
            return report

    async def _live(self) -> RunReport | None:
        self._starting = asyncio.get_running_loop().create_task(self._start(), name="start")
        try:
            started = await self._starting
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
            self._options.say("Stopped before trading began")
            return None
        finally:
            self._starting = None
        assembly = started.assembly
        try:
            await self._trade(assembly, started.time)
            started.running.clear()
            return report_of(
                assembly,
                uptime_s=self._options.machine.real_time_s() - self._started_s,
                account=await self._final_account(assembly),
            )
        except TradewindError:
            started.running.clear()  # told to whoever started us: no crash
            raise
        finally:
            started.files.lock.release()

    async def _start(self) -> "_Started":
        """Find venue, account and state, and put the daemon together."""
        if self._settings.venue == "embedded":
            await self._find_exchange()
        machine, time = self._options.machine, self._time()
        connection = wiring.connect(
            self._settings, self._session, clock=time.clock, pace=time.pace, jitter=self._jitter
        )
        self._options.say("Reading the account")
        account = await self._account(connection)
        files = startup.open_state(
            self._settings.state_dir,
            venue=self._settings.venue,
            account_id=account.account_id,
            clock=time.clock,
            machine=machine,
        )
        is_done = False
        try:
            note = machine.note(files.directory / "asking")
            assembly = await assemble(
                self._settings,
                Ground(
                    connection=connection,
                    files=files,
                    account=account,
                    clock=time.clock,
                    pacing=time.pacing,
                    note=note,
                    machine=machine,
                    session=self._session,
                    jitter=self._jitter,
                ),
                reconcile_s=max(RECONCILE_S, RECONCILE_REAL_S_MIN * self._speed()),
                sessions_max=self._options.sessions_max,
                progress=self._options.progress,
                say=self._options.say,
            )
            is_done = True
        finally:
            if not is_done:
                files.lock.release()
        if self._options.is_dry_run:
            assembly.runner.is_sending = False
        self._options.on_assembled(assembly)
        running = machine.note(files.directory / "running")
        if running.read():
            assembly.observer.notify(startup.crash_notice(running.read(), time.clock.now()))
        running.write(f"since {time.clock.now():%Y-%m-%d %H:%M:%S} UTC")
        hung = note.read()
        if hung:
            assembly.runner.post(StrategyHung(at=time.clock.now(), strategy=hung))
        return _Started(assembly, time, files, running)

    async def _account(self, connection: wiring.Connection) -> AccountReport:
        try:
            return await connection.broker.account()
        except NotAuthorized as refusal:
            if self._settings.venue == "embedded":
                raise ConfigurationFault(
                    f"the exchange at {self._options.exchange.url} lets others in only: it was "
                    "started with --key and --secret; start it without, or set EXCHANGE_URL"
                ) from refusal
            raise ConfigurationFault(
                f"Alpaca does not accept ALPACA_API_KEY and ALPACA_SECRET_KEY "
                f"(HTTP {refusal.http_status}): {WHERE_TO_GET_KEYS}"
            ) from refusal

    # --- the exchange ----------------------------------------------------------------------------

    async def _find_exchange(self) -> None:
        say, wanted = self._options.say, self._options.exchange
        say(f"Looking for the embedded exchange at {wanted.url}")
        self._exchange = exchange = await find_or_start(self._session, wanted)
        identity = exchange.identity
        say(
            f"{'Started' if exchange.is_ours else 'Found'} it: market {identity.market}, "
            f"{identity.speed:g}× time, now {identity.now:%Y-%m-%d %H:%M} UTC"
        )

    def _keeper(self, clock: Clock) -> ExchangeKeeper | None:
        if self._exchange is None or not isinstance(clock, VenueClock):
            return None
        return ExchangeKeeper(self._exchange, clock, self._session)

    async def _stop_exchange(self) -> None:
        if self._exchange is not None:
            await self._exchange.stop(self._session)

    def _speed(self) -> float:
        return self._exchange.identity.speed if self._exchange is not None else 1.0

    def _time(self) -> _Time:
        real_time = self._options.machine.real_time_s
        if self._exchange is None:
            clock: Clock = SystemClock(real_time)
            pace: Pace = ClockPace(clock)
            return _Time(clock, pace, ClockPacing(pace))
        identity = self._exchange.identity
        if not identity.lockstep:
            venue_clock = VenueClock(identity.clock, real_time)
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
        """Return the account at the end; an answer that cannot be read is asked for once more."""
        for _ in range(FINAL_LOOKS_MAX):
            with contextlib.suppress(VenueError):
                return await assembly.connection.broker.account()
        return None

    # --- trading ---------------------------------------------------------------------------------

    async def _trade(self, assembly: Assembly, time: _Time) -> None:
        watchdog = self._options.machine.watch(self._settings.watchdog_seconds)
        async with serve(assembly.app, self._settings, say=self._options.say):
            watchdog.start()
            try:
                await self._run_loops(assembly, time, watchdog)
            finally:
                watchdog.stop()

    async def _run_loops(self, assembly: Assembly, time: _Time, watchdog: Watch) -> None:
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
            ]
            keeper = self._keeper(time.clock)
            if keeper is not None:
                carrying.append(begin(keeper.keep(), "keep-exchange"))

            def on_connected(is_reconnect: bool) -> None:
                if is_reconnect and keeper is not None:
                    begin(keeper.follow(), "follow-exchange")
                assembly.on_stream_connected(is_reconnect)

            carrying.append(begin(feeds.order_news(on_connected), "order-news"))
            carrying.append(begin(assembly.follow_bars(), "bar-stream"))
            if time.lockstep is not None:
                carrying.append(begin(time.lockstep.conduct(), "lockstep"))
            await self._recover(assembly, feeds)
            sessions = begin(feeds.sessions(), "sessions")
            bringing = [
                sessions,
                begin(feeds.quotes(), "quotes"),
                begin(feeds.reconciling(assembly.is_quiet), "reconciling"),
                begin(assembly.vitals.watch_clock(), "venue-clock"),
                begin(assembly.mornings.watch(), "mornings"),
            ]
            ready = begin(self._say_ready(assembly), "ready")
            await asyncio.wait({stopping, sessions}, return_when=asyncio.FIRST_COMPLETED)
            for task in (*bringing, ready):
                task.cancel()
            await self._stop_in_stages(assembly)
            for task in (*carrying, stopping):
                task.cancel()

    async def _recover(self, assembly: Assembly, feeds: Feeds) -> None:
        """Settle every order in doubt and take in the venue's account, before anything new."""
        self._options.say("Comparing the book with the venue")
        await assembly.settle_doubts()
        while not self._stop.is_set():
            if await feeds.reconcile():
                self._options.say("Ready; trading from the next bar on")
                return
            self._manager.still_starting(30.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RECONCILE_AGAIN_S)

    async def _say_ready(self, assembly: Assembly) -> None:
        """Tell the service manager after the first full cycle; at night none comes, and none is
        waited for."""
        if assembly.engine.core.calendar.session_at(assembly.clock.now()) is not None:
            await assembly.first_cycle.wait()
        self._manager.ready("trading")

    async def _beat(self, assembly: Assembly, watchdog: Watch) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            assembly.lagged(max(0.0, loop.time() - due_s))
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
        if self._starting is not None:
            self._starting.cancel()
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
        await assembly.taper.close()

"""One running daemon, put together: what the program runs and the HTTP interface shows."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import aiohttp
import structlog
from aiohttp import web

from daemon import http_api, settling, startup, views, wiring
from daemon.alpaca.bar_stream import BarStream
from daemon.asking import Asker
from daemon.backoff import Jitter
from daemon.engine import Engine
from daemon.engine.commands import Command
from daemon.feeds import Feeds
from daemon.http_api import Access, EventFeed
from daemon.machine import Machine, ReadableNote
from daemon.metering import Meter
from daemon.metrics import Metrics
from daemon.mornings import Mornings
from daemon.notify import Notifier
from daemon.observing import Observer
from daemon.pacing import Pacing
from daemon.recording import Recorder
from daemon.runner import Observers, Runner, Timing
from daemon.settings import Settings
from daemon.taping import Taper
from daemon.tokens import control_token
from daemon.vitals import Sources, Vitals
from domain.calendar import Session
from domain.events import Event, OperatorAsked, SubmitRejected
from domain.portfolio import AccountReport
from domain.ports import Clock
from domain.snapshot import Snapshot, TradingState
from risk.breakers import Level
from state import ledger, tape

COMPARE_TRIES, COMPARE_AGAIN_S = 3, 2.0
"""How often, and after how long, the account is asked for again before a session."""
READY_AGE_S_MAX = 120.0
"""No progress for this long (real seconds): not ready any more."""

_log = structlog.get_logger("tradewind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a daemon stands on: a venue, an account, its state, and time."""

    connection: wiring.Connection
    files: startup.StateFiles
    account: AccountReport
    clock: Clock
    pacing: Pacing
    note: ReadableNote
    machine: Machine
    session: aiohttp.ClientSession
    jitter: Jitter


class Assembly:
    """The parts of one running daemon. Implements `daemon.http_api.Daemon`."""

    def __init__(
        self,
        ground: Ground,
        engine: Engine,
        feeds_of: Callable[[Runner], Feeds],
        settings: Settings,
    ) -> None:
        self.clock = ground.clock
        self.connection = ground.connection
        self.engine = engine
        self.metrics = Metrics(version=VERSION, venue=settings.venue)
        self.feed = EventFeed()
        url = settings.notify_url.get_secret_value() if settings.notify_url else ""
        self.notifier = Notifier(url, ground.session, told=self.metrics.notified)
        self.observer = Observer(
            engine,
            self.metrics,
            self.feed,
            self.notifier,
            now=ground.clock.now,
            stopwatch_s=ground.machine.stopwatch_s,
        )
        self.recorder = Recorder(
            ground.files.journal,
            ground.files.store,
            writer=ground.machine.writer(),
            on_failure=lambda fault: self.runner.disk_failed(fault),
            on_saved=lambda took_s: self.metrics.snapshot_saved(self._real_time_s(), took_s),
        )
        self.vitals = Vitals(
            Sources(
                clock=ground.clock,
                fs=ground.machine.fs,
                directory=ground.files.directory,
                take_slowest_fsync_s=self.recorder.take_slowest_s,
                venue_time=ground.connection.broker.now,
            )
        )
        self.taper = Taper(
            ground.machine.fs,
            ground.files.directory / tape.FOLDER,
            parts_max=tape.parts_within(settings.tape_max_mb),
            writer=ground.machine.writer(),
        )
        self.runner = self._runner(ground, settings)
        self.feeds = feeds_of(self.runner)
        self.runner.before_decision = self.feeds.refresh
        self.runner.compare = self.feeds.reconcile
        self.feeds.on_poll = self._polled
        self.mornings = Mornings(
            wiring.mornings(ground.connection),
            clock=ground.clock,
            post=self.runner.post,
            symbols=engine.core.universe.symbols,
            held=lambda: tuple(engine.memory.portfolio.positions),
        )
        self.feeds.before_session = self._before_session
        self.feeds.account.on_mute = self._stream_is_mute
        self.first_cycle = asyncio.Event()
        """Set once the universe's quotes have been polled and looked at."""
        self.bar_stream: BarStream | None = None
        self._meter = self._metering(ground)
        self.metrics.universe_chosen(len(engine.core.universe))
        self.metrics.limits_armed(drawdown=float(settings.max_drawdown_percent))
        self._pacing = ground.pacing
        self._real_time_s = ground.machine.real_time_s
        self.app = self._http_app(ground, settings)

    def _metering(self, ground: Ground) -> Meter:
        return Meter(
            self.metrics,
            ground.connection,
            slots_missed=lambda: self.feeds.slots_missed,
            bar_stream=lambda: self.bar_stream,
        )

    def _runner(self, ground: Ground, settings: Settings) -> Runner:
        strategies = {n: e.strategy for n, e in self.engine.core.rules.strategies.items()}
        return Runner(
            self.engine,
            asker=Asker(
                strategies,
                note=ground.note,
                clock=ground.clock,
                stopwatch_s=ground.machine.stopwatch_s,
                budget_s=settings.strategy_budget_ms / 1e3,
            ),
            broker=ground.connection.broker,
            recorder=self.recorder,
            observers=Observers(
                on_event=self._handled, on_notify=self.observer.notify, on_arrival=self.taper.heard
            ),
            timing=Timing(
                clock=ground.clock,
                pacing=ground.pacing,
                stopwatch_s=ground.machine.stopwatch_s,
                jitter=ground.jitter,
            ),
        )

    def _http_app(self, ground: Ground, settings: Settings) -> web.Application:
        read_token = settings.http_read_token
        access = Access(
            control_token=control_token(settings, ground.files.directory),
            read_token=read_token.get_secret_value() if read_token else "",
            hosts=frozenset({"127.0.0.1", "localhost", "[::1]", settings.http_host}),
        )
        return http_api.make_app(
            self,
            access=access,
            clock=ground.clock,
            feed=self.feed,
            instruments=self.engine.core.instruments,
            about={
                "state_dir": str(ground.files.directory),
                "version": VERSION,
                "process_id": os.getpid(),
            },
        )

    # --- for the HTTP interface ------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the state as of now."""
        return self.engine.snapshot(self.clock.now())

    def breakers(self) -> Sequence[Level]:
        """Return how every circuit breaker stands."""
        return self.engine.breakers()

    async def operate(self, asked: OperatorAsked) -> views.Document:
        """Hand an operator's wish to the engine and return what came of it."""
        if asked.order is not None and asked.order.symbol in self.engine.core.instruments:
            with self._pacing.at_work():
                await self.feeds.freshen([asked.order.symbol])
        self.runner.post(asked)
        trading = self.engine.memory.trading
        return {
            "action": asked.action.value,
            "answer": self.engine.operator_answer,
            "refused": self.engine.operator_refused,
            "trading_state": trading.state.value,
            "cause": trading.cause,
            "resumes": trading.resumes,
        }

    def health(self) -> views.Document:
        """Return whether the daemon lives and is ready, and why not."""
        memory = self.engine.memory
        reasons = []
        if not memory.is_reconciled:
            reasons.append("the book has not been compared with the venue yet")
        if memory.trading.state is TradingState.HALTED:
            reasons.append(f"trading is halted: {memory.trading.cause}")
        if self.recorder.is_failed:
            reasons.append("the state directory cannot be written")
        return {"live": True, "ready": not reasons, "reasons": reasons}

    def metrics_page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self.metrics.render()

    # --- for the program -------------------------------------------------------------------------

    async def settle_doubts(self) -> None:
        """Begin to look up every order left in doubt; return when that is done or takes longer
        than anyone should wait for: then it goes on beside trading."""
        await settling.settle_doubts(self.engine.memory, self.runner.submitter, self.runner.spawn)

    async def follow_bars(self) -> None:
        """Keep the bars that the venue sends, where the settings want them so."""
        if self.bar_stream is not None:
            await self.bar_stream.run()

    def is_quiet(self) -> bool:
        """Return whether no order is being sent. One that is only looked for is in doubt in our
        records, and nothing is adopted while one is."""
        return self.runner.submitter.sending == 0

    def on_stream_connected(self, is_reconnect: bool) -> None:
        """Read the account again after a gap in the news."""
        if is_reconnect:
            _log.warning("stream_reconnected")
            self.feeds.account.has_gap = True
            self.runner.reconcile_soon(self.feeds.reconcile)

    def lagged(self, lag_s: float) -> None:
        """Take in by how much the loop came late, and report how we are when that is due."""
        self.metrics.loop_lagged(lag_s)
        report = self.vitals.lagged(lag_s)
        if report is not None:
            self.runner.post(report)
            self.metrics.vitals.measured(report, is_taping=not self.taper.why_ended)
            self.metrics.vitals.judged(self.engine.breakers())

    def publish_counts(self) -> None:
        """Bring the running totals of the fetcher and the budgets into the metrics."""
        self.metrics.progressed(self._real_time_s())
        self._meter.publish()

    def _stream_is_mute(self) -> None:
        self.runner.spawn(self.connection.broker.stream.give_up(), "stream-mute")

    async def _before_session(self, session: Session) -> None:
        """Know what companies do to shares, and what the account makes of it, before trading."""
        await self.mornings.read(session.day)
        for _ in range(COMPARE_TRIES):
            if await self.feeds.reconcile():
                return
            await asyncio.sleep(COMPARE_AGAIN_S)

    def _handled(self, event: Event, commands: list[Command], took_s: float) -> None:
        self.observer.event(event, commands, took_s)
        if isinstance(event, SubmitRejected):
            symbol = self.engine.memory.orders[event.client_order_id].intent.symbol
            self.runner.spawn(self.mornings.ask_about(symbol), f"asset-{symbol}")
        self.taper.followed(commands)

    def _polled(self, took_s: float) -> None:
        self.first_cycle.set()
        real_s = self._real_time_s()
        self.metrics.prices_fetched(real_s, took_s)
        self.metrics.cycle_finished(real_s, took_s)

    def profit_usd(self) -> Decimal:
        """Return what was made since the account was first seen, deposits left out."""
        memory = self.engine.memory
        return ledger.account_profit_usd(memory.portfolio, memory.marks)


VERSION = "0.1.0"

"""One running daemon, put together: what the program runs and the HTTP interface shows."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import aiohttp
import structlog
from aiohttp import web

from daemon import http_api, settling, startup, views, wiring
from daemon.alpaca.account_codec import AssetFacts
from daemon.alpaca.bar_stream import BarStream
from daemon.asking import Asker
from daemon.backoff import Jitter
from daemon.engine import Engine, EngineParts
from daemon.feeds import BookView, FeedRules, Feeds, Venue
from daemon.fingerprint import settings_hash
from daemon.http_api import Access, EventFeed
from daemon.machine import Machine, ReadableNote
from daemon.metering import Meter
from daemon.metrics import Metrics
from daemon.notify import Notifier
from daemon.observing import Observer
from daemon.pacing import Pacing
from daemon.recording import Recorder
from daemon.runner import Observers, Runner, Timing
from daemon.settings import Settings
from daemon.tokens import control_token
from daemon.universe import choose_universe, reachable_gross, restrict_to_venue
from domain.calendar import Calendar
from domain.errors import Refused
from domain.events import OperatorAsked
from domain.instruments import Symbol, Universe
from domain.portfolio import AccountReport
from domain.ports import Clock
from domain.snapshot import Snapshot, TradingState
from state import ledger
from state.records import RunBegan

READY_AGE_S_MAX = 120.0
"""No progress for this long (real seconds): not ready any more."""

_log = structlog.get_logger("tradewind")
Say = Callable[[str], None]


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
        observer = Observer(
            engine,
            self.metrics,
            self.feed,
            self.notifier,
            now=ground.clock.now,
            stopwatch_s=ground.machine.stopwatch_s,
        )
        self.observer = observer
        recorder = Recorder(
            ground.files.journal,
            ground.files.store,
            writer=ground.machine.writer(),
            on_failure=lambda fault: self.runner.disk_failed(fault),
            on_saved=lambda took_s: self.metrics.snapshot_saved(self._real_time_s(), took_s),
        )
        self.recorder = recorder
        strategies = {n: e.strategy for n, e in engine.core.rules.strategies.items()}
        self.runner = Runner(
            engine,
            asker=Asker(
                strategies,
                note=ground.note,
                clock=ground.clock,
                stopwatch_s=ground.machine.stopwatch_s,
                budget_s=settings.strategy_budget_ms / 1e3,
            ),
            broker=ground.connection.broker,
            recorder=recorder,
            observers=Observers(on_event=observer.event, on_notify=observer.notify),
            timing=Timing(
                clock=ground.clock,
                pacing=ground.pacing,
                stopwatch_s=ground.machine.stopwatch_s,
                jitter=ground.jitter,
            ),
        )
        self.feeds = feeds_of(self.runner)
        self.runner.before_decision = self.feeds.refresh
        self.feeds.on_poll = self._polled
        self.first_cycle = asyncio.Event()
        """Set once the universe's quotes have been polled and looked at."""
        self.bar_stream: BarStream | None = None
        self._meter = Meter(self.metrics, ground.connection, lambda: self.feeds.slots_missed)
        self.metrics.universe_chosen(len(engine.core.universe))
        self.metrics.limits_armed(drawdown=float(settings.max_drawdown_percent))
        self._pacing = ground.pacing
        self._real_time_s = ground.machine.real_time_s
        self.app = self._http_app(ground, settings)

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
            self.runner.reconcile_soon(self.feeds.reconcile)

    def publish_counts(self) -> None:
        """Bring the running totals of the fetcher and the budgets into the metrics."""
        self.metrics.progressed(self._real_time_s())
        self._meter.publish()

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


async def assemble(
    settings: Settings,
    ground: Ground,
    *,
    reconcile_s: float,
    sessions_max: int | None,
    progress: startup.Progress,
    say: Say,
) -> Assembly:
    """Return a daemon ready to run: universe chosen, state recovered, history loaded."""
    now = ground.clock.now()
    universe, assets = await _universe(settings, ground, say)
    calendar = await ground.connection.broker.calendar(
        (now - startup.CALENDAR_BACK).date(), (now + startup.CALENDAR_AHEAD).date()
    )
    parts = _parts(settings, universe, assets, calendar)
    memory = startup.memory_of(
        ground.files.recovered,
        ground.account,
        venue=settings.venue,
        symbols=universe.symbols,
        now=now,
    )
    engine = Engine(parts, memory, now=now)
    rules = _feed_rules(
        settings, parts, universe, reconcile_s=reconcile_s, sessions_max=sessions_max
    )
    streamed = wiring.streamed_bars(
        settings,
        ground.connection,
        ground.session,
        universe.symbols,
        clock=ground.clock,
        jitter=ground.jitter,
    )
    venue = Venue(
        prices=ground.connection.prices if streamed is None else streamed,
        broker=ground.connection.broker,
        calendar=calendar,
        take_invalid=ground.connection.prices.take_invalid,
    )

    def feeds_of(runner: Runner) -> Feeds:
        return Feeds(
            venue,
            clock=ground.clock,
            pacing=ground.pacing,
            post=runner.post,
            book=BookView(
                watched=engine.watched_symbols,
                live=lambda: settling.live_orders(engine.memory),
            ),
            rules=rules,
        )

    assembly = Assembly(ground, engine, feeds_of, settings)
    assembly.bar_stream = None if streamed is None else streamed.stream
    _continue(assembly, ground, say)
    await _begin_records(assembly, settings, now)
    say(f"Loading history of {len(universe)} symbols")
    await startup.warm_up(
        engine,
        ground.connection.prices,
        calendar,
        rules=parts.rules,
        now=ground.clock.now(),
        progress=progress,
    )
    return assembly


def _feed_rules(
    settings: Settings,
    parts: EngineParts,
    universe: Universe,
    *,
    reconcile_s: float,
    sessions_max: int | None,
) -> FeedRules:
    return FeedRules(
        symbols=universe.symbols,
        timeframes=parts.rules.timeframes(),
        settle_s=settings.bar_settle_seconds,
        poll_s=settings.poll_seconds,
        order_price_max_age_s=settings.order_price_max_age_seconds,
        mark_max_age_s=settings.price_ttl_seconds,
        reconcile_s=reconcile_s,
        sessions_max=sessions_max,
    )


def _continue(assembly: Assembly, ground: Ground, say: Say) -> None:
    """Go on where the recovered state ends: say so, and ask for the fills since."""
    recovered = ground.files.recovered
    if recovered is None:
        # What filled before is in the positions that the account began with.
        assembly.feeds.fills_wanted_since(ground.account.reported_at)
    else:
        assembly.feeds.fills_wanted_since(settling.fills_wanted_since(recovered))
        say(_recovered_line(recovered))


def _parts(
    settings: Settings,
    universe: Universe,
    assets: Mapping[Symbol, AssetFacts],
    calendar: Calendar,
) -> EngineParts:
    enlisted = wiring.enlist_strategies(settings, wiring.discover_strategies(settings))
    limits = wiring.risk_limits(settings)
    return EngineParts(
        universe=universe,
        rules=wiring.engine_rules(settings, enlisted, assets),
        limits=limits,
        allocation=wiring.allocation_rules(settings),
        gate=wiring.risk_gate(settings, limits),
        calendar=calendar,
    )


async def _universe(
    settings: Settings, ground: Ground, say: Say
) -> tuple[Universe, Mapping[Symbol, AssetFacts]]:
    """Return what is traded: the settings' choice, of it what the venue trades."""
    for warning in settings.warnings:
        _log.warning("setting_odd", detail=warning)
    choice = choose_universe(settings)
    say("Asking the venue what may be traded")
    assets = await ground.connection.broker.assets()
    tradable = [s for s, a in assets.items() if a.tradable]
    choice = restrict_to_venue(choice, tradable)
    for note in choice.notes:
        say(note)
    reachable = reachable_gross(settings, choice.universe)
    say(f"{len(choice.universe)} symbols; the caps let at most {reachable:.0%} of equity be held")
    return wiring.lot_sized(choice.universe, settings), assets


async def _begin_records(assembly: Assembly, settings: Settings, now: datetime) -> None:
    """Save once before the first record: the journal is folded onto a snapshot, so one must be.

    Raises Refused when the disk does not take it.
    """
    try:
        await assembly.recorder.save(assembly.engine.snapshot(now))
    except OSError as fault:
        raise Refused(f"the state cannot be saved, so nothing is traded: {fault}") from fault
    assembly.recorder.record(
        RunBegan(
            at=now,
            venue=settings.venue,
            account_id=assembly.engine.memory.account_id,
            build=VERSION,
            settings_hash=settings_hash(settings),
        )
    )


def _recovered_line(snapshot: Snapshot) -> str:
    held = len(snapshot.portfolio.positions)
    working = sum(1 for order in snapshot.orders if not order.status.is_terminal)
    return (
        f"Continuing the saved book of {snapshot.saved_at:%Y-%m-%d %H:%M} UTC: {held} positions, "
        f"{working} orders under way, trading {snapshot.trading.state.value}"
    )

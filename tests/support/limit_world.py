"""A daemon made from settings as text, on a real exchange in the same process, moved by hand.

Settings are read by `load_settings` and become parts by `daemon.wiring` alone; engine, runner,
broker, prices and stream are the daemon's own, the venue is `exchange.app` over HTTP and websocket
on a virtual-time loop. A session is ten minutes from 14:30 UTC with a tick each half minute; every
price is $100 (bid and ask a cent to either side) unless a Story says otherwise, and the base
settings leave every limit so loose that only the one a case sets can bite.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import numpy as np
import orjson
from aiohttp import web

from daemon import settings_rules, startup, wiring
from daemon.alpaca.client import open_session
from daemon.asking import Asker
from daemon.backoff import seeded_jitter
from daemon.clock import ClockPace, LockstepClock
from daemon.comparing import BookView
from daemon.engine import Engine, EngineParts
from daemon.engine.ordering import decision_on
from daemon.feeds import FeedRules, Feeds
from daemon.feeds import Venue as VenuePorts
from daemon.pacing import ClockPacing
from daemon.recording import Recorder
from daemon.runner import Observers, Runner, Timing
from daemon.settings import Settings
from daemon.settings_env import load_settings
from daemon.settling import live_orders
from daemon.universe import choose_universe
from domain.calendar import Timeframe
from domain.events import (
    Action,
    BarsClosed,
    OperatorAsked,
    OperatorOrder,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
)
from domain.instruments import Symbol
from domain.market import BarRow
from domain.orders import AtLimit, OrderIntent, Side
from domain.snapshot import Decision
from exchange.app import make_app
from exchange.assets import list_assets
from exchange.auth import Credentials
from exchange.clock import SteppedTime
from exchange.instants import from_ns, to_ns
from exchange.knobs import FillModel, Knobs
from exchange.records import EventKind, VenueEvent
from exchange.service import Exchange, NoLog
from exchange.venue import Venue, VenueConfig
from research.simulation.kernel.loop import current_loop
from state.journal import JsonLinesJournal, scan
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from state.records import Decided, decode
from tests.support.exchanges import TICKS, UNLIMITED, HandMarket, session_on

HOST, PORT = "127.0.0.1", 8431
T = TypeVar("T")
UNIVERSE = """\
symbol,name,kind,sector,tier,volatility,dollar_volume_musd,look_through
AAA,A,stock,Technology,growth,0.2,100,
BBB,B,stock,Technology,growth,0.2,100,
CCC,C,stock,Energy,growth,0.2,100,
FND,F,etf,Gold,etf,0.2,100,
FN2,G,etf,Bonds,etf,0.2,100,
"""
SYMBOLS = ("AAA", "BBB", "CCC", "FND", "FN2")
FOLLOWER = '''\
from dataclasses import dataclass
from domain.calendar import Timeframe
from domain.market import Market
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Says what the last close says: a hundred dollars and the strength."""

    timeframe: Timeframe = Timeframe.MINUTE

    @property
    def lookback_bars(self) -> int:
        return 1

    def decide(self, market: Market) -> Signals:
        return Signals(strength=market.bars.close[-1] - 100.0)
'''
LOOSE: Mapping[str, str] = {
    "EXCHANGE_URL": f"http://{HOST}:{PORT}",
    "BAR_TIMEFRAME": "1Min",
    "STRATEGIES": "follower",
    "MIN_HOLD_BARS": "0",
    "STRATEGY_BUDGET_MS": "20000",
    "ORDER_PRICE_MAX_AGE_SECONDS": "60",
    "MAX_POSITION_SIZE": "1",
    "MAX_GROSS_EXPOSURE": "2",
    "SECTOR_CAPS": "Technology=1,Energy=1,Gold=1,Bonds=1",
    "ETF_CAP": "1",
    "TIER_BUDGETS": "safe=2,growth=2,aggressive=2,etf=2",
    "DAILY_TURNOVER_MAX": "1000%",
    "NO_TRADE_BAND": "0",
    "NO_TRADE_BAND_USD": "0",
    "COLLAR_BPS": "1000",
    "EXIT_COLLAR_BPS": "2000",
    "ORDER_SIZE_MAX_USD": "1000000000",
    "ORDER_SIZE_MAX_SHARES": "1000000000",
    "ADV_SHARE_MAX": "1",
    "PRICE_JUMP_MAX": "1",
    "NO_ENTRY_FIRST_MINUTES": "0",
    "NO_ENTRY_LAST_MINUTES": "0",
    "ORDERS_PER_MINUTE_MAX": "1000",
    "ORDERS_PER_DAY_MAX": "100000",
    "STOP_LOSS_PERCENT": "0",
    "TAKE_PROFIT_PERCENT": "0",
    "MAX_DAILY_LOSS_PERCENT": "1",
    "MAX_DRAWDOWN_PERCENT": "1",
    "CLUSTER_NAMES_MAX": "100",
    "CLUSTER_DAYS": "20",
}
"""Every limit so far away that no case meets it by accident."""
DAYS_BEFORE = 44
DAYS: tuple[date, ...] = tuple(
    day for day in (date(2026, 1, 5) + timedelta(days=n) for n in range(90)) if day.weekday() < 5
)[: DAYS_BEFORE + 1]
TODAY = DAYS[-1]
SESSION = session_on(TODAY)
FILLS_ALL = FillModel(volume_share_max=1e6, slippage_bps=0.0, impact_bps=0.0)
FILLS_A_SHARE = FillModel(volume_share_max=1e-9, slippage_bps=0.0, impact_bps=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the market is like, by symbol: `closes` of the days before, `ticks` of today (the last
    one lasts). `tick_shares` traded at each tick of the days before; `untradable` at the venue;
    `fills` of each tick; `cash_usd` at the venue, else the settings'.
    """

    closes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    ticks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tick_shares: Sequence[float] = ()
    untradable: frozenset[str] = frozenset()
    fills: FillModel = FILLS_ALL
    cash_usd: str = ""


CALM = Story()


class KeptLog(NoLog):
    """The exchange's log, in memory."""

    def __init__(self) -> None:
        self.events: list[VenueEvent] = []

    def append(self, events: list[VenueEvent], now_ns: int) -> None:
        self.events += events

    @property
    def orders(self) -> list[str]:
        """The orders it took, such as "buy 10 AAA"."""
        taken = [e.order for e in self.events if e.kind is EventKind.NEW and e.order is not None]
        return [f"{order.side} {order.qty:f} {order.symbol}" for order in taken]


class AtOnce(Executor):
    """Runs what it is given before it returns: the state's writer, without its thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class Forgotten:
    """A note nobody reads."""

    def write(self, name: str) -> None: ...

    def clear(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class World:
    """One daemon and its venue. `wire` holds what asked the venue to change anything, in order:
    "buy 10 AAA limit 100.11 day", "cancel"."""

    settings: Settings
    exchange: Exchange
    log: KeptLog
    clock: LockstepClock
    connection: wiring.Connection
    engine: Engine
    runner: Runner
    feeds: Feeds
    files: MemoryFileSystem
    wire: list[str]

    # --- time ------------------------------------------------------------------------------------

    async def at(self, session_s: float) -> None:
        """Go on to so many seconds after the open, and fetch fresh quotes."""
        await self.wait_until(session_s)
        await self.poll()

    async def wait_until(self, session_s: float) -> None:
        """Go on to an instant; no quotes are fetched."""
        instant = SESSION.opens_at + timedelta(seconds=session_s)
        assert isinstance(self.exchange.time, SteppedTime)
        self.exchange.time.step_to(to_ns(instant))
        self.exchange.step()
        self.clock.set_to(instant)
        await self.settle()

    async def settle(self) -> None:
        """Return when both sides have said everything they have to say."""
        await asyncio.sleep(0.02)
        await self.exchange.flush()
        await asyncio.sleep(0.02)

    async def poll(self) -> None:
        """Fetch quotes and post them, as the quotes loop does."""
        symbols = self.engine.core.universe.symbols
        quotes = await self.connection.prices.fetch(symbols, max_age_s=0)
        self.runner.post(QuotesPolled(at=self.clock.now(), quotes=quotes))
        await self.settle()

    # --- wishes ----------------------------------------------------------------------------------

    async def order(self, side: Side, symbol: str, shares: str, limit: str | None = None) -> None:
        """Give an operator's order; without a limit the default policy prices it."""
        wish = OperatorOrder(
            symbol=Symbol(symbol),
            side=side,
            quantity_shares=Decimal(shares),
            terms=AtLimit(Decimal(limit)) if limit else None,
        )
        await self.ask(Action.ORDER, order=wish)

    async def want(self, intent: OrderIntent) -> None:
        """Bring an intent before the gate as the engine's own parts do."""
        core, now = self.engine.core, self.clock.now()
        asked = replace(intent, slot_at=now, intended_at=now)
        for command in core.commit([asked], lambda verdicts: decision_on(core, verdicts)):
            self.runner._carry_out(command)  # the engine's parts have no other way out
        await self.settle()

    async def ask(self, action: Action, **fields: Any) -> None:
        self.runner.post(OperatorAsked(at=self.clock.now(), action=action, **fields))
        await self.settle()

    async def close(self) -> None:
        """End the session."""
        self.runner.post(SessionClosed(at=self.clock.now(), session=SESSION))
        await self.settle()

    async def slot(self, **closes: float) -> None:
        """Close a minute's bars: the follower's strengths are these less a hundred."""
        full = np.array([closes.get(s, np.nan) for s in self.engine.core.universe.symbols])
        row = BarRow(open=full, high=full, low=full, close=full, volume=np.full(len(full), 1e5))
        slot_at = self.clock.now().replace(second=0, microsecond=0)
        rows = {Timeframe.MINUTE: row}
        self.runner.post(BarsClosed(at=self.clock.now(), slot_at=slot_at, rows=rows))
        await self.settle()

    # --- looking ---------------------------------------------------------------------------------

    def held(self, symbol: str) -> Decimal:
        return self.engine.memory.portfolio.shares(Symbol(symbol))

    def decision(self) -> Decision:
        """Return the last decision as it stands in the journal."""
        records = scan(self.files, JOURNAL).records
        decided = [fact for record in records if isinstance(fact := decode(record), Decided)]
        return decided[-1].decision


JOURNAL = Path("/state/journal")


def write_folder(folder: Path) -> Path:
    """Write universe and strategy of this world into a folder, and return it."""
    (folder / "strategies").mkdir()
    (folder / "strategies" / "follower.py").write_text(FOLLOWER)
    (folder / "universe.csv").write_text(UNIVERSE)
    return folder


def settings_of(texts: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings read from the environment: the loose ones, and these instead."""
    places = {
        "UNIVERSE_FILE": str(folder / "universe.csv"),
        "STRATEGIES_DIR": str(folder / "strategies"),
    }
    return load_settings(None, {**LOOSE, **places, **texts})


@contextlib.asynccontextmanager
async def a_world(
    texts: Mapping[str, str], folder: Path, story: Story = CALM
) -> AsyncIterator[World]:
    """Open a world half a minute into a session, reconciled and with fresh quotes."""
    settings = settings_of(texts, folder)
    exchange, log = an_exchange(settings, story)
    wire: list[str] = []
    async with serving(exchange, wire), open_session(20) as session:
        world = await _assembled(settings, exchange, log, session, wire)
        news = asyncio.create_task(world.feeds.order_news(lambda _: None), name="order-news")
        try:
            await world.settle()
            await world.feeds.reconcile()
            world.runner.post(SessionOpened(at=world.clock.now(), session=SESSION))
            await world.at(30)
            yield world
        finally:
            news.cancel()
            await world.runner.final_save()
            await asyncio.gather(news, return_exceptions=True)


def an_exchange(settings: Settings, story: Story) -> tuple[Exchange, KeptLog]:
    """Return an exchange at the open of TODAY, with the settings' cash, and its log."""
    ticks: dict[date, dict[str, Sequence[float]]] = {TODAY: dict(story.ticks)}
    for symbol, closes in story.closes.items():
        for day, close in zip(_days_before(closes), closes, strict=True):
            ticks.setdefault(day, {})[symbol] = [close] * TICKS
    for symbol in story.closes:
        ticks[TODAY].setdefault(symbol, [100.0])
    shares: dict[date, dict[str, Sequence[float]]] = {
        day: {symbol: [traded] * TICKS for symbol in SYMBOLS}
        for day, traded in zip(_days_before(story.tick_shares), story.tick_shares, strict=True)
    }
    market = HandMarket(symbols=SYMBOLS, days=DAYS, ticks=ticks, shares=shares)
    assets = {
        symbol: replace(asset, tradable=symbol not in story.untradable)
        for symbol, asset in list_assets(market, {}).items()
    }
    config = VenueConfig(
        seed=7,
        cash_usd=Decimal(story.cash_usd) if story.cash_usd else settings.initial_capital,
        start_ns=to_ns(SESSION.opens_at),
        knobs=Knobs(fills=story.fills, extended_data=False),
    )
    venue, log = Venue(market, assets, config), KeptLog()
    exchange = Exchange(
        venue=venue,
        time=SteppedTime(market.calendar, venue.now_ns),
        log=log,
        credentials=Credentials(),
        limits=UNLIMITED,
        identity={},
    )
    return exchange, log


def _days_before(values: Sequence[float]) -> tuple[date, ...]:
    """Return the last days before TODAY, one for each value."""
    return DAYS[-1 - len(values) : -1]


@contextlib.asynccontextmanager
async def serving(exchange: Exchange, wire: list[str]) -> AsyncIterator[None]:
    """Serve an exchange, and write down what asks it for changes."""

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method != "GET":
            wire.append(_line(request, await request.read()))
        answer: web.StreamResponse = await handler(request)
        return answer

    app = make_app(exchange)
    app.middlewares.insert(0, note)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _line(request: web.Request, body: bytes) -> str:
    if request.method == "DELETE" and request.path.startswith("/v2/orders/"):
        return "cancel"
    if request.method != "POST" or request.path != "/v2/orders":
        return f"{request.method} {request.path}"
    sent = orjson.loads(body)
    words = ("side", "qty", "symbol", "type", "limit_price", "time_in_force")
    return " ".join(str(sent[word]) for word in words if sent.get(word) is not None)


async def _assembled(
    settings: Settings,
    exchange: Exchange,
    log: KeptLog,
    session: aiohttp.ClientSession,
    wire: list[str],
) -> World:
    """Put a daemon together as `daemon.assembling` does."""
    clock, jitter = LockstepClock(from_ns(exchange.venue.now_ns)), seeded_jitter(settings.seed)
    pace = ClockPace(clock)
    connection = wiring.connect(settings, session, clock=clock, pace=pace, jitter=jitter)
    parts, account = await _parts(settings, connection), await connection.broker.account()
    now, symbols = clock.now(), parts.universe.symbols
    memory = startup.memory_of(None, account, venue=settings.venue, symbols=symbols, now=now)
    engine, files = Engine(parts, memory, now=now), MemoryFileSystem()
    timing = Timing(
        clock=clock,
        pacing=ClockPacing(pace),
        stopwatch_s=current_loop().time,
        jitter=jitter,
    )
    runner = _runner(settings, engine, connection, timing, files)
    feeds = Feeds(
        VenuePorts(prices=connection.prices, broker=connection.broker, calendar=parts.calendar),
        clock=clock,
        pacing=timing.pacing,
        post=runner.post,
        book=BookView(watched=engine.watched_symbols, live=lambda: live_orders(engine.memory)),
        rules=_feed_rules(settings, parts),
    )
    runner.compare = feeds.reconcile
    feeds.fills_wanted_since(account.reported_at)
    await startup.warm_up(
        engine,
        connection.prices,
        parts.calendar,
        now=now,
        progress=lambda what, done, total: None,
    )
    return World(
        settings=settings,
        exchange=exchange,
        log=log,
        clock=clock,
        connection=connection,
        engine=engine,
        runner=runner,
        feeds=feeds,
        files=files,
        wire=wire,
    )


async def _parts(settings: Settings, connection: wiring.Connection) -> EngineParts:
    """Return what settings and venue make of an engine. Symbols that the venue does not trade are
    kept, unlike at a start: one that becomes untradable later is the gate's to meet."""
    assets = await connection.broker.assets()
    found = settings_rules.discover_strategies(settings)
    enlisted = settings_rules.enlist_strategies(settings, found)
    limits = settings_rules.risk_limits(settings)
    return EngineParts(
        universe=settings_rules.lot_sized(choose_universe(settings).universe, settings),
        rules=settings_rules.engine_rules(settings, enlisted, assets),
        limits=limits,
        allocation=settings_rules.allocation_rules(settings),
        gate=settings_rules.risk_gate(settings, limits),
        calendar=await connection.broker.calendar(DAYS[0], TODAY + timedelta(days=20)),
    )


def _runner(
    settings: Settings,
    engine: Engine,
    connection: wiring.Connection,
    timing: Timing,
    files: MemoryFileSystem,
) -> Runner:
    journal, _ = JsonLinesJournal.open(files, JOURNAL, timing.clock, covered_seq=0)
    recorder = Recorder(
        journal,
        JsonStateStore(files, JOURNAL.parent),
        writer=AtOnce(),
        on_failure=lambda fault: runner.disk_failed(fault),
    )
    runner = Runner(
        engine,
        asker=Asker(
            {name: entry.strategy for name, entry in engine.core.rules.strategies.items()},
            note=Forgotten(),
            clock=timing.clock,
            stopwatch_s=timing.stopwatch_s,
            budget_s=settings.strategy_budget_ms / 1e3,
        ),
        broker=connection.broker,
        recorder=recorder,
        observers=Observers(on_event=lambda *_: None, on_notify=lambda _: None),
        timing=timing,
    )
    return runner


def _feed_rules(settings: Settings, parts: EngineParts) -> FeedRules:
    return FeedRules(
        symbols=parts.universe.symbols,
        timeframes=parts.rules.timeframes(),
        settle_s=settings.bar_settle_seconds,
        poll_s=settings.poll_seconds,
        order_price_max_age_s=settings.order_price_max_age_seconds,
        mark_max_age_s=settings.price_ttl_seconds,
        reconcile_s=60.0,
    )

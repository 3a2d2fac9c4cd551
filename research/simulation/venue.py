"""The real exchange on simulated time, behind a gateway that loses, delays and garbles."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache

from aiohttp import web
from aiohttp.typedefs import Middleware

from domain.calendar import OPENING_LEAD
from domain.instruments import Symbol, Universe
from exchange.__main__ import run_ticker
from exchange.app import DATA_PREFIXES, make_app
from exchange.assets import list_assets, shipped_instruments
from exchange.auth import Credentials
from exchange.clock import RunningTime
from exchange.faults import answers
from exchange.faults.kinds import Kind
from exchange.instants import to_ns
from exchange.knobs import FillModel, Knobs, WireLimits
from exchange.markets.synthetic import START_DAY, SyntheticMarket
from exchange.records import EventKind, VenueEvent
from exchange.service import Exchange, NoLog
from exchange.stream import TRADE_STREAM
from exchange.venue import Venue, VenueConfig, first_state
from exchange.wire import Handler, refuse
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.loop import VirtualLoop
from research.simulation.swarm import CALM, ApiFaults, StreamFaults

HOST, PORT = "127.0.0.1", 8430
URL = f"http://{HOST}:{PORT}"
CASH_USD = Decimal(100_000)
BLIND_S = (0.5, 10.0)
"""How long a look-up does not find an accepted order."""
LATE_S = (2.0, 30.0)
DEPTHS = (0.1, 0.01, 0.001)
"""Shares of a tick's volume that may fill: the less, the more orders fill in parts or not."""
MARKETS = 4
"""So many different markets: what a world is worth lies in its faults."""
START_DAYS = 250
SESSION = timedelta(hours=6.5)
Count = Callable[[str], None]


@lru_cache(maxsize=MARKETS)
def _market(seed: int, symbols: tuple[Symbol, ...]) -> SyntheticMarket:
    known = shipped_instruments()
    universe = Universe(tuple(known[symbol] for symbol in symbols))
    return SyntheticMarket(seed=seed, universe=universe, liveliness=1.5)


class SimulatedVenue:
    """One exchange that serves on the loop, and everything that can be asked of it directly."""

    def __init__(
        self, loop: VirtualLoop, chance: Chance, symbols: Sequence[Symbol], *, speed: float
    ) -> None:
        self._loop = loop
        self._chance = chance
        self.speed = speed
        market = _market(chance.below(MARKETS), tuple(symbols))
        sessions = [s for s in market.calendar.sessions if s.day >= START_DAY]
        session = sessions[chance.below(START_DAYS)]
        config = VenueConfig(
            seed=chance.below(1 << 32),
            cash_usd=CASH_USD,
            start_ns=to_ns(session.opens_at - OPENING_LEAD),
            knobs=Knobs(fills=FillModel(volume_share_max=chance.fork("depth").pick(DEPTHS))),
        )
        venue = Venue(
            market,
            list_assets(market, shipped_instruments()),
            config,
            first_state(market, config),
        )
        self.exchange = Exchange(
            venue=venue,
            time=RunningTime(
                market.calendar,
                venue.now_ns,
                speed=speed,
                skip_closed=True,
                machine_s=loop.wall,
            ),
            log=NoLog(),
            credentials=Credentials(),
            limits=WireLimits(),
            identity={
                "market": market.name,
                "seed": config.seed,
                "start": session.day.isoformat(),
                "cash_usd": str(CASH_USD),
            },
        )
        self.days_closed = 0
        self.gateway = Gateway(self.exchange, chance.fork("gateway"))
        self.exchange.listeners.append(self._note)

    @property
    def venue(self) -> Venue:
        """The matching core: the truth."""
        return self.exchange.venue

    async def serve(self, count: Count) -> None:
        """Listen, and let market time pass, for as long as the loop turns."""
        app = make_app(self.exchange)
        stream = app[TRADE_STREAM]
        self.gateway.stand_before(app, count, self._loop)
        self.exchange.listeners.remove(stream.broadcast)
        self.exchange.listeners.append(self.gateway.broadcaster(stream.broadcast))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, PORT).start()
        self.ticker = self._loop.create_task(run_ticker(self.exchange), name="ticker")

    def _note(self, events: list[VenueEvent]) -> None:
        self.days_closed += sum(e.kind is EventKind.DAY_CLOSED for e in events)

    def days_traded(self) -> float:
        """Return how many sessions have passed, a part of today's included."""
        left = self.until_close()
        return self.days_closed + (0.0 if left is None else 1.0 - left / SESSION)

    def until_close(self) -> timedelta | None:
        """Return how much of today's session is left, None outside it."""
        now = self.exchange.time.clock.market_time(self._loop.wall())
        session = self.venue.market.calendar.session_at(now)
        return None if session is None else session.closes_at - now


class Gateway:
    """What stands between the client and the exchange's handlers and stream."""

    def __init__(self, exchange: Exchange, chance: Chance) -> None:
        self.api: ApiFaults = CALM.api
        self.news: StreamFaults = CALM.stream
        self._exchange = exchange
        self._chance = chance
        self._count: Count = lambda what: None
        self._loop: VirtualLoop
        self._seen_at: dict[str, float] = {}
        self._mute_until_s = 0.0

    def heal(self) -> None:
        """Let everything through from now on."""
        self.api, self.news, self._mute_until_s = CALM.api, CALM.stream, 0.0

    def stand_before(self, app: web.Application, count: Count, loop: VirtualLoop) -> None:
        """Take every request of an application first."""
        self._count, self._loop = count, loop
        app.middlewares.insert(0, self._middleware())

    # --- requests -----------------------------------------------------------------------------

    def _middleware(self) -> Middleware:
        @web.middleware
        async def befall(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.api is CALM.api or request.path == "/stream":
                return await handler(request)
            return await self._befall(request, handler)

        return befall

    async def _befall(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        api, hits = self.api, self._chance.hits
        if hits(api.limited):
            self._count(Kind.LIMITED)
            return refuse(answers.limited(is_data=request.path.startswith(DATA_PREFIXES)))
        if hits(api.failing):
            self._count(Kind.FAILING)
            return refuse(answers.failing(500))
        if hits(api.late):
            self._count(Kind.LATE)
            # The client may be gone by then; the order is taken all the same.
            return await asyncio.shield(self._late(request, handler))
        return await self._answer(request, handler)

    async def _late(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(self._chance.between(*LATE_S))
        return await self._answer(request, handler)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._is_blind(request):
            self._count(Kind.BLIND)
            return web.json_response({"code": 40410000, "message": "order not found"}, status=404)
        is_order = request.method == "POST" and request.path == "/v2/orders"
        response = await handler(request)
        if is_order:
            response = await self._judge_order(request, response)
        if response.status < 300 and self._chance.hits(self.api.lost):
            self._count(Kind.LOST)
            return refuse(answers.failing(504))
        if response.status < 300 and self._chance.hits(self.api.garbled):
            self._count(Kind.GARBLED)
            return _half(response)
        return response

    async def _judge_order(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        body = await request.json()
        identity = str(body.get("client_order_id"))
        if response.status < 300:
            self._seen_at[identity] = self._loop.time()
            if self._chance.hits(self.api.blind):
                self._seen_at[identity] += self._chance.between(*BLIND_S)
        elif response.status == 422 and identity in self._seen_at:
            self._count("api.repeated")
            if self._chance.hits(self.api.refused):
                self._count(Kind.REFUSED)
                return refuse(answers.refused())
        return response

    def _is_blind(self, request: web.Request) -> bool:
        if request.path != "/v2/orders:by_client_order_id":
            return False
        identity = request.query.get("client_order_id", "")
        return self._seen_at.get(identity, 0.0) > self._loop.time()

    # --- news ---------------------------------------------------------------------------------

    def broadcaster(
        self, broadcast: Callable[[list[VenueEvent]], None]
    ) -> Callable[[list[VenueEvent]], None]:
        """Return what hands events on, as far as the faults let it."""

        def hand_on(events: list[VenueEvent]) -> None:
            if self.news is CALM.stream:
                broadcast(events)
                return
            for event in events:
                self._hand_on(event, broadcast)

        return hand_on

    def _hand_on(self, event: VenueEvent, broadcast: Callable[[list[VenueEvent]], None]) -> None:
        news, hits, now_s = self.news, self._chance.hits, self._loop.time()
        if event.order is None:
            return
        if hits(news.muted):
            self._count(Kind.NEWS_MUTED)
            self._mute_until_s = now_s + self._chance.between(10.0, 400.0)
        if now_s < self._mute_until_s:
            return
        if hits(news.lost):
            self._count(Kind.NEWS_LOST)
            return
        if hits(news.doubled):
            self._count(Kind.NEWS_DOUBLED)
            broadcast([event])
        if hits(news.delayed):
            self._count(Kind.NEWS_DELAYED)
            self._loop.call_later(self._chance.between(*news.delay_s), broadcast, [event])
            return
        broadcast([event])


def _half(response: web.StreamResponse) -> web.StreamResponse:
    assert isinstance(response, web.Response)
    body = response.body
    assert isinstance(body, bytes)
    return web.Response(
        body=body[: len(body) // 2], status=200, headers={"Content-Type": "application/json"}
    )

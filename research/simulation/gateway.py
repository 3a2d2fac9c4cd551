"""What stands between the simulated client and the exchange: answers lost, late, halved; news
astray. The kinds are named as in `exchange.faults.kinds`."""

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from exchange.app import DATA_PREFIXES
from exchange.faults import answers
from exchange.faults.kinds import Kind
from exchange.faults.words import EVENT, Dice, unheard_reply, unheard_update
from exchange.records import VenueEvent
from exchange.wire import Handler, refuse
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.loop import VirtualLoop
from research.simulation.swarm import CALM, ApiFaults, StreamFaults

BLIND_S = (0.5, 10.0)
"""How long a look-up does not find an accepted order."""
LATE_S = (2.0, 30.0)
HOW = ("status", "type", "side", "key")
"""Where a word that nobody knows may stand."""
Count = Callable[[str], None]
Json = dict[str, object]


class Gateway:
    """What stands between the client and the exchange's handlers and stream."""

    def __init__(self, chance: Chance) -> None:
        self.api: ApiFaults = CALM.api
        self.news: StreamFaults = CALM.stream
        self._chance = chance
        self._words = chance.fork("words")
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
        if self._words.hits(self.api.unknown):
            self._say_unheard(request, response)
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

    def _say_unheard(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let a trading reply say what nobody knows; refusals and data stay as they are."""
        is_trading = request.path.startswith("/v2/") and not request.path.startswith(DATA_PREFIXES)
        if not is_trading or response.status >= 300 or not isinstance(response, web.Response):
            return
        if isinstance(response.body, bytes) and response.body:
            how = self._words.pick(HOW)
            body = unheard_reply(orjson.loads(response.body), how, self._dice(Kind.UNKNOWN))
            response.body = orjson.dumps(body)
            self._count(Kind.UNKNOWN)

    def _dice(self, kind: Kind) -> Dice:
        return Dice(self._words.bits(), kind, 0)

    # --- news ---------------------------------------------------------------------------------

    def spoil(self, event: VenueEvent, message: Json) -> Json:
        """Return what the stream says of an event, now and then with a word that nobody knows."""
        if not self._words.hits(self.news.unknown):
            return message
        self._count(Kind.NEWS_UNKNOWN)
        return unheard_update(message, self._words.pick((*HOW, EVENT)), self._dice(Kind.UNKNOWN))

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

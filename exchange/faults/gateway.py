"""Does what the plan decides: stands between the client and the exchange's handlers and streams."""

import asyncio
import json
import socket
import struct
from dataclasses import replace

import orjson
from aiohttp import web

from exchange import errors
from exchange.app import CONTROL_PREFIX, DATA_PREFIXES, STREAM_PATHS, TRADE_STREAM_PATHS
from exchange.data_stream import DATA_STREAM
from exchange.faults import answers
from exchange.faults.deeds import Deeds
from exchange.faults.kinds import DEEDS, PRICE_KINDS, REQUEST_KINDS, SPOILT, Kind
from exchange.faults.news import DataNews, TradingNews
from exchange.faults.plan import Hit, Plan
from exchange.faults.prices import spoilt_reply
from exchange.faults.rules import Occasion, Rule
from exchange.faults.words import Dice, unheard_reply
from exchange.instants import SECOND_NS, new_york_rfc3339, parse_instant
from exchange.service import Exchange
from exchange.stream import TRADE_STREAM
from exchange.wire import Handler, http_date, refuse

HELD_MAX = 1_000
"""Requests kept waiting at a time; one more is dropped at once."""
HOLD_S = 30.0
BLIND_S = 10.0
HALF_SENT_S = 0.02
"""What the client is given to read the first half before the connection is reset."""
ORDERS, LOOK_UP = "/v2/orders", "/v2/orders:by_client_order_id"
_FIRST = (REQUEST_KINDS | DEEDS) - {Kind.REFUSED, Kind.STREAM_DROPPED, Kind.TURNED}


class Gateway:
    """Takes every request first and every message last. Made for one application."""

    def __init__(self, exchange: Exchange, plan: Plan) -> None:
        self.plan = plan
        self._exchange = exchange
        self._held = 0
        self._blind_until: dict[str, int] = {}
        self._lines: list[tuple[web.Request, str]] = []
        self._news: TradingNews
        self._data_news: DataNews
        self.deeds = Deeds(exchange, plan, self.cut)

    def stand_before(self, app: web.Application) -> None:
        """Take every request and message of an application. Call before it is served."""
        exchange = self._exchange
        app.middlewares.insert(0, self._skew)
        app.middlewares.append(self._befall)
        trading, data = app[TRADE_STREAM], app[DATA_STREAM]
        self._news = TradingNews(self.plan, self.deeds, trading.broadcast)
        trading.spoil = self._news.spoil
        self._data_news = DataNews(self.plan, self.deeds, data.say)
        place = exchange.listeners.index(trading.broadcast)
        exchange.listeners[place] = self._news.hand_on
        data.spoil = self._data_news.let_through
        data.refused = self._data_news.refused
        exchange.interrupts.append(self.deeds.run)
        exchange.alarms.append(self.deeds.next_ns)
        self.deeds.begin()

    def cut(self, stream: str) -> None:
        """End a stream's connections without a closing frame."""
        for request, name in self._lines:
            if name == stream:
                _reset(request)

    def go_on(self) -> None:
        """Bring the exchange up to market time now: what has been put on the agenda happens."""
        self._exchange.step()
        self._exchange.wake()

    # --- requests -----------------------------------------------------------------------------

    @web.middleware
    async def _skew(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        now_ns = self._exchange.venue.now_ns
        hits = self.plan.meet(self._occasion(request, None), {Kind.CLOCK_SKEWED}, _said(request))
        for hit in hits:
            now_ns += hit.rule.offset_ns
            if request.path == "/v2/clock" and isinstance(response, web.Response):
                _skew_clock(response, hit.rule.offset_ns)
        if hits and not response.prepared:
            response.headers["Date"] = http_date(now_ns)
        return response

    @web.middleware
    async def _befall(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path.startswith(CONTROL_PREFIX):
            return await handler(request)
        if path in STREAM_PATHS:
            return await self._stream(request, handler)
        body = await _body(request)
        occasion = self._occasion(request, body)
        hits = self.plan.meet(occasion, self._kinds(request, body), _said(request))
        for hit in hits:
            self.deeds.do(hit)
        ended = await self._answer_instead(request, hits)
        if ended is not None:
            return ended
        if self._is_blind(request):
            raise errors.not_found("order not found")
        return await self._carry_out(request, handler, body, hits)

    async def _stream(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve a stream; a rule befalls its handshake only if it names the path."""
        occasion = replace(self._occasion(request, None), is_handshake=True)
        hits = self.plan.meet(occasion, REQUEST_KINDS, _said(request))
        try:
            ended = await self._answer_instead(request, hits)
        except errors.Refusal as refusal:
            return refuse(refusal)
        if ended is not None:
            return ended
        is_trading = request.path in TRADE_STREAM_PATHS
        line = (request, "trading" if is_trading else "data")
        self._lines.append(line)
        (self._news if is_trading else self._data_news).reconnected()
        try:
            return await handler(request)
        finally:
            self._lines = [known for known in self._lines if known is not line]

    def _kinds(self, request: web.Request, body: object) -> frozenset[Kind]:
        """Return what may befall a request: only an id that is taken can be refused."""
        if request.method == "POST" and request.path == ORDERS and isinstance(body, dict):
            identity = body.get("client_order_id")
            if isinstance(identity, str) and self._exchange.venue.book.by_client(identity):
                return _FIRST | {Kind.REFUSED}
        return _FIRST

    async def _answer_instead(
        self, request: web.Request, hits: list[Hit]
    ) -> web.StreamResponse | None:
        """Return what a request gets that is not carried out, None when it is."""
        for hit in hits:
            match hit.kind:
                case Kind.LIMITED:
                    raise answers.limited(is_data=request.path.startswith(DATA_PREFIXES))
                case Kind.REFUSED:
                    raise answers.refused()
                case Kind.FAILING if hit.rule.how == "html":
                    body = answers.page(hit.rule.status)
                    return _reply(body, hit.rule.status, answers.HTML_TYPE)
                case Kind.FAILING:
                    raise answers.failing(hit.rule.status)
                case Kind.HUNG:
                    await self._hold(hit.wait_s(HOLD_S))
                    return _gone(request)
                case Kind.DROPPED:
                    return _gone(request)
        return None

    async def _carry_out(
        self, request: web.Request, handler: Handler, body: object, hits: list[Hit]
    ) -> web.StreamResponse:
        waits = {hit.kind: hit for hit in hits}
        late = waits.get(Kind.LATE)
        if late is not None:
            await self._wait(late)
        response = await handler(request)
        if Kind.BLIND in waits and response.status < 300:
            self._blind(body, waits[Kind.BLIND])
        if request.path.startswith("/v2/stocks/"):
            response = self._spoil_prices(request, response)
        if Kind.SLOW in waits:
            await self._hold(waits[Kind.SLOW].wait_s(1.0))
        spoilt = next((hit for hit in hits if hit.kind in SPOILT), None)
        return response if spoilt is None else await self._spoil(request, response, spoilt)

    async def _spoil(
        self, request: web.Request, response: web.StreamResponse, hit: Hit
    ) -> web.StreamResponse:
        assert isinstance(response, web.Response)
        body = response.body if isinstance(response.body, bytes) else b""
        if hit.kind is Kind.GARBLED:
            garbled, kind = answers.garbled(hit, body, response.status)
            return _reply(garbled, response.status, kind)
        if hit.kind is Kind.UNKNOWN:
            return self._unheard(request, response, hit)
        if hit.kind is Kind.RESET:
            return await _half_sent(request, body, response.status)
        if hit.rule.how == "504":
            raise answers.failing(504)
        await self._hold(hit.wait_s(HOLD_S))
        return _gone(request)

    def _unheard(
        self, request: web.Request, response: web.Response, hit: Hit
    ) -> web.StreamResponse:
        """Return a trading reply that says what nobody knows; refusals and data as they are."""
        is_data = request.path.startswith(DATA_PREFIXES)
        if is_data or response.status >= 300 or not isinstance(response.body, bytes):
            return response
        if response.body:
            dice = Dice(self.plan.seed, hit.rule.name, hit.number)
            body = unheard_reply(orjson.loads(response.body), hit.rule.how, dice)
            response.body = orjson.dumps(body)
        return response

    async def _wait(self, hit: Hit) -> None:
        """Wait as long as was drawn, in real or in market time."""
        if hit.delay_market_s is None:
            await self._hold(hit.wait_s(1.0))
            return
        passed = asyncio.Event()
        self.deeds.at(self._exchange.venue.now_ns + _ns(hit.delay_market_s), passed.set)
        await passed.wait()

    async def _hold(self, delay_s: float) -> None:
        if self._held >= HELD_MAX:
            return
        self._held += 1
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._held -= 1

    def _blind(self, body: object, hit: Hit) -> None:
        if isinstance(body, dict) and isinstance(body.get("client_order_id"), str):
            wait_s = BLIND_S if hit.delay_market_s is None else hit.delay_market_s
            until_ns = self._exchange.venue.now_ns + _ns(wait_s)
            self._blind_until[body["client_order_id"]] = until_ns

    def _is_blind(self, request: web.Request) -> bool:
        if request.path != LOOK_UP or not self._blind_until:
            return False
        identity, now_ns = request.query.get("client_order_id", ""), self._exchange.venue.now_ns
        if self._blind_until.get(identity, 0) > now_ns:
            return True
        self._blind_until.pop(identity, None)
        return False

    def _spoil_prices(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        is_plain = isinstance(response, web.Response) and response.status == 200
        if not is_plain or not self.plan.asks_for(PRICE_KINDS):
            return response
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        now_ns = self._exchange.venue.now_ns

        def rules_for(symbol: str) -> list[Rule]:
            occasion = Occasion(
                at_ns=now_ns, method=request.method, path=request.path, symbol=symbol
            )
            return [h.rule for h in self.plan.meet(occasion, PRICE_KINDS, _said(request))]

        spoilt = spoilt_reply(orjson.loads(response.body), self._exchange.venue.assets, rules_for)
        return _reply(orjson.dumps(spoilt), response.status, answers.JSON_TYPE)

    def _occasion(self, request: web.Request, body: object) -> Occasion:
        return Occasion(
            at_ns=self._exchange.venue.now_ns,
            method=request.method,
            path=request.path,
            body=body,
        )


async def _body(request: web.Request) -> object:
    """Return a request's JSON body as far as it is one; the handler reads it again."""
    if not request.can_read_body:
        return None
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        return None


def _said(request: web.Request) -> str:
    return f"{request.method} {request.path}"


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def _reply(body: bytes, status: int, kind: str) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": kind})


def _skew_clock(response: web.Response, offset_ns: int) -> None:
    assert isinstance(response.body, bytes)
    clock = orjson.loads(response.body)
    if "timestamp" in clock:
        clock["timestamp"] = new_york_rfc3339(parse_instant(clock["timestamp"]) + offset_ns)
        response.body = orjson.dumps(clock)


def _reset(request: web.Request) -> None:
    """End a request's connection with a reset, as a machine in between does."""
    transport = request.transport
    if transport is None:
        return
    line = transport.get_extra_info("socket")
    if line is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _gone(request: web.Request) -> web.StreamResponse:
    """Return what nobody will read: the connection is gone."""
    _reset(request)
    return web.Response(status=503)


async def _half_sent(request: web.Request, body: bytes, status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Type": answers.JSON_TYPE})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    await asyncio.sleep(HALF_SENT_S)
    _reset(request)
    return response

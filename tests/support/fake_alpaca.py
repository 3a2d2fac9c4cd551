"""A FakeVenue over HTTP in Alpaca's dialect, with faults that a test scripts.

Only what our client asks for is served: this is the other end of a contract test, not an exchange
(which is `exchange/`).
"""

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from aiohttp import ClientConnectionResetError, web

from domain.calendar import Timeframe
from domain.errors import VenueRejected
from domain.instruments import Symbol
from domain.market import Bar, Quote
from domain.orders import (
    AtLimit,
    AtMarket,
    AtStop,
    AtStopLimit,
    Fill,
    OrderReport,
    OrderStatus,
    OrderUpdate,
    Side,
    Terms,
    TimeInForce,
)
from tests.support.fake_venue import FakeVenue

HOST, PORT = "127.0.0.1", 8900
BASE_URL = f"http://{HOST}:{PORT}"
STREAM_URL = f"ws://{HOST}:{PORT}/stream"
KEY_ID, SECRET = "PKTEST", "test-secret"
NEW_YORK = ZoneInfo("America/New_York")
HANG_S = 3_600.0

_WORDS = {
    OrderStatus.WORKING: "new",
    OrderStatus.CANCELING: "pending_cancel",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Fault:
    """What happens to the next request whose path contains `path`.

    status 0 hangs up without a word; `after_effect` lets the request be carried out first.
    """

    path: str
    status: int = 500
    body: bytes = b'{"code":50010000,"message":"internal server error occurred"}'
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_effect: bool = False
    delay_s: float = 0.0
    byte_s: float = 0.0
    """How long each byte of the body takes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    at_s: float


class FakeAlpaca:
    """The server: knobs and what it saw."""

    def __init__(self, venue: FakeVenue) -> None:
        self.venue = venue
        self.latency_s: Callable[[], float] = lambda: 0.0
        self.faults: deque[Fault] = deque()
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.in_flight_peak = 0
        self.poison: set[str] = set()
        """Symbols that make any request naming them fail with 400."""
        self.raw_quotes: dict[str, Any] = {}
        """Quotes as they go over the wire, believable or not."""
        self.raw_orders: list[dict[str, Any]] = []
        """Orders of other people's making, as they go over the wire."""
        self.page_rows = 10_000
        self.headers: dict[str, str] = {}
        self.stream_handshakes: deque[int] = deque()
        """Statuses with which the next websocket handshakes are refused."""
        self.stream_is_binary = True
        self.sockets: list[web.WebSocketResponse] = []

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._gate])
        app.router.add_post("/v2/orders", self._submit)
        app.router.add_get("/v2/orders", self._list_orders)
        app.router.add_get("/v2/orders:by_client_order_id", self._by_client_id)
        app.router.add_get("/v2/orders/{id}", self._by_id)
        app.router.add_delete("/v2/orders/{id}", self._cancel)
        app.router.add_get("/v2/account", self._account)
        app.router.add_get("/v2/account/activities", self._activities)
        app.router.add_get("/v2/positions", self._positions)
        app.router.add_get("/v2/calendar", self._calendar)
        app.router.add_get("/v2/clock", self._clock)
        app.router.add_get("/v2/assets", self._assets)
        app.router.add_get("/v2/stocks/quotes/latest", self._quotes)
        app.router.add_get("/v2/stocks/bars", self._bars)
        app.router.add_get("/stream", self._stream)
        return app

    def requests_to(self, path: str) -> list[Seen]:
        """Return what arrived at paths that contain `path`."""
        return [seen for seen in self.seen if path in seen.path]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeAlpaca"]:
        """Serve at BASE_URL on the running loop."""
        runner = web.AppRunner(self.app(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, PORT).start()
        try:
            yield self
        finally:
            self.venue.break_streams()
            await runner.cleanup()

    # --- every request ------------------------------------------------------------------------

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/stream":
            return await handler(request)
        self.in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self.in_flight)
        try:
            now_s = asyncio.get_running_loop().time()
            body = await request.read()
            query = dict(request.query)
            self.seen.append(Seen(request.method, request.path, query, body, now_s))
            await asyncio.sleep(self.latency_s())
            return await self._answer(request, handler)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = next((f for f in self.faults if f.path in request.path), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.after_effect:
                await self._carry_out(request, handler)
            await asyncio.sleep(fault.delay_s)
            if fault.status == 0:
                assert request.transport is not None
                request.transport.abort()
            if fault.byte_s:
                return await _drip(request, fault)
            return web.Response(
                status=fault.status or 500,
                body=fault.body,
                content_type=fault.content_type,
                headers=fault.headers,
            )
        return await self._carry_out(request, handler)

    async def _carry_out(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        keys = (request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY"))
        if keys != (KEY_ID, SECRET):
            return web.json_response({"message": "unauthorized."}, status=401)
        try:
            response = await handler(request)
        except VenueRejected as refusal:
            body = {"code": refusal.code, "message": str(refusal)}
            response = web.json_response(body, status=refusal.http_status)
        response.headers.update({"X-Request-ID": f"{len(self.seen):032x}", **self.headers})
        return response

    # --- trading ------------------------------------------------------------------------------

    async def _submit(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        report = self.venue.accept(
            body["client_order_id"],
            body["symbol"],
            Side(body["side"]),
            Decimal(body["qty"]),
            terms=_read_terms(body),
            time_in_force=TimeInForce(body["time_in_force"]),
        )
        return _json(order_row(report))

    async def _list_orders(self, request: web.Request) -> web.Response:
        query = request.query
        rows = [order_row(order) for order in self.venue.orders.values()] + self.raw_orders
        if query.get("status", "open") == "open":
            rows = [row for row in rows if row["status"] in _OPEN]
        if query.get("nested") != "true":
            rows = [leaf for row in rows for leaf in (row, *(row.get("legs") or ()))]
        if "after" in query:
            rows = [row for row in rows if row["submitted_at"] > _wire_time(query["after"])]
        if "until" in query:
            rows = [row for row in rows if row["submitted_at"] < _wire_time(query["until"])]
        is_descending = query.get("direction", "desc") == "desc"
        rows.sort(key=lambda row: (row["submitted_at"], row["id"]), reverse=is_descending)
        return _json(rows[: min(500, int(query.get("limit", "50")))])

    async def _by_client_id(self, request: web.Request) -> web.Response:
        report = self.venue.orders.get(request.query["client_order_id"])
        if report is None:
            raise VenueRejected("order not found", http_status=404, code=40410000)
        return _json(order_row(report))

    async def _by_id(self, request: web.Request) -> web.Response:
        report = self.venue.by_venue_id(request.match_info["id"])
        if report is None:
            raise VenueRejected("order not found", http_status=404, code=40410000)
        return _json(order_row(report))

    async def _cancel(self, request: web.Request) -> web.Response:
        self.venue.cancel(request.match_info["id"])
        return web.Response(status=204)

    async def _account(self, request: web.Request) -> web.Response:
        account = self.venue.account()
        return _json(
            {
                "id": "a-uuid",
                "account_number": account.account_id,
                "status": "ACTIVE",
                "cash": str(account.cash_usd),
                "equity": str(account.equity_usd),
                "last_equity": str(account.last_equity_usd),
                "buying_power": str(account.buying_power_usd),
                "trading_blocked": account.is_blocked,
                "account_blocked": False,
                "trade_suspended_by_user": False,
                "shorting_enabled": account.shorting_enabled,
                "admin_configurations": {},
                "user_configurations": None,
            }
        )

    async def _positions(self, request: web.Request) -> web.Response:
        rows = [
            {
                "symbol": symbol,
                "qty": str(held.quantity_shares),
                "side": "long" if held.quantity_shares > 0 else "short",
                "avg_entry_price": str(held.average_entry_usd),
            }
            for symbol, held in self.venue.positions.items()
        ]
        return _json(rows)

    async def _activities(self, request: web.Request) -> web.Response:
        query = request.query
        rows = sorted((activity_row(fill) for fill in self.venue.fills), key=lambda r: str(r["id"]))
        rows = [row for row in rows if str(row["transaction_time"]) > _wire_time(query["after"])]
        token = query.get("page_token")
        if token is not None:
            rows = [row for row in rows if str(row["id"]) > token]
        return _json(rows[: int(query["page_size"])])

    async def _calendar(self, request: web.Request) -> web.Response:
        start, end = request.query["start"], request.query["end"]
        rows = [
            {
                "date": session.day.isoformat(),
                "open": f"{session.opens_at.astimezone(NEW_YORK):%H:%M}",
                "close": f"{session.closes_at.astimezone(NEW_YORK):%H:%M}",
                "session_open": "0400",
                "session_close": "2000",
            }
            for session in self.venue.sessions
            if start <= session.day.isoformat() <= end
        ]
        return _json(rows)

    async def _clock(self, request: web.Request) -> web.Response:
        now = self.venue.clock.now().astimezone(NEW_YORK)
        later = (now + timedelta(hours=1)).isoformat()
        body = {"timestamp": now.isoformat(), "is_open": True}
        return _json({**body, "next_open": later, "next_close": later})

    async def _assets(self, request: web.Request) -> web.Response:
        rows = [
            {
                "id": f"asset-{symbol}",
                "symbol": symbol,
                "status": "active",
                "tradable": True,
                "shortable": False,
                "fractionable": True,
            }
            for symbol in self.venue.quotes
        ]
        return _json(rows)

    # --- market data --------------------------------------------------------------------------

    def _asked_symbols(self, request: web.Request) -> list[str]:
        symbols = request.query["symbols"].split(",")
        for symbol in symbols:
            if symbol in self.poison:
                raise VenueRejected(f"invalid symbol: {symbol}", http_status=400, code=None)
        return symbols

    async def _quotes(self, request: web.Request) -> web.Response:
        rows: dict[str, Any] = {}
        for symbol in self._asked_symbols(request):
            quote = self.venue.quotes.get(Symbol(symbol))
            if symbol in self.raw_quotes:
                rows[symbol] = self.raw_quotes[symbol]
            elif quote is not None:
                rows[symbol] = quote_row(quote)
        return _json({"quotes": rows})

    async def _bars(self, request: web.Request) -> web.Response:
        query = request.query
        timeframe = Timeframe(query["timeframe"])
        rows = [
            (symbol, bar_row(bar))
            for symbol in sorted(self._asked_symbols(request))
            for bar in self.venue.bars.get((Symbol(symbol), timeframe), ())
            if _wire_time(query["start"]) <= wire_time(bar.opened_at) <= _wire_time(query["end"])
        ]
        begin = int(base64.b64decode(query["page_token"])) if "page_token" in query else 0
        end = begin + min(self.page_rows, int(query["limit"]))
        bars: dict[str, list[dict[str, Any]]] = {}
        for symbol, row in rows[begin:end]:
            bars.setdefault(symbol, []).append(row)
        token = base64.b64encode(str(end).encode()).decode() if end < len(rows) else None
        return _json({"bars": bars, "next_page_token": token})

    # --- the stream ---------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.stream_handshakes:
            return web.Response(status=self.stream_handshakes.popleft())
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        keys = (await socket.receive_json())["data"]
        is_known = (keys["key_id"], keys["secret_key"]) == (KEY_ID, SECRET)
        status = {"status": "authorized" if is_known else "unauthorized", "action": "authenticate"}
        await self.say(socket, "authorization", status)
        if not is_known:
            return socket
        streams = (await socket.receive_json())["data"]["streams"]
        # Subscribed before the acknowledgement: nothing may fall in between.
        events = self.venue.subscribe()
        await self.say(socket, "listening", {"streams": streams})
        self.sockets.append(socket)
        pending = ""
        while (event := await events.get()) is not None:
            if isinstance(event, Fill):
                pending = event.fill_id
                continue  # goes out with the order's change, as the venue does it
            fill = next((f for f in self.venue.fills if f.fill_id == pending), None)
            await self.say(socket, "trade_updates", update_row(event, fill))
            pending = ""
        assert request.transport is not None
        request.transport.abort()
        return socket

    async def say(self, socket: web.WebSocketResponse, stream: str, data: Any) -> None:
        """Send one message the way the venue does: JSON, mostly in binary frames."""
        payload = orjson.dumps({"stream": stream, "data": data})
        if self.stream_is_binary:
            await socket.send_bytes(payload)
        else:
            await socket.send_str(payload.decode())


_OPEN = frozenset(
    {"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "pending_replace"}
)


async def _drip(request: web.Request, fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse(status=fault.status)
    response.content_type = fault.content_type
    await response.prepare(request)
    with contextlib.suppress(ClientConnectionResetError):
        for byte in fault.body:
            await asyncio.sleep(fault.byte_s)
            await response.write(bytes([byte]))
    return response


def order_row(report: OrderReport) -> dict[str, Any]:
    """Return an order as the venue writes it."""
    limit, stop, kind = _write_terms(report.terms)
    return {
        "id": report.venue_order_id,
        "client_order_id": report.client_order_id,
        "created_at": wire_time(report.submitted_at),
        "submitted_at": wire_time(report.submitted_at),
        "updated_at": wire_time(report.updated_at),
        "symbol": report.symbol,
        "asset_class": "us_equity",
        "qty": str(report.quantity_shares),
        "filled_qty": str(report.filled_shares),
        "notional": None,
        "order_class": "",
        "type": kind,
        "order_type": kind,
        "side": report.side.value,
        "time_in_force": report.time_in_force.value,
        "limit_price": limit,
        "stop_price": stop,
        "status": _WORDS.get(report.status, report.status.value),
        "legs": None,
        "reason": report.reason or None,
    }


def activity_row(fill: Fill) -> dict[str, Any]:
    """Return an execution as the venue lists it."""
    local = fill.filled_at.astimezone(NEW_YORK)
    stamp = f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}"
    return {
        "activity_type": "FILL",
        "id": f"{stamp}::{fill.fill_id}",
        "order_id": fill.venue_order_id,
        "price": str(fill.price_usd),
        "qty": str(fill.quantity_shares),
        "side": fill.side.value,
        "symbol": fill.symbol,
        "transaction_time": wire_time(fill.filled_at),
        "type": "fill",
    }


def update_row(update: OrderUpdate, fill: Fill | None) -> dict[str, Any]:
    """Return a stream event as the venue writes it."""
    row = order_row(update.report)
    names = {"filled": "fill", "partially_filled": "partial_fill"}
    body: dict[str, Any] = {
        "event": names.get(row["status"], row["status"]) if fill else row["status"],
        "timestamp": wire_time(update.at),
        "order": row,
    }
    if fill is not None:
        body["timestamp"] = wire_time(fill.filled_at)
        body["execution_id"] = fill.fill_id
        body["price"] = str(fill.price_usd)
        body["qty"] = str(fill.quantity_shares)
    return body


def quote_row(quote: Quote) -> dict[str, Any]:
    """Return a quote as the venue writes it."""
    return {
        "t": wire_time(quote.quoted_at),
        "bp": quote.bid_usd,
        "bs": quote.bid_size_shares,
        "ap": quote.ask_usd,
        "as": quote.ask_size_shares,
        "bx": "V",
        "ax": "V",
        "c": ["R"],
        "z": "C",
    }


def bar_row(bar: Bar) -> dict[str, Any]:
    """Return a bar as the venue writes it."""
    return {
        "t": wire_time(bar.opened_at),
        "o": bar.open_usd,
        "h": bar.high_usd,
        "l": bar.low_usd,
        "c": bar.close_usd,
        "v": int(bar.volume_shares),
        "n": 7,
        "vw": bar.close_usd,
    }


def wire_time(at: datetime) -> str:
    """Return an instant with nanoseconds in UTC, as the venue writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def _wire_time(text: str) -> str:
    return wire_time(datetime.fromisoformat(text))


def _json(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _read_terms(body: Mapping[str, str]) -> Terms:
    match body["type"]:
        case "market":
            return AtMarket()
        case "limit":
            return AtLimit(Decimal(body["limit_price"]))
        case "stop":
            return AtStop(Decimal(body["stop_price"]))
        case _:
            return AtStopLimit(Decimal(body["stop_price"]), Decimal(body["limit_price"]))


def _write_terms(terms: Terms) -> tuple[str | None, str | None, str]:
    match terms:
        case AtMarket():
            return None, None, "market"
        case AtLimit(limit_usd=limit):
            return str(limit), None, "limit"
        case AtStop(stop_usd=stop):
            return None, str(stop), "stop"
        case AtStopLimit(stop_usd=stop, limit_usd=limit):
            return str(limit), str(stop), "stop_limit"

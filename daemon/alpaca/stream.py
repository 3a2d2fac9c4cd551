"""What happens to our orders, as the venue tells it over its websocket.

There is no replay and no sequence number: whatever happened while no connection stood has to be
read by REST. So every connection starts with StreamConnected. Nothing is dropped: the socket is
read at the pace of the consumer, who must not keep it waiting longer than a heartbeat.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import aiohttp
import msgspec
import structlog

from daemon.alpaca.client import Credentials
from daemon.alpaca.codec import (
    UpdateWire,
    decode,
    is_known_status,
    to_report,
    update_bust,
    update_fill,
)
from daemon.alpaca.reconnecting import Crowded, open_socket, receive, reconnecting
from daemon.backoff import Jitter
from domain.errors import NotAuthorized, VenueError, VenueUnavailable
from domain.orders import Bust, Fill, OrderReport, OrderUpdate
from domain.ports import Clock, StreamConnected

Reread = Callable[[str], Awaitable[OrderReport | None]]
"""Read one order again by its client order id."""

_TAKEN_BACK = frozenset({"trade_bust", "trade_correct"})
_KNOWN_EVENTS = frozenset(
    {
        "pending_new",
        "accepted",
        "new",
        "partial_fill",
        "fill",
        "pending_cancel",
        "canceled",
        "expired",
        "rejected",
        "done_for_day",
        "suspended",
        "stopped",
        "calculated",
        "held",
        "pending_replace",
        "replaced",
        "order_cancel_rejected",
        "order_replace_rejected",
        "restated",
        *_TAKEN_BACK,
    }
)
_log = structlog.get_logger(__name__)


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Authorization(msgspec.Struct):
    status: str = ""


class _Listening(msgspec.Struct):
    streams: list[str] = []


_envelope = msgspec.json.Decoder(_Envelope)
_authorization = msgspec.json.Decoder(_Authorization)
_listening = msgspec.json.Decoder(_Listening)
_update = msgspec.json.Decoder(UpdateWire, strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEndpoint:
    """Where the trading stream is. `silence_max_s`: a connection that says nothing for so long is
    given up (None: the heartbeat alone decides)."""

    url: str
    credentials: Credentials
    silence_max_s: float | None = None


class TradeStream:
    """Yields what the venue says of the account's orders; reconnects by itself, for ever."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: StreamEndpoint,
        *,
        clock: Clock,
        jitter: Jitter,
        reread: Reread,
    ) -> None:
        self.connections = 0
        self.is_connected = False
        self._session = session
        self._endpoint = endpoint
        self._clock = clock
        self._jitter = jitter
        self._reread = reread
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def give_up(self) -> None:
        """Let go of the present connection: it stands and tells nothing."""
        if self._socket is not None:
            await self._socket.close()

    async def updates(self) -> AsyncGenerator[OrderUpdate | Fill | Bust | StreamConnected, None]:
        """Yield StreamConnected at each connection, then what happens. Raises NotAuthorized."""
        connections = reconnecting(self._connect, self._listen, name="stream", jitter=self._jitter)
        async with aclosing(connections) as heard:
            async for event in heard:
                yield event

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        """Return a socket on which trade updates have been acknowledged."""
        try:
            return await open_socket(
                self._session, self._endpoint.url, authenticate=self._authenticate
            )
        except aiohttp.WSServerHandshakeError as fault:
            raise _refused(fault) from fault

    async def _authenticate(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        credentials = self._endpoint.credentials
        secret = credentials.secret_key.get_secret_value()
        keys = {"key_id": credentials.key_id, "secret_key": secret}
        await _send(socket, {"action": "authenticate", "data": keys})
        answer = await _expect(socket, "authorization")
        if decode(_authorization, answer).status != "authorized":
            raise NotAuthorized(
                "the trading stream does not accept the key: check ALPACA_API_KEY and"
                " ALPACA_SECRET_KEY",
                http_status=401,
                code=None,
            )
        await _send(socket, {"action": "listen", "data": {"streams": ["trade_updates"]}})
        answer = await _expect(socket, "listening")
        if "trade_updates" not in decode(_listening, answer).streams:
            raise VenueUnavailable("the venue did not confirm that it sends trade updates")

    async def _listen(
        self, socket: aiohttp.ClientWebSocketResponse
    ) -> AsyncGenerator[OrderUpdate | Fill | Bust | StreamConnected, None]:
        is_reconnect = self.connections > 0
        self.connections += 1
        self.is_connected = True
        if is_reconnect:
            _log.info("stream_connected", connections=self.connections)
        self._socket = socket
        try:
            yield StreamConnected(at=self._clock.now(), is_reconnect=is_reconnect)
            while True:
                async with asyncio.timeout(self._endpoint.silence_max_s):
                    payload = await receive(socket)
                if payload is None:
                    return
                envelope = decode(_envelope, payload)
                if envelope.stream == "trade_updates":
                    for event in await self._translate(decode(_update, envelope.data)):
                        yield event
        finally:
            self.is_connected = False
            self._socket = None

    async def _translate(
        self, wire: UpdateWire
    ) -> list[OrderUpdate | Fill | Bust | StreamConnected]:
        """Return what one message means: the fill first, so that it is booked before its order
        is seen to be finished, and what is taken back, so that it is before its order has less."""
        now = self._clock.now()
        report = to_report(wire.order)
        events: list[OrderUpdate | Fill | Bust | StreamConnected] = []
        fill = None
        if wire.event in ("fill", "partial_fill"):
            fill = update_fill(wire, received_at=now)
            if fill is not None:
                events.append(fill)
        if wire.event in _TAKEN_BACK:
            events.append(update_bust(wire, received_at=now))
        if wire.event in _TAKEN_BACK or (fill is None and "fill" in wire.event):
            _log.error("account_must_be_read_again", venue_event=wire.event, order=report)
            events.append(StreamConnected(at=now, is_reconnect=True))
        if wire.event not in _KNOWN_EVENTS or not is_known_status(wire.order.status):
            _log.warning("unknown_order_event", venue_event=wire.event, status=wire.order.status)
            report = await self._read_again(report)
        events.append(OrderUpdate(report=report, at=now))
        return events

    async def _read_again(self, report: OrderReport) -> OrderReport:
        try:
            return await self._reread(report.client_order_id) or report
        except NotAuthorized:
            raise
        except VenueError as fault:
            _log.warning("order_not_read_again", order=report.client_order_id, cause=str(fault))
            return report


def _refused(fault: aiohttp.WSServerHandshakeError) -> VenueError:
    text = f"the trading stream refused the connection: {fault.status} {fault.message}"
    if fault.status in (401, 403):
        return NotAuthorized(text, http_status=fault.status, code=None)
    if fault.status == 429:
        return Crowded(text + "; another program uses this account's stream")
    return VenueUnavailable(text)


async def _send(socket: aiohttp.ClientWebSocketResponse, message: object) -> None:
    await socket.send_str(msgspec.json.encode(message).decode())


async def _expect(socket: aiohttp.ClientWebSocketResponse, stream: str) -> msgspec.Raw:
    """Return the data of the next message of a control stream."""
    while True:
        payload = await receive(socket)
        if payload is None:
            raise VenueUnavailable(f"the venue hung up while {stream} was awaited")
        envelope = decode(_envelope, payload)
        if envelope.stream == stream:
            return envelope.data

"""The trading stream: one socket per account, binary JSON frames, authenticate, then listen."""

import asyncio
from collections.abc import Callable

import msgspec
import orjson
from aiohttp import WSMsgType, web

from exchange.auth import Credentials
from exchange.encoding import trade_update_json
from exchange.records import VenueEvent
from exchange.service import Exchange
from exchange.wire import EXCHANGE, read_json

Json = dict[str, object]
HEARTBEAT_S = 30.0
MESSAGE_MAX_BYTES = 1_000_000
STREAM = "trade_updates"


class TradeSocket:
    """One client's connection: what it listens to, and what it has still to be sent."""

    def __init__(self, encode: Callable[[Json], bytes], queue_max: int) -> None:
        self.encode = encode
        self.is_authorized = False
        self.is_listening = False
        self.is_overrun = False
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(queue_max)

    def send(self, message: Json) -> None:
        """Queue a message; a client too slow for its queue is cut off."""
        self.send_bytes(self.encode(message))

    def send_bytes(self, frame: bytes) -> None:
        """Queue an encoded message."""
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.is_overrun = True


class TradeStream:
    """Every connected client of the trading stream."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._sockets: dict[TradeSocket, web.WebSocketResponse] = {}
        self.spoil: Callable[[VenueEvent, Json], Json] = lambda event, message: message
        """What faults make of a message before it is sent."""

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return any(socket.is_listening for socket in self._sockets)

    def broadcast(self, events: list[VenueEvent]) -> None:
        """Queue what the stream says of the events to everybody who listens."""
        listening = [s for s in self._sockets if s.is_listening]
        if not listening:
            return
        venue = self._exchange.venue
        for event in events:
            message = trade_update_json(event, venue.config.seed)
            if message is None:
                continue
            message = self.spoil(event, message)
            for socket in listening:
                socket.send(message)

    async def flush(self) -> None:
        """Return once everything queued has been sent."""
        await asyncio.gather(*(s.queue.join() for s in self._sockets if s.is_listening))

    async def close(self) -> None:
        """Close every connection, saying that the server goes away."""
        for websocket in list(self._sockets.values()):
            await websocket.close(code=1001, message=b"going away")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        if len(self._sockets) >= self._exchange.limits.trading_sockets_max:
            return web.Response(status=429, text="too many connections")
        packs = "msgpack" in request.headers.get("Content-Type", "")
        encode = msgspec.msgpack.encode if packs else orjson.dumps
        socket = TradeSocket(encode, self._exchange.limits.stream_queue_max)
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_MAX_BYTES)
        self._sockets[socket] = websocket
        writer: asyncio.Task[None] | None = None
        try:
            await websocket.prepare(request)
            writer = asyncio.create_task(_write(socket, websocket), name="trade-stream-writer")
            await self._read(socket, websocket)
        finally:
            del self._sockets[socket]
            await _stop(socket, writer)
        return websocket

    async def _read(self, socket: TradeSocket, websocket: web.WebSocketResponse) -> None:
        async for message in websocket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            try:
                command = _decode(message.data)
            except ValueError:
                socket.send(_error("invalid message"))
                continue
            _obey(socket, command, self._exchange.credentials)


async def _write(socket: TradeSocket, websocket: web.WebSocketResponse) -> None:
    while True:
        frame = await socket.queue.get()
        try:
            await websocket.send_bytes(frame)
            if socket.is_overrun and socket.queue.empty():
                await websocket.close(code=1008, message=b"slow client")
        except ConnectionError:
            return
        finally:
            socket.queue.task_done()


async def _stop(socket: TradeSocket, writer: asyncio.Task[None] | None) -> None:
    """End the writer, and let nobody wait for what will never be sent."""
    if writer is not None:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
    while not socket.queue.empty():
        socket.queue.get_nowait()
        socket.queue.task_done()


def _decode(raw: str | bytes) -> Json:
    try:
        command = read_json(raw)
    except ValueError:
        if isinstance(raw, str):
            raise
        command = _unpack(raw)
    if not isinstance(command, dict):
        raise ValueError("a command is an object")  # noqa: TRY004  (the data's fault, not a type)
    return command


def _unpack(raw: bytes) -> object:
    try:
        return msgspec.msgpack.decode(raw)
    except msgspec.MsgspecError as fault:
        raise ValueError("neither JSON nor MessagePack") from fault


def _obey(socket: TradeSocket, command: Json, credentials: Credentials) -> None:
    action = command.get("action")
    if action in ("authenticate", "auth"):
        key, secret = _pair(command)
        socket.is_authorized = socket.is_authorized or credentials.admits(key, secret)
        socket.send(_authorization("authenticate", is_authorized=socket.is_authorized))
    elif not socket.is_authorized:
        socket.send(_authorization(str(action), is_authorized=False))
    elif action == "listen":
        socket.send(_listen(socket, command))
    else:
        socket.send(_error(f"unknown action: {str(action)[:40]}"))


def _listen(socket: TradeSocket, command: Json) -> Json:
    data = command.get("data")
    wanted = data.get("streams") if isinstance(data, dict) else None
    names = wanted if isinstance(wanted, list) else []
    socket.is_listening = STREAM in names
    return {
        "stream": "listening",
        "data": {"streams": [STREAM] if socket.is_listening else []},
    }


def _pair(command: Json) -> tuple[object, object]:
    """Return the keys of either form of authentication."""
    data = command.get("data")
    if isinstance(data, dict):
        return data.get("key_id"), data.get("secret_key")
    return command.get("key"), command.get("secret")


def _authorization(action: str, *, is_authorized: bool) -> Json:
    status = "authorized" if is_authorized else "unauthorized"
    return {"stream": "authorization", "data": {"status": status, "action": action}}


def _error(message: str) -> Json:
    return {"action": "error", "data": {"error_message": message}}


TRADE_STREAM: web.AppKey[TradeStream] = web.AppKey("trade_stream", TradeStream)


async def serve_stream(request: web.Request) -> web.StreamResponse:
    """Serve the trading stream."""
    request.app[EXCHANGE].step()
    return await request.app[TRADE_STREAM].serve(request)

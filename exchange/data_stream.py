"""The market-data stream: JSON text or MessagePack, auth, subscriptions, and the feed."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import orjson
from aiohttp import WSMsgType, web

from exchange.auth import Credentials
from exchange.coverage import WHOLE, Coverage
from exchange.data_errors import CLOSING, DATA_ERRORS
from exchange.data_feed import Channel, DataFeed, Message, Wanted, status_message
from exchange.instants import MINUTE_NS, SECOND_NS, rfc3339_short
from exchange.paca import TEST_SYMBOL, PacaFeed
from exchange.records import EventKind, VenueEvent
from exchange.service import Exchange
from exchange.wire import EXCHANGE, read_json

Json = dict[str, object]
TEST_FEED, DELAYED_FEED = "test", "delayed_sip"
SIP_DELAY_NS = 15 * MINUTE_NS
LATE_STATUSES_MAX = 4_096
"""Statuses kept until the delayed feed comes to them."""
TEST_CHANNELS = frozenset({"trades", "quotes", "bars"})
"""What the test feed has; subscribing to more of it is an error."""
HEARTBEAT_S = 30.0
MESSAGE_MAX_BYTES = 4_000_000
TIMESTAMP_EXTENSION = -1
FIELDS: dict[str, Channel] = {
    "trades": Channel.TRADES,
    "quotes": Channel.QUOTES,
    "bars": Channel.BARS,
    "updatedBars": Channel.UPDATED_BARS,
    "dailyBars": Channel.DAILY_BARS,
    "statuses": Channel.STATUSES,
    "lulds": Channel.LULDS,
}
"""What may be subscribed to, and the channel that feeds it."""
CONNECTED: Json = {"T": "success", "msg": "connected"}
AUTHENTICATED: Json = {"T": "success", "msg": "authenticated"}


@dataclass(slots=True, kw_only=True, eq=False)
class DataSocket:
    """One client: how it is spoken to, what it wants, what it has still to be sent."""

    feed: str
    packs: bool
    queue: asyncio.Queue[bytes]
    coverage: Coverage = WHOLE
    """The minutes that its feed has bars of."""
    closes: bool = True
    """Whether some errors end the connection."""
    is_authenticated: bool = False
    is_overrun: bool = False
    is_gone: bool = False
    """Nothing is sent any more, so nothing is queued."""
    wanted: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in FIELDS})

    def send(self, *messages: Json) -> None:
        """Queue one array of messages."""
        self.queue_frame(encode(list(messages), packs=self.packs))

    def queue_frame(self, frame: bytes) -> None:
        """Queue an encoded array; a client too slow for its queue is cut off."""
        if self.is_gone:
            return
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.is_overrun = True

    def shut(self) -> None:
        """Take nothing more, and let nobody wait for what will never be sent."""
        self.is_gone = True
        while not self.queue.empty():
            self.queue.get_nowait()
            self.queue.task_done()

    def refuse(self, code: int) -> bool:
        """Tell an error; return whether the connection goes on."""
        self.send({"T": "error", "code": code, "msg": DATA_ERRORS[code]})
        return not self.closes or code not in CLOSING

    def listens(self, message: Message) -> bool:
        """Whether a message is for this client."""
        names = self.wanted[_HEARD_AS[message.channel]]
        if message.symbol not in names and "*" not in names:
            return False
        is_bar = message.channel in (Channel.BARS, Channel.UPDATED_BARS)
        return not is_bar or self.coverage.has_bar(message.symbol, message.at_ns)


_NAME_OF = {channel: name for name, channel in FIELDS.items()}
# Corrections and cancels go to whoever hears the trades.
_HEARD_AS = {**_NAME_OF, Channel.CORRECTIONS: "trades", Channel.CANCELS: "trades"}


def encode(messages: list[Json], *, packs: bool) -> bytes:
    """Return an array of messages as the client reads it."""
    return msgspec.msgpack.encode(messages) if packs else orjson.dumps(messages)


def _timestamp(at_ns: int) -> msgspec.msgpack.Ext:
    """Return an instant as MessagePack's timestamp 96. Source: MessagePack specification."""
    at_s, rest_ns = divmod(at_ns, SECOND_NS)
    return msgspec.msgpack.Ext(TIMESTAMP_EXTENSION, struct.pack("!Iq", rest_ns, at_s))


def data_json(message: Message, *, packs: bool) -> Json:
    """Return a feed message's object."""
    at: object = _timestamp(message.at_ns) if packs else rfc3339_short(message.at_ns)
    return {"T": message.channel.value, "S": message.symbol, **message.fields, "t": at}


def _broadcast(batch: list[Message], sockets: list[DataSocket]) -> None:
    """Send a batch, each message to those who listen; alike frames are encoded once."""
    objects: dict[bool, list[Json]] = {}
    frames: dict[tuple[bool, tuple[int, ...]], bytes] = {}
    for socket in sockets:
        chosen = tuple(i for i, message in enumerate(batch) if socket.listens(message))
        if not chosen:
            continue
        packs = socket.packs
        if packs not in objects:
            objects[packs] = [data_json(message, packs=packs) for message in batch]
        if (packs, chosen) not in frames:
            frames[packs, chosen] = encode([objects[packs][i] for i in chosen], packs=packs)
        socket.queue_frame(frames[packs, chosen])


class DataStream:
    """Every connected client of the market-data stream."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        config = exchange.venue.config
        self._feed = DataFeed(exchange.venue.views, exchange.data, config.knobs, config.seed)
        self._test_feed = PacaFeed(exchange.venue.config.seed)
        self._sockets: dict[DataSocket, web.WebSocketResponse] = {}
        self._told_ns = exchange.venue.now_ns
        self._late: deque[Message] = deque(maxlen=LATE_STATUSES_MAX)
        self.spoil: Callable[[list[Message]], list[Message]] = list
        """What is let through of a batch; a fault script puts itself here."""
        self.refused: Callable[[str], int | None] = lambda action: None
        """The code that a command is refused with, whatever it says; a fault script's too."""

    @property
    def is_heard(self) -> bool:
        """Whether anybody has subscribed to anything."""
        return any(any(s.wanted.values()) for s in self._sockets)

    def next_ns(self) -> int | None:
        """Return when there is something to say next, None while nobody listens."""
        due = []
        for delay_ns in (0, SIP_DELAY_NS):
            if self._market_listeners(delay_ns):
                market_ns = self._feed.next_ns(self._told_ns - delay_ns)
                due += [] if market_ns is None else [market_ns + delay_ns]
        if self._test_listeners():
            due.append(self._test_feed.next_ns(self._told_ns))
        return min(due, default=None)

    def follow(self, now_ns: int) -> None:
        """Say what happened since the last time."""
        after_ns, self._told_ns = self._told_ns, max(self._told_ns, now_ns)
        if after_ns >= now_ns:
            return
        feeds: tuple[tuple[DataFeed | PacaFeed, list[DataSocket], int], ...] = (
            (self._feed, self._market_listeners(0), 0),
            (self._feed, self._market_listeners(SIP_DELAY_NS), SIP_DELAY_NS),
            (self._test_feed, self._test_listeners(), 0),
        )
        for feed, sockets, delay_ns in feeds:
            if sockets:
                wanted = self._wanted(sockets)
                for span in self._exchange.time.lived((after_ns - delay_ns, now_ns - delay_ns)):
                    for batch in feed.batches(*span, wanted):
                        if delay_ns:
                            self._say_late(max(message.at_ns for message in batch) - 1)
                        _broadcast(self.spoil(batch), sockets)
        self._say_late(now_ns - SIP_DELAY_NS)

    def _say_late(self, until_ns: int) -> None:
        """Tell the delayed feed's listeners the statuses up to an instant."""
        while self._late and self._late[0].at_ns <= until_ns:
            _broadcast([self._late.popleft()], self._market_listeners(SIP_DELAY_NS))

    def say(self, batch: list[Message]) -> None:
        """Tell a batch to those who listen, whatever the time."""
        is_test = any(message.symbol == TEST_SYMBOL for message in batch)
        _broadcast(batch, self._test_listeners() if is_test else self._market_listeners(0))

    def tell(self, events: list[VenueEvent]) -> None:
        """Say which halts began or ended, after what happened before them."""
        for event in events:
            if event.halt is None:
                continue
            self.follow(event.at_ns)
            resumes = event.kind is EventKind.RESUMED
            message = status_message(event.halt, event.at_ns, resumes=resumes)
            _broadcast([message], self._market_listeners(0))
            self._late.append(message)

    def _market_listeners(self, delay_ns: int) -> list[DataSocket]:
        """Return who has subscribed to anything of the market, so much behind it."""
        is_delayed = delay_ns > 0
        return [
            socket
            for socket in self._sockets
            if socket.feed != TEST_FEED
            and (socket.feed == DELAYED_FEED) == is_delayed
            and any(socket.wanted.values())
        ]

    def _test_listeners(self) -> list[DataSocket]:
        return [s for s in self._sockets if s.feed == TEST_FEED and any(s.wanted.values())]

    def _wanted(self, sockets: list[DataSocket]) -> Wanted:
        everything = frozenset({TEST_SYMBOL, *self._exchange.venue.assets})
        symbols: dict[Channel, frozenset[str]] = {}
        for channel, name in _NAME_OF.items():
            names = set[str]().union(*(s.wanted[name] for s in sockets))
            symbols[channel] = everything if "*" in names else frozenset(names)
        return Wanted(symbols=symbols)

    async def flush(self) -> None:
        """Return once everything queued has been sent."""
        await asyncio.gather(*(s.queue.join() for s in self._sockets))

    async def close(self) -> None:
        """Close every connection, saying that the server goes away."""
        for websocket in list(self._sockets.values()):
            await websocket.close(code=1001, message=b"going away")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        limits = self._exchange.limits
        feed = request.path.rpartition("/")[2]
        seen = self._exchange.iex_data if feed == "iex" else self._exchange.data
        socket = DataSocket(
            feed=feed,
            coverage=seen.coverage,
            packs="msgpack" in request.headers.get("Content-Type", ""),
            queue=asyncio.Queue(limits.stream_queue_max),
            closes=limits.data_errors_close,
        )
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_MAX_BYTES)
        await websocket.prepare(request)
        writer = asyncio.create_task(_write(socket, websocket), name="data-stream-writer")
        self._sockets[socket] = websocket
        try:
            socket.send(CONNECTED)
            by_headers = self._exchange.credentials.admits_headers(request.headers)
            if not by_headers or self._authenticate(socket, is_admitted=True):
                await self._read(socket, websocket)
            await socket.queue.join()
            await websocket.close()
        finally:
            del self._sockets[socket]
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return websocket

    async def _read(self, socket: DataSocket, websocket: web.WebSocketResponse) -> None:
        auth_timeout_s = self._exchange.limits.auth_timeout_s
        while True:
            timeout_s = None if socket.is_authenticated else auth_timeout_s
            try:
                message = await websocket.receive(timeout=timeout_s)
            except TimeoutError:
                socket.refuse(404)
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if not self._obey(socket, message.data):
                return

    def _obey(self, socket: DataSocket, raw: str | bytes) -> bool:
        command = _decode(raw)
        if command is None:
            return socket.refuse(400)
        action = str(command.get("action"))
        if action == "auth":
            if socket.is_authenticated:
                return socket.refuse(403)
            credentials: Credentials = self._exchange.credentials
            is_admitted = credentials.admits(command.get("key"), command.get("secret"))
            return self._authenticate(socket, is_admitted=is_admitted)
        if not socket.is_authenticated:
            return socket.refuse(401)
        code = self.refused(action) if action in ("subscribe", "unsubscribe") else 400
        if code is not None:
            return socket.refuse(code)
        return self._subscribe(socket, command, adds=action == "subscribe")

    def _authenticate(self, socket: DataSocket, *, is_admitted: bool) -> bool:
        limits = self._exchange.limits
        if not is_admitted:
            return socket.refuse(402)
        code = self.refused("auth")
        if code is not None:
            return socket.refuse(code)
        if socket.feed == "sip" and not limits.sip_realtime:
            return socket.refuse(409)
        others = [s for s in self._sockets if s.is_authenticated and s.feed == socket.feed]
        if len(others) >= limits.data_sockets_max:
            return socket.refuse(406)
        socket.is_authenticated = True
        socket.send(AUTHENTICATED)
        return True

    def _subscribe(self, socket: DataSocket, command: Json, *, adds: bool) -> bool:
        wanted = {name: set(names) for name, names in socket.wanted.items()}
        for name in FIELDS:
            names = command.get(name) or []
            if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
                return socket.refuse(400)
            if adds:
                wanted[name].update(names)
            else:
                wanted[name].difference_update(names)
        if socket.feed == TEST_FEED and any(wanted[name] for name in FIELDS.keys() - TEST_CHANNELS):
            return socket.refuse(410)
        most = self._exchange.limits.data_symbols_max
        if adds and most and len(wanted["trades"]) + len(wanted["quotes"]) > most:
            return socket.refuse(405)
        socket.wanted = wanted
        socket.send(_subscription(wanted))
        self._exchange.wake()
        return True


def _subscription(wanted: dict[str, set[str]]) -> Json:
    full: Json = {"T": "subscription"}
    full |= {name: sorted(names) for name, names in wanted.items()}
    follow_trades = sorted(wanted["trades"])
    return {**full, "corrections": follow_trades, "cancelErrors": follow_trades}


def _decode(raw: str | bytes) -> Json | None:
    """Return a command's object from JSON or MessagePack, None for anything else."""
    try:
        command = read_json(raw) if isinstance(raw, str) else msgspec.msgpack.decode(raw)
    except (ValueError, msgspec.MsgspecError):
        command = _decode_text(raw)
    return command if isinstance(command, dict) else None


def _decode_text(raw: str | bytes) -> object:
    """Return JSON sent in a binary frame, None for anything else."""
    try:
        return read_json(raw) if isinstance(raw, bytes) else None
    except ValueError:
        return None


async def _write(socket: DataSocket, websocket: web.WebSocketResponse) -> None:
    try:
        while not socket.is_gone:
            await _write_one(socket, websocket)
    finally:
        socket.shut()


async def _write_one(socket: DataSocket, websocket: web.WebSocketResponse) -> None:
    frame = await socket.queue.get()
    try:
        if socket.packs:
            await websocket.send_bytes(frame)
        else:
            await websocket.send_str(frame.decode())
        if socket.is_overrun:
            socket.is_gone = True
            await _cut_off(socket, websocket)
    except ConnectionError:
        socket.is_gone = True
    finally:
        socket.queue.task_done()


async def _cut_off(socket: DataSocket, websocket: web.WebSocketResponse) -> None:
    slow = encode([{"T": "error", "code": 407, "msg": DATA_ERRORS[407]}], packs=socket.packs)
    await (websocket.send_bytes(slow) if socket.packs else websocket.send_str(slow.decode()))
    await websocket.close()


DATA_STREAM: web.AppKey[DataStream] = web.AppKey("data_stream", DataStream)


async def serve_data_stream(request: web.Request) -> web.StreamResponse:
    """Serve the market-data stream."""
    request.app[EXCHANGE].step()
    return await request.app[DATA_STREAM].serve(request)

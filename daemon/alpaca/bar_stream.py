"""Minute bars as the venue sends them over its data websocket.

There is no replay: what was sent while no connection stood has to be fetched. So the bars held here
say from when on they are whole; a venue whose connection stands and says nothing is noticed by who
asks for bars, and reconnected to.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

import aiohttp
import structlog

from daemon.alpaca.price_codec import InvalidCounts, StreamSaid, decode_data_stream
from daemon.alpaca.reconnecting import Crowded, Socket, open_socket, receive, reconnecting
from daemon.alpaca.stream import StreamEndpoint
from daemon.backoff import Jitter
from domain.errors import NotAuthorized, VenueUnavailable
from domain.instruments import Symbol
from domain.market import Bar
from domain.ports import Clock

MINUTES_KEPT = 120
"""Bars kept of each symbol: three slots of the longest timeframe made of them, and some."""
AHEAD_MAX = timedelta(days=1)
"""How far ahead of our clock a bar may be and is kept until we get there: in lockstep the venue is
stepped first. What is asked for ends now, so that nobody is told of it sooner."""
CONNECTION_LIMIT = 406
NOT_AUTHORIZED = frozenset({402, 409})
_MINUTE = timedelta(minutes=1)

_log = structlog.get_logger(__name__)


class BarStream:
    """Keeps the last minutes of every symbol; reconnects by itself, for ever."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: StreamEndpoint,
        symbols: Sequence[Symbol],
        *,
        clock: Clock,
        jitter: Jitter,
        invalid: InvalidCounts,
    ) -> None:
        self.connections = 0
        self.bars_heard = 0
        """Believable bars, amended ones included."""
        self.whole_since_at: datetime | None = None
        """Every bar that opened from here on was sent to us; None while no connection stands."""
        self._session = session
        self._endpoint = endpoint
        self._symbols = list(symbols)
        self._clock = clock
        self._jitter = jitter
        self._invalid = invalid
        self._socket: Socket | None = None
        self._unconfirmed: frozenset[Symbol] = frozenset()
        self._bars: dict[Symbol, dict[datetime, Bar]] = {}

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands on which bars are sent to us."""
        return self._socket is not None

    async def run(self) -> None:
        """Keep bars until cancelled; where the venue refuses us, return and keep none."""
        heard = reconnecting(self._connect, self._listen, name="bar_stream", jitter=self._jitter)
        try:
            async with aclosing(heard):
                async for bar in heard:
                    self._keep(bar)
        except NotAuthorized as refusal:
            _log.error("bar_stream_refused", cause=str(refusal), hint="bars are fetched instead")

    def minutes(
        self, symbols: Sequence[Symbol], *, start_at: datetime, end_at: datetime
    ) -> Mapping[Symbol, list[Bar]] | None:
        """Return the bars with start_at ≤ opened_at ≤ end_at, oldest first, symbols without any
        missing; None when some may not have been sent to us."""
        if self.whole_since_at is None or start_at < self.whole_since_at:
            return None
        if not self._unconfirmed.isdisjoint(symbols):
            return None
        found = {
            symbol: [bars[at] for at in sorted(bars) if start_at <= at <= end_at]
            for symbol in symbols
            if (bars := self._bars.get(symbol))
        }
        return {symbol: bars for symbol, bars in found.items() if bars}

    async def start_over(self) -> None:
        """Give the connection up: it stands and carries nothing."""
        self.whole_since_at = None
        if self._socket is not None:
            await self._socket.close()

    async def _connect(self) -> Socket:
        """Return a socket that has confirmed our subscription."""
        try:
            return await open_socket(
                self._session, self._endpoint.url, authenticate=self._subscribe
            )
        except aiohttp.WSServerHandshakeError as fault:
            text = f"the data stream refused the connection: {fault.status} {fault.message}"
            raise VenueUnavailable(text) from fault

    async def _subscribe(self, socket: Socket) -> None:
        credentials = self._endpoint.credentials
        secret = credentials.secret_key.get_secret_value()
        await self._expect(socket, lambda said: said.words == "connected")
        await socket.send_json({"action": "auth", "key": credentials.key_id, "secret": secret})
        await self._expect(socket, lambda said: said.words == "authenticated")
        wanted = {"bars": self._symbols, "updatedBars": self._symbols}
        await socket.send_json({"action": "subscribe", **wanted})
        answer = await self._expect(socket, lambda said: said.kind == "subscription")
        self._unconfirmed = frozenset(self._symbols) - answer.confirmed
        if self._unconfirmed:
            _log.warning(
                "bar_stream_incomplete",
                unconfirmed=sorted(self._unconfirmed),
                hint="bars are fetched instead wherever these are asked for",
            )

    async def _expect(self, socket: Socket, is_wanted: Callable[[StreamSaid], bool]) -> StreamSaid:
        while True:
            payload = await receive(socket)
            if payload is None:
                raise VenueUnavailable("the venue hung up before bars were subscribed to")
            for said in self._decode(payload):
                if isinstance(said, StreamSaid):
                    _raise_refusal(said)
                    if is_wanted(said):
                        return said

    async def _listen(self, socket: Socket) -> AsyncGenerator[Bar, None]:
        self.connections += 1
        if self.connections > 1:
            _log.info("bar_stream_connected", connections=self.connections)
        now = self._clock.now()
        # The bar of the minute that is under way is sent when it ends: to us, too.
        self.whole_since_at = now.replace(second=0, microsecond=0)
        self._socket = socket
        try:
            while (payload := await receive(socket)) is not None:
                for said in self._decode(payload):
                    if isinstance(said, Bar):
                        yield said
                    else:
                        _raise_refusal(said)
        finally:
            self.whole_since_at = self._socket = None

    def _decode(self, payload: bytes) -> list[Bar | StreamSaid]:
        latest = self._clock.now() + AHEAD_MAX
        return decode_data_stream(payload, now=latest, invalid=self._invalid)

    def _keep(self, bar: Bar) -> None:
        self.bars_heard += 1
        bars = self._bars.setdefault(bar.symbol, {})
        bars[bar.opened_at] = bar
        if len(bars) > MINUTES_KEPT:
            del bars[min(bars)]


def _raise_refusal(said: StreamSaid) -> None:
    """Raise what an error message of the venue means; nothing for any other message."""
    if said.kind != "error":
        return
    text = f"the data stream refuses us: {said.code} {said.words}"
    if said.code == CONNECTION_LIMIT:
        raise Crowded(text + "; another program uses this account's data stream")
    if said.code in NOT_AUTHORIZED:
        raise NotAuthorized(text, http_status=403, code=said.code)
    raise VenueUnavailable(text)

"""Stands between a daemon and its exchange, a process of its own: everything is passed on, the time
of every fill is noted, and the data stream carries so many more messages a second.

What is added are the latest bars of the exchange again, as bars that late trades amended: the same
shape and size as any other, true, and each to be decoded, judged and kept. A frame holds one
message, which costs a reader most.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import aiohttp
import orjson
import typer
from aiohttp import WSMsgType, web

from daemon.clock import stopwatch_s

TICK_S = 0.005
BUFFER_BYTES_MAX = 1_000_000
"""A reader so far behind is one that a venue cuts off: what would come next counts as dropped."""
DATA_PATH, ORDERS_PATH = "/v2/iex", "/stream"
_BARS = frozenset({"b", "u"})
_DROPPED_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class Feeder:
    """Passes on, adds, and counts."""

    def __init__(self, upstream: str, rate: int) -> None:
        self._upstream = upstream
        self._rate = rate
        self._session: aiohttp.ClientSession
        self._latest: dict[str, bytes] = {}
        """The frame that says a symbol's latest bar again."""
        self._reader: asyncio.WriteTransport | None = None
        self._added: asyncio.Task[None] | None = None
        self.bars, self.added, self.dropped, self.behind_bytes = 0, 0, 0, 0
        self.fills: dict[str, float] = {}
        """When the news of each execution was handed to the socket."""

    def app(self) -> web.Application:
        """Return the application that the daemon takes for the exchange."""
        app = web.Application(client_max_size=2**24)
        app.cleanup_ctx.append(self._connected)
        app.router.add_post("/_load/begin", self._begin)
        app.router.add_post("/_load/end", self._end)
        app.router.add_get(DATA_PATH, self._pass_on_data)
        app.router.add_get(ORDERS_PATH, self._pass_on_orders)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        return app

    async def _connected(self, app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            self._session = session
            yield

    # --- passing on ---------------------------------------------------------------------------

    async def _pass_on(self, request: web.Request) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED_HEADERS}
        url, body = self._upstream + request.path_qs, await request.read()
        async with self._session.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED_HEADERS}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    async def _pass_on_orders(self, request: web.Request) -> web.WebSocketResponse:
        return await self._pass_on_socket(request, self._note_fill)

    async def _pass_on_data(self, request: web.Request) -> web.WebSocketResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport.set_write_buffer_limits(high=2 * BUFFER_BYTES_MAX)
        self._reader = transport
        try:
            return await self._pass_on_socket(request, self._note_bars)
        finally:
            self._reader = None

    async def _pass_on_socket(self, request: web.Request, note: Any) -> web.WebSocketResponse:
        below = web.WebSocketResponse(compress=False)
        await below.prepare(request)
        url = self._upstream.replace("http", "ws", 1) + request.path_qs
        async with self._session.ws_connect(url, compress=0) as above:
            up = asyncio.create_task(_pump(below, above, None))
            with suppress(ConnectionError):
                await _pump(above, below, note)
            up.cancel()
        return below

    def _note_fill(self, data: str | bytes) -> None:
        said = orjson.loads(data)
        execution = said.get("data", {}).get("execution_id")
        if execution and "fill" in said["data"]["event"]:
            self.fills[execution] = stopwatch_s()

    def _note_bars(self, data: str | bytes) -> None:
        for message in orjson.loads(data):
            if message["T"] in _BARS:
                self.bars += 1
                self._latest[message["S"]] = frame(orjson.dumps([message | {"T": "u"}]))

    # --- adding -------------------------------------------------------------------------------

    async def _begin(self, request: web.Request) -> web.Response:
        if not self._latest or self._reader is None:
            return web.json_response({"error": "no bar has passed yet"}, status=409)
        self.fills.clear()
        self._added = asyncio.create_task(self._add(self._reader))
        return web.json_response({})

    async def _end(self, request: web.Request) -> web.Response:
        assert self._added is not None
        self._added.cancel()
        with suppress(asyncio.CancelledError):
            await self._added
        counts = {name: getattr(self, name) for name in ("bars", "added", "dropped")}
        return web.json_response(counts | {"behind": self.behind_bytes, "fills": self.fills})

    async def _add(self, reader: asyncio.WriteTransport) -> None:
        began_s, due = stopwatch_s(), 0
        while not reader.is_closing():
            wanted = int(self._rate * (stopwatch_s() - began_s))
            frames = list(self._latest.values())
            behind = reader.get_write_buffer_size()
            self.behind_bytes = max(self.behind_bytes, behind)
            if behind > BUFFER_BYTES_MAX:
                self.dropped += wanted - due
            elif wanted > due:
                reader.write(b"".join(frames[n % len(frames)] for n in range(due, wanted)))
                self.added += wanted - due
            due = wanted
            await asyncio.sleep(TICK_S)


async def _pump(source: Any, target: Any, note: Any) -> None:
    async for message in source:
        if note is not None:
            note(message.data)
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
    await target.close()


def frame(payload: bytes) -> bytes:
    """Return a whole text frame as a server sends it. Source: RFC 6455, section 5.2."""
    length = len(payload)
    if length < 126:
        return b"\x81" + length.to_bytes(1, "big") + payload
    return b"\x81\x7e" + length.to_bytes(2, "big") + payload


def main(
    upstream: Annotated[str, typer.Option()],
    port: Annotated[int, typer.Option()],
    rate: Annotated[int, typer.Option()],
) -> None:
    """Serve until killed."""
    web.run_app(Feeder(upstream, rate).app(), host="127.0.0.1", port=port, access_log=None)


if __name__ == "__main__":
    typer.run(main)

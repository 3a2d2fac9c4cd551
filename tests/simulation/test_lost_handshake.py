"""A stream whose connection is reset in the instant that it stands, found by seed 1000102."""

import asyncio
import base64
import hashlib
from typing import cast

import aiohttp
import pytest

from daemon.alpaca.reconnecting import Socket, open_socket
from research.simulation.kernel.node import NODE, Life
from tests.support.virtual_loop import current_loop, in_virtual_time

HOST, PORT = "127.0.0.1", 8431
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class _AcceptsAndDies(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        lines = dict(line.split(b": ", 1) for line in data.split(b"\r\n") if b": " in line)
        key = lines[b"Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        life = NODE.get()
        assert life is not None
        current_loop().kill(life)


async def _say_nothing(socket: Socket) -> None:
    raise AssertionError("there is nobody to say anything to")


@in_virtual_time
async def test_a_stream_reset_as_soon_as_it_stands_is_a_connection_that_broke() -> None:
    loop = current_loop()
    await loop.start(Life("venue"), loop.create_server(_AcceptsAndDies, HOST, PORT), "venue")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await open_socket(session, f"ws://{HOST}:{PORT}/stream", authenticate=_say_nothing)

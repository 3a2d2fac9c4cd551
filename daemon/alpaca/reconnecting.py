"""A websocket that is opened again for ever: how long to wait, and when to give up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

import aiohttp
import structlog

from daemon.alpaca.client import CONNECT_TIMEOUT_S
from daemon.backoff import Backoff, Jitter
from domain.errors import NotAuthorized, VenueError, VenueUnavailable

RECONNECT_BACKOFF = Backoff(first_s=1.0, longest_s=30.0, least_s=0.1)
CROWDED_WAIT_S = 5.0
"""Least wait after the venue said that another connection of this account still stands."""
STABLE_S = 30.0
"""A connection that lived this long was a good one: the next wait is short again."""
HANDSHAKE_TIMEOUT_S = 10.0
HEARTBEAT_S = 10.0
MESSAGE_MAX_BYTES = 4_000_000

Socket = aiohttp.ClientWebSocketResponse
Heard = TypeVar("Heard")

_log = structlog.get_logger(__name__)


class Crowded(VenueUnavailable):
    """The venue refused a connection because another one of this account stands."""


async def reconnecting(
    connect: Callable[[], Awaitable[Socket]],
    listen: Callable[[Socket], AsyncGenerator[Heard, None]],
    *,
    name: str,
    jitter: Jitter,
) -> AsyncGenerator[Heard, None]:
    """Yield what is heard on one connection after the other. Raises NotAuthorized, nothing else."""
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        since_s = loop.time()
        least_s = 0.0
        try:
            async with await connect() as socket, aclosing(listen(socket)) as heard:
                async for event in heard:
                    yield event
        except NotAuthorized:
            raise
        except Crowded as fault:
            least_s, cause = CROWDED_WAIT_S, str(fault)
        except (VenueError, aiohttp.ClientError, TimeoutError, OSError) as fault:
            cause = f"{type(fault).__name__}: {fault}"
        else:
            cause = "the venue closed it"
        failures = 1 if loop.time() - since_s >= STABLE_S else failures + 1
        delay_s = max(least_s, RECONNECT_BACKOFF.delay_s(failures, jitter))
        if failures == 1:
            _log.warning(f"{name}_lost", cause=cause, retry_in_s=round(delay_s, 1))
        await asyncio.sleep(delay_s)


async def open_socket(
    session: aiohttp.ClientSession,
    url: str,
    *,
    authenticate: Callable[[Socket], Awaitable[None]],
) -> Socket:
    """Return a websocket that has been authenticated.

    Raises what `authenticate` raises, aiohttp.ClientError, TimeoutError.
    """
    async with asyncio.timeout(HANDSHAKE_TIMEOUT_S), AsyncExitStack() as stack:
        try:
            socket = await session.ws_connect(
                url,
                heartbeat=HEARTBEAT_S,
                max_msg_size=MESSAGE_MAX_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CONNECT_TIMEOUT_S),
            )
        except AssertionError as fault:
            # aiohttp takes for granted that a connection lives for as long as its first answer.
            raise aiohttp.ServerDisconnectedError("lost as soon as it stood") from fault
        stack.push_async_callback(socket.close)
        await authenticate(socket)
        stack.pop_all()  # it stands: closing it is the caller's from here on
    return socket


async def receive(socket: Socket) -> bytes | None:
    """Return the next message, text or binary; None once the connection has ended.

    Raises VenueUnavailable when it broke.
    """
    message = await socket.receive()
    if message.type is aiohttp.WSMsgType.TEXT:
        return str(message.data).encode()
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data)
    if message.type is aiohttp.WSMsgType.ERROR:
        raise VenueUnavailable(f"the stream broke: {message.data}")
    return None

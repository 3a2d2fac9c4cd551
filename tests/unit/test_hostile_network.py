"""A network that drips, resolves nothing, or puts somebody else where the venue should be."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from daemon.alpaca.client import ATTEMPTS_MAX, AlpacaApi, CallLimits, open_session
from daemon.backoff import seeded_jitter
from daemon.budget import BudgetLimits, Lane, RequestBudget
from daemon.clock import ClockPace, SystemClock
from domain.errors import RequestNotSent, VenueUnavailable
from tests.support.fake_alpaca import Fault
from tests.support.rigs import CREDENTIALS, alpaca_rig
from tests.support.virtual_loop import current_loop, in_virtual_time

SELF_SIGNED = Path(__file__).parents[1] / "support" / "self_signed.pem"
"""Certificate and key of localhost, made for this test alone; nobody vouches for it."""


def api_at(session: aiohttp.ClientSession, base_url: str) -> AlpacaApi:
    jitter, limits = seeded_jitter(7), BudgetLimits(per_minute=180, cancel_share=0.2)
    budget = RequestBudget(limits, pace=ClockPace(SystemClock()), jitter=jitter)
    return AlpacaApi(session, base_url, CREDENTIALS, budget=budget, jitter=jitter)


@in_virtual_time
async def test_a_body_that_comes_a_byte_a_second_is_given_up_as_a_whole() -> None:
    """Each byte comes in good time; a limit on the pause between bytes would wait for a minute."""
    async with alpaca_rig() as rig:
        dripping = Fault("/clock", status=200, body=b" " * 60, byte_s=1.0)
        rig.server.faults.extend(replace(dripping) for _ in range(ATTEMPTS_MAX))
        limits = CallLimits(attempt_s=5.0, deadline_s=6.0)
        with pytest.raises(VenueUnavailable, match="no answer within"):
            await rig.trading.get("/clock", lane=Lane.QUOTES, limits=limits)
        assert current_loop().time() <= 6.1


class NothingResolves(AbstractResolver):
    """Knows no name."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        raise OSError(f"no address is known for {host}")

    async def close(self) -> None:
        """Hold nothing."""


@in_virtual_time
async def test_a_name_that_does_not_resolve_means_that_nothing_was_sent() -> None:
    connector = aiohttp.TCPConnector(resolver=NothingResolves())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(RequestNotSent, match=r"no connection to http://venue\.invalid"):
            await api_at(session, "http://venue.invalid").post_once("/orders", {}, lane=Lane.SUBMIT)


@in_virtual_time
async def test_a_name_that_does_not_resolve_is_asked_for_again_after_a_while() -> None:
    names = NothingResolves()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=names)) as session:
        with pytest.raises(VenueUnavailable):
            await api_at(session, "http://venue.invalid").get("/clock", lane=Lane.QUOTES)
    assert names.asked == ATTEMPTS_MAX
    assert current_loop().time() > 0.1


@asynccontextmanager
async def somebody_else(heard: list[bytes]) -> AsyncIterator[str]:
    """A TLS server that nobody vouches for; what it is told lands in `heard`."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def test_whoever_has_no_certificate_for_the_venue_is_told_nothing() -> None:
    heard: list[bytes] = []
    async with somebody_else(heard) as url, open_session(1) as session:
        with pytest.raises(RequestNotSent, match="certificate verify failed"):
            await api_at(session, url).post_once("/orders", {}, lane=Lane.SUBMIT)
    assert b"".join(heard) == b""

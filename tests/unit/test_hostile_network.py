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
from tests.support.rigs import BASE_URL, CREDENTIALS, alpaca_rig
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


@in_virtual_time
async def test_when_every_connection_is_taken_the_next_request_waits_and_is_given_up() -> None:
    """The pool is of two; five ask, and nobody answers. None of the connections stays taken."""
    async with alpaca_rig() as rig, open_session(2) as session:
        rig.server.faults.extend(Fault("/clock", delay_s=1e6) for _ in range(5))
        api, limits = api_at(session, BASE_URL), CallLimits(attempt_s=4.0, deadline_s=4.0)
        asks = [api.get("/clock", lane=Lane.QUOTES, limits=limits) for _ in range(5)]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(answer) for answer in answers] == [VenueUnavailable] * 5
        assert len(rig.server.requests_to("/clock")) == 2
        assert current_loop().time() < 5.0
        assert session.connector is not None
        assert not session.connector._acquired  # type: ignore[attr-defined]
        rig.server.faults.clear()
        assert await api.get("/clock", lane=Lane.QUOTES)


@in_virtual_time
async def test_an_order_that_waited_for_a_connection_in_vain_has_left_nothing() -> None:
    async with alpaca_rig() as rig, open_session(1) as session:
        rig.server.faults.append(Fault("/clock", delay_s=1e6))
        api = api_at(session, BASE_URL)
        held = asyncio.create_task(api.get("/clock", lane=Lane.QUOTES))
        await asyncio.sleep(0.1)
        with pytest.raises(VenueUnavailable):
            await api.post_once("/orders", {}, lane=Lane.SUBMIT)
        held.cancel()
        assert rig.server.requests_to("/orders") == []


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_connections_refused_again_and_again_leave_no_descriptor_open() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        async with open_session(2) as session:
            api = api_at(session, url)
            before = descriptors()
            for _ in range(50):
                with pytest.raises(RequestNotSent):
                    await api.post_once("/orders", {}, lane=Lane.CANCEL)
            assert descriptors() <= before + 1


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

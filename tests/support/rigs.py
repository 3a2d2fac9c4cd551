"""The same world behind each adapter of a port: what contract tests run on."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from pydantic import SecretStr

from daemon.alpaca.client import AlpacaApi, Credentials, open_session
from daemon.alpaca.market_data import AlpacaMarketData, DataPlan
from daemon.alpaca.stream import StreamEndpoint
from daemon.alpaca.trading import AlpacaBroker
from daemon.backoff import seeded_jitter
from daemon.budget import BudgetLimits, RequestBudget
from daemon.clock import ClockPace, SystemClock
from daemon.fetcher import PriceFetcher
from domain.errors import NotAuthorized, VenueError, VenueUnavailable
from domain.ports import Broker, Clock, PriceSource
from tests.support.fake_alpaca import BASE_URL, KEY_ID, SECRET, STREAM_URL, FakeAlpaca, Fault
from tests.support.fake_venue import FakeBroker, FakePriceSource, FakeVenue
from tests.support.virtual_loop import EPOCH_S, current_loop

START = datetime.fromtimestamp(EPOCH_S, UTC)
CREDENTIALS = Credentials(key_id=KEY_ID, secret_key=SecretStr(SECRET))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A world and the ports that show it; `shut` makes the venue answer everything with a 500."""

    venue: FakeVenue
    broker: Broker
    prices: PriceSource
    clock: Clock
    quote_requests: Callable[[], int]
    shut: Callable[[], None]
    lock_out: Callable[[], None]
    """From now on our keys are not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaRig:
    """Our client against the imitated venue, every part at hand."""

    venue: FakeVenue
    server: FakeAlpaca
    session: aiohttp.ClientSession
    trading: AlpacaApi
    data: AlpacaApi
    broker: AlpacaBroker
    source: AlpacaMarketData
    fetcher: PriceFetcher
    pace: ClockPace
    clock: Clock


OpenRig = Callable[[], AbstractAsyncContextManager[Rig]]


@contextlib.asynccontextmanager
async def in_memory() -> AsyncIterator[Rig]:
    """Open the ports in memory."""
    clock = SystemClock(current_loop().wall)
    venue = FakeVenue(clock)
    broker, prices = FakeBroker(venue), FakePriceSource(venue)

    def fail_with(fault: VenueError) -> None:
        prices.fault = fault
        broker.faults.extend([fault] * 10)

    yield Rig(
        venue=venue,
        broker=broker,
        prices=prices,
        clock=clock,
        quote_requests=lambda: prices.requests,
        shut=lambda: fail_with(VenueUnavailable("500")),
        lock_out=lambda: fail_with(NotAuthorized("unauthorized", http_status=401, code=None)),
    )


@contextlib.asynccontextmanager
async def over_http() -> AsyncIterator[Rig]:
    """Open our client's ports against the imitated venue."""
    async with alpaca_rig() as rig:
        server = rig.server
        denied = Fault("", status=401, body=b'{"message":"unauthorized."}')
        yield Rig(
            venue=rig.venue,
            broker=rig.broker,
            prices=rig.fetcher,
            clock=rig.clock,
            quote_requests=lambda: len(server.requests_to("/quotes/latest")),
            shut=lambda: server.faults.extend(Fault("", status=500) for _ in range(200)),
            lock_out=lambda: server.faults.extend([denied] * 10),
        )


@contextlib.asynccontextmanager
async def alpaca_rig(
    plan: DataPlan | None = None,
    *,
    per_minute: int = 180,
    credentials: Credentials = CREDENTIALS,
    base_url: str = BASE_URL,
) -> AsyncIterator[AlpacaRig]:
    """Open our client against the imitated venue on the running virtual loop."""
    clock = SystemClock(current_loop().wall)
    venue = FakeVenue(clock)
    server = FakeAlpaca(venue)
    pace, jitter = ClockPace(clock), seeded_jitter(7)
    limits = BudgetLimits(per_minute=per_minute, cancel_share=0.2)
    async with server.serving(), open_session(40) as session:
        trading, data = (
            AlpacaApi(
                session,
                base_url,
                credentials,
                budget=RequestBudget(limits, pace=pace, jitter=jitter),
                jitter=jitter,
            )
            for _ in range(2)
        )
        endpoint = StreamEndpoint(url=STREAM_URL, credentials=credentials)
        source = AlpacaMarketData(data, plan or DataPlan(), clock=clock)
        yield AlpacaRig(
            venue=venue,
            server=server,
            session=session,
            trading=trading,
            data=data,
            broker=AlpacaBroker(trading, endpoint, clock=clock, jitter=jitter),
            source=source,
            fetcher=PriceFetcher(source, pace=pace),
            pace=pace,
            clock=clock,
        )

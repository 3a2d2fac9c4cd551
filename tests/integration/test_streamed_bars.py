"""Bars from the venue's data stream are the bars its REST gives, gaps and all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from aiohttp import ClientSession, web
from pydantic import SecretStr

from daemon import wiring
from daemon.alpaca.bar_stream import BarStream
from daemon.alpaca.client import Credentials
from daemon.alpaca.price_codec import InvalidCounts
from daemon.alpaca.stream import StreamEndpoint
from daemon.backoff import seeded_jitter
from daemon.clock import LockstepClock, LockstepPace
from daemon.metering import Meter
from daemon.metrics import Metrics
from daemon.streamed_bars import StreamedBars
from domain.calendar import Timeframe
from domain.market import Bar
from exchange.app import DATA_STREAM
from exchange.auth import Credentials as Admitted
from exchange.service import Exchange
from tests.support.exchanges import MONDAY as DAY
from tests.support.exchanges import (
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
    random_market,
    session_on,
)
from tests.support.settings import some_settings
from tests.support.virtual_loop import in_virtual_time

SESSION = session_on(DAY)
SYMBOLS = ("AAA", "BBB")
WAIT_S_MAX = 5.0
HOST, PORT = "127.0.0.1", 8431
URL = f"http://{HOST}:{PORT}"


@dataclass(kw_only=True)
class World:
    """An exchange, our prices of it, and the hand that moves its time."""

    url: str
    app: web.Application
    session: ClientSession
    clock: LockstepClock
    bars: StreamedBars
    connection: wiring.Connection

    async def advance(self, minutes: float) -> None:
        """Go on to so many minutes after the open, and let what was sent be taken in."""
        at = SESSION.opens_at + timedelta(minutes=minutes)
        async with self.session.post(
            f"{self.url}/_exchange/advance", json={"to": at.isoformat()}
        ) as answer:
            assert answer.status == 200
        self.clock.set_to(at)
        await asyncio.sleep(1.0)

    async def connected(self) -> None:
        """Give the stream the time of any number of attempts to connect."""
        await asyncio.sleep(60.0)
        assert self.bars.stream.whole_since_at is not None

    async def ask(self, first: int, last: int, timeframe: Timeframe) -> dict[str, list[Bar]]:
        """Ask for the bars that opened in minutes `first` to `last` of the session."""
        return await self.bars.fetch_bars(
            SYMBOLS,
            timeframe,
            start_at=SESSION.opens_at + timedelta(minutes=first),
            end_at=SESSION.opens_at + timedelta(minutes=last + 1, microseconds=-1),
        )


@asynccontextmanager
async def serving(exchange: Exchange) -> AsyncIterator[web.Application]:
    app = make_served_app(exchange)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT).start()
    try:
        yield app
    finally:
        await runner.cleanup()


@asynccontextmanager
async def world(feed: str = "iex") -> AsyncIterator[World]:
    exchange = make_exchange(make_venue(random_market(3)))
    clock = LockstepClock(SESSION.opens_at - timedelta(minutes=1))
    async with serving(exchange) as app, ClientSession() as session:
        settings = some_settings(exchange_url=URL, bar_source="stream", data_feed=feed)
        jitter = seeded_jitter(7)
        connection = wiring.connect(
            settings, session, clock=clock, pace=LockstepPace(clock), jitter=jitter
        )
        bars = wiring.streamed_bars(
            settings, connection, session, SYMBOLS, clock=clock, jitter=jitter
        )
        assert bars is not None
        following = asyncio.create_task(bars.stream.run(), name="bar-stream")
        try:
            yield World(
                url=URL, app=app, session=session, clock=clock, bars=bars, connection=connection
            )
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("timeframe", [Timeframe.MINUTE, Timeframe.FIVE_MINUTES])
@in_virtual_time
async def test_streamed_bars_are_those_that_rest_gives(timeframe: Timeframe) -> None:
    async with world() as there:
        await there.connected()
        for minute in range(11):
            await there.advance(minute)
        streamed = await there.ask(0, 9, timeframe)
        assert (there.bars.counts.streamed, there.bars.counts.fetched) == (1, 0)
        start_at, end_at = SESSION.opens_at, SESSION.closes_at - timedelta(microseconds=1)
        rest = await there.bars._source.fetch_bars(
            SYMBOLS, timeframe, start_at=start_at, end_at=end_at
        )
        assert streamed == rest


@in_virtual_time
async def test_every_bar_heard_is_counted_and_the_stream_said_to_be_up() -> None:
    async with world() as there:
        metrics = Metrics(version="0", venue="embedded")
        meter = Meter(
            metrics, there.connection, slots_missed=lambda: 0, bar_stream=lambda: there.bars.stream
        )
        await there.connected()
        for minute in range(4):
            await there.advance(minute)
            meter.publish()
        assert metrics.total("tradewind_stream_bars_total") == 3 * len(SYMBOLS)
        assert metrics.total("tradewind_stream_connected", stream="data") == 1


@in_virtual_time
async def test_a_data_stream_that_was_lost_is_counted() -> None:
    async with world() as there:
        metrics = Metrics(version="0", venue="embedded")
        meter = Meter(
            metrics, there.connection, slots_missed=lambda: 0, bar_stream=lambda: there.bars.stream
        )
        await there.connected()
        meter.publish()
        await there.bars.stream.start_over()
        await asyncio.sleep(0.01)
        meter.publish()
        assert metrics.total("tradewind_stream_disconnects_total", stream="data") == 1


@in_virtual_time
async def test_bars_that_came_before_our_clock_got_there_are_kept_until_it_does() -> None:
    """In lockstep the exchange is stepped first: bars of a step of minutes were thrown away as of
    the future, and those minutes taken for quiet ones."""
    async with world() as there:
        await there.connected()
        await there.advance(0)
        await there.advance(5)
        assert len((await there.ask(0, 4, Timeframe.MINUTE))["AAA"]) == 5
        assert (there.bars.counts.streamed, there.bars.counts.fetched) == (1, 0)


@in_virtual_time
async def test_what_was_sent_before_we_listened_is_fetched() -> None:
    async with world() as there:
        await there.advance(4)
        await there.bars.stream.start_over()
        await there.connected()
        await there.advance(6)
        assert len((await there.ask(0, 5, Timeframe.MINUTE))["AAA"]) == 6
        assert there.bars.counts.fetched == 1
        await there.ask(4, 5, Timeframe.MINUTE)
        assert there.bars.counts.streamed == 1


@in_virtual_time
async def test_a_stream_that_was_cut_leaves_no_bar_out() -> None:
    async with world() as there:
        await there.connected()
        await there.advance(2)
        await there.bars.stream.start_over()
        assert there.bars.stream.whole_since_at is None
        await there.advance(4)
        assert len((await there.ask(0, 3, Timeframe.MINUTE))["BBB"]) == 4
        assert there.bars.counts.fetched == 1


@in_virtual_time
async def test_a_stream_that_stands_and_says_nothing_is_noticed_and_opened_again() -> None:
    async with world() as there:
        await there.connected()
        for socket in there.app[DATA_STREAM]._sockets:
            socket.wanted = {name: set() for name in socket.wanted}
        await there.advance(5)
        assert len((await there.ask(0, 4, Timeframe.MINUTE))["AAA"]) == 5
        assert there.bars.counts.fetched == 1
        await there.connected()
        assert there.bars.stream.connections == 2


@in_virtual_time
async def test_hours_and_days_are_always_fetched() -> None:
    async with world() as there:
        await there.connected()
        await there.advance(10)
        await there.ask(0, 9, Timeframe.HOUR)
        assert (there.bars.counts.streamed, there.bars.counts.fetched) == (0, 1)


@in_virtual_time
async def test_a_feed_that_the_plan_does_not_hold_is_not_tried_again_and_again() -> None:
    async with world(feed="sip") as there:
        async with asyncio.timeout(WAIT_S_MAX):
            await there.bars.stream.run()
        assert there.bars.stream.connections == 0


async def confirming_only(symbol: str, socket: web.WebSocketResponse) -> None:
    """Say what a data stream says that sends the bars of one symbol, whatever is asked for."""
    await socket.send_json([{"T": "success", "msg": "connected"}])
    await socket.receive_json()
    await socket.send_json([{"T": "success", "msg": "authenticated"}])
    await socket.receive_json()
    bars = {"bars": [symbol], "updatedBars": [symbol]}
    await socket.send_json([{"T": "subscription", **bars}])
    await socket.receive()


@in_virtual_time
async def test_a_symbol_that_the_stream_has_not_confirmed_is_never_taken_for_quiet() -> None:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await confirming_only("AAA", socket)
        return socket

    app = web.Application()
    app.router.add_get("/v2/iex", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT).start()
    clock = LockstepClock(SESSION.opens_at)
    keys = Credentials(key_id="key", secret_key=SecretStr("secret"))
    async with ClientSession() as session:
        stream = BarStream(
            session,
            StreamEndpoint(url=f"ws://{HOST}:{PORT}/v2/iex", credentials=keys),
            SYMBOLS,
            clock=clock,
            jitter=seeded_jitter(7),
            invalid=InvalidCounts(),
        )
        following = asyncio.create_task(stream.run(), name="bar-stream")
        await asyncio.sleep(1.0)
        span = {"start_at": SESSION.opens_at, "end_at": SESSION.opens_at + timedelta(minutes=1)}
        assert stream.minutes(["AAA"], **span) == {}
        assert stream.minutes(SYMBOLS, **span) is None
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await runner.cleanup()


@in_virtual_time
async def test_wrong_keys_leave_bars_to_rest() -> None:
    exchange = make_exchange(credentials=Admitted(key="key", secret="secret"))
    async with serving(exchange), ClientSession() as session:
        wrong = Credentials(key_id="key", secret_key=SecretStr("wrong"))
        clock = LockstepClock(datetime.fromtimestamp(close_ns() / 1e9, SESSION.opens_at.tzinfo))
        stream = BarStream(
            session,
            StreamEndpoint(url=f"ws://{HOST}:{PORT}/v2/iex", credentials=wrong),
            SYMBOLS,
            clock=clock,
            jitter=seeded_jitter(7),
            invalid=InvalidCounts(),
        )
        async with asyncio.timeout(WAIT_S_MAX):
            await stream.run()
        assert stream.whole_since_at is None

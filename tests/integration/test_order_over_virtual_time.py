"""An unmodified aiohttp client and server exchange an order on the virtual-time loop."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from tests.support.virtual_loop import Deadlock, current_loop, in_virtual_time, run_virtually

HOST, PORT = "127.0.0.1", 8123


async def _take_order(request: web.Request) -> web.Response:
    order = await request.json()
    await asyncio.sleep(2.0)
    return web.json_response({"id": "venue-1", **order})


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=5.0)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"heard {message.data}")
    return socket


async def _serve() -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/v2/orders", _take_order)
    app.router.add_get("/stream", _echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT).start()
    return runner


@in_virtual_time
async def test_client_and_server_exchange_one_order() -> None:
    runner = await _serve()
    async with aiohttp.ClientSession(f"http://{HOST}:{PORT}") as session:
        sent = {"symbol": "AAPL", "qty": "5", "side": "buy"}
        async with session.post("/v2/orders", json=sent) as answer:
            assert await answer.json() == {"id": "venue-1", **sent}
    assert 2.0 < current_loop().time() < 2.1
    await runner.cleanup()


@in_virtual_time
async def test_a_silent_server_times_out_in_virtual_seconds_only() -> None:
    runner = await _serve()
    began_s = time.process_time()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.5)) as session:
        with pytest.raises(TimeoutError):
            await session.post(f"http://{HOST}:{PORT}/v2/orders", json={})
    assert 1.5 <= current_loop().time() < 3.0
    assert time.process_time() - began_s < 1.0
    await runner.cleanup()


@in_virtual_time
async def test_a_websocket_keeps_the_order_of_its_messages() -> None:
    runner = await _serve()
    async with (
        aiohttp.ClientSession(f"http://{HOST}:{PORT}") as session,
        session.ws_connect("/stream", heartbeat=5.0) as socket,
    ):
        for number in range(200):
            await socket.send_str(str(number))
        heard = [await socket.receive_str() for _ in range(200)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60.0):
                await socket.receive()
        assert not socket.closed  # twelve heartbeats were answered
    assert heard == [f"heard {number}" for number in range(200)]
    await runner.cleanup()


@in_virtual_time
async def test_a_reset_connection_is_lost_on_both_sides() -> None:
    runner = await _serve()
    async with aiohttp.ClientSession(f"http://{HOST}:{PORT}") as session:
        asyncio.get_running_loop().call_later(1.0, current_loop().network.reset_all)
        with pytest.raises(aiohttp.ClientError):
            await session.post("/v2/orders", json={})
    assert not current_loop().network.wires
    await runner.cleanup()


class _Recorder(asyncio.Protocol):
    """Notes what arrives, and when."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, float]] = []

    def data_received(self, data: bytes) -> None:
        self.heard.append((data, current_loop().time()))


@in_virtual_time
async def test_a_fast_segment_does_not_overtake_a_slow_one_nor_hurry_it() -> None:
    loop, recorder = current_loop(), _Recorder()
    await loop.create_server(lambda: recorder, HOST, PORT)
    transport, _ = await loop.create_connection(asyncio.Protocol, HOST, PORT)
    began_s = loop.time()
    latencies_s = iter([1.0, 0.1])
    loop.network.latency_s = lambda: next(latencies_s)
    transport.write(b"slow")
    transport.write(b"fast")
    await asyncio.sleep(5.0)
    assert [data for data, _ in recorder.heard] == [b"slow", b"fast"]
    assert [at_s - began_s for _, at_s in recorder.heard] == pytest.approx([1.0, 1.0])


@in_virtual_time
async def test_nobody_listening_refuses_the_connection() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://{HOST}:1/")


def test_a_program_that_can_never_go_on_raises() -> None:
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtually(wait_for_ever())


async def _post(session: aiohttp.ClientSession, number: int) -> None:
    async with session.post("/v2/orders", json={"n": number}) as answer:
        await answer.read()


def test_the_same_program_runs_the_same_twice() -> None:
    async def trade() -> tuple[float, int]:
        runner = await _serve()
        async with (
            aiohttp.ClientSession(f"http://{HOST}:{PORT}") as session,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(20):
                tasks.create_task(_post(session, number))
        await runner.cleanup()
        loop = current_loop()
        return loop.time(), loop.network.connections_opened

    assert run_virtually(trade()) == run_virtually(trade())

"""The trading stream's frames: both ways in, one socket, what is told and in which order."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer

from exchange.auth import Credentials
from exchange.service import Exchange
from tests.support.exchanges import KEYS, make_exchange, make_served_app, make_venue, tick_ns

Client = TestClient[Any, Any]
Socket = ClientWebSocketResponse
BUY = {"symbol": "AAA", "qty": "150", "side": "buy", "type": "market", "time_in_force": "day"}
AUTHENTICATE = {"action": "authenticate", "data": {"key_id": "k", "secret_key": "s"}}
AUTH = {"action": "auth", "key": "k", "secret": "s"}
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates", "nonsense"]}}


@pytest.fixture
async def exchange() -> Exchange:
    return make_exchange(make_venue(at_ns=tick_ns(0)))


@pytest.fixture
async def client(exchange: Exchange) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_served_app(exchange)), headers=KEYS) as client:
        yield client


async def told(socket: Socket) -> dict[str, Any]:
    message = await socket.receive(timeout=5)
    assert message.type is WSMsgType.BINARY
    answer: dict[str, Any] = json.loads(message.data)
    return answer


@pytest.mark.wire("stream.auth")
@pytest.mark.parametrize("hello", [AUTHENTICATE, AUTH])
@pytest.mark.parametrize("as_binary", [False, True])
async def test_both_forms_of_authentication_are_let_in(
    client: Client, hello: dict[str, object], as_binary: bool
) -> None:
    async with client.ws_connect("/stream") as socket:
        raw = json.dumps(hello)
        await (socket.send_bytes(raw.encode()) if as_binary else socket.send_str(raw))
        assert await told(socket) == {
            "stream": "authorization",
            "data": {"status": "authorized", "action": "authenticate"},
        }


async def test_wrong_keys_are_unauthorized_and_may_try_again() -> None:
    exchange = make_exchange(credentials=Credentials(key="k", secret="right"))
    server = TestServer(make_served_app(exchange))
    async with TestClient(server) as client, client.ws_connect("/stream") as socket:
        await socket.send_json(AUTH)
        assert (await told(socket))["data"]["status"] == "unauthorized"
        await socket.send_json({**AUTH, "secret": "right"})
        assert (await told(socket))["data"]["status"] == "authorized"


@pytest.mark.wire("stream.unauthorized")
async def test_listening_before_authentication_is_unauthorized(client: Client) -> None:
    async with client.ws_connect("/stream") as socket:
        await socket.send_json(LISTEN)
        assert await told(socket) == {
            "stream": "authorization",
            "data": {"status": "unauthorized", "action": "listen"},
        }


async def listening(socket: Socket) -> None:
    await socket.send_json(AUTHENTICATE)
    await told(socket)
    await socket.send_json(LISTEN)
    assert await told(socket) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}


@pytest.mark.wire("update.new", "update.fill", "update.end")
async def test_an_order_s_life_is_told_in_order(client: Client) -> None:
    async with client.ws_connect("/stream") as socket:
        await listening(socket)
        async with client.post("/v2/orders", json=BUY) as response:
            order = await response.json()
        async with client.post("/_exchange/advance", json={"to": "2026-01-05T14:31:00Z"}):
            updates = [await told(socket) for _ in range(4)]
        events = [u["data"]["event"] for u in updates]
        assert events == ["pending_new", "new", "partial_fill", "fill"]
        assert {u["stream"] for u in updates} == {"trade_updates"}
        assert {u["data"]["order"]["id"] for u in updates} == {order["id"]}
        assert set(updates[0]["data"]) == {"event", "timestamp", "order", "at", "event_id"}
        partial, last = updates[2]["data"], updates[3]["data"]
        assert (partial["qty"], partial["price"], partial["position_qty"]) == (
            "100",
            "100.01",
            "100",
        )
        assert (last["qty"], last["position_qty"]) == ("50", "150")
        assert last["order"]["status"] == "filled"
        assert last["order"]["filled_qty"] == "150"
        assert last["order"]["filled_avg_price"] == "100.01"
        ids = [u["data"]["event_id"] for u in updates]
        assert ids == sorted(ids)
        assert len(set(ids)) == 4


async def test_lockstep_answers_after_the_stream_was_told(client: Client) -> None:
    async with client.ws_connect("/stream") as socket:
        await listening(socket)
        async with client.post("/v2/orders", json={**BUY, "type": "limit", "limit_price": "90"}):
            pass
        async with client.post("/_exchange/advance", json={"to": "2026-01-05T14:40:00Z"}) as done:
            assert done.status == 200
        events = [(await told(socket))["data"]["event"] for _ in range(3)]
        assert events == ["pending_new", "new", "expired"]


@pytest.mark.wire("stream.one")
async def test_a_second_socket_is_refused_with_429_until_the_first_is_gone(client: Client) -> None:
    async with client.ws_connect("/stream"):
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect("/stream")
        assert refused.value.status == 429
    async with client.ws_connect("/stream") as socket:
        await listening(socket)


async def test_listening_to_nothing_hears_nothing(client: Client) -> None:
    async with client.ws_connect("/stream") as socket:
        await listening(socket)
        await socket.send_json({"action": "listen", "data": {"streams": []}})
        assert (await told(socket))["data"]["streams"] == []
        async with client.post("/v2/orders", json=BUY):
            pass
        await socket.send_json(LISTEN)
        assert (await told(socket))["stream"] == "listening"


@pytest.mark.wire("stream.unauthorized")
@pytest.mark.parametrize("raw", ["{", "[]", "5", "[" * 3000, '{"action": "dance"}'])
async def test_nonsense_is_answered_and_the_socket_stays(client: Client, raw: str) -> None:
    async with client.ws_connect("/stream") as socket:
        await socket.send_json(AUTH)
        await told(socket)
        await socket.send_str(raw)
        answer = await told(socket)
        assert answer["action"] == "error"
        assert isinstance(answer["data"]["error_message"], str)
        await listening(socket)


@pytest.mark.wire("stream.frames")
async def test_messagepack_is_spoken_when_asked_for(client: Client) -> None:
    headers = {"Content-Type": "application/msgpack"}
    async with client.ws_connect("/stream", headers=headers) as socket:
        await socket.send_bytes(msgspec.msgpack.encode(AUTH))
        message = await socket.receive(timeout=5)
        assert msgspec.msgpack.decode(message.data)["data"]["status"] == "authorized"


@pytest.mark.wire("update.legs")
async def test_an_update_shows_the_legs_as_they_stood_when_it_happened(client: Client) -> None:
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    bracket = {**BUY, "qty": "1", "order_class": "bracket", **exits}
    async with client.ws_connect("/stream") as socket:
        await listening(socket)
        async with client.post("/v2/orders", json=bracket) as response:
            placed = await response.json()
        updates = [(await told(socket))["data"] for _ in range(6)]
    assert [leg["status"] for leg in placed["legs"]] == ["new", "held"]
    heads = [u for u in updates if u["order"]["id"] == placed["id"]]
    assert [u["event"] for u in heads] == ["pending_new", "new", "fill"]
    assert {leg["status"] for u in heads for leg in u["order"]["legs"]} == {"held"}
    assert [u["event"] for u in updates if u not in heads] == ["held", "held", "new"]

"""The market-data stream's frames: greeting, auth, subscriptions, errors, and no future."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from exchange.auth import Credentials
from exchange.knobs import WireLimits
from exchange.service import Exchange
from tests.support.exchanges import (
    EXACT,
    KEYS,
    MONDAY,
    HandMarket,
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
    tick_ns,
)

Client = TestClient[Any, Any]
Socket = ClientWebSocketResponse
CORRECTION_KEYS = ("T", "S", "x", "oi", "op", "os", "oc", "ci", "cp", "cs", "cc", "z", "t")
CANCEL_KEYS = ("T", "S", "i", "x", "p", "s", "a", "z", "t")
AUTH = {"action": "auth", "key": "k", "secret": "s"}


@asynccontextmanager
async def connected(exchange: Exchange) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_served_app(exchange))) as client:
        yield client


def make(**limits: Any) -> Exchange:
    full = {"trading_per_minute": 10**6, "data_per_minute": 10**6, **limits}
    return make_exchange(make_venue(at_ns=tick_ns(0)), limits=WireLimits(**full))


async def told(socket: Socket) -> list[dict[str, Any]]:
    message = await socket.receive(timeout=5)
    assert message.type is WSMsgType.TEXT, message
    answer: list[dict[str, Any]] = json.loads(message.data)
    assert isinstance(answer, list)
    return answer


async def authenticated(socket: Socket) -> None:
    assert await told(socket) == [{"T": "success", "msg": "connected"}]
    await socket.send_json(AUTH)
    assert await told(socket) == [{"T": "success", "msg": "authenticated"}]


async def advance(client: Client, to: str) -> None:
    async with client.post("/_exchange/advance", json={"to": to}) as response:
        assert response.status == 200


async def test_headers_on_the_handshake_authenticate() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex", headers=KEYS) as socket:
        assert (await told(socket))[0]["msg"] == "connected"
        assert (await told(socket))[0]["msg"] == "authenticated"


@pytest.mark.wire("data.subscribe")
async def test_a_subscription_s_answer_states_the_full_set() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "trades": ["AAA"], "bars": ["*"]})
        assert await told(socket) == [
            {
                "T": "subscription",
                "trades": ["AAA"],
                "quotes": [],
                "bars": ["*"],
                "updatedBars": [],
                "dailyBars": [],
                "statuses": [],
                "lulds": [],
                "corrections": ["AAA"],
                "cancelErrors": ["AAA"],
            }
        ]
        await socket.send_json({"action": "unsubscribe", "bars": ["*"]})
        (answer,) = await told(socket)
        assert (answer["trades"], answer["bars"]) == (["AAA"], [])


async def test_messages_come_at_their_instants_and_not_before() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json(
            {"action": "subscribe", "trades": ["AAA"], "quotes": ["AAA"], "bars": ["AAA", "BBB"]}
        )
        await told(socket)
        await advance(client, "2026-01-05T14:30:59.9995Z")
        trade, quote = await told(socket)
        assert (trade["T"], trade["S"], trade["p"]) == ("t", "AAA", 100.0)
        assert trade["t"] == "2026-01-05T14:30:59.999Z"
        assert (quote["T"], quote["bp"], quote["ap"]) == ("q", 99.99, 100.01)
        await advance(client, "2026-01-05T14:31:00Z")
        bars = await told(socket)
        assert [(b["T"], b["S"], b["t"]) for b in bars] == [
            ("b", "AAA", "2026-01-05T14:30:00Z"),
            ("b", "BBB", "2026-01-05T14:30:00Z"),
        ]
        assert set(bars[0]) == {"T", "S", "t", "o", "h", "l", "c", "v", "n", "vw"}


@pytest.mark.wire("data.minutes")
async def test_every_minute_brings_one_bar_however_time_passes() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "bars": ["AAA"]})
        await told(socket)
        for to in ("2026-01-05T14:33:30Z", "2026-01-05T14:33:31Z", "2026-01-06T14:31:30Z"):
            await advance(client, to)
        starts = [(await told(socket))[0]["t"] for _ in range(11)]
        assert starts == [f"2026-01-05T14:3{n}:00Z" for n in range(10)] + ["2026-01-06T14:30:00Z"]


@pytest.mark.wire("data.timestamps")
async def test_messagepack_carries_timestamps_as_the_extension() -> None:
    headers = {"Content-Type": "application/msgpack"}
    async with (
        connected(make()) as client,
        client.ws_connect("/v2/iex", headers=headers) as socket,
    ):
        for command in (AUTH, {"action": "subscribe", "bars": ["AAA"]}):
            await socket.send_bytes(msgspec.msgpack.encode(command))
        for _ in range(3):
            await socket.receive(timeout=5)
        await advance(client, "2026-01-05T14:31:00Z")
        message = await socket.receive(timeout=5)
        assert message.type is WSMsgType.BINARY
        (bar,) = msgspec.msgpack.decode(message.data)
        assert bar["t"].isoformat() == "2026-01-05T14:30:00+00:00"


@pytest.mark.wire("code.400", "code.401", "code.403")
@pytest.mark.parametrize(
    ("commands", "code", "goes_on"),
    [
        ([{"action": "subscribe", "bars": ["AAA"]}], 401, True),
        ([{**AUTH, "secret": ""}], 402, False),
        ([AUTH, AUTH], 403, True),
        ([AUTH, "nonsense"], 400, True),
        ([AUTH, {"action": "dance"}], 400, True),
        ([AUTH, {"action": "subscribe", "bars": "AAA"}], 400, True),
        ([AUTH, {"action": "subscribe", "trades": ["A", "B"], "quotes": ["C"]}], 405, True),
    ],
)
async def test_errors_have_their_codes_and_close_or_not(
    commands: list[Any], code: int, goes_on: bool
) -> None:
    exchange = make(data_symbols_max=2)
    async with connected(exchange) as client, client.ws_connect("/v2/iex") as socket:
        await told(socket)
        for command in commands:
            raw = command if isinstance(command, str) else json.dumps(command)
            await socket.send_str(raw)
            (answer,) = await told(socket)
        assert (answer["T"], answer["code"]) == ("error", code)
        if not goes_on:
            assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE


@pytest.mark.wire("code.406")
async def test_a_second_connection_is_over_the_limit() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as first:
        await authenticated(first)
        async with client.ws_connect("/v2/iex") as second:
            await told(second)
            await second.send_json(AUTH)
            assert (await told(second))[0]["code"] == 406


@pytest.mark.wire("code.409", "GET /v2/sip")
async def test_sip_needs_the_plan() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/sip") as socket:
        await told(socket)
        await socket.send_json(AUTH)
        assert await told(socket) == [
            {"T": "error", "code": 409, "msg": "insufficient subscription"}
        ]


@pytest.mark.wire("host.data-stream", "GET /v2/delayed_sip")
@pytest.mark.parametrize("feed", ["iex", "sip", "delayed_sip"])
async def test_every_feed_is_served(feed: str) -> None:
    exchange = make(sip_realtime=True)
    async with connected(exchange) as client, client.ws_connect(f"/v2/{feed}") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "bars": ["AAA"]})
        assert (await told(socket))[0]["bars"] == ["AAA"]


@pytest.mark.wire("GET /v2/test")
async def test_the_test_feed_trades_while_the_market_is_closed() -> None:
    exchange = make_exchange(make_venue(at_ns=close_ns() + 3600 * 10**9))
    async with connected(exchange) as client, client.ws_connect("/v2/test") as socket:
        await authenticated(socket)
        wish = {"trades": ["FAKEPACA"], "quotes": ["FAKEPACA"], "bars": ["FAKEPACA"]}
        await socket.send_json({"action": "subscribe", **wish})
        await told(socket)
        await advance(client, "2026-01-05T15:41:00Z")
        for _ in range(59):
            assert [message["T"] for message in await told(socket)] == ["t", "q"]
        trade, quote, bar = await told(socket)
    assert {message["S"] for message in (trade, quote, bar)} == {"FAKEPACA"}
    assert (trade["t"], bar["t"]) == ("2026-01-05T15:41:00Z", "2026-01-05T15:40:00Z")
    assert quote["bp"] < trade["p"] < quote["ap"]


async def test_the_market_s_listeners_hear_nothing_of_the_test_feed_nor_the_other_way() -> None:
    async with (
        connected(make()) as client,
        client.ws_connect("/v2/iex") as market,
        client.ws_connect("/v2/test") as test,
    ):
        for socket in (market, test):
            await authenticated(socket)
            await socket.send_json({"action": "subscribe", "trades": ["*"]})
            await told(socket)
        await advance(client, "2026-01-05T14:31:00Z")
        assert {message["S"] for message in await told(market)} == {"AAA", "BBB"}
        assert {message["S"] for message in await told(test)} == {"FAKEPACA"}


@pytest.mark.wire("message.status", "POST /_exchange/halt")
async def test_halts_are_told_as_statuses_and_nothing_is_quoted_meanwhile() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        wish = {"statuses": ["AAA"], "quotes": ["AAA"], "trades": ["AAA"]}
        await socket.send_json({"action": "subscribe", **wish})
        assert (await told(socket))[0]["statuses"] == ["AAA"]
        async with client.post("/_exchange/halt", json={"symbol": "AAA", "minutes": 2}) as reply:
            assert await reply.json() == {"symbol": "AAA", "halted": True}
        await client.post("/_exchange/halt", json={"symbol": "BBB", "reason": "LUDP"})
        assert await told(socket) == [
            {
                "T": "s",
                "S": "AAA",
                "sc": "H",
                "sm": "Trading Halt",
                "rc": "T1",
                "rm": "Halt - News Pending",
                "z": "C",
                "t": "2026-01-05T14:30:29.999Z",
            }
        ]
        await advance(client, "2026-01-05T14:33:00Z")
        (resumed,) = await told(socket)
        assert (resumed["sc"], resumed["sm"]) == ("T", "Trading Resumption")
        assert resumed["t"] == "2026-01-05T14:32:29.999Z"
        trade, quote = await told(socket)
        assert (trade["T"], quote["T"], trade["t"]) == ("t", "q", "2026-01-05T14:32:59.999Z")


@pytest.mark.wire("POST /_exchange/resume")
async def test_a_resumption_can_be_asked_for() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "statuses": ["*"]})
        await told(socket)
        await client.post("/_exchange/halt", json={"symbol": "AAA", "reason": "LUDP"})
        assert (await told(socket))[0]["sc"] == "P"
        async with client.post("/_exchange/resume", json={"symbol": "AAA"}) as reply:
            assert await reply.json() == {"symbol": "AAA", "halted": False}
        assert (await told(socket))[0]["sc"] == "T"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"symbol": "ZZZ"}, 404, "asset not found for ZZZ"),
        ({}, 400, "symbol is missing"),
        ({"symbol": "AAA", "reason": "X"}, 400, "halt reason 'X': accepted: T1"),
        ({"symbol": "AAA", "minutes": 0}, 400, "minutes must be a whole number"),
    ],
)
async def test_a_bad_halt_is_refused(body: dict[str, Any], status: int, words: str) -> None:
    async with (
        connected(make()) as client,
        client.post("/_exchange/halt", json=body) as reply,
    ):
        assert reply.status == status
        assert words in (await reply.json())["message"]


@pytest.mark.wire("message.luld")
async def test_price_bands_are_told_at_the_open_and_as_they_move() -> None:
    rising = HandMarket(ticks={MONDAY: {"AAA": [100, 100, 103, 103, 106, 106]}})
    limits = WireLimits(trading_per_minute=10**6, data_per_minute=10**6)
    exchange = make_exchange(make_venue(rising), limits=limits)
    async with connected(exchange) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "lulds": ["AAA"]})
        await told(socket)
        await advance(client, "2026-01-05T14:40:00Z")
        assert await told(socket) == [
            {
                "T": "l",
                "S": "AAA",
                "u": 110.0,
                "d": 90.0,
                "i": "A",
                "z": "C",
                "t": "2026-01-05T14:30:29.999Z",
            }
        ]
        (moved,) = await told(socket)
        assert (moved["i"], moved["u"]) == ("B", 111.1)


@pytest.mark.wire("message.bars")
async def test_a_bar_with_late_trades_is_told_twice() -> None:
    rising = HandMarket(ticks={MONDAY: {"AAA": [100 + n / 10 for n in range(20)]}})
    knobs = replace(EXACT, late_bar_share=1.0)
    exchange = make_exchange(make_venue(rising, at_ns=tick_ns(0), knobs=knobs))
    async with connected(exchange) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "bars": ["AAA"], "updatedBars": ["AAA"]})
        await told(socket)
        await advance(client, "2026-01-05T14:31:30Z")
        (first,), (second,) = await told(socket), await told(socket)
        assert (first["T"], first["c"], first["v"]) == ("b", 100.0, 1000)
        assert (second["T"], second["c"], second["v"]) == ("u", 100.1, 2000)
        assert first["t"] == second["t"] == "2026-01-05T14:30:00Z"


@pytest.mark.wire("message.correction")
async def test_wrong_prints_are_corrected_and_those_that_never_were_cancelled() -> None:
    knobs = replace(EXACT, corrected_trade_share=1.0, cancelled_trade_share=1.0)
    exchange = make_exchange(make_venue(at_ns=tick_ns(0), knobs=knobs))
    async with connected(exchange) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_json({"action": "subscribe", "trades": ["AAA"]})
        await told(socket)
        await advance(client, "2026-01-05T14:31:30Z")
        first, second = await told(socket), await told(socket)
    assert [m["T"] for m in second] == ["c", "x", "t", "t"]
    wrong, never = first[-2:]
    correction, cancel = second[:2]
    assert (correction["oi"], correction["op"]) == (wrong["i"], wrong["p"])
    assert (correction["cp"], wrong["p"]) == (100.0, 101.0)
    assert correction.keys() == dict.fromkeys(CORRECTION_KEYS).keys()
    assert (cancel["i"], cancel["p"], cancel["a"]) == (never["i"], never["p"], "C")
    assert cancel.keys() == dict.fromkeys(CANCEL_KEYS).keys()


@pytest.mark.wire("code.404")
async def test_who_says_nothing_is_sent_away() -> None:
    async with (
        connected(make(auth_timeout_s=0.01)) as client,
        client.ws_connect("/v2/iex") as socket,
    ):
        await told(socket)
        assert (await told(socket))[0]["code"] == 404
        assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE


@pytest.mark.wire("code.402")
async def test_wrong_keys_are_refused() -> None:
    exchange = make_exchange(credentials=Credentials(key="k", secret="right"))
    async with connected(exchange) as client, client.ws_connect("/v2/iex") as socket:
        await told(socket)
        await socket.send_json(AUTH)
        assert (await told(socket))[0]["msg"] == "auth failed"


async def test_half_a_character_is_invalid_syntax() -> None:
    async with connected(make()) as client, client.ws_connect("/v2/iex") as socket:
        await authenticated(socket)
        await socket.send_str('{"action": "subscribe", "bars": ["\\ud800"]}')
        assert (await told(socket))[0]["code"] == 400
        await socket.send_str('{"action": "subscribe", "bars": ["\\ud83d\\ude80"]}')
        assert (await told(socket))[0]["bars"] == ["\N{ROCKET}"]

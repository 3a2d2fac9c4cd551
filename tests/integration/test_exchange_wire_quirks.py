"""What clients meet beside the bodies: compression, headers, feeds, plans, slow readers."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

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
    UNLIMITED,
    HandMarket,
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
    tick_ns,
)

Client = TestClient[Any, Any]
RISING = HandMarket(ticks={MONDAY: {"AAA": [100 + n / 10 for n in range(20)]}})
BARS = "/v2/stocks/bars?symbols=AAA&timeframe=1Min&start=2026-01-05"
LIMIT = {"symbol": "AAA", "qty": "5", "side": "buy", "type": "limit", "time_in_force": "gtc"}


@asynccontextmanager
async def connected(
    exchange: Exchange, *, decodes: bool = True, headers: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    server = TestServer(make_served_app(exchange))
    async with TestClient(server, headers=headers or KEYS, auto_decompress=decodes) as client:
        yield client


def rising(**limits: Any) -> Exchange:
    return make_exchange(make_venue(RISING, at_ns=close_ns()), limits=replace(UNLIMITED, **limits))


@pytest.mark.parametrize(("accepts", "coding"), [("gzip, deflate", "gzip"), ("identity", None)])
@pytest.mark.wire("wire.gzip")
async def test_large_replies_are_compressed_for_who_accepts_it(
    accepts: str, coding: str | None
) -> None:
    async with connected(rising(gzip_bytes_min=500), decodes=False) as client:
        async with client.get(BARS, headers={"Accept-Encoding": accepts}) as response:
            raw = await response.read()
            assert response.headers.get("Content-Encoding") == coding
            assert int(response.headers["Content-Length"]) == len(raw)
        body = json.loads(gzip.decompress(raw) if coding else raw)
        assert len(body["bars"]["AAA"]) == 10
        async with client.get("/v2/clock") as response:
            assert "Content-Encoding" not in response.headers


async def test_the_same_reply_compresses_to_the_same_bytes() -> None:
    async with connected(rising(gzip_bytes_min=500), decodes=False) as client:
        both = []
        for _ in range(2):
            async with client.get(BARS, headers={"Accept-Encoding": "gzip"}) as response:
                both.append(await response.read())
    assert both[0] == both[1]


@pytest.mark.parametrize(("as_page", "content"), [(True, "text/html"), (False, "application/json")])
async def test_wrong_keys_get_a_page_from_the_data_api_unless_json_is_wished(
    as_page: bool, content: str
) -> None:
    limits = replace(UNLIMITED, html_unauthorized=as_page)
    exchange = make_exchange(credentials=Credentials(key="a", secret="b"), limits=limits)
    async with connected(exchange) as client, client.get(BARS) as response:
        assert response.status == 401
        assert response.content_type == content
        assert "X-Ratelimit-Limit" not in response.headers
        assert len(response.headers["X-Request-ID"]) == 32


@pytest.mark.wire("open.429-headers")
@pytest.mark.parametrize("has_headers", [True, False])
async def test_a_429_of_the_trading_api_tells_the_budget_unless_not_wished(
    has_headers: bool,
) -> None:
    limits = WireLimits(trading_per_minute=1, data_per_minute=1, trading_429_headers=has_headers)
    async with connected(make_exchange(limits=limits)) as client:
        for path, expected in (("/v2/clock", has_headers), (BARS, False)):
            async with client.get(path) as response:
                assert response.status == 200
                assert "X-Ratelimit-Remaining" in response.headers
            async with client.get(path) as response:
                assert response.status == 429
                assert ("X-Ratelimit-Remaining" in response.headers) is expected
                assert "Retry-After" not in response.headers


async def told(client: Client, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json()


@pytest.mark.wire("rest.feed")
async def test_history_and_the_latest_have_feeds_of_their_own() -> None:
    async with connected(rising()) as client:
        latest = "/v2/stocks/quotes/latest?symbols=AAA&feed="
        refused = await told(client, f"{BARS}&feed=delayed_sip", 400)
        assert refused == {"message": "invalid feed: delayed_sip"}
        assert (await told(client, f"{latest}wild", 400))["message"] == "invalid feed: wild"
        for feed in ("boats", "overnight", "otc"):
            assert await told(client, latest + feed) == {"quotes": {}}
        assert (await told(client, f"{BARS}&feed=otc"))["bars"] == {}
        one = await told(client, "/v2/stocks/AAA/bars?start=2026-01-05&feed=boats")
        assert one == {"symbol": "AAA", "bars": [], "next_page_token": None}
        assert (await told(client, f"{latest}sip", 403))["message"].startswith("subscription")


async def test_the_delayed_feed_is_a_quarter_of_an_hour_behind() -> None:
    exchange = make_exchange(make_venue(RISING, at_ns=tick_ns(3) + 15 * 60 * 10**9))
    async with connected(exchange) as client:
        path = "/v2/stocks/trades/latest?symbols=AAA&feed="
        assert (await told(client, f"{path}delayed_sip"))["trades"]["AAA"]["p"] == 100.3
        assert (await told(client, f"{path}iex"))["trades"]["AAA"]["p"] == 101.9


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("currency=EUR", "currency is not supported: EUR"),
        ("asof=soon", "Invalid format for parameter asof"),
    ],
)
@pytest.mark.wire("rest.currency")
async def test_currencies_and_dates_of_symbols_are_judged(query: str, message: str) -> None:
    async with connected(rising()) as client:
        assert (await told(client, f"{BARS}&{query}", 400))["message"].startswith(message)
        body = await told(client, f"{BARS}&currency=USD&asof=2026-01-05")
        assert "currency" not in body
        assert await told(client, f"{BARS}&asof=-") == body


async def answers(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    message = await socket.receive(timeout=5)
    assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
    found: list[dict[str, Any]] = json.loads(message.data)
    return found


@asynccontextmanager
async def listening(
    client: Client, feed: str = "iex", **channels: list[str]
) -> AsyncIterator[ClientWebSocketResponse]:
    async with client.ws_connect(f"/v2/{feed}") as socket:
        assert [(await answers(socket))[0]["msg"] for _ in range(2)] == [
            "connected",
            "authenticated",
        ]
        await socket.send_json({"action": "subscribe", **channels})
        yield socket


@pytest.mark.wire("data.deflate")
async def test_the_data_stream_compresses_when_it_is_offered() -> None:
    exchange = make_exchange(make_venue(at_ns=tick_ns(0)))
    async with connected(exchange) as client:
        async with client.ws_connect("/v2/iex", compress=15) as socket:
            assert socket.compress == 15
            assert (await answers(socket))[0]["msg"] == "connected"
        async with client.ws_connect("/v2/iex") as socket:
            assert socket.compress == 0


async def test_a_slow_reader_of_the_data_stream_is_told_and_cut_off() -> None:
    exchange = make_exchange(
        make_venue(RISING, at_ns=tick_ns(0)), limits=replace(UNLIMITED, stream_queue_max=4)
    )
    async with connected(exchange) as client, listening(client, trades=["AAA"]) as socket:
        await answers(socket)
        await client.post("/_exchange/advance", json={"to": "2026-01-05T14:40:00Z"})
        heard = []
        while (message := await socket.receive(timeout=5)).type is WSMsgType.TEXT:
            heard += json.loads(message.data)
    assert heard[-1] == {"T": "error", "code": 407, "msg": "slow client"}
    assert len(heard) <= 6


async def test_a_slow_reader_of_the_trading_stream_is_cut_off() -> None:
    exchange = make_exchange(
        make_venue(RISING, at_ns=tick_ns(0)), limits=replace(UNLIMITED, stream_queue_max=2)
    )
    async with connected(exchange) as client, client.ws_connect("/stream") as socket:
        await socket.send_json({"action": "auth", "key": "k", "secret": "s"})
        await socket.receive(timeout=5)
        await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        await socket.receive(timeout=5)
        await client.post("/v2/orders", json={**LIMIT, "limit_price": "101.5"})
        kinds = [(await socket.receive(timeout=5)).type for _ in range(3)]
    assert kinds == [WSMsgType.BINARY, WSMsgType.BINARY, WSMsgType.CLOSE]


async def test_the_plan_s_limit_counts_trades_and_quotes_and_no_bars() -> None:
    exchange = make_exchange(limits=replace(UNLIMITED, data_symbols_max=3))
    many = [f"S{n}" for n in range(40)]
    async with (
        connected(exchange) as client,
        listening(client, trades=["A", "B"], quotes=["A"], bars=many) as socket,
    ):
        assert len((await answers(socket))[0]["bars"]) == 40
        await socket.send_json({"action": "subscribe", "quotes": ["B"]})
        refused = {"T": "error", "code": 405, "msg": "symbol limit exceeded"}
        assert await answers(socket) == [refused]
        await socket.send_json({"action": "unsubscribe", "trades": ["B"]})
        assert (await answers(socket))[0]["trades"] == ["A"]


@pytest.mark.wire("code.410")
async def test_the_test_feed_has_trades_quotes_and_bars_only() -> None:
    async with (
        connected(make_exchange()) as client,
        listening(client, "test", statuses=["FAKEPACA"]) as socket,
    ):
        refused = {"T": "error", "code": 410, "msg": "invalid subscribe action for this feed"}
        assert await answers(socket) == [refused]
        await socket.send_json({"action": "subscribe", "trades": ["FAKEPACA"]})
        assert (await answers(socket))[0]["T"] == "subscription"


@pytest.mark.wire("GET /v2/delayed_sip", "rest.feed")
async def test_the_delayed_stream_says_everything_a_quarter_of_an_hour_later() -> None:
    exchange = make_exchange(make_venue(RISING, at_ns=tick_ns(0)))
    async with (
        connected(exchange) as client,
        listening(client, "delayed_sip", trades=["AAA"], statuses=["AAA"]) as socket,
    ):
        await answers(socket)
        await client.post("/_exchange/halt", json={"symbol": "AAA", "minutes": 2})
        await client.post("/_exchange/advance", json={"to": "2026-01-05T14:45:00Z"})
        await client.post("/_exchange/advance", json={"to": "2026-01-05T14:48:00Z"})
        first = [(await answers(socket))[0] for _ in range(4)]
    assert [(m["T"], m.get("sc"), m["t"][14:19]) for m in first] == [
        ("t", None, "30:29"),
        ("s", "H", "30:29"),
        ("s", "T", "32:29"),
        ("t", None, "32:59"),
    ]


async def test_a_replacement_cannot_be_replaced_at_once() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=replace(EXACT, replace_chain_s=3.0))
    async with connected(make_exchange(venue)) as client:
        async with client.post("/v2/orders", json={**LIMIT, "limit_price": "90"}) as response:
            first = await response.json()
        path = f"/v2/orders/{first['id']}"
        async with client.patch(path, json={"limit_price": "91"}) as response:
            second = await response.json()
        path = f"/v2/orders/{second['id']}"
        async with client.patch(path, json={"limit_price": "92"}) as response:
            assert response.status == 422
            assert (await response.json())["message"] == "order chain not fully replaced"
        await client.post("/_exchange/advance", json={"to": "2026-01-05T14:30:35Z"})
        async with client.patch(path, json={"limit_price": "92"}) as response:
            assert response.status == 200


async def test_an_account_that_may_only_liquidate_opens_nothing() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.configure(replace(venue.register.configuration, liquidates_only=True))
    async with (
        connected(make_exchange(venue)) as client,
        client.post("/v2/orders", json={**LIMIT, "limit_price": "90"}) as response,
    ):
        assert response.status == 403
        assert await response.json() == {
            "code": 40310000,
            "message": "account is restricted to liquidation only",
        }


@pytest.mark.wire("update.rejected-change")
async def test_a_refused_cancel_and_replacement_are_told_on_the_stream_where_that_is_wished() -> (
    None
):
    venue = make_venue(at_ns=tick_ns(0), knobs=replace(EXACT, tells_refused_changes=True))
    async with connected(make_exchange(venue)) as client, client.ws_connect("/stream") as socket:
        await socket.send_json({"action": "auth", "key": "k", "secret": "s"})
        await socket.receive(timeout=5)
        async with client.post("/v2/orders", json={**LIMIT, "limit_price": "101"}) as response:
            path = f"/v2/orders/{(await response.json())['id']}"
        await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        await socket.receive(timeout=5)
        for method, body in (("DELETE", None), ("PATCH", {"qty": "7"})):
            async with client.request(method, path, json=body) as response:
                assert response.status == 422
        await client.post("/_exchange/advance", json={"to": "2026-01-05T14:31:00Z"})
        told = [json.loads(await socket.receive_bytes(timeout=5))["data"] for _ in range(2)]
    assert [t["event"] for t in told] == ["order_cancel_rejected", "order_replace_rejected"]
    assert {t["order"]["status"] for t in told} == {"filled"}

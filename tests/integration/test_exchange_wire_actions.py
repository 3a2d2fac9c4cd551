"""Corporate actions on the wire: the endpoint, adjusted bars, activities, the stream, alpaca-py."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer
from alpaca.data.enums import CorporateActionsType
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest

from exchange.corporate_actions import ActionTable
from exchange.instants import wall_ns
from tests.support.exchanges import (
    DAYS,
    KEYS,
    HandMarket,
    buy,
    make_exchange,
    make_served_app,
    make_venue,
    served,
    tick_ns,
)
from tests.unit.test_exchange_corporate_actions import dividend, market_with, split

Client = TestClient[Any, Any]
PATH = "/v1/corporate-actions"
MARKET = market_with(split("4"), dividend("1.25"), split("1", "5", symbol="BBB"), after_usd=25.0)
SPAN = {"start": "2026-01-01", "end": "2026-02-01"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    venue = make_venue(MARKET, at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    venue.advance(wall_ns(DAYS[3], 10))
    app = make_served_app(make_exchange(venue))
    async with TestClient(TestServer(app), headers=KEYS) as client:
        yield client


async def read(client: Client, path: str, status: int = 200, **query: str) -> Any:
    async with client.get(path, params=query) as response:
        assert response.status == status, await response.text()
        return await response.json()


@pytest.mark.wire("rest.actions", "GET /v1/corporate-actions", "GET /v1beta1/corporate-actions")
@pytest.mark.parametrize("path", [PATH, "/v1beta1/corporate-actions"])
async def test_actions_are_grouped_by_type_with_the_published_keys(
    client: Client, path: str
) -> None:
    body = await read(client, path, **SPAN)
    groups = body["corporate_actions"]
    assert body["next_page_token"] is None
    assert list(groups) == ["forward_splits", "reverse_splits", "cash_dividends"]
    forward = groups["forward_splits"][0]
    assert {
        k: forward[k] for k in ("symbol", "new_rate", "old_rate", "ex_date", "process_date")
    } == {
        "symbol": "AAA",
        "new_rate": 4,
        "old_rate": 1,
        "ex_date": "2026-01-06",
        "process_date": "2026-01-06",
    }
    assert set(groups["reverse_splits"][0]) >= {"old_cusip", "new_cusip", "id"}
    paid = groups["cash_dividends"][0]
    assert (paid["rate"], paid["special"], paid["foreign"]) == (1.25, False, False)
    assert (paid["ex_date"], paid["process_date"]) == ("2026-01-06", "2026-01-08")


async def test_actions_are_filtered_by_type_symbol_and_process_date(client: Client) -> None:
    async def told(**query: str) -> list[str]:
        groups = (await read(client, PATH, **query))["corporate_actions"]
        return [f"{a['symbol']} {name}" for name, rows in groups.items() for a in rows]

    assert await told(**SPAN, types="reverse_split,merger".replace(",merger", "")) == [
        "BBB reverse_splits"
    ]
    assert await told(**SPAN, symbols="BBB") == ["BBB reverse_splits"]
    assert await told() == ["AAA cash_dividends"]
    assert await told(start="2026-01-06", end="2026-01-06") == [
        "AAA forward_splits",
        "BBB reverse_splits",
    ]
    first = (await read(client, PATH, **SPAN))["corporate_actions"]["forward_splits"][0]["id"]
    assert await told(ids=first) == ["AAA forward_splits"]
    assert await told(**SPAN, types="spin_off") == []


@pytest.mark.parametrize("sort", ["asc", "desc"])
async def test_pages_of_actions_join_to_the_whole(client: Client, sort: str) -> None:
    seen: list[str] = []
    token = ""
    for _ in range(3):
        body = await read(client, PATH, **SPAN, limit="1", sort=sort, page_token=token)
        rows = [row for rows in body["corporate_actions"].values() for row in rows]
        seen += [row["symbol"] + row["process_date"][-2:] for row in rows]
        token = body["next_page_token"]
    assert token is None
    assert seen == sorted(seen, key=lambda s: s[3:] + s[:3], reverse=sort == "desc")
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"types": "merger"}, "invalid type: merger"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "end should not be before start"),
        ({"start": "soon"}, "Invalid format for parameter start"),
        ({"limit": "1001"}, "invalid limit"),
        ({"sort": "up"}, "invalid sort"),
        ({"page_token": "%%%"}, "invalid page_token"),
    ],
)
async def test_bad_requests_for_actions_are_refused(
    client: Client, query: dict[str, str], told: str
) -> None:
    body = await read(client, PATH, 400, **query)
    assert "code" not in body
    assert told in body["message"]


async def test_nothing_is_told_before_it_is_declared() -> None:
    hidden = replace(split("4", day=DAYS[4]), declared_on=DAYS[3])
    venue = make_venue(HandMarket(actions=ActionTable([hidden])), at_ns=tick_ns(0))
    async with TestClient(
        TestServer(make_served_app(make_exchange(venue))), headers=KEYS
    ) as client:
        assert (await read(client, PATH, **SPAN))["corporate_actions"] == {}
        await client.post("/_exchange/advance", json={"to": "2026-01-08T15:00:00Z"})
        assert list((await read(client, PATH, **SPAN))["corporate_actions"]) == ["forward_splits"]


@pytest.mark.wire("rest.adjustment")
@pytest.mark.parametrize(
    ("adjustment", "close", "volume"),
    [
        ("raw", 100.0, 20_000),
        ("split", 25.0, 80_000),
        ("dividend", 98.75, 20_000),
        ("all", 24.6875, 80_000),
        ("split,dividend", 24.6875, 80_000),
        ("spin-off", 100.0, 20_000),
    ],
)
async def test_bars_look_through_what_is_asked_for(
    client: Client, adjustment: str, close: float, volume: int
) -> None:
    query = {"symbols": "AAA", "start": "2026-01-05", "end": "2026-01-07", "adjustment": adjustment}
    for timeframe in ("1Day", "10Min"):
        body = await read(client, "/v2/stocks/bars", timeframe=timeframe, **query)
        before, after = (b["c"] for b in body["bars"]["AAA"][:2])
        assert (before, after) == (close, 25.0), timeframe
        assert body["bars"]["AAA"][0]["v"] == volume
    week = (await read(client, "/v2/stocks/bars", timeframe="1Week", **query))["bars"]["AAA"][0]
    assert (week["o"], week["c"]) == (close, 25.0)


async def test_minute_bars_of_before_a_split_are_adjusted_one_by_one(client: Client) -> None:
    query = {"symbols": "AAA", "start": "2026-01-05", "end": "2026-01-06", "timeframe": "1Min"}
    body = await read(client, "/v2/stocks/bars", adjustment="split", **query)
    assert {b["c"] for b in body["bars"]["AAA"]} == {25.0}
    assert body["bars"]["AAA"][0]["vw"] == 25.0


@pytest.mark.wire("GET /v2/account/activities")
async def test_activities_tell_splits_and_dividends_beside_fills(client: Client) -> None:
    rows = await read(client, "/v2/account/activities")
    assert [r["activity_type"] for r in rows] == ["DIV", "SPLIT", "SPLIT", "FILL"]
    paid, added, removed = rows[:3]
    assert paid.pop("id").startswith("20260108040000000::")
    assert paid == {
        "activity_type": "DIV",
        "date": "2026-01-08",
        "created_at": "2026-01-08T09:00:00.000000Z",
        "net_amount": "12.5",
        "description": "Cash DIV @ 1.25",
        "status": "executed",
        "symbol": "AAA",
        "qty": "10",
        "per_share_amount": "1.25",
    }
    assert (removed["qty"], removed["price"], removed["net_amount"]) == ("-10", "100", "0")
    assert (added["qty"], added["price"]) == ("40", "25")


async def test_activities_are_chosen_by_type_and_category_and_page(client: Client) -> None:
    async def types(path: str = "/v2/account/activities", **query: str) -> list[str]:
        return [row["activity_type"] for row in await read(client, path, **query)]

    assert await types("/v2/account/activities/DIV") == ["DIV"]
    assert await types(activity_types="DIV,FILL") == ["DIV", "FILL"]
    assert await types(category="trade_activity") == ["FILL"]
    assert await types(category="non_trade_activity", direction="asc") == ["SPLIT", "SPLIT", "DIV"]
    first = await read(client, "/v2/account/activities", page_size="2")
    rest = await types(page_token=first[-1]["id"])
    assert rest == ["SPLIT", "FILL"]
    assert await types(date="2026-01-08") == ["DIV"]
    await read(client, "/v2/account/activities", 422, category="other")
    await read(
        client, "/v2/account/activities", 422, category="trade_activity", activity_types="DIV"
    )


@pytest.mark.wire("update.restated")
async def test_an_order_changed_by_a_split_is_restated_on_the_stream() -> None:
    venue = make_venue(MARKET, at_ns=tick_ns(0))
    app = make_served_app(make_exchange(venue))
    async with (
        TestClient(TestServer(app), headers=KEYS) as client,
        client.ws_connect("/stream") as socket,
    ):
        await socket.send_json({"action": "auth", "key": "k", "secret": "s"})
        await socket.receive(timeout=5)
        await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        await socket.receive(timeout=5)
        order = {"symbol": "AAA", "qty": "4", "side": "buy", "type": "limit", "limit_price": "90"}
        await client.post("/v2/orders", json={**order, "time_in_force": "gtc"})
        await client.post("/_exchange/advance", json={"to": "2026-01-06T10:00:00Z"})
        told = [orjson.loads(await socket.receive_bytes())["data"] for _ in range(4)]
        assert [t["event"] for t in told] == ["pending_new", "new", "restated", "restated"]
        assert told[2]["order"]["limit_price"] == "88.75"
        assert (told[3]["order"]["qty"], told[3]["order"]["limit_price"]) == ("16", "22.18")


def test_alpaca_py_reads_corporate_actions() -> None:
    venue = make_venue(MARKET, at_ns=tick_ns(0))
    venue.advance(wall_ns(DAYS[3], 10))
    with served(make_exchange(venue)) as there:
        client = CorporateActionsClient("k", "s", url_override=there.url)
        found = client.get_corporate_actions(
            CorporateActionsRequest(
                symbols=["AAA", "BBB"],
                types=[CorporateActionsType.FORWARD_SPLIT, CorporateActionsType.CASH_DIVIDEND],
                start=date(2026, 1, 1),
                end=date(2026, 1, 1) + timedelta(days=30),
            )
        )
    assert set(found.data) == {"forward_splits", "cash_dividends"}  # type: ignore[union-attr]
    assert found.data["forward_splits"][0].new_rate == 4  # type: ignore[union-attr, index]

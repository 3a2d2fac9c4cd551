"""The bytes of the market-data API, and that it never tells the future."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from exchange.clock import SteppedTime
from exchange.instants import rfc3339_short
from exchange.paging import Mark
from exchange.service import Exchange
from tests.support.exchanges import (
    DAYS,
    KEYS,
    MONDAY,
    HandMarket,
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
    open_ns,
    tick_ns,
)

Client = TestClient[Any, Any]
RISING = HandMarket(ticks={MONDAY: {"AAA": [100 + n / 10 for n in range(20)]}})
MINUTE_NS = 60 * 10**9


@pytest.fixture
async def exchange() -> Exchange:
    return make_exchange(make_venue(RISING, at_ns=open_ns() + 5 * MINUTE_NS))


@pytest.fixture
async def client(exchange: Exchange) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_served_app(exchange)), headers=KEYS) as client:
        yield client


async def get(client: Client, path: str, **query: str) -> Any:
    async with client.get(path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


def at(exchange: Exchange, at_ns: int) -> None:
    assert isinstance(exchange.time, SteppedTime)
    exchange.time.step_to(at_ns)


async def bars(client: Client, **query: str) -> Any:
    return await get(client, "/v2/stocks/bars", symbols="AAA,BBB", **query)


@pytest.mark.wire("GET /v2/stocks/bars/latest")
async def test_minute_bars_end_with_the_last_finished_minute(client: Client) -> None:
    page = await bars(client, timeframe="1Min", start="2026-01-05T14:30:00Z")
    assert [b["t"] for b in page["bars"]["AAA"]] == [f"2026-01-05T14:3{n}:00Z" for n in range(5)]
    assert page["bars"]["AAA"][1] == {
        "t": "2026-01-05T14:31:00Z",
        "o": 100.2,
        "h": 100.3,
        "l": 100.2,
        "c": 100.3,
        "v": 2000,
        "n": 10,
        "vw": 100.25,
    }
    assert page["next_page_token"] is None


async def test_a_minute_is_not_served_before_it_has_ended(
    client: Client, exchange: Exchange
) -> None:
    at(exchange, open_ns() + 6 * MINUTE_NS - 1)
    page = await bars(client, timeframe="1Min", start="2026-01-05T14:30:00Z")
    assert len(page["bars"]["AAA"]) == 5


async def test_longer_bars_are_made_of_the_minutes_that_have_ended(client: Client) -> None:
    page = await bars(client, timeframe="3Min", start="2026-01-05T14:30:00Z")
    first, running = page["bars"]["AAA"]
    assert (first["t"], first["o"], first["h"], first["l"], first["c"]) == (
        "2026-01-05T14:30:00Z",
        100.0,
        100.5,
        100.0,
        100.5,
    )
    assert (running["t"], running["c"], running["v"]) == ("2026-01-05T14:33:00Z", 100.9, 4000)


@pytest.mark.wire("rest.timeframes")
async def test_daily_bars_start_at_new_york_s_midnight(client: Client, exchange: Exchange) -> None:
    at(exchange, open_ns(DAYS[1]) + MINUTE_NS)
    page = await bars(client, timeframe="1Day", start="2026-01-05")
    done, running = page["bars"]["AAA"]
    assert (done["t"], done["o"], done["c"]) == ("2026-01-05T05:00:00Z", 100.0, 101.9)
    assert (running["t"], running["v"]) == ("2026-01-06T05:00:00Z", 2000)


async def test_yesterday_s_bar_is_there_as_soon_as_it_has_closed(
    client: Client, exchange: Exchange
) -> None:
    at(exchange, close_ns())
    page = await bars(client, timeframe="1Day", start="2026-01-05", end="2026-01-05")
    assert page["bars"]["AAA"][0]["c"] == 101.9


async def test_weeks_are_made_of_days(client: Client, exchange: Exchange) -> None:
    at(exchange, close_ns(DAYS[-1]))
    page = await bars(client, timeframe="1Week", start="2026-01-05")
    assert [b["t"] for b in page["bars"]["AAA"]] == ["2026-01-05T05:00:00Z", "2026-01-12T05:00:00Z"]


@pytest.mark.wire("rest.inclusive")
async def test_start_and_end_are_both_inclusive(client: Client) -> None:
    page = await bars(
        client, timeframe="1Min", start="2026-01-05T14:31:00Z", end="2026-01-05T14:33:00Z"
    )
    assert [b["t"][14:16] for b in page["bars"]["AAA"]] == ["31", "32", "33"]


@pytest.mark.wire("rest.history", "rest.limit", "encoding.token", "GET /v2/stocks/bars")
async def test_pages_join_to_the_whole_without_gap_or_double(client: Client) -> None:
    whole = await bars(client, timeframe="1Min", start="2026-01-05T14:30:00Z")
    joined: dict[str, list[Any]] = {}
    token, pages = "", 0
    while True:
        query = {"page_token": token} if token else {}
        page = await bars(
            client, timeframe="1Min", start="2026-01-05T14:30:00Z", limit="3", **query
        )
        assert sum(map(len, page["bars"].values())) <= 3
        for symbol, rows in page["bars"].items():
            joined.setdefault(symbol, []).extend(rows)
        pages += 1
        token = page["next_page_token"]
        if token is None:
            break
    assert joined == whole["bars"]
    assert pages == 4


async def test_newest_first_pages_too(client: Client) -> None:
    first = await bars(client, timeframe="1Min", sort="desc", limit="2")
    second = await bars(
        client, timeframe="1Min", sort="desc", limit="2", page_token=first["next_page_token"]
    )
    times = [b["t"][14:16] for page in (first, second) for b in page["bars"]["AAA"]]
    assert times == ["34", "33", "32", "31"]


@pytest.mark.wire("rest.unknown")
async def test_unknown_symbols_and_empty_ranges_are_empty_not_errors(client: Client) -> None:
    nothing = {"bars": {}, "next_page_token": None}
    assert await get(client, "/v2/stocks/bars", symbols="ZZZ", timeframe="1Min") == nothing
    assert await bars(client, timeframe="1Day", start="2025-12-25", end="2025-12-25") == nothing


@pytest.mark.wire("rest.latest", "GET /v2/stocks/quotes/latest")
async def test_the_latest_quote_is_the_touch_of_the_last_tick(client: Client) -> None:
    quotes = (await get(client, "/v2/stocks/quotes/latest", symbols="AAA,BBB,ZZZ"))["quotes"]
    assert set(quotes) == {"AAA", "BBB"}
    assert (quotes["AAA"]["bp"], quotes["AAA"]["ap"]) == (100.89, 100.91)
    assert quotes["AAA"]["t"] == "2026-01-05T14:35:00Z"
    assert set(quotes["AAA"]) == {"t", "ax", "ap", "as", "bx", "bp", "bs", "c", "z"}


@pytest.mark.wire("GET /v2/stocks/trades/latest")
async def test_the_latest_trade_is_the_last_tick_that_traded(client: Client) -> None:
    trades = (await get(client, "/v2/stocks/trades/latest", symbols="AAA"))["trades"]
    assert trades["AAA"]["p"] == 100.9
    assert trades["AAA"]["t"] == rfc3339_short(tick_ns(9))


@pytest.mark.wire("rest.snapshots", "GET /v2/stocks/snapshots")
async def test_a_snapshot_has_five_members_and_no_wrapper(
    client: Client, exchange: Exchange
) -> None:
    at(exchange, open_ns(DAYS[1]) + MINUTE_NS)
    snapshots = await get(client, "/v2/stocks/snapshots", symbols="AAA,ZZZ")
    assert set(snapshots) == {"AAA"}
    snapshot = snapshots["AAA"]
    assert set(snapshot) == {
        "latestTrade",
        "latestQuote",
        "minuteBar",
        "dailyBar",
        "prevDailyBar",
    }
    assert snapshot["minuteBar"]["t"] == "2026-01-06T14:30:00Z"
    assert snapshot["prevDailyBar"]["c"] == 101.9


@pytest.mark.wire(
    "rest.single",
    "GET /v2/stocks/{symbol}/bars",
    "GET /v2/stocks/{symbol}/bars/latest",
    "GET /v2/stocks/{symbol}/quotes",
    "GET /v2/stocks/{symbol}/quotes/latest",
    "GET /v2/stocks/{symbol}/trades",
    "GET /v2/stocks/{symbol}/trades/latest",
    "GET /v2/stocks/{symbol}/snapshot",
)
async def test_single_symbol_forms_name_their_symbol(client: Client) -> None:
    single = await get(client, "/v2/stocks/AAA/bars", timeframe="1Min")
    assert single["symbol"] == "AAA"
    assert len(single["bars"]) == 5
    latest = await get(client, "/v2/stocks/AAA/quotes/latest")
    assert latest["quote"]["ap"] == 100.91


@pytest.mark.wire("GET /v2/stocks/quotes", "GET /v2/stocks/trades")
@pytest.mark.parametrize("path", ["quotes", "trades"])
async def test_historical_ticks_never_reach_beyond_now(client: Client, path: str) -> None:
    page = await get(client, f"/v2/stocks/{path}", symbols="AAA", end="2026-01-05T20:00:00Z")
    assert len(page[path]["AAA"]) == 10
    assert page[path]["AAA"][-1]["t"] <= "2026-01-05T14:35:00Z"


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("path", ["quotes", "trades"])
async def test_pages_of_ticks_join_to_the_whole(client: Client, path: str, sort: str) -> None:
    whole = (await get(client, f"/v2/stocks/{path}", symbols="AAA,BBB", sort=sort))[path]
    joined: dict[str, list[Any]] = {"AAA": [], "BBB": []}
    query = {"symbols": "AAA,BBB", "sort": sort, "limit": "3"}
    while True:
        page = await get(client, f"/v2/stocks/{path}", **query)
        for symbol, points in page[path].items():
            joined[symbol] += points
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert joined == whole
    assert len(whole["AAA"]) == 10


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("at_ns", [-(10**30), 10**30])
async def test_a_token_beyond_all_time_ends_its_symbol(
    client: Client, at_ns: int, sort: str
) -> None:
    token = Mark(symbol="AAA", at_ns=at_ns).token()
    query = {"symbols": "AAA", "page_token": token, "sort": sort}
    page = await get(client, "/v2/stocks/trades", **query)
    is_before_all = (at_ns < 0) == (sort == "asc")
    assert len(page["trades"].get("AAA", [])) == (10 if is_before_all else 0)


async def test_nothing_served_depends_on_what_comes_later() -> None:
    """The same questions at the same instant, on two markets that differ only afterwards."""
    future = HandMarket(ticks={MONDAY: {"AAA": [100 + n / 10 for n in range(10)] + [50.0] * 10}})
    answers = []
    for market in (RISING, future):
        exchange = make_exchange(make_venue(market, at_ns=open_ns() + 5 * MINUTE_NS))
        async with TestClient(TestServer(make_served_app(exchange)), headers=KEYS) as client:
            answers.append(
                [
                    await bars(client, timeframe=length, start="2026-01-05")
                    for length in ("1Min", "3Min", "1Hour", "1Day", "1Week", "1Month")
                ]
                + [
                    await get(client, f"/v2/stocks/{path}", symbols="AAA,BBB")
                    for path in (
                        "quotes/latest",
                        "trades/latest",
                        "bars/latest",
                        "snapshots",
                        "quotes",
                        "trades",
                    )
                ]
            )
    assert answers[0] == answers[1]


@pytest.mark.wire("GET /v2/stocks/auctions")
async def test_a_day_s_auctions_are_told_once_its_session_has_closed(
    client: Client, exchange: Exchange
) -> None:
    asked = {"symbols": "AAA,NONE", "start": "2026-01-05"}
    told = await get(client, "/v2/stocks/auctions", **asked)
    assert told == {"auctions": {}, "next_page_token": None}
    at(exchange, close_ns() + MINUTE_NS)
    told = await get(client, "/v2/stocks/auctions", **asked)
    assert told["auctions"] == {
        "AAA": [
            {
                "d": "2026-01-05",
                "o": [{"t": "2026-01-05T14:30:00Z", "x": "V", "p": 100.0, "s": 100, "c": "Q"}],
                "c": [{"t": "2026-01-05T14:40:00Z", "x": "V", "p": 101.9, "s": 100, "c": "M"}],
            }
        ]
    }


@pytest.mark.wire("GET /v2/stocks/{symbol}/auctions")
async def test_auctions_of_one_symbol_come_in_pages_in_either_order(
    client: Client, exchange: Exchange
) -> None:
    at(exchange, close_ns(DAYS[2]) + MINUTE_NS)
    query = {"start": "2026-01-05", "end": "2026-01-07", "sort": "desc", "limit": "2"}
    first = await get(client, "/v2/stocks/AAA/auctions", **query)
    token = first["next_page_token"]
    last = await get(client, "/v2/stocks/AAA/auctions", **query, page_token=token)
    assert first["symbol"] == last["symbol"] == "AAA"
    days = [row["d"] for row in first["auctions"] + last["auctions"]]
    assert days == ["2026-01-07", "2026-01-06", "2026-01-05"]
    assert last["next_page_token"] is None


async def test_auctions_are_the_consolidated_feed_s(client: Client) -> None:
    path = "/v2/stocks/auctions?symbols=AAA&feed=iex"
    async with client.get(path) as response:
        assert response.status == 400
        assert await response.json() == {"message": "invalid feed: iex"}

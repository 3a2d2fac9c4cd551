"""Watchlists and corporate announcements over the trading API."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from exchange.ids import asset_id
from exchange.instants import wall_ns
from exchange.venue import Venue
from exchange.watchlists import NAME_CHARACTERS_MAX, WATCHLISTS_MAX
from tests.support.exchanges import DAYS, KEYS, make_exchange, make_served_app, make_venue, tick_ns
from tests.unit.test_exchange_corporate_actions import dividend, market_with, split

Client = TestClient[Any, Any]
LISTS, NAMED = "/v2/watchlists", "/v2/watchlists:by_name"
ANNOUNCED = "/v2/corporate_actions/announcements"
MARKET = market_with(split("4"), dividend("1.25"), split("1", "5", symbol="BBB"), after_usd=25.0)
SPAN = {"since": "2026-01-01", "until": "2026-02-01"}


@pytest.fixture
def venue() -> Venue:
    venue = make_venue(MARKET, at_ns=tick_ns(0))
    venue.advance(wall_ns(DAYS[3], 10))
    return venue


@pytest.fixture
async def client(venue: Venue) -> AsyncIterator[Client]:
    app = make_served_app(make_exchange(venue))
    async with TestClient(TestServer(app), headers=KEYS) as client:
        yield client


async def ask(
    client: Client, method: str, path: str, body: Any = None, status: int = 200, **query: str
) -> Any:
    async with client.request(method, path, json=body, params=query) as reply:
        assert reply.status == status, await reply.text()
        return await reply.json() if status != 204 else None


def symbols(watchlist: dict[str, Any]) -> list[str]:
    return [asset["symbol"] for asset in watchlist["assets"]]


@pytest.mark.wire("POST /v2/watchlists", "GET /v2/watchlists", "GET /v2/watchlists/{watchlist_id}")
async def test_a_watchlist_is_made_and_read(client: Client, venue: Venue) -> None:
    made = await ask(client, "POST", LISTS, {"name": "mine", "symbols": ["BBB", "AAA", "BBB"]})
    assert list(made) == ["id", "account_id", "created_at", "updated_at", "name", "assets"]
    assert (made["account_id"], made["name"]) == (venue.account.id, "mine")
    assert symbols(made) == ["BBB", "AAA"]
    assert made["assets"][0] == await ask(client, "GET", "/v2/assets/BBB")
    heads = await ask(client, "GET", LISTS)
    assert heads == [{name: made[name] for name in made if name != "assets"}]
    assert await ask(client, "GET", f"{LISTS}/{made['id']}") == made


@pytest.mark.wire(
    "PUT /v2/watchlists/{watchlist_id}",
    "POST /v2/watchlists/{watchlist_id}",
    "DELETE /v2/watchlists/{watchlist_id}",
    "DELETE /v2/watchlists/{watchlist_id}/{symbol}",
)
async def test_a_watchlist_is_changed_and_done_away_with(client: Client) -> None:
    path = f"{LISTS}/{(await ask(client, 'POST', LISTS, {'name': 'mine'}))['id']}"
    assert symbols(await ask(client, "POST", path, {"symbol": "AAA"})) == ["AAA"]
    renamed = await ask(client, "PUT", path, {"name": "yours"})
    assert (renamed["name"], symbols(renamed)) == ("yours", ["AAA"])
    changed = await ask(client, "PUT", path, {"symbols": [asset_id("BBB"), "AAA"]})
    assert (changed["name"], symbols(changed)) == ("yours", ["BBB", "AAA"])
    assert symbols(await ask(client, "DELETE", f"{path}/BBB")) == ["AAA"]
    await ask(client, "DELETE", path, status=204)
    assert await ask(client, "GET", LISTS) == []
    gone = await ask(client, "GET", path, status=404)
    assert gone["code"] == 40410000


@pytest.mark.wire(
    "GET /v2/watchlists:by_name",
    "PUT /v2/watchlists:by_name",
    "POST /v2/watchlists:by_name",
    "DELETE /v2/watchlists:by_name",
)
async def test_a_watchlist_answers_to_its_name(client: Client) -> None:
    made = await ask(client, "POST", LISTS, {"name": "a name", "symbols": ["AAA"]})
    assert await ask(client, "GET", NAMED, name="a name") == made
    added = await ask(client, "POST", NAMED, {"symbol": "BBB"}, name="a name")
    assert symbols(added) == ["AAA", "BBB"]
    await ask(client, "PUT", NAMED, {"name": "another"}, name="a name")
    await ask(client, "GET", NAMED, status=404, name="a name")
    await ask(client, "DELETE", NAMED, status=204, name="another")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "watchlist name is required"),
        ({"name": "taken"}, 422, "watchlist name must be unique"),
        ({"name": "x" * (NAME_CHARACTERS_MAX + 1)}, 422, "no more than 64 characters"),
        ({"name": 5}, 400, "request body format is invalid"),
        ({"name": "x", "symbols": "AAA"}, 400, "request body format is invalid"),
        ({"name": "x", "symbols": ["ZZZ"]}, 422, 'asset "ZZZ" not found'),
        ({"name": "x", "symbols": [7]}, 422, "symbol is required"),
    ],
)
async def test_a_watchlist_that_cannot_be_is_refused(
    client: Client, body: Any, status: int, message: str
) -> None:
    await ask(client, "POST", LISTS, {"name": "taken", "symbols": ["AAA"]})
    assert message in (await ask(client, "POST", LISTS, body, status))["message"]
    path = f"{LISTS}/{(await ask(client, 'GET', LISTS))[0]['id']}"
    await ask(client, "POST", path, {"symbol": "AAA"}, 422)
    await ask(client, "DELETE", f"{path}/BBB", status=404)
    await ask(client, "GET", NAMED, status=422)


async def test_an_account_has_only_so_many_watchlists(client: Client) -> None:
    for number in range(WATCHLISTS_MAX):
        await ask(client, "POST", LISTS, {"name": str(number)})
    await ask(client, "POST", LISTS, {"name": "one more"}, 422)


async def test_watchlists_survive_a_kill_and_no_id_comes_twice(
    client: Client, venue: Venue
) -> None:
    first = await ask(client, "POST", LISTS, {"name": "one"})
    before = venue.state()
    again = Venue(venue.market, venue.assets, venue.config, before)
    assert again.register.watchlists == venue.register.watchlists
    venue.register.record_watchlists(())
    again.redo(venue.take_events())
    assert again.state() == venue.state()
    second = await ask(client, "POST", LISTS, {"name": "one"})
    assert first["id"] != second["id"] == again.register.next_watchlist_id()


@pytest.mark.wire("GET /v2/corporate_actions/announcements")
async def test_announcements_have_the_published_keys(client: Client) -> None:
    rows = await ask(client, "GET", ANNOUNCED, ca_types="Dividend,split", **SPAN)
    kinds = [(row["initiating_symbol"], row["ca_type"], row["ca_sub_type"]) for row in rows]
    assert sorted(kinds) == [
        ("AAA", "dividend", "cash"),
        ("AAA", "split", "stock_split"),
        ("BBB", "split", "reverse_split"),
    ]
    (paid,) = [row for row in rows if row["ca_type"] == "dividend"]
    assert (paid["cash"], paid["old_rate"], paid["new_rate"]) == ("1.25", "1", "1")
    (split_row,) = [row for row in rows if row["ca_sub_type"] == "stock_split"]
    assert (split_row["cash"], split_row["old_rate"], split_row["new_rate"]) == ("0", "1", "4")
    assert set(paid) == {
        *("id", "corporate_action_id", "ca_type", "ca_sub_type"),
        *("initiating_symbol", "initiating_original_cusip"),
        *("target_symbol", "target_original_cusip"),
        *("declaration_date", "ex_date", "record_date", "payable_date"),
        *("cash", "old_rate", "new_rate"),
    }


async def test_announcements_are_chosen_by_symbol_type_and_day(client: Client) -> None:
    asked = {"ca_types": "split", **SPAN}
    rows = await ask(client, "GET", ANNOUNCED, symbol="bbb", **asked)
    assert [row["initiating_symbol"] for row in rows] == ["BBB"]
    number = rows[0]["initiating_original_cusip"]
    assert await ask(client, "GET", ANNOUNCED, cusip=number, **asked) == rows
    paid = await ask(client, "GET", ANNOUNCED, **{**asked, "ca_types": "dividend"})
    day = paid[0]["payable_date"]
    on_day = {"ca_types": "dividend", "since": day, "until": day}
    assert await ask(client, "GET", ANNOUNCED, date_type="payable_date", **on_day) == paid
    assert await ask(client, "GET", ANNOUNCED, **on_day) == []


@pytest.mark.wire("GET /v2/corporate_actions/announcements/{id}")
async def test_an_announcement_is_read_by_its_id(client: Client) -> None:
    (row, *_) = await ask(client, "GET", ANNOUNCED, ca_types="split", **SPAN)
    assert await ask(client, "GET", f"{ANNOUNCED}/{row['id']}") == row
    await ask(client, "GET", f"{ANNOUNCED}/{asset_id('AAA')}", status=404)


@pytest.mark.parametrize(
    "change",
    [
        {"ca_types": ""},
        {"ca_types": "party"},
        {"since": ""},
        {"until": "2026-05-01"},
        {"until": "2025-12-01"},
        {"date_type": "birthday"},
        {"since": "yesterday"},
    ],
)
async def test_announcements_asked_for_badly_are_422(
    client: Client, change: dict[str, str]
) -> None:
    query = {"ca_types": "split", **SPAN, **change}
    assert (await ask(client, "GET", ANNOUNCED, status=422, **query))["code"] == 40010001


async def test_what_is_not_declared_yet_is_not_announced() -> None:
    late = market_with(replace(split("4"), declared_on=DAYS[1]), after_usd=25.0)
    for day, count in ((DAYS[0], 0), (DAYS[1], 1)):
        app = make_served_app(make_exchange(make_venue(late, at_ns=wall_ns(day, 10))))
        async with TestClient(TestServer(app), headers=KEYS) as client:
            rows = await ask(client, "GET", ANNOUNCED, ca_types="split", **SPAN)
            assert len(rows) == count

"""Parameters and fields of the trading API that few clients ask for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.support.exchanges import KEYS, make_exchange, make_served_app, make_venue, tick_ns

Client = TestClient[Any, Any]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = make_served_app(make_exchange(make_venue(at_ns=tick_ns(0))))
    async with TestClient(TestServer(app), headers=KEYS) as client:
        yield client


async def get(client: Client, path: str, status: int = 200) -> Any:
    async with client.get(path) as reply:
        assert reply.status == status
        return await reply.json()


@pytest.mark.wire("calendar")
async def test_the_calendar_is_chosen_by_days_of_trading_or_settlement(client: Client) -> None:
    span = "/v2/calendar?start=2026-01-06&end=2026-01-07"
    traded = await get(client, span)
    assert [day["date"] for day in traded] == ["2026-01-06", "2026-01-07"]
    assert traded == await get(client, f"{span}&date_type=TRADING")
    settled = await get(client, f"{span}&date_type=settlement")
    assert [day["settlement_date"] for day in settled] == ["2026-01-06", "2026-01-07"]
    assert [day["date"] for day in settled] == ["2026-01-05", "2026-01-06"]
    assert (await get(client, f"{span}&date_type=moon", 422))["code"] == 40010001


@pytest.mark.wire("assets.keys")
async def test_assets_are_chosen_by_what_is_remarkable_about_them(client: Client) -> None:
    every = await get(client, "/v2/assets")
    assert [asset["attributes"] for asset in every] == [["fractional_eh_enabled"]] * 2
    assert every == await get(client, "/v2/assets?attributes=fractional_eh_enabled,has_options")
    assert await get(client, "/v2/assets?attributes=has_options") == []


@pytest.mark.wire("account.configurations")
async def test_options_and_the_overnight_session_can_be_switched_off(client: Client) -> None:
    path = "/v2/account/configurations"
    before = await get(client, path)
    assert before["max_options_trading_level"] is None
    assert before["disable_overnight_trading"] is False
    patch = {"max_options_trading_level": 1, "disable_overnight_trading": True}
    async with client.patch(path, json=patch) as reply:
        assert await reply.json() == {**before, **patch}
    async with client.patch(path, json={"max_options_trading_level": 9}) as reply:
        assert reply.status == 422


@pytest.mark.wire("GET /v2/stocks/meta/exchanges", "GET /v2/stocks/meta/conditions/{ticktype}")
async def test_every_code_of_market_data_has_a_meaning(client: Client) -> None:
    shot = (await get(client, "/v2/stocks/snapshots?symbols=AAA"))["AAA"]
    exchanges = await get(client, "/v2/stocks/meta/exchanges")
    assert {shot["latestTrade"]["x"], shot["latestQuote"]["ax"]} <= exchanges.keys()
    for kind, point in (("trade", "latestTrade"), ("quote", "latestQuote")):
        path = f"/v2/stocks/meta/conditions/{kind}?tape={shot[point]['z']}"
        assert set(shot[point]["c"]) <= (await get(client, path)).keys()
    await get(client, "/v2/stocks/meta/conditions/bar?tape=A", 400)
    await get(client, "/v2/stocks/meta/conditions/trade", 400)

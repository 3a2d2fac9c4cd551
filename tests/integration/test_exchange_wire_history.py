"""The portfolio's history as it is asked for: periods, hours of the day, resets, cash flows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from exchange.instants import wall_ns
from exchange.venue import Venue
from tests.support.exchanges import (
    DAYS,
    EXACT,
    KEYS,
    buy,
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
    open_ns,
    tick_ns,
)
from tests.unit.test_exchange_corporate_actions import dividend, market_with

Client = TestClient[Any, Any]
PATH = "/v2/account/portfolio/history"
SECOND_NS = 10**9


@pytest.fixture
def venue() -> Venue:
    """Ten shares bought at $100.01 on Monday, worth $90 from Tuesday on, when they go ex $1.25."""
    market = market_with(dividend("1.25"), after_usd=90.0)
    venue = make_venue(market, at_ns=tick_ns(0), knobs=replace(EXACT, pays_on_ex_date=True))
    venue.submit(buy(qty="10"))
    venue.advance(close_ns(DAYS[2]) + 3600 * SECOND_NS)
    return venue


@pytest.fixture
async def client(venue: Venue) -> AsyncIterator[Client]:
    app = make_served_app(make_exchange(venue))
    async with TestClient(TestServer(app), headers=KEYS) as client:
        yield client


async def history(client: Client, status: int = 200, **query: str) -> Any:
    async with client.get(PATH, params=query) as reply:
        assert reply.status == status, await reply.text()
        return await reply.json()


@pytest.mark.wire("portfolio.resets")
async def test_profit_within_days_begins_anew_with_each(client: Client) -> None:
    asked = {"period": "3D", "timeframe": "5Min"}
    reset = await history(client, **asked)
    assert reset["profit_loss"][-1] == 0.0
    assert reset == await history(client, pnl_reset="per_day", **asked)
    through = await history(client, pnl_reset="no_reset", **asked)
    assert through["equity"] == reset["equity"]
    assert through["profit_loss"][-1] == pytest.approx(reset["equity"][-1] - 100_000)
    assert through["profit_loss_pct"][-1] == pytest.approx(reset["equity"][-1] / 100_000 - 1)
    days = await history(client, period="3D", timeframe="1D")
    assert days["profit_loss"][-1] == through["profit_loss"][-1]


@pytest.mark.wire("portfolio.reporting")
async def test_the_hours_told_are_those_asked_for(client: Client) -> None:
    asked = {"period": "1D", "timeframe": "15Min"}
    regular = (await history(client, **asked))["timestamp"]
    assert regular == [open_ns(DAYS[2]) // SECOND_NS]
    beside = await history(client, intraday_reporting="extended_hours", **asked)
    assert beside["timestamp"][0] == wall_ns(DAYS[2], 4) // SECOND_NS
    assert beside["timestamp"][-1] == wall_ns(DAYS[2], 10, 30) // SECOND_NS
    assert beside == await history(client, extended_hours="true", **asked)
    always = (await history(client, intraday_reporting="continuous", **asked))["timestamp"]
    assert always[0] == wall_ns(DAYS[2], 0) // SECOND_NS
    assert {b - a for a, b in pairwise(always)} == {900}


@pytest.mark.wire("portfolio.cashflow")
async def test_cash_that_came_is_told_by_kind_where_it_is_asked_for(client: Client) -> None:
    asked = {"period": "3D", "timeframe": "1D"}
    assert (await history(client, **asked))["cashflow"] == {}
    assert (await history(client, cashflow_types="NONE", **asked))["cashflow"] == {}
    for types in ("DIV", "ALL", "fee,div"):
        told = await history(client, cashflow_types=types, **asked)
        assert told["cashflow"] == {"DIV": [0.0, 12.5, 0.0]}
    assert (await history(client, cashflow_types="FEE", **asked))["cashflow"] == {}


@pytest.mark.parametrize(
    ("period", "timeframe"), [("1D", "1Min"), ("6D", "1Min"), ("1W", "15Min"), ("1M", "1D")]
)
async def test_a_period_has_a_timeframe_of_its_own(
    client: Client, period: str, timeframe: str
) -> None:
    assert (await history(client, period=period))["timeframe"] == timeframe


@pytest.mark.parametrize(
    "query",
    [
        {"period": "2M", "timeframe": "1H"},
        {"pnl_reset": "weekly"},
        {"intraday_reporting": "lunch"},
        {"start": "2026-01-05", "end": "2026-01-06", "period": "1D"},
    ],
)
async def test_what_cannot_be_told_is_422(client: Client, query: dict[str, str]) -> None:
    assert (await history(client, 422, **query))["code"] == 40010001

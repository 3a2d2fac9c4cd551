"""Bars of history: made once, kept within bounds, and never at the cost of others' turns."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from exchange import bars as bars_module
from exchange.bars import BarBlock, KeptBlocks
from exchange.instants import rfc3339_short
from exchange.markets.base import SessionTape
from tests.support.exchanges import (
    DAYS,
    KEYS,
    HandMarket,
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
)

LONG = tuple(day for n in range(28) if (day := DAYS[0] + timedelta(days=n)).weekday() < 5)
"""More sessions than the venue has at hand, so that the first of them are history."""
LAST = LONG[-1]
FINISHED = 6
"""Sessions of the history asked about."""


@dataclass(kw_only=True, eq=False)
class NotedMarket(HandMarket):
    """A market that notes which tapes it makes, and something of that moment."""

    days: tuple[date, ...] = LONG
    made: list[tuple[date, int]] = field(default_factory=list)
    moment: Callable[[], int] = lambda: 0

    def tape(self, day: date) -> SessionTape:
        self.made.append((day, self.moment()))
        return super().tape(day)


async def ask(market: NotedMarket, what: str = "bars", **query: str) -> dict[str, Any]:
    """Ask for history on the evening of the market's last day."""
    venue = make_venue(market, at_ns=close_ns(LAST) + 1)
    full = {"symbols": "AAA,BBB", "start": DAYS[0].isoformat(), "end": "2026-01-12", **query}
    app = make_served_app(make_exchange(venue))
    async with TestClient(TestServer(app), headers=KEYS) as client:
        market.made.clear()
        async with client.get(f"/v2/stocks/{what}", params=full) as response:
            assert response.status == 200
            body: dict[str, Any] = await response.json()
    return body


async def test_a_session_of_history_is_made_once_for_all_symbols() -> None:
    market = NotedMarket()
    body = await ask(market, timeframe="1Min")
    assert [day for day, _ in market.made] == list(LONG[:FINISHED])
    assert {symbol: len(found) for symbol, found in body["bars"].items()} == {
        "AAA": 10 * FINISHED,
        "BBB": 10 * FINISHED,
    }


async def test_no_more_sessions_are_made_than_the_page_needs() -> None:
    market = NotedMarket()
    await ask(market, timeframe="1Min", limit="15")
    assert [day for day, _ in market.made] == list(LONG[:2])


async def test_the_newest_sessions_are_made_first_when_the_page_begins_there() -> None:
    market = NotedMarket()
    await ask(market, timeframe="1Min", limit="15", sort="desc")
    assert [day for day, _ in market.made] == [LONG[FINISHED - 1], LONG[FINISHED - 2]]


@pytest.mark.parametrize("what", ["bars", "quotes", "trades"])
async def test_others_have_their_turn_between_two_sessions_of_history(what: str) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    market = NotedMarket(moment=lambda: turns)
    beside = asyncio.create_task(other())
    try:
        await ask(market, what)
    finally:
        beside.cancel()
    moments = [moment for _, moment in market.made]
    assert len(moments) == FINISHED
    assert len(set(moments)) == FINISHED


async def test_reading_history_leaves_the_session_being_played_as_it_is() -> None:
    market = NotedMarket()
    await ask(market, timeframe="1Min", start=LAST.isoformat(), end=LAST.isoformat())
    assert market.made == []


def block(bars: int) -> BarBlock:
    grid = np.arange(2.0 * bars).reshape(2, bars) + 1 / 3
    return BarBlock(
        at_ns=np.arange(bars, dtype=np.int64) * 60 * 10**9,
        open=grid,
        high=grid + 1,
        low=grid - 1,
        close=grid + 0.5,
        volume=np.floor(grid * 100),
        trades=np.floor(grid),
        vwap=grid + 0.25,
    )


def test_bars_are_written_alike_one_by_one_and_by_the_row() -> None:
    made = block(6)
    wanted = np.array([5, 3, 0])
    one_by_one = [
        (int(made.at_ns[i]), made.row_dict(1, int(i), rfc3339_short(int(made.at_ns[i]))))
        for i in wanted
    ]
    assert list(made.points(1, wanted)) == one_by_one


def test_only_the_latest_state_of_a_running_session_is_kept() -> None:
    kept, earlier, later = KeptBlocks(), block(3), block(4)
    kept.keep(DAYS[0], 1, 3, earlier)
    kept.keep(DAYS[0], 1, 4, later)
    assert kept.find(DAYS[0], 1, 3) is None
    assert kept.find(DAYS[0], 1, 4) is later


def test_lengths_are_kept_apart() -> None:
    kept, short, long = KeptBlocks(), block(3), block(1)
    kept.keep(DAYS[0], 1, 3, short)
    kept.keep(DAYS[0], 5, 3, long)
    assert kept.find(DAYS[0], 1, 3) is short
    assert kept.find(DAYS[0], 5, 3) is long


def test_beyond_its_bound_the_session_not_asked_for_longest_goes(monkeypatch: Any) -> None:
    monkeypatch.setattr(bars_module, "BAR_CELLS_MAX", 2 * block(3).cells)
    kept = KeptBlocks()
    for day in DAYS[:2]:
        kept.keep(day, 1, 3, block(3))
    kept.find(DAYS[0], 1, 3)
    kept.keep(DAYS[2], 1, 3, block(3))
    found = [kept.find(day, 1, 3) is not None for day in DAYS[:3]]
    assert found == [True, False, True]


def test_a_session_kept_anew_counts_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(bars_module, "BAR_CELLS_MAX", 2 * block(3).cells)
    kept = KeptBlocks()
    kept.keep(DAYS[0], 1, 3, block(3))
    for _ in range(5):
        kept.keep(DAYS[1], 1, 3, block(3))
    assert kept.find(DAYS[0], 1, 3) is not None

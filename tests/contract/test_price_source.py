"""The contract of `domain.ports.PriceSource`, held against every adapter."""

import asyncio
from datetime import timedelta

import pytest

from domain.calendar import Timeframe
from domain.errors import NotAuthorized, VenueUnavailable
from domain.instruments import Symbol
from domain.ports import PriceSource
from tests.support.rigs import START, OpenRig, in_memory, over_http
from tests.support.virtual_loop import in_virtual_time

adapters = pytest.mark.parametrize("rig", [in_memory, over_http], ids=["memory", "alpaca"])
AAPL, MSFT, NONE = Symbol("AAPL"), Symbol("MSFT"), Symbol("NONE")


@adapters
@in_virtual_time
async def test_quotes_are_the_venues_and_unknown_symbols_are_left_out(rig: OpenRig) -> None:
    async with rig() as it:
        source: PriceSource = it.prices
        shown = it.venue.quote("AAPL", 187.30, 187.32)
        assert await source.fetch([AAPL, NONE], max_age_s=5.0) == {AAPL: shown}


@adapters
@in_virtual_time
async def test_a_quotes_age_is_the_venues_not_the_time_of_fetching(rig: OpenRig) -> None:
    async with rig() as it:
        quoted_at = START - timedelta(hours=3)
        it.venue.quote("AAPL", 187.30, 187.32, at=quoted_at)
        await asyncio.sleep(9.0)
        found = await it.prices.fetch([AAPL], max_age_s=0.0)
        assert found[AAPL].quoted_at == quoted_at


@adapters
@in_virtual_time
async def test_nothing_older_than_asked_for_is_returned(rig: OpenRig) -> None:
    async with rig() as it:
        it.venue.quote("AAPL", 100.0, 100.1)
        await it.prices.fetch([AAPL], max_age_s=30.0)
        await asyncio.sleep(6.0)
        new = it.venue.quote("AAPL", 101.0, 101.1)
        assert await it.prices.fetch([AAPL], max_age_s=5.0) == {AAPL: new}


@adapters
@in_virtual_time
async def test_the_answer_follows_the_order_of_the_question(rig: OpenRig) -> None:
    async with rig() as it:
        for symbol in ("AAPL", "MSFT"):
            it.venue.quote(symbol, 100.0, 100.1)
        assert list(await it.prices.fetch([MSFT, AAPL, MSFT], max_age_s=5.0)) == [MSFT, AAPL]


@adapters
@in_virtual_time
async def test_bars_include_both_ends_oldest_first(rig: OpenRig) -> None:
    async with rig() as it:
        at = [START + timedelta(minutes=minute - 90) for minute in range(6)]
        bars = [it.venue.bar("AAPL", Timeframe.MINUTE, instant, 100.0) for instant in at]
        it.venue.bar("AAPL", Timeframe.FIVE_MINUTES, at[2], 500.0)
        found = await it.prices.fetch_bars(
            [AAPL, MSFT], Timeframe.MINUTE, start_at=at[1], end_at=at[4]
        )
        assert found == {AAPL: bars[1:5]}


@adapters
@in_virtual_time
async def test_two_callers_of_one_symbol_share_one_request(rig: OpenRig) -> None:
    async with rig() as it:
        shown = it.venue.quote("AAPL", 100.0, 100.1)
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(it.prices.fetch([AAPL], max_age_s=5.0)) for _ in range(2)]
        assert [task.result() for task in both] == [{AAPL: shown}] * 2
        assert it.quote_requests() == 1


@adapters
@in_virtual_time
async def test_a_venue_that_fails_gives_no_quotes_and_says_so_of_bars(rig: OpenRig) -> None:
    async with rig() as it:
        it.venue.quote("AAPL", 100.0, 100.1)
        it.shut()
        assert await it.prices.fetch([AAPL], max_age_s=5.0) == {}
        with pytest.raises(VenueUnavailable):
            await it.prices.fetch_bars([AAPL], Timeframe.DAY, start_at=START, end_at=START)


@adapters
@in_virtual_time
async def test_keys_that_are_not_accepted_are_the_operators_matter(rig: OpenRig) -> None:
    async with rig() as it:
        it.lock_out()
        with pytest.raises(NotAuthorized):
            await it.prices.fetch([AAPL], max_age_s=5.0)
        with pytest.raises(NotAuthorized):
            await it.prices.fetch_bars([AAPL], Timeframe.DAY, start_at=START, end_at=START)

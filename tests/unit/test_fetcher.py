"""Fetching prices: chunks, cache, single flight, poison, failures."""

import asyncio
import random
from datetime import timedelta

import orjson
import pytest

from daemon.alpaca.market_data import DataPlan, chunked
from daemon.fetcher import REFUSED_FOR_S
from domain.calendar import Timeframe
from domain.errors import VenueUnavailable
from domain.instruments import Symbol
from tests.support.fake_alpaca import Fault, wire_time
from tests.support.rigs import START, AlpacaRig, alpaca_rig
from tests.support.virtual_loop import current_loop, in_virtual_time

UNIVERSE = [Symbol(f"S{number:02d}") for number in range(66)]
ONE_BY_ONE = DataPlan(chunk_symbols=1)
HTML_REFUSAL = b"<html>Forbidden</html>"
BY_TEN = DataPlan(chunk_symbols=10)


def show_all(rig: AlpacaRig, price: float = 100.0) -> None:
    for symbol in UNIVERSE:
        rig.venue.quote(symbol, price, price + 0.1)


@in_virtual_time
async def test_the_universe_is_one_request() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        assert len(await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)) == 66
        assert len(rig.server.seen) == 1
        assert rig.server.seen[0].query["feed"] == "iex"


@in_virtual_time
async def test_chunks_go_side_by_side_but_never_too_many() -> None:
    async with alpaca_rig(ONE_BY_ONE) as rig:
        show_all(rig)
        rig.server.latency_s = lambda: 0.05
        assert len(await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)) == 66
        assert 20 < rig.server.in_flight_peak <= 25
        assert current_loop().time() < 0.25


@in_virtual_time
async def test_two_callers_cause_one_request() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        rig.server.latency_s = lambda: 0.05
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)) for _ in "ab"]
        assert [len(task.result()) for task in both] == [66, 66]
        assert len(rig.server.seen) == 1
        assert (rig.fetcher.counts.misses, rig.fetcher.counts.shared) == (66, 66)


@in_virtual_time
async def test_a_second_caller_asks_only_for_what_is_not_under_way() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        rig.server.latency_s = lambda: 0.05
        first = asyncio.create_task(rig.fetcher.fetch(UNIVERSE[:3], max_age_s=5.0))
        await asyncio.sleep(0.01)
        second = await rig.fetcher.fetch(UNIVERSE[1:5], max_age_s=5.0)
        assert list(second) == UNIVERSE[1:5]
        assert [seen.query["symbols"] for seen in rig.server.seen] == ["S00,S01,S02", "S03,S04"]
        await first


@in_virtual_time
async def test_who_shared_with_a_cancelled_caller_asks_itself() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        rig.server.latency_s = lambda: 0.05
        first = asyncio.create_task(rig.fetcher.fetch(UNIVERSE, max_age_s=5.0))
        second = asyncio.create_task(rig.fetcher.fetch(UNIVERSE, max_age_s=5.0))
        await asyncio.sleep(0.01)
        first.cancel()
        assert len(await second) == 66
        assert len(rig.server.seen) == 2


@in_virtual_time
async def test_what_was_received_lately_is_not_asked_for_again() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=30.0)
        await asyncio.sleep(29.0)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=30.0)
        assert len(rig.server.seen) == 1
        assert rig.fetcher.counts.hit_ratio == 0.5
        await asyncio.sleep(1.5)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=30.0)
        assert len(rig.server.seen) == 2


@in_virtual_time
async def test_a_failed_chunk_takes_no_other_chunk_down() -> None:
    async with alpaca_rig(BY_TEN) as rig:
        show_all(rig)
        # An answer that does not come, for whichever request is first.
        rig.server.faults.append(Fault("/quotes", delay_s=3_600.0))
        slow = asyncio.create_task(rig.fetcher.fetch(UNIVERSE[:10], max_age_s=5.0))
        await asyncio.sleep(0.1)
        assert len(await rig.fetcher.fetch(UNIVERSE[10:], max_age_s=5.0)) == 56
        assert not slow.done()
        rig.server.faults.extend(Fault("/quotes", status=503) for _ in range(5))
        assert await slow == {}
        assert rig.fetcher.counts.failed_chunks == 1


@in_virtual_time
async def test_within_one_call_only_the_failed_chunks_symbols_are_missing() -> None:
    async with alpaca_rig(BY_TEN) as rig:
        show_all(rig)
        rig.server.faults.append(Fault("/quotes", status=403, body=HTML_REFUSAL))
        found = await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        assert len(found) == 56


@in_virtual_time
async def test_a_chunk_that_fails_once_is_tried_again_within_the_cycle() -> None:
    async with alpaca_rig(BY_TEN) as rig:
        show_all(rig)
        rig.server.faults.extend(
            [Fault("/quotes", status=500), Fault("/quotes", status=0), Fault("/quotes", delay_s=60)]
        )
        assert len(await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)) == 66
        assert current_loop().time() < 4.0


@in_virtual_time
async def test_an_old_quote_does_not_stand_in_for_a_failed_one() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        await asyncio.sleep(10.0)
        rig.server.faults.extend(Fault("/quotes") for _ in range(5))
        assert await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0) == {}


@in_virtual_time
async def test_a_silent_venue_costs_no_more_than_the_cycle() -> None:
    async with alpaca_rig(BY_TEN) as rig:
        rig.server.faults.extend(Fault("/quotes", delay_s=3_600.0) for _ in range(100))
        assert await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0) == {}
        assert current_loop().time() < 4.5


@pytest.mark.parametrize("poison", ["S00", "S33", "S65"])
@in_virtual_time
async def test_one_bad_symbol_costs_only_itself(poison: str) -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        rig.server.poison = {poison}
        found = await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        assert set(UNIVERSE) - set(found) == {poison}
        assert len(rig.server.seen) <= 15
        await asyncio.sleep(6.0)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        assert rig.server.seen[-1].query["symbols"].count(",") == 64


@in_virtual_time
async def test_a_symbol_refused_before_is_asked_alone_and_taken_back() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        rig.server.poison = {"S33"}
        await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        await asyncio.sleep(REFUSED_FOR_S + 1.0)
        rig.server.poison = set()
        before = len(rig.server.seen)
        assert len(await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)) == 66
        assert {seen.query["symbols"] for seen in rig.server.seen[before:]} >= {"S33"}
        await asyncio.sleep(6.0)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        assert rig.server.seen[-1].query["symbols"].count(",") == 65


@in_virtual_time
async def test_a_question_that_is_wrong_for_all_is_not_divided_for_ever() -> None:
    async with alpaca_rig() as rig:
        rig.server.poison = set(UNIVERSE)
        assert await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0) == {}
        assert len(rig.server.seen) <= 26
        before = len(rig.server.seen)
        await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        assert len(rig.server.seen) == before + 1
        rig.server.poison = set()
        show_all(rig)
        assert len(await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)) == 66


@in_virtual_time
async def test_invalid_quotes_are_missing_and_counted_by_reason() -> None:
    async with alpaca_rig() as rig:
        show_all(rig)
        stamp = "2025-10-09T08:53:20Z"
        rig.server.raw_quotes = {
            "S00": {"t": stamp, "bp": 0, "ap": 0},
            "S01": {"t": stamp, "bp": 101, "ap": 100},
            "S02": {"t": "2031-01-01T00:00:00Z", "bp": 100, "ap": 101},
        }
        found = await rig.fetcher.fetch(UNIVERSE, max_age_s=5.0)
        assert set(UNIVERSE) - set(found) == {"S00", "S01", "S02"}
        assert rig.fetcher.take_invalid() == {"not_positive": 1, "crossed": 1, "future": 1}
        assert rig.fetcher.take_invalid() == {}
        assert rig.fetcher.invalid.totals["crossed"] == 1


@in_virtual_time
async def test_history_comes_in_pages_and_leaves_bad_symbols_out() -> None:
    async with alpaca_rig(BY_TEN) as rig:
        rig.server.page_rows = 7
        rig.server.poison = {"S05"}
        for symbol in UNIVERSE:
            for day in range(5):
                rig.venue.bar(symbol, Timeframe.DAY, START - timedelta(days=9 - day), 100.0 + day)
        span = {"start_at": START - timedelta(days=8), "end_at": START}
        bars = await rig.fetcher.fetch_bars(UNIVERSE, Timeframe.DAY, **span)
        assert list(bars) == [s for s in UNIVERSE if s != "S05"]
        assert all([b.close_usd for b in rows] == [101, 102, 103, 104] for rows in bars.values())


@in_virtual_time
async def test_history_with_a_page_missing_is_not_given_as_whole() -> None:
    async with alpaca_rig() as rig:
        rig.server.page_rows = 2
        for day in range(5):
            rig.venue.bar("S00", Timeframe.DAY, START - timedelta(days=9 - day), 100.0)
        body = b'{"bars":{},"next_page_token":"Mg=="}'
        rig.server.faults.extend(Fault("/bars", status=200, body=body) for _ in range(9))
        with pytest.raises(VenueUnavailable, match="do not end"):
            await rig.fetcher.fetch_bars(
                UNIVERSE[:1], Timeframe.DAY, start_at=START - timedelta(days=9), end_at=START
            )


@in_virtual_time
async def test_bars_that_nobody_asked_for_are_left_out() -> None:
    async with alpaca_rig() as rig:
        row = {"o": 10, "h": 10, "l": 10, "c": 10, "v": 1}
        rows = [{**row, "t": wire_time(START - timedelta(minutes=m))} for m in (9, 5, 1, 5)]
        body = {"bars": {"S00": rows, "OTHER": rows}, "next_page_token": None}
        rig.server.faults.append(Fault("/bars", status=200, body=orjson.dumps(body)))
        span = {"start_at": START - timedelta(minutes=6), "end_at": START - timedelta(minutes=5)}
        bars = await rig.fetcher.fetch_bars(UNIVERSE, Timeframe.MINUTE, **span)
        assert list(bars) == ["S00"]
        assert [bar.opened_at for bar in bars[UNIVERSE[0]]] == [START - timedelta(minutes=5)]


@in_virtual_time
async def test_a_noisy_venue_costs_no_symbol_in_120_sweeps() -> None:
    noise = random.Random(11)
    async with alpaca_rig(BY_TEN, per_minute=100_000) as rig:
        show_all(rig)
        rig.server.latency_s = lambda: noise.lognormvariate(-3.0, 0.5)
        for _ in range(120):
            if noise.random() < 0.05:
                rig.server.faults.append(Fault("/quotes", status=noise.choice([429, 500])))
            assert len(await rig.fetcher.fetch(UNIVERSE, max_age_s=0.0)) == 66


def test_chunks_keep_the_order_and_both_limits() -> None:
    assert [len(chunk) for chunk in chunked(UNIVERSE, DataPlan(chunk_symbols=30))] == [30, 30, 6]
    by_bytes = chunked(UNIVERSE, DataPlan(chunk_url_bytes=60))
    assert [len(chunk) for chunk in by_bytes] == [10] * 6 + [6]
    assert [s for chunk in by_bytes for s in chunk] == UNIVERSE
    assert chunked([], DataPlan()) == []
    assert chunked([Symbol("TOOLONG")], DataPlan(chunk_url_bytes=1)) == [["TOOLONG"]]

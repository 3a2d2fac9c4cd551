"""The feed `iex` may have bars of some minutes only; the same ones wherever they are told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from exchange.coverage import Coverage
from exchange.instants import parse_instant
from exchange.knobs import WireLimits
from tests.support.exchanges import (
    EXACT,
    MINUTES,
    MONDAY,
    Served,
    close_ns,
    make_exchange,
    make_venue,
    open_ns,
    served,
    tick_ns,
)
from tests.support.wire_client import RestClient, subscribed

SHARE = 0.43
"""What has been recorded of thinly traded names."""
SEEN = Coverage(seed=7, share=SHARE)
WHOLE_DAY = {"start": MONDAY.isoformat(), "end": MONDAY.isoformat()}


@pytest.fixture
def exchange() -> Iterator[Served]:
    venue = make_venue(at_ns=tick_ns(0), knobs=replace(EXACT, iex_bar_share=SHARE))
    limits = WireLimits(sip_realtime=True)
    with served(make_exchange(venue, limits=limits)) as running:
        yield running


@pytest.fixture
def client(exchange: Served) -> Iterator[RestClient]:
    client = RestClient(exchange.url)
    yield client
    client.close()


def minutes(client: RestClient, feed: str, timeframe: str = "1Min") -> list[str]:
    rows = client.history("bars", ["AAA"], feed=feed, timeframe=timeframe, **WHOLE_DAY)
    return [bar["t"] for bar in rows.get("AAA", [])]


@pytest.mark.wire("data.coverage")
def test_some_minutes_have_no_bar_on_iex_and_all_have_one_on_sip(
    exchange: Served, client: RestClient
) -> None:
    exchange.advance(close_ns())
    whole, seen = minutes(client, "sip"), minutes(client, "iex")
    assert len(whole) == MINUTES
    assert seen == [at for at in whole if SEEN.has_bar("AAA", parse_instant(at))]
    assert 0 < len(seen) < MINUTES
    assert minutes(client, "iex", "5Min") == minutes(client, "sip", "5Min")


@pytest.mark.wire("data.coverage")
def test_the_stream_of_iex_tells_the_minutes_that_rest_knows(
    exchange: Served, client: RestClient
) -> None:
    told: dict[str, list[Any]] = {}
    for feed in ("iex", "sip"):
        url = exchange.data_stream_url.replace("iex", feed)
        with subscribed(url, bars=["AAA"], dailyBars=["AAA"]) as updates:
            exchange.advance(open_ns() + 5 * 60 * 10**9 if feed == "iex" else close_ns())
            days = 5
            told[feed] = []
            while days:
                for message in updates.next():
                    days -= message["T"] == "d"
                    told[feed] += [message["t"]] if message["T"] == "b" else []
    assert told["iex"] == [at for at in minutes(client, "iex") if at < told["sip"][0]]
    assert len(told["sip"]) == 5


@pytest.mark.wire("data.coverage")
def test_the_latest_bar_is_one_that_the_feed_has(exchange: Served, client: RestClient) -> None:
    exchange.advance(close_ns())
    path = "/v2/stocks/bars/latest"
    latest = client.call("GET", path, {"symbols": "AAA", "feed": "iex"})["bars"]["AAA"]
    shot = client.call("GET", "/v2/stocks/snapshots", {"symbols": "AAA", "feed": "iex"})["AAA"]
    assert latest["t"] == shot["minuteBar"]["t"] == minutes(client, "iex")[-1]


def test_a_share_of_minutes_is_about_as_large_as_it_says() -> None:
    seen = [SEEN.has_bar(symbol, n * 60 * 10**9) for n in range(1_000) for symbol in "ABC"]
    assert abs(sum(seen) / len(seen) - SHARE) < 0.03
    assert [SEEN.has_bar("A", n * 60 * 10**9) for n in range(1_000)] == seen[::3]

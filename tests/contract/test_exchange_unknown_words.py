"""Words that no client knows, said by the exchange to our own client: it goes on, and says so."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import aclosing

import aiohttp
import pytest
from pydantic import SecretStr

from daemon.alpaca.client import Credentials
from daemon.alpaca.codec import decode_order, decode_order_rows, to_report
from daemon.alpaca.stream import StreamEndpoint, TradeStream
from daemon.backoff import seeded_jitter
from daemon.clock import SystemClock
from domain.errors import VenueUnavailable
from domain.orders import AtLimit, Fill, OrderReport, OrderStatus, OrderUpdate, Side, TimeInForce
from tests.support.exchanges import Served, make_exchange, make_venue, served, tick_ns
from tests.support.wire_client import RestClient

BID = {"qty": "10", "type": "limit", "limit_price": "90"}


@contextlib.contextmanager
def saying(kind: str, *lines: str) -> Iterator[tuple[Served, RestClient]]:
    script = "\n".join(["[[fault]]", f'kind = "{kind}"', *lines])
    with served(make_exchange(make_venue(at_ns=tick_ns(0))), script) as exchange:
        client = RestClient(exchange.url)
        yield exchange, client
        client.close()


def placed(how: str) -> bytes:
    """What our order is answered with, a word of it unknown."""
    with saying("api.unknown", f'how = "{how}"') as (_, client):
        body = {"symbol": "AAA", "side": "buy", "time_in_force": "gtc", **BID}
        return client.ask("POST", "/v2/orders", body=body).content


@pytest.mark.wire("encoding.unknown")
@pytest.mark.parametrize("how", ["status", "type", "order_class", "time_in_force", "key"])
def test_an_order_with_an_unknown_word_is_read_and_still_works(how: str) -> None:
    body = placed(how)
    assert b"unheard_" in body
    report = decode_order(body)
    assert (report.side, report.quantity_shares) == (Side.BUY, 10)
    assert report.status is OrderStatus.WORKING
    assert isinstance(report.terms, AtLimit)
    assert report.time_in_force is (TimeInForce.DAY if how == "time_in_force" else TimeInForce.GTC)


@pytest.mark.parametrize("how", ["status", "type", "time_in_force"])
def test_what_is_unknown_of_an_order_stands_in_its_reason(how: str) -> None:
    assert "unheard_" in decode_order(placed(how)).reason


def test_an_order_of_an_unknown_side_proves_nothing() -> None:
    with pytest.raises(VenueUnavailable, match="side we do not know"):
        decode_order(placed("side"))


def test_one_unknown_word_does_not_lose_the_other_orders_of_a_listing() -> None:
    with saying("api.unknown", 'how = "status"', 'method = "GET"') as (_, client):
        for _ in range(3):
            client.place("AAA", "buy", **BID)
        rows = decode_order_rows(client.ask("GET", "/v2/orders").content)
    reports = [to_report(row) for row in rows]
    assert [report.status for report in reports] == [OrderStatus.WORKING] * 3
    assert sum("unknown status" in report.reason for report in reports) == 1


async def heard(exchange: Served, client: RestClient, count: int) -> tuple[list[object], int]:
    """What our stream makes of an order that fills at once, and how often it read it again."""
    again = 0

    async def reread(client_order_id: str) -> OrderReport:
        nonlocal again
        again += 1
        path = "/v2/orders:by_client_order_id"
        query = {"client_order_id": client_order_id}
        reply = await asyncio.to_thread(client.ask, "GET", path, query)
        return decode_order(reply.content)

    keys = Credentials(key_id="key", secret_key=SecretStr("secret"))
    events: list[object] = []
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        stream = TradeStream(
            session,
            StreamEndpoint(url=exchange.stream_url, credentials=keys),
            clock=SystemClock(time.time),
            jitter=seeded_jitter(7),
            reread=reread,
        )
        async with aclosing(stream.updates()) as updates:
            async for event in updates:
                events.append(event)
                if len(events) == 1:
                    await asyncio.to_thread(client.place, "AAA", "buy", qty="10")
                if len(events) == count:
                    break
    return events, again


@pytest.mark.parametrize("how", ["event", "status"])
def test_an_update_with_an_unknown_word_has_the_order_read_again(how: str) -> None:
    with saying("stream.unknown", f'how = "{how}"', 'event = "new"') as (exchange, client):
        events, again = asyncio.run(heard(exchange, client, count=5))
    assert again == 1
    _, pending, read, fill, filled = events
    assert isinstance(pending, OrderUpdate)
    assert isinstance(read, OrderUpdate)
    assert read.report.status is OrderStatus.FILLED
    assert isinstance(fill, Fill)
    assert isinstance(filled, OrderUpdate)


def test_a_fill_told_by_an_unknown_event_is_known_from_the_order() -> None:
    with saying("stream.unknown", 'how = "event"', 'event = "fill"') as (exchange, client):
        events, again = asyncio.run(heard(exchange, client, count=4))
    assert again == 1
    last = events[-1]
    assert isinstance(last, OrderUpdate)
    assert (last.report.status, last.report.filled_shares) == (OrderStatus.FILLED, 10)
    assert not any(isinstance(event, Fill) for event in events)

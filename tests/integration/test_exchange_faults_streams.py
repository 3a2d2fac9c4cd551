"""Every fault that befalls streams, brought about by a script and seen from the other end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from exchange.testing import ServedExchange
from tests.support.exchanges import make_exchange, make_venue, open_ns, served, tick_ns
from tests.support.faulty_exchanges import Start, starting
from tests.support.wire_client import (
    MarketUpdates,
    TradeUpdates,
    listening,
    market_updates,
    subscribed,
)

Watch = Callable[[str], tuple[ServedExchange, MarketUpdates]]
SOON_S = 0.15
STEPS = ["pending_new", "new", "fill"]


@pytest.fixture
def start() -> Iterator[Start]:
    with starting() as begin:
        yield begin


@pytest.fixture
def watch() -> Iterator[Watch]:
    with ExitStack() as stack:

        def begin(script: str) -> tuple[ServedExchange, MarketUpdates]:
            running = served(make_exchange(make_venue(at_ns=tick_ns(0))), script)
            exchange = stack.enter_context(running)
            line = subscribed(exchange.data_stream_url, trades=["AAA"], quotes=["AAA", "BBB"])
            return exchange, stack.enter_context(line)

        yield begin


def fault(kind: str, *lines: str) -> str:
    return "\n".join(["[[fault]]", f'kind = "{kind}"', *lines, ""])


def told(updates: TradeUpdates, count: int) -> list[str]:
    return [updates.update()["event"] for _ in range(count)]


def test_a_fill_is_missing_and_the_account_has_it(start: Start) -> None:
    _, client, updates = start(fault("stream.lost", 'event = "fill"'))
    client.place("AAA", "buy", qty="1")
    client.place("BBB", "buy", qty="1", type="limit", limit_price="50")
    assert told(updates, 4) == ["pending_new", "new", "pending_new", "new"]
    assert len(client.fills()) == 1


def test_an_update_comes_twice_word_for_word(start: Start) -> None:
    _, client, updates = start(fault("stream.doubled", 'event = "fill"'))
    client.place("AAA", "buy", qty="1")
    assert told(updates, 2) == STEPS[:2]
    first, second = updates.update(), updates.update()
    assert (first["event"], first) == ("fill", second)


def test_an_update_comes_late_in_market_time(start: Start) -> None:
    exchange, client, updates = start(
        fault("stream.delayed", 'event = "fill"', "delay_market_s = 20")
    )
    client.place("AAA", "buy", qty="1")
    assert told(updates, 2) == STEPS[:2]
    with pytest.raises(TimeoutError):
        updates.update(SOON_S)
    exchange.advance(exchange.exchange.venue.now_ns + 21 * 10**9)
    assert told(updates, 1) == ["fill"]


def test_an_update_comes_late_in_real_time(start: Start) -> None:
    _, client, updates = start(fault("stream.delayed", 'event = "new"', "delay_s = 0.1"))
    client.place("AAA", "buy", qty="1")
    assert told(updates, 3) == ["pending_new", "fill", "new"]


def test_updates_change_places(start: Start) -> None:
    _, client, updates = start(fault("stream.swapped", 'event = "new"'))
    client.place("AAA", "buy", qty="1")
    assert told(updates, 3) == ["pending_new", "fill", "new"]


def test_a_muted_stream_is_silent_until_it_reconnects(start: Start) -> None:
    exchange, client, updates = start(fault("stream.muted", 'event = "new"', "nth = 1"))
    client.place("AAA", "buy", qty="1")
    client.place("BBB", "buy", qty="1")
    assert told(updates, 1) == ["pending_new"]
    with pytest.raises(TimeoutError):
        updates.update(SOON_S)
    updates.close()
    with listening(exchange.stream_url) as again:
        client.place("AAA", "buy", qty="1")
        assert told(again, 3) == STEPS


def test_a_stalled_stream_says_everything_at_once_later(start: Start) -> None:
    exchange, client, updates = start(
        fault("stream.stalled", 'event = "pending_new"', "nth = 1", "delay_market_s = 30")
    )
    client.place("AAA", "buy", qty="1")
    with pytest.raises(TimeoutError):
        updates.update(SOON_S)
    exchange.advance(exchange.exchange.venue.now_ns + 31 * 10**9)
    assert told(updates, 3) == STEPS


def test_a_stream_is_dropped_without_a_farewell(start: Start) -> None:
    exchange, client, updates = start(fault("stream.dropped", 'event = "fill"', "nth = 1"))
    client.place("AAA", "buy", qty="1")
    with pytest.raises(ConnectionClosed) as ended:
        told(updates, 4)
    assert ended.value.rcvd is None
    with listening(exchange.stream_url) as again:
        client.place("AAA", "buy", qty="1")
        assert told(again, 3) == STEPS


def test_a_stream_is_dropped_at_an_instant(start: Start) -> None:
    exchange, _, updates = start(fault("stream.dropped", "from = 2026-01-05T14:31:00Z"))
    exchange.advance(open_ns() + 90 * 10**9)
    with pytest.raises(ConnectionClosed):
        updates.update()


def test_the_data_stream_loses_and_doubles_messages_of_its_own(watch: Watch) -> None:
    exchange, updates = watch(
        fault("stream.lost", 'stream = "data"', 'event = "t"')
        + fault("stream.doubled", 'stream = "data"', 'symbols = ["BBB"]')
    )
    exchange.advance(tick_ns(1))
    names = [(m["T"], m["S"]) for m in updates.messages(3)]
    assert names == [("q", "AAA"), ("q", "BBB"), ("q", "BBB")]


def test_the_data_stream_delays_messages(watch: Watch) -> None:
    exchange, updates = watch(
        fault("stream.delayed", 'stream = "data"', 'event = "t"', "delay_market_s = 45")
    )
    exchange.advance(tick_ns(1))
    assert [m["T"] for m in updates.messages(2)] == ["q", "q"]
    exchange.advance(tick_ns(3))
    later = [(m["T"], m["t"][14:19]) for m in updates.messages(5)]
    assert later == [("q", "31:29"), ("q", "31:29"), ("t", "30:59"), ("q", "31:59"), ("q", "31:59")]


def test_the_data_stream_is_dropped(watch: Watch) -> None:
    exchange, updates = watch(fault("stream.dropped", 'stream = "data"', "nth = 1", 'event = "q"'))
    exchange.advance(tick_ns(1))
    with pytest.raises(ConnectionClosed):
        updates.messages(10)


def test_the_data_stream_tells_absurd_prices(watch: Watch) -> None:
    exchange, updates = watch(
        fault("price.scaled", "factor = 10", 'symbols = "AAA"')
        + fault("price.shifted", "offset_s = 3600", 'symbols = "BBB"')
    )
    exchange.advance(tick_ns(1))
    trade, quote, other = updates.messages(3)
    assert (trade["p"], quote["bp"], quote["ap"]) == (1000.0, 999.9, 1000.1)
    assert (other["bp"], other["t"][11:16]) == (99.99, "15:30")


@pytest.mark.wire("code.500")
def test_a_subscription_fails_inside_the_server_and_the_next_one_does_not(watch: Watch) -> None:
    exchange, updates = watch(fault("stream.refused", 'event = "subscribe"', "nth = 2"))
    error = {"T": "error", "code": 500, "msg": "internal error"}
    assert updates.subscribe(trades=["BBB"]) == error
    assert updates.subscribe(trades=["BBB"])["trades"] == ["AAA", "BBB"]
    assert exchange.happened() == ["stream.refused#1"]


@pytest.mark.wire("code.411")
def test_keys_without_the_scope_stay_connected_and_unauthenticated(watch: Watch) -> None:
    script = fault("stream.refused", 'event = "auth"', "code = 411", "nth = 2")
    exchange, _ = watch(script)
    with market_updates(exchange.data_stream_url) as updates:
        updates.greeting()
        error = {"T": "error", "code": 411, "msg": "insufficient scope"}
        assert updates.authenticate() == [error]
        assert updates.subscribe(trades=["AAA"])["code"] == 401

"""Every fault that befalls requests, brought about by a script and seen from the other end."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from exchange.testing import ServedExchange
from tests.support.exchanges import make_exchange, make_venue, open_ns, served, tick_ns
from tests.support.wire_client import Reply, RestClient, WireError

Start = Callable[[str], tuple[ServedExchange, RestClient]]
ORDER = {"symbol": "AAA", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(script: str) -> tuple[ServedExchange, RestClient]:
            running = served(make_exchange(make_venue(at_ns=tick_ns(0))), script)
            exchange = stack.enter_context(running)
            client = RestClient(exchange.url, timeout_s=5.0)
            stack.callback(client.close)
            return exchange, client

        yield begin


def fault(kind: str, *lines: str) -> str:
    return "\n".join(["[[fault]]", f'kind = "{kind}"', *lines, ""])


def post(client: RestClient, **fields: Any) -> Reply:
    return client.ask("POST", "/v2/orders", body={**ORDER, **fields})


def ids(exchange: ServedExchange) -> list[str]:
    return [order.client_order_id for order in exchange.exchange.venue.book.by_id.values()]


ON_ORDERS = 'method = "POST"\npath = "/v2/orders"'


def test_a_storm_answers_429_and_nothing_is_ordered(start: Start) -> None:
    exchange, client = start(fault("api.limited", ON_ORDERS, "times = 2"))
    replies = [post(client, client_order_id=f"o{n}") for n in range(3)]
    assert [r.status for r in replies] == [429, 429, 200]
    assert replies[0].json() == {"code": 42910000, "message": "rate limit exceeded"}
    assert ids(exchange) == ["o2"]


def test_the_data_api_s_storm_has_no_headers_to_go_by(start: Start) -> None:
    _, client = start(fault("api.limited", 'path = "/v2/stocks/*"'))
    reply = client.ask("GET", "/v2/stocks/snapshots", {"symbols": "AAA"})
    assert (reply.status, reply.json()) == (429, {"message": "too many requests."})
    assert not any(name.startswith("x-ratelimit") for name in reply.headers)
    assert client.ask("GET", "/v2/account").status == 200


@pytest.mark.parametrize(("status", "code"), [(500, 50010000), (503, 50310000), (504, 50410000)])
def test_a_failing_server_says_so_in_json(start: Start, status: int, code: int) -> None:
    exchange, client = start(fault("api.failing", ON_ORDERS, f"status = {status}"))
    reply = post(client)
    assert (reply.status, reply.json()["code"]) == (status, code)
    assert ids(exchange) == []


def test_a_proxy_fails_in_html(start: Start) -> None:
    exchange, client = start(fault("api.failing", ON_ORDERS, "status = 502", 'how = "html"'))
    reply = post(client)
    assert (reply.status, reply.is_json) == (502, False)
    assert b"502 Bad Gateway" in reply.content
    assert ids(exchange) == []


def test_a_time_out_before_acceptance_leaves_no_order(start: Start) -> None:
    exchange, client = start(fault("api.hung", ON_ORDERS, "times = 1"))
    client.timeout_s = 0.3
    with pytest.raises(TimeoutError):
        post(client, client_order_id="lost")
    assert ids(exchange) == []
    assert post(client, client_order_id="lost").status == 200


def test_a_time_out_after_acceptance_leaves_the_order(start: Start) -> None:
    exchange, client = start(fault("api.lost", ON_ORDERS, "times = 1"))
    client.timeout_s = 0.3
    with pytest.raises(TimeoutError):
        post(client, client_order_id="mine")
    assert client.order_by_client_id("mine")["status"] == "filled"
    assert post(client, client_order_id="mine").status == 422
    assert ids(exchange) == ["mine"]


def test_a_gateway_says_504_after_acceptance(start: Start) -> None:
    exchange, client = start(fault("api.lost", ON_ORDERS, 'how = "504"'))
    assert post(client, client_order_id="mine").status == 504
    assert ids(exchange) == ["mine"]


def test_a_held_connection_ends_when_its_time_is_up(start: Start) -> None:
    _, client = start(fault("api.hung", "delay_s = 0.1"))
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        client.account()


def test_a_connection_is_reset_before_anything_is_done(start: Start) -> None:
    exchange, client = start(fault("api.dropped", ON_ORDERS))
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        post(client)
    assert ids(exchange) == []


def test_a_connection_is_reset_in_the_midst_of_the_answer(start: Start) -> None:
    exchange, client = start(fault("api.reset", ON_ORDERS))
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        post(client, client_order_id="mine")
    assert ids(exchange) == ["mine"]


def test_half_of_the_answer_comes_as_if_it_were_whole(start: Start) -> None:
    exchange, client = start(fault("api.garbled", ON_ORDERS, 'how = "half"'))
    reply = post(client, client_order_id="mine")
    assert reply.status == 200
    assert int(reply.headers["content-length"]) == len(reply.content)
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert ids(exchange) == ["mine"]


@pytest.mark.parametrize(("how", "end"), [("invalid", b",}"), ("empty", b""), ("html", b"\r\n")])
def test_an_answer_is_no_json(start: Start, how: str, end: bytes) -> None:
    exchange, client = start(fault("api.garbled", ON_ORDERS, f'how = "{how}"'))
    reply = post(client, client_order_id="mine")
    assert reply.status == 200
    assert reply.content.endswith(end)
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert ids(exchange) == ["mine"]


def test_a_slow_answer_is_late_and_whole(start: Start) -> None:
    _, client = start(fault("api.slow", "delay_s = [0.15, 0.2]", 'path = "/v2/account"'))
    began = time.perf_counter()
    assert client.account()["cash"] == "100000"
    assert time.perf_counter() - began >= 0.15


def test_a_late_order_is_taken_when_market_time_has_passed(start: Start) -> None:
    exchange, client = start(fault("api.late", ON_ORDERS, "delay_market_s = 30", "times = 1"))
    client.timeout_s = 0.3
    with pytest.raises(TimeoutError):
        post(client, client_order_id="late")
    assert ids(exchange) == []
    exchange.advance(exchange.exchange.venue.now_ns + 31 * 10**9)
    assert client.order_by_client_id("late")["client_order_id"] == "late"


def test_an_accepted_order_is_not_found_for_a_while(start: Start) -> None:
    exchange, client = start(fault("api.blind", ON_ORDERS, "delay_market_s = 5"))
    assert post(client, client_order_id="mine").status == 200
    with pytest.raises(WireError) as unseen:
        client.order_by_client_id("mine")
    assert (unseen.value.status, unseen.value.code) == (404, 40410000)
    exchange.advance(exchange.exchange.venue.now_ns + 6 * 10**9)
    assert client.order_by_client_id("mine")["status"] == "filled"


def test_a_repeated_id_is_refused_for_want_of_money(start: Start) -> None:
    _, client = start(fault("api.refused", ON_ORDERS))
    assert post(client, client_order_id="mine").status == 200
    assert post(client, client_order_id="mine").status == 403
    assert post(client, client_order_id="other").status == 200


def test_a_rule_finds_its_request_by_body_and_number(start: Start) -> None:
    exchange, client = start(
        fault("api.failing", ON_ORDERS, 'body = {symbol = "BBB", side = "b*"}', "nth = [2, 3]")
    )
    statuses = [post(client, symbol=s).status for s in ("BBB", "AAA", "BBB", "BBB", "BBB")]
    assert statuses == [200, 200, 500, 500, 200]
    assert exchange.happened() == ["api.failing#1", "api.failing#1"]


def test_a_rule_holds_in_its_window_of_market_time(start: Start) -> None:
    exchange, client = start(
        fault("api.limited", "from = 2026-01-05T14:32:00Z", "until = 2026-01-05T14:33:00Z")
    )
    statuses = []
    for minute in (1, 2, 3):
        exchange.advance(open_ns() + minute * 60 * 10**9)
        statuses.append(client.ask("GET", "/v2/account").status)
    assert statuses == [200, 429, 200]


def test_the_same_seed_befalls_the_same_requests(start: Start) -> None:
    def statuses(seed: int) -> list[int]:
        script = f"seed = {seed}\n" + fault("api.failing", "share = 0.5")
        _, client = start(script)
        return [client.ask("GET", "/v2/account").status for _ in range(40)]

    first = statuses(3)
    assert statuses(3) == first
    assert statuses(4) != first
    assert 8 < first.count(500) < 32


def test_the_clock_is_skewed(start: Start) -> None:
    exchange, client = start(fault("clock.skewed", "offset_s = 3600.0"))
    reply = client.ask("GET", "/v2/clock")
    assert reply.json()["timestamp"].startswith("2026-01-05T10:30:29")
    assert reply.headers["date"] == "Mon, 05 Jan 2026 15:30:29 GMT"
    assert exchange.exchange.venue.now_ns == tick_ns(0)


def test_an_account_is_blocked_until_it_is_not(start: Start) -> None:
    exchange, client = start(
        fault("account.blocked", "from = 2026-01-05T14:32:00Z", "until = 2026-01-05T14:34:00Z")
    )
    assert post(client).status == 200
    exchange.advance(open_ns() + 150 * 10**9)
    refused = post(client)
    assert (refused.status, refused.json()["code"]) == (403, 40310000)
    assert client.account()["trading_blocked"] is True
    exchange.advance(open_ns() + 300 * 10**9)
    assert post(client).status == 200


def test_a_symbol_is_halted_until_it_trades_again(start: Start) -> None:
    exchange, client = start(
        fault(
            "market.halted",
            'symbol = "BBB"',
            "from = 2026-01-05T14:32:00Z",
            "until = 2026-01-05T14:34:00Z",
        )
    )
    exchange.advance(open_ns() + 150 * 10**9)
    placed = [client.place(symbol, "buy", qty="1")["id"] for symbol in ("AAA", "BBB")]
    exchange.advance(open_ns() + 210 * 10**9)
    assert [client.order(i)["status"] for i in placed] == ["filled", "new"]
    exchange.advance(open_ns() + 300 * 10**9)
    assert client.order(placed[1])["status"] == "filled"


def test_a_position_is_changed_by_hand_at_an_instant(start: Start) -> None:
    exchange, client = start(
        fault(
            "account.order",
            'symbol = "BBB"',
            'side = "buy"',
            'qty = "7"',
            "from = 2026-01-05T14:32:00Z",
        )
    )
    assert client.positions() == []
    exchange.advance(open_ns() + 180 * 10**9)
    assert [(p["symbol"], p["qty"]) for p in client.positions()] == [("BBB", "7")]
    assert client.fills()[0]["transaction_time"].startswith("2026-01-05T14:32:00")


def test_a_position_is_changed_by_hand_when_an_order_comes(start: Start) -> None:
    _, client = start(
        fault("account.order", ON_ORDERS, 'symbol = "BBB"', 'side = "sell"', 'qty = "3"', "nth = 1")
    )
    post(client)
    assert {p["symbol"]: p["qty"] for p in client.positions()} == {"AAA": "1", "BBB": "-3"}


@pytest.mark.parametrize(
    ("lines", "bid"),
    [
        (("price.scaled", "factor = 10.0"), 999.9),
        (("price.scaled", "factor = 0"), 0),
        (("price.scaled", "factor = -1"), -99.99),
        (("price.null",), None),
        (("price.crossed",), 100.01),
    ],
)
def test_prices_go_astray(start: Start, lines: tuple[str, ...], bid: float | None) -> None:
    _, client = start(fault(*lines, 'symbols = "AAA"'))
    quotes = client.latest("quotes", ["AAA", "BBB"])
    assert quotes["AAA"]["bp"] == bid
    assert quotes["BBB"]["bp"] == 99.99
    assert client.snapshots(["AAA"])["AAA"]["latestQuote"]["bp"] == bid
    single = client.call("GET", "/v2/stocks/AAA/quotes/latest")
    assert single["quote"]["bp"] == bid


def test_bars_and_trades_go_astray_too(start: Start) -> None:
    exchange, client = start(fault("price.scaled", "factor = 2", 'symbols = "AAA"'))
    exchange.advance(open_ns() + 120 * 10**9)
    assert client.history("bars", ["AAA"], timeframe="1Min")["AAA"][0]["c"] == 200.0
    assert client.latest("trades", ["AAA"])["AAA"]["p"] == 200.0
    assert client.place("AAA", "buy", qty="1")["status"] == "pending_new"
    assert client.fills()[0]["price"] == "100.01"


def test_a_symbol_is_not_mentioned(start: Start) -> None:
    _, client = start(fault("price.missing", 'symbols = ["BBB"]'))
    assert list(client.snapshots(["AAA", "BBB"])) == ["AAA"]
    assert list(client.latest("quotes", ["AAA", "BBB"])) == ["AAA"]


def test_quotes_come_from_the_past(start: Start) -> None:
    _, client = start(fault("price.shifted", "offset_s = -600"))
    assert client.latest("quotes", ["AAA"])["AAA"]["t"].startswith("2026-01-05T14:20:29")


def test_a_handshake_is_refused_where_a_rule_names_the_stream(start: Start) -> None:
    exchange, client = start(fault("api.failing", "status = 503", 'path = "/stream"'))
    head = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert client.ask("GET", "/stream", headers=head).status == 503
    assert exchange.happened() == ["api.failing#1"]

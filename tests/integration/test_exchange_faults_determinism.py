"""In lockstep the same seed, market, faults and requests give the same bytes, faults included."""

from typing import Any

from exchange.testing import ServedExchange
from tests.support.exchanges import make_exchange, make_venue, open_ns, random_market, served
from tests.support.wire_client import RestClient, listening, subscribed

SCRIPT = """
seed = {seed}
[[fault]]
kind = "api.failing"
share = 0.15
path = "/v2/orders*"
[[fault]]
kind = "api.garbled"
share = 0.1
[[fault]]
kind = "stream.doubled"
share = 0.2
[[fault]]
kind = "stream.delayed"
share = 0.2
delay_market_s = {{mean = 20}}
[[fault]]
kind = "stream.swapped"
share = 0.2
[[fault]]
kind = "api.unknown"
share = 0.2
[[fault]]
kind = "stream.unknown"
share = 0.2
[[fault]]
kind = "order.turned"
how = "trade_bust"
event = "fill"
share = 0.3
delay_market_s = [1, 40]
[[fault]]
kind = "price.scaled"
factor = 10
share = 0.1
[[fault]]
kind = "stream.lost"
stream = "data"
share = 0.2
[[fault]]
kind = "account.order"
symbol = "BBB"
side = "buy"
qty = "3"
from = 2026-01-05T14:33:00Z
"""
MINUTES = 6
Told = list[Any]


def played(seed: int) -> Told:
    """Return everything an exchange answered and said in six minutes of the same requests."""
    venue = make_venue(random_market(5), at_ns=open_ns() + 1)
    with served(make_exchange(venue), SCRIPT.format(seed=seed)) as exchange:
        return _told(exchange)


def _told(exchange: ServedExchange) -> Told:
    client = RestClient(exchange.url)
    told: Told = []
    with (
        listening(exchange.stream_url) as orders,
        subscribed(exchange.data_stream_url, trades=["*"], quotes=["*"]) as prices,
    ):
        for minute in range(MINUTES):
            for number, symbol in enumerate(("AAA", "BBB", "AAA")):
                body = {"symbol": symbol, "qty": "5", "side": "buy", "type": "market"}
                body |= {"time_in_force": "day", "client_order_id": f"{minute}-{number}"}
                told.append(_answer(client, "POST", "/v2/orders", body=body))
            exchange.advance(open_ns() + (minute + 1) * 60 * 10**9)
            for path in ("/v2/account", "/v2/positions", "/v2/stocks/snapshots"):
                told.append(_answer(client, "GET", path, {"symbols": "AAA,BBB"}))
        for line in (orders, prices):
            told.append(list(_frames(line)))
    client.close()
    return told


def _answer(client: RestClient, method: str, path: str, query: Any = None, body: Any = None) -> Any:
    reply = client.ask(method, path, query, body)
    return reply.status, reply.content, dict(reply.headers)


def _frames(line: Any) -> Any:
    try:
        while True:
            yield line.next(0.3)
    except TimeoutError:
        return


def test_the_same_faults_befall_the_same_session_byte_for_byte() -> None:
    first = played(7)
    assert played(7) == first
    assert played(8) != first
    assert {status for status, *_ in first[:-2]} == {200, 500}
    assert len(first[-1]) > MINUTES

"""Rows of the wire's specification that no client library shows: types, keys, frames, limits."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from alpaca.trading import enums
from websockets.exceptions import ConnectionClosed

from exchange.knobs import WireLimits
from exchange.orders import OrderClass, OrderType, PositionIntent, Status, TimeInForce
from tests.support.exchanges import (
    Served,
    close_ns,
    make_exchange,
    make_venue,
    open_ns,
    served,
    tick_ns,
)
from tests.support.wire_client import RestClient, market_updates, subscribed


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(make_exchange(make_venue(at_ns=tick_ns(0)))) as running:
        yield running


@pytest.fixture
def client(exchange: Served) -> Iterator[RestClient]:
    client = RestClient(exchange.url)
    yield client
    client.close()


@pytest.mark.wire("keys.headers")
@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title])
def test_keys_are_let_in_however_their_headers_are_spelt(client: RestClient, spelt: Any) -> None:
    headers = {spelt("apca-api-key-id"): "key", spelt("apca-api-secret-key"): "secret"}
    assert client.ask("GET", "/v2/account", headers=headers).status == 200


@pytest.mark.wire("keys.basic-bearer")
def test_basic_and_bearer_are_let_in(client: RestClient) -> None:
    basic = base64.b64encode(b"key:secret").decode()
    for value, status in ((f"Basic {basic}", 200), ("Bearer token", 200), ("Digest x", 401)):
        reply = client.ask("GET", "/v2/account", headers={"Authorization": value})
        assert reply.status == status, value


@pytest.mark.wire("query.booleans")
@pytest.mark.parametrize("text", ["True", "true", "TRUE"])
def test_a_query_s_booleans_are_read_whatever_their_case(client: RestClient, text: str) -> None:
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    client.place("AAA", "buy", qty="1", order_class="bracket", **exits)
    (head,) = client.orders(status="all", nested=text)
    assert len(head["legs"]) == 2


@pytest.mark.wire("body.numbers")
@pytest.mark.parametrize("qty", [10, 10.0, "10", "10.000", 1e1])
def test_numbers_come_as_numbers_or_strings(client: RestClient, qty: Any) -> None:
    placed = client.place("AAA", "buy", qty=qty, type="limit", limit_price=99.5)
    assert (placed["qty"], placed["limit_price"]) == ("10", "99.5")


@pytest.mark.wire("encoding.data")
def test_market_data_and_equity_are_numbers(exchange: Served, client: RestClient) -> None:
    exchange.advance(open_ns() + 150 * 10**9)
    bar = client.latest("bars", ["AAA"])["AAA"]
    assert set(bar) == {"t", "o", "h", "l", "c", "v", "n", "vw"}
    assert {type(bar[k]) for k in "ohlc"} == {float}
    assert {type(bar[k]) for k in "vn"} == {int}
    quote = client.latest("quotes", ["AAA"])["AAA"]
    assert {type(quote[k]) for k in ("ap", "bp")} == {float}
    assert {type(quote[k]) for k in ("as", "bs")} == {int}
    trade = client.latest("trades", ["AAA"])["AAA"]
    assert (type(trade["p"]), type(trade["s"]), type(trade["i"])) == (float, int, int)
    history = client.portfolio_history()
    assert {type(x) for name in ("equity", "profit_loss") for x in history[name]} == {float}
    assert {type(x) for x in history["timestamp"]} == {int}


@pytest.mark.wire("encoding.enums")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Status, enums.OrderStatus),
        (OrderType, enums.OrderType),
        (TimeInForce, enums.TimeInForce),
        (PositionIntent, enums.PositionIntent),
        (OrderClass, enums.OrderClass),
    ],
)
def test_no_value_is_told_that_alpaca_py_does_not_know(ours: Any, theirs: Any) -> None:
    known = {member.value for member in theirs}
    assert {member.value for member in ours} - {""} <= known


@pytest.mark.wire("encoding.types")
def test_an_order_s_fields_have_the_types_strict_clients_need(client: RestClient) -> None:
    client.place("AAA", "buy", qty="1")
    client.place("AAA", "buy", notional=50.5)
    client.place("BBB", "buy", qty="1", type="trailing_stop", trail_percent=2.5)
    for order in client.orders(status="all"):
        for name in ("notional", "trail_percent", "trail_price", "hwm", "qty", "limit_price"):
            assert isinstance(order[name], str | None), name
        for name in ("submitted_at", "created_at", "updated_at"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}Z", order[name])
        assert isinstance(order["legs"], list | None)
        assert order["order_class"] == ""


@pytest.mark.wire("assets.keys")
def test_assets_have_the_recorded_keys_and_filters(client: RestClient) -> None:
    (asset, _) = client.assets(status="active", asset_class="us_equity")
    assert set(asset) >= {
        "id",
        "class",
        "exchange",
        "symbol",
        "name",
        "status",
        "tradable",
        "marginable",
        "shortable",
        "easy_to_borrow",
        "fractionable",
        "maintenance_margin_requirement",
        "margin_requirement_long",
        "margin_requirement_short",
        "attributes",
    }
    assert asset["exchange"] in {member.value for member in enums.AssetExchange}
    assert client.asset(asset["id"]) == asset
    assert client.assets(status="inactive") == client.assets(asset_class="crypto") == []


@pytest.mark.wire("data.fragments")
def test_a_subscription_may_come_in_fragments(exchange: Served) -> None:
    many = [f"S{n:05}" for n in range(6000)]
    text = '{"action":"subscribe","trades":["' + '","'.join(many) + '"]}'
    parts = [text[i : i + 32_768] for i in range(0, len(text), 32_768)]
    assert len(parts) > 1
    with market_updates(exchange.data_stream_url) as updates:
        updates.greeting()
        updates.authenticate()
        updates.send_parts(parts)
        (ack,) = updates.next()
        assert ack["trades"] == many


@pytest.mark.wire("code.405")
def test_too_many_symbols_leave_the_subscription_as_it_was() -> None:
    limits = WireLimits(data_symbols_max=2)
    with (
        served(make_exchange(make_venue(at_ns=tick_ns(0)), limits=limits)) as exchange,
        subscribed(exchange.data_stream_url, trades=["AAA"], bars=["*"]) as updates,
    ):
        updates.send({"action": "subscribe", "trades": ["BBB"], "quotes": ["CCC"]})
        assert updates.next() == [{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]
        assert updates.subscribe(quotes=["AAA"])["trades"] == ["AAA"]


@pytest.mark.wire("code.407")
def test_a_slow_client_is_told_and_cut_off() -> None:
    limits = WireLimits(stream_queue_max=3)
    with (
        served(make_exchange(make_venue(at_ns=tick_ns(0)), limits=limits)) as exchange,
        subscribed(exchange.data_stream_url, trades=["*"], quotes=["*"]) as updates,
    ):
        exchange.advance(close_ns())
        codes = []
        with pytest.raises(ConnectionClosed):
            while True:
                codes += [m["code"] for m in updates.next() if m["T"] == "error"]
        assert codes == [407]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/orders", {"client_order_id": "\ud800"}),
        ("/v2/orders", {"symbol": "A\udfff"}),
        ("/v2/watchlists", {"name": "\ud83d"}),
        ("/v2/watchlists", {"name": "x", "\udc00": 1}),
    ],
)
def test_half_a_character_is_no_text(client: RestClient, path: str, body: dict[str, Any]) -> None:
    """JSON can escape halves of characters; nothing could write them down again."""
    order = {"symbol": "AAA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    reply = client.ask("POST", path, body={**order, **body})
    assert (reply.status, reply.json()["code"]) == (400, 40010000)
    whole = {**order, "client_order_id": "\N{ROCKET}", "name": "\N{ROCKET}"}
    assert client.ask("POST", path, body=whole).status == 200
    assert client.orders(status="all") == client.orders(status="all")

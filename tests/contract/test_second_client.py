"""A second client, written from the published wire alone, can do all that one needs."""

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest
from websockets.exceptions import InvalidStatus

from exchange.knobs import WireLimits
from tests.support.exchanges import (
    DAYS,
    Served,
    close_ns,
    make_exchange,
    make_venue,
    open_ns,
    served,
    tick_ns,
)
from tests.support.wire_client import (
    RestClient,
    WireError,
    listening,
    market_updates,
    subscribed,
    trade_updates,
)

MINUTE_NS = 60 * 10**9


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(make_exchange(make_venue(at_ns=tick_ns(0)))) as running:
        yield running


@pytest.fixture
def client(exchange: Served) -> Iterator[RestClient]:
    client = RestClient(exchange.url)
    yield client
    client.close()


def test_it_trades_a_round_and_the_money_adds_up(exchange: Served, client: RestClient) -> None:
    bought = client.place("AAA", "buy", qty="150")
    assert client.order(bought["id"])["filled_qty"] == "100"
    exchange.advance(tick_ns(2))
    assert client.order(bought["id"])["status"] == "filled"
    client.close_position("AAA", percentage=50)
    client.place("BBB", "sell", qty="3")
    client.close_all()
    exchange.advance(tick_ns(4))
    assert client.positions() == []
    flow = sum(
        Decimal(f["qty"]) * Decimal(f["price"]) * (-1 if f["side"] == "buy" else 1)
        for f in client.fills(direction="asc", page_size=1)
    )
    assert Decimal(client.account()["cash"]) == 100_000 + flow


def test_it_replaces_and_cancels(client: RestClient) -> None:
    first = client.place("AAA", "buy", qty="1", type="limit", limit_price="90", time_in_force="gtc")
    second = client.replace(first["id"], qty="2", limit_price="91.5", client_order_id="second")
    assert client.order(first["id"])["replaced_by"] == second["id"]
    assert client.order_by_client_id("second")["limit_price"] == "91.5"
    client.cancel(second["id"])
    with pytest.raises(WireError) as finished:
        client.cancel(second["id"])
    assert (finished.value.status, finished.value.code) == (422, 42210000)
    client.place("AAA", "buy", qty="1", type="limit", limit_price="90")
    assert [row["status"] for row in client.cancel_all()] == [200]
    assert client.orders(status="open") == []
    assert len(client.orders(status="all", direction="asc")) == 3


def test_it_reads_the_market(exchange: Served, client: RestClient) -> None:
    exchange.advance(close_ns(DAYS[1]))
    assert client.clock()["is_open"] is False
    assert [d["date"] for d in client.calendar(start=DAYS[0], end=DAYS[1])] == [
        "2026-01-05",
        "2026-01-06",
    ]
    assert [a["symbol"] for a in client.assets(status="active")] == ["AAA", "BBB"]
    assert client.asset("AAA")["class"] == "us_equity"
    bars = client.history("bars", ["AAA", "BBB"], timeframe="1Min", start="2026-01-05", limit=7)
    assert {symbol: len(rows) for symbol, rows in bars.items()} == {"AAA": 20, "BBB": 20}
    assert set(client.latest("trades", ["AAA", "ZZZ"])) == {"AAA"}
    assert set(client.snapshots(["AAA"])["AAA"]) == {
        "latestTrade",
        "latestQuote",
        "minuteBar",
        "dailyBar",
        "prevDailyBar",
    }
    assert all(isinstance(e, float) for e in client.portfolio_history()["equity"])


def test_it_configures_the_account(client: RestClient) -> None:
    assert client.configure(suspend_trade=True)["suspend_trade"] is True
    with pytest.raises(WireError) as suspended:
        client.place("AAA", "buy", qty="1")
    assert (suspended.value.status, suspended.value.code) == (403, 40310000)
    assert client.configurations()["suspend_trade"] is True


@pytest.mark.wire("update.new", "update.fill", "update.replaced", "stream.frames")
@pytest.mark.parametrize("packs", [False, True])
def test_it_hears_every_step_of_its_orders(
    exchange: Served, client: RestClient, packs: bool
) -> None:
    with listening(exchange.stream_url, packs=packs) as updates:
        placed = client.place("AAA", "buy", qty="150")
        exchange.advance(tick_ns(2))
        resting = client.place("AAA", "buy", qty="1", type="limit", limit_price="90")
        moved = client.replace(resting["id"], limit_price="91")
        client.cancel(moved["id"])
        heard = [updates.update() for _ in range(9)]
        names = [u["event"] for u in heard]
        assert names[:4] == ["pending_new", "new", "partial_fill", "fill"]
        assert names[4:] == ["pending_new", "new", "replaced", "new", "canceled"]
        assert [u["position_qty"] for u in heard if "position_qty" in u] == ["100", "150"]
        assert {u["order"]["id"] for u in heard[:4]} == {placed["id"]}
        ids = [u["event_id"] for u in heard]
        assert ids == sorted(set(ids))
        assert set(updates.frame_kinds) == {bytes}


@pytest.mark.wire("stream.auth", "stream.listen")
def test_both_forms_of_authentication_are_understood(exchange: Served) -> None:
    with trade_updates(exchange.stream_url) as updates:
        assert updates.auth() == "authorized"
        assert updates.listen("trade_updates", "nonsense") == ["trade_updates"]
        assert updates.listen() == []


@pytest.mark.wire("GET /stream/")
def test_a_slash_behind_the_stream_is_no_other_stream(exchange: Served) -> None:
    # alpaca-trade-api 3.2 for Python asks for it so.
    with (
        listening(exchange.stream_url),
        pytest.raises(InvalidStatus) as refused,
        trade_updates(exchange.stream_url + "/"),
    ):
        pass
    assert refused.value.response.status_code == 429
    with listening(exchange.stream_url + "/") as updates:
        client = RestClient(exchange.url)
        client.place("AAA", "buy", qty="1")
        client.close()
        assert updates.update()["event"] == "pending_new"


@pytest.mark.wire(
    "data.formats", "data.subscribe", "message.bars", "message.trade", "message.quote"
)
@pytest.mark.parametrize("packs", [False, True])
def test_it_follows_the_market(exchange: Served, packs: bool) -> None:
    channels = {"trades": ["AAA"], "quotes": ["BBB"], "bars": ["*"], "dailyBars": ["AAA"]}
    with subscribed(exchange.data_stream_url, packs=packs, **channels) as updates:
        exchange.advance(open_ns() + MINUTE_NS)
        told = [(m["T"], m["S"]) for m in updates.messages(5)]
        assert sorted(told) == [
            ("b", "AAA"),
            ("b", "BBB"),
            ("d", "AAA"),
            ("q", "BBB"),
            ("t", "AAA"),
        ]
        ack = updates.unsubscribe(trades=["AAA"], bars=["*"])
        assert (ack["trades"], ack["bars"], ack["quotes"]) == ([], [], ["BBB"])
        exchange.advance(open_ns() + 2 * MINUTE_NS)
        rest = [m["T"] for m in updates.messages(3)]
        assert sorted(rest) == ["d", "q", "q"]


@pytest.mark.wire("data.timestamps")
def test_a_timestamp_in_messagepack_is_its_own_type(exchange: Served) -> None:
    with subscribed(exchange.data_stream_url, packs=True, trades=["AAA"]) as updates:
        exchange.advance(tick_ns(1))
        (trade,) = updates.messages(1)
        assert trade["t"].isoformat() == "2026-01-05T14:30:59.999000+00:00"


@pytest.mark.wire("data.greeting", "message.control")
def test_keys_in_the_handshake_authenticate_the_data_stream(exchange: Served) -> None:
    headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
    with market_updates(exchange.data_stream_url, headers=headers) as updates:
        assert updates.greeting() == [{"T": "success", "msg": "connected"}]
        assert updates.next() == [{"T": "success", "msg": "authenticated"}]


def test_many_clients_follow_the_market_at_once() -> None:
    limits = WireLimits(data_sockets_max=5)
    with served(make_exchange(make_venue(at_ns=tick_ns(0)), limits=limits)) as exchange:
        with ExitStack() as stack:
            lines = [
                stack.enter_context(subscribed(exchange.data_stream_url, trades=["*"]))
                for _ in range(5)
            ]
            exchange.advance(tick_ns(2))
            heard = [[m["t"] for m in line.messages(4)] for line in lines]
        assert heard == [heard[0]] * 5

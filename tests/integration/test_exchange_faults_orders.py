"""Orders and trades that become something rare by a script, and words that no client knows."""

from collections.abc import Iterator
from typing import Any

import pytest

from exchange.testing import ServedExchange
from tests.support.exchanges import open_ns, tick_ns
from tests.support.faulty_exchanges import Start, starting
from tests.support.wire_client import TradeUpdates, subscribed

BID = {"qty": "10", "type": "limit", "limit_price": "90"}
NEW, FILL = 'event = "new"', 'event = "fill"'
SECOND_NS = 10**9
NAMED = {"status", "type", "side", "order_class", "time_in_force"}


@pytest.fixture
def start() -> Iterator[Start]:
    with starting() as begin:
        yield begin


def fault(kind: str, *lines: str) -> str:
    return "\n".join(["[[fault]]", f'kind = "{kind}"', *lines, ""])


def told(updates: TradeUpdates, count: int) -> list[dict[str, Any]]:
    return [updates.update() for _ in range(count)]


def in_a_second(exchange: ServedExchange) -> None:
    exchange.advance(tick_ns(0) + SECOND_NS)


@pytest.mark.wire("update.rejected")
def test_an_order_is_taken_told_as_new_and_rejected_a_moment_later(start: Start) -> None:
    exchange, client, updates = start(fault("order.turned", 'how = "rejected"', NEW))
    placed = client.place("AAA", "buy", **BID)
    in_a_second(exchange)
    *_, last = told(updates, 3)
    assert (last["event"], last["order"]["status"]) == ("rejected", "rejected")
    assert last["order"]["reason"]
    order = client.order(placed["id"])
    assert order["status"] == "rejected"
    assert order["failed_at"] is not None
    assert "reason" not in order


@pytest.mark.wire("update.rare")
@pytest.mark.parametrize("how", ["stopped", "suspended", "calculated", "done_for_day", "restated"])
def test_the_stream_says_each_rare_event_with_its_status(start: Start, how: str) -> None:
    exchange, client, updates = start(fault("order.turned", f'how = "{how}"', NEW))
    placed = client.place("AAA", "buy", **BID)
    in_a_second(exchange)
    *_, last = told(updates, 3)
    status = "new" if how == "restated" else how
    assert (last["event"], last["order"]["status"]) == (how, status)
    assert client.order(placed["id"])["status"] == status
    listed = client.orders(status="closed" if how == "calculated" else "open")
    assert [order["id"] for order in listed] == [placed["id"]]


def test_a_rule_chooses_orders_by_what_they_are(start: Start) -> None:
    script = fault("order.turned", 'how = "suspended"', 'body = {side = "sell"}')
    exchange, client, _ = start(script)
    bid = client.place("AAA", "buy", **BID)
    offer = client.place("BBB", "sell", qty="1", type="limit", limit_price="110")
    in_a_second(exchange)
    assert client.order(bid["id"])["status"] == "new"
    assert client.order(offer["id"])["status"] == "suspended"


def test_a_suspension_by_the_clock_has_an_end(start: Start) -> None:
    window = ('from = "09:31"', 'until = "09:32"')
    exchange, client, updates = start(fault("order.turned", 'how = "suspended"', *window))
    placed = client.place("AAA", "buy", **BID)
    exchange.advance(open_ns() + 61 * SECOND_NS)
    assert client.order(placed["id"])["status"] == "suspended"
    exchange.advance(open_ns() + 121 * SECOND_NS)
    assert client.order(placed["id"])["status"] == "new"
    assert [u["event"] for u in told(updates, 4)] == ["pending_new", "new", "suspended", "new"]


@pytest.mark.wire("update.trade-bust")
def test_a_trade_is_undone_and_nothing_speaks_of_it_any_more(start: Start) -> None:
    exchange, client, updates = start(fault("order.turned", 'how = "trade_bust"', FILL))
    client.place("AAA", "buy", qty="5")
    in_a_second(exchange)
    *_, fill, bust = told(updates, 4)
    assert (fill["event"], bust["event"]) == ("fill", "trade_bust")
    assert bust["previous_execution_id"] == fill["execution_id"]
    assert (bust["qty"], bust["position_qty"], bust["order"]["filled_qty"]) == ("5", "0", "0")
    assert (client.fills(), client.positions()) == ([], [])
    assert client.account()["cash"] == "100000"


@pytest.mark.wire("update.trade-correct")
def test_a_trade_gets_another_price(start: Start) -> None:
    script = fault("order.turned", 'how = "trade_correct"', "factor = 0.5", FILL)
    exchange, client, updates = start(script)
    client.place("AAA", "buy", qty="4")
    in_a_second(exchange)
    *_, fill, correct = told(updates, 4)
    half = round(float(fill["price"]) / 2, 2)
    assert correct["event"] == "trade_correct"
    assert float(correct["price"]) == pytest.approx(half, abs=0.01)
    assert correct["previous_execution_id"] == fill["execution_id"] != correct["execution_id"]
    (row,) = client.fills()
    assert (row["price"], row["qty"]) == (correct["price"], "4")
    assert client.position("AAA")["avg_entry_price"] == correct["price"]


@pytest.mark.wire("encoding.unknown")
@pytest.mark.parametrize("how", sorted(NAMED))
def test_one_row_of_a_listing_has_a_word_that_nobody_knows(start: Start, how: str) -> None:
    script = fault("api.unknown", 'method = "GET"', 'path = "/v2/orders"', f'how = "{how}"')
    _, client, _ = start(script)
    for price in ("90", "91", "92"):
        client.place("AAA", "buy", **{**BID, "limit_price": price})
    rows = client.orders()
    strange = [row for row in rows if row[how].startswith("unheard_")]
    assert len(strange) == 1
    if how == "type":
        assert strange[0]["order_type"] == strange[0]["type"]


@pytest.mark.wire("encoding.unknown")
def test_the_same_seed_says_the_same_unknown_words(start: Start) -> None:
    said = []
    for seed in (5, 5, 6):
        _, client, _ = start(f"seed = {seed}\n" + fault("api.unknown", 'method = "POST"'))
        replies = [client.place("AAA", "buy", **BID) for _ in range(6)]
        said.append([[v for v in r.values() if "unheard_" in str(v)] for r in replies])
    assert said[0] == said[1] != said[2]
    assert all(said[0])


@pytest.mark.wire("encoding.unknown")
@pytest.mark.parametrize("how", ["event", "status", "key"])
def test_an_update_says_what_nobody_knows(start: Start, how: str) -> None:
    script = fault("stream.unknown", f'how = "{how}"', 'event = "new"')
    _, client, updates = start(script)
    client.place("AAA", "buy", **BID)
    first, update = told(updates, 2)
    assert first["event"] == "pending_new"
    said = {"event": update["event"], "status": update["order"]["status"], "key": " ".join(update)}
    assert {name for name, text in said.items() if "unheard_" in text} == {how}


def test_a_message_of_the_data_stream_is_of_a_sort_that_nobody_knows(start: Start) -> None:
    script = fault("stream.unknown", 'stream = "data"', "times = 1")
    exchange, _, _ = start(script)
    with subscribed(exchange.data_stream_url, trades=["AAA"]) as updates:
        exchange.advance(tick_ns(2))
        sorts = [message["T"] for _ in range(2) for message in updates.next()]
    assert sorts[0].startswith("unheard_")
    assert sorts[1:] == ["t"]


def test_a_refusal_stays_as_it_is(start: Start) -> None:
    _, client, _ = start(fault("api.unknown"))
    reply = client.ask("GET", "/v2/positions/AAA")
    assert (reply.status, reply.json()["message"]) == (404, "position does not exist")

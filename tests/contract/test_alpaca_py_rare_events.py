"""alpaca-py, unmodified, reads every rare status and event, and breaks on unknown words."""

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderStatus, QueryOrderStatus
from alpaca.trading.models import Order, TradeUpdate
from alpaca.trading.requests import GetOrdersRequest, ReplaceOrderRequest
from pydantic import ValidationError

from exchange.fates import Fate
from exchange.knobs import Knobs
from tests.support.exchanges import PLENTY, Served, make_exchange, make_venue, served, tick_ns
from tests.support.wire_client import RestClient, listening

BID = {"qty": "10", "type": "limit", "limit_price": "90"}
EVERYTHING = GetOrdersRequest(status=QueryOrderStatus.ALL)
SECOND_NS = 10**9


def fault(kind: str, *lines: str) -> str:
    return "\n".join(["[[fault]]", f'kind = "{kind}"', *lines])


def trading(running: Served) -> TradingClient:
    return TradingClient("key", "secret", url_override=running.url)


def a_second_later(running: Served) -> None:
    running.advance(tick_ns(0) + SECOND_NS)


@pytest.mark.wire("update.rare", "update.rejected")
@pytest.mark.parametrize("fate", list(Fate))
def test_it_reads_every_status_an_order_may_come_to(fate: Fate) -> None:
    script = fault("order.turned", f'how = "{fate}"', 'event = "new"')
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    with served(make_exchange(venue), script) as running:
        client = RestClient(running.url)
        client.place("AAA", "buy", **BID)
        a_second_later(running)
        (order,) = trading(running).get_orders(EVERYTHING)
        client.close()
    assert isinstance(order, Order)
    assert order.status is OrderStatus("new" if fate is Fate.RESTATED else fate.value)


@pytest.mark.wire("update.trade-bust", "update.trade-correct")
@pytest.mark.parametrize("how", ["trade_bust", "trade_correct"])
def test_it_reads_trades_that_are_taken_back(how: str) -> None:
    script = fault("order.turned", f'how = "{how}"', 'event = "fill"')
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    with (
        served(make_exchange(venue), script) as running,
        listening(running.stream_url) as updates,
    ):
        client = RestClient(running.url)
        client.place("AAA", "buy", qty="10")
        a_second_later(running)
        *_, fill, update = (TradeUpdate(**updates.update()) for _ in range(4))
        client.close()
    assert (fill.event, update.event) == ("fill", how)
    assert update.position_qty == (0 if how == "trade_bust" else 10)


@pytest.mark.wire("update.pending-replace")
def test_it_sees_a_replacement_that_takes_a_while() -> None:
    knobs = Knobs(fills=PLENTY.fills, replace_delay_s=30.0)
    venue = make_venue(at_ns=tick_ns(0), knobs=knobs)
    with served(make_exchange(venue)) as running:
        raw, client = RestClient(running.url), trading(running)
        old = raw.place("AAA", "buy", **BID)
        new = client.replace_order_by_id(old["id"], ReplaceOrderRequest(limit_price=91.0))
        raw.close()
        assert isinstance(new, Order)
        statuses = []
        for instant in (tick_ns(0), tick_ns(0) + 31 * SECOND_NS):
            running.advance(instant)
            orders = client.get_orders(EVERYTHING)
            statuses.append({str(o.id): o.status for o in orders if isinstance(o, Order)})
    assert statuses == [
        {old["id"]: OrderStatus.PENDING_REPLACE, str(new.id): OrderStatus.PENDING_NEW},
        {old["id"]: OrderStatus.REPLACED, str(new.id): OrderStatus.NEW},
    ]


@pytest.mark.wire("encoding.unknown")
def test_one_unknown_status_loses_it_the_whole_listing() -> None:
    script = fault("api.unknown", 'how = "status"', 'method = "GET"')
    with served(make_exchange(make_venue(at_ns=tick_ns(0))), script) as running:
        client = RestClient(running.url)
        for _ in range(3):
            client.place("AAA", "buy", **BID)
        client.close()
        with pytest.raises(ValidationError, match="unheard_status_"):
            trading(running).get_orders(EVERYTHING)

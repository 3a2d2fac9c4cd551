"""An unmodified alpaca-py, pointed at the exchange, while the daemon trades on it."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest

from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

FIVE_MINUTES = TimeFrame(5, TimeFrameUnit.Minute)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("clients")) as place:
        yield place


@pytest.fixture(scope="module")
def run(place: Site) -> Run:
    """A daemon that trades."""
    run = place.daemon("--demo", "--speed", "120")
    run.await_line('"event":"fill"', count=5)
    return run


@pytest.fixture(scope="module")
def trading(place: Site, run: Run) -> TradingClient:
    return TradingClient("key", "secret", url_override=place.exchange_url)


@pytest.fixture(scope="module")
def data(place: Site, run: Run) -> StockHistoricalDataClient:
    return StockHistoricalDataClient("key", "secret", url_override=place.exchange_url)


def shares_of(client: TradingClient) -> dict[str, str]:
    return {p.symbol: p.qty for p in client.get_all_positions()}


def booked(place: Site) -> dict[str, str]:
    return {p["symbol"]: p["quantity_shares"] for p in place.document("positions")["positions"]}


def test_the_account_it_reads_is_the_daemons(place: Site, trading: TradingClient) -> None:
    account = trading.get_account()
    assert account.account_number == place.document("status")["account_id"]
    assert Decimal(account.equity) > 0
    assert account.trading_blocked is False


def test_two_clients_and_the_daemon_see_the_same_positions(
    place: Site, trading: TradingClient
) -> None:
    other = TradingClient("another", "pair", url_override=place.exchange_url)
    seen: list[Any] = []

    def agree() -> bool:
        # Fills go on while we ask: the first answer must still hold when the last has come.
        seen[:] = [booked(place), shares_of(trading), shares_of(other), booked(place)]
        return bool(seen[0]) and all(held == seen[0] for held in seen)

    assert until(agree, 15), seen


def test_every_order_it_lists_is_one_the_daemon_knows(place: Site, trading: TradingClient) -> None:
    listed = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500))
    known = {o["client_order_id"]: o for o in place.document("orders")["orders"]}
    assert listed
    assert {o.client_order_id for o in listed} <= known.keys()
    for order in listed:
        ours = known[order.client_order_id]
        assert (order.symbol, order.qty) == (ours["symbol"], ours["quantity_shares"])
        assert (order.side.value, str(order.id)) == (ours["side"], ours["venue_order_id"])


def test_the_bars_it_reads_are_those_of_the_universe(
    place: Site, trading: TradingClient, data: StockHistoricalDataClient
) -> None:
    now = trading.get_clock().timestamp
    asked = StockBarsRequest(
        symbol_or_symbols=["AAPL", "SPY"], timeframe=FIVE_MINUTES, start=now - timedelta(days=4)
    )
    bars = data.get_stock_bars(asked).data
    assert {"AAPL", "SPY"} == bars.keys()
    assert all(b.low <= b.open <= b.high and b.timestamp < now for b in bars["AAPL"])


def test_the_quotes_it_reads_are_of_now(
    trading: TradingClient, data: StockHistoricalDataClient
) -> None:
    symbols = StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "MSFT"])
    quotes = data.get_stock_latest_quote(symbols)
    now = trading.get_clock().timestamp
    for quote in quotes.values():
        assert 0 < quote.bid_price <= quote.ask_price
        assert now - quote.timestamp < timedelta(minutes=10)


def test_the_daemon_goes_on_trading_beside_other_clients(run: Run, trading: TradingClient) -> None:
    decided = len(run.events("decision"))
    assert until(lambda: len(run.events("decision")) > decided, 20), run.last_words()
    assert run.process.poll() is None

"""Every method of alpaca-py 0.44 that concerns US equities is called once, unmodified."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alpaca.common.rest import RESTClient
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import (
    CorporateActionsRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import CorporateActionType, OrderSide, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    CreateWatchlistRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetCorporateAnnouncementsRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    UpdateWatchlistRequest,
)
from alpaca.trading.stream import TradingStream

from tests.support.exchanges import DAYS, Served, make_exchange, make_venue, served, tick_ns
from tests.unit.test_exchange_corporate_actions import dividend, market_with

START = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONS = {"exercise_options_position", "get_option_contract", "get_option_contracts"}
WAIT_S = 10.0


def methods(client: type, base: type = object) -> set[str]:
    """Return a client's own public methods."""
    found = {n for n, _ in inspect.getmembers(client, inspect.isfunction)}
    return {n for n in found if not n.startswith("_") and not hasattr(base, n)}


def bought(client: TradingClient) -> Any:
    return client.submit_order(
        MarketOrderRequest(symbol="AAA", qty=4, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    )


def resting(client: TradingClient) -> Any:
    return client.submit_order(
        LimitOrderRequest(
            symbol="AAA",
            qty=1,
            side=OrderSide.BUY,
            limit_price=90,
            time_in_force=TimeInForce.GTC,
            client_order_id="resting",
        )
    )


def positioned(client: TradingClient) -> TradingClient:
    bought(client)
    return client


def listed(client: TradingClient) -> Any:
    return client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=["AAA"]))


def announced(client: TradingClient) -> Any:
    return client.get_corporate_announcements(
        GetCorporateAnnouncementsRequest(
            ca_types=[CorporateActionType.DIVIDEND], since=DAYS[0], until=DAYS[-1]
        )
    )


TRADING: dict[str, Callable[[TradingClient], Any]] = {
    "get_account": lambda c: c.get_account().account_number,
    "get_account_configurations": lambda c: c.get_account_configurations().max_margin_multiplier,
    "set_account_configurations": lambda c: c.set_account_configurations(
        c.get_account_configurations()
    ),
    "get_all_assets": lambda c: c.get_all_assets(GetAssetsRequest()),
    "get_asset": lambda c: c.get_asset("AAA").symbol,
    "get_calendar": lambda c: c.get_calendar(GetCalendarRequest(start=DAYS[0], end=DAYS[1])),
    "get_clock": lambda c: c.get_clock().is_open,
    "submit_order": lambda c: bought(c).id,
    "get_orders": lambda c: (resting(c), c.get_orders(GetOrdersRequest(symbols=["AAA"])))[1],
    "get_order_by_id": lambda c: (
        c.get_order_by_id(resting(c).id, GetOrderByIdRequest(nested=True)).status
    ),
    "get_order_by_client_id": lambda c: (resting(c), c.get_order_by_client_id("resting").status)[1],
    "replace_order_by_id": lambda c: (
        c.replace_order_by_id(resting(c).id, ReplaceOrderRequest(qty=2)).replaces
    ),
    "cancel_order_by_id": lambda c: c.cancel_order_by_id(resting(c).id) is None,
    "cancel_orders": lambda c: (resting(c), c.cancel_orders())[1],
    "get_all_positions": lambda c: positioned(c).get_all_positions(),
    "get_open_position": lambda c: positioned(c).get_open_position("AAA").qty,
    "close_position": lambda c: positioned(c).close_position("AAA", ClosePositionRequest(qty="1")),
    "close_all_positions": lambda c: positioned(c).close_all_positions(cancel_orders=True),
    "get_portfolio_history": lambda c: (
        c.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="5Min")).equity
    ),
    "create_watchlist": lambda c: listed(c).assets[0].symbol,
    "get_watchlists": lambda c: (listed(c), c.get_watchlists())[1],
    "get_watchlist_by_id": lambda c: c.get_watchlist_by_id(listed(c).id).assets,
    "add_asset_to_watchlist_by_id": lambda c: (
        c.add_asset_to_watchlist_by_id(listed(c).id, "BBB").assets[1].symbol
    ),
    "remove_asset_from_watchlist_by_id": lambda c: (
        c.remove_asset_from_watchlist_by_id(listed(c).id, "AAA").assets == []
    ),
    "update_watchlist_by_id": lambda c: (
        c.update_watchlist_by_id(listed(c).id, UpdateWatchlistRequest(name="yours")).name
    ),
    "delete_watchlist_by_id": lambda c: c.delete_watchlist_by_id(listed(c).id) is None,
    "get_corporate_announcements": lambda c: announced(c)[0].cash,
    "get_corporate_announcement_by_id": lambda c: (
        c.get_corporate_announcement_by_id(announced(c)[0].id).ca_sub_type
    ),
}
ONE = {"symbol_or_symbols": "AAA"}
DATA: dict[str, Callable[[StockHistoricalDataClient], Any]] = {
    "get_stock_bars": lambda c: c.get_stock_bars(
        StockBarsRequest(**ONE, timeframe=TimeFrame.Minute, start=START)
    )["AAA"],
    "get_stock_quotes": lambda c: c.get_stock_quotes(StockQuotesRequest(**ONE, start=START))["AAA"],
    "get_stock_trades": lambda c: c.get_stock_trades(StockTradesRequest(**ONE, start=START))["AAA"],
    "get_stock_latest_bar": lambda c: c.get_stock_latest_bar(StockLatestBarRequest(**ONE))["AAA"],
    "get_stock_latest_quote": lambda c: c.get_stock_latest_quote(StockLatestQuoteRequest(**ONE))[
        "AAA"
    ],
    "get_stock_latest_trade": lambda c: c.get_stock_latest_trade(StockLatestTradeRequest(**ONE))[
        "AAA"
    ],
    "get_stock_snapshot": lambda c: c.get_stock_snapshot(StockSnapshotRequest(**ONE))["AAA"],
}


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(make_exchange(make_venue(market_with(dividend()), at_ns=tick_ns(5)))) as running:
        yield running


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
@pytest.mark.parametrize("name", TRADING)
def test_every_trading_method_is_answered(exchange: Served, name: str) -> None:
    client = TradingClient("key", "secret", url_override=exchange.url)
    assert TRADING[name](client) not in (None, [], "")


@pytest.mark.parametrize("name", DATA)
def test_every_data_method_is_answered(exchange: Served, name: str) -> None:
    client = StockHistoricalDataClient("key", "secret", url_override=exchange.url)
    assert DATA[name](client)


def test_no_method_for_equities_is_left_out() -> None:
    assert methods(TradingClient, RESTClient) == set(TRADING) | OPTIONS
    assert methods(StockHistoricalDataClient, RESTClient) == set(DATA)


def test_corporate_actions_are_answered(exchange: Served) -> None:
    client = CorporateActionsClient("key", "secret", url_override=exchange.url)
    found: Any = client.get_corporate_actions(CorporateActionsRequest(symbols=["AAA"]))
    assert found.data == {}


def test_the_trading_stream_is_subscribed_stopped_and_closed(exchange: Served) -> None:
    stream = TradingStream("key", "secret", url_override=exchange.stream_url)
    heard: list[Any] = []

    async def hear(update: Any) -> None:
        heard.append(update.event)

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    until(lambda: exchange.trade_stream.is_heard)
    bought(TradingClient("key", "secret", url_override=exchange.url))
    until(lambda: heard == ["pending_new", "new", "fill"])
    stream.stop()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    asyncio.run(closed(stream))


def test_the_data_stream_subscribes_and_unsubscribes_every_channel(exchange: Served) -> None:
    stream = StockDataStream("key", "secret", url_override=exchange.data_stream_url)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(type(message).__name__)

    kinds = ("trades", "quotes", "bars", "daily_bars", "updated_bars", "trading_statuses")
    for kind in kinds:
        getattr(stream, f"subscribe_{kind}")(hear, "AAA")
    stream.register_trade_corrections(hear)
    stream.register_trade_cancels(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        until(lambda: exchange.data_stream.is_heard)
        exchange.advance(tick_ns(7))
        until(lambda: {"Trade", "Quote", "Bar"} <= set(heard))
        for kind in kinds:
            getattr(stream, f"unsubscribe_{kind}")("AAA")
        until(lambda: not exchange.data_stream.is_heard)
    finally:
        stream.stop()
        thread.join(WAIT_S)
    assert not thread.is_alive()


async def closed(stream: TradingStream) -> None:
    await stream.stop_ws()
    await stream.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)

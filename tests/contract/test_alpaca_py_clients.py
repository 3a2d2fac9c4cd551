"""An unmodified alpaca-py finds nothing to complain about."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetStatus,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionIntent,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

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

WAIT_S = 10.0


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(make_exchange(make_venue(at_ns=tick_ns(0)))) as running:
        yield running


@pytest.fixture
def trading(exchange: Served) -> TradingClient:
    return TradingClient("key", "secret", url_override=exchange.url)


@pytest.fixture
def data(exchange: Served) -> StockHistoricalDataClient:
    return StockHistoricalDataClient("key", "secret", url_override=exchange.url)


def market(qty: float = 10, side: OrderSide = OrderSide.BUY, **fields: Any) -> MarketOrderRequest:
    fields = {"symbol": "AAA", "time_in_force": TimeInForce.DAY, **fields}
    return MarketOrderRequest(qty=qty, side=side, **fields)


def limit(price: float, qty: float = 10, side: OrderSide = OrderSide.BUY) -> LimitOrderRequest:
    return LimitOrderRequest(
        symbol="AAA", qty=qty, side=side, limit_price=price, time_in_force=TimeInForce.GTC
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@pytest.mark.wire("host.trading-rest", "GET /v2/assets", "GET /v2/assets/{asset}")
def test_account_clock_calendar_and_assets(trading: TradingClient) -> None:
    account: Any = trading.get_account()
    assert (account.cash, account.buying_power) == ("100000", "400000")
    clock: Any = trading.get_clock()
    assert clock.is_open
    days: Any = trading.get_calendar(GetCalendarRequest(start=DAYS[0], end=DAYS[1]))
    assert [d.date for d in days] == list(DAYS[:2])
    assets: Any = trading.get_all_assets(GetAssetsRequest(status=AssetStatus.ACTIVE))
    assert [a.symbol for a in assets] == ["AAA", "BBB"]
    asset: Any = trading.get_asset("AAA")
    assert asset == trading.get_asset(str(asset.id))


def test_a_market_order_fills_and_is_held(trading: TradingClient) -> None:
    order: Any = trading.submit_order(market(client_order_id="mine"))
    assert order.status is OrderStatus.PENDING_NEW
    read: Any = trading.get_order_by_client_id("mine")
    assert read.status is OrderStatus.FILLED
    assert (read.filled_qty, read.filled_avg_price) == ("10", "100.01")
    assert read.position_intent is PositionIntent.BUY_TO_OPEN
    position: Any = trading.get_open_position("AAA")
    assert position.qty == "10"
    assert position == trading.get_all_positions()[0]


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (limit(90), OrderType.LIMIT),
        (
            StopOrderRequest(
                symbol="AAA",
                qty=1,
                side=OrderSide.BUY,
                stop_price=110,
                time_in_force=TimeInForce.DAY,
            ),
            OrderType.STOP,
        ),
        (
            StopLimitOrderRequest(
                symbol="AAA",
                qty=1,
                side=OrderSide.BUY,
                stop_price=110,
                limit_price=111.25,
                time_in_force=TimeInForce.GTC,
            ),
            OrderType.STOP_LIMIT,
        ),
        (
            TrailingStopOrderRequest(
                symbol="AAA",
                qty=1,
                side=OrderSide.BUY,
                trail_percent=5,
                time_in_force=TimeInForce.DAY,
            ),
            OrderType.TRAILING_STOP,
        ),
    ],
)
def test_every_type_rests_is_listed_and_can_be_cancelled(
    trading: TradingClient, request_: Any, kind: OrderType
) -> None:
    order: Any = trading.submit_order(request_)
    (listed,) = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN))
    assert (listed.id, listed.type, listed.status) == (order.id, kind, OrderStatus.NEW)  # type: ignore[union-attr]
    trading.cancel_order_by_id(order.id)
    after: Any = trading.get_order_by_id(order.id)
    assert after.status is OrderStatus.CANCELED
    assert after.canceled_at is not None


@pytest.mark.wire("rules.fractions")
def test_fractions_and_dollars(trading: TradingClient) -> None:
    part: Any = trading.submit_order(market(qty=0.5))
    dollars: Any = trading.submit_order(
        MarketOrderRequest(
            symbol="BBB", notional=50, side=OrderSide.BUY, time_in_force=TimeInForce.DAY
        )
    )
    assert trading.get_order_by_id(part.id).filled_qty == "0.5"  # type: ignore[union-attr]
    bought: Any = trading.get_order_by_id(dollars.id)
    assert (bought.notional, bought.qty, bought.filled_qty) == ("50", None, "0.499950004")


def test_a_bracket_and_its_legs(trading: TradingClient) -> None:
    order: Any = trading.submit_order(
        market(
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=110),
            stop_loss=StopLossRequest(stop_price=90, limit_price=89),
        )
    )
    nested: Any = trading.get_order_by_id(order.id, GetOrderByIdRequest(nested=True))
    assert nested.status is OrderStatus.FILLED
    assert [leg.status for leg in nested.legs] == [OrderStatus.NEW, OrderStatus.HELD]
    rows: Any = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True))
    assert [len(row.legs) for row in rows] == [2]


def test_a_replaced_order(trading: TradingClient) -> None:
    old: Any = trading.submit_order(limit(90))
    new: Any = trading.replace_order_by_id(old.id, ReplaceOrderRequest(qty=7, limit_price=91.5))
    assert (new.replaces, new.qty, new.limit_price) == (old.id, "7", "91.5")
    gone: Any = trading.get_order_by_id(old.id)
    assert (gone.status, gone.replaced_by) == (OrderStatus.REPLACED, new.id)


def test_cancelling_and_closing_all(trading: TradingClient) -> None:
    trading.submit_order(market())
    trading.submit_order(market(qty=5, symbol="BBB", side=OrderSide.SELL))
    trading.submit_order(limit(90))
    cancelled: Any = trading.cancel_orders()
    assert [row.status for row in cancelled] == [200]
    closed: Any = trading.close_all_positions(cancel_orders=True)
    assert [(row.symbol, row.status) for row in closed] == [("AAA", 200), ("BBB", 200)]


@pytest.mark.wire("DELETE /v2/positions/{asset}")
def test_closing_a_part_of_a_position(trading: TradingClient) -> None:
    trading.submit_order(market())
    trading.close_position("AAA", ClosePositionRequest(percentage="40"))
    assert trading.get_open_position("AAA").qty == "6"  # type: ignore[union-attr]


@pytest.mark.wire("GET /v2/account/activities/{kind}")
def test_activities_are_read_with_a_plain_get(trading: TradingClient) -> None:
    trading.submit_order(market())
    (row,) = trading.get("/account/activities", {"activity_types": "FILL"})  # type: ignore[misc]
    assert (row["qty"], row["price"], row["type"]) == ("10", "100.01", "fill")


@pytest.mark.wire("account.configurations", "GET /v2/account/configurations")
def test_configurations_go_there_and_back(trading: TradingClient) -> None:
    configuration: Any = trading.get_account_configurations()
    configuration.no_shorting = True
    changed: Any = trading.set_account_configurations(configuration)
    assert changed.no_shorting is True


@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        (lambda c: c.submit_order(market(qty=1_000_000)), 403, 40310000),
        (lambda c: c.submit_order(market(symbol="ZZZ")), 422, 42210000),
        (lambda c: c.get_open_position("AAA"), 404, 40410000),
        (lambda c: c.get_order_by_id(UUID(int=1)), 404, 40410000),
        (lambda c: c.cancel_order_by_id(UUID(int=1)), 404, 40410000),
        (lambda c: c.get_asset("ZZZ"), 404, 40410000),
        (lambda c: c.submit_order(limit(90.123)), 422, 42210000),
    ],
)
def test_refusals_are_errors_it_can_read(
    trading: TradingClient, act: Callable[[TradingClient], object], status: int, code: int
) -> None:
    with pytest.raises(APIError) as caught:
        act(trading)
    assert caught.value.status_code == status
    assert caught.value.code == code
    assert caught.value.message


@pytest.mark.wire("host.data-rest", "rest.timeframes")
def test_bars_of_every_length(exchange: Served, data: StockHistoricalDataClient) -> None:
    exchange.advance(close_ns(DAYS[2]))
    for length, count in (
        (TimeFrame.Minute, 30),
        (TimeFrame(5, TimeFrameUnit.Minute), 6),
        (TimeFrame.Hour, 3),
        (TimeFrame.Day, 3),
        (TimeFrame.Week, 1),
        (TimeFrame.Month, 1),
    ):
        bars: Any = data.get_stock_bars(
            StockBarsRequest(
                symbol_or_symbols=["AAA", "BBB"],
                timeframe=length,
                start=datetime(2026, 1, 1, tzinfo=UTC),
            )
        )
        assert {s: len(rows) for s, rows in bars.data.items()} == {"AAA": count, "BBB": count}


def test_a_user_s_limit_cuts_bars(exchange: Served, data: StockHistoricalDataClient) -> None:
    exchange.advance(close_ns())
    bars: Any = data.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols="AAA",
            timeframe=TimeFrame.Minute,
            start=datetime(2026, 1, 1, tzinfo=UTC),
            limit=4,
        )
    )
    assert len(bars["AAA"]) == 4


def test_latest_and_snapshots(exchange: Served, data: StockHistoricalDataClient) -> None:
    exchange.advance(open_ns(DAYS[1]) + 90 * 10**9)
    symbols = ["AAA", "BBB"]
    quotes: Any = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbols))
    trades: Any = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbols))
    bars: Any = data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=symbols))
    snapshots: Any = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbols))
    assert (quotes["AAA"].bid_price, quotes["AAA"].ask_price) == (99.99, 100.01)
    assert trades["AAA"].price == bars["AAA"].close == 100
    assert set(snapshots) == {"AAA", "BBB"}
    assert snapshots["AAA"].previous_daily_bar.close == 100


def test_historical_quotes_and_trades(exchange: Served, data: StockHistoricalDataClient) -> None:
    exchange.advance(close_ns())
    start = datetime(2026, 1, 5, 14, 31, tzinfo=UTC)
    quotes: Any = data.get_stock_quotes(StockQuotesRequest(symbol_or_symbols="AAA", start=start))
    trades: Any = data.get_stock_trades(StockTradesRequest(symbol_or_symbols="AAA", start=start))
    assert len(quotes["AAA"]) == len(trades["AAA"]) == 18


@pytest.mark.wire("host.trading-stream", "update.fill", "GET /stream")
def test_the_trading_stream_tells_every_step(exchange: Served, trading: TradingClient) -> None:
    stream = TradingStream("key", "secret", url_override=exchange.stream_url)
    heard: list[Any] = []

    async def hear(update: Any) -> None:
        heard.append(update)

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        until(lambda: exchange.trade_stream.is_heard)
        order: Any = trading.submit_order(market(qty=150))
        trading.submit_order(limit(90))
        exchange.advance(tick_ns(2))
        trading.cancel_orders()
        until(lambda: len(heard) == 7)
        events = [u.event for u in heard if u.order.id == order.id]
        assert events == ["pending_new", "new", "partial_fill", "fill"]
        assert [u.event for u in heard if u.order.id != order.id] == [
            "pending_new",
            "new",
            "canceled",
        ]
        assert [u.qty for u in heard if u.qty] == [100.0, 50.0]
        assert [u.position_qty for u in heard if u.position_qty] == [100.0, 150.0]
    finally:
        stream.stop()
        thread.join(WAIT_S)


@pytest.mark.wire("host.data-stream", "GET /v2/iex")
def test_the_data_stream_brings_bars_quotes_and_trades(exchange: Served) -> None:
    stream = StockDataStream("key", "secret", url_override=exchange.data_stream_url)
    heard: list[Any] = []

    async def hear(message: Any) -> None:
        heard.append(message)

    stream.subscribe_bars(hear, "*")
    stream.subscribe_daily_bars(hear, "BBB")
    stream.subscribe_trades(hear, "AAA")
    stream.subscribe_quotes(hear, "AAA")
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        until(lambda: exchange.data_stream.is_heard)
        exchange.advance(open_ns() + 60 * 10**9)
        until(lambda: len(heard) == 5)
        names = [(type(m).__name__, m.symbol) for m in heard]
        assert names == [
            ("Trade", "AAA"),
            ("Quote", "AAA"),
            ("Bar", "AAA"),
            ("Bar", "BBB"),
            ("Bar", "BBB"),
        ]
        assert heard[0].timestamp == datetime(2026, 1, 5, 14, 30, 59, 999000, tzinfo=UTC)
        assert heard[2].timestamp == datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
        assert heard[4].timestamp == datetime(2026, 1, 5, 5, 0, tzinfo=UTC)
    finally:
        stream.stop()
        thread.join(WAIT_S)

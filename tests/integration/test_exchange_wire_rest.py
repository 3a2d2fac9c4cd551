"""The bytes of the REST APIs: key sets, types, headers, refusals."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from exchange.auth import Credentials
from exchange.clock import SteppedTime
from exchange.knobs import WireLimits
from exchange.service import Exchange
from tests.support.exchanges import (
    DAYS,
    KEYS,
    close_ns,
    make_exchange,
    make_served_app,
    make_venue,
    open_ns,
    tick_ns,
)

Client = TestClient[Any, Any]
BUY = {"symbol": "AAA", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
ORDER_KEYS = set(
    [
        "id",
        "client_order_id",
        "created_at",
        "updated_at",
        "submitted_at",
        "filled_at",
        "expired_at",
        "expires_at",
        "canceled_at",
        "failed_at",
        "replaced_at",
        "replaced_by",
        "replaces",
        "asset_id",
        "symbol",
        "asset_class",
        "notional",
        "qty",
        "filled_qty",
        "filled_avg_price",
        "order_class",
        "order_type",
        "type",
        "side",
        "position_intent",
        "time_in_force",
        "limit_price",
        "stop_price",
        "status",
        "extended_hours",
        "legs",
        "trail_percent",
        "trail_price",
        "hwm",
        "subtag",
        "source",
    ]
)
ACCOUNT_KEYS = set(
    [
        "id",
        "account_number",
        "status",
        "crypto_status",
        "currency",
        "created_at",
        "balance_asof",
        "cash",
        "equity",
        "last_equity",
        "portfolio_value",
        "position_market_value",
        "long_market_value",
        "short_market_value",
        "buying_power",
        "effective_buying_power",
        "regt_buying_power",
        "non_marginable_buying_power",
        "options_buying_power",
        "initial_margin",
        "maintenance_margin",
        "last_maintenance_margin",
        "sma",
        "multiplier",
        "accrued_fees",
        "pending_reg_taf_fees",
        "intraday_adjustments",
        "trading_blocked",
        "transfers_blocked",
        "account_blocked",
        "trade_suspended_by_user",
        "shorting_enabled",
        "crypto_tier",
        "options_approved_level",
        "options_trading_level",
        "admin_configurations",
        "user_configurations",
    ]
)
POSITION_KEYS = set(
    [
        "asset_id",
        "symbol",
        "exchange",
        "asset_class",
        "asset_marginable",
        "qty",
        "qty_available",
        "side",
        "avg_entry_price",
        "cost_basis",
        "market_value",
        "current_price",
        "lastday_price",
        "change_today",
        "unrealized_pl",
        "unrealized_plpc",
        "unrealized_intraday_pl",
        "unrealized_intraday_plpc",
    ]
)


def at(exchange: Exchange, at_ns: int) -> None:
    assert isinstance(exchange.time, SteppedTime)
    exchange.time.step_to(at_ns)


@pytest.fixture
async def exchange() -> Exchange:
    return make_exchange(make_venue(at_ns=tick_ns(0)))


@pytest.fixture
async def client(exchange: Exchange) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_served_app(exchange)), headers=KEYS) as client:
        yield client


async def post(client: Client, **fields: object) -> dict[str, Any]:
    body = {k: v for k, v in {**BUY, **fields}.items() if v is not None}
    async with client.post("/v2/orders", json=body) as response:
        assert response.status == 200, await response.text()
        order: dict[str, Any] = await response.json()
        return order


async def get(client: Client, path: str, **query: str) -> Any:
    async with client.get(path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


@pytest.mark.wire("encoding.trading", "encoding.null", "orders.keys", "POST /v2/orders")
async def test_an_order_has_every_key_and_its_decimals_are_strings(client: Client) -> None:
    order = await post(client, type="limit", limit_price=90.5)
    assert set(order) == ORDER_KEYS
    assert order["qty"] == "10"
    assert order["limit_price"] == "90.5"
    assert order["status"] == "pending_new"
    assert order["order_class"] == ""
    assert order["created_at"] == "2026-01-05T14:30:29.999000000Z"
    assert order["expires_at"] == "2026-01-05T14:40:00Z"
    assert order["position_intent"] == "buy_to_open"
    for key in ("filled_at", "legs", "notional", "stop_price", "hwm", "filled_avg_price"):
        assert order[key] is None


@pytest.mark.wire("orders.read", "GET /v2/orders:by_client_order_id", "GET /v2/orders/{order_id}")
async def test_the_same_order_is_read_by_id_by_client_id_and_in_the_list(client: Client) -> None:
    order = await post(client, client_order_id="mine", type="limit", limit_price="90")
    by_id = await get(client, f"/v2/orders/{order['id']}")
    by_client = await get(client, "/v2/orders:by_client_order_id", client_order_id="mine")
    listed = await get(client, "/v2/orders")
    assert by_id == by_client == listed[0]
    assert by_id["status"] == "new"


@pytest.mark.wire("account.keys", "GET /v2/account")
async def test_the_account_has_the_recorded_keys(client: Client) -> None:
    account = await get(client, "/v2/account")
    assert set(account) == ACCOUNT_KEYS
    assert (account["cash"], account["buying_power"]) == ("100000", "400000")
    assert account["status"] == "ACTIVE"


@pytest.mark.wire("positions.keys", "GET /v2/positions/{asset}")
async def test_a_position_shows_what_it_cost_and_what_it_is_worth(client: Client) -> None:
    await post(client)
    (position,) = await get(client, "/v2/positions")
    assert set(position) == POSITION_KEYS
    assert (position["qty"], position["qty_available"], position["side"]) == ("10", "10", "long")
    assert (position["cost_basis"], position["market_value"]) == ("1000.1", "1000")
    assert position["unrealized_pl"] == position["unrealized_intraday_pl"] == "-0.1"
    assert await get(client, "/v2/positions/AAA") == position
    assert await get(client, f"/v2/positions/{position['asset_id']}") == position


@pytest.mark.wire("positions.keys", "rules.short", "GET /v2/positions")
async def test_a_short_position_is_negative(client: Client) -> None:
    await post(client, side="sell")
    (position,) = await get(client, "/v2/positions")
    assert (position["qty"], position["side"]) == ("-10", "short")
    assert position["qty_available"] == "-10"
    assert (position["market_value"], position["cost_basis"]) == ("-1000", "-999.9")


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/v2/nowhere", 404, {"code": 40410000, "message": "endpoint not found."}),
        (
            "GET",
            "/v2/orders/3f0e0f58-0000-4000-8000-000000000000",
            404,
            {
                "code": 40410000,
                "message": "order not found for 3f0e0f58-0000-4000-8000-000000000000",
            },
        ),
        ("GET", "/v2/orders/nr-1", 422, {"code": 40010001, "message": "order_id is missing"}),
        (
            "GET",
            "/v2/positions/AAA",
            404,
            {"code": 40410000, "message": "position does not exist"},
        ),
        ("GET", "/v2/assets/ZZZ", 404, {"code": 40410000, "message": "asset not found for ZZZ"}),
        (
            "GET",
            "/v2/stocks/bars?timeframe=1Min",
            400,
            {
                "message": "Invalid format for parameter symbols: "
                "query parameter 'symbols' is required"
            },
        ),
        ("GET", "/v2/stocks/bars?symbols=A,$", 400, {"message": "invalid symbol: $"}),
        (
            "GET",
            "/v2/stocks/bars?symbols=AAA&timeframe=2Day",
            400,
            {"message": "invalid timeframe: 2Day"},
        ),
        (
            "GET",
            "/v2/stocks/bars?symbols=AAA&start=2026-01-05&end=2026-01-02",
            400,
            {"message": "end should not be before start"},
        ),
        (
            "GET",
            "/v2/stocks/quotes/latest?symbols=AAA&feed=sip",
            403,
            {"message": "subscription does not permit querying recent SIP data"},
        ),
    ],
)
async def test_what_does_not_exist_or_makes_no_sense_is_refused(
    client: Client, method: str, path: str, status: int, body: dict[str, object]
) -> None:
    async with client.request(method, path) as response:
        assert response.status == status
        assert await response.json() == body


@pytest.mark.parametrize("raw", [b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"qty": NaN}', b"[" * 5000])
async def test_a_body_that_is_not_the_json_expected_is_refused(client: Client, raw: bytes) -> None:
    async with client.post("/v2/orders", data=raw) as response:
        assert response.status == 400
        assert await response.json() == {
            "code": 40010000,
            "message": "request body format is invalid",
        }


@pytest.mark.wire("error.unauthorized-trading", "error.unauthorized-data")
async def test_without_keys_trading_answers_json_and_data_answers_a_page() -> None:
    app = make_served_app(make_exchange())
    async with TestClient(TestServer(app)) as client:
        async with client.get("/v2/account") as response:
            assert response.status == 401
            assert await response.json() == {"message": "unauthorized."}
        async with client.get("/v2/stocks/bars?symbols=AAA") as response:
            assert response.status == 401
            assert response.content_type == "text/html"
            assert "X-Ratelimit-Limit" not in response.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"apca-api-key-id": "k", "apca-api-secret-key": "s"}, 200),
        ({"APCA-API-KEY-ID": "k", "APCA-API-SECRET-KEY": "wrong"}, 401),
        ({"Authorization": "Basic azpz"}, 200),
        ({"Authorization": "Basic !!"}, 401),
        ({"Authorization": "Bearer token"}, 401),
    ],
)
async def test_a_fixed_pair_is_the_only_one_let_in(headers: dict[str, str], status: int) -> None:
    exchange = make_exchange(credentials=Credentials(key="k", secret="s"))
    server = TestServer(make_served_app(exchange))
    async with TestClient(server) as client, client.get("/v2/account", headers=headers) as reply:
        assert reply.status == status


@pytest.mark.wire("reply.headers")
async def test_every_reply_says_which_it_is_and_what_is_left(client: Client) -> None:
    async with client.get("/v2/account") as first, client.get("/v2/account") as second:
        assert first.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert len(first.headers["X-Request-ID"]) == 32
        assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
        assert first.headers["Date"] == "Mon, 05 Jan 2026 14:30:29 GMT"
        left = [int(r.headers["X-Ratelimit-Remaining"]) for r in (first, second)]
        assert left[0] == left[1] + 1


@pytest.mark.wire("limits.apart")
async def test_trading_and_data_have_budgets_of_their_own() -> None:
    limits = WireLimits(trading_per_minute=2, data_per_minute=1)
    exchange = make_exchange(make_venue(at_ns=tick_ns(0)), limits=limits)
    async with TestClient(TestServer(make_served_app(exchange)), headers=KEYS) as client:
        latest = "/v2/stocks/quotes/latest?symbols=AAA"
        assert [(await client.get(latest)).status for _ in range(2)] == [200, 429]
        assert [(await client.get("/v2/account")).status for _ in range(3)] == [200, 200, 429]
        async with client.get("/v2/account") as refused:
            assert await refused.json() == {"code": 42910000, "message": "rate limit exceeded"}
            assert refused.headers["X-Ratelimit-Remaining"] == "0"
        async with client.get(latest) as refused:
            assert await refused.json() == {"message": "too many requests."}
            assert not [h for h in refused.headers if h.startswith("X-Ratelimit")]
        at(exchange, exchange.venue.now_ns + 30 * 10**9)
        assert (await client.get("/v2/account")).status == 200


@pytest.mark.wire("orders.cancel", "DELETE /v2/orders/{order_id}")
async def test_cancelling_answers_204_and_then_refuses(client: Client) -> None:
    order = await post(client, type="limit", limit_price="90")
    async with client.delete(f"/v2/orders/{order['id']}") as response:
        assert response.status == 204
        assert await response.read() == b""
    async with client.delete(f"/v2/orders/{order['id']}") as response:
        assert response.status == 422
        assert (await response.json())["message"] == 'order is already in "canceled" state'


@pytest.mark.wire("orders.cancel", "DELETE /v2/orders")
async def test_cancelling_all_answers_207_with_each_order(client: Client) -> None:
    orders = [await post(client, type="limit", limit_price="90") for _ in range(2)]
    async with client.delete("/v2/orders") as response:
        assert response.status == 207
        assert await response.json() == [{"id": o["id"], "status": 200} for o in orders]


@pytest.mark.wire("positions.close-all", "DELETE /v2/positions")
async def test_closing_all_answers_207_with_orders_and_refusals(client: Client) -> None:
    await post(client)
    await post(client, symbol="BBB")
    await post(client, symbol="BBB", side="sell", type="limit", limit_price="120")
    async with client.delete("/v2/positions") as response:
        assert response.status == 207
        rows = await response.json()
    assert [(r["symbol"], r["status"]) for r in rows] == [("AAA", 200), ("BBB", 403)]
    assert set(rows[0]["body"]) == ORDER_KEYS
    assert rows[1]["body"]["code"] == 40310000


@pytest.mark.wire("orders.list", "GET /v2/orders")
async def test_a_listing_filters_and_pages(client: Client, exchange: Exchange) -> None:
    for price in ("90", "91", "92"):
        await post(client, type="limit", limit_price=price)
        at(exchange, exchange.venue.now_ns + 10**9)
    await post(client, symbol="BBB")
    newest = await get(client, "/v2/orders", status="all", limit="2")
    assert [o["symbol"] for o in newest] == ["BBB", "AAA"]
    older = await get(client, "/v2/orders", status="all", before_order_id=newest[-1]["id"])
    assert [o["limit_price"] for o in older] == ["91", "90"]
    oldest_first = await get(client, "/v2/orders", direction="asc", symbols="AAA")
    assert [o["limit_price"] for o in oldest_first] == ["90", "91", "92"]
    after = await get(client, "/v2/orders", after=oldest_first[0]["submitted_at"], symbols="AAA")
    assert [o["limit_price"] for o in after] == ["92", "91"]
    assert [o["symbol"] for o in await get(client, "/v2/orders", status="closed")] == ["BBB"]


BRACKET = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "110"},
    "stop_loss": {"stop_price": "80"},
    "time_in_force": "gtc",
}


async def test_a_bracket_s_reply_holds_its_legs(client: Client) -> None:
    order = await post(client, **BRACKET, type="limit", limit_price="90")
    assert [leg["status"] for leg in order["legs"]] == ["held", "held"]
    assert [leg["type"] for leg in order["legs"]] == ["limit", "stop"]
    assert set(order["legs"][0]) == ORDER_KEYS


@pytest.mark.wire("orders.held", "orders.nested")
async def test_held_legs_are_not_listed_as_open_and_lie_under_their_parent(client: Client) -> None:
    await post(client, **BRACKET)
    (shown,) = await get(client, "/v2/orders")
    assert (shown["type"], shown["status"]) == ("limit", "new")
    (nested,) = await get(client, "/v2/orders", status="all", nested="True")
    assert [leg["status"] for leg in nested["legs"]] == ["new", "held"]
    assert await get(client, "/v2/orders", status="open", nested="true") == []


@pytest.mark.wire("orders.replace", "PATCH /v2/orders/{order_id}")
async def test_replacing_gives_a_new_id_and_a_chain(client: Client) -> None:
    old = await post(client, type="limit", limit_price="90")
    async with client.patch(f"/v2/orders/{old['id']}", json={"limit_price": 91.0}) as response:
        new = await response.json()
    assert new["replaces"] == old["id"]
    assert new["limit_price"] == "91"
    gone = await get(client, f"/v2/orders/{old['id']}")
    assert (gone["status"], gone["replaced_by"]) == ("replaced", new["id"])


async def test_activities_are_chosen_by_their_order(client: Client) -> None:
    orders = [await post(client) for _ in range(3)]
    rows = await get(client, "/v2/account/activities", order_id=orders[1]["id"])
    assert [row["order_id"] for row in rows] == [orders[1]["id"]]


@pytest.mark.wire("activities")
async def test_fills_are_activities_and_page_by_their_ids(client: Client) -> None:
    for _ in range(3):
        await post(client)
    first = await get(client, "/v2/account/activities/FILL", page_size="2", direction="asc")
    rest = await get(
        client,
        "/v2/account/activities",
        activity_types="FILL",
        direction="asc",
        page_token=first[-1]["id"],
    )
    assert len(first) == 2
    assert len(rest) == 1
    assert len({row["id"] for row in first + rest}) == 3
    assert first[0]["id"].startswith("20260105093029999::")
    assert set(first[0]) == set(
        [
            "activity_type",
            "id",
            "cum_qty",
            "leaves_qty",
            "order_id",
            "order_status",
            "price",
            "qty",
            "side",
            "symbol",
            "transaction_time",
            "type",
        ]
    )


@pytest.mark.wire("clock", "calendar", "GET /v2/clock", "GET /v2/calendar")
async def test_the_clock_and_the_calendar_are_in_new_york_s_time(client: Client) -> None:
    clock = await get(client, "/v2/clock")
    assert clock == {
        "timestamp": "2026-01-05T09:30:29.999000000-05:00",
        "is_open": True,
        "next_open": "2026-01-06T09:30:00-05:00",
        "next_close": "2026-01-05T09:40:00-05:00",
    }
    days = await get(client, "/v2/calendar", start="2026-01-05", end="2026-01-06")
    assert days[0] == {
        "date": "2026-01-05",
        "open": "09:30",
        "close": "09:40",
        "session_open": "0400",
        "session_close": "2000",
        "settlement_date": "2026-01-06",
    }
    assert [d["date"] for d in days] == ["2026-01-05", "2026-01-06"]


@pytest.mark.wire("account.configurations", "PATCH /v2/account/configurations")
async def test_configurations_ignore_nulls_and_stop_trading(client: Client) -> None:
    patch = {"suspend_trade": True, "no_shorting": None, "max_margin_multiplier": "2"}
    async with client.patch("/v2/account/configurations", json=patch) as response:
        assert (await response.json())["suspend_trade"] is True
    async with client.post("/v2/orders", json=BUY) as response:
        assert response.status == 403
        assert (await response.json())["message"] == "new orders are rejected by user request"
    assert (await get(client, "/v2/account"))["multiplier"] == "2"


@pytest.mark.wire("GET /_exchange/clock")
async def test_lockstep_time_goes_on_when_told(client: Client) -> None:
    async with client.post("/_exchange/advance", json={"to": "2026-01-05T14:35:00Z"}) as response:
        assert (await response.json())["now"] == "2026-01-05T14:35:00.000000000Z"
    clock = await get(client, "/_exchange/clock")
    assert clock["now"] == "2026-01-05T14:35:00.000000000Z"
    assert clock["lockstep"] is True
    assert clock["symbols"] == 2
    assert {"day", "opens_at", "closes_at"} == set(clock["sessions"][0])


@pytest.mark.wire("POST /_exchange/advance")
@pytest.mark.parametrize("body", [{}, {"to": 5}, {"to": "soon"}, {"to": "9999-01-01T00:00:00Z"}])
async def test_a_bad_step_is_refused(client: Client, body: dict[str, object]) -> None:
    async with client.post("/_exchange/advance", json=body) as response:
        assert response.status == 400


async def test_a_day_passes_and_the_position_is_measured_from_its_close(
    client: Client, exchange: Exchange
) -> None:
    await post(client)
    at(exchange, open_ns(DAYS[1]))
    account = await get(client, "/v2/account")
    assert account["last_equity"] == "99999.9"
    (position,) = await get(client, "/v2/positions")
    assert position["unrealized_intraday_pl"] == "0"
    assert position["unrealized_pl"] == "-0.1"
    at(exchange, close_ns(DAYS[-1]) + 10**9)
    assert (await get(client, "/v2/clock"))["is_open"] is False


@pytest.mark.wire("portfolio.history", "GET /v2/account/portfolio/history")
async def test_the_portfolio_s_history_is_the_equity_at_each_instant(
    client: Client, exchange: Exchange
) -> None:
    await post(client)
    at(exchange, close_ns(DAYS[1]) + 10**9)
    daily = await get(client, "/v2/account/portfolio/history", period="1M", timeframe="1D")
    assert daily["timestamp"] == [close_ns(d) // 10**9 for d in DAYS[:2]]
    assert daily["equity"] == [99999.9, 99999.9]
    assert (daily["base_value"], daily["profit_loss"]) == (100000.0, [-0.1, -0.1])
    minutes = await get(client, "/v2/account/portfolio/history", period="1D", timeframe="1Min")
    assert len(minutes["equity"]) == 11
    assert minutes["base_value_asof"] == DAYS[0].isoformat()


@pytest.mark.parametrize("query", [{"period": "0D"}, {"period": "x"}, {"timeframe": "2Min"}])
async def test_a_portfolio_history_that_makes_no_sense_is_refused(
    client: Client, query: dict[str, str]
) -> None:
    async with client.get("/v2/account/portfolio/history", params=query) as response:
        assert response.status == 422

"""Every row of the error table, over the wire: exact status, code, words and extra fields."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange.assets import list_assets
from exchange.auth import Credentials
from exchange.knobs import Knobs, WireLimits
from tests.support.exchanges import (
    EXACT_FILLS,
    UNLIMITED,
    HandMarket,
    make_exchange,
    make_venue,
    served,
    tick_ns,
)
from tests.support.wire_client import Reply, RestClient

RULE, INVALID, FORBIDDEN, NOT_FOUND = 42210000, 40010001, 40310000, 40410000
UNKNOWN_ID = "00000000-0000-4000-8000-000000000001"
Start = Callable[..., RestClient]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what serves an exchange in mid-session and connects a client to it."""
    with ExitStack() as stack:

        def begin(
            *,
            knobs: Knobs | None = None,
            limits: WireLimits = UNLIMITED,
            credentials: Credentials | None = None,
            faults: str = "",
            cash_usd: int = 100_000,
            **asset: bool | str,
        ) -> RestClient:
            market = HandMarket()
            listed = list_assets(market, {})
            listed["BBB"] = replace(listed["BBB"], **asset)  # type: ignore[arg-type]
            venue = make_venue(
                market,
                at_ns=tick_ns(0),
                knobs=knobs or Knobs(fills=EXACT_FILLS),
                cash_usd=Decimal(cash_usd),
                assets=listed,
            )
            exchange = make_exchange(venue, limits=limits, credentials=credentials)
            running = stack.enter_context(served(exchange, faults))
            client = RestClient(running.url)
            stack.callback(client.close)
            return client

        yield begin


@pytest.fixture
def client(start: Start) -> RestClient:
    return start()


def order(client: RestClient, **fields: Any) -> Reply:
    body = {"symbol": "AAA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    body |= fields
    return client.ask("POST", "/v2/orders", body={k: v for k, v in body.items() if v is not None})


def limit(price: str, side: str = "buy", **fields: Any) -> dict[str, Any]:
    return {"type": "limit", "limit_price": price, "side": side, **fields}


def said(reply: Reply) -> tuple[int, int | None, str]:
    body = reply.json()
    return reply.status, body.get("code"), body["message"]


SUB_PENNY = "sub-penny increment does not fulfill minimum pricing criteria"
BRACKET = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "110"},
    "stop_loss": {"stop_price": "90"},
}
SHAPES: list[tuple[dict[str, Any], int, str]] = [
    ({"symbol": "ZZZ"}, RULE, 'asset "ZZZ" not found'),
    ({"qty": "0.5", "time_in_force": "gtc"}, RULE, "fractional orders must be DAY orders"),
    (
        {"qty": None, "notional": "5", "time_in_force": "ioc"},
        RULE,
        "fractional orders must be DAY orders",
    ),
    ({"qty": "0.5", **BRACKET}, RULE, "fractional orders must be simple orders"),
    ({"qty": "0.5", "side": "sell"}, RULE, "fractional orders cannot be sold short"),
    ({"qty": None, "notional": "0.99"}, INVALID, "notional must be >= 1.00"),
    (
        {"client_order_id": "x" * 129},
        INVALID,
        "client_order_id must be no more than 128 characters",
    ),
    ({"qty": None}, INVALID, "qty or notional is required"),
    ({"notional": "5"}, INVALID, "only one of qty or notional is accepted"),
    ({"qty": "0"}, INVALID, "qty must be > 0"),
    ({"side": "hold"}, INVALID, "invalid side"),
    ({"type": "magic"}, INVALID, "invalid order type"),
    ({"time_in_force": "soon"}, INVALID, "invalid time_in_force"),
    ({"type": "limit"}, INVALID, "limit orders require a limit price"),
    ({"type": "stop"}, INVALID, "stop orders require a stop price"),
    (
        {"type": "stop_limit", "stop_price": "9"},
        INVALID,
        "stop limit orders require both stop and limit price",
    ),
    ({"limit_price": "9"}, INVALID, "market orders require no stop or limit price"),
    (
        {"type": "trailing_stop"},
        INVALID,
        "trailing stop orders must specify one of trail_price or trail_percent",
    ),
    (limit("150.123"), RULE, f"invalid limit_price 150.123. {SUB_PENNY}"),
    ({"type": "stop", "stop_price": "101.001"}, RULE, f"invalid stop_price 101.001. {SUB_PENNY}"),
    ({"extended_hours": True}, RULE, "extended hours order must be DAY or GTC limit orders"),
    (
        limit("99", extended_hours=True, time_in_force="ioc"),
        RULE,
        "extended hours order must be DAY or GTC limit orders",
    ),
    (
        {"order_class": "bracket", "stop_loss": {"stop_price": "90"}},
        RULE,
        "bracket orders require take_profit.limit_price",
    ),
    (
        {**BRACKET, "take_profit": {"limit_price": "80"}},
        RULE,
        "take_profit.limit_price must be > stop_loss.stop_price",
    ),
    (
        {
            **limit("100"),
            "side": "sell",
            "order_class": "oco",
            "take_profit": {"limit_price": "110"},
            "stop_loss": {"stop_price": "90"},
        },
        RULE,
        "oco orders must be exit orders",
    ),
]


@pytest.mark.wire(
    "error.unknown-asset-in-order",
    "error.fraction-tif",
    "error.fraction-class",
    "error.fraction-short",
    "error.notional-minimum",
    "error.id-length",
    "error.enums",
    "error.prices",
    "error.sub-penny",
    "error.extended-hours",
    "error.bracket-prices",
    "error.oco-exit",
)
@pytest.mark.parametrize(("fields", "code", "message"), SHAPES)
def test_an_order_that_makes_no_sense_is_422(
    client: RestClient, fields: dict[str, Any], code: int, message: str
) -> None:
    assert said(order(client, **fields)) == (422, code, message)
    assert client.orders(status="all") == []


@pytest.mark.wire("error.unauthorized-trading")
def test_wrong_keys_are_401_without_a_code(start: Start) -> None:
    client = start(credentials=Credentials(key="key", secret="right"))
    reply = client.ask("GET", "/v2/account")
    assert (reply.status, reply.json()) == (401, {"message": "unauthorized."})


@pytest.mark.wire("error.unauthorized-data")
def test_wrong_keys_for_data_are_an_html_page(start: Start) -> None:
    client = start(credentials=Credentials(key="key", secret="right"))
    reply = client.ask("GET", "/v2/stocks/snapshots", {"symbols": "AAA"})
    assert (reply.status, reply.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b"<center>nginx</center>" in reply.content


@pytest.mark.wire("error.malformed-body")
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"symbol": 5}', b'{"qty": NaN}'])
def test_a_malformed_body_is_400(client: RestClient, body: bytes) -> None:
    reply = client.ask("POST", "/v2/orders", body=body)
    assert said(reply) == (400, 40010000, "request body format is invalid")


@pytest.mark.wire("error.unknown-path")
def test_an_unknown_path_is_404(client: RestClient) -> None:
    for method, path in (("GET", "/v2/nothing"), ("PUT", "/v2/account"), ("GET", "/")):
        assert said(client.ask(method, path)) == (404, NOT_FOUND, "endpoint not found.")


@pytest.mark.wire("error.unknown-order")
def test_an_unknown_order_is_404_with_its_id(client: RestClient) -> None:
    message = f"order not found for {UNKNOWN_ID}"
    for method in ("GET", "DELETE"):
        reply = client.ask(method, f"/v2/orders/{UNKNOWN_ID}")
        assert said(reply) == (404, NOT_FOUND, message)
    reply = client.ask("PATCH", f"/v2/orders/{UNKNOWN_ID}", body={"qty": "2"})
    assert said(reply) == (404, NOT_FOUND, message)


@pytest.mark.wire("error.order-id")
def test_an_id_that_is_no_uuid_is_422(client: RestClient) -> None:
    assert said(client.ask("GET", "/v2/orders/7")) == (422, INVALID, "order_id is missing")


@pytest.mark.wire("error.unknown-position")
def test_an_unknown_position_is_404(client: RestClient) -> None:
    for method in ("GET", "DELETE"):
        reply = client.ask(method, "/v2/positions/AAA")
        assert said(reply) == (404, NOT_FOUND, "position does not exist")


@pytest.mark.wire("error.unknown-asset")
def test_an_unknown_asset_is_404(client: RestClient) -> None:
    reply = client.ask("GET", "/v2/assets/ZZZ")
    assert said(reply) == (404, NOT_FOUND, "asset not found for ZZZ")


@pytest.mark.wire("error.inactive-asset")
def test_an_asset_that_cannot_be_traded_is_422(start: Start) -> None:
    inactive, untradable = start(is_active=False), start(tradable=False)
    assert said(order(inactive, symbol="BBB")) == (422, INVALID, "asset BBB is not active")
    message = 'asset "BBB" is not tradable'
    assert said(order(untradable, symbol="BBB")) == (422, RULE, message)


@pytest.mark.wire("error.buying-power")
def test_insufficient_buying_power_says_what_there_is_and_what_it_costs(start: Start) -> None:
    reply = order(start(cash_usd=1000), qty="15", **limit("100.50"))
    assert (reply.status, reply.json()) == (
        403,
        {
            "code": FORBIDDEN,
            "message": "insufficient buying power",
            "buying_power": "1000",
            "cost_basis": "1507.5",
        },
    )


@pytest.mark.wire("error.quantity", "positions.zero")
def test_insufficient_quantity_says_who_holds_it(client: RestClient) -> None:
    order(client, qty="5")
    holder = order(client, qty="5", **limit("150", "sell")).json()["id"]
    reply = order(client, qty="5", **limit("151", "sell"))
    assert (reply.status, reply.json()) == (
        403,
        {
            "code": FORBIDDEN,
            "message": "insufficient qty available for order (requested: 5, available: 0)",
            "available": "0",
            "existing_qty": "5",
            "held_for_orders": "5",
            "symbol": "AAA",
            "related_orders": [holder],
        },
    )


@pytest.mark.wire("error.not-fractionable")
def test_an_asset_that_is_not_fractionable_is_403(start: Start) -> None:
    client = start(fractionable=False)
    message = 'asset "BBB" is not fractionable'
    assert said(order(client, symbol="BBB", qty="0.5")) == (403, FORBIDDEN, message)


@pytest.mark.wire("error.duplicate-id")
def test_an_id_that_is_taken_is_422_whatever_became_of_its_order(client: RestClient) -> None:
    placed = order(client, client_order_id="mine", **limit("90")).json()
    client.cancel(placed["id"])
    reply = order(client, client_order_id="mine")
    assert said(reply) == (422, INVALID, "client_order_id must be unique")


@pytest.mark.wire("error.bracket-prices")
@pytest.mark.parametrize(
    ("exits", "message"),
    [
        (("100", "90"), "take_profit.limit_price must be >= base_price + 0.01"),
        (("110", "100"), "stop_loss.stop_price must be <= base_price - 0.01"),
    ],
)
def test_bracket_prices_too_near_say_the_base(
    client: RestClient, exits: tuple[str, str], message: str
) -> None:
    profit, loss = {"limit_price": exits[0]}, {"stop_price": exits[1]}
    body = {**limit("100"), **BRACKET, "take_profit": profit, "stop_loss": loss}
    reply = order(client, **body)
    assert said(reply) == (422, RULE, message)
    assert reply.json()["base_price"] == "100"


@pytest.mark.wire("error.bracket-entry")
def test_a_bracket_that_would_close_is_422(client: RestClient) -> None:
    order(client, qty="5")
    exits = {"take_profit": {"limit_price": "90"}, "stop_loss": {"stop_price": "110"}}
    reply = order(client, side="sell", order_class="bracket", **exits)
    assert said(reply) == (422, RULE, "bracket orders must be entry orders")
    assert said(order(client, **BRACKET)) == (422, RULE, "bracket orders must be entry orders")


@pytest.mark.wire("error.wash-trade", "rules.wash")
def test_a_wash_trade_names_the_other_order(client: RestClient) -> None:
    order(client, qty="5")
    other = order(client, **limit("150", "sell")).json()["id"]
    reply = order(client)
    assert (reply.status, reply.json()) == (
        403,
        {
            "code": FORBIDDEN,
            "message": "potential wash trade detected. use complex orders",
            "existing_order_id": other,
            "reject_reason": "opposite side market order exists",
        },
    )


@pytest.mark.wire("error.opposite-opener")
def test_opening_against_an_opening_order_is_403(client: RestClient) -> None:
    order(client, **limit("90"))
    message = "cannot open a short sell while a long buy order is open"
    assert said(order(client, **limit("110", "sell"))) == (403, FORBIDDEN, message)
    client.cancel_all()
    order(client, **limit("110", "sell"))
    message = "cannot open a long buy while a short sell order is open"
    assert said(order(client, **limit("90"))) == (403, FORBIDDEN, message)


@pytest.mark.wire("error.shorting")
def test_shorting_that_is_not_allowed_is_403(start: Start) -> None:
    client = start(shortable=False)
    message = 'asset "BBB" cannot be sold short'
    assert said(order(client, symbol="BBB", side="sell")) == (403, FORBIDDEN, message)
    client.configure(no_shorting=True)
    message = "account is not allowed to short"
    assert said(order(client, side="sell")) == (403, FORBIDDEN, message)


@pytest.mark.wire("error.suspended")
def test_suspended_trading_is_403(client: RestClient) -> None:
    client.configure(suspend_trade=True)
    message = "new orders are rejected by user request"
    assert said(order(client)) == (403, FORBIDDEN, message)


@pytest.mark.wire("error.blocked")
def test_a_blocked_account_is_403(start: Start) -> None:
    client = start(faults='[[fault]]\nkind = "account.blocked"\n')
    client.clock()
    assert said(order(client)) == (403, FORBIDDEN, "account is not authorized to trade")


@pytest.mark.wire("error.cancel-finished")
def test_cancelling_what_is_finished_names_its_state(client: RestClient) -> None:
    filled = order(client).json()["id"]
    reply = client.ask("DELETE", f"/v2/orders/{filled}")
    assert said(reply) == (422, RULE, 'order is already in "filled" state')


@pytest.mark.wire("error.replace")
def test_replacing_what_cannot_be_replaced_says_why(client: RestClient) -> None:
    def change(order_id: str, **changes: Any) -> tuple[int, int | None, str]:
        return said(client.ask("PATCH", f"/v2/orders/{order_id}", body=changes))

    filled = order(client).json()["id"]
    assert change(filled, qty="2") == (422, RULE, "order is not open, status: filled")
    resting = order(client, qty="5", **limit("90")).json()["id"]
    assert change(resting) == (422, RULE, "order parameters are not changed")
    assert change(resting, stop_price="80")[2] == "limit orders must not have stop_price"
    client.replace(resting, qty="6")
    assert change(resting, qty="7") == (422, RULE, "order already replaced")


@pytest.mark.wire("error.rate-limit-trading", "limits.apart")
def test_a_spent_trading_budget_is_429_with_its_code(start: Start) -> None:
    client = start(limits=WireLimits(trading_per_minute=2, data_per_minute=2))
    statuses = [client.ask("GET", "/v2/clock").status for _ in range(3)]
    assert statuses == [200, 200, 429]
    reply = client.ask("GET", "/v2/clock")
    assert said(reply) == (429, 42910000, "rate limit exceeded")
    assert reply.headers["x-ratelimit-remaining"] == "0"
    assert client.snapshots(["AAA"])


@pytest.mark.wire("error.rate-limit-data", "limits.per-request")
def test_a_spent_data_budget_is_429_without_code_or_headers(start: Start) -> None:
    client = start(limits=WireLimits(trading_per_minute=2, data_per_minute=1))
    assert set(client.snapshots(["AAA", "BBB"])) == {"AAA", "BBB"}
    reply = client.ask("GET", "/v2/stocks/snapshots", {"symbols": "AAA"})
    assert (reply.status, reply.json()) == (429, {"message": "too many requests."})
    assert not [h for h in reply.headers if "ratelimit" in h or h == "retry-after"]


@pytest.mark.wire("error.server")
@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (500, 50010000, "internal server error occurred"),
        (503, 50310000, "service unavailable"),
        (504, 50410000, "request timed out"),
    ],
)
def test_server_trouble_comes_by_script(start: Start, status: int, code: int, message: str) -> None:
    client = start(faults=f'[[fault]]\nkind = "api.failing"\nstatus = {status}\n')
    assert said(client.ask("GET", "/v2/account")) == (status, code, message)


@pytest.mark.wire("error.data-parameters")
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"start": "2026-01-06", "end": "2026-01-05"}, "end should not be before start"),
        ({"start": "soon"}, "Invalid format for parameter start: error parsing 'soon' as RFC3339"),
        ({"symbols": ""}, "Invalid format for parameter symbols: query parameter 'symbols' is"),
        ({"timeframe": "90Min"}, "invalid timeframe"),
        ({"symbols": "A$"}, "invalid symbol: A$"),
        ({"limit": "10001"}, "invalid limit: 10001"),
    ],
)
def test_bad_data_parameters_are_400_without_a_code(
    client: RestClient, query: dict[str, str], message: str
) -> None:
    asked = {"symbols": "AAA", "timeframe": "1Min", **query}
    reply = client.ask("GET", "/v2/stocks/bars", asked)
    assert reply.status == 400
    assert set(reply.json()) == {"message"}
    assert reply.json()["message"].startswith(message)


@pytest.mark.wire("error.recent-sip", "rest.feed")
def test_recent_sip_data_is_403_on_the_free_plan(start: Start) -> None:
    message = "subscription does not permit querying recent SIP data"
    query = {"symbols": "AAA", "timeframe": "1Day", "feed": "sip", "end": "2026-01-05T14:29:00Z"}
    reply = start().ask("GET", "/v2/stocks/bars", query)
    assert (reply.status, reply.json()) == (403, {"message": message})
    paid = start(limits=WireLimits(sip_realtime=True))
    assert paid.ask("GET", "/v2/stocks/bars", query).status == 200

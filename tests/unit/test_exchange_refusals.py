"""What the venue refuses, with which status, code and words."""

from decimal import Decimal

import pytest

from exchange.errors import Refusal
from exchange.knobs import Knobs
from exchange.orders import OrderClass, OrderType, PositionIntent, TimeInForce
from exchange.parsing import parse_order
from exchange.venue import Venue
from tests.support.exchanges import (
    EXACT_FILLS,
    PLENTY,
    HandMarket,
    buy,
    make_venue,
    sell,
    tick_ns,
)

D = Decimal


def body(**fields: object) -> dict[str, object]:
    return {
        "symbol": "AAA",
        "qty": "1",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        **fields,
    }


def parse(**fields: object) -> object:
    return parse_order(body(**fields), lambda name: name if name in ("AAA", "BBB") else None)


LIMIT: dict[str, object] = {"type": "limit", "limit_price": "10"}
SHAPES: list[tuple[dict[str, object], int, int, str]] = [
    ({"qty": None}, 422, 40010001, "qty or notional is required"),
    ({"notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
    ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
    ({"qty": "-1"}, 422, 40010001, "qty must be > 0"),
    ({"qty": "many"}, 422, 40010001, "qty is not a number: many"),
    ({"qty": True}, 422, 40010001, "qty is not a number: True"),
    ({"qty": "1e400"}, 422, 40010001, "qty is not a number: 1e400"),
    ({"qty": "0.0000000001"}, 422, 40010001, "qty must have no more than 9 decimal places"),
    ({"qty": None, "notional": "0.99"}, 422, 40010001, "notional must be >= 1.00"),
    ({"side": "hold"}, 422, 40010001, "invalid side"),
    ({"type": "magic"}, 422, 40010001, "invalid order type"),
    ({"time_in_force": "soon"}, 422, 40010001, "invalid time_in_force"),
    ({"type": "limit"}, 422, 40010001, "limit orders require a limit price"),
    ({"type": "stop"}, 422, 40010001, "stop orders require a stop price"),
    (
        {"type": "stop_limit", "stop_price": "9"},
        422,
        40010001,
        "stop limit orders require both stop and limit price",
    ),
    ({"limit_price": "9"}, 422, 40010001, "market orders require no stop or limit price"),
    (
        {**LIMIT, "stop_price": "9"},
        422,
        40010001,
        "limit orders must not have stop_price",
    ),
    (
        {"type": "trailing_stop"},
        422,
        40010001,
        "trailing stop orders must specify one of trail_price or trail_percent",
    ),
    (
        {**LIMIT, "limit_price": "150.123"},
        422,
        42210000,
        "invalid limit_price 150.123. sub-penny increment does not fulfill "
        "minimum pricing criteria",
    ),
    (
        {"type": "stop", "stop_price": "1.001"},
        422,
        42210000,
        "invalid stop_price 1.001. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    ({"symbol": "ZZZ"}, 422, 42210000, 'asset "ZZZ" not found'),
    (
        {"client_order_id": "x" * 129},
        422,
        40010001,
        "client_order_id must be no more than 128 characters",
    ),
    (
        {"qty": "0.5", "time_in_force": "gtc"},
        422,
        42210000,
        "fractional orders must be DAY orders",
    ),
    (
        {"qty": "0.5", "order_class": "bracket"},
        422,
        42210000,
        "fractional orders must be simple orders",
    ),
    (
        {"extended_hours": True},
        422,
        42210000,
        "extended hours order must be DAY or GTC limit orders",
    ),
]


@pytest.mark.parametrize(("fields", "status", "code", "message"), SHAPES)
def test_a_malformed_order_is_refused_in_the_venue_s_words(
    fields: dict[str, object], status: int, code: int, message: str
) -> None:
    with pytest.raises(Refusal) as caught:
        parse(**fields)
    refusal = caught.value
    assert (refusal.http_status, refusal.code, refusal.message) == (status, code, message)


@pytest.mark.wire("rules.ticks")
@pytest.mark.parametrize("price", ["0.1234", "0.9999", "1.01", "150"])
def test_prices_on_the_grid_are_taken(price: str) -> None:
    assert parse(**{**LIMIT, "limit_price": price}) is not None


def refusal_of(venue: Venue, request: object) -> Refusal:
    before = (venue.account.cash, len(venue.book.by_id), venue.account.reserved_usd)
    with pytest.raises(Refusal) as caught:
        venue.submit(request)  # type: ignore[arg-type]
    after = (venue.account.cash, len(venue.book.by_id), venue.account.reserved_usd)
    assert before == after
    return caught.value


def test_an_order_the_account_cannot_pay_says_what_it_has_and_what_it_costs() -> None:
    venue = make_venue(at_ns=tick_ns(0), cash_usd=D(1000))
    refusal = refusal_of(venue, buy(qty="20", limit="100"))
    assert refusal.http_status == 403
    assert refusal.body() == {
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "1000",
        "cost_basis": "2000",
    }


def test_a_market_buy_is_judged_with_a_collar_above_the_ask() -> None:
    venue = make_venue(at_ns=tick_ns(0), cash_usd=D(1030))
    assert refusal_of(venue, buy(qty="10")).body()["cost_basis"] == "1030.1"


def test_open_orders_use_up_buying_power() -> None:
    venue = make_venue(at_ns=tick_ns(0), cash_usd=D(1000))
    venue.submit(buy(qty="9", limit="99"))
    assert venue.account.reserved_usd == D(891)
    assert refusal_of(venue, buy(qty="2", limit="99")).body()["buying_power"] == "109"


def test_selling_more_than_is_free_says_what_holds_it() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="5"))
    held = venue.submit(sell(qty="5", limit="150"))
    assert refusal_of(venue, sell(qty="5", limit="151")).body() == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 5, available: 0)",
        "available": "0",
        "existing_qty": "5",
        "held_for_orders": "5",
        "symbol": "AAA",
        "related_orders": [held.id],
    }


@pytest.mark.wire("positions.zero")
def test_a_position_cannot_be_sold_through_zero_in_one_order() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="5"))
    refusal = refusal_of(venue, sell(qty="6"))
    assert refusal.http_status == 403
    assert "requested: 6, available: 5" in refusal.message


def test_a_client_order_id_is_taken_once() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(buy(client_order_id="mine"))
    refusal = refusal_of(venue, buy(client_order_id="mine"))
    assert (refusal.http_status, refusal.code) == (422, 40010001)
    assert refusal.message == "client_order_id must be unique"
    assert venue.order(told.id).client_order_id == "mine"


def test_a_client_order_id_stays_taken_after_its_order_is_cancelled() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.cancel(venue.submit(buy(client_order_id="mine", limit="1")).id)
    assert refusal_of(venue, buy(client_order_id="mine")).code == 40010001


def test_an_order_that_could_meet_its_own_opposite_is_a_wash_trade() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    resting = venue.submit(sell(qty="5", limit="101"))
    refusal = refusal_of(venue, buy(qty="1", limit="101"))
    assert refusal.http_status == 403
    assert refusal.body() == {
        "code": 40310000,
        "message": "potential wash trade detected. use complex orders",
        "existing_order_id": resting.id,
        "reject_reason": "opposite side limit order exists",
    }


@pytest.mark.wire("rules.wash")
def test_opposite_limits_that_cannot_meet_are_no_wash_trade() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    venue.submit(sell(qty="5", limit="101"))
    assert venue.submit(buy(qty="1", limit="100.99")).id


def test_a_market_order_against_an_open_opposite_is_a_wash_trade() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    venue.submit(sell(qty="5", limit="150"))
    refusal = refusal_of(venue, buy(qty="1"))
    assert refusal.extras["reject_reason"] == "opposite side market order exists"


def test_the_wash_check_can_be_switched_off() -> None:
    knobs = Knobs(fills=EXACT_FILLS, wash_trade_check=False)
    venue = make_venue(at_ns=tick_ns(0), knobs=knobs)
    venue.submit(buy(qty="10"))
    venue.submit(sell(qty="5", limit="150"))
    assert venue.submit(buy(qty="1")).id


def test_a_short_is_not_opened_while_a_buy_to_open_works() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(limit="50"))
    refusal = refusal_of(venue, sell(limit="150"))
    assert refusal.http_status == 403
    assert refusal.message == "cannot open a short sell while a long buy order is open"


def test_a_long_is_not_opened_while_a_short_sell_works() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(sell(limit="150"))
    assert (
        refusal_of(venue, buy(limit="50")).message
        == "cannot open a long buy while a short sell order is open"
    )


def test_shorting_can_be_forbidden() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=Knobs(shorting_enabled=False))
    assert refusal_of(venue, sell()).message == "account is not allowed to short"


def test_part_of_a_share_cannot_be_sold_short() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    refusal = refusal_of(venue, sell(qty="0.5"))
    assert (refusal.http_status, refusal.code) == (422, 42210000)
    assert refusal.message == "fractional orders cannot be sold short"


def test_an_intent_that_does_not_fit_the_position_is_refused() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    refusal = refusal_of(venue, sell(position_intent=PositionIntent.SELL_TO_CLOSE))
    assert refusal.code == 42210000


def test_an_oco_without_a_position_is_refused() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    request = sell(order_class=OrderClass.OCO, limit="110", stop_loss_stop=D(90))
    assert refusal_of(venue, request).message == "oco orders must be exit orders"


def test_a_bracket_on_a_position_is_refused() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(sell(qty="10"))
    request = buy(
        qty="5", order_class=OrderClass.BRACKET, take_profit_limit=D(110), stop_loss_stop=D(90)
    )
    assert refusal_of(venue, request).message == "bracket orders must be entry orders"


@pytest.mark.parametrize(
    ("profit", "loss", "message"),
    [
        (D(100), D(90), "take_profit.limit_price must be >= base_price + 0.01"),
        (D(110), D("100.01"), "stop_loss.stop_price must be <= base_price - 0.01"),
        (D(90), D(95), "take_profit.limit_price must be > stop_loss.stop_price"),
        (None, D(90), "bracket orders require take_profit.limit_price"),
    ],
)
def test_a_bracket_s_prices_must_fit(profit: Decimal | None, loss: Decimal, message: str) -> None:
    venue = make_venue(at_ns=tick_ns(0))
    request = buy(order_class=OrderClass.BRACKET, take_profit_limit=profit, stop_loss_stop=loss)
    refusal = refusal_of(venue, request)
    assert (refusal.http_status, refusal.code) == (422, 42210000)
    assert refusal.message == message


def test_cancelling_a_finished_order_names_its_state() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(buy())
    with pytest.raises(Refusal) as caught:
        venue.cancel(told.id)
    assert (caught.value.http_status, caught.value.code) == (422, 42210000)
    assert caught.value.message == 'order is already in "filled" state'


def test_an_unknown_order_is_not_found() -> None:
    with pytest.raises(Refusal) as caught:
        make_venue().cancel("nowhere")
    assert (caught.value.http_status, caught.value.code) == (404, 40410000)
    assert caught.value.message == "order not found for nowhere"


def test_closing_a_position_that_is_not_there_is_not_found() -> None:
    with pytest.raises(Refusal) as caught:
        make_venue(at_ns=tick_ns(0)).close_position("AAA")
    assert caught.value.message == "position does not exist"


def test_ids_depend_on_the_seed_alone() -> None:
    def ids(seed: int) -> list[str]:
        venue = make_venue(HandMarket(), at_ns=tick_ns(0), seed=seed)
        venue.submit(buy(time_in_force=TimeInForce.GTC, limit="90", type=OrderType.LIMIT))
        venue.submit(buy())
        return [
            i
            for e in venue.take_events()
            for i in (e.order.id if e.order else "", e.execution.id if e.execution else "")
        ]

    assert ids(1) == ids(1)
    assert set(ids(1)).isdisjoint(set(ids(2)) - {""})

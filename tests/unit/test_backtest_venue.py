from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from daemon.engine.held import Held
from domain.errors import ConfigurationFault
from domain.instruments import Symbol, Universe, unclassified
from domain.orders import AtLimit, AtMarket, AtStop, Leg, OrderIntent, OrderStatus, Side, Terms
from domain.orders import TimeInForce as Tif
from research.backtest.board import BarBoard, BarQuotes
from research.backtest.costs import FREE, Costs
from research.backtest.venue import BarTouch, BarVenue

AT = datetime(2024, 1, 3, 15, 0, tzinfo=UTC)
SYMBOL = Symbol("AAA")
CASH = Decimal(100_000)


def intent(
    shares: int = 100,
    side: Side = Side.BUY,
    terms: Terms | None = None,
    identity: str = "one",
    tif: Tif = Tif.DAY,
) -> OrderIntent:
    return OrderIntent(
        client_order_id=identity,
        symbol=SYMBOL,
        side=side,
        quantity_shares=Decimal(shares),
        terms=terms or AtMarket(),
        time_in_force=tif,
        leg=Leg.OPEN,
        slot_at=AT,
        intended_at=AT,
        deltas={"book": Decimal(side.sign * shares)},
        reference_usd=Decimal(100),
        reason="a test",
    )


def touch(
    bid: float = 99.99, ask: float = 100.01, low: float = 99.0, high: float = 101.0,
    volume: float = 10_000.0,
) -> BarTouch:  # fmt: skip
    return BarTouch.of(*(np.array([value]) for value in (bid, ask, low, high, volume)))


def venue(costs: Costs = FREE) -> BarVenue:
    return BarVenue([SYMBOL], costs, cash_usd=CASH)


def price_of(order: OrderIntent, bar: BarTouch, costs: Costs = FREE) -> Decimal | None:
    place = venue(costs)
    place.take(order, AT)
    (*_, filled) = (None, *place.meet(bar, AT))
    return filled.fill.price_usd if filled else None


def test_a_market_order_takes_the_touch() -> None:
    assert price_of(intent(), touch()) == Decimal("100.01")
    assert price_of(intent(side=Side.SELL), touch()) == Decimal("99.99")


def test_impact_moves_the_price_against_the_order_by_the_root_of_its_share() -> None:
    costs = replace(FREE, impact_bps=100.0)

    # 100 of 10,000 shares: √0.01 = 0.1, so 10 bps of 100.01, up to the cent
    assert price_of(intent(), touch(), costs) == Decimal("100.12")
    assert price_of(intent(side=Side.SELL), touch(), costs) == Decimal("99.89")


def test_a_limit_caps_what_impact_may_cost() -> None:
    costs = replace(FREE, impact_bps=100.0)

    assert price_of(intent(terms=AtLimit(Decimal("100.05"))), touch(), costs) == Decimal("100.05")


def test_a_limit_short_of_the_touch_fills_at_its_price_where_the_bar_trades_there() -> None:
    assert price_of(intent(terms=AtLimit(Decimal("99.50"))), touch()) == Decimal("99.50")
    assert price_of(intent(terms=AtLimit(Decimal("98.99"))), touch()) is None


def test_a_symbol_without_a_bar_does_not_trade() -> None:
    nan = float("nan")

    assert price_of(intent(), touch(nan, nan, nan, nan, nan)) is None


def test_the_volume_of_a_bar_is_given_out_once() -> None:
    place = venue(replace(FREE, volume_share_max=0.01))
    place.take(intent(80), AT)
    place.take(intent(80, identity="two"), AT)

    first = [f.fill.quantity_shares for f in place.meet(touch(), AT)]
    place.begin_bar()
    second = [f.fill.quantity_shares for f in place.meet(touch(), AT)]

    assert first == [80, 20]
    assert second == [60]


def test_day_orders_end_with_the_session_and_others_do_not() -> None:
    place = venue()
    place.take(intent(), AT)
    place.take(intent(identity="two", tif=Tif.GTC), AT)

    ended = place.end_session(AT)

    assert [(e.update.report.client_order_id, e.update.report.status) for e in ended] == [
        ("one", OrderStatus.EXPIRED)
    ]
    assert list(place.working) == ["two"]


def test_an_identity_is_taken_once() -> None:
    place = venue()

    assert place.take(intent(), AT) == ""
    assert "unique" in place.take(intent(), AT)


def test_an_order_that_it_cannot_fill_is_no_order() -> None:
    with pytest.raises(TypeError, match="market and limit"):
        price_of(intent(terms=AtStop(Decimal(99))), touch())


def test_it_says_where_a_book_differs() -> None:
    place = venue()
    place.take(intent(), AT)
    place.meet(touch(), AT)

    assert place.differences(place.cash_usd, {SYMBOL: Decimal(100)}) == []
    assert len(place.differences(CASH, {})) == 2


def test_commission_is_rounded_up_to_the_cent() -> None:
    costs = Costs(commission_per_share_usd=Decimal("0.0035"))

    assert costs.fee_usd(Decimal(1), Decimal(50)) == Decimal("0.01")
    assert costs.fee_usd(Decimal(1000), Decimal(50)) == Decimal("3.50")


@pytest.mark.parametrize(
    "wrong", [{"impact_bps": -1.0}, {"half_spread_bps": -0.1}, {"volume_share_max": 0.0}]
)
def test_costs_that_pay_the_trader_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationFault):
        Costs(**wrong)  # type: ignore[arg-type]


def board_with(bid: float, ask: float) -> BarBoard:
    universe = Universe((unclassified("AAA"), unclassified("BBB")))
    board = BarBoard(universe, Held(universe))
    nan = float("nan")
    board.update(BarQuotes(np.array([bid, nan]), np.array([ask, nan]), AT))
    return board


@pytest.mark.parametrize(
    ("bid", "ask", "mark"),
    [
        (10.0, 10.01, "10.00"),
        (10.01, 10.02, "10.02"),
        (10.0, 10.02, "10.01"),
        (1.2345, 1.2345, "1.23"),
    ],
)
def test_marks_are_rounded_half_to_even_as_the_live_board_rounds_them(
    bid: float, ask: float, mark: str
) -> None:
    assert board_with(bid, ask).mark_usd(SYMBOL) == Decimal(mark)


def test_a_symbol_never_quoted_has_neither_quote_nor_mark() -> None:
    board = board_with(10.0, 10.01)

    assert board.quotes.get(Symbol("BBB")) is None
    assert board.mark_usd(Symbol("BBB")) is None
    assert board.last_good_usd.get(Symbol("BBB")) is None


def test_a_bar_without_a_price_keeps_the_old_quote() -> None:
    board = board_with(10.0, 10.02)
    nan = np.array([np.nan, np.nan])
    board.update(BarQuotes(nan, nan, AT.replace(hour=16)))

    assert board.quotes[SYMBOL].quoted_at == AT
    assert board.quotes[SYMBOL].mid_usd == 10.01

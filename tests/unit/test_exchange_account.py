"""Cash, positions, reservations and the identities of equity."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.orders import Side
from exchange.account import Account
from exchange.errors import Refusal
from exchange.knobs import DEFAULT_KNOBS
from exchange.orders import OrderClass, OrderRequest, Status, TimeInForce, VenueOrder
from exchange.replacing import Replacement
from exchange.venue import Venue
from tests.support.exchanges import (
    DAYS,
    MONDAY,
    PLENTY,
    HandMarket,
    buy,
    close_ns,
    make_venue,
    open_ns,
    sell,
    tick_ns,
)

D = Decimal


def make_account(cash_usd: str = "1000") -> Account:
    return Account(id="a", created_ns=0, cash=D(cash_usd), last_equity=D(cash_usd))


def test_buying_moves_cash_into_shares() -> None:
    account = make_account()
    assert account.apply_fill("AAA", Side.BUY, D(3), D("10.05")) == D(3)
    assert account.cash == D("969.85")
    assert account.holdings["AAA"].average_entry_usd == D("10.05")


def test_buying_more_averages_the_entry() -> None:
    account = make_account()
    account.apply_fill("AAA", Side.BUY, D(10), D(10))
    account.apply_fill("AAA", Side.BUY, D(30), D(12))
    assert account.holdings["AAA"].average_entry_usd == D("11.5")


def test_selling_a_part_leaves_the_entry_as_it_was() -> None:
    account = make_account()
    account.apply_fill("AAA", Side.BUY, D(10), D(10))
    account.apply_fill("AAA", Side.SELL, D(4), D(20))
    assert account.holdings["AAA"].average_entry_usd == D(10)
    assert account.cash == D(980)


def test_selling_all_leaves_no_position() -> None:
    account = make_account()
    account.apply_fill("AAA", Side.BUY, D(10), D(10))
    assert account.apply_fill("AAA", Side.SELL, D(10), D(11)) == 0
    assert account.holdings == {}
    assert account.cash == D(1010)


def test_a_short_has_negative_shares_and_cost() -> None:
    account = make_account()
    account.apply_fill("AAA", Side.SELL, D(10), D(10))
    assert account.cash == D(1100)
    assert account.holdings["AAA"].qty == D(-10)
    assert account.holdings["AAA"].average_entry_usd == D(10)


def test_a_fill_never_crosses_zero() -> None:
    account = make_account()
    account.apply_fill("AAA", Side.BUY, D(1), D(10))
    with pytest.raises(ValueError, match="crosses zero"):
        account.apply_fill("AAA", Side.SELL, D(2), D(10))


@pytest.mark.wire("account.sums")
def test_equity_is_cash_and_both_sides_of_the_market() -> None:
    account = make_account("100000")
    account.apply_fill("AAA", Side.BUY, D(100), D(100))
    account.apply_fill("BBB", Side.SELL, D(50), D(200))
    totals = account.totals({"AAA": D(110), "BBB": D(210)}.__getitem__, DEFAULT_KNOBS)
    assert (totals.long_value, totals.short_value) == (D(11000), D(-10500))
    assert totals.equity == totals.cash + totals.long_value + totals.short_value == D(100500)
    assert totals.initial_margin == D(10750)
    assert totals.maintenance_margin == D(6450)
    assert totals.regt_buying_power == 2 * (D(100500) - D(10750))


@pytest.mark.wire("account.sums")
def test_a_fresh_account_has_four_times_its_cash() -> None:
    totals = make_account("100000").totals({}.__getitem__, DEFAULT_KNOBS)
    assert (totals.buying_power, totals.regt_buying_power) == (D(400000), D(200000))
    assert totals.multiplier == 4


def test_a_small_account_has_its_cash_only() -> None:
    totals = make_account("1999.99").totals({}.__getitem__, DEFAULT_KNOBS)
    assert (totals.buying_power, totals.multiplier) == (D("1999.99"), 1)


def test_shares_opened_today_use_buying_power_and_give_it_back_when_closed() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(buy(qty="100"))
    assert venue.totals().buying_power == D(400000) - D(10001)
    venue.submit(sell(qty="100"))
    assert venue.totals().buying_power == D(400000)


def test_a_new_day_measures_buying_power_from_the_last_close() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(buy(qty="100"))
    venue.advance(open_ns(DAYS[1]))
    assert venue.account.last_equity == D(100000) - D(1)
    assert venue.account.last_maintenance_margin == D(3000)
    assert venue.totals().buying_power == 4 * (D(99999) - D(3000))


def test_last_equity_is_still_yesterday_s_on_the_evening_of_the_day() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": (100, 101)}})
    venue = make_venue(market, at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(buy(qty="100"))
    venue.advance(close_ns() + 1)
    assert venue.account.last_equity == D(100000)
    assert venue.totals().equity == D(100000) + 99


@pytest.mark.wire("account.reservations")
def test_a_cancelled_order_gives_back_what_it_reserved() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(buy(qty="10", limit="90"))
    assert venue.account.reserved_usd == D(900)
    venue.cancel(told.id)
    assert venue.account.reserved_usd == 0


def test_a_partial_fill_gives_back_its_part_of_the_reservation() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="150", limit="101"))
    assert venue.account.reserved_usd == D(50) * D(101)


def test_a_short_reserves_the_larger_of_limit_and_collared_ask() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(sell(qty="1", limit="101"))
    assert venue.account.reserved_usd == D("103.0103")


@pytest.mark.wire("account.reservations")
def test_a_closing_order_reserves_shares_and_no_money() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    venue.submit(sell(qty="4", limit="150"))
    assert venue.account.reserved_usd == 0
    assert venue.account.available_qty("AAA") == 6


def test_a_replaced_order_has_a_new_id_and_keeps_what_filled_with_the_old() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    old = venue.submit(buy(qty="150", limit="101"))
    new = venue.replace(old.id, Replacement(qty=D(180), limit_price=D(99)))
    gone = venue.order(old.id)
    assert (gone.status, gone.replaced_by, gone.filled_qty) == (Status.REPLACED, new.id, D(100))
    assert (new.replaces, new.qty, new.limit_price) == (old.id, D(80), D(99))
    assert venue.account.reserved_usd == D(80) * D(99)


def test_a_replacement_that_changes_nothing_is_refused() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    old = venue.submit(buy(limit="90"))
    with pytest.raises(Refusal, match="order parameters are not changed"):
        venue.replace(old.id, Replacement(limit_price=D(90)))


def test_a_replacement_must_be_larger_than_what_filled() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    old = venue.submit(buy(qty="150", limit="101"))
    with pytest.raises(Refusal, match="qty must be > filled_qty"):
        venue.replace(old.id, Replacement(qty=D(100)))


def bracket(profit: str = "105", loss: str = "95", **fields: object) -> OrderRequest:
    return buy(
        order_class=OrderClass.BRACKET,
        take_profit_limit=D(profit),
        stop_loss_stop=D(loss),
        time_in_force=TimeInForce.GTC,
        **fields,
    )


def legs_of(venue: Venue, order_id: str) -> list[VenueOrder]:
    order = venue.order(order_id)
    return [venue.order(i) for i in order.leg_ids]


@pytest.mark.wire("rules.bracket")
def test_a_bracket_s_exits_wait_until_the_whole_entry_has_filled() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(bracket(qty="150"))
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.HELD, Status.HELD]
    venue.advance(tick_ns(1))
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.NEW, Status.HELD]


@pytest.mark.wire("rules.quiet-leg")
def test_taking_the_profit_cancels_the_stop() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": (100, 100, 105.5)}})
    venue = make_venue(market, at_ns=tick_ns(0))
    told = venue.submit(bracket())
    venue.advance(tick_ns(5))
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.FILLED, Status.CANCELED]
    assert venue.account.holdings == {}


def test_triggering_the_stop_cancels_the_profit_taker() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": (100, 100, 94.5)}})
    venue = make_venue(market, at_ns=tick_ns(0))
    told = venue.submit(bracket())
    venue.advance(tick_ns(5))
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.CANCELED, Status.FILLED]
    assert venue.account.holdings == {}
    assert venue.account.held == {}


@pytest.mark.wire("rules.bracket")
def test_cancelling_one_member_cancels_the_group() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(bracket(loss="80", limit="90"))
    venue.cancel(told.id)
    assert {leg.status for leg in legs_of(venue, told.id)} == {Status.CANCELED}


@pytest.mark.wire("rules.oco")
def test_an_oco_s_stop_closes_the_position_and_cancels_its_limit() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": (100, 100, 89)}})
    venue = make_venue(market, at_ns=tick_ns(0))
    venue.submit(buy())
    told = venue.submit(sell(order_class=OrderClass.OCO, limit="110", stop_loss_stop=D(90)))
    venue.advance(tick_ns(5))
    assert venue.order(told.id).status is Status.CANCELED
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.FILLED]
    assert venue.account.holdings == {}


@pytest.mark.wire("rules.oto")
def test_an_oto_places_its_stop_once_the_entry_has_filled() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(
        buy(order_class=OrderClass.OTO, stop_loss_stop=D(90), time_in_force=TimeInForce.GTC)
    )
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.NEW]
    assert venue.account.available_qty("AAA") == 0


def test_closing_all_positions_cancels_what_holds_them_first() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(buy(qty="10"))
    venue.submit(sell("BBB", qty="5"))
    venue.submit(sell(qty="10", limit="150"))
    refused = venue.close_all(cancel_orders=False)
    assert [(o.subject, o.refusal is not None) for o in refused] == [("AAA", True), ("BBB", False)]
    venue.close_all(cancel_orders=True)
    assert venue.account.holdings == {}


@pytest.mark.wire("positions.close")
def test_closing_a_percentage_closes_that_part() -> None:
    venue = make_venue(at_ns=tick_ns(0), knobs=PLENTY)
    venue.submit(buy(qty="10"))
    venue.close_position("AAA", percentage=D(40))
    assert venue.account.qty("AAA") == 6


def test_a_sale_in_dollars_never_sells_more_shares_than_it_was_worth() -> None:
    market = HandMarket(
        ticks={MONDAY: {"AAA": (100, 100, 50)}}, shares={MONDAY: {"AAA": (1000, 0, 1000)}}
    )
    venue = make_venue(market, at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    venue.advance(tick_ns(1))
    told = venue.submit(replace(sell(), qty=None, notional=D("999.90")))
    assert venue.account.available_qty("AAA") == 0
    venue.advance(tick_ns(2))
    assert venue.order(told.id).status is Status.FILLED
    assert venue.account.holdings == {}


def test_the_quantity_of_a_group_cannot_be_changed() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    told = venue.submit(sell(order_class=OrderClass.OCO, limit="110", stop_loss_stop=D(90)))
    with pytest.raises(Refusal, match="qty of oco orders cannot be changed"):
        venue.replace(told.id, Replacement(qty=D(20)))


def test_a_replaced_exit_still_belongs_to_its_group() -> None:
    market = HandMarket(ticks={MONDAY: {"AAA": (100, 100, 89)}})
    venue = make_venue(market, at_ns=tick_ns(0))
    venue.submit(buy())
    told = venue.submit(sell(order_class=OrderClass.OCO, limit="110", stop_loss_stop=D(90)))
    new = venue.replace(told.id, Replacement(limit_price=D(111)))
    venue.advance(tick_ns(5))
    assert venue.order(new.id).status is Status.CANCELED
    assert [leg.status for leg in legs_of(venue, new.id)] == [Status.FILLED]


def test_exits_work_for_the_shares_that_are_still_there() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    told = venue.submit(bracket(qty="250"))
    assert venue.account.qty("AAA") == 100
    venue.submit(sell(qty="30"))
    venue.advance(tick_ns(5))
    assert venue.account.qty("AAA") == 220
    assert [leg.status for leg in legs_of(venue, told.id)] == [Status.NEW, Status.HELD]
    assert {leg.qty for leg in legs_of(venue, told.id)} == {D(220)}


def test_an_oto_that_closes_is_refused() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy())
    with pytest.raises(Refusal, match="oto orders must be entry orders"):
        venue.submit(sell(order_class=OrderClass.OTO, limit="99", stop_loss_stop=D(101)))

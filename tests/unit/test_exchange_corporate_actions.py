"""Splits and dividends: positions, open orders, cash and bars before the open of the ex-date."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from domain.orders import Side
from exchange.agenda import begun_day
from exchange.assets import list_assets
from exchange.corporate_actions import (
    ActionKind,
    ActionTable,
    Adjustment,
    CorporateAction,
    bar_factors,
    dividend_usd,
    split_position,
    with_references,
)
from exchange.equity import Asked, equity_history
from exchange.instants import wall_ns
from exchange.knobs import Knobs
from exchange.orders import OrderType, Status, TimeInForce
from exchange.records import EventKind
from exchange.venue import Venue
from tests.support.exchanges import (
    DAYS,
    EXACT,
    MONDAY,
    HandMarket,
    buy,
    close_ns,
    make_venue,
    open_ns,
    sell,
    tick_ns,
)

D = Decimal
GTC = TimeInForce.GTC
TUESDAY = DAYS[1]
BEGINS_NS = wall_ns(TUESDAY, 4)
UNWATCHED = replace(EXACT, wash_trade_check=False)


def split(
    new: str = "4", old: str = "1", symbol: str = "AAA", day: date = TUESDAY
) -> CorporateAction:
    is_forward = D(new) > D(old)
    return CorporateAction(
        symbol=symbol,
        kind=ActionKind.FORWARD_SPLIT if is_forward else ActionKind.REVERSE_SPLIT,
        ex_date=day,
        declared_on=day - timedelta(days=20),
        record_date=day,
        payable_date=day,
        new_rate=D(new),
        old_rate=D(old),
    )


def dividend(cash: str = "1.25", *, pays: date = DAYS[3], symbol: str = "AAA") -> CorporateAction:
    return CorporateAction(
        symbol=symbol,
        kind=ActionKind.CASH_DIVIDEND,
        ex_date=TUESDAY,
        declared_on=TUESDAY - timedelta(days=20),
        record_date=TUESDAY,
        payable_date=pays,
        cash_usd=D(cash),
        reference_usd=100.0,
    )


def market_with(*actions: CorporateAction, after_usd: float = 100.0) -> HandMarket:
    """A market at $100, at `after_usd` from Tuesday on."""
    later = {day: {"AAA": (after_usd,)} for day in DAYS[1:]}
    return HandMarket(ticks=later, actions=ActionTable(actions))


def holding(
    qty: str, *actions: CorporateAction, after_usd: float = 100.0, knobs: Knobs = EXACT
) -> Venue:
    """A venue that bought (or, below 0, sold) shares of AAA on Monday at the touch."""
    venue = make_venue(market_with(*actions, after_usd=after_usd), at_ns=tick_ns(0), knobs=knobs)
    venue.submit(buy(qty=qty) if D(qty) > 0 else sell(qty=qty.strip("-")))
    venue.advance(close_ns())
    return venue


@pytest.mark.wire("rules.splits")
def test_a_forward_split_multiplies_shares_and_leaves_their_cost() -> None:
    venue = holding("10", split("4"), after_usd=25.0)
    before = venue.totals()
    venue.advance(BEGINS_NS)
    after = venue.account.holdings["AAA"]
    assert (after.qty, after.cost_usd, after.average_entry_usd) == (40, D("1000.10"), D("25.0025"))
    assert venue.totals().equity == before.equity
    assert after.lastday_qty == 40


def test_before_four_o_clock_nothing_has_split() -> None:
    venue = holding("10", split("4"), after_usd=25.0)
    venue.advance(BEGINS_NS - 1)
    assert venue.account.qty("AAA") == 10
    assert venue.prices.at(venue.now_ns)("AAA") == 100


def test_the_last_price_is_on_the_new_footing_until_the_open() -> None:
    venue = holding("10", split("4"), after_usd=26.0)
    venue.advance(BEGINS_NS)
    assert venue.prices.at(venue.now_ns)("AAA") == 25
    touch = venue.touch("AAA")
    assert touch is not None
    assert (touch.bid_usd, touch.ask_usd) == (D("24.9975"), D("25.0025"))
    assert venue.prices.lastday(venue.now_ns, has_begun=True)("AAA") == 25
    venue.advance(tick_ns(0, TUESDAY))
    assert venue.prices.at(venue.now_ns)("AAA") == 26
    assert venue.prices.lastday(venue.now_ns, has_begun=False)("AAA") == 25


def test_a_reverse_split_keeps_the_fraction_of_a_fractionable_share() -> None:
    venue = holding("15", split("1", "10"), after_usd=1000.0)
    before = venue.totals().equity
    venue.advance(BEGINS_NS)
    assert venue.account.qty("AAA") == D("1.5")
    assert venue.totals().equity == before


@pytest.mark.parametrize(("qty", "left", "cash"), [("15", 1, "500.00"), ("5", 0, "500.00")])
def test_a_fraction_is_cashed_in_lieu_where_it_cannot_be_held(
    qty: str, left: int, cash: str
) -> None:
    market = market_with(split("1", "10"), after_usd=1000.0)
    assets = {s: replace(a, fractionable=False) for s, a in list_assets(market, {}).items()}
    venue = make_venue(market, at_ns=tick_ns(0), assets=assets)
    venue.submit(buy(qty=qty))
    venue.advance(close_ns())
    cash_before, equity = venue.account.cash, venue.totals().equity
    venue.advance(BEGINS_NS)
    assert venue.account.qty("AAA") == left
    assert venue.account.cash - cash_before == D(cash)
    assert venue.totals().equity == equity
    assert [a.kind.value for a in venue.register.activities] == ["SPLIT", "SPLIT", "CIL"]


def test_a_short_splits_too_and_its_fraction_is_charged() -> None:
    venue = holding(
        "-15", split("1", "10"), after_usd=1000.0, knobs=replace(EXACT, cash_in_lieu=True)
    )
    cash = venue.account.cash
    venue.advance(BEGINS_NS)
    assert venue.account.qty("AAA") == -1
    assert venue.account.cash - cash == D("-500.00")


def test_a_split_is_told_as_old_shares_going_and_new_ones_coming() -> None:
    venue = holding("10", split("4"), after_usd=25.0)
    venue.advance(BEGINS_NS)
    gone, come = venue.register.activities
    assert (gone.qty, gone.price_usd, come.qty, come.price_usd) == (-10, 100, 40, 25)
    assert gone.description == "REMOVE, From QTY:10, To QTY:40, Position Value:1000.00"
    assert gone.net_amount == come.net_amount == 0


@pytest.mark.wire("rules.splits")
def test_a_forward_split_scales_open_orders() -> None:
    venue = holding("10", split("4"), after_usd=25.0, knobs=UNWATCHED)
    bid = venue.submit(buy(qty="3", limit="90.01", time_in_force=GTC))
    stop = venue.submit(sell(qty="10", stop="80.01", time_in_force=GTC))
    reserved = venue.account.reserved_usd
    told = venue.advance(BEGINS_NS)
    bid, stop = venue.order(bid.id), venue.order(stop.id)
    assert (bid.qty, bid.limit_price) == (12, D("22.50"))
    assert (stop.qty, stop.stop_price) == (40, D("20.00"))
    assert venue.account.held == {"AAA": D(40)}
    assert venue.account.reserved_usd == reserved
    assert [e.kind for e in told].count(EventKind.RESTATED) == 2


def test_what_has_filled_of_an_order_stays_as_it_was() -> None:
    market = market_with(split("4"), after_usd=25.0)
    market.shares[MONDAY] = {"AAA": [1000.0, *[0.0] * 19]}
    venue = make_venue(market, at_ns=tick_ns(0))
    order = venue.submit(buy(qty="150", limit="100.01", time_in_force=GTC))
    assert venue.order(order.id).filled_qty == 100
    venue.advance(BEGINS_NS)
    after = venue.order(order.id)
    assert (after.filled_qty, after.qty, after.remaining_qty) == (100, 300, 200)
    assert after.limit_price == D("25.00")


def test_a_reverse_split_ends_open_orders() -> None:
    venue = holding("10", split("1", "10"), after_usd=1000.0)
    order = venue.submit(buy(qty="3", limit="90", time_in_force=GTC))
    venue.advance(BEGINS_NS)
    assert venue.order(order.id).status is Status.CANCELED


def test_a_split_of_three_for_two_leaves_whole_orders_whole() -> None:
    venue = holding("10", split("3", "2"), after_usd=66.67)
    order = venue.submit(buy(qty="5", limit="90", time_in_force=GTC))
    venue.advance(BEGINS_NS)
    assert venue.order(order.id).qty == 7
    assert venue.account.qty("AAA") == 15


def test_a_trailing_stop_goes_on_trailing_after_a_split() -> None:
    venue = holding("10", split("2"), after_usd=50.0)
    order = venue.submit(
        sell(qty="10", type=OrderType.TRAILING_STOP, trail_price=D("4"), time_in_force=GTC)
    )
    venue.advance(BEGINS_NS)
    after = venue.order(order.id)
    assert (after.hwm, after.trail_price, after.stop_price) == (50, 2, 48)


@pytest.mark.wire("rules.dividends")
def test_a_long_is_owed_a_dividend_on_the_ex_date_and_paid_on_the_payment_date() -> None:
    venue = holding("10", dividend("1.25"), after_usd=98.75)
    cash = venue.account.cash
    venue.advance(BEGINS_NS)
    assert [(due.qty, due.payable_on) for due in venue.register.dues] == [(10, DAYS[3])]
    assert venue.account.cash == cash
    venue.advance(wall_ns(DAYS[3], 4))
    assert venue.account.cash - cash == D("12.50")
    assert venue.register.dues == []
    paid = venue.register.activities[-1]
    assert (paid.kind.value, paid.net_amount, paid.qty, paid.price_usd) == (
        "DIV",
        D("12.50"),
        10,
        D("1.25"),
    )


def test_who_sells_on_the_ex_date_is_paid_and_who_buys_then_is_not() -> None:
    venue = holding("10", dividend("1"), after_usd=99.0)
    venue.advance(tick_ns(0, TUESDAY))
    venue.submit(sell(qty="10"))
    venue.submit(buy("BBB", qty="10"))
    cash = venue.account.cash
    venue.advance(wall_ns(DAYS[3], 4))
    assert venue.account.cash - cash == 10


@pytest.mark.wire("rules.dividends")
def test_a_short_is_charged_the_dividend() -> None:
    venue = holding("-10", dividend("1.25"), after_usd=98.75)
    cash = venue.account.cash
    venue.advance(wall_ns(DAYS[3], 4))
    assert venue.account.cash - cash == D("-12.50")


def test_a_dividend_lowers_buy_limits_and_sell_stops_only() -> None:
    venue = holding("10", dividend("1.25"), after_usd=98.75, knobs=UNWATCHED)
    bid = venue.submit(buy(qty="3", limit="90", time_in_force=GTC))
    offer = venue.submit(sell(qty="4", limit="120", time_in_force=GTC))
    stop = venue.submit(sell("AAA", qty="3", stop="70", limit="69", time_in_force=GTC))
    venue.advance(BEGINS_NS)
    assert venue.order(bid.id).limit_price == D("88.75")
    assert venue.order(offer.id).limit_price == 120
    lowered = venue.order(stop.id)
    assert (lowered.stop_price, lowered.limit_price) == (D("68.75"), D("67.75"))
    assert venue.account.reserved_usd == 3 * D("88.75")


def test_a_dividend_of_less_than_a_cent_moves_no_order() -> None:
    """FINRA rule 5330 (a)."""
    for cash, left in (("0.0099", "90"), ("0.01", "89.99")):
        venue = holding("10", dividend(cash), knobs=UNWATCHED)
        order = venue.submit(buy(qty="3", limit="90", time_in_force=GTC))
        venue.advance(BEGINS_NS)
        assert venue.order(order.id).limit_price == D(left)


def test_the_paper_service_s_knobs_pay_nothing_and_move_no_order() -> None:
    knobs = replace(EXACT, pays_dividends=False, reduces_orders_for_dividends=False)
    venue = holding("10", dividend("1.25"), after_usd=98.75, knobs=knobs)
    order = venue.submit(buy(qty="3", limit="90", time_in_force=GTC))
    cash = venue.account.cash
    venue.advance(wall_ns(DAYS[4], 4))
    assert venue.account.cash == cash
    assert venue.order(order.id).limit_price == 90


def test_dividends_can_be_paid_on_the_ex_date() -> None:
    venue = holding("10", dividend("1"), knobs=replace(EXACT, pays_on_ex_date=True))
    cash = venue.account.cash
    venue.advance(BEGINS_NS)
    assert venue.account.cash - cash == 10


def test_the_equity_s_history_knows_splits_and_dividends() -> None:
    venue = holding("10", split("4"), dividend("1", pays=TUESDAY), after_usd=24.75)
    venue.advance(close_ns(DAYS[2]))
    history = equity_history(venue, Asked(timeframe="1D", first=MONDAY, last=DAYS[2]))
    assert history.equity == [D("99999.90"), D("99999.90"), D("99999.90")]
    assert history.equity[-1] == venue.totals().equity


def test_a_killed_venue_comes_back_with_dues_and_entries() -> None:
    venue = make_venue(market_with(split("4"), dividend("1"), after_usd=24.75))
    events = venue.advance(tick_ns(0))
    venue.submit(buy(qty="10"))
    events += venue.advance(BEGINS_NS)
    again = make_venue(market_with(split("4"), dividend("1"), after_usd=24.75))
    again.redo(events)
    again.advance(venue.now_ns)
    assert again.state() == venue.state()
    assert again.register.dues
    both = [v.advance(wall_ns(DAYS[3], 4)) for v in (venue, again)]
    assert both[0] == both[1]


def test_an_action_takes_effect_at_four_in_the_morning() -> None:
    assert begun_day(BEGINS_NS) == TUESDAY
    assert begun_day(BEGINS_NS - 1) == MONDAY
    assert open_ns(TUESDAY) > BEGINS_NS


def test_factors_look_through_every_later_action_up_to_the_day_asked_about() -> None:
    actions = [
        split("2", day=DAYS[1]),
        replace(dividend("2"), ex_date=DAYS[2]),
        split("3", day=DAYS[4]),
    ]
    days = np.array([d.toordinal() for d in DAYS[:5]])
    both = Adjustment(splits=True, dividends=True)
    found = bar_factors(actions, days, DAYS[3], both)
    assert found.price.tolist() == pytest.approx([0.49, 0.98, 1, 1, 1])
    assert found.volume.tolist() == [2, 1, 1, 1, 1]
    later = bar_factors(actions, days, DAYS[4], Adjustment(splits=True))
    assert later.price.tolist() == pytest.approx([1 / 6, 1 / 3, 1 / 3, 1 / 3, 1])


def test_a_dividend_s_reference_is_the_last_close_before_it() -> None:
    closes = np.array([[100.0, np.nan, 98.0, 97.0, 96.0]])
    table = ActionTable([replace(dividend("2"), ex_date=DAYS[2], reference_usd=float("nan"))])
    found = with_references(table, DAYS[:5], closes, {"AAA": 0}).actions[0]
    assert found.reference_usd == 100.0
    assert found.dividend_factor == 0.98


def test_apple_s_split_of_2020_halves_twice() -> None:
    """Apple split 4 for 1 on 2020-08-31; it closed at 499.23 the session before."""
    aapl = split("4", symbol="AAPL", day=date(2020, 8, 31))
    days = np.array([date(2020, 8, 28).toordinal(), date(2020, 8, 31).toordinal()])
    factors = bar_factors([aapl], days, date(2020, 9, 1), Adjustment(splits=True))
    assert np.round(np.array([499.23, 129.04]) * factors.price, 4).tolist() == [124.8075, 129.04]


@pytest.mark.parametrize(
    ("qty", "ratio", "whole", "left", "fraction"),
    [
        ("7", "1.5", False, "10.5", "0"),
        ("7", "1.5", True, "10", "0.5"),
        ("-7", "1.5", True, "-10", "-0.5"),
        ("1", "0.1", True, "0", "0.1"),
        ("0.333333333", "0.1", False, "0.033333333", "0"),
    ],
)
def test_a_position_after_a_split(
    qty: str, ratio: str, whole: bool, left: str, fraction: str
) -> None:
    after = split_position(D(qty), D(qty) * 100, D(ratio), whole_shares=whole)
    assert (after.qty, after.fraction_qty) == (D(left), D(fraction))


def test_a_dividend_is_paid_in_cents_half_to_even() -> None:
    assert dividend_usd(D("201.961703575"), D("0.108783")) == D("21.97")
    assert dividend_usd(D("-3"), D("0.125")) == D("-0.38")


@pytest.mark.parametrize(
    "change",
    [
        {"new_rate": D(1)},
        {"new_rate": D("0.5")},
        {"old_rate": D(0)},
        {"declared_on": TUESDAY + timedelta(days=1)},
    ],
)
def test_an_action_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"split|forward_split|declared"):
        replace(split("4"), **change)  # type: ignore[arg-type]


def test_a_symbol_has_one_action_of_a_kind_a_day() -> None:
    with pytest.raises(ValueError, match="AAA has two of forward_split"):
        ActionTable([split("2"), split("3")])


def test_a_short_s_order_to_buy_back_scales_with_it() -> None:
    venue = holding("-10", split("2"), after_usd=50.0)
    order = venue.submit(buy(qty="10", limit="80", time_in_force=GTC))
    assert order.side is Side.BUY
    venue.advance(BEGINS_NS)
    assert venue.account.held == {"AAA": D(20)}
    assert venue.account.available_qty("AAA") == 0

"""Cut-offs of the auctions, extended hours, borrowing, and the retired day-trading rule."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from domain.instruments import Universe
from exchange.assets import list_assets, shipped_instruments
from exchange.encoding import asset_json
from exchange.errors import Refusal
from exchange.extended import DEVIATION, Part, extended_view
from exchange.instants import MINUTE_NS, midnight_ns, to_ns, wall_ns
from exchange.knobs import Knobs
from exchange.markets.synthetic import SyntheticMarket
from exchange.orders import Status, TimeInForce
from exchange.records import EventKind
from exchange.venue import Venue, VenueConfig
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
KNOWN = Universe(tuple(shipped_instruments().values()))
START = date(2026, 1, 5)
FRIDAY, MONDAY_AFTER = DAYS[4], DAYS[5]


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(seed=5, universe=KNOWN)


def opened(market: SyntheticMarket, at_ns: int, knobs: Knobs = EXACT) -> Venue:
    """A venue on real sessions, from the midnight before the first to an instant of it."""
    config = VenueConfig(seed=1, cash_usd=D(1_000_000), start_ns=midnight_ns(START), knobs=knobs)
    venue = Venue(market, list_assets(market, shipped_instruments()), config)
    venue.advance(at_ns)
    return venue


@pytest.mark.parametrize(
    ("tif", "refused", "taken", "told"),
    [
        (TimeInForce.OPG, ((9, 28), (12, 0), (18, 59)), ((9, 27), (19, 0)), "9:28am"),
        (TimeInForce.CLS, ((15, 50), (16, 30), (18, 59)), ((15, 49), (9, 0), (19, 0)), "3:50pm"),
    ],
)
@pytest.mark.wire("rules.opg-cls-window")
def test_auction_orders_are_refused_from_their_cut_off_to_seven(
    market: SyntheticMarket,
    tif: TimeInForce,
    refused: tuple[tuple[int, int], ...],
    taken: tuple[tuple[int, int], ...],
    told: str,
) -> None:
    for hour, minute in sorted(refused + taken):
        venue = opened(market, wall_ns(START, hour, minute), Knobs())
        if (hour, minute) in taken:
            venue.submit(buy("KO", time_in_force=tif))
            continue
        with pytest.raises(Refusal) as raised:
            venue.submit(buy("KO", time_in_force=tif))
        assert raised.value.code == 42210000
        assert raised.value.message == (
            f"{tif} orders must be submitted after 7:00pm and before {told}"
        )


def test_half_days_have_their_cut_off_before_their_own_close(market: SyntheticMarket) -> None:
    half = date(2026, 11, 27)
    config = VenueConfig(seed=1, cash_usd=D(1000), start_ns=wall_ns(half, 12, 49))
    venue = Venue(market, list_assets(market, shipped_instruments()), config)
    venue.submit(buy("KO", qty="1", time_in_force=TimeInForce.CLS))
    venue.advance(wall_ns(half, 12, 50))
    with pytest.raises(Refusal, match=r"before 12:50pm"):
        venue.submit(buy("KO", qty="1", time_in_force=TimeInForce.CLS))


def test_an_order_for_the_open_given_in_the_evening_gets_the_next_opening(
    market: SyntheticMarket,
) -> None:
    venue = opened(market, wall_ns(START, 19, 30), Knobs())
    order = venue.submit(buy("KO", time_in_force=TimeInForce.OPG))
    venue.advance(wall_ns(date(2026, 1, 6), 9, 31))
    opening = market.tape(date(2026, 1, 6)).open[market.symbols.index("KO"), 0]
    assert venue.order(order.id).filled_avg_price == D(repr(float(opening)))


def asking(venue: Venue, symbol: str = "KO", **fields: object) -> object:
    touch = venue.touch(symbol)
    assert touch is not None
    return buy(symbol, qty="1", limit=str(touch.ask_usd * 2), extended_hours=True, **fields)


@pytest.mark.parametrize("at", [(5, 0), (17, 0)])
@pytest.mark.wire("rules.extended-hours")
def test_limit_orders_that_ask_for_it_fill_beside_the_session(
    market: SyntheticMarket, at: tuple[int, int]
) -> None:
    venue = opened(market, wall_ns(START, *at))
    told = venue.submit(asking(venue))  # type: ignore[arg-type]
    plain = venue.submit(buy("KO", qty="1", limit="1"))
    venue.advance(wall_ns(START, at[0] + 1))
    assert venue.order(told.id).status is Status.FILLED
    assert venue.order(plain.id).status in (Status.NEW, Status.ACCEPTED)


def test_what_does_not_ask_waits_for_the_open(market: SyntheticMarket) -> None:
    venue = opened(market, wall_ns(START, 5))
    touch = venue.touch("KO")
    assert touch is not None
    plain = venue.submit(buy("KO", qty="1", limit=str(touch.ask_usd * 2)))
    venue.submit(asking(venue, "PEP"))  # type: ignore[arg-type]
    venue.advance(wall_ns(START, 9, 29))
    assert venue.order(plain.id).status is Status.NEW
    venue.advance(wall_ns(START, 9, 31))
    assert venue.order(plain.id).status is Status.FILLED


def test_an_extended_order_lives_from_four_to_eight(market: SyntheticMarket) -> None:
    venue = opened(market, wall_ns(START, 17))
    order = venue.submit(buy("KO", qty="1", limit="1", extended_hours=True))
    assert order.expires_ns == wall_ns(START, 20)
    events = venue.advance(wall_ns(START, 20))
    assert [e.kind for e in events][-1] is EventKind.EXPIRED
    night = venue.submit(buy("KO", qty="1", limit="1", extended_hours=True))
    assert night.status is Status.ACCEPTED
    assert night.expires_ns == wall_ns(date(2026, 1, 6), 20)


def test_without_extended_hours_such_orders_wait(market: SyntheticMarket) -> None:
    venue = opened(market, wall_ns(START, 5), replace(EXACT, extended_hours=False))
    order = venue.submit(asking(venue))  # type: ignore[arg-type]
    venue.advance(wall_ns(START, 9, 29))
    assert venue.order(order.id).status is Status.NEW


def test_a_killed_venue_takes_up_the_evening_where_it_was(market: SyntheticMarket) -> None:
    venue, again = opened(market, midnight_ns(START)), opened(market, midnight_ns(START))
    events = venue.advance(wall_ns(START, 16, 30))
    venue.submit(buy("KO", qty="1", limit="1", extended_hours=True))
    events += venue.advance(wall_ns(START, 16, 45))
    again.redo(events)
    again.advance(venue.now_ns)
    assert again.state() == venue.state()
    venue.submit(asking(venue, "PEP"))  # type: ignore[arg-type]
    again.submit(asking(again, "PEP"))  # type: ignore[arg-type]
    later = wall_ns(START, 20)
    assert venue.advance(later) == again.advance(later)


@pytest.mark.parametrize("part", list(Part))
def test_the_tape_beside_the_session_is_thin_wide_and_joins_it(
    market: SyntheticMarket, part: Part
) -> None:
    tape = market.tape(START)
    view = extended_view(tape, part, seed=1)
    again = extended_view(tape, part, seed=1)
    assert np.array_equal(view.last, again.last)
    share = view.shares.sum(axis=1) / tape.volume.sum(axis=1)
    assert 0.005 < np.median(share) < 0.02
    assert 0.10 < (view.shares > 0).mean() < 0.20
    regular = (tape.half_spread_usd / tape.close).mean()
    assert ((view.ask - view.bid) / view.last / 2).mean() > 1.5 * regular
    edge = tape.tick_usd[:, 0] if part is Part.BEFORE else tape.official_close_usd
    assert np.abs(np.log(view.last[:, -1] / edge)).max() < 4 * DEVIATION
    opens, closes = (wall_ns(START, 4), to_ns(tape.session.opens_at))
    if part is Part.AFTER:
        opens, closes = to_ns(tape.session.closes_at), wall_ns(START, 20)
    assert opens < view.at_ns[0]
    assert view.at_ns[-1] < closes


def short(knobs: Knobs, day: date = MONDAY) -> Venue:
    """A venue short ten shares of AAA at $100 since a day."""
    venue = make_venue(at_ns=tick_ns(0, day), knobs=knobs)
    venue.submit(sell(qty="10"))
    venue.advance(close_ns(day))
    return venue


def test_a_short_pays_for_each_night_it_borrows() -> None:
    venue = short(replace(EXACT, borrow_rate=D("0.36")), FRIDAY)
    cash = venue.account.cash
    venue.advance(open_ns(MONDAY_AFTER))
    assert venue.account.cash - cash == D("-3.00")
    charged = venue.register.activities[-1]
    assert (charged.kind.value, charged.symbol, charged.net_amount) == ("FEE", "AAA", D("-3.00"))
    assert charged.description == "Stock borrow fee, 3 night(s)"


def test_by_default_borrowing_costs_nothing() -> None:
    venue = short(EXACT)
    venue.advance(open_ns(DAYS[3]))
    assert venue.register.activities == []


def test_what_is_hard_to_borrow_cannot_be_sold_short_unless_that_is_wished() -> None:
    hard = replace(EXACT, hard_to_borrow=("AAA",))
    venue = make_venue(at_ns=tick_ns(0), knobs=hard)
    with pytest.raises(Refusal, match='asset "AAA" cannot be sold short'):
        venue.submit(sell(qty="10"))
    venue.submit(sell("BBB", qty="10"))
    dear = short(replace(hard, shorts_hard_to_borrow=True))
    cash = dear.account.cash
    dear.advance(open_ns(DAYS[1]))
    assert dear.account.cash - cash == D("-0.83")


@pytest.mark.parametrize(
    ("knobs", "shortable", "easy", "status"),
    [
        (EXACT, True, True, "easy_to_borrow"),
        (replace(EXACT, hard_to_borrow=("AAA",)), True, False, "hard_to_borrow"),
        (EXACT, False, False, "not_shortable"),
    ],
)
@pytest.mark.wire("rules.borrow")
def test_an_asset_says_how_it_can_be_borrowed(
    knobs: Knobs, shortable: bool, easy: bool, status: str
) -> None:
    asset = replace(list_assets(HandMarket(), {})["AAA"], shortable=shortable)
    told = asset_json(asset, knobs)
    assert (told["shortable"], told["easy_to_borrow"], told["borrow_status"]) == (
        shortable,
        easy,
        status,
    )


def test_borrowed_money_costs_interest_where_that_is_wished() -> None:
    knobs = replace(EXACT, margin_interest_rate=D("0.072"))
    venue = make_venue(at_ns=tick_ns(0), knobs=knobs, cash_usd=D(10_000))
    venue.submit(buy(qty="100"))
    venue.submit(buy("BBB", qty="50"))
    venue.advance(close_ns())
    assert venue.account.cash == D("-5001.50")
    venue.advance(open_ns(DAYS[1]))
    assert venue.account.cash == D("-5002.50")
    assert venue.register.activities[-1].kind.value == "INT"


def round_trips(count: int, knobs: Knobs, cash: str = "20000") -> Venue:
    venue = make_venue(at_ns=tick_ns(0), knobs=knobs, cash_usd=D(cash))
    for number in range(count):
        venue.submit(buy(qty="1"))
        venue.submit(sell(qty="1"))
        venue.advance(tick_ns(1 + number))
    return venue


@pytest.mark.wire("error.pdt")
def test_the_fourth_day_trade_of_a_small_account_is_refused_under_the_retired_rule() -> None:
    protected = replace(EXACT, pdt_protection=True)
    venue = round_trips(3, protected)
    assert venue.day_trade_count() == 3
    venue.submit(buy(qty="1"))
    with pytest.raises(Refusal) as raised:
        venue.submit(sell(qty="1"))
    assert (raised.value.http_status, raised.value.code) == (403, 40310100)
    venue.advance(open_ns(DAYS[1]) + MINUTE_NS)
    venue.submit(sell(qty="1"))
    rich = round_trips(5, protected, cash="30000")
    assert rich.day_trade_count() == 5
    assert round_trips(5, EXACT).day_trade_count() == 5


def test_shares_sold_in_parts_are_one_day_trade() -> None:
    venue = make_venue(at_ns=tick_ns(0))
    venue.submit(buy(qty="10"))
    venue.submit(sell(qty="4"))
    venue.submit(sell(qty="6"))
    assert venue.day_trade_count() == 1

"""What is at stake, counted in the worse direction."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.instruments import Kind, Sector
from domain.orders import AtMarket, Leg, OrderStatus, Side
from risk.exposure import Reach, cash_needed_usd, worst_price_usd
from risk.view import RiskView
from risk.witnesses import (
    FUND,
    OTHER,
    PEER,
    STOCK,
    calm_view,
    entry,
    holding,
    instrument,
    working,
)
from tests.support.risks import gate


def looking_through(view: RiskView) -> RiskView:
    """FUND as a broad ETF: 60 % technology, 40 % energy."""
    broad = replace(
        instrument(FUND), look_through={Sector.INFORMATION_TECHNOLOGY: 0.6, Sector.ENERGY: 0.4}
    )
    return replace(view, instruments={**view.instruments, FUND: broad})


def test_longs_and_shorts_add_up_gross_and_cancel_net() -> None:
    exposure = holding(calm_view(), {STOCK: 10, OTHER: -4}).exposure
    assert exposure.gross_usd == 1_400
    assert exposure.net_usd == 600


def test_a_working_buy_counts_as_held() -> None:
    view = replace(holding(calm_view(), {STOCK: 10}), working=(working(entry(5)),))
    assert view.exposure.value_usd[STOCK] == 1_500


def test_a_working_sale_of_what_is_held_frees_nothing() -> None:
    selling = working(entry(10, side=Side.SELL))
    view = replace(holding(calm_view(), {STOCK: 10}), working=(selling,))
    assert view.exposure.value_usd[STOCK] == 1_000


def test_a_working_sale_beyond_what_is_held_counts_as_a_short() -> None:
    selling = working(entry(25, side=Side.SELL))
    view = replace(holding(calm_view(), {STOCK: 10}), working=(selling,))
    assert view.exposure.value_usd[STOCK] == 1_500


def test_only_what_may_still_fill_counts() -> None:
    half = replace(
        working(entry(10)), status=OrderStatus.PARTIALLY_FILLED, filled_shares=Decimal(6)
    )
    done = replace(working(entry(10, symbol=PEER)), status=OrderStatus.CANCELED)
    exposure = replace(calm_view(), working=(half, done)).exposure
    assert dict(exposure.value_usd) == {STOCK: 400}


def test_an_unresolved_order_counts_as_held() -> None:
    lost = replace(working(entry(10)), status=OrderStatus.UNRESOLVED)
    assert replace(calm_view(), working=(lost,)).exposure.gross_usd == 1_000


def test_an_etf_counts_in_the_sectors_it_holds() -> None:
    exposure = holding(looking_through(calm_view()), {FUND: 10, STOCK: 1}).exposure
    assert exposure.by_sector_usd[Sector.INFORMATION_TECHNOLOGY] == pytest.approx(700)
    assert exposure.by_sector_usd[Sector.ENERGY] == pytest.approx(400)
    assert exposure.etf_usd == 1_000


def test_an_etf_order_is_cut_by_the_fullest_sector_it_holds() -> None:
    full = holding(looking_through(calm_view()), {OTHER: 15_000 - 4})
    verdict = gate().judge(entry(20, symbol=FUND), full)
    assert verdict.approved is not None
    assert verdict.approved.intent.quantity_shares == 10
    assert "Energy" in verdict.denials[0].limit


def test_a_symbol_nobody_knows_is_unclassified() -> None:
    view = replace(holding(calm_view(), {STOCK: 10}), instruments={})
    assert view.exposure.by_sector_usd == {Sector.UNCLASSIFIED: 1_000}


def test_members_of_a_cluster_add_up() -> None:
    view = replace(calm_view(), cluster_of={STOCK: "chips", PEER: "chips"})
    exposure = holding(view, {STOCK: 1, PEER: -2, OTHER: 4}).exposure
    assert exposure.by_cluster_usd == {"chips": 300}


def test_a_held_symbol_without_a_price_counts_at_its_entry() -> None:
    view = replace(calm_view(), last_good_usd={}, quotes={}, reference_close_usd={})
    assert holding(view, {STOCK: 10}).exposure.gross_usd == 1_000


@pytest.mark.parametrize(
    ("known", "mark_usd"),
    [
        ({}, 100.0),
        ({"last_good_usd": {STOCK: 90.0}}, 90.0),
        ({"last_good_usd": {}}, 100.0),
        ({"last_good_usd": {}, "quotes": {}, "reference_close_usd": {STOCK: 80.0}}, 80.0),
        ({"last_good_usd": {}, "quotes": {}, "reference_close_usd": {}}, None),
        ({"last_good_usd": {STOCK: float("nan")}}, None),
        ({"last_good_usd": {STOCK: 0.0}}, None),
    ],
)
def test_a_mark_is_the_last_good_price_before_any_other(
    known: dict[str, object], mark_usd: float | None
) -> None:
    assert replace(calm_view(), **known).mark_usd(STOCK) == mark_usd


def test_a_buy_takes_its_limit_in_cash_and_a_close_takes_none() -> None:
    view = holding(calm_view(), {PEER: 10})
    orders = (working(entry(10)), working(entry(10, symbol=PEER, side=Side.SELL)))
    exposure = replace(view, working=orders).exposure
    assert exposure.reserved_usd == pytest.approx(1_000.10)


def test_a_short_sale_takes_cash_and_alpacas_margin_for_what_is_not_held() -> None:
    assert cash_needed_usd(Reach(Decimal(10)), Side.SELL, 15, 100.0) == pytest.approx(5 * 103.0)
    assert cash_needed_usd(Reach(Decimal(-5)), Side.SELL, 10, 100.0) == pytest.approx(10 * 103.0)


def test_an_order_without_a_limit_takes_alpacas_margin() -> None:
    at_market = entry(1, terms=AtMarket())
    assert worst_price_usd(at_market, 100.0) == pytest.approx(104.0)
    assert worst_price_usd(entry(1, terms=AtMarket(), side=Side.SELL), 100.0) == 100.0


def test_a_sale_limited_below_the_market_is_worth_the_market() -> None:
    assert worst_price_usd(entry(1, side=Side.SELL), 120.0) == 120.0


def test_protective_exits_are_no_turnover() -> None:
    view = holding(calm_view(), {STOCK: 10, PEER: 10})
    orders = (
        working(entry(10, side=Side.SELL, leg=Leg.EXIT)),
        working(entry(10, symbol=PEER, side=Side.SELL, leg=Leg.CLOSE)),
    )
    assert replace(view, working=orders).exposure.turnover_usd == 1_000


@pytest.mark.parametrize(
    ("reach", "side", "external", "closing"),
    [
        (Reach(Decimal(10)), Side.SELL, 0, 10),
        (Reach(Decimal(10)), Side.BUY, 0, 0),
        (Reach(Decimal(-10)), Side.BUY, 0, 10),
        (Reach(Decimal(-10)), Side.SELL, 0, 0),
        (Reach(Decimal(10), selling=Decimal(4)), Side.SELL, 0, 6),
        (Reach(Decimal(10), buying=Decimal(4)), Side.SELL, 0, 10),
        (Reach(Decimal(-10), buying=Decimal(4)), Side.BUY, 0, 6),
        (Reach(Decimal(10), external=Decimal(4)), Side.SELL, 4, 6),
        (Reach(Decimal(-90), external=Decimal(-100)), Side.SELL, -100, 0),
        (Reach(Decimal(-10), external=Decimal(-4)), Side.BUY, -4, 6),
    ],
)
def test_what_closes_is_what_stays_on_its_side_of_zero(
    reach: Reach, side: Side, external: int, closing: int
) -> None:
    assert reach.closing(side, external=Decimal(external)) == closing


def test_the_view_derives_its_exposure_once() -> None:
    view = holding(calm_view(), {STOCK: 10})
    assert view.exposure is view.exposure


def test_a_changed_view_derives_its_exposure_anew() -> None:
    view = holding(calm_view(), {STOCK: 10})
    assert view.exposure.gross_usd == 1_000
    assert holding(view, {STOCK: 20}).exposure.gross_usd == 2_000


def test_kinds_other_than_etf_do_not_count_as_one() -> None:
    assert instrument(STOCK).kind is Kind.STOCK
    assert holding(calm_view(), {STOCK: 10}).exposure.etf_usd == 0

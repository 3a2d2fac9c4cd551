"""The gate's clauses, one by one."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.instruments import Sector, Symbol
from domain.orders import EXTERNAL, OPERATOR, AtLimit, Leg, Side
from domain.snapshot import TradingState
from risk.gate import reduced
from risk.limits import RiskLimits
from risk.prices import ExitPricing
from risk.rules import all_rules
from risk.witnesses import (
    FUND,
    NOON,
    OTHER,
    OTHER_FUND,
    PEER,
    STOCK,
    calm_view,
    entry,
    holding,
    quote,
    working,
)
from tests.support.risks import (
    DenyAll,
    gate,
    gate_of,
    passed_shares,
    position,
    stated,
    with_books,
)


def test_an_order_nobody_objects_to_passes_whole() -> None:
    verdict = gate().judge(entry(10), calm_view())
    assert verdict.approved is not None
    assert verdict.approved.intent == entry(10)
    assert verdict.denials == ()
    assert verdict.notes == ()


def test_the_strictest_of_two_rules_decides() -> None:
    rules = (DenyAll(allowed_shares=Decimal(7)), DenyAll(allowed_shares=Decimal(3)))
    verdict = gate_of(*rules).judge(entry(10), calm_view())
    assert verdict.approved is not None
    assert verdict.approved.intent.quantity_shares == 3
    assert len(verdict.denials) == 2


def test_a_reduced_order_is_cut_to_whole_lots_toward_zero() -> None:
    rule = DenyAll(allowed_shares=Decimal("3.9"))
    assert passed_shares(gate_of(rule), entry(10), calm_view()) == 3
    assert passed_shares(gate_of(rule), entry(10, side=Side.SELL), calm_view()) == 3


def test_a_reduced_order_below_one_lot_is_denied() -> None:
    verdict = gate_of(DenyAll(allowed_shares=Decimal("0.9"))).judge(entry(10), calm_view())
    assert verdict.approved is None
    assert [denial.rule for denial in verdict.denials] == ["deny_all"]


def test_a_rule_that_denies_everything_does_not_hold_back_a_close() -> None:
    view = holding(calm_view(), {STOCK: 10})
    closing = entry(10, side=Side.SELL, leg=Leg.CLOSE)
    assert passed_shares(gate_of(DenyAll()), closing, view) == 10


def test_a_rule_that_binds_closing_holds_it_back() -> None:
    view = holding(calm_view(), {STOCK: 10})
    closing = entry(10, side=Side.SELL, leg=Leg.CLOSE)
    assert passed_shares(gate_of(DenyAll(binds_closing=True)), closing, view) == 0


def test_of_a_flip_only_the_closing_part_is_free() -> None:
    view = holding(calm_view(), {STOCK: 10})
    flip = entry(25, side=Side.SELL)
    assert passed_shares(gate_of(DenyAll()), flip, view) == 10


def test_covering_a_short_is_closing_too() -> None:
    view = holding(calm_view(), {STOCK: -10})
    assert passed_shares(gate_of(DenyAll()), entry(10), view) == 10
    assert passed_shares(gate_of(DenyAll()), entry(11), view) == 10


def test_a_broken_share_that_is_held_can_be_sold_whole() -> None:
    view = holding(calm_view(), {STOCK: Decimal("10.5")})
    assert passed_shares(gate(), entry(Decimal("10.5"), side=Side.SELL), view) == Decimal("10.5")


def test_shares_already_being_sold_cannot_be_closed_again() -> None:
    view = holding(calm_view(), {STOCK: 10})
    selling = replace(view, working=(working(entry(10, side=Side.SELL)),))
    assert passed_shares(gate(), entry(10, side=Side.SELL), selling) == 0


def test_a_buy_that_works_does_not_make_more_to_close() -> None:
    view = replace(holding(calm_view(), {STOCK: 10}), working=(working(entry(5)),))
    assert passed_shares(gate(), entry(15, side=Side.SELL), view) == 10


def test_a_strategy_may_not_close_what_it_did_not_open() -> None:
    view = with_books(calm_view(), {EXTERNAL: {STOCK: position(10)}})
    assert passed_shares(gate(), entry(10, side=Side.SELL), view) == 0


def test_a_person_may_close_what_we_did_not_open() -> None:
    view = with_books(calm_view(), {EXTERNAL: {STOCK: position(10)}})
    sale = entry(10, side=Side.SELL)
    by_hand = replace(sale, deltas={OPERATOR: Decimal(-10)})
    assert passed_shares(gate(), by_hand, view) == 10


def test_an_order_that_is_only_partly_a_persons_may_not() -> None:
    view = with_books(calm_view(), {EXTERNAL: {STOCK: position(10)}})
    mixed = {OPERATOR: Decimal(-6), "sma_crossover": Decimal(-4)}
    assert passed_shares(gate(), replace(entry(10, side=Side.SELL), deltas=mixed), view) == 0


def test_a_short_is_limited_like_a_long() -> None:
    limits = RiskLimits(allow_shorts=True)
    view = holding(calm_view(), {STOCK: -1_990})
    verdict = gate(limits).judge(entry(20, side=Side.SELL), view)
    assert verdict.approved is not None
    assert verdict.approved.intent.quantity_shares == 10
    assert [denial.rule for denial in verdict.denials] == ["position"]


def test_a_flip_to_short_is_limited_by_where_it_ends() -> None:
    limits = RiskLimits(allow_shorts=True, order_size_max_usd=Decimal(10**6))
    view = holding(calm_view(), {STOCK: 1_000})
    assert passed_shares(gate(limits), entry(3_000, side=Side.SELL), view) == 3_000
    assert passed_shares(gate(limits), entry(3_001, side=Side.SELL), view) == 3_000


def test_a_gross_exposure_above_one_may_be_borrowed() -> None:
    view = replace(calm_view(), settled_cash_usd=Decimal(0))
    assert passed_shares(gate(), entry(10), view) == 0
    borrowing = RiskLimits(max_gross_exposure=Decimal("1.5"))
    assert passed_shares(gate(borrowing), entry(10), view) == 10


def test_a_short_sale_must_be_paid_with_alpacas_margin() -> None:
    shorting = RiskLimits(allow_shorts=True)
    view = replace(holding(calm_view(), {STOCK: 5}), settled_cash_usd=Decimal(10_300))
    assert passed_shares(gate(shorting), entry(105, side=Side.SELL), view) == 105
    assert passed_shares(gate(shorting), entry(110, side=Side.SELL), view) == 105


def test_a_flatten_closes_what_we_did_not_open() -> None:
    view = with_books(calm_view(), {EXTERNAL: {STOCK: position(10)}})
    assert passed_shares(gate(), entry(10, side=Side.SELL, leg=Leg.FLATTEN), view) == 10


def test_shares_that_are_not_ours_count_against_the_limits() -> None:
    view = with_books(calm_view(), {EXTERNAL: {STOCK: position(2_000)}})
    denials = gate().judge(entry(10), view).denials
    assert [denial.rule for denial in denials] == ["position"]


@pytest.mark.parametrize("state", TradingState)
def test_a_flatten_passes_in_every_state(state: TradingState) -> None:
    view = stated(holding(calm_view(), {STOCK: 10}), state)
    assert passed_shares(gate(), entry(10, side=Side.SELL, leg=Leg.FLATTEN), view) == 10


@pytest.mark.parametrize("state", TradingState)
def test_a_flatten_never_opens(state: TradingState) -> None:
    view = stated(holding(calm_view(), {STOCK: 10}), state)
    assert passed_shares(gate(), entry(12, side=Side.SELL, leg=Leg.FLATTEN), view) == 10
    assert passed_shares(gate(), entry(12, leg=Leg.FLATTEN), view) == 0


def test_an_exit_does_not_pass_while_halted() -> None:
    view = stated(holding(calm_view(), {STOCK: 10}), TradingState.HALTED)
    assert passed_shares(gate(), entry(10, side=Side.SELL, leg=Leg.EXIT), view) == 0


def test_a_quarantined_symbol_is_halted_alone() -> None:
    view = replace(holding(calm_view(), {STOCK: 10, PEER: 10}), quarantined={STOCK: "unresolved"})
    assert passed_shares(gate(), entry(10, side=Side.SELL), view) == 0
    assert passed_shares(gate(), entry(10, side=Side.SELL, leg=Leg.FLATTEN), view) == 10
    assert passed_shares(gate(), entry(10, side=Side.SELL, symbol=PEER), view) == 10


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("quotes", {}, "stale_price"),
        ("average_volume_shares", {}, "volume_share"),
        ("equity_usd", None, "position"),
        ("loss_bases", None, "drawdown"),
        ("settled_cash_usd", None, "buying_power"),
        ("buying_power_usd", None, "buying_power"),
        ("assets", {}, "asset_rights"),
        ("instruments", {}, "asset_rights"),
    ],
)
def test_an_entry_fails_closed_when_an_input_is_missing(
    field: str, value: object, rule: str
) -> None:
    view = replace(calm_view(), **{field: value})
    verdict = gate().judge(entry(), view)
    assert verdict.approved is None
    assert any(denial.rule == rule and "missing" in denial.value for denial in verdict.denials)


def test_an_exit_passes_without_a_quote_and_says_what_it_rests_on() -> None:
    view = replace(holding(calm_view(), {STOCK: 10}), quotes={})
    verdict = gate().judge(entry(10, side=Side.SELL, leg=Leg.EXIT), view)
    assert verdict.approved is not None
    assert verdict.denials == ()
    assert len(verdict.notes) == 1
    assert "no quote: this exit rests on the last good price 100.0000 USD" in verdict.notes[0]


def test_an_absurd_first_quote_of_the_day_is_told_by_the_previous_close() -> None:
    absurd = replace(quote(STOCK), bid_usd=149.99, ask_usd=150.01)
    view = replace(calm_view(), last_good_usd={}, quotes={STOCK: absurd})
    verdict = gate().judge(entry(10, terms=AtLimit(Decimal("150.01"))), view)
    assert verdict.approved is None
    assert [denial.rule for denial in verdict.denials] == ["price_sanity"]


def test_an_entry_gets_no_notes() -> None:
    view = replace(calm_view(), session=None, quotes={})
    assert gate_of().judge(entry(), view).notes == ()


def test_an_exit_on_an_old_quote_says_its_age() -> None:
    old = quote(STOCK, at=NOON.replace(hour=16))
    view = replace(holding(calm_view(), {STOCK: 10}), quotes={STOCK: old})
    (note,) = gate().judge(entry(10, side=Side.SELL), view).notes
    assert "3600.0 s old" in note
    assert "50 bps" in note


def test_an_exit_on_a_closed_market_says_so() -> None:
    view = replace(holding(calm_view(), {STOCK: 10}), session=None)
    (note,) = gate().judge(entry(10, side=Side.SELL), view).notes
    assert "closed" in note


def test_an_exit_priced_beyond_its_wider_collar_passes_and_says_so() -> None:
    view = holding(calm_view(), {STOCK: 10})
    inside = entry(10, side=Side.SELL, terms=AtLimit(Decimal("99.49")))
    beyond = entry(10, side=Side.SELL, terms=AtLimit(Decimal("99.48")))
    exits = replace(gate(), exits=ExitPricing(collar_bps=50))
    assert exits.judge(inside, view).notes == ()
    (note,) = exits.judge(beyond, view).notes
    assert "99.48 USD lies beyond the exit collar's 99.49 USD" in note


def test_an_exit_against_a_working_entry_says_the_venue_may_refuse_it() -> None:
    view = replace(holding(calm_view(), {STOCK: 10}), working=(working(entry(5)),))
    (note,) = gate().judge(entry(10, side=Side.SELL), view).notes
    assert "wash" in note


def test_a_reduced_order_scales_every_books_delta() -> None:
    asked = replace(
        entry(12), deltas={"a": Decimal(8), "b": Decimal(8), "c": Decimal(-4)}, side=Side.BUY
    )
    assert reduced(asked, Decimal(6)).deltas == {
        "a": Decimal(4),
        "b": Decimal(4),
        "c": Decimal(-2),
    }


def test_the_largest_remainder_gets_the_odd_share_and_the_name_breaks_ties() -> None:
    asked = replace(entry(10), deltas={"b": Decimal(5), "a": Decimal(5)})
    assert reduced(asked, Decimal(5)).deltas == {"a": Decimal(3), "b": Decimal(2)}
    skewed = replace(entry(10), deltas={"a": Decimal(3), "b": Decimal(7)})
    assert reduced(skewed, Decimal(4)).deltas == {"a": Decimal(1), "b": Decimal(3)}


def test_broken_shares_are_scaled_in_broken_shares() -> None:
    halves = {"a": Decimal("5.25"), "b": Decimal("5.25")}
    asked = replace(entry(Decimal("10.5")), deltas=halves)
    assert reduced(asked, Decimal("5.5")).deltas == {"a": Decimal("2.75"), "b": Decimal("2.75")}


def test_a_book_left_with_nothing_is_left_out() -> None:
    asked = replace(entry(10), deltas={"a": Decimal(1), "b": Decimal(9)})
    assert reduced(asked, Decimal(1)).deltas == {"b": Decimal(1)}


@pytest.mark.parametrize("shares", ["0", "11"])
def test_reducing_to_nothing_or_to_more_is_refused(shares: str) -> None:
    with pytest.raises(ValueError, match="cannot reduce"):
        reduced(entry(10), Decimal(shares))


def test_a_reduction_keeps_the_orders_identity() -> None:
    assert reduced(entry(10), Decimal(3)).client_order_id == entry(10).client_order_id


def test_each_approved_order_counts_as_working_for_the_next() -> None:
    limits = RiskLimits(max_position_size=Decimal("0.0003"))
    first, second = gate(limits).judge_all([entry(20), entry(20)], calm_view())
    assert first.approved is not None
    assert second.approved is not None
    assert first.approved.intent.quantity_shares == 20
    assert second.approved.intent.quantity_shares == 10


def test_entries_of_one_judgement_share_the_gross_exposure() -> None:
    # A cap of 1,500 USD: each of the two orders, of 1,000 USD, fits into it alone.
    limits = RiskLimits(max_gross_exposure=Decimal("0.00015"))
    verdicts = gate(limits).judge_all((entry(10), entry(10, symbol=OTHER)), calm_view())

    assert [v.approved and v.approved.intent.quantity_shares for v in verdicts] == [10, 5]


def test_entries_of_one_judgement_share_their_sector() -> None:
    limits = RiskLimits(sector_caps={Sector.INFORMATION_TECHNOLOGY: Decimal("0.00015")})
    verdicts = gate(limits).judge_all((entry(10), entry(10, symbol=PEER)), calm_view())

    assert [v.approved and v.approved.intent.quantity_shares for v in verdicts] == [10, 5]


def test_a_denied_order_does_not_count_for_the_next() -> None:
    unknown = entry(20, symbol=OTHER)
    view = replace(calm_view(), cooldown_until={OTHER: NOON}, orders_today=199)
    denied, passed = gate().judge_all([unknown, entry(20)], view)
    assert denied.approved is None
    assert passed.approved is not None


def test_entries_of_one_judgement_use_up_the_minute() -> None:
    limits = RiskLimits(orders_per_minute_max=2)
    verdicts = gate(limits).judge_all([entry(n) for n in (1, 2, 3)], calm_view())
    assert [v.approved is not None for v in verdicts] == [True, True, False]
    assert [d.rule for d in verdicts[2].denials] == ["order_rate"]


def test_closing_orders_use_up_nothing() -> None:
    limits = RiskLimits(orders_per_minute_max=1)
    view = holding(calm_view(), {PEER: 10})
    verdicts = gate(limits).judge_all([entry(10, symbol=PEER, side=Side.SELL), entry(1)], view)
    assert all(v.approved is not None for v in verdicts)


def test_cash_of_approved_orders_comes_off_the_venues_figure() -> None:
    view = replace(calm_view(), buying_power_usd=Decimal("1500.15"))
    first, second = gate().judge_all([entry(10), entry(10, symbol=PEER)], view)
    assert first.approved is not None
    assert second.approved is not None
    assert second.approved.intent.quantity_shares == 5


FIFTEEN_SHARES = Decimal("0.00015")
"""Of the calm market's equity."""


@pytest.mark.parametrize(
    ("rule", "limits", "symbols"),
    [
        ("gross", {"max_gross_exposure": FIFTEEN_SHARES}, (STOCK, OTHER)),
        ("turnover", {"daily_turnover_max": FIFTEEN_SHARES}, (STOCK, OTHER)),
        ("sector", {"sector_caps": dict.fromkeys(Sector, FIFTEEN_SHARES)}, (STOCK, PEER)),
        ("etf", {"etf_cap": FIFTEEN_SHARES}, (FUND, OTHER_FUND)),
        (
            "cluster",
            {"max_position_size": FIFTEEN_SHARES, "cluster_names_max": 1},
            (STOCK, PEER),
        ),
    ],
)
def test_an_approved_order_fills_the_caps_of_those_after_it(
    rule: str, limits: dict[str, Any], symbols: tuple[Symbol, Symbol]
) -> None:
    view = replace(calm_view(), cluster_of={STOCK: "chips", PEER: "chips"})
    asked = [entry(10, symbol=symbol) for symbol in symbols]
    first, second = gate(replace(RiskLimits(), **limits)).judge_all(asked, view)
    assert first.denials == ()
    assert [denial.rule for denial in second.denials] == [rule]
    assert second.approved is not None
    assert second.approved.intent.quantity_shares == 5


def test_a_cluster_that_was_looked_at_grows_by_what_is_approved() -> None:
    limits = RiskLimits(max_position_size=FIFTEEN_SHARES, cluster_names_max=1)
    view = replace(holding(calm_view(), {OTHER: 20}), cluster_of={STOCK: "chips", PEER: "chips"})
    first, second = gate(limits).judge_all([entry(10), entry(10, symbol=PEER)], view)
    assert first.denials == ()
    assert [denial.rule for denial in second.denials] == ["cluster"]


def test_covering_a_short_takes_cash_from_the_orders_after_it() -> None:
    view = replace(holding(calm_view(), {PEER: -10}), settled_cash_usd=Decimal("1500.15"))
    cover, bought = gate().judge_all([entry(10, symbol=PEER), entry(10)], view)
    assert cover.approved is not None
    assert bought.approved is not None
    assert bought.approved.intent.quantity_shares == 5
    assert [d.rule for d in bought.denials] == ["buying_power"]


def test_working_orders_do_not_come_off_the_venues_figure_twice() -> None:
    view = replace(
        calm_view(),
        buying_power_usd=Decimal("1000.10"),
        working=(working(entry(10, symbol=PEER)),),
    )
    assert passed_shares(gate(), entry(10), view) == 10


def test_losses_are_measured_on_the_account_and_limits_on_what_is_sized() -> None:
    capped = replace(
        calm_view(), equity_usd=Decimal(100_000), account_equity_usd=Decimal(10_000_000)
    )
    assert passed_shares(gate(), entry(30), capped) == 20
    lost = replace(capped, account_equity_usd=Decimal(8_000_000))
    rules = {denial.rule for denial in gate().judge(entry(), lost).denials}
    assert rules == {"drawdown", "daily_loss"}


def test_working_buys_come_off_the_settled_cash() -> None:
    view = replace(calm_view(), working=(working(entry(10, symbol=PEER)),))
    short_of_cash = replace(view, settled_cash_usd=Decimal("1500.15"))
    assert passed_shares(gate(), entry(10), short_of_cash) == 5


def test_working_orders_count_in_the_days_turnover() -> None:
    spent = replace(calm_view(), turnover_today_usd=Decimal(1_998_500))
    busy = replace(spent, working=(working(entry(10, symbol=PEER)),))
    assert passed_shares(gate(), entry(15), spent) == 15
    assert passed_shares(gate(), entry(15), busy) == 5


def test_an_asset_that_is_not_tradable_is_not_entered() -> None:
    barred = replace(calm_view().assets[STOCK], tradable=False)
    view = replace(calm_view(), assets={STOCK: barred})
    assert [d.rule for d in gate().judge(entry(), view).denials] == ["asset_rights"]


def test_unfilled_sales_bring_no_cash() -> None:
    view = replace(
        holding(calm_view(), {PEER: 100}),
        settled_cash_usd=Decimal(0),
        working=(working(entry(100, symbol=PEER, side=Side.SELL)),),
    )
    assert [d.rule for d in gate().judge(entry(), view).denials] == ["buying_power"]


def test_no_rule_is_asked_twice() -> None:
    names = [rule.name for rule in all_rules(RiskLimits())]
    assert len(set(names)) == len(names)

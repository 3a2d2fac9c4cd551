"""What the gate never does, whatever is held, working, missing or wrong."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.orders import Leg, OrderIntent, Side
from domain.snapshot import TradingState
from risk.gate import reduced
from risk.limits import RiskLimits
from risk.prices import ExitPricing
from risk.rule import RiskRule
from risk.rules import all_rules
from risk.screening import Sketch
from risk.view import RiskView
from risk.witnesses import calm_view, entry
from tests.support.risks import (
    SYMBOLS,
    TTL_S,
    DenyAll,
    closing_intents,
    gate,
    gate_of,
    intents,
    passed_shares,
    some_limits,
    trusting,
    views,
)

RULES = all_rules(RiskLimits())


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_it_never_enlarges_an_order(view: RiskView, intent: OrderIntent) -> None:
    assert 0 <= passed_shares(gate(), intent, view) <= intent.quantity_shares


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_it_never_turns_or_reprices_an_order(view: RiskView, intent: OrderIntent) -> None:
    approved = gate().judge(intent, view).approved
    if approved is None:
        return
    asked = {
        "quantity_shares": intent.quantity_shares,
        "deltas": intent.deltas,
        "leg": intent.leg,
    }
    assert replace(approved.intent, **asked) == intent


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_it_calls_an_order_another_only_when_what_is_left_of_an_entry_closes(
    view: RiskView, intent: OrderIntent
) -> None:
    approved = gate().judge(intent, view).approved
    if approved is None:
        return
    sent = approved.intent
    was_cut = sent.quantity_shares < intent.quantity_shares
    only_closes = sent.quantity_shares <= view.closing_shares(intent)
    closes_now = intent.leg is Leg.OPEN and was_cut and only_closes
    assert sent.leg is (Leg.CLOSE if closes_now else intent.leg)


@settings(deadline=None)
@given(view=views(), intent=intents(), cut=st.integers(0, len(RULES) - 1))
def test_one_rule_more_never_lets_more_through(
    view: RiskView, intent: OrderIntent, cut: int
) -> None:
    fewer = gate_of(*RULES[:cut], *RULES[cut + 1 :])
    assert passed_shares(gate(), intent, view) <= passed_shares(fewer, intent, view)


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_no_rule_alone_allows_less_than_the_gate_lets_open(
    view: RiskView, intent: OrderIntent
) -> None:
    passed = passed_shares(gate(), intent, view)
    objections = [rule.check(intent, view) for rule in RULES]
    least = min((d.allowed_shares for d in objections if d), default=intent.quantity_shares)
    assert passed <= max(least, view.closing_shares(intent))


@settings(deadline=None)
@given(data=st.data(), view=views())
def test_what_only_closes_is_never_held_back(data: st.DataObject, view: RiskView) -> None:
    view = trusting(view)
    intent = data.draw(closing_intents(view))
    if intent is None:
        return
    denying = gate_of(*RULES, DenyAll())
    verdict = denying.judge(intent, view)
    assert verdict.approved is not None
    assert verdict.approved.intent == intent
    assert verdict.denials == ()


@settings(deadline=None)
@given(data=st.data(), view=views())
def test_the_same_closing_order_passes_while_reducing(data: st.DataObject, view: RiskView) -> None:
    view = trusting(view)
    view = replace(view, trading=replace(view.trading, state=TradingState.REDUCING))
    intent = data.draw(closing_intents(view))
    if intent is None:
        return
    assert passed_shares(gate(), intent, view) == intent.quantity_shares


@settings(deadline=None)
@given(view=views(), intent=intents(legs=(Leg.OPEN, Leg.CLOSE, Leg.EXIT)))
def test_nothing_but_a_flatten_passes_while_halted(view: RiskView, intent: OrderIntent) -> None:
    view = replace(view, trading=replace(view.trading, state=TradingState.HALTED))
    assert passed_shares(gate(), intent, view) == 0


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_while_not_active_no_order_can_make_a_position_larger(
    view: RiskView, intent: OrderIntent
) -> None:
    view = replace(view, trading=replace(view.trading, state=TradingState.REDUCING))
    passed = passed_shares(gate(), intent, view)
    reach = view.reach(intent.symbol)
    after = reach.plus(intent.side, passed)
    if intent.side is Side.SELL and passed:
        assert 0 <= after.lowest < reach.lowest
    elif passed:
        assert 0 >= after.highest > reach.highest


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_with_shorts_off_a_strategy_never_sells_what_it_does_not_own(
    view: RiskView, intent: OrderIntent
) -> None:
    shares = intent.quantity_shares
    intent = replace(intent, side=Side.SELL, deltas={"a": -shares}, leg=Leg.OPEN)
    passed = passed_shares(gate(), intent, view)
    reach = view.reach(intent.symbol)
    assert passed == 0 or reach.lowest - reach.external - passed >= 0


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_it_is_pure(view: RiskView, intent: OrderIntent) -> None:
    untouched = replace(view)
    first = gate().judge(intent, view)
    assert gate().judge(intent, view) == first
    assert gate().judge(intent, untouched) == first


@settings(deadline=None)
@given(view=views(), intent=intents())
def test_an_approval_is_of_the_epoch_and_expires(view: RiskView, intent: OrderIntent) -> None:
    approved = gate().judge(intent, view).approved
    if approved is None:
        return
    assert approved.epoch == view.trading.epoch
    assert (approved.expires_at - approved.approved_at).total_seconds() == TTL_S
    assert approved.approved_at == view.as_of


@settings(deadline=None)
@given(intent=intents(), percent=st.integers(1, 100))
def test_a_reduced_orders_deltas_sum_to_it_and_are_scaled_alike(
    intent: OrderIntent, percent: int
) -> None:
    wanted = max(intent.quantity_shares * percent // 100, min(Decimal(1), intent.quantity_shares))
    less = reduced(intent, wanted)
    assert sum(less.deltas.values()) == intent.side.sign * wanted
    scale = wanted / intent.quantity_shares
    for book, asked in intent.deltas.items():
        assert abs(less.deltas.get(book, Decimal(0)) - asked * scale) < 1


@settings(max_examples=60, deadline=None)
@given(view=views(), asked=st.lists(intents(), min_size=1, max_size=5))
def test_judging_together_is_judging_one_after_the_other_with_what_passed_working(
    view: RiskView, asked: list[OrderIntent]
) -> None:
    together = gate().judge_all(asked, view)
    for intent, verdict in zip(asked, together, strict=True):
        alone = gate().judge(intent, view)
        assert verdict.approved == alone.approved
        if alone.approved is not None:
            sent = alone.approved.intent
            is_entry = view.closing_shares(sent) < sent.quantity_shares
            view = view.counting(sent, is_entry=is_entry)


@settings(max_examples=60, deadline=None)
@given(view=views(), asked=st.lists(intents(), min_size=1, max_size=4))
def test_exposure_grown_order_by_order_is_exposure_from_scratch(
    view: RiskView, asked: list[OrderIntent]
) -> None:
    grown = view
    for intent in asked:
        grown = grown.counting(intent, is_entry=True)
    fresh = replace(view, approved=tuple(asked)).exposure
    assert all(fresh.reach(s) == grown.exposure.reach(s) for s in SYMBOLS)
    assert _close(fresh.gross_usd, grown.exposure.gross_usd)
    assert _close(fresh.reserved_usd, grown.exposure.reserved_usd)
    assert _close(fresh.turnover_usd, grown.exposure.turnover_usd)


@settings(deadline=None)
@given(view=views())
def test_the_parts_of_the_exposure_sum_to_the_gross(view: RiskView) -> None:
    exposure = view.exposure
    assert _close(sum(exposure.value_usd.values()), exposure.gross_usd)
    assert _close(sum(exposure.by_sector_usd.values()), exposure.gross_usd)
    assert exposure.gross_usd + 1e-6 >= abs(exposure.net_usd)


@settings(deadline=None)
@given(view=views(), asked=st.lists(intents(legs=(Leg.OPEN,)), min_size=1, max_size=8))
def test_entries_approved_together_stay_within_the_gross_and_position_limits(
    view: RiskView, asked: list[OrderIntent]
) -> None:
    if view.equity_usd is None:
        return
    before = view.exposure
    verdicts = gate().judge_all(asked, view)
    for verdict in verdicts:
        if verdict.approved is not None:
            view = view.counting(verdict.approved.intent, is_entry=True)
    limits = RiskLimits()
    gross_usd = float(limits.max_gross_exposure * view.equity_usd)
    assert view.exposure.gross_usd <= max(gross_usd, before.gross_usd) + 1e-3
    position_usd = float(limits.max_position_size * view.equity_usd)
    for symbol in SYMBOLS:
        already = before.value_usd.get(symbol, 0.0)
        assert view.exposure.value_usd.get(symbol, 0.0) <= max(position_usd, already) + 1e-3


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * max(1.0, abs(one))


@settings(max_examples=300, deadline=None)
@given(view=views(), before=st.lists(intents(), max_size=3), intent=intents(), limits=some_limits())
def test_a_rule_never_spares_an_order_that_it_objects_to(
    view: RiskView, before: list[OrderIntent], intent: OrderIntent, limits: RiskLimits
) -> None:
    rules, sketch = all_rules(limits), Sketch(view)
    for passed in before:
        sketch.turn_to(passed)
        is_entry = view.closing_shares(passed) < passed.quantity_shares
        sketch.count(passed)
        view = view.counting(passed, is_entry=is_entry)
    sketch.turn_to(intent)
    if not sketch.is_known:
        return
    only_closes = sketch.closing >= intent.quantity_shares
    for rule in rules:
        if (rule.binds_closing or not only_closes) and rule.spares(sketch):
            assert rule.check(intent, view) is None


@settings(max_examples=100, deadline=None)
@given(limits=some_limits())
def test_a_rule_does_not_spare_an_order_one_unit_outside_its_limit(limits: RiskLimits) -> None:
    for rule in all_rules(limits):
        outside = rule.witnesses().outside
        sketch = Sketch(outside.view)
        sketch.turn_to(outside.intent)
        assert not (sketch.is_known and rule.spares(sketch))


@settings(max_examples=200, deadline=None)
@given(view=views(), asked=st.lists(intents(), min_size=1, max_size=4), limits=some_limits())
def test_the_gate_says_what_its_rules_say_one_by_one(
    view: RiskView, asked: list[OrderIntent], limits: RiskLimits
) -> None:
    rules = all_rules(limits)
    for intent, verdict in zip(asked, gate(limits).judge_all(asked, view), strict=True):
        closing = view.closing_shares(intent)
        only_closes = closing >= intent.quantity_shares
        asked_of = [rule for rule in rules if rule.binds_closing or not only_closes]
        objections = [rule.check(intent, view) for rule in asked_of]
        assert verdict.denials == tuple(d for d in objections if d is not None)
        if verdict.approved is not None:
            sent = verdict.approved.intent
            if sent.quantity_shares <= closing:
                assert verdict.notes == ExitPricing().notes(sent, view)
            view = view.counting(sent, is_entry=closing < sent.quantity_shares)


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_a_calm_entry_is_spared_by_every_rule(rule: RiskRule) -> None:
    view = calm_view()
    sketch = Sketch(view)
    sketch.turn_to(entry())

    assert rule.spares(sketch)

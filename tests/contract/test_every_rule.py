"""Every file in risk/rules keeps the contract of RiskRule, and proves where it bites."""

import importlib
import pkgutil
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk.rules
from domain.instruments import Sector
from domain.orders import OrderIntent
from risk.limits import SETTING_OF, RiskLimits
from risk.rule import BUILT_IN, CASH_SETTING, RiskRule
from risk.rules import all_rules
from risk.view import RiskView
from tests.support.risks import gate, gate_of, intents, passed_shares, some_limits, views

FILES = sorted(module.name for module in pkgutil.iter_modules(risk.rules.__path__))
RULES = {rule.name: rule for rule in all_rules(RiskLimits())}
WITHOUT_A_KEY = {"trading_state", "asset_rights", "opposite_order"}
NO_RULE_DENIES_BY = {
    "exit_collar_bps",
    "take_profit_percent",
    "on_max_drawdown",
}
"""Fields that shape exits and halts, and deny nothing."""
ALLOWS_OTHER_ASSETS = {"short_sale": "allow_shorts", "whole_shares": "fractional_shares"}


@pytest.mark.parametrize("file", FILES)
def test_a_rule_file_holds_one_rule_of_its_name_and_the_gate_asks_it(file: str) -> None:
    module = importlib.import_module(f"risk.rules.{file}")
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and thing.__module__ == module.__name__
    ]
    assert [getattr(thing, "name", None) for thing in found] == [file]
    assert isinstance(RULES[file], found[0])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_names_a_key_that_exists(rule: RiskRule) -> None:
    if rule.name in WITHOUT_A_KEY:
        assert rule.setting == BUILT_IN
    else:
        assert rule.setting in {*SETTING_OF.values(), CASH_SETTING}


def test_every_limit_has_a_rule_that_names_it() -> None:
    named = {rule.setting for rule in RULES.values()}
    unnamed = {field for field, key in SETTING_OF.items() if key not in named}
    assert unnamed == NO_RULE_DENIES_BY


def test_only_the_trading_state_may_hold_back_what_closes() -> None:
    assert [rule.name for rule in RULES.values() if rule.binds_closing] == ["trading_state"]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_just_inside_the_limit_the_whole_gate_passes_the_order(rule: RiskRule) -> None:
    inside = rule.witnesses().inside
    verdict = gate().judge(inside.intent, inside.view)
    assert verdict.denials == ()
    assert verdict.approved is not None
    assert verdict.approved.intent == inside.intent


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_one_unit_outside_the_gate_objects_in_the_rules_name(rule: RiskRule) -> None:
    outside = rule.witnesses().outside
    verdict = gate().judge(outside.intent, outside.view)
    objection = [denial for denial in verdict.denials if denial.rule == rule.name]
    assert [denial.setting for denial in objection] == [rule.setting]
    assert passed_shares(gate(), outside.intent, outside.view) < outside.intent.quantity_shares


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_objection_says_limit_value_headroom_and_what_to_do(rule: RiskRule) -> None:
    outside = rule.witnesses().outside
    denial = rule.check(outside.intent, outside.view)
    assert denial is not None
    assert all((denial.limit, denial.value, denial.headroom, denial.action))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_witnesses_differ_in_the_order_or_in_what_is_seen(rule: RiskRule) -> None:
    two = rule.witnesses()
    same_order = two.inside.intent == two.outside.intent
    same_view = not _differing(two.inside.view, two.outside.view)
    assert same_order != same_view
    assert two.unit


def _differing(one: RiskView, other: RiskView) -> set[str]:
    names = {f.name for f in fields(one) if f.init}
    return {name for name in names if getattr(one, name) != getattr(other, name)}


# What is drawn takes far longer than a rule's look at it: all rules look at each.
@settings(max_examples=25, deadline=None)
@given(limits=some_limits())
def test_the_witnesses_hold_wherever_the_limit_is_set(limits: RiskLimits) -> None:
    for rule in all_rules(limits):
        two = rule.witnesses()
        assert rule.check(two.inside.intent, two.inside.view) is None, rule.name
        assert rule.check(two.outside.intent, two.outside.view) is not None, rule.name


@settings(max_examples=120, deadline=None)
@given(view=views(), intent=intents(), limits=some_limits())
def test_a_rule_is_pure_and_objects_only_to_a_part(
    view: RiskView, intent: OrderIntent, limits: RiskLimits
) -> None:
    for rule in all_rules(limits):
        denial = rule.check(intent, view)
        assert rule.check(intent, view) == denial, rule.name
        if denial is not None:
            assert denial.allowed_shares < intent.quantity_shares, rule.name


LOOSER_WHEN_SMALLER = {"no_entry_first_minutes", "no_entry_last_minutes"}
MONOTONE = sorted(
    f.name
    for f in fields(RiskLimits)
    if f.name not in NO_RULE_DENIES_BY | {"sector_caps", "stop_loss_percent"}
)


@settings(max_examples=60, deadline=None)
@given(view=views(), intent=intents(), one=some_limits(), other=some_limits())
def test_a_looser_limit_never_lets_less_through(
    view: RiskView, intent: OrderIntent, one: RiskLimits, other: RiskLimits
) -> None:
    for field in MONOTONE:
        _assert_monotone(field, view, intent, one, other)


def _assert_monotone(
    field: str, view: RiskView, intent: OrderIntent, one: RiskLimits, other: RiskLimits
) -> None:
    low, high = sorted((getattr(one, field), getattr(other, field)))
    tight, loose = (high, low) if field in LOOSER_WHEN_SMALLER else (low, high)
    tighter, looser = replace(one, **{field: tight}), replace(one, **{field: loose})
    less, more = (passed_shares(gate(limits), intent, view) for limits in (tighter, looser))
    assert less <= more, field
    for strict, lax in zip(all_rules(tighter), all_rules(looser), strict=True):
        if strict != lax:
            less, more = (passed_shares(gate_of(rule), intent, view) for rule in (strict, lax))
            assert less <= more, field


@settings(max_examples=60, deadline=None)
@given(view=views(), intent=intents(), caps=st.tuples(*[st.integers(0, 100)] * 2))
def test_a_looser_sector_cap_never_lets_less_through(
    view: RiskView, intent: OrderIntent, caps: tuple[int, int]
) -> None:
    low, high = (
        RiskLimits(sector_caps=dict.fromkeys(Sector, Decimal(cap) / 100)) for cap in sorted(caps)
    )
    assert passed_shares(gate(low), intent, view) <= passed_shares(gate(high), intent, view)


@pytest.mark.parametrize("name", ALLOWS_OTHER_ASSETS)
def test_a_permission_does_not_override_what_the_venue_allows(name: str) -> None:
    permitted = replace(RiskLimits(), **{ALLOWS_OTHER_ASSETS[name]: True})
    rule = {r.name: r for r in all_rules(permitted)}[name]
    outside = rule.witnesses().outside
    assert rule.check(outside.intent, outside.view) is not None

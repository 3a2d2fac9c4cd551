"""What a bad feed makes of good prices: pure functions on the wire's points."""

from collections.abc import Callable, Container, Mapping
from typing import Any

from exchange.faults.kinds import Kind
from exchange.faults.rules import Rule
from exchange.instants import parse_instant, rfc3339_short

PRICE_FIELDS = ("p", "bp", "ap", "o", "h", "l", "c", "vw")
Point = dict[str, Any]
RulesFor = Callable[[str], list[Rule]]


def spoilt_point(point: Mapping[str, Any], rules: list[Rule]) -> Point:
    """Return a point's fields as the rules, in their order, make them look."""
    spoilt = dict(point)
    for rule in rules:
        if rule.kind is Kind.PRICE_CROSSED and "bp" in spoilt:
            spoilt["bp"], spoilt["ap"] = spoilt["ap"], spoilt["bp"]
        elif rule.kind is Kind.PRICE_SHIFTED and "t" in spoilt:
            spoilt["t"] = rfc3339_short(parse_instant(spoilt["t"]) + rule.offset_ns)
        elif rule.kind in (Kind.PRICE_SCALED, Kind.PRICE_NULL):
            for name in _priced(spoilt):
                spoilt[name] = _price(rule, spoilt[name])
    return spoilt


def is_mentioned(rules: list[Rule]) -> bool:
    """Whether a symbol is still spoken of."""
    return all(rule.kind is not Kind.PRICE_MISSING for rule in rules)


def spoilt_reply(body: Any, known: Container[str], rules_for: RulesFor) -> Any:
    """Return a market-data reply as the rules make it look.

    `known` are the symbols; `rules_for` is asked once for each of them that the reply has.
    """
    if not isinstance(body, dict):
        return body
    named = body.get("symbol")
    if isinstance(named, str):
        rules = rules_for(named)
        if not rules:
            return body
        found = {k: _spoilt(v, rules) for k, v in body.items()}
        return found if is_mentioned(rules) else {**found, **_emptied(found)}
    return _by_symbol(body, known, rules_for)


def _by_symbol(body: Point, known: Container[str], rules_for: RulesFor) -> Point:
    found: Point = {}
    for name, value in body.items():
        if name in known:
            rules = rules_for(name)
            if is_mentioned(rules):
                found[name] = _spoilt(value, rules) if rules else value
        else:
            found[name] = _by_symbol(value, known, rules_for) if isinstance(value, dict) else value
    return found


def _spoilt(value: Any, rules: list[Rule]) -> Any:
    if isinstance(value, list):
        return [_spoilt(v, rules) for v in value]
    if not isinstance(value, dict):
        return value
    if "t" in value:
        return spoilt_point(value, rules)
    return {k: _spoilt(v, rules) for k, v in value.items()}


def _emptied(body: Point) -> Point:
    return {k: [] if isinstance(v, list) else None for k, v in body.items() if k != "symbol"}


def _priced(point: Mapping[str, Any]) -> list[str]:
    # A trade's or quote's `c` is its list of conditions, a bar's its close.
    return [n for n in PRICE_FIELDS if isinstance(point.get(n), int | float)]


def _price(rule: Rule, price_usd: float) -> float | None:
    return None if rule.kind is Kind.PRICE_NULL else round(price_usd * rule.factor, 6)

"""How two written decisions differ, in words: causes before effects, symbol and both values."""

import copy
from typing import Any

from research.replay.comparing import first_difference

OUTCOME = {
    "symbol": "AAPL",
    "outcome": "ordered",
    "target_weight": 0.015,
    "wanted_shares": "5",
    "reasons": [],
    "strengths": {"sma_crossover": 1.0},
}
DECISION: dict[str, Any] = {
    "decision": {
        "slot_at": "2026-01-05T15:30:00Z",
        "equity_usd": "100000",
        "outcomes": {"AAPL": OUTCOME, "MSFT": {**copy.deepcopy(OUTCOME), "symbol": "MSFT"}},
    },
    "orders": [{"intent": {"symbol": "AAPL", "quantity_shares": "5"}}],
}


def changed(*path: object, to: object) -> dict[str, Any]:
    other = copy.deepcopy(DECISION)
    place: Any = other
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return other


def test_a_weight_is_named_with_its_symbol_and_both_values() -> None:
    other = changed("decision", "outcomes", "MSFT", "target_weight", to=0.01)

    found = first_difference(DECISION, other)

    assert found.words == (
        "slot 2026-01-05T15:30:00Z, MSFT, target_weight: recorded 0.015, replayed 0.01"
    )


def test_an_orders_field_is_named_with_the_orders_symbol() -> None:
    found = first_difference(DECISION, changed("orders", 0, "intent", "quantity_shares", to="4"))

    assert [(f.symbol, f.field) for f in found.fields] == [("AAPL", "order intent.quantity_shares")]


def test_an_order_too_many_is_named() -> None:
    more = changed("orders", to=[*DECISION["orders"], {"intent": {"symbol": "XOM"}}])

    (field,) = first_difference(DECISION, more).fields

    assert (field.symbol, field.recorded) == ("XOM", "nothing")


def test_what_caused_stands_before_what_came_of_it() -> None:
    other = changed("decision", "outcomes", "AAPL", "wanted_shares", to="9")
    other["decision"]["outcomes"]["AAPL"]["strengths"]["sma_crossover"] = -1.0
    other["decision"]["equity_usd"] = "99999"

    fields = [field.field for field in first_difference(DECISION, other).fields]

    assert fields == ["strengths.sma_crossover", "equity_usd", "wanted_shares"]


def test_a_list_of_reasons_is_compared_one_by_one() -> None:
    other = changed("decision", "outcomes", "AAPL", "reasons", to=["the sector is full"])

    (field,) = first_difference(DECISION, other).fields

    assert (field.field, field.replayed) == ("reasons.0", "the sector is full")


def test_the_same_fields_in_another_order_are_told() -> None:
    other = dict(reversed(DECISION.items()))

    assert "another order of fields" in first_difference(DECISION, other).words

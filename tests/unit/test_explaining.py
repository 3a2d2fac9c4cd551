"""Why an order came about, and why one did not, from the records the journal holds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from daemon import views
from daemon.explaining import MEANING, decision_at, lineage, why_not
from domain.errors import TradewindError
from domain.instruments import Symbol
from domain.orders import OrderIntent, OrderStatus
from domain.snapshot import Outcome
from state.journal import JournalRecord
from state.records import (
    ApprovedIntent,
    Decided,
    Fact,
    Filled,
    OrderMoved,
    Submitting,
    encode,
)
from tests.support.daemons import a_busy_snapshot, a_decision, an_outcome
from tests.support.orders import NOON, a_fill, an_intent, an_order


def journal_of(*facts: tuple[datetime, Fact]) -> list[JournalRecord]:
    records = []
    for number, (at, fact) in enumerate(facts, 1):
        kind, fields = encode(fact)
        records.append(JournalRecord(seq=number, kind=kind, at=at, fields=fields))
    return records


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def approved(intent: OrderIntent) -> ApprovedIntent:
    return ApprovedIntent(intent=intent, approved_at=later(3), expires_at=later(13), epoch=4)


def decided(*intents: OrderIntent) -> Decided:
    return Decided(decision=a_decision(), orders=tuple(approved(i) for i in intents))


FILLED = an_order(
    OrderStatus.FILLED, venue_order_id="venue-1", reported_shares=Decimal(10), finished_at=later(6)
)
LIFE = journal_of(
    (later(3), decided(an_intent())),
    (later(4), Submitting(at=later(4), client_order_id="tw1-a")),
    (later(6), OrderMoved.of(FILLED)),
    (later(6.5), Filled(fill=a_fill(filled_at=later(5)))),
)


def kinds(found: dict[str, object]) -> list[str]:
    steps = found["steps"]
    assert isinstance(steps, list)
    return [step["kind"] for step in steps]


# --- explain -------------------------------------------------------------------------------------


def test_an_orders_lineage_runs_from_decision_to_fill_in_time_order() -> None:
    found = lineage(LIFE, [], "tw1-a")

    assert kinds(found) == ["decision", "approved", "submitting", "fill", "news"]


def test_the_decision_step_holds_signals_and_target() -> None:
    outcome = an_outcome("AAPL", Outcome.ORDERED, target_weight=0.015, strengths={"sma": 0.7})
    record = Decided(decision=a_decision(outcome), orders=(approved(an_intent()),))

    (step, _) = lineage(journal_of((later(3), record)), [], "tw1-a")["steps"]

    assert step["fields"]["strengths"] == {"sma": 0.7}
    assert "sma +0.70" in step["text"]


@pytest.mark.parametrize("named", ["tw1-a", "venue-1", "venue-"])
def test_an_order_is_found_by_our_id_the_venues_and_a_unique_beginning(named: str) -> None:
    assert lineage(LIFE, [], named)["client_order_id"] == "tw1-a"


def test_a_beginning_of_several_orders_names_them() -> None:
    journal = journal_of(
        (later(3), decided(*(an_intent(client_order_id=f"tw1-many{n}") for n in "ab")))
    )

    with pytest.raises(TradewindError, match="tw1-manya, tw1-manyb"):
        lineage(journal, [], "tw1-many")


@pytest.mark.parametrize("named", ["nobody", "tw1"])
def test_an_unknown_or_too_short_name_is_no_order(named: str) -> None:
    with pytest.raises(TradewindError, match=f"no order {named}"):
        lineage(LIFE, [], named)


def test_a_repriced_order_names_the_one_before_it() -> None:
    first, second = an_intent(), an_intent(client_order_id="tw1-b")
    journal = journal_of((later(3), decided(first)), (later(20), decided(second)))

    assert lineage(journal, [], "tw1-b")["same_wish"] == ["tw1-a"]
    assert lineage(journal, [], "tw1-a")["same_wish"] == ["tw1-b"]


def test_an_order_of_another_symbol_is_not_the_same_wish() -> None:
    other = an_intent(client_order_id="tw1-b", symbol=Symbol("SPY"))
    journal = journal_of((later(3), decided(an_intent(), other)))

    assert lineage(journal, [], "tw1-a")["same_wish"] == []


def test_an_order_the_journal_has_forgotten_is_shown_from_the_snapshot_and_said() -> None:
    rows: Sequence[dict[str, object]] = views.orders(a_busy_snapshot())["orders"]

    found = lineage([], rows, "tw1-a")

    assert found["order"]["status"] == "filled"
    assert "not in the journal any more" in found["note"]


# --- why not -------------------------------------------------------------------------------------


def test_every_outcome_is_explained() -> None:
    assert set(MEANING) == set(Outcome)


def test_a_denied_symbol_tells_rule_limit_value_headroom_setting_and_action() -> None:
    answer = why_not(views.decision(a_decision()), "XOM")

    assert answer["in_words"] == "denied"
    (denial,) = answer["denials"]
    assert denial["rule"] == "sector"
    assert denial["setting"] == "SECTOR_CAPS"
    assert denial["headroom"] == "0.00 USD"
    assert answer["strengths"] == {"sma": 0.8}
    assert answer["evidence"] == {"sma.fast_usd": 101.5}


def test_a_symbol_outside_the_decision_is_not_guessed_at() -> None:
    with pytest.raises(LookupError):
        why_not(views.decision(a_decision()), "ZZZ")


SLOTS = [NOON + timedelta(minutes=15 * number) for number in range(3)]
DECISIONS = journal_of(
    *(
        (
            slot,
            Decided(
                decision=a_decision(slot_at=slot, decided_at=slot + timedelta(seconds=3)),
                orders=(),
            ),
        )
        for slot in SLOTS
    )
)


@pytest.mark.parametrize(
    ("minutes", "slot"), [(0, 0), (14.9, 0), (15, 1), (29, 1), (30, 2), (600, 2)]
)
def test_an_earlier_decision_is_the_last_one_at_or_before_an_instant(
    minutes: float, slot: int
) -> None:
    found = decision_at(DECISIONS, "XOM", NOON + timedelta(minutes=minutes))

    assert found is not None
    assert found.slot_at == SLOTS[slot]


def test_before_the_first_record_there_is_no_decision() -> None:
    assert decision_at(DECISIONS, "XOM", NOON - timedelta(seconds=1)) is None


def test_a_decision_that_did_not_look_at_the_symbol_is_passed_over() -> None:
    exit_only = replace(
        a_decision(an_outcome("AAPL", Outcome.ORDERED)),
        timeframes=(),
        decided_at=later(60),
    )
    journal = [*DECISIONS[:1], *journal_of((later(60), Decided(decision=exit_only, orders=())))]

    found = decision_at(journal, "XOM", later(120))

    assert found is not None
    assert found.slot_at == SLOTS[0]


def test_an_exit_counts_from_when_it_was_decided_not_from_its_slot() -> None:
    exit_only = replace(
        a_decision(an_outcome("XOM", Outcome.ORDERED)), timeframes=(), decided_at=later(60)
    )
    journal = [*DECISIONS[:1], *journal_of((later(60), Decided(decision=exit_only, orders=())))]

    found = decision_at(journal, "XOM", later(30))

    assert found is not None
    assert found.outcomes[Symbol("XOM")].outcome is Outcome.DENIED


def test_an_exit_counts_once_it_was_decided_though_its_slot_was_earlier() -> None:
    exit_only = replace(
        a_decision(an_outcome("XOM", Outcome.ORDERED)), timeframes=(), decided_at=later(60)
    )
    journal = [*DECISIONS[:1], *journal_of((later(60), Decided(decision=exit_only, orders=())))]

    found = decision_at(journal, "XOM", later(61))

    assert found is not None
    assert found.outcomes[Symbol("XOM")].outcome is Outcome.ORDERED

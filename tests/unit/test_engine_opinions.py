"""What counts as an answer, who is benched for not giving one, and what a bench means."""

import json
import math
from collections.abc import Mapping

import numpy as np
import orjson
import pytest

from daemon.engine.commands import Ask, Notify, RecordDurably
from domain.events import Action, OpinionGiven, StrategyHung
from domain.market import Floats, Reads, UndeclaredRead
from domain.orders import OrderStatus
from domain.signals import OpinionFault, Signals
from state import records
from state.records import Decided, Noted, OpinionKept
from tests.support.engines import (
    NAN,
    A,
    B,
    Desk,
    Scripted,
    a_desk,
    entry,
    ready,
    recorded,
    signals,
)

LONG_A = (1.0, NAN, NAN)


def two(**says: tuple[float, ...]) -> Desk:
    return ready(Desk({"bad": entry(), "good": entry()}, says=says))


def given(desk: Desk, answer: object) -> None:
    """Let the strategy `bad` answer whatever it likes."""
    slot_at = desk.next_slot()
    desk.slot(slot_at)
    desk.post(
        OpinionGiven(at=desk.now, strategy="bad", slot_at=slot_at, signals=answer)  # type: ignore[arg-type]
    )


def with_evidence(values: object) -> Signals:
    evidence: Mapping[str, Floats] = {"fast_usd": values}  # type: ignore[dict-item]
    return Signals(strength=np.zeros(3), evidence=evidence)


WRONG = {
    "nothing": None,
    "a number": 1.0,
    "a list": Signals(strength=[1.0, 0.0, 0.0]),  # type: ignore[arg-type]
    "too few": signals(1.0, 0.0),
    "too many": signals(1.0, 0.0, 0.0, 0.0),
    "two rows": Signals(strength=np.zeros((2, 3))),
    "whole numbers": Signals(strength=np.array([1, 0, 0])),  # type: ignore[arg-type]
    "texts": Signals(strength=np.array(["a", "b", "c"])),  # type: ignore[arg-type]
    "above one": signals(1.0000001, 0.0, 0.0),
    "below minus one": signals(0.0, -1.1, 0.0),
    "infinite": signals(0.0, 0.0, math.inf),
    "minus infinite": signals(0.0, 0.0, -math.inf),
    "infinite among unknown": signals(NAN, NAN, math.inf),
    "evidence of another shape": with_evidence(np.zeros(2)),
    "evidence in texts": with_evidence(np.array(["x", "y", "z"])),
    "evidence in objects": with_evidence(np.array([None, "y", 1.0], dtype=object)),
    "evidence that is no mapping": Signals(strength=np.zeros(3), evidence=None),  # type: ignore[arg-type]
    "evidence without a name": Signals(strength=np.zeros(3), evidence={1: np.zeros(3)}),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_answer_benches_its_strategy_at_once(answer: object) -> None:
    desk = two(good=LONG_A)
    given(desk, answer)
    assert desk.memory.benched["bad"].fault == "invalid"
    assert "bad" not in desk.memory.opinions


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_the_others_order_although_one_answers_wrongly(answer: object) -> None:
    desk = two(good=LONG_A)
    given(desk, answer)
    assert [o.intent.symbol for o in desk.sent] == [A]


def test_numbers_of_single_precision_are_an_answer() -> None:
    desk = two(good=LONG_A)
    given(desk, Signals(strength=np.array([0.5, NAN, -1.0], dtype=np.float32)))  # type: ignore[arg-type]
    assert desk.memory.opinions["bad"].signals.strength.dtype == np.float64


def test_the_bounds_themselves_are_answers() -> None:
    desk = two(good=LONG_A)
    given(desk, signals(1.0, -1.0, 0.0))
    assert not desk.memory.benched


def test_an_answer_is_kept_as_it_was_given_whatever_becomes_of_its_buffer() -> None:
    desk = two(good=LONG_A)
    buffer, seen = np.array([0.5, 0.0, 0.0]), np.array([1.0, 2.0, 3.0])
    given(desk, Signals(strength=buffer, evidence={"seen_usd": seen}))
    buffer[0], seen[0] = -1.0, -1.0
    kept = desk.memory.opinions["bad"].signals
    assert (kept.strength[0], kept.evidence["seen_usd"][0]) == (0.5, 1.0)


def test_an_opinion_is_recorded_by_symbol_without_those_it_is_silent_about() -> None:
    desk = two(good=LONG_A)
    given(desk, Signals(strength=np.array([0.5, NAN, 0.0]), evidence={"x_usd": np.arange(3.0)}))
    (kept,) = [f for f in desk.facts(OpinionKept) if f.strategy == "bad"]
    assert dict(kept.opinion.strengths) == {"AAA": 0.5, "CCC": 0.0}
    assert dict(kept.opinion.evidence["x_usd"]) == {"AAA": 0.0, "CCC": 2.0}


def test_infinite_evidence_can_be_written() -> None:
    desk = two(good=LONG_A)
    given(desk, with_evidence(np.array([math.inf, NAN, 1.0])))
    (kept,) = [f for f in desk.facts(OpinionKept) if f.strategy == "bad"]
    assert json.loads(orjson.dumps(records.encode(kept)[1]))["strategy"] == "bad"


def test_raising_benches_at_once() -> None:
    desk = two(good=LONG_A)
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at)
    assert desk.memory.benched["bad"].fault == "raised"
    assert desk.sent


def test_a_benching_is_durable_and_told() -> None:
    desk = two(good=LONG_A)
    desk.slot(slot_at := desk.next_slot())
    commands = desk.failure("bad", slot_at)
    assert isinstance(commands[0], RecordDurably)
    assert isinstance(commands[0].fact, Noted)
    assert commands[0].fact.benched is not None
    assert [c.key for c in commands if isinstance(c, Notify)] == ["benched:bad"]


@pytest.mark.parametrize(("times", "is_benched"), [(1, False), (2, False), (3, True)])
def test_being_late_three_times_in_a_row_benches(times: int, is_benched: bool) -> None:
    desk = two(good=LONG_A)
    for _ in range(times):
        desk.slot(slot_at := desk.next_slot())
        desk.failure("bad", slot_at, OpinionFault.LATE)
    assert ("bad" in desk.memory.benched) is is_benched


def test_an_answer_in_time_between_forgives_being_late() -> None:
    desk = two(good=LONG_A)
    for fault in (True, True, False, True, True):
        desk.slot(slot_at := desk.next_slot())
        if fault:
            desk.failure("bad", slot_at, OpinionFault.LATE)
        else:
            desk.opinion("bad", slot_at, 0.0, 0.0, 0.0)
    assert "bad" not in desk.memory.benched


def test_a_benched_strategy_is_not_asked() -> None:
    desk = two(good=LONG_A)
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at)
    commands = desk.slot(desk.next_slot())
    assert [c.strategy for c in commands if isinstance(c, Ask)] == ["good"]


def test_what_a_benched_strategy_said_before_does_not_count() -> None:
    desk = two(good=(NAN, NAN, NAN), bad=LONG_A)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    desk.tell(desk.work(desk.sent[0]), OrderStatus.CANCELED)
    desk.says.pop("bad")
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at)
    assert len(desk.sent) == 1
    assert "bad" in desk.memory.opinions


def test_what_a_benched_strategy_bought_is_held() -> None:
    desk = two(good=(NAN, NAN, NAN), bad=LONG_A)
    desk.slot(desk.next_slot())
    desk.fill_all()
    desk.says.pop("bad")
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    assert desk.held() > 0


def test_when_all_are_benched_slots_are_decided_and_hold() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.fill_all()
    desk.says.clear()
    desk.slot(slot_at := desk.next_slot())
    desk.failure("one", slot_at)
    desk.slot(desk.next_slot())
    assert len(desk.facts(Decided)) == 3
    assert len(desk.sent) == 1


def test_a_bench_outlives_a_restart() -> None:
    desk = two(good=LONG_A)
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at)
    fresh = ready(desk.restarted())
    fresh.slot(fresh.next_slot())
    assert [ask.strategy for ask in fresh.asks] == ["good"]


def test_unbench_has_the_strategy_asked_again() -> None:
    desk = two(good=LONG_A)
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at)
    commands = desk.ask(Action.UNBENCH, subject="bad")
    assert recorded(commands) == [Noted(at=desk.now, benched={})]
    assert isinstance(commands[0], RecordDurably)
    desk.slot(desk.next_slot())
    assert desk.asks[-2].strategy == "bad"


def test_unbench_forgets_that_it_was_late_before() -> None:
    desk = two(good=LONG_A)
    for _ in range(3):
        desk.slot(slot_at := desk.next_slot())
        desk.failure("bad", slot_at, OpinionFault.LATE)
    desk.ask(Action.UNBENCH, subject="bad")
    desk.slot(slot_at := desk.next_slot())
    desk.failure("bad", slot_at, OpinionFault.LATE)
    assert "bad" not in desk.memory.benched


def test_unbenching_what_is_not_benched_says_so() -> None:
    desk = two(good=LONG_A)
    assert not desk.ask(Action.UNBENCH, subject="nobody")
    assert "no strategy 'nobody' is benched" in desk.engine.operator_answer


def test_a_strategy_during_which_the_last_run_ended_is_benched() -> None:
    desk = two(good=LONG_A)
    commands = desk.post(StrategyHung(at=desk.now, strategy="bad"))
    assert desk.memory.benched["bad"].fault == "hung"
    assert isinstance(commands[0], RecordDurably)
    desk.slot(desk.next_slot())
    assert [ask.strategy for ask in desk.asks] == ["good"]
    assert desk.sent


def test_a_strategy_that_hung_and_is_gone_since_benches_nobody() -> None:
    desk = two(good=LONG_A)
    assert desk.post(StrategyHung(at=desk.now, strategy="deleted")) == []
    assert not desk.memory.benched


# --- what a strategy sees ------------------------------------------------------------------------


def test_quotes_are_seen_by_those_who_declare_them() -> None:
    reader = entry(strategy=Scripted(reads=frozenset({Reads.BARS, Reads.QUOTES})))
    desk = ready(Desk({"reader": reader}))
    desk.slot(desk.next_slot())
    quotes = desk.asks[0].market.quotes
    assert quotes.mid.tolist() == [100.0, 100.0, 100.0]
    assert quotes.age_s.tolist() == [0.0, 0.0, 0.0]


def test_quotes_are_not_seen_by_others() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    with pytest.raises(UndeclaredRead):
        _ = desk.asks[0].market.quotes


def test_weights_are_those_of_the_strategys_own_book() -> None:
    reads = frozenset({Reads.BARS, Reads.WEIGHTS})
    desk = Desk(
        {"reader": entry(strategy=Scripted(reads=reads)), "other": entry()},
        says={"reader": LONG_A, "other": (0.0, 1.0, NAN)},
    )
    ready(desk).slot(desk.next_slot())
    desk.fill_all()
    desk.slot(desk.next_slot())
    weights = desk.asks[-2].market.weights
    assert desk.held(B) > 0
    assert weights.tolist() == pytest.approx([0.05, 0.0, 0.0], abs=1e-4)


def test_a_restored_opinion_keeps_to_its_symbols_and_evidence() -> None:
    desk = two(good=LONG_A)
    given(desk, Signals(strength=np.array([0.5, NAN, -1.0]), evidence={"x_usd": np.arange(3.0)}))
    kept = desk.restarted().memory.opinions["bad"].signals
    np.testing.assert_array_equal(kept.strength, [0.5, NAN, -1.0])
    np.testing.assert_array_equal(kept.evidence["x_usd"], [0.0, NAN, 2.0])

"""When a slot is decided: once, when all have spoken or their time is up, and never at night."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.engine.commands import Ask, ScheduleDecision, SubmitOrder
from domain.calendar import Session
from domain.events import DecisionDue, StoppingBegan
from domain.orders import Leg, Side
from domain.snapshot import Outcome
from state.records import Decided, Noted
from tests.support.engines import (
    DAY,
    FIFTEEN,
    FIVE,
    FRIDAY,
    MONDAY,
    NAN,
    NEXT_MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    A,
    B,
    C,
    Desk,
    a_desk,
    bars_closed,
    entry,
    kinds,
    ready,
    recorded,
)

LONG_A, FLAT = (1.0, NAN, NAN), (0.0, 0.0, 0.0)
OPEN_DELAY = timedelta(minutes=5)


def daily_desk(session: Session = MONDAY) -> Desk:
    """A desk with one daily strategy that wants AAA, in the last minutes of a session."""
    desk = Desk(
        {"daily": entry(DAY)},
        says={"daily": LONG_A},
        now=session.closes_at - timedelta(minutes=20),
    )
    return ready(desk, session)


def three_timeframes(**says: tuple[float, ...]) -> Desk:
    desk = Desk(
        {"five": entry(FIVE), "fifteen": entry(FIFTEEN), "daily": entry(DAY)},
        says=says,
        base_timeframe=FIVE,
    )
    return ready(desk)


# --- one slot, one decision ----------------------------------------------------------------------


def test_a_slot_becomes_one_durable_record_and_then_its_orders() -> None:
    desk = a_desk(one=(1.0, 1.0, NAN))
    commands = desk.slot(desk.next_slot())
    assert kinds(commands)[-3:] == ["RecordDurably", "SubmitOrder", "SubmitOrder"]
    (decided,) = [f for f in recorded(commands) if isinstance(f, Decided)]
    assert [o.intent for o in decided.orders] == [o.intent for o in desk.sent]


def test_the_record_says_something_of_every_symbol() -> None:
    desk = a_desk(one=(1.0, 0.0, NAN))
    desk.slot(desk.next_slot())
    found = {s: o.outcome for s, o in desk.decision.outcomes.items()}
    assert found == {A: Outcome.ORDERED, B: Outcome.NO_SIGNAL, C: Outcome.NO_SIGNAL}


def test_a_slot_without_orders_is_recorded_too() -> None:
    desk = a_desk(one=FLAT)
    commands = desk.slot(desk.next_slot())
    assert [type(f) for f in recorded(commands)][-1] is Decided
    assert not desk.sent


def test_the_same_slot_again_is_not_decided_again() -> None:
    desk = a_desk(one=LONG_A)
    slot_at = desk.next_slot()
    desk.slot(slot_at)
    desk.fill_all()
    desk.says["one"] = (1.0, 1.0, 1.0)
    desk.slot(slot_at)
    assert len(desk.facts(Decided)) == 1


def test_a_new_process_does_not_decide_a_decided_slot_again() -> None:
    desk = a_desk(one=LONG_A)
    slot_at = desk.next_slot()
    desk.slot(slot_at)
    fresh = ready(desk.restarted())
    fresh.says["one"] = (1.0, 1.0, 1.0)
    fresh.slot(slot_at)
    assert not fresh.facts(Decided)


def test_a_slot_missed_by_more_than_the_limit_is_counted_and_left() -> None:
    desk = a_desk(one=LONG_A)
    slot_at = desk.next_slot()
    desk.now = slot_at + timedelta(seconds=301)
    desk.slot(slot_at)
    assert not desk.sent
    assert desk.memory.counters["slots_missed"] == 1


def test_a_slot_missed_by_less_than_the_limit_is_decided() -> None:
    desk = a_desk(one=LONG_A)
    slot_at = desk.next_slot()
    desk.now = slot_at + timedelta(seconds=299)
    desk.slot(slot_at)
    assert len(desk.sent) == 1


def test_nothing_is_decided_before_the_book_was_compared_with_the_venue() -> None:
    desk = Desk(says={"one": LONG_A})
    desk.open()
    desk.slot(desk.next_slot())
    assert not desk.facts(Decided)
    assert desk.memory.counters["slots_missed"] == 1


def test_nothing_is_decided_once_stopping() -> None:
    desk = a_desk(one=LONG_A)
    desk.post(StoppingBegan(at=desk.now))
    assert not [c for c in desk.slot(desk.next_slot()) if isinstance(c, Ask)]
    assert not desk.facts(Decided)


def test_a_strategy_sees_the_bars_that_just_closed() -> None:
    desk = a_desk(one=LONG_A)
    slot_at = desk.next_slot()
    desk.slot(slot_at)
    market = desk.asks[-1].market
    assert market.bars.close[-1].tolist() == [100.0, 100.0, 100.0]
    assert market.as_of >= slot_at


# --- several timeframes --------------------------------------------------------------------------


def test_asks_of_all_timeframes_of_a_slot_go_out_together() -> None:
    desk = three_timeframes()
    commands = desk.slot(MONDAY.closes_at, FIVE, FIFTEEN, DAY)
    assert [c.strategy for c in commands if isinstance(c, Ask)] == ["five", "fifteen", "daily"]


def test_only_strategies_whose_bars_closed_are_asked() -> None:
    desk = three_timeframes()
    commands = desk.slot(MONDAY.opens_at + timedelta(minutes=65), FIVE)
    assert [c.strategy for c in commands if isinstance(c, Ask)] == ["five"]


def test_a_slot_is_decided_when_the_last_opinion_is_in() -> None:
    desk = three_timeframes()
    slot_at = MONDAY.opens_at + timedelta(minutes=75)
    desk.slot(slot_at, FIVE, FIFTEEN)
    assert not [f for f in recorded(desk.opinion("five", slot_at, *LONG_A)) if type(f) is Decided]
    assert [f for f in recorded(desk.opinion("fifteen", slot_at, *FLAT)) if type(f) is Decided]


def test_a_failure_too_lets_a_slot_be_decided() -> None:
    desk = three_timeframes(five=LONG_A)
    slot_at = MONDAY.opens_at + timedelta(minutes=75)
    desk.slot(slot_at, FIVE, FIFTEEN)
    desk.failure("fifteen", slot_at)
    assert len(desk.facts(Decided)) == 1


def test_opinions_of_other_timeframes_count_until_their_next() -> None:
    desk = three_timeframes(five=FLAT, fifteen=LONG_A)
    quarter = MONDAY.opens_at + timedelta(minutes=75)
    desk.slot(quarter, FIVE, FIFTEEN)
    desk.fill_all()
    held = desk.held()
    desk.slot(quarter + timedelta(minutes=5), FIVE)
    assert held == desk.held() > 0
    assert len(desk.sent) == 1


def test_a_slow_strategy_has_a_time_at_which_the_slot_is_decided_without_it() -> None:
    desk = ready(Desk({"quick": entry(), "slow": entry(heavy=True)}, says={"quick": LONG_A}))
    commands = desk.slot(slot_at := desk.next_slot())
    (due,) = [c for c in commands if isinstance(c, ScheduleDecision)]
    assert (due.slot_at, due.due_at) == (slot_at, desk.now + timedelta(seconds=10))
    assert not desk.sent
    desk.due()
    assert len(desk.sent) == 1


def test_quick_strategies_alone_need_no_timer() -> None:
    desk = three_timeframes()
    commands = desk.slot(MONDAY.opens_at + timedelta(minutes=75), FIVE, FIFTEEN)
    assert not [c for c in commands if isinstance(c, ScheduleDecision)]


def test_a_late_opinion_is_kept_without_reopening_its_slot() -> None:
    desk = ready(Desk({"quick": entry(), "slow": entry(heavy=True)}, says={"quick": FLAT}))
    slot_at = desk.next_slot()
    desk.slot(slot_at)
    desk.due()
    desk.opinion("slow", slot_at, *LONG_A)
    assert len(desk.facts(Decided)) == 1
    assert desk.memory.opinions["slow"].signals.strength[0] == 1.0


def test_a_late_opinion_counts_from_the_next_slot_on() -> None:
    desk = ready(Desk({"quick": entry(), "slow": entry(heavy=True)}, says={"quick": LONG_A}))
    first = desk.next_slot()
    desk.slot(first)
    desk.due()
    desk.fill_all()
    desk.opinion("slow", first, NAN, 1.0, NAN)
    desk.slot(first + timedelta(minutes=15))
    desk.due()
    assert desk.sent_for(B)


def test_an_opinion_overtaken_by_a_newer_one_does_not_replace_it() -> None:
    desk = ready(Desk({"quick": entry(), "slow": entry(heavy=True)}, says={"quick": FLAT}))
    first = desk.next_slot()
    desk.slot(first)
    desk.slot(second := first + timedelta(minutes=15))
    desk.opinion("slow", second, *LONG_A)
    desk.opinion("slow", first, *FLAT)
    assert desk.memory.opinions["slow"].slot_at == second


def test_a_late_opinion_of_a_slot_that_waits_for_the_open_does_not_decide_it_early() -> None:
    desk = Desk({"slow": entry(DAY, heavy=True)}, now=MONDAY.closes_at - timedelta(minutes=20))
    ready(desk).slot(MONDAY.closes_at, DAY)
    desk.due()
    desk.close()
    desk.open(TUESDAY)
    desk.wait(10).poll()
    desk.opinion("slow", MONDAY.closes_at, *LONG_A)
    assert not desk.facts(Decided)
    desk.due()
    assert desk.sent


def test_a_decision_that_is_due_twice_is_taken_once() -> None:
    desk = ready(Desk({"quick": entry(), "slow": entry(heavy=True)}, says={"quick": LONG_A}))
    desk.slot(desk.next_slot())
    desk.due()
    desk.due()
    assert len(desk.facts(Decided)) == 1


def test_a_slot_still_open_when_the_next_closes_is_missed() -> None:
    desk = ready(Desk({"slow": entry(heavy=True)}))
    first = desk.next_slot()
    desk.slot(first)
    desk.slot(first + timedelta(minutes=15))
    desk.post(DecisionDue(at=desk.now, slot_at=first))
    assert desk.memory.counters["slots_missed"] == 1
    assert not desk.facts(Decided)


def test_late_bars_amend_the_next_window_and_reopen_nothing() -> None:
    desk = a_desk(one=FLAT)
    first = desk.next_slot()
    desk.slot(first)
    late = bars_closed(first).rows[FIFTEEN]
    late.close[0] = 101.0
    bars = bars_closed(first + timedelta(minutes=15))
    desk.post(
        type(bars)(at=bars.at, slot_at=bars.slot_at, rows=bars.rows, late=((FIFTEEN, first, late),))
    )
    assert desk.asks[-1].market.bars.close[:, 0].tolist() == [101.0, 100.0]
    assert len(desk.facts(Decided)) == 2


# --- the night -----------------------------------------------------------------------------------


def test_a_target_of_the_close_is_kept_and_said_so() -> None:
    desk = daily_desk()
    commands = desk.slot(MONDAY.closes_at, DAY)
    assert not desk.sent
    assert desk.memory.due_at_open == [MONDAY.closes_at]
    assert any(isinstance(f, Noted) and f.due_at_open for f in recorded(desk.commands))
    assert not [c for c in commands if isinstance(c, SubmitOrder)]


@pytest.mark.parametrize(
    ("evening", "morning"),
    [(MONDAY, TUESDAY), (WEDNESDAY, THURSDAY), (FRIDAY, NEXT_MONDAY)],
    ids=["the next day", "after a half-day", "after a weekend"],
)
def test_a_daily_target_is_ordered_after_the_next_open(evening: Session, morning: Session) -> None:
    desk = daily_desk(evening)
    desk.slot(evening.closes_at, DAY)
    desk.close(evening)
    desk.open(morning)
    assert desk.scheduled[-1].due_at == morning.opens_at + OPEN_DELAY
    desk.due()
    (order,) = desk.sent
    assert (order.intent.symbol, order.intent.side, order.intent.leg) == (A, Side.BUY, Leg.OPEN)
    assert order.approved_at == morning.opens_at + OPEN_DELAY
    desk.fill_all()
    assert desk.held() == 100


def test_a_daily_target_is_judged_on_the_mornings_prices() -> None:
    desk = daily_desk()
    desk.slot(MONDAY.closes_at, DAY)
    desk.close()
    desk.open(TUESDAY)
    desk.poll(AAA=110.0)
    desk.due()
    assert desk.sent[0].intent.quantity_shares == 90


@pytest.mark.parametrize("minutes", [60.0, 17 * 60 + 40], ids=["at night", "after the open"])
def test_a_daily_target_survives_a_restart(minutes: float) -> None:
    desk = daily_desk()
    desk.slot(MONDAY.closes_at, DAY)
    desk.close()
    fresh = desk.restarted(after_s=minutes * 60)
    fresh.report()
    fresh.open(TUESDAY)
    assert fresh.scheduled[-1].due_at > fresh.now
    fresh.poll()
    fresh.due()
    assert [o.intent.symbol for o in fresh.sent] == [A]


def test_a_daily_target_decided_in_the_morning_is_not_decided_again_after_a_restart() -> None:
    desk = daily_desk()
    desk.slot(MONDAY.closes_at, DAY)
    desk.close()
    desk.open(TUESDAY)
    desk.due()
    fresh = desk.restarted()
    fresh.report()
    fresh.open(TUESDAY)
    assert not fresh.scheduled
    fresh.slot(MONDAY.closes_at, DAY)
    assert not fresh.facts(Decided)


def test_the_record_of_a_kept_target_says_that_it_is_done_with() -> None:
    desk = daily_desk()
    desk.slot(MONDAY.closes_at, DAY)
    desk.close()
    evening = desk.engine.snapshot(desk.now)
    desk.open(TUESDAY)
    desk.due()
    (decided,) = desk.facts(Decided)
    # A crash before the next snapshot: the evening's, and the record folded onto it.
    after = replace(
        evening,
        decided_slots=dict.fromkeys(decided.decision.timeframes, decided.decision.slot_at),
    )
    fresh = desk.recovered(after)
    fresh.report()
    fresh.open(TUESDAY)
    fresh.due()
    assert not fresh.facts(Decided)


def test_a_stop_before_the_open_delay_is_over_keeps_the_target() -> None:
    desk = daily_desk()
    desk.slot(MONDAY.closes_at, DAY)
    desk.close()
    desk.open(TUESDAY)
    desk.post(StoppingBegan(at=desk.now))
    desk.due()
    assert desk.memory.due_at_open == [MONDAY.closes_at]


def test_only_the_latest_close_waits_for_the_open() -> None:
    desk = daily_desk(MONDAY)
    desk.slot(MONDAY.closes_at, DAY)
    desk.close(MONDAY)
    # Tuesday passes with the daemon asleep in between: its close comes before another open.
    desk.now = TUESDAY.closes_at
    desk.slot(TUESDAY.closes_at, DAY)
    assert desk.memory.due_at_open == [TUESDAY.closes_at]


def test_an_intraday_slot_does_not_use_up_what_waits_for_the_open_delay() -> None:
    desk = Desk(
        {"daily": entry(DAY), "five": entry(FIVE)},
        says={"daily": LONG_A, "five": (NAN, NAN, NAN)},
        now=MONDAY.closes_at - timedelta(minutes=20),
        base_timeframe=FIVE,
        open_delay_s=600.0,
    )
    ready(desk).slot(MONDAY.closes_at, FIVE, DAY)
    desk.close()
    desk.open(TUESDAY)
    desk.slot(TUESDAY.opens_at + timedelta(minutes=5), FIVE)
    assert desk.memory.due_at_open == [MONDAY.closes_at]


# --- holding -------------------------------------------------------------------------------------


def test_without_any_opinion_what_is_held_is_held() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.fill_all()
    desk.says["one"] = (NAN, NAN, NAN)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    assert desk.decision.outcomes[A].outcome is Outcome.HOLDING


def test_a_restart_at_noon_does_not_sell_what_a_daily_strategy_bought() -> None:
    desk = Desk(
        {"daily": entry(DAY), "quick": entry()},
        says={"daily": LONG_A, "quick": (NAN, NAN, NAN)},
        now=MONDAY.closes_at - timedelta(minutes=20),
    )
    ready(desk).slot(MONDAY.closes_at, FIFTEEN, DAY)
    desk.close()
    desk.open(TUESDAY)
    desk.due()
    desk.fill_all()
    noon = desk.restarted(after_s=2 * 3600)
    ready(noon, TUESDAY).slot(noon.next_slot(), FIFTEEN)
    assert noon.held() == 100
    assert not noon.sent
    assert noon.facts(Decided)


def test_a_strategy_in_shadow_is_asked_and_never_traded() -> None:
    desk = ready(Desk({"shadow": entry(weight=0.0)}, says={"shadow": LONG_A}))
    desk.slot(desk.next_slot())
    assert desk.decision.outcomes[A].strengths == {"shadow": 1.0}
    assert not desk.sent


def test_a_strategy_that_abstains_is_not_asked() -> None:
    desk = ready(Desk({"lstm": entry(abstains="no model yet")}))
    desk.slot(desk.next_slot())
    assert not desk.asks

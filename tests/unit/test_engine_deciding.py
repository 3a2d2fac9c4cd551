"""One slot's decision: what is given to allocation, and what becomes of its answer."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.calendar import Timeframe
from domain.orders import Leg, OrderStatus
from domain.snapshot import Outcome
from state.records import Crossed, Decided
from tests.support.engines import (
    DAY,
    FIFTEEN,
    MONDAY,
    NAN,
    WIDE_ALLOCATION,
    A,
    B,
    C,
    Desk,
    a_desk,
    a_row,
    bars_closed,
    entry,
    polled,
    ready,
    recorded,
)

LONG_A, OUT_A = (1.0, NAN, NAN), (-1.0, NAN, NAN)
HOLDING = replace(WIDE_ALLOCATION, hold_bars_min=4)


def bought(desk: Desk) -> Desk:
    """Let the desk buy what its strategy wants."""
    ready(desk).slot(desk.next_slot())
    desk.fill_all()
    return desk


# --- the minimum hold ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one", "daily"])
def test_what_was_bought_is_held_for_the_minimum_of_bars(name: str) -> None:
    timeframe = FIFTEEN if name == "one" else DAY
    desk = Desk(
        {name: entry(timeframe)},
        says={name: LONG_A},
        now=MONDAY.opens_at + timedelta(hours=1),
        allocation=HOLDING,
    )
    bought(desk)
    if timeframe is DAY:
        desk.opinion(name, desk.now, *OUT_A)
    desk.says[name] = OUT_A
    kept = []
    for _ in range(4):
        desk.slot(desk.next_slot())
        kept.append(desk.decision.outcomes[A].outcome)
    assert kept == [Outcome.MIN_HOLD] * 3 + [Outcome.ORDERED]
    assert desk.sent[-1].intent.leg is Leg.CLOSE


def test_bars_held_go_on_counting_after_a_restart() -> None:
    desk = bought(Desk(says={"one": LONG_A}, allocation=HOLDING))
    for _ in range(2):
        desk.slot(desk.next_slot())
    fresh = desk.restarted()
    fresh.says["one"] = OUT_A
    # The panel of a new process is warmed with the bars since.
    fresh.engine.warm(FIFTEEN, {}, [s for s in MONDAY.slots(FIFTEEN) if s <= fresh.now])
    ready(fresh)
    outcomes = []
    for _ in range(2):
        fresh.slot(fresh.next_slot())
        outcomes.append(fresh.decision.outcomes[A].outcome)
    assert outcomes == [Outcome.MIN_HOLD, Outcome.ORDERED]


def test_what_was_bought_long_ago_may_be_sold_however_short_the_panel_is() -> None:
    desk = bought(Desk({"daily": entry(DAY)}, says={"daily": LONG_A}, allocation=HOLDING))
    desk.memory.entered_at[A] = desk.now - timedelta(days=30)
    desk.opinion("daily", desk.now, *OUT_A)
    desk.slot(desk.next_slot())
    assert desk.decision.outcomes[A].outcome is Outcome.ORDERED


# --- prices --------------------------------------------------------------------------------------


def test_a_symbol_without_a_fresh_quote_is_not_decided_on() -> None:
    desk = a_desk(one=(1.0, 1.0, NAN))
    slot_at = desk.next_slot()
    seen = polled(slot_at - timedelta(seconds=4.5))
    old = replace(seen.quotes[A], quoted_at=slot_at - timedelta(seconds=6.5))
    desk.engine.core.board.quotes.clear()
    desk.engine.core.board._quoted_s[:] = NAN
    desk.post(replace(seen, at=slot_at, quotes={**seen.quotes, A: old}))
    desk.now = slot_at
    desk.post(bars_closed(slot_at, settle_s=0.0))
    assert [o.intent.symbol for o in desk.sent] == [B]
    assert desk.decision.outcomes[A].outcome is Outcome.NO_PRICE


def test_equity_follows_the_marks() -> None:
    desk = bought(Desk(says={"one": LONG_A}))
    desk.poll(AAA=110)
    assert desk.engine.core.equity_usd() == 101_000
    desk.poll(AAA=90)
    assert desk.engine.core.equity_usd() == 99_000


def test_equity_follows_fills() -> None:
    desk = bought(Desk(says={"one": LONG_A}))
    desk.poll(AAA=104)
    assert desk.engine.core.equity_usd() == 100_400
    desk.says["one"] = OUT_A
    desk.slot(desk.next_slot())
    desk.fill_all(price=103)
    assert desk.engine.core.equity_usd() == 100_300


def test_the_decision_says_what_it_was_sized_on() -> None:
    desk = bought(Desk(says={"one": LONG_A}))
    desk.poll(AAA=104)
    desk.slot(desk.next_slot())
    assert desk.decision.equity_usd == 100_400


# --- limits of the day ---------------------------------------------------------------------------


def test_entries_stop_when_the_days_turnover_is_spent_but_exits_do_not() -> None:
    desk = Desk(says={"one": (1.0, 1.0, 1.0)}, turnover_of_equity_per_day=0.2001)
    ready(desk).slot(desk.next_slot())
    desk.fill_all()
    assert len(desk.sent) == 2
    outcomes = {o.outcome for o in desk.decision.outcomes.values()}
    assert Outcome.TURNOVER in outcomes
    desk.says["one"] = (-1.0, -1.0, -1.0)
    desk.slot(desk.next_slot())
    assert {o.intent.leg for o in desk.sent[2:]} == {Leg.CLOSE}


def test_a_denied_symbol_says_which_rule_and_key() -> None:
    desk = a_desk(one=LONG_A)
    desk.memory.cooldowns[A] = MONDAY.closes_at
    desk.memory.quarantined[A] = "in doubt"
    desk.slot(desk.next_slot())
    assert not desk.sent
    assert desk.decision.outcomes[A].outcome is not Outcome.ORDERED


def test_the_strongest_are_ordered_after_what_closes() -> None:
    desk = bought(Desk(says={"one": LONG_A}))
    desk.says["one"] = (-1.0, 0.6, 1.0)
    desk.slot(desk.next_slot())
    assert [o.intent.symbol for o in desk.sent[1:]] == [A, C, B]


# --- flips ---------------------------------------------------------------------------------------


def test_a_flip_closes_first_and_opens_once_that_has_filled() -> None:
    limits = replace(Desk().limits, allow_shorts=True)
    shorts = replace(WIDE_ALLOCATION, allow_shorts=True)
    desk = bought(Desk(says={"one": LONG_A}, limits=limits, allocation=shorts))
    desk.says["one"] = OUT_A
    desk.slot(desk.next_slot())
    assert [(o.intent.leg, o.intent.quantity_shares) for o in desk.sent[1:]] == [(Leg.CLOSE, 100)]
    desk.fill_all()
    desk.slot(desk.next_slot())
    assert [o.intent.leg for o in desk.sent[2:]] == [Leg.OPEN]
    desk.fill_all()
    assert desk.held() == -100


# --- crossings -----------------------------------------------------------------------------------


def test_a_crossing_is_recorded_before_the_decision() -> None:
    desk = ready(Desk({"one": entry(), "two": entry()}))
    desk.says = {"one": LONG_A, "two": (0.0, NAN, NAN)}
    desk.slot(desk.next_slot())
    desk.fill_all()
    desk.says = {"one": (0.0, NAN, NAN), "two": LONG_A}
    before = len(desk.commands)
    desk.slot(desk.next_slot())
    facts = [type(f) for f in recorded(desk.commands[before:]) if type(f) in (Crossed, Decided)]
    assert facts == [Crossed, Decided]


# --- what strategies are shown -------------------------------------------------------------------


def test_a_strategy_in_a_thread_is_shown_nothing_later_than_its_slot() -> None:
    desk = ready(Desk({"slow": entry(heavy=True), "quick": entry()}, says={"quick": LONG_A}))
    first = desk.next_slot()
    desk.slot(first)
    market = desk.asks[0].market
    desk.due()
    late = desk.next_slot()
    desk.now = late
    desk.poll()
    desk.post(replace(bars_closed(late), rows={FIFTEEN: a_row(123.0)}))
    assert market.panels[FIFTEEN].close[-1].tolist() == [100.0] * 3
    assert market.bars.close[-1].tolist() == [100.0] * 3


def test_a_strategy_may_look_at_other_timeframes() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    panels = desk.asks[0].market.panels
    assert set(panels) == {FIFTEEN, DAY}
    assert panels[DAY].close[-1].tolist() == [100.0] * 3
    assert Timeframe.HOUR not in panels


# --- counting ------------------------------------------------------------------------------------


def test_orders_are_counted_by_how_they_ended() -> None:
    desk = a_desk(one=(1.0, 1.0, 1.0))
    desk.slot(desk.next_slot())
    first, second, third = (desk.work(o) for o in desk.sent)
    desk.fill(first)
    desk.tell(second, OrderStatus.CANCELED)
    desk.tell(third, OrderStatus.EXPIRED)
    counters = desk.memory.counters
    assert counters["orders_submitted"] == 3
    assert [counters[f"orders.{s}"] for s in ("filled", "canceled", "expired")] == [1, 1, 1]


def test_denials_are_counted_by_rule() -> None:
    desk = bought(Desk(says={"one": LONG_A}))
    desk.memory.trading = replace(desk.memory.trading, epoch=1)
    desk.engine.core.buying_power_usd = None
    desk.says["one"] = (1.0, 1.0, NAN)
    desk.slot(desk.next_slot())
    assert desk.memory.counters["orders_denied"] == 1
    assert any(key.startswith("denials.") for key in desk.memory.counters)

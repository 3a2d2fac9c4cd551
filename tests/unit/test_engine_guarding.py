"""What protects the account between slots: stops, profits, loss limits, and flat at the close."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from daemon.engine.commands import CancelOrder, Notify, RecordDurably, Save, SubmitOrder
from domain.events import Action, OperatorOrder, StateDistrusted
from domain.orders import EXTERNAL, ApprovedOrder, AtLimit, AtMarket, Leg, OrderStatus, Side
from domain.snapshot import Outcome, TradingState
from risk.limits import RiskLimits
from state.records import Decided, Noted, StatusChanged
from tests.support.engines import (
    FRIDAY,
    MONDAY,
    NAN,
    NEXT_MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    WIDE_LIMITS,
    A,
    B,
    C,
    Desk,
    a_memory,
    a_position,
    account_of,
    entry,
    kinds,
    polled,
    ready,
    recorded,
)

ALL = (1.0, 1.0, 1.0)
LONG_A = (1.0, NAN, NAN)
NO_STOPS = replace(WIDE_LIMITS, stop_loss_percent=Decimal(0), take_profit_percent=Decimal(0))
DRAWDOWN_ONLY = replace(
    NO_STOPS, max_daily_loss_percent=Decimal("0.5"), max_drawdown_percent=Decimal("0.02")
)


def holding(
    says: tuple[float, ...] = LONG_A,
    limits: RiskLimits = WIDE_LIMITS,
    *,
    takes_profit: bool = False,
    **rules: float,
) -> Desk:
    """A desk that has bought 100 shares of each symbol wanted, at $100."""
    desk = Desk(
        {"one": entry(takes_profit=takes_profit)}, says={"one": says}, limits=limits, **rules
    )
    ready(desk).slot(desk.next_slot())
    desk.fill_all()
    return desk


def exits(desk: Desk) -> list[ApprovedOrder]:
    return [o for o in desk.sent if o.intent.leg is Leg.EXIT]


# --- stops ---------------------------------------------------------------------------------------


def test_two_fresh_quotes_below_the_stop_sell_all_of_it() -> None:
    desk = holding()
    desk.poll(AAA=94.9)
    desk.poll(AAA=94.9)
    (order,) = exits(desk)
    intent = order.intent
    assert (intent.symbol, intent.side, intent.quantity_shares) == (A, Side.SELL, 100)
    assert intent.deltas == {"one": -100}
    assert "stop_loss" in intent.reason


def test_who_was_held_up_over_the_night_sells_nothing_before_the_morning_was_read() -> None:
    # World 17: requests hung from before the close until after the next open, at which what was
    # held split three for one. The session before had not been told to have ended, and a stop sold
    # the third of a price for the fall of it.
    desk = holding()
    desk.now = TUESDAY.opens_at + timedelta(minutes=5)
    for _ in range(3):
        desk.poll(AAA=33.3)
    assert not exits(desk)
    assert desk.engine.memory.trading.state is TradingState.ACTIVE


def test_one_bad_print_sells_nothing() -> None:
    desk = holding()
    desk.poll(AAA=94.9)
    desk.poll(AAA=99)
    desk.poll(AAA=94.9)
    assert not exits(desk)


def test_the_same_quote_polled_twice_is_one_quote() -> None:
    desk = holding()
    seen = polled(desk.now + timedelta(seconds=1), {A: 94.9})
    desk.post(seen)
    desk.post(replace(seen, at=seen.at + timedelta(seconds=1)))
    assert not exits(desk)


def test_old_quotes_stop_nothing() -> None:
    desk = holding()
    for _ in range(3):
        desk.wait(10)
        desk.post(replace(polled(desk.now - timedelta(seconds=6), {A: 94.9}), at=desk.now))
    assert not exits(desk)


def test_an_exit_is_durable_before_it_is_sent() -> None:
    desk = holding()
    desk.poll(AAA=94.9)
    commands = desk.poll(AAA=94.9)
    assert kinds(commands) == ["RecordDurably", "SubmitOrder", "Record", "Save"]
    assert type(recorded(commands)[0]) is Decided


def test_an_exit_has_a_wider_collar_than_an_entry() -> None:
    desk = holding()
    desk.poll(AAA=94)
    desk.poll(AAA=94)
    # 50 bps below a bid of 93.99
    assert exits(desk)[0].intent.terms == AtLimit(Decimal("93.53"))


def test_an_exit_that_does_not_fill_goes_to_the_market() -> None:
    desk = holding()
    desk.poll(AAA=94)
    desk.poll(AAA=94)
    first = desk.work(exits(desk)[0])
    desk.wait(16).poll(AAA=94)
    desk.tell(first, OrderStatus.CANCELED)
    assert exits(desk)[1].intent.terms == AtMarket()


def test_an_exit_is_asked_for_once_while_it_works() -> None:
    desk = holding()
    for _ in range(5):
        desk.poll(AAA=94)
    assert len(exits(desk)) == 1


def test_what_works_on_the_symbol_is_canceled_before_an_exit() -> None:
    desk = holding(reprice_after_s=1e5)
    desk.ask(Action.ORDER, order=buy_more())
    more = desk.work(desk.sent[-1])
    desk.poll(AAA=94)
    commands = desk.poll(AAA=94)
    assert [c.client_order_id for c in commands if isinstance(c, CancelOrder)] == [
        more.intent.client_order_id
    ]
    assert not exits(desk)
    desk.tell(more, OrderStatus.CANCELED)
    desk.poll(AAA=94)
    assert [o.intent.quantity_shares for o in exits(desk)] == [100]


def buy_more() -> OperatorOrder:
    return OperatorOrder(symbol=A, side=Side.BUY, quantity_shares=Decimal(10))


def test_what_a_stop_sold_is_not_bought_straight_back() -> None:
    desk = holding()
    desk.poll(AAA=94)
    desk.poll(AAA=94)
    desk.fill_all(price=94)
    desk.slot(desk.next_slot())
    assert desk.held() == 0
    assert len(desk.sent) == 2
    assert not desk.decision.outcomes[A].denials, "allocation should not even ask"
    assert desk.memory.cooldowns == {A: TUESDAY.opens_at}


def test_a_cooldown_is_recorded_and_outlives_a_restart() -> None:
    desk = holding()
    desk.poll(AAA=94)
    commands = desk.poll(AAA=94)
    assert [f.cooldowns for f in recorded(commands) if isinstance(f, Noted)] == [
        {A: TUESDAY.opens_at}
    ]
    desk.fill_all(price=94)
    fresh = ready(desk.restarted())
    fresh.slot(fresh.next_slot())
    assert not fresh.sent


def next_morning(desk: Desk) -> None:
    desk.close(MONDAY)
    desk.open(TUESDAY)
    desk.poll(**desk.mids())
    desk.wait(3600)


def test_a_cooldown_needs_the_signal_to_reset_even_the_next_day() -> None:
    desk = holding()
    desk.poll(AAA=94)
    desk.poll(AAA=94)
    desk.fill_all(price=94)
    next_morning(desk)
    desk.slot(desk.next_slot())
    assert desk.held() == 0
    desk.says["one"] = (0.0, NAN, NAN)
    desk.slot(desk.next_slot())
    desk.says["one"] = LONG_A
    desk.slot(desk.next_slot())
    assert [o.intent.leg for o in desk.sent] == [Leg.OPEN, Leg.EXIT, Leg.OPEN]


def test_a_stop_leaves_what_we_did_not_open() -> None:
    now = MONDAY.opens_at + timedelta(hours=1)
    account = account_of(now, 90_000, {A: a_position(100)})
    desk = Desk(now=now, memory=a_memory(now, account))
    desk.report(account)
    ready(desk)
    desk.poll(AAA=90)
    desk.poll(AAA=90)
    assert not desk.sent


def test_a_stop_in_halted_trading_is_denied_and_not_tried_at_every_poll() -> None:
    desk = holding()
    desk.ask(Action.HALT)
    for _ in range(20):
        desk.poll(AAA=94)
    assert not exits(desk)
    assert desk.decision.outcomes[A].outcome is Outcome.DENIED
    assert len(desk.facts(Decided)) == 2


def test_nothing_is_watched_while_the_market_is_closed() -> None:
    desk = holding()
    desk.close()
    desk.poll(AAA=90)
    desk.poll(AAA=90)
    assert not exits(desk)


# --- profits -------------------------------------------------------------------------------------


def test_profits_are_taken_for_reversion() -> None:
    desk = holding(takes_profit=True)
    desk.poll(AAA=110.1)
    desk.poll(AAA=110.1)
    assert [(o.intent.side, o.intent.quantity_shares) for o in exits(desk)] == [(Side.SELL, 100)]
    assert "take_profit" in exits(desk)[0].intent.reason


def test_a_trend_is_let_run() -> None:
    desk = holding(takes_profit=False)
    for _ in range(3):
        desk.poll(AAA=115)
    assert not exits(desk)


def test_a_profit_is_taken_from_the_reverting_book_alone() -> None:
    desk = Desk(
        {"trend": entry(), "revert": entry(takes_profit=True)},
        says={"trend": LONG_A, "revert": LONG_A},
    )
    ready(desk).slot(desk.next_slot())
    desk.fill_all()
    desk.poll(AAA=111)
    desk.poll(AAA=111)
    assert exits(desk)[0].intent.deltas == {"revert": -50}
    desk.fill_all(price=111)
    assert desk.memory.portfolio.books["trend"].shares(A) == 50
    assert desk.books_match()


# --- losses --------------------------------------------------------------------------------------


def losing(desk: Desk, price: float = 93.0) -> None:
    """Let all three symbols fall: $100 x 3 x 7 is 2.1 % of the equity."""
    desk.poll(AAA=price, BBB=price, CCC=price)


def test_a_days_loss_reduces_trading_durably_and_is_told() -> None:
    desk = holding(ALL, NO_STOPS)
    desk.poll(AAA=93, BBB=93, CCC=93)
    assert desk.memory.trading.state is TradingState.REDUCING
    assert desk.memory.trading.cause == "daily_loss"
    (changed,) = desk.facts(StatusChanged)
    assert changed.trading == desk.memory.trading
    assert [c for c in desk.commands if isinstance(c, RecordDurably)][-2].fact is changed
    assert any("daily_loss" in n.fields["cause"] for n in desk.notices)
    assert desk.memory.daily_loss_days == [MONDAY.day]


def test_a_smaller_loss_changes_nothing() -> None:
    desk = holding(ALL, NO_STOPS)
    losing(desk, 93.5)
    assert desk.memory.trading.state is TradingState.ACTIVE


def test_reducing_cancels_entries_that_work() -> None:
    desk = holding((1.0, 1.0, NAN), NO_STOPS, reprice_after_s=1e5)
    desk.says["one"] = ALL
    desk.slot(desk.next_slot())
    entry_order = desk.work(desk.sent[-1])
    assert entry_order.intent.symbol == C
    desk.poll(AAA=89, BBB=89)
    assert [c.client_order_id for c in desk.cancels] == [entry_order.intent.client_order_id]


def test_while_reducing_nothing_is_entered_but_what_closes_passes() -> None:
    desk = holding((1.0, 1.0, NAN), NO_STOPS)
    desk.poll(AAA=89, BBB=89)
    desk.says["one"] = (-1.0, NAN, 1.0)
    desk.slot(desk.next_slot())
    assert [(o.intent.symbol, o.intent.leg) for o in desk.sent[2:]] == [(A, Leg.CLOSE)]
    assert desk.decision.outcomes[C].denials[0].rule == "trading_state"


def test_a_days_loss_clears_at_the_next_open_with_a_notice() -> None:
    desk = holding(ALL, NO_STOPS)
    losing(desk)
    desk.close(MONDAY)
    desk.open(TUESDAY)
    assert desk.memory.trading.state is TradingState.ACTIVE
    assert "trading is ACTIVE" in desk.notices[-1].message


def test_a_restart_in_the_session_does_not_clear_the_days_loss() -> None:
    desk = holding(ALL, NO_STOPS)
    losing(desk)
    fresh = desk.restarted()
    fresh.report()
    fresh.open(MONDAY)
    assert fresh.memory.trading.state is TradingState.REDUCING


def test_a_second_days_loss_within_five_sessions_waits_for_a_person() -> None:
    desk = holding(ALL, NO_STOPS)
    losing(desk)
    desk.close(MONDAY)
    desk.open(TUESDAY)
    losing(desk, 86.0)
    assert desk.memory.trading.cause == "repeated_daily_loss"
    desk.close(TUESDAY)
    desk.open(WEDNESDAY)
    assert desk.memory.trading.state is TradingState.REDUCING
    desk.ask(Action.RESUME)
    assert desk.memory.trading.state is TradingState.ACTIVE


def test_a_loss_is_measured_from_the_previous_close() -> None:
    desk = holding(ALL, NO_STOPS)
    losing(desk, 94.0)
    desk.close(MONDAY)
    desk.open(TUESDAY)
    losing(desk, 93.0)
    assert desk.memory.trading.state is TradingState.ACTIVE


def test_a_drawdown_latches_until_it_is_named() -> None:
    desk = holding(ALL, DRAWDOWN_ONLY)
    losing(desk)
    assert desk.memory.trading.cause == "drawdown"
    desk.close(MONDAY)
    desk.open(TUESDAY)
    desk.ask(Action.RESUME)
    assert desk.memory.trading.state is TradingState.REDUCING
    assert "tradewind resume drawdown" in desk.engine.operator_answer
    desk.ask(Action.RESUME, subject="drawdown")
    assert desk.memory.trading.state is TradingState.ACTIVE


def test_after_a_resumed_drawdown_the_peak_counts_anew() -> None:
    desk = holding(ALL, DRAWDOWN_ONLY)
    losing(desk)
    desk.ask(Action.RESUME, subject="drawdown")
    losing(desk)
    assert desk.memory.trading.state is TradingState.ACTIVE
    losing(desk, 86.0)
    assert desk.memory.trading.state is TradingState.REDUCING


def test_a_drawdown_may_flatten() -> None:
    desk = holding(ALL, replace(DRAWDOWN_ONLY, on_max_drawdown="flatten"))
    losing(desk)
    assert {o.intent.leg for o in desk.sent[3:]} == {Leg.FLATTEN}
    assert {o.intent.symbol for o in desk.sent[3:]} == {A, B, C}


def test_the_peak_outlives_a_restart() -> None:
    desk = holding(ALL, DRAWDOWN_ONLY)
    desk.poll(AAA=110, BBB=110, CCC=110)
    fresh = ready(desk.restarted())
    assert fresh.memory.equity_peak_usd == 103_000
    fresh.poll(AAA=103, BBB=103, CCC=103)
    assert fresh.memory.trading.cause == "drawdown"


def test_a_capped_account_does_not_look_like_a_loss() -> None:
    desk = ready(Desk(says={"one": LONG_A}, capital_cap_usd=20_000.0))
    desk.slot(desk.next_slot())
    assert desk.memory.trading.state is TradingState.ACTIVE
    assert [o.intent.quantity_shares for o in desk.sent] == [20]


# --- distrust ------------------------------------------------------------------------------------


def test_a_disk_that_fails_halts_trading() -> None:
    desk = holding()
    desk.post(StateDistrusted(at=desk.now, cause="disk", evidence="EIO"))
    assert desk.memory.trading.state is TradingState.HALTED
    desk.says["one"] = ALL
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    assert "distrust" in desk.memory.trading.cause


def test_distrust_is_not_resumed_in_passing() -> None:
    desk = holding()
    desk.post(StateDistrusted(at=desk.now, cause="disk", evidence="EIO"))
    desk.ask(Action.RESUME)
    assert desk.memory.trading.state is TradingState.HALTED


# --- epochs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.HALT, Action.REDUCE, Action.FLATTEN])
def test_every_change_of_state_advances_the_epoch(action: Action) -> None:
    desk = holding()
    before = desk.memory.trading.epoch
    desk.ask(action)
    changed = desk.memory.trading.epoch
    desk.ask(Action.RESUME)
    assert before < changed < desk.memory.trading.epoch


# --- flat at the close ---------------------------------------------------------------------------


def test_everything_of_ours_is_left_before_the_close() -> None:
    desk = holding(ALL, flatten_at_close_s=600.0)
    desk.now = MONDAY.closes_at - timedelta(seconds=601)
    desk.poll()
    assert not exits(desk)
    desk.poll()
    assert {o.intent.symbol for o in exits(desk)} == {A, B, C}
    desk.fill_all()
    assert not desk.memory.portfolio.positions


def test_flat_at_the_close_leaves_external_positions_alone() -> None:
    now = MONDAY.opens_at + timedelta(hours=1)
    account = account_of(now, 90_000, {B: a_position(100)})
    desk = Desk(
        now=now, memory=a_memory(now, account), says={"one": LONG_A}, flatten_at_close_s=600.0
    )
    desk.report(account)
    ready(desk).slot(desk.next_slot())
    desk.fill_all()
    desk.now = MONDAY.closes_at - timedelta(seconds=599)
    desk.poll()
    assert [o.intent.symbol for o in exits(desk)] == [A]
    assert desk.memory.portfolio.books[EXTERNAL].shares(B) == 100


def test_flat_at_the_close_cancels_what_works_first() -> None:
    desk = holding(reprice_after_s=1e5, flatten_at_close_s=600.0)
    desk.says["one"] = (-1.0, NAN, NAN)
    desk.slot(desk.next_slot())
    closing = desk.work(desk.sent[-1])
    desk.now = MONDAY.closes_at - timedelta(seconds=599)
    commands = desk.poll()
    assert kinds([c for c in commands if isinstance(c, CancelOrder | SubmitOrder)]) == [
        "CancelOrder"
    ]
    desk.tell(closing, OrderStatus.CANCELED)
    desk.wait(20).poll()
    assert [o.intent.quantity_shares for o in exits(desk)] == [100]


def test_without_the_setting_positions_stay_overnight() -> None:
    desk = holding()
    desk.now = MONDAY.closes_at - timedelta(seconds=5)
    desk.poll()
    assert not exits(desk)


# --- days ----------------------------------------------------------------------------------------


def test_the_days_result_is_told_at_the_close() -> None:
    desk = holding(ALL, NO_STOPS)
    desk.poll(AAA=101, BBB=101, CCC=101)
    commands = desk.close()
    (told,) = [c for c in commands if isinstance(c, Notify)]
    assert told.message == "2026-06-01 closed: +300.00 USD"
    assert isinstance(commands[-1], Save)


def test_a_restart_in_the_session_keeps_the_days_start() -> None:
    desk = holding(ALL, NO_STOPS)
    desk.poll(AAA=95, BBB=95, CCC=95)
    fresh = desk.restarted()
    fresh.report()
    fresh.open(MONDAY)
    assert fresh.memory.day_start == desk.memory.day_start


def test_days_of_losses_are_forgotten_after_the_window() -> None:
    desk = holding(ALL, NO_STOPS)
    losing(desk)
    week = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, NEXT_MONDAY)
    for evening, morning in pairwise(week):
        desk.close(evening)
        desk.open(morning)
    losing(desk, 86.0)
    assert desk.memory.trading.cause == "daily_loss"

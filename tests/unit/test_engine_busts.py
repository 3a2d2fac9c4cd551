"""Executions that the venue takes back: booked to those who had them, and the symbol left alone."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from daemon.engine.commands import CancelOrder, Command, Notify
from domain.events import Action, OrderFilled, TradeBusted
from domain.orders import EXTERNAL, ApprovedOrder, Bust, Fill, OrderStatus, Severity
from domain.snapshot import Snapshot, TradingState
from execution.order_states import apply_fill
from state import records
from state.journal import JournalRecord
from state.records import Adopted, Busted
from state.recovery import fold
from tests.support.engines import NAN, A, Desk, a_desk, account_of, through_a_file

LONG_A = (1.0, NAN, NAN)
D = Decimal


def bust_of(fill: Fill, corrected: Fill | None = None) -> Bust:
    return Bust(
        fill_id=fill.fill_id,
        client_order_id=fill.client_order_id,
        symbol=fill.symbol,
        corrected=corrected,
    )


def bust(desk: Desk, fill: Fill, corrected: Fill | None = None) -> list[Command]:
    return desk.post(TradeBusted(at=desk.now, bust=bust_of(fill, corrected)))


def at_price(fill: Fill, price: str) -> Fill:
    return replace(fill, fill_id=f"{fill.fill_id}-again", price_usd=D(price))


def holding(price: float = 100.0, *, shares: int | None = None) -> tuple[Desk, ApprovedOrder, Fill]:
    """A desk whose order for AAA, 100 shares, filled: all at once, or so many of them."""
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.work(desk.sent[0])
    fill = desk.fill(order, shares, price)
    if shares is None:
        desk.tell(order, OrderStatus.FILLED, 100)
    return desk, order, fill


# --- the book ------------------------------------------------------------------------------------


def test_a_busted_execution_is_given_back_by_the_book_that_had_it() -> None:
    desk, _, fill = holding(102.0)
    bust(desk, fill)
    assert (desk.held(), desk.memory.portfolio.cash_usd) == (0, 100_000)
    assert desk.memory.portfolio.books["one"].cash_usd == 0
    assert EXTERNAL not in desk.memory.portfolio.books
    assert desk.books_match()


def test_an_execution_of_several_is_taken_back_alone() -> None:
    desk, order, first = holding(101.0, shares=30)
    desk.fill(order, 70, 99.0)
    bust(desk, first)
    assert desk.held() == 70
    assert desk.memory.portfolio.cash_usd == 100_000 - 70 * 99
    assert desk.order(order).filled_shares == 70
    assert desk.books_match()


def test_an_order_says_no_more_was_filled_than_still_is() -> None:
    desk, order, fill = holding()
    bust(desk, fill)
    after = desk.order(order)
    assert (after.status, after.filled_shares, after.filled_value_usd) == (OrderStatus.FILLED, 0, 0)
    assert not desk.memory.working


def test_a_late_report_of_the_busted_shares_does_not_make_the_order_wait_for_them() -> None:
    desk, order, fill = holding()
    bust(desk, fill)
    desk.tell(order, OrderStatus.FILLED, 100)
    assert not desk.memory.working


def test_an_order_with_a_price_put_right_waits_for_what_is_not_booked_yet() -> None:
    """World 11000022: fills that the stream had lost were not waited for any more once the price of
    another one had been put right; shares that were sold already were sold once more by hand."""
    desk, order, fill = holding(shares=60)
    desk.tell(order, OrderStatus.FILLED, 100)
    bust(desk, fill, at_price(fill, "101"))
    assert desk.order(order).unbooked_shares == 40
    assert desk.memory.working


def test_a_corrected_execution_costs_what_it_costs_now() -> None:
    desk, order, fill = holding(100.0)
    bust(desk, fill, at_price(fill, "101"))
    portfolio = desk.memory.portfolio
    assert (desk.held(), portfolio.cash_usd) == (100, 100_000 - 10_100)
    assert portfolio.positions[A].average_entry_usd == 101
    assert desk.order(order).filled_value_usd == 10_100
    assert desk.books_match()


def test_an_execution_corrected_to_fewer_shares_leaves_those() -> None:
    desk, order, fill = holding(100.0)
    bust(desk, fill, replace(at_price(fill, "100"), quantity_shares=D(60)))
    assert (desk.held(), desk.order(order).filled_shares) == (60, 60)
    assert desk.books_match()


def test_a_bust_heard_twice_is_booked_once() -> None:
    desk, _, fill = holding()
    bust(desk, fill)
    assert bust(desk, fill) == []
    assert desk.memory.portfolio.cash_usd == 100_000


def test_a_busted_execution_that_is_told_once_more_is_not_booked() -> None:
    desk, _, fill = holding()
    bust(desk, fill)
    assert desk.book(fill) == []
    assert desk.held() == 0


def test_an_execution_that_its_bust_overtook_is_never_booked() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.work(desk.sent[0])
    fill = desk.a_fill(order)
    bust(desk, fill)
    desk.post(OrderFilled(at=desk.now, fill=fill))
    desk.tell(order, OrderStatus.FILLED, 100)
    assert (desk.held(), desk.memory.working) == (0, {})


def test_a_correction_that_overtook_its_execution_is_booked_alone() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    fill = desk.a_fill(desk.work(desk.sent[0]))
    bust(desk, fill, at_price(fill, "101"))
    desk.book(fill)
    assert (desk.held(), desk.memory.portfolio.cash_usd) == (100, 100_000 - 10_100)


def test_a_correction_that_was_listed_before_it_was_told_counts_once() -> None:
    """Found in simulation (seed 9000019): the venue's list had the corrected execution, which was
    booked beside the first; the first was then put right, too, instead of taken back."""
    desk, order, fill = holding(100.0)
    again = at_price(fill, "101")
    desk.book(again)
    assert desk.held() == 200
    bust(desk, fill, again)
    assert (desk.held(), desk.memory.portfolio.cash_usd) == (100, 100_000 - 10_100)
    assert desk.order(order).filled_shares == 100
    assert desk.books_match()


def test_a_trade_of_somebody_else_that_is_taken_back_is_taken_from_external() -> None:
    desk, order, _ = holding()
    theirs = replace(desk.a_fill(order, 7), client_order_id="", fill_id="theirs")
    desk.book(theirs)
    bust(desk, theirs)
    assert desk.held() == 100
    assert desk.memory.portfolio.books[EXTERNAL].shares(A) == 0
    assert desk.memory.portfolio.books["one"].shares(A) == 100


# --- what a person is told, and what is left alone -----------------------------------------------


@pytest.mark.parametrize("price", [None, "101"], ids=["busted", "corrected"])
def test_the_symbol_is_quarantined_and_the_alert_names_the_execution(price: str | None) -> None:
    desk, order, fill = holding()
    commands = bust(desk, fill, None if price is None else at_price(fill, price))
    (told,) = [c for c in commands if isinstance(c, Notify)]
    assert told.severity is Severity.CRITICAL
    assert fill.fill_id in told.message
    assert order.intent.client_order_id in told.message
    assert "buy 100 AAA at 100" in told.message
    assert list(desk.memory.quarantined) == [A]


def test_nothing_more_is_ordered_of_it_until_a_person_resumes() -> None:
    desk, _, fill = holding()
    bust(desk, fill)
    sent = len(desk.sent)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == sent
    desk.ask(Action.RESUME, subject="quarantine")
    desk.slot(desk.next_slot())
    assert len(desk.sent) == sent + 1


def test_what_works_of_it_is_canceled() -> None:
    desk, order, fill = holding(shares=30)
    commands = bust(desk, fill)
    (canceled,) = [c for c in commands if isinstance(c, CancelOrder)]
    assert canceled.client_order_id == order.intent.client_order_id


def test_a_bust_that_names_no_execution_is_told_and_leaves_the_book_alone() -> None:
    desk, _, fill = holding()
    nameless = replace(bust_of(fill), fill_id="")
    commands = desk.post(TradeBusted(at=desk.now, bust=nameless))
    assert desk.held() == 100
    assert [c.severity for c in commands if isinstance(c, Notify)] == [Severity.CRITICAL]
    assert list(desk.memory.quarantined) == [A]


def test_a_bust_leaves_nothing_to_adopt() -> None:
    desk, _, fill = holding(102.0)
    bust(desk, fill)
    for _ in range(3):
        desk.report(account_of(desk.now, 100_000))
    assert desk.facts(Adopted) == []


# --- losses --------------------------------------------------------------------------------------


def test_a_profit_that_never_was_is_no_loss_when_it_goes() -> None:
    """100 shares bought by mistake at half their price: 5 % of the account come and go."""
    desk, _, fill = holding(50.0)
    desk.poll()
    assert desk.memory.equity_peak_usd == 105_000
    bust(desk, fill)
    desk.poll()
    assert desk.engine.core.equity_usd() == 100_000
    assert desk.memory.equity_peak_usd == 100_000
    assert desk.memory.trading.state is TradingState.ACTIVE


def test_a_peak_of_an_earlier_day_is_not_lowered() -> None:
    desk, _, fill = holding(99.0)
    start = desk.memory.day_start
    assert start is not None
    desk.memory.day_start = replace(start, equity_usd=D(104_000))
    desk.memory.equity_peak_usd = D(104_000)
    bust(desk, fill)
    assert desk.memory.equity_peak_usd == 104_000


def test_what_a_day_began_with_is_less_when_an_execution_of_the_day_before_is_taken_back() -> None:
    desk, _, fill = holding(50.0)
    start = desk.memory.day_start
    assert start is not None
    desk.memory.day_start = replace(start, day=start.day + timedelta(days=1), equity_usd=D(105_000))
    bust(desk, fill)
    assert desk.memory.day_start.equity_usd == 100_000


# --- recovery ------------------------------------------------------------------------------------


def folded(before: Snapshot, commands: list[Command]) -> Snapshot:
    """Return the snapshot that a start finds: what was saved, and the records since."""
    facts = [c.fact for c in commands if hasattr(c, "fact")]
    journal = [
        JournalRecord(seq=n, kind=kind, at=before.saved_at, fields=fields)
        for n, (kind, fields) in enumerate(map(records.encode, facts), 1)
    ]
    after = fold(through_a_file(before), journal, apply_fill)
    assert after is not None
    return after


@pytest.mark.parametrize("price", [None, "101"], ids=["busted", "corrected"])
def test_a_kill_right_after_a_bust_forgets_nothing_of_it(price: str | None) -> None:
    desk, order, fill = holding(99.0)
    before = desk.engine.snapshot(desk.now)
    commands = bust(desk, fill, None if price is None else at_price(fill, price))
    after, live = folded(before, commands), desk.engine.snapshot(desk.now)
    assert after.portfolio == live.portfolio
    assert after.fills == live.fills
    (ours,) = [o for o in after.orders if o.client_order_id == order.intent.client_order_id]
    assert ours == desk.order(order)
    assert after.quarantined == live.quarantined


def test_folding_a_bust_twice_changes_nothing() -> None:
    desk, _, fill = holding()
    before = desk.engine.snapshot(desk.now)
    commands = bust(desk, fill)
    once = [c for c in commands if isinstance(getattr(c, "fact", None), Busted)]
    assert folded(before, [*once, *once]).portfolio == folded(before, once).portfolio

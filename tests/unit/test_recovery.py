"""The journal folded onto the snapshot."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from domain.calendar import Timeframe
from domain.errors import StateCorrupt
from domain.instruments import Symbol
from domain.orders import EXTERNAL, ApprovedOrder, OrderStatus, Severity
from domain.snapshot import (
    FINISHED_ORDERS_MAX,
    RECENT_FILLS_MAX,
    Benching,
    DayStart,
    Decision,
    SavedOpinion,
    Snapshot,
    TradingState,
    TradingStatus,
)
from execution.order_states import apply_fill
from state import records
from state.journal import JournalRecord
from state.recovery import Folding, fold, trimmed_orders, unsettled
from tests.support.orders import (
    NOON,
    a_fill,
    a_snapshot,
    an_account,
    an_intent,
    an_order,
    shares,
    usd,
)

AAPL = Symbol("AAPL")
SLOT = NOON - timedelta(minutes=1)
HOUR = timedelta(hours=1)


def journal_of(facts: Iterable[records.Fact], first: int = 1) -> list[JournalRecord]:
    """Return the records the facts would be read back as."""
    found = []
    for seq, fact in enumerate(facts, first):
        kind, fields = records.encode(fact)
        found.append(JournalRecord(seq=seq, kind=kind, at=NOON, fields=fields))
    return found


def after(*facts: records.Fact, snapshot: Snapshot | None = None) -> Snapshot:
    folded = fold(snapshot or a_snapshot(), journal_of(facts), apply_fill)
    assert folded is not None
    return folded


def decided(*intents: object) -> records.Decided:
    approved = [
        ApprovedOrder(intent=i, approved_at=NOON, expires_at=NOON, epoch=3)  # type: ignore[arg-type]
        for i in intents
    ]
    decision = Decision(
        slot_at=SLOT,
        decided_at=NOON,
        timeframes=(Timeframe.DAY,),
        equity_usd=usd(1),
        outcomes={},
    )
    return records.Decided(decision=decision, orders=records.approved_intents(approved))


def test_no_snapshot_and_no_journal_is_a_fresh_start() -> None:
    assert fold(None, [], apply_fill) is None
    assert Folding(None, apply_fill).recovered() is None


def test_of_many_decisions_the_last_is_kept_whole_and_every_slot_known() -> None:
    first, last = decided(), decided()
    hourly = replace(first.decision, slot_at=SLOT + HOUR, timeframes=(Timeframe.HOUR,))
    found = after(first, records.Decided(decision=hourly, orders=()), last)
    assert found.decided_slots == {Timeframe.DAY: SLOT, Timeframe.HOUR: SLOT + HOUR}
    assert found.last_decision == last.decision


def test_an_earlier_decision_that_cannot_be_read_is_refused_by_its_number() -> None:
    [good, bad, last] = journal_of([decided(), decided(), decided()])
    del bad.fields["decision"]["slot_at"]  # type: ignore[attr-defined]
    with pytest.raises(StateCorrupt, match=rf"record {bad.seq} .*slot_at: missing"):
        fold(a_snapshot(), [good, bad, last], apply_fill)


def test_a_journal_without_a_snapshot_is_refused() -> None:
    with pytest.raises(StateCorrupt, match="repair --from-broker"):
        fold(None, journal_of([decided()]), apply_fill)


def test_decided_orders_are_rebuilt_in_full() -> None:
    found = after(decided(an_intent()))
    assert found.orders == (an_order(OrderStatus.APPROVED),)
    assert found.decided_slots == {Timeframe.DAY: SLOT}
    assert found.last_decision is not None
    assert found.journal_seq == 1


def test_a_slot_decided_with_no_order_is_decided_all_the_same() -> None:
    assert after(decided()).decided_slots == {Timeframe.DAY: SLOT}


def test_orders_approved_outside_a_slot_are_rebuilt_too() -> None:
    told = records.approved_intents(
        [ApprovedOrder(intent=an_intent(), approved_at=NOON, expires_at=NOON, epoch=1)],
        repricings=1,
    )
    found = after(records.Ordered(orders=told))
    assert found.orders == (an_order(OrderStatus.APPROVED, repricings=1),)
    assert found.decided_slots == {}


def test_one_name_for_two_different_orders_is_refused() -> None:
    with pytest.raises(StateCorrupt, match=r"record 2 \(DECISION\) contradicts.*decided twice"):
        after(decided(an_intent(10)), decided(an_intent(11)))


def test_an_order_known_already_is_not_set_back() -> None:
    working = an_order(OrderStatus.WORKING)
    assert after(decided(an_intent()), snapshot=a_snapshot(orders=(working,))).orders == (working,)


def test_a_fill_is_booked_once_however_often_it_stands_in_the_journal() -> None:
    filled = records.Filled(fill=a_fill(4))
    found = after(decided(an_intent()), filled, filled)
    assert found.portfolio.shares(AAPL) == 4
    assert found.orders[0].filled_shares == 4
    assert found.orders[0].status is OrderStatus.PARTIALLY_FILLED
    assert found.fills == (a_fill(4),)


def test_a_fill_in_the_snapshot_is_not_booked_again() -> None:
    first = after(decided(an_intent()), records.Filled(fill=a_fill(4)))
    again = fold(first, journal_of([records.Filled(fill=a_fill(4))], first=3), apply_fill)
    assert again == replace(first, journal_seq=3)


def test_fills_reach_the_books_of_the_order() -> None:
    intent = an_intent(10, deltas={"a": shares(14), "b": shares(-4)})
    found = after(
        decided(intent),
        records.Filled(fill=a_fill(1)),
        records.Filled(fill=a_fill(1, fill_id="f2")),
        records.Filled(fill=a_fill(8, fill_id="f3")),
    )
    books = found.portfolio.books
    assert (books["a"].shares(AAPL), books["b"].shares(AAPL)) == (14, -4)


def test_a_fill_of_an_order_not_ours_is_external() -> None:
    found = after(records.Filled(fill=a_fill(4, client_order_id="by-hand")))
    assert found.portfolio.books[EXTERNAL].shares(AAPL) == 4


def test_folding_the_same_records_again_changes_nothing() -> None:
    facts = [
        decided(an_intent()),
        records.Submitting(at=NOON, client_order_id="tw1-a"),
        records.Filled(fill=a_fill(4)),
        records.Flowed(at=NOON, amount_usd=usd(100), reason="deposit"),
    ]
    once = after(*facts)
    assert fold(once, journal_of(facts), apply_fill) == once
    assert once.portfolio.flows_usd == 100


def test_records_the_snapshot_covers_are_skipped() -> None:
    covered = journal_of([records.Flowed(at=NOON, amount_usd=usd(1), reason="")] * 3)
    found = fold(a_snapshot(journal_seq=2), covered, apply_fill)
    assert found is not None
    assert (found.journal_seq, found.portfolio.flows_usd) == (3, 1)


def test_a_gap_after_the_snapshot_is_refused() -> None:
    late = journal_of([decided()], first=5)
    with pytest.raises(StateCorrupt, match="record 5 follows 3: records between are missing"):
        fold(a_snapshot(journal_seq=3), late, apply_fill)


def test_an_order_is_where_it_was_last_said_to_be() -> None:
    working = an_order(
        OrderStatus.CANCELING,
        venue_order_id="v1",
        reported_shares=Decimal(4),
        submitted_at=NOON,
        cancel_requested_at=NOON,
        reason="ran away",
    )
    found = after(
        decided(an_intent()),
        records.Submitting(at=NOON, client_order_id="tw1-a"),
        records.OrderMoved.of(working),
    )
    assert found.orders == (working,)


def test_a_note_written_before_a_fill_was_known_takes_nothing_from_it() -> None:
    found = after(
        decided(an_intent()),
        records.Filled(fill=a_fill(4)),
        records.OrderMoved.of(an_order(OrderStatus.WORKING)),
    )
    assert (found.orders[0].filled_shares, found.orders[0].reported_shares) == (4, 4)


def test_news_of_an_order_never_decided_is_refused() -> None:
    with pytest.raises(StateCorrupt, match="no order tw1-a was decided before"):
        after(records.Submitting(at=NOON, client_order_id="tw1-a"))


def test_a_fill_that_contradicts_its_order_is_refused() -> None:
    with pytest.raises(StateCorrupt, match=r"record 2 \(FILL\) contradicts"):
        after(decided(an_intent()), records.Filled(fill=a_fill(4, symbol=Symbol("MSFT"))))


def test_money_that_moved_is_moved_again() -> None:
    found = after(
        records.Flowed(at=NOON, amount_usd=usd(50), reason="deposit"),
        records.Earned(at=NOON, amount_usd=usd(7), book="sma", reason="dividend"),
        records.Crossed(
            at=NOON, symbol=AAPL, moves={"a": shares(1), "b": shares(-1)}, price_usd=usd(10)
        ),
    )
    assert found.portfolio.cash_usd == 100_057
    assert found.portfolio.books["sma"].realized_usd == 7
    assert found.portfolio.books["a"].shares(AAPL) == 1


def test_what_was_adopted_is_adopted_again() -> None:
    account = an_account(90_000, AAPL=(10, 100))
    found = after(records.Adopted(account=account, marks={}, reason="found at start"))
    assert found.portfolio.books[EXTERNAL].shares(AAPL) == 10
    assert (found.portfolio.cash_usd, found.portfolio.flows_usd) == (90_000, -9_000)


def test_the_trading_state_is_the_last_one_latched() -> None:
    halted = TradingStatus(
        state=TradingState.HALTED, since_at=NOON, severity=Severity.CRITICAL, epoch=4
    )
    assert after(records.StatusChanged(at=NOON, trading=halted)).trading == halted


def test_a_note_replaces_what_it_names_and_leaves_the_rest() -> None:
    benched = {"rsi": Benching(since_at=NOON, fault="raised", detail="")}
    start = a_snapshot(quarantined={AAPL: "unresolved"}, equity_peak_usd=usd(5))
    found = after(
        records.Noted(
            at=NOON,
            benched=benched,
            day_start=DayStart(day=date(2026, 3, 2), equity_usd=usd(1), flows_usd=usd(0)),
            cooldowns={AAPL: NOON},
        ),
        snapshot=start,
    )
    assert (found.benched, found.quarantined) == (benched, {AAPL: "unresolved"})
    assert (found.equity_peak_usd, found.cooldowns) == (5, {AAPL: NOON})
    found = replace(found, journal_seq=0)
    assert after(records.Noted(at=NOON, quarantined={}), snapshot=found).quarantined == {}


def test_the_latest_opinion_of_a_strategy_is_kept() -> None:
    opinion = SavedOpinion(
        slot_at=NOON, timeframe=Timeframe.DAY, strengths={AAPL: 0.5}, evidence={}
    )
    kept = records.OpinionKept(strategy="rsi", opinion=opinion)
    assert after(kept).opinions == {"rsi": opinion}


def test_a_run_of_another_account_is_refused() -> None:
    run = records.RunBegan(
        at=NOON, venue="embedded", account_id="PA1", build="b", settings_hash="s"
    )
    assert after(run).journal_seq == 1
    with pytest.raises(StateCorrupt, match="belongs to paper-PA1, not embedded-PA1"):
        after(replace(run, venue="paper"))


def test_a_record_that_cannot_be_read_is_named() -> None:
    bad = JournalRecord(seq=1, kind="FLOW", at=NOON, fields={"at": "now"})
    with pytest.raises(StateCorrupt, match=r"record 1 \(FLOW\): amount_usd: missing"):
        fold(a_snapshot(), [bad], apply_fill)
    unknown = JournalRecord(seq=1, kind="LUNCH", at=NOON, fields={})
    with pytest.raises(StateCorrupt, match="unknown kind 'LUNCH'"):
        fold(a_snapshot(), [unknown], apply_fill)


def test_after_a_stop_everything_not_acknowledged_is_in_doubt() -> None:
    orders = tuple(
        an_order(status, intent=an_intent(client_order_id=f"tw1-{status}"))
        for status in OrderStatus
    )
    found = {o.client_order_id: o.status for o in unsettled(a_snapshot(orders=orders)).orders}
    changed = {name for name, status in found.items() if name != f"tw1-{status}"}
    assert changed == {"tw1-approved", "tw1-submitting"}
    assert found["tw1-approved"] is found["tw1-submitting"] is OrderStatus.UNRESOLVED


def test_recovering_is_folding_and_unsettling() -> None:
    folding = Folding(a_snapshot(), apply_fill)
    for record in journal_of([decided(an_intent())]):
        folding.take(record)
    found = folding.recovered()
    assert found is not None
    assert found.orders[0].status is OrderStatus.UNRESOLVED


def test_fills_and_finished_orders_are_kept_up_to_their_limits() -> None:
    finished = [
        an_order(OrderStatus.FILLED, intent=an_intent(client_order_id=f"tw1-{n}"))
        for n in range(FINISHED_ORDERS_MAX + 1)
    ]
    kept = trimmed_orders([*finished, an_order()])
    assert len(kept) == FINISHED_ORDERS_MAX + 1
    assert kept[0] == an_order()
    assert finished[0] not in kept
    fills = tuple(a_fill(fill_id=f"f{n}") for n in range(RECENT_FILLS_MAX))
    found = after(records.Filled(fill=a_fill(fill_id="new")), snapshot=a_snapshot(fills=fills))
    assert len(found.fills) == RECENT_FILLS_MAX
    assert found.fills[-1].fill_id == "new"


def test_an_order_that_ends_in_the_journal_is_the_last_of_the_finished_ones() -> None:
    """Found by a simulated world: what still worked stands first in a snapshot. Once it had ended,
    recovery dropped it as the oldest of more than FINISHED_ORDERS_MAX, and a fill of it that the
    stream had lost was taken for one that this state had never decided."""
    finished = [
        an_order(OrderStatus.FILLED, intent=an_intent(client_order_id=f"tw1-{n}"))
        for n in range(FINISHED_ORDERS_MAX)
    ]
    working = an_order(OrderStatus.WORKING)
    snapshot = a_snapshot(orders=(working, *finished))
    moved = records.OrderMoved.of(an_order(OrderStatus.CANCELED))
    assert after(moved, snapshot=snapshot).orders[-1].client_order_id == working.client_order_id


def test_an_order_with_a_fill_still_to_come_is_kept_however_long_ago_it_ended() -> None:
    finished = [
        an_order(OrderStatus.FILLED, intent=an_intent(client_order_id=f"tw1-{n}"))
        for n in range(FINISHED_ORDERS_MAX)
    ]
    owed = an_order(OrderStatus.FILLED, reported_shares=shares(1))
    assert owed in trimmed_orders([owed, *finished])


def test_every_fact_has_one_kind() -> None:
    assert len(set(records.KINDS.values())) == len(records.KINDS)
    assert set(records.KINDS.values()) == set(records.Fact.__args__)

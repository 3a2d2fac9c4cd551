"""A journal as months without a snapshot would leave it: written by the real journal, record by
record, of orders that were decided, sent, filled and sold again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from daemon.clock import LockstepClock
from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import (
    AtLimit,
    Fill,
    Leg,
    Order,
    OrderIntent,
    OrderStatus,
    Side,
    TimeInForce,
)
from domain.snapshot import Decision, Outcome, Snapshot, SymbolOutcome
from execution.identity import client_order_id
from execution.order_states import apply_fill
from state.filesystem import LocalFileSystem
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.records import (
    ApprovedIntent,
    Decided,
    Fact,
    Filled,
    OrderMoved,
    Submitting,
    encode,
)

BOOK = "chatter"
ORDERS_A_SLOT = 10
PRICE_USD = Decimal("100.25")
BEGAN_BEFORE = timedelta(days=365)
"""So long before the snapshot was saved the first slot lies: they are of no session to come."""


def lengthen(directory: Path, count: int) -> int:
    """Append so many records, and as many more as end a round trip, to the journal in an account's
    state directory, whose snapshot stays as it is; return the number of the last one."""
    fs = LocalFileSystem()
    saved = JsonStateStore(fs, directory).load()
    if saved is None:
        raise FileNotFoundError(f"{directory} holds no snapshot to write a journal for")
    clock = LockstepClock(saved.saved_at)
    journal, found = JsonLinesJournal.open(
        fs, directory / "journal", clock, covered_seq=saved.journal_seq
    )
    assert not found.records, "the snapshot must cover what is there"
    last_seq, trips = journal.last_seq + count, _round_trips(saved)
    while journal.last_seq < last_seq:
        for fact in next(trips):
            journal.append(*encode(fact))
        if journal.is_long:
            journal.rotate()
    journal.close()
    return journal.last_seq


def _round_trips(saved: Snapshot) -> Iterator[list[Fact]]:
    """Yield, for ever, what happens in two slots: the second sells what the first bought."""
    symbols = tuple(saved.last_decision.outcomes) if saved.last_decision else ()
    slot_at = saved.saved_at - BEGAN_BEFORE
    while True:
        facts: list[Fact] = []
        for side in (Side.BUY, Side.SELL):
            slot_at += timedelta(minutes=1)
            chosen = symbols[:ORDERS_A_SLOT]
            approved = tuple(_approved(saved, symbol, side, slot_at) for symbol in chosen)
            decision = _decision(saved, symbols, approved, slot_at)
            facts.append(Decided(decision=decision, orders=approved))
            for number, order in enumerate(approved):
                facts += _life(order, f"{slot_at:%Y%m%d%H%M}-{number}")
        yield facts


def _approved(saved: Snapshot, symbol: Symbol, side: Side, slot_at: datetime) -> ApprovedIntent:
    intent = OrderIntent(
        client_order_id=client_order_id(saved.account_id, "net", symbol, slot_at, Leg.OPEN, 0),
        symbol=symbol,
        side=side,
        quantity_shares=Decimal(1),
        terms=AtLimit(PRICE_USD),
        time_in_force=TimeInForce.DAY,
        leg=Leg.OPEN if side is Side.BUY else Leg.CLOSE,
        slot_at=slot_at,
        intended_at=slot_at,
        deltas={BOOK: Decimal(side.sign)},
        reference_usd=PRICE_USD,
        reason="simulated",
    )
    return ApprovedIntent(
        intent=intent,
        approved_at=slot_at,
        expires_at=slot_at + timedelta(minutes=1),
        epoch=saved.trading.epoch,
    )


def _decision(
    saved: Snapshot,
    symbols: tuple[Symbol, ...],
    approved: tuple[ApprovedIntent, ...],
    slot_at: datetime,
) -> Decision:
    ordered = {order.intent.symbol: order.intent for order in approved}
    outcomes = {
        symbol: SymbolOutcome(
            symbol=symbol,
            outcome=Outcome.ORDERED if symbol in ordered else Outcome.NO_SIGNAL,
            target_weight=0.01,
            held_shares=ZERO,
            wanted_shares=ordered[symbol].signed_shares if symbol in ordered else ZERO,
            client_order_id=ordered[symbol].client_order_id if symbol in ordered else "",
            strengths={BOOK: 1.0},
        )
        for symbol in symbols
    }
    return Decision(
        slot_at=slot_at,
        decided_at=slot_at,
        timeframes=(Timeframe.MINUTE,),
        equity_usd=saved.portfolio.cash_usd,
        outcomes=outcomes,
    )


def _life(approved: ApprovedIntent, number: str) -> Iterator[Fact]:
    intent, at = approved.intent, approved.approved_at
    order = Order(
        intent=intent, status=OrderStatus.WORKING, venue_order_id=f"v-{number}", submitted_at=at
    )
    fill = Fill(
        fill_id=f"f-{number}",
        client_order_id=intent.client_order_id,
        venue_order_id=order.venue_order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity_shares=intent.quantity_shares,
        price_usd=PRICE_USD,
        fee_usd=ZERO,
        filled_at=at,
    )
    yield Submitting(at=at, client_order_id=intent.client_order_id)
    yield OrderMoved.of(order)
    yield Filled(fill=fill)
    yield OrderMoved.of(apply_fill(order, fill))

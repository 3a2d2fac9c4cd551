"""A journal made long is one that the daemon's own recovery reads, and it ends where it began."""

from dataclasses import replace
from pathlib import Path

import pytest

from domain.instruments import Symbol
from domain.money import ZERO
from domain.snapshot import Decision, Outcome, Snapshot, SymbolOutcome
from execution.order_states import apply_fill
from research.simulation.long_journal import BOOK, ORDERS_A_SLOT, lengthen
from research.simulation.ready import READY_S_MAX, Readiness
from state.filesystem import LocalFileSystem
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.recovery import Folding
from tests.support.orders import NOON, FixedClock, a_snapshot

SYMBOLS = tuple(Symbol(f"S{number:02}") for number in range(12))
TRIP = 2 * (1 + 4 * ORDERS_A_SLOT)


def saved_in(directory: Path) -> Snapshot:
    outcomes = {
        symbol: SymbolOutcome(
            symbol=symbol,
            outcome=Outcome.NO_SIGNAL,
            target_weight=0.0,
            held_shares=ZERO,
            wanted_shares=ZERO,
        )
        for symbol in SYMBOLS
    }
    decision = Decision(
        slot_at=NOON, decided_at=NOON, timeframes=(), equity_usd=ZERO, outcomes=outcomes
    )
    snapshot = replace(a_snapshot(), last_decision=decision, journal_seq=0)
    JsonStateStore(LocalFileSystem(), directory).save(snapshot)
    return snapshot


def folded(directory: Path, saved: Snapshot) -> Snapshot:
    folding = Folding(saved, apply_fill)
    JsonLinesJournal.open(LocalFileSystem(), directory / "journal", FixedClock(), take=folding.take)
    found = folding.recovered()
    assert found is not None
    return found


def test_a_long_journal_ends_with_nothing_held_that_was_not_before(tmp_path: Path) -> None:
    saved = saved_in(tmp_path)
    last_seq = lengthen(tmp_path, 1)

    found = folded(tmp_path, saved)

    assert (last_seq, found.journal_seq) == (TRIP, TRIP)
    assert found.portfolio.positions == saved.portfolio.positions
    assert found.portfolio.cash_usd == saved.portfolio.cash_usd
    assert BOOK in found.portfolio.books
    assert all(order.status.is_terminal for order in found.orders)


def test_a_journal_is_as_long_as_asked_for_and_goes_on_to_the_end_of_a_trip(tmp_path: Path) -> None:
    saved_in(tmp_path)

    assert lengthen(tmp_path, TRIP + 1) == 2 * TRIP


def test_a_state_without_a_snapshot_has_no_journal_to_lengthen(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no snapshot"):
        lengthen(tmp_path, 1)


@pytest.mark.parametrize(("slow", "is_late"), [(1, False), (2, True)])
def test_one_late_start_of_a_hundred_is_let_pass(slow: int, is_late: bool) -> None:
    found = Readiness(ready_s=[1.0] * (101 - slow) + [2 * READY_S_MAX] * slow)

    found.judge()

    assert bool(found.failed) is is_late

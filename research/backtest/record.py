"""What a backtest remembers of itself while it runs; everything a report needs, nothing twice."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from allocation.plan import OUTCOME_CODES, OUTCOMES, Codes
from daemon.engine.commands import Command, Notify
from daemon.engine.outcomes import SlotOutcomes
from domain.instruments import Symbol
from domain.market import Floats
from domain.orders import Fill, Order, OrderIntent
from domain.portfolio import Portfolio
from domain.snapshot import Benching, Decision, Outcome
from domain.values import Value
from research.backtest.carrying import Carried
from state.records import Decided, OrderMoved

NOTICES_MAX = 1_000
"""Notices kept in words; all are counted."""


class DayMark(Value, frozen=True, kw_only=True, eq=False):
    """The account at one session's close; `shares` `[n]` are signed."""

    day: date
    equity_usd: Decimal
    cash_usd: Decimal
    shares: Floats
    trading_state: str
    fills: int
    orders: int


class SlotMark(Value, frozen=True, kw_only=True, eq=False):
    """One decision, kept lean: a code of `allocation.plan.OUTCOMES` for each column."""

    slot_at: datetime
    decided_at: datetime
    outcomes: Codes


class SlotRun(Value, frozen=True, kw_only=True, eq=False):
    """Decisions in a row, each made at its slot; outcomes `[t, n]` as of `SlotMark`."""

    slots: Sequence[datetime]
    outcomes: Codes

    def marks(self) -> Iterator[SlotMark]:
        """Return each of them."""
        for slot, codes in zip(self.slots, self.outcomes, strict=True):
            yield SlotMark(slot_at=slot, decided_at=slot, outcomes=codes)


@dataclass(slots=True, kw_only=True)
class OrderMark:
    """One approved order and how it ended."""

    intent: OrderIntent
    status: str = "working"
    finished_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Recording:
    """The growing record of one run."""

    days: list[DayMark] = field(default_factory=list)
    decisions: list[SlotMark | SlotRun] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    orders: dict[str, OrderMark] = field(default_factory=dict)
    notices: list[Notify] = field(default_factory=list)
    notices_count: int = 0
    outcome_counts: dict[str, int] = field(default_factory=dict)
    prices_traded_usd: Decimal = Decimal(0)

    @property
    def slots(self) -> list[SlotMark]:
        """The decisions, one by one."""
        found: list[SlotMark] = []
        for made in self.decisions:
            found += [made] if isinstance(made, SlotMark) else made.marks()
        return found

    def decided(self, fact: Decided) -> None:
        """Take in a decision and its orders."""
        decision = fact.decision
        codes = _codes(decision)
        if codes is None:
            for outcome, count in decision.counts().items():
                self._count(outcome.value, count)
        else:
            self.decisions.append(
                SlotMark(slot_at=decision.slot_at, decided_at=decision.decided_at, outcomes=codes)
            )
        for order in fact.orders:
            self.orders[order.intent.client_order_id] = OrderMark(intent=order.intent)

    def moved(self, fact: OrderMoved | Order) -> None:
        """Take in where an order stands."""
        mark = self.orders.get(fact.client_order_id)
        if mark is not None:
            mark.status = fact.status._value_
            mark.finished_at = fact.finished_at

    def told(self, notice: Notify) -> None:
        """Take in what a person would have been told."""
        self.notices_count += 1
        if len(self.notices) < NOTICES_MAX:
            self.notices.append(notice)

    def told_of(self, tell: Callable[[], Iterable[Command]]) -> None:
        """Take in one notice, put into words only where it is kept."""
        if len(self.notices) < NOTICES_MAX:
            for notice in tell():
                assert isinstance(notice, Notify)
                self.told(notice)
        else:
            self.notices_count += 1

    def counts(self) -> Mapping[str, int]:
        """Return how many symbols met each outcome, over all decisions."""
        total = np.zeros(len(OUTCOMES), dtype=np.int64)
        for made in self.decisions:
            total += np.bincount(made.outcomes.ravel(), minlength=len(OUTCOMES))
        counted = {o.value: int(total[OUTCOME_CODES[o]]) for o in Outcome}
        for name, count in self.outcome_counts.items():
            counted[name] = counted.get(name, 0) + count
        return {name: count for name, count in counted.items() if count}

    def _count(self, name: str, by: int) -> None:
        self.outcome_counts[name] = self.outcome_counts.get(name, 0) + by


def _codes(decision: Decision) -> Codes | None:
    """Return the outcome codes of a slot's decision; None for one outside allocation."""
    outcomes = decision.outcomes
    if not isinstance(outcomes, SlotOutcomes):
        return None
    codes, verdicts = outcomes.allocation.outcomes, outcomes.verdicts
    denied = [symbol for symbol, verdict in verdicts.items() if verdict.approved is None]
    if denied:
        codes = codes.copy()
        codes[[outcomes.column_of[symbol] for symbol in denied]] = OUTCOME_CODES[Outcome.DENIED]
    return codes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """A finished or interrupted run. `final` is the ledger at the last session's close."""

    recording: Recording
    final: Portfolio
    marks: Mapping[Symbol, Decimal]
    profit_by_book_usd: Mapping[str, Decimal]
    counters: Mapping[str, int]
    benched: Mapping[str, Benching]
    """Strategies that were not asked any more, since which bar and why."""
    carried: tuple[Carried, ...]
    """Dividends, borrow fees and splits."""
    capital_usd: Decimal
    is_partial: bool
    asked_singly: Mapping[str, str]
    """Strategies that look across columns or at the clock without declaring it, and since when
    they were asked about one instant at a time."""
    ledger_differences: tuple[str, ...]
    cpu_s: float
    wall_s: float

"""The engine over history: what the daemon's runner and feeds do live, without waiting.

The order of things in a session (docs/backtesting.md has the reasons):

    open      SessionOpened. On daily bars: quotes around the opening price, what waited for the
              open is decided `OPEN_DELAY_SECONDS` later, and its orders take the touch.
    in a bar  Orders of the slot before meet the bar. A held symbol that trades through its stop or
              target is quoted there, twice, as two polls would have seen it.
    close     Quotes around the bar's close; marks, losses, halts. Then the bars, the strategies'
              opinions and, inside the session, the decision; its orders meet the next bar.
    end       The day's orders end; the account is recorded at the close.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from time import perf_counter, process_time

import numpy as np

from daemon.engine import Engine, EngineParts
from daemon.engine.commands import (
    Ask,
    CancelOrder,
    Command,
    Notify,
    Record,
    RecordDurably,
    ScheduleDecision,
    SubmitOrder,
)
from daemon.registry import Raised
from daemon.startup import memory_of
from domain.calendar import Session, Timeframe
from domain.events import (
    AccountReported,
    BarsClosed,
    DecisionDue,
    Event,
    OpinionFailed,
    OpinionGiven,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    SubmitRejected,
    SubmitStarted,
    SubmitWithheld,
)
from domain.market import Floats
from domain.orders import ApprovedOrder, AtMarket
from domain.signals import OpinionFault
from research.backtest.answers import Answers
from research.backtest.board import BarBoard, BarQuotes
from research.backtest.costs import Costs, FillAt, Spread
from research.backtest.history import History
from research.backtest.outside import Outside, opening_account, warm
from research.backtest.record import BacktestResult, DayMark, Recording
from research.backtest.triggers import Triggers
from research.backtest.venue import BarTouch, BarVenue
from state import ledger
from state.records import Decided, OrderMoved

VENUE = "backtest"
INBOX_EVENTS_MAX = 100_000
"""Events that may wait while one is handled; more is a loop that feeds itself."""
BAR_START = timedelta(milliseconds=1)
"""How long after a bar's opening instant the orders given before it are filled."""
POLL_GAP = timedelta(seconds=1)
"""Between the two polls that confirm a stop."""
REFUSED = 40010001
"""The exchange's code for a request it understands and refuses."""
Progress = Callable[[int, int], None]
"""Told how many sessions are done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one backtest is besides its engine: which sessions, what costs, who resumes.

    `sessions` index `History.sessions`. `resumes_after`: sessions after which a simulated operator
    resumes a latched trading state; None leaves it latched, as nobody did.
    """

    sessions: range
    costs: Costs
    capital_usd: Decimal
    resumes_after: int | None = None
    stacks: bool = True
    """False asks strategies one instant at a time; for comparing."""


class Player:
    """One backtest under way."""

    def __init__(self, history: History, parts: EngineParts, plan: Plan) -> None:
        if parts.universe.symbols != history.symbols:
            raise ValueError("the universe's columns are not the history's")
        self._history, self._plan, self._rules = history, plan, parts.rules
        self._base = history.frames[history.base]
        self._daily = history.base is Timeframe.DAY
        self._sessions = history.sessions
        first = history.sessions[plan.sessions.start]
        began_at = first.opens_at - timedelta(seconds=1)
        account = opening_account(plan.capital_usd, began_at)
        memory = memory_of(None, account, venue=VENUE, symbols=history.symbols, now=began_at)
        self.engine = Engine(parts, memory, now=began_at)
        self._board = BarBoard(parts.universe)
        self.engine.core.board = self._board
        self.venue = BarVenue(history.symbols, plan.costs, cash_usd=plan.capital_usd)
        self._spread = Spread(
            history.frames[Timeframe.DAY], plan.costs, open_delay_s=parts.rules.open_delay_s
        )
        self._triggers = Triggers(parts.limits, parts.rules, parts.universe)
        self.recording = Recording()
        self._inbox: deque[Event] = deque()
        self._draining = False
        self._due: list[ScheduleDecision] = []
        self._meeting: BarTouch | None = None
        self._shares = np.zeros(len(history.symbols))
        self._column_of = parts.universe.column_of()
        self._last_usd = np.full(len(history.symbols), np.nan)
        self._outside = Outside(self.engine, resumes_after=plan.resumes_after)
        self._answers = Answers(
            parts.rules,
            history,
            first_rows=warm(self.engine, history, plan.sessions),
            stacks=plan.stacks,
        )
        self._frames = [history.frames[t] for t in parts.rules.timeframes()]
        self._next_row = {f.timeframe: f.first[plan.sessions.start] for f in self._frames}
        self._post(AccountReported(at=began_at, account=account, open_orders=()))

    # --- the run ---------------------------------------------------------------------------------

    def run(self, *, progress: Progress, stop: Callable[[], bool]) -> BacktestResult:
        """Play every session of the plan, or until `stop` says so between two of them."""
        cpu_s, wall_s = process_time(), perf_counter()
        total = len(self._plan.sessions)
        done = 0
        for index in self._plan.sessions:
            if stop():
                break
            self._play(index)
            done += 1
            progress(done, total)
        memory = self.engine.memory
        held = {s: p.quantity_shares for s, p in memory.portfolio.positions.items()}
        return BacktestResult(
            recording=self.recording,
            final=memory.portfolio,
            marks=dict(memory.marks),
            profit_by_book_usd={
                name: ledger.book_profit_usd(book, memory.marks)
                for name, book in sorted(memory.portfolio.books.items())
            },
            counters=dict(memory.counters),
            capital_usd=self._plan.capital_usd,
            is_partial=done < total,
            asked_singly=dict(self._answers.asked_singly),
            ledger_differences=tuple(self.venue.differences(memory.portfolio.cash_usd, held)),
            cpu_s=process_time() - cpu_s,
            wall_s=perf_counter() - wall_s,
        )

    def _play(self, index: int) -> None:
        session = self._sessions[index]
        self._spread.begin(index)
        before = len(self.recording.fills), len(self.recording.orders)
        self._outside.before_open(session, self._shares, self._last_usd, self._post)
        self._post(SessionOpened(at=session.opens_at, session=session))
        rows = range(self._base.first[index], self._base.first[index + 1])
        opened_at = session.opens_at
        for row in rows:
            closes_at = self._base.slots[row]
            self.venue.begin_bar()
            if self._daily:
                self._opening(row, session)
            elif self._plan.costs.fill_at is FillAt.OPEN:
                self._meet(row, opened_at + BAR_START)
            self._trade_through(row, opened_at, closes_at)
            self._closing(row, session, is_last=row == rows[-1])
            opened_at = closes_at
        self._mark_day(session, before)

    def _opening(self, row: int, session: Session) -> None:
        """Daily bars: decide what waited for the open, on quotes around the opening price."""
        at = session.opens_at + timedelta(seconds=self._rules.open_delay_s)
        at = min(at, session.closes_at - 8 * POLL_GAP)
        bid, ask = self._spread.touch(self._base.open[row], near_open=True)
        at_open = self._plan.costs.fill_at is FillAt.OPEN
        self._meeting = self._touch_at(row) if at_open else None
        if not self._triggers.are_far(self.engine.memory.portfolio, bid, ask):
            self._poll(bid, ask, at - POLL_GAP)
        self._poll(bid, ask, at)
        if at_open:
            self._meet(row, at)
        self._decide_due(at)
        self._meeting = None

    def _meet(self, row: int, at: datetime) -> None:
        """Let the orders given before meet a bar."""
        if self.venue.working:
            for filled in self.venue.meet(self._touch_at(row), at):
                self._book(filled)

    def _touch_at(self, row: int) -> BarTouch:
        """Return where the bar meets orders, by the plan's choice."""
        frame, fill_at = self._base, self._plan.costs.fill_at
        low, high, volume = frame.low[row], frame.high[row], frame.volume[row]
        if fill_at is FillAt.CLOSE:
            # The closing auction has one price for all.
            close = frame.close[row]
            return BarTouch.of(close, close, close, close, volume)
        if fill_at is FillAt.OPEN:
            bid, ask = self._spread.touch(frame.open[row], near_open=self._daily)
            return BarTouch.of(bid, ask, low, high, volume)
        typical = (frame.open[row] + high + low + frame.close[row]) / 4
        bid, ask = self._spread.touch(typical)
        return BarTouch.of(bid, ask, low, high, volume)

    def _trade_through(self, row: int, opened_at: datetime, closes_at: datetime) -> None:
        """Quote the symbols that the bar trades through a stop or a target, at that price."""
        memory = self.engine.memory
        if not memory.portfolio.positions:
            return
        frame = self._base
        at = opened_at + (closes_at - opened_at) / 2
        for lows_first in (True, False):
            bars = (frame.open[row], frame.low[row], frame.high[row])
            crossed = self._triggers.crossed(memory.portfolio, bars, falling=lows_first)
            if crossed is None:
                continue
            bid, ask = crossed
            self._meeting = BarTouch.of(bid, ask, bid, ask, frame.volume[row])
            self._poll(bid, ask, at)
            self._poll(bid, ask, at + POLL_GAP)
            self._meeting = None
            at += 2 * POLL_GAP

    def _closing(self, row: int, session: Session, *, is_last: bool) -> None:
        frame, slot_at = self._base, self._base.slots[row]
        bid, ask = self._spread.touch(frame.close[row])
        polled_at = slot_at - POLL_GAP if is_last else slot_at
        fill_at = self._plan.costs.fill_at
        if fill_at is FillAt.VWAP or (fill_at is FillAt.CLOSE and is_last):
            self._meet(row, polled_at - 2 * POLL_GAP)
        if is_last:
            for ended in self.venue.end_session(polled_at - POLL_GAP):
                self._post(ended)
        self._last_usd = np.where(frame.close[row] > 0, frame.close[row], self._last_usd)
        self._poll(bid, ask, polled_at)
        if not is_last:
            self._decide_due(slot_at)
        rows = {}
        for other in self._frames:
            at = self._next_row[other.timeframe]
            if at < len(other.slots) and other.slots[at] == slot_at:
                rows[other.timeframe] = other.row(at)
                self._next_row[other.timeframe] = at + 1
        self._post(BarsClosed(at=slot_at, slot_at=slot_at, rows=rows))
        if is_last:
            # Orders given at the very close would have nobody to meet.
            for ended in self.venue.end_session(slot_at):
                self._post(ended)
            self._post(SessionClosed(at=slot_at, session=session))

    def _mark_day(self, session: Session, before: tuple[int, int]) -> None:
        memory, recording = self.engine.memory, self.recording
        recording.days.append(
            DayMark(
                day=session.day,
                equity_usd=self.engine.core.equity_usd(),
                cash_usd=memory.portfolio.cash_usd,
                shares=self._shares.copy(),
                trading_state=memory.trading.state.value,
                fills=len(recording.fills) - before[0],
                orders=len(recording.orders) - before[1],
            )
        )

    # --- events and commands ---------------------------------------------------------------------

    def _post(self, event: Event) -> None:
        """Have an event handled now or, from inside a handler, right after the present one."""
        inbox = self._inbox
        inbox.append(event)
        if self._draining:
            return
        self._draining = True
        try:
            while inbox:
                if len(inbox) > INBOX_EVENTS_MAX:
                    raise RuntimeError(f"{INBOX_EVENTS_MAX} events wait: the engine feeds itself")
                for command in self.engine.handle(inbox.popleft()):
                    self._carry_out(command)
        finally:
            self._draining = False

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Ask):
            self._ask(command)
        elif isinstance(command, Record | RecordDurably):
            self._record(command)
        elif isinstance(command, SubmitOrder):
            self._submit(command.order)
        elif isinstance(command, CancelOrder):
            canceled = self.venue.cancel(
                command.client_order_id, self.engine.core.now, command.reason
            )
            if canceled is not None:
                self._post(canceled)
        elif isinstance(command, ScheduleDecision):
            self._due.append(command)
        elif isinstance(command, Notify):
            self.recording.told(command)

    def _record(self, command: Record | RecordDurably) -> None:
        fact = command.fact
        if isinstance(fact, Decided):
            self.recording.decided(fact)
        elif isinstance(fact, OrderMoved):
            self.recording.moved(fact)

    def _ask(self, ask: Ask) -> None:
        answer = self._answers.answer(ask)
        at = self.engine.core.now
        if isinstance(answer, Raised):
            self._post(
                OpinionFailed(
                    at=at,
                    strategy=ask.strategy,
                    slot_at=ask.slot_at,
                    fault=OpinionFault.RAISED,
                    detail=f"{answer} at the bar of {ask.slot_at:%Y-%m-%d %H:%M} UTC",
                )
            )
            return
        self._post(OpinionGiven(at=at, strategy=ask.strategy, slot_at=ask.slot_at, signals=answer))

    def _poll(self, bid: Floats, ask: Floats, at: datetime) -> None:
        self._board.is_calm = self._triggers.are_far(self.engine.memory.portfolio, bid, ask)
        self._post(QuotesPolled(at=at, quotes=BarQuotes(bid, ask, at)))

    def _decide_due(self, at: datetime) -> None:
        due = [d for d in self._due if d.due_at <= at]
        if due:
            self._due = [d for d in self._due if d.due_at > at]
            for decision in due:
                self._post(DecisionDue(at=at, slot_at=decision.slot_at))

    def _submit(self, order: ApprovedOrder) -> None:
        intent, at = order.intent, self.engine.core.now
        identity = intent.client_order_id
        objection = self._objection(order, at)
        if objection:
            self._post(SubmitWithheld(at=at, client_order_id=identity, reason=objection))
            return
        self._post(SubmitStarted(at=at, client_order_id=identity))
        refusal = self.venue.take(intent, at)
        if refusal:
            self._post(
                SubmitRejected(at=at, client_order_id=identity, reason=refusal, code=REFUSED)
            )
            return
        meeting = self._meeting
        if meeting is not None:
            filled = self.venue.meet_one(identity, meeting, at)
            if filled is not None:
                self._book(filled)
                return
        if not isinstance(intent.terms, AtMarket):
            self._post(self.venue.acknowledge(identity, at))

    def _objection(self, order: ApprovedOrder, at: datetime) -> str:
        """Return why an approval is void at this instant, as the daemon's runner would say."""
        trading = self.engine.memory.trading
        if trading.epoch != order.epoch:
            return f"trading is {trading.state.value} since the approval: {trading.cause}"
        costs = self._plan.costs
        session = self.engine.memory.session
        if costs.fill_at is FillAt.CLOSE and session is not None and not self._daily:
            left_s = (session.closes_at - at).total_seconds()
            if left_s < costs.close_cutoff_s:
                return f"{left_s:.0f} s before the close is after the cut-off for closing orders"
        return ""

    def _book(self, filled: OrderFilled) -> None:
        fill = filled.fill
        self.recording.fills.append(fill)
        self._shares[self._column_of[fill.symbol]] += float(fill.signed_shares)
        self._post(filled)

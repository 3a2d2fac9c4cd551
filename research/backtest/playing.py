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

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from time import perf_counter, process_time

import numpy as np

from daemon.engine import Engine, EngineParts
from daemon.engine.rules import EngineRules
from daemon.startup import memory_of
from domain.calendar import Session, Timeframe
from domain.events import AccountReported, BarsClosed, QuotesPolled, SessionClosed, SessionOpened
from domain.market import Flags
from domain.portfolio import AccountReport
from research.backtest.answers import Answers
from research.backtest.board import BarBoard, BarMarks, BarQuotes, QuoteRows
from research.backtest.carrying import Carrying
from research.backtest.costs import Costs, FillAt, Spread
from research.backtest.days import POLL_GAP, Days, QuietDays
from research.backtest.garbage import collected_seldom
from research.backtest.history import History
from research.backtest.marking import Marking
from research.backtest.outside import Outside, opening_account
from research.backtest.passing import Passing, Stage
from research.backtest.record import BacktestResult
from research.backtest.running import Runner
from research.backtest.stored import StoredHistory, StoredPanels
from research.backtest.triggers import Triggers
from research.backtest.venue import BarTouch, BarVenue
from state import ledger

VENUE = "backtest"
BAR_START = timedelta(milliseconds=1)
"""How long after a bar's opening instant the orders given before it are filled."""
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
    skips: bool = True
    """False visits every slot, also those at which nothing can happen; for comparing."""


def _engine_on(
    parts: EngineParts, panels: StoredPanels, account: AccountReport
) -> tuple[Engine, BarBoard]:
    """Return an engine that begins with an account, and the board of bars it looks at."""
    now = account.reported_at
    memory = memory_of(None, account, venue=VENUE, symbols=parts.universe.symbols, now=now)
    engine = Engine(parts, memory, now=now, panels=panels)
    board = engine.core.board = BarBoard(parts.universe, engine.core.held)
    memory.marks = BarMarks(board)
    return engine, board


def _unhurried(rules: EngineRules) -> EngineRules:
    """Return the rules without the breaker for stale quotes: between two bars there are none, and
    no feed that could have failed."""
    breakers = replace(rules.breakers, stale_data_seconds_max=math.inf)
    return replace(rules, breakers=breakers)


class Player:
    """One backtest under way."""

    def __init__(
        self, history: History, parts: EngineParts, plan: Plan, stored: StoredHistory | None = None
    ) -> None:
        """`stored` is what runs over the same history share; made anew when left out."""
        if parts.universe.symbols != history.symbols:
            raise ValueError("the universe's columns are not the history's")
        if stored is not None and stored.history is not history:
            raise ValueError("what is stored is of another history")
        stored = stored or StoredHistory(history)
        parts = replace(parts, rules=_unhurried(parts.rules))
        self._plan, self._rules, self._allocation = plan, parts.rules, parts.allocation
        self._base = history.frames[history.base]
        self._daily = history.base is Timeframe.DAY
        self._sessions = history.sessions
        first = history.sessions[plan.sessions.start]
        began_at = first.opens_at - timedelta(seconds=1)
        account = opening_account(plan.capital_usd, began_at)
        self._frames = [history.frames[t] for t in parts.rules.timeframes()]
        self._next_row = {f.timeframe: f.first[plan.sessions.start] for f in self._frames}
        panels = stored.panels(
            parts.universe, parts.rules, base_slots_min=parts.allocation.hold_bars_min
        )
        panels.begin_at(self._next_row)
        self.engine, self._board = _engine_on(parts, panels, account)
        self.venue = BarVenue(history.symbols, plan.costs, cash_usd=plan.capital_usd)
        self._spread = Spread(
            history.frames[Timeframe.DAY], plan.costs, open_delay_s=parts.rules.open_delay_s
        )
        self._at_close = QuoteRows(self._base.close, self._spread)
        self._at_open = QuoteRows(self._base.open, self._spread, near_open=True)
        self._triggers = Triggers(parts.limits, parts.rules, parts.universe)
        self._answers = Answers(parts.rules, stored, stacks=plan.stacks)
        self._runner = Runner(
            self.engine,
            self.venue,
            self._answers,
            plan.costs,
            symbols=history.symbols,
            base=history.base,
        )
        if plan.skips:
            self._runner.at_once = self.engine.at_once()
        self._marking = Marking(self._runner)
        self.recording, self._post = self._runner.recording, self._runner.post
        stage = self._stage(panels)
        self._passing = Passing(stage)
        statistics = stored.daily(parts.rules).at
        at_open = self._touch if plan.costs.fill_at is FillAt.OPEN else None
        self._days = Days(stage, self._spread, statistics, touch=at_open)
        self._row = 0
        self._touched: tuple[int, BarTouch] | None = None
        self._last_usd = np.full(len(history.symbols), np.nan)
        self._full: Flags = np.logical_and.reduce(self._base.close > 0, 1)
        self._outside = Outside(self.engine, resumes_after=plan.resumes_after)
        self._carrying = Carrying(
            self.engine, self.venue, history, borrow_bps=plan.costs.borrow_bps, post=self._post
        )
        self._post(AccountReported(at=began_at, account=account, open_orders=()))

    def _stage(self, panels: StoredPanels) -> Stage:
        allocation = self._allocation
        return Stage(
            base=self._base,
            runner=self._runner,
            panels=panels,
            answers=self._answers,
            board=self._board,
            at_open=self._at_open,
            at_close=self._at_close,
            triggers=self._triggers,
            levels=(allocation.enter, allocation.exit),
        )

    # --- the run ---------------------------------------------------------------------------------

    def run(self, *, progress: Progress, stop: Callable[[], bool]) -> BacktestResult:
        """Play every session of the plan, or until `stop` says so between two of them."""
        cpu_s, wall_s = process_time(), perf_counter()
        total = len(self._plan.sessions)
        done = 0
        with collected_seldom():
            playing = self._played()
            while done < total and not stop():
                next(playing)
                done += 1
                progress(done, total)
            playing.close()
        memory = self.engine.memory
        held = {s: p.quantity_shares for s, p in memory.portfolio.positions.items()}
        marks = self._board.marks_usd(held)
        return BacktestResult(
            recording=self.recording,
            final=memory.portfolio,
            marks=marks,
            profit_by_book_usd={
                name: ledger.book_profit_usd(book, memory.marks)
                for name, book in sorted(memory.portfolio.books.items())
            },
            counters=dict(memory.counters),
            benched=dict(memory.benched),
            carried=tuple(self._carrying.carried),
            capital_usd=self._plan.capital_usd,
            is_partial=done < total,
            asked_singly=dict(self._answers.asked_singly),
            ledger_differences=tuple(self.venue.differences(memory.portfolio.cash_usd, held)),
            cpu_s=process_time() - cpu_s,
            wall_s=perf_counter() - wall_s,
        )

    def _played(self) -> Generator[None]:
        """Play the plan's sessions, one after the other; each step is a session."""
        index, stop = self._plan.sessions.start, self._plan.sessions.stop
        while index < stop:
            self._spread.begin(index)
            quiet = self._quiet_from(index, stop)
            if quiet is None:
                self._play(index)
                index += 1
                yield
                continue
            done = 0
            try:
                for _ in self._days.marked(quiet, self._marking):
                    done += 1
                    yield
            finally:
                self._pass_over(quiet, done)
            index += done

    def _quiet_from(self, index: int, stop: int) -> QuietDays | None:
        """Return sessions from one on that are known to be quiet, None where there are too few."""
        if not (self._daily and self._plan.skips):
            return None
        row = self._base.first[index]
        quiet = self._days.quiet_ahead(index, row, self._sessions[index:stop])
        if quiet is None:
            return None
        return quiet.until(self._carrying.nights_without(quiet.sessions))

    def _pass_over(self, quiet: QuietDays, done: int) -> None:
        self._days.pass_over(quiet, done)
        self._carrying.pass_over(quiet.sessions[done - 1])
        self._note_prices(quiet.first, quiet.first + done)
        self._next_row[Timeframe.DAY] += done

    def _play(self, index: int) -> None:
        session = self._sessions[index]
        before = self._marking.counts()
        at = session.opens_at - 2 * BAR_START
        if self._carrying.splits_on(session.day):
            self._last_usd = self._last_usd.copy()
        self._carrying.before_open(session, self._runner.shares, self._last_usd, at)
        self._outside.before_open(session, self._runner.shares, self._last_usd, self._post)
        if self._daily:
            self._play_day(index, session)
        else:
            self._play_slots(index, session)
        self._note_prices(self._base.first[index], self._base.first[index + 1])
        self._marking.visited(session, before)

    def _play_day(self, index: int, session: Session) -> None:
        """A session of one bar."""
        row = self._row = self._base.first[index]
        self.venue.begin_bar()
        at = self._days.opens_at(session)
        skips = self._plan.skips
        if not (skips and self._days.open(index, row, session, at)):
            self._post(SessionOpened(at=session.opens_at, session=session))
            self._opening(row, at)
        if skips and not self.venue.working and self._days.close(row, session):
            self._next_row[Timeframe.DAY] += 1
            return
        self._trade_through(row, session.opens_at, self._base.slots[row])
        self._closing(row, session, is_last=True)

    def _play_slots(self, index: int, session: Session) -> None:
        """A session of many bars."""
        self._post(SessionOpened(at=session.opens_at, session=session))
        row, last = self._base.first[index], self._base.first[index + 1] - 1
        opened_at, at_open = session.opens_at, self._plan.costs.fill_at is FillAt.OPEN
        while row <= last:
            self._row = row
            closes_at = self._base.slots[row]
            self.venue.begin_bar()
            if at_open and self.venue.working:
                self._meet(opened_at + BAR_START)
            done = self._passed(row, last)
            if done:
                row, opened_at = row + done, self._base.slots[row + done - 1]
                continue
            self._trade_through(row, opened_at, closes_at)
            self._closing(row, session, is_last=row == last)
            row, opened_at = row + 1, closes_at

    def _passed(self, row: int, last: int) -> int:
        """Pass over quiet rows, this one and what follows; return how many. A session's last row is
        always visited."""
        if not self._plan.skips or self._runner.is_waiting or self.venue.working:
            return 0
        done = self._passing.advance(row, last)
        if done:
            self._next_row[self._base.timeframe] += done
        return done

    def _opening(self, row: int, at: datetime) -> None:
        """Daily bars: decide what waited for the open, on quotes around the opening price."""
        at_open = self._plan.costs.fill_at is FillAt.OPEN
        quotes = self._at_open.at(row, at)
        self._runner.meets = self._touch if at_open else None
        if not self._triggers.are_far(self.engine.memory.portfolio, quotes.bid, quotes.ask):
            self._poll(self._at_open.at(row, at - POLL_GAP), at - POLL_GAP)
        self._poll(quotes, at)
        if at_open:
            self._meet(at)
        self._runner.decide_due(at)
        self._runner.meets = None

    def _meet(self, at: datetime) -> None:
        """Let the orders given before meet the bar under way."""
        if self.venue.working:
            self._runner.book(self.venue.meet(self._touch(), at), at)

    def _touch(self) -> BarTouch:
        """Return where the bar under way meets orders."""
        if self._touched is None or self._touched[0] != self._row:
            self._touched = self._row, self._touch_at(self._row)
        return self._touched[1]

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
        if self._triggers.is_idle or not memory.portfolio.positions:
            return
        frame = self._base
        at = opened_at + (closes_at - opened_at) / 2
        for lows_first in (True, False):
            bars = (frame.open[row], frame.low[row], frame.high[row])
            crossed = self._triggers.crossed(memory.portfolio, bars, falling=lows_first)
            if crossed is None:
                continue
            bid, ask = crossed
            self._runner.meets = partial(BarTouch.of, bid, ask, bid, ask, frame.volume[row])
            self._poll(BarQuotes(bid, ask, at), at)
            self._poll(BarQuotes(bid, ask, at + POLL_GAP), at + POLL_GAP)
            self._runner.meets = None
            at += 2 * POLL_GAP

    def _closing(self, row: int, session: Session, *, is_last: bool) -> None:
        slot_at = self._base.slots[row]
        polled_at = slot_at - POLL_GAP if is_last else slot_at
        quotes = self._at_close.at(row, polled_at)
        fill_at = self._plan.costs.fill_at
        if fill_at is FillAt.VWAP or (fill_at is FillAt.CLOSE and is_last):
            self._meet(polled_at - 2 * POLL_GAP)
        if is_last:
            self._end_orders(polled_at - POLL_GAP)
        self._poll(quotes, polled_at)
        if not is_last:
            self._runner.decide_due(slot_at)
        rows = {}
        for other in self._frames:
            at = self._next_row[other.timeframe]
            if at < len(other.slots) and other.slots[at] == slot_at:
                rows[other.timeframe] = other.row(at)
                self._next_row[other.timeframe] = at + 1
        self._post(BarsClosed(at=slot_at, slot_at=slot_at, rows=rows))
        if is_last:
            # Orders given at the very close would have nobody to meet.
            self._end_orders(slot_at)
            self._post(SessionClosed(at=slot_at, session=session))

    def _note_prices(self, first: int, stop: int) -> None:
        """Note the last closes of some rows: since a row that has all, nothing before counts."""
        begin = next((row for row in range(stop - 1, first, -1) if self._full[row]), first)
        for row in range(begin, stop):
            close = self._base.close[row]
            self._last_usd = (
                close if self._full[row] else np.where(close > 0, close, self._last_usd)
            )

    def _end_orders(self, at: datetime) -> None:
        if self.venue.working:
            for ended in self.venue.end_session(at):
                self._post(ended)

    def _poll(self, quotes: BarQuotes, at: datetime) -> None:
        self._board.is_calm = self._triggers.are_far(
            self.engine.memory.portfolio, quotes.bid, quotes.ask
        )
        self._post(QuotesPolled(at=at, quotes=quotes))

"""Sessions of daily bars that need no look at every rule: their opens and their closes.

A daily session has two instants. At the open the wishes of the close before are decided: over a
history it is known beforehand, for many sessions at a time, which opens come to nothing and how the
next one weighs. At the close prices are marked and strategies answer; that changes nothing but what
is written down, unless a stop, a target or a limit is near. Whatever is near is visited, event by
event, and a run that visits everything comes to the same (`research.backtest.passing`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from allocation.outlook import Look
from allocation.plan import Codes
from daemon.engine.panels import DailyStatistics
from domain.calendar import Session
from domain.market import Floats
from domain.portfolio import Portfolio
from domain.signals import StrategyName
from domain.snapshot import DayStart
from domain.values import Value
from research.backtest.answers import Block
from research.backtest.costs import Spread
from research.backtest.foresight import Foresight, Stretch
from research.backtest.history import Integers
from research.backtest.marking import Marking
from research.backtest.passing import Patience, Stage, opinions_of
from research.backtest.record import SlotMark
from research.backtest.venue import BarTouch

POLL_GAP = timedelta(seconds=1)
"""Between the two polls that confirm a stop, and between the last poll and a session's close."""
QUIET_SESSIONS_MIN = 2
"""Fewer are not passed over together."""


class _Looked(Value, frozen=True, kw_only=True, eq=False):
    """What a look at opens has found, good while the portfolio is the one it was made under."""

    portfolio: Portfolio
    stretch: Stretch
    first: int
    look: Look
    worth: list[int]

    def knows(self, row: int, portfolio: Portfolio, stretch: Stretch | None) -> bool:
        """Return whether it says what happens at an open."""
        if portfolio is not self.portfolio or stretch is not self.stretch:
            return False
        if row >= stretch.stop:
            return False
        return 0 <= row - self.first < self.look.count + (self.look.weighed is not None)


class QuietDays(Value, frozen=True, kw_only=True, eq=False):
    """Sessions at whose opens and closes nothing happens; their bars begin with row `first`.

    opens, closes: what the account is worth there, in ten-thousandths of a dollar. outcomes
    `[t, n]`: of the decisions at the opens.
    """

    first: int
    sessions: Sequence[Session]
    opens: Sequence[int]
    closes: Sequence[int]
    outcomes: Codes

    def until(self, count: int) -> "QuietDays | None":
        """Return the first of them, so many at most; None where those are too few."""
        if count >= len(self.sessions):
            return self
        if count < QUIET_SESSIONS_MIN:
            return None
        return QuietDays(
            first=self.first,
            sessions=self.sessions[:count],
            opens=self.opens[:count],
            closes=self.closes[:count],
            outcomes=self.outcomes[:count],
        )


class Days:
    """Opens and closes daily sessions at which nothing but allocation acts."""

    def __init__(
        self,
        stage: Stage,
        spread: Spread,
        statistics_after: Callable[[int], DailyStatistics],
        *,
        touch: Callable[[], BarTouch] | None,
    ) -> None:
        """`touch`: where orders meet the open, None when they wait for another price of the bar."""
        engine = stage.runner.engine
        self._stage, self._engine, self._core = stage, engine, engine.core
        self._spread, self._statistics_after, self._touch = spread, statistics_after, touch
        self._skipping = engine.skipping()
        self._foresight = Foresight(
            self._skipping, stage.answers, stage.at_open, lag=1, levels=stage.levels
        )
        rules = engine.core.rules
        asked = {n: e for n, e in rules.strategies.items() if not e.abstains}
        self._names = list(asked)
        self._timeframes = rules.timeframes()
        self._never = self._timeframes != (stage.base.timeframe,)
        self._stretch: Stretch | None = None
        self._looked: _Looked | None = None
        self._patience = Patience()
        self._said: Mapping[StrategyName, Block] = {}
        self._said_of = range(0)
        self._open_delay = timedelta(seconds=rules.open_delay_s)

    def opens_at(self, session: Session) -> datetime:
        """Return when what waited for a session's open is decided."""
        return min(session.opens_at + self._open_delay, session.closes_at - 8 * POLL_GAP)

    # --- the open --------------------------------------------------------------------------------

    def open(self, index: int, row: int, session: Session, at: datetime) -> bool:
        """Begin a session and decide, at an instant, what waited for its open; False, and nothing
        done, where it has to be visited."""
        stage, memory, core = self._stage, self._engine.memory, self._core
        slot_at = self._waiting(row)
        if slot_at is None:
            return False
        portfolio, looked = memory.portfolio, self._look_at(row, index)
        worth = looked.worth[row - looked.first] if looked else self._worth_at(row)
        if worth is None or not self._skipping.opens_safely(worth / 1e4):
            return False
        if not stage.triggers.is_idle:
            bid, ask, _, _ = stage.at_open.row(row)
            if not stage.triggers.are_far(portfolio, bid, ask):
                return False
        self._skipping.open_session(session)
        core.now = at
        stage.board.take(stage.at_open, row, at)
        core.take_worth(stage.board.usd_of(portfolio, worth))
        memory.due_at_open = []
        if looked is not None and row - looked.first < looked.look.count:
            self._skipping.leave_quiet(slot_at)
            outcomes = looked.look.outcomes[row - looked.first]
            mark = SlotMark(slot_at=slot_at, decided_at=at, outcomes=outcomes)
            stage.runner.recording.decisions.append(mark)
            return True
        weighed = looked.look.weighed if looked is not None else None
        stage.runner.meets = self._touch
        stage.runner.send(self._skipping.decide(slot_at, self._timeframes, weighed))
        stage.runner.meets = None
        return True

    def _waiting(self, row: int) -> datetime | None:
        """Return the slot that waits for the open of a row, None where the open has to be
        visited."""
        if self._never or not row or not self._skipping.is_calm():
            return None
        slot_at = self._stage.base.slots[row - 1]
        is_known = self._engine.memory.due_at_open == [slot_at] and self._have_answered(slot_at)
        return slot_at if is_known else None

    def _have_answered(self, slot_at: datetime) -> bool:
        """Return whether every strategy has an opinion on the latest bar, so that none is asked at
        the open."""
        opinions = self._engine.memory.opinions
        return all(n in opinions and opinions[n].slot_at == slot_at for n in self._answering())

    def _worth_at(self, row: int) -> int | None:
        return self._worth_of(self._stage.at_open.row(row))

    def _worth_of(self, quotes: tuple[Floats, Floats, Integers, bool]) -> int | None:
        _, _, cents, is_complete = quotes
        worth = self._stage.board.worth_ahead(
            self._engine.memory.portfolio, cents[None], is_complete=is_complete
        )
        return worth[0] if worth is not None else None

    def _look_at(self, row: int, index: int) -> _Looked | None:
        """Return a look that knows what happens at an open, None when none does."""
        portfolio, known = self._engine.memory.portfolio, self._looked
        if not self._skipping.may_look():
            return None
        # Who is benched answers no more, and what was looked at with it is void.
        alike = known is not None and len(known.stretch.said) == len(self._answering())
        if known is not None and alike and known.knows(row, portfolio, self._stretch):
            return known
        stretch = self._stretch_at(row, index) if self._patience.may_look() else None
        if stretch is None:
            return None
        start = row - stretch.first
        cents = stretch.cents[start : start + stretch.reach(row)]
        worth = self._stage.board.worth_ahead(portfolio, cents, is_complete=stretch.is_complete)
        if worth is None:
            return None
        look = self._skipping.look(stretch.ahead, start, worth)
        self._patience.looked(look)
        looked = _Looked(portfolio=portfolio, stretch=stretch, first=row, look=look, worth=worth)
        self._looked = looked
        return looked if looked.knows(row, portfolio, stretch) else None

    def _stretch_at(self, row: int, index: int) -> Stretch | None:
        names = self._answering()
        known = self._stretch
        if known is None or not known.first <= row < known.stop or len(known.said) != len(names):
            # On daily bars a session is a row; those before the spread is measured anew.
            ahead = self._spread.stands_until(index) - index
            stop = int(min(len(self._stage.base.slots), row + ahead))
            known = self._foresight.stretch(row, stop, names, self._statistics)
            self._stretch = known
        return known

    def _statistics(self, row: int, count: int) -> list[DailyStatistics]:
        return [self._statistics_after(known) for known in range(row - 1, row - 1 + count)]

    def _answering(self) -> list[StrategyName]:
        benched = self._engine.memory.benched
        return [n for n in self._names if n not in benched] if benched else self._names

    # --- the close -------------------------------------------------------------------------------

    def close(self, row: int, session: Session) -> bool:
        """Mark prices at a session's close, take in what strategies say and end it; False, and
        nothing done, where it has to be visited."""
        stage, memory = self._stage, self._engine.memory
        if self._never or memory.due_at_open or not self._skipping.is_calm():
            return False
        said, quotes = self._said_at(row), stage.at_close.row(row)
        worth = self._worth_of(quotes)
        if said is None or worth is None:
            return False
        if not self._skipping.is_safe_from_losses(worth / 1e4):
            return False
        if not stage.triggers.is_idle:
            bars = stage.base.low[row : row + 1], stage.base.high[row : row + 1]
            touch = quotes[0][None], quotes[1][None]
            if not stage.triggers.untouched(memory.portfolio, touch, bars):
                return False
        self._show_close(row, worth)
        stage.panels.skip(stage.base.timeframe, 1)
        self._skipping.take_opinions(opinions_of(said, row, stage.base))
        self._skipping.close_session(stage.base.slots[row])
        stage.runner.recording.told_of(partial(self._skipping.told_at_close, session))
        return True

    def _said_at(self, row: int) -> Mapping[StrategyName, Block] | None:
        """Return what strategies say at a row and around it, None where that is not known."""
        names = self._answering()
        if row not in self._said_of or len(self._said) != len(names):
            found = {name: self._stage.answers.block(name, row) for name in names}
            said = {name: block for name, block in found.items() if block is not None}
            if len(said) < len(found):
                return None
            first = max((block.first for block in said.values()), default=row)
            stop = min((block.stop for block in said.values()), default=row + 1)
            self._said, self._said_of = said, range(first, stop)
        return self._said

    def _show_close(self, row: int, worth: int) -> None:
        """Take in the prices of a close, at which the account is worth so much."""
        stage, core = self._stage, self._core
        polled_at = core.now = stage.base.slots[row] - POLL_GAP
        stage.board.take(stage.at_close, row, polled_at)
        core.take_worth(stage.board.usd_of(self._engine.memory.portfolio, worth))

    # --- many sessions ---------------------------------------------------------------------------

    def quiet_ahead(self, index: int, row: int, sessions: Sequence[Session]) -> QuietDays | None:
        """Return those of some sessions to come, from the first on, that are known to be quiet at
        their opens and closes; None where they are fewer than QUIET_SESSIONS_MIN."""
        stretch = self._stretch
        if stretch is None or not stretch.first <= row < stretch.stop:
            return None
        if stretch.reach(row) <= QUIET_SESSIONS_MIN or self._waiting(row) is None:
            return None
        looked, said = self._look_at(row, index), self._said_at(row)
        if looked is None or said is None:
            return None
        start = row - looked.first
        count = min(looked.look.count - start, self._said_of.stop - row, len(sessions))
        if count < QUIET_SESSIONS_MIN:
            return None
        opens, closes = looked.worth[start : start + count], self._worth_at_closes(row, count)
        if closes is None:
            return None
        count = self._far_from_triggers(stretch, row, len(closes))
        count = min(count, self._skipping.safe_sessions(opens[: len(closes)], closes))
        quiet = QuietDays(
            first=row,
            sessions=sessions[: len(closes)],
            opens=opens,
            closes=closes,
            outcomes=looked.look.outcomes[start : start + len(closes)],
        )
        return quiet.until(count)

    def _worth_at_closes(self, row: int, count: int) -> list[int] | None:
        _, _, cents = self._stage.at_close.ahead(row, count)
        portfolio = self._engine.memory.portfolio
        return self._stage.board.worth_ahead(portfolio, cents, is_complete=False)

    def _far_from_triggers(self, stretch: Stretch, row: int, count: int) -> int:
        """Return how many of `count` rows, from one on, leave every stop and target alone, at
        their opens and closes and in between."""
        stage, portfolio = self._stage, self._engine.memory.portfolio
        if stage.triggers.is_idle:
            return count
        at = slice(row - stretch.first, row - stretch.first + count)
        opened = stretch.bid[at], stretch.ask[at]
        count = stage.triggers.untouched(portfolio, opened, opened)
        bid, ask, _ = stage.at_close.ahead(row, count)
        bars = stage.base.low[row : row + count], stage.base.high[row : row + count]
        return stage.triggers.untouched(portfolio, (bid, ask), bars)

    def marked(self, quiet: QuietDays, marking: Marking) -> Iterator[None]:
        """Mark quiet sessions, one at each step."""
        stage, portfolio = self._stage, self._engine.memory.portfolio
        before_usd = self._core.equity_usd()
        for number, session in enumerate(quiet.sessions):
            equity_usd = stage.board.usd_of(portfolio, quiet.closes[number])
            slot_at = stage.base.slots[quiet.first + number - 1]
            decided = slot_at, self.opens_at(session), quiet.outcomes[number]
            marking.quiet(session, decided, (before_usd, equity_usd))
            before_usd = equity_usd
            yield

    def pass_over(self, quiet: QuietDays, count: int) -> None:
        """Leave the first `count` of quiet sessions behind, as their opens and closes would."""
        stage, portfolio = self._stage, self._engine.memory.portfolio
        row = quiet.first + count - 1
        before_usd = (
            stage.board.usd_of(portfolio, quiet.closes[count - 2])
            if count > 1
            else self._core.equity_usd()
        )
        last = DayStart(
            day=quiet.sessions[count - 1].day, equity_usd=before_usd, flows_usd=portfolio.flows_usd
        )
        stage.panels.skip(stage.base.timeframe, count)
        self._show_close(row, quiet.closes[count - 1])
        said = self._said_at(row)
        assert said is not None
        self._skipping.take_opinions(opinions_of(said, row, stage.base))
        self._skipping.pass_sessions(
            last,
            stage.base.slots[quiet.first - 1 : row + 1],
            len(said),
            max(max(quiet.opens[:count]), max(quiet.closes[:count])),
        )

"""Passing over the slots of a history at which nothing happens: known beforehand, many at a time.

What a slot would have left behind is left behind: its record, its counts, the highest equity. A
slot at which allocation alone acts is decided from what was weighed when it was looked at. The
engine says which slots those are (`daemon.engine.skipping`); a backtest that visits every slot
comes to the same fills, curve and records, to the bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from allocation.outlook import Look
from allocation.weighing import Weighed
from daemon.engine.panels import DailyStatistics
from daemon.engine.skipping import Skipping
from domain.calendar import Timeframe
from domain.signals import Opinion, StrategyName
from research.backtest.answers import Answers, Block
from research.backtest.board import BarBoard, QuoteRows
from research.backtest.foresight import Foresight, Stretch
from research.backtest.history import Frame
from research.backtest.record import SlotRun
from research.backtest.running import Runner
from research.backtest.stored import StoredPanels
from research.backtest.triggers import Triggers

DECISIONS_BETWEEN_MAX = 31
"""Decisions until the next look, after many in a row that told nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """What a run is played on: its bars, quotes and triggers, and who is told."""

    base: Frame
    runner: Runner
    panels: StoredPanels
    answers: Answers
    board: BarBoard
    at_open: QuoteRows
    at_close: QuoteRows
    triggers: Triggers
    levels: tuple[float, float]
    """Of entering and of leaving."""


class Patience:
    """Where looks tell nothing, as where a cap binds all day, they are made less often."""

    def __init__(self) -> None:
        self._wait = self._waits = 0

    def may_look(self) -> bool:
        """Return whether to look this time."""
        if self._waits:
            self._waits -= 1
            return False
        return True

    def looked(self, look: Look) -> None:
        """Learn from a look."""
        is_vain = not look.count and look.weighed is None
        self._wait = self._waits = min(2 * self._wait + 1, DECISIONS_BETWEEN_MAX) if is_vain else 0


class Passing:
    """Passes over quiet slots of an intraday history."""

    def __init__(self, stage: Stage) -> None:
        engine = stage.runner.engine
        self._stage, self._engine, self._core = stage, engine, engine.core
        self._skipping: Skipping = engine.skipping()
        self._foresight = Foresight(
            self._skipping, stage.answers, stage.at_close, lag=0, levels=stage.levels
        )
        self._stretch: Stretch | None = None
        self._statistics: DailyStatistics | None = None
        self._patience = Patience()
        rules = engine.core.rules
        asked = {n: e for n, e in rules.strategies.items() if not e.abstains}
        self._names = [n for n, e in asked.items() if e.strategy.timeframe is rules.base_timeframe]
        others = {e.strategy.timeframe for e in asked.values()} - {Timeframe.DAY}
        # A strategy on a longer intraday grid answers at slots of its own: none is passed over.
        self._never = bool(others - {rules.base_timeframe})

    def advance(self, row: int, last: int) -> int:
        """Return how many rows were passed over or decided from `row` on, before `last` at most."""
        memory = self._engine.memory
        if self._never or row >= last:
            return 0
        if memory.due_at_open or memory.session is None or not self._skipping.is_calm():
            return 0
        stretch = self._stretch_at(row, last)
        if stretch is None:
            return 0
        looks = self._patience.may_look() and self._skipping.may_look()
        worth, clear = self._clear(stretch, row, stretch.reach(row) if looks else 1)
        if not clear:
            return 0
        passed, weighed = 0, None
        if looks:
            seen = worth if clear == len(worth) else worth[:clear]
            look = self._skipping.look(stretch.ahead, row - stretch.first, seen)
            self._patience.looked(look)
            passed, weighed = look.count, look.weighed
            if passed:
                self._pass(row, look, worth)
        done = passed if passed == clear else passed + 1
        self._stage.panels.skip(self._stage.base.timeframe, done)
        self._show(row + done - 1, worth[done - 1])
        if done > passed:
            self._decide(stretch, row + passed, weighed)
        return done

    def _stretch_at(self, row: int, last: int) -> Stretch | None:
        statistics, benched = self._core.panels.statistics(), self._engine.memory.benched
        names = [n for n in self._names if n not in benched] if benched else self._names
        known = self._stretch
        if (
            known is None
            or not known.first <= row < known.stop
            or statistics is not self._statistics
            or len(known.said) != len(names)
        ):
            known = self._foresight.stretch(row, last, names, lambda _row, _count: (statistics,))
            self._stretch, self._statistics = known, statistics
        return known

    def _clear(self, stretch: Stretch, row: int, count: int) -> tuple[list[int], int]:
        """Return what the account is worth at up to `count` rows, and how many of them, from the
        first on, are clear of losses, stops and targets."""
        stage, portfolio = self._stage, self._engine.memory.portfolio
        start = row - stretch.first
        worth = stage.board.worth_ahead(
            portfolio, stretch.cents[start : start + count], is_complete=stretch.is_complete
        )
        if worth is None:
            return [], 0
        clear = self._skipping.safe_from_losses(worth)
        if not stage.triggers.is_idle and clear:
            bars = slice(row, row + clear)
            quoted = slice(start, start + clear)
            clear = stage.triggers.untouched(
                portfolio,
                (stretch.bid[quoted], stretch.ask[quoted]),
                (stage.base.low[bars], stage.base.high[bars]),
            )
        return worth, clear

    def _pass(self, row: int, look: Look, worth: list[int]) -> None:
        stage, count = self._stage, look.count
        slots = stage.base.slots[row : row + count]
        self._skipping.pass_over(slots, len(self._names), max(worth[:count]))
        run = SlotRun(slots=slots, outcomes=look.outcomes)
        stage.runner.recording.decisions.append(run)

    def _show(self, row: int, worth: int) -> None:
        """Take in the prices of a slot, at which the account is worth so much."""
        stage, portfolio = self._stage, self._engine.memory.portfolio
        stage.board.take(stage.at_close, row, stage.base.slots[row])
        self._core.take_worth(stage.board.usd_of(portfolio, worth))

    def _decide(self, stretch: Stretch, row: int, weighed: Weighed | None) -> None:
        """Decide a slot at which allocation alone acts."""
        stage, slot = self._stage, self._stage.base.slots[row]
        self._core.now = slot
        self._skipping.take_opinions(opinions_of(stretch.said, row, stage.base))
        stage.runner.send(self._skipping.decide(slot, (stage.base.timeframe,), weighed))


def opinions_of(said: Mapping[StrategyName, Block], row: int, frame: Frame) -> list[Opinion]:
    """Return what strategies say of a row, as the engine keeps it."""
    slot, timeframe = frame.slots[row], frame.timeframe
    return [
        Opinion(strategy=name, slot_at=slot, timeframe=timeframe, signals=block.at(row))
        for name, block in said.items()
    ]

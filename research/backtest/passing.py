"""Passing over the slots of a history at which nothing happens: known beforehand, many at a time.

What a slot would have left behind is left behind: its record, its counts, the highest equity. The
engine says which slots those are (`daemon.engine.skipping`); a backtest that visits every slot
comes to the same fills, curve and records, to the bit.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from daemon.engine import Engine
from daemon.engine.skipping import SlotsAhead
from domain.calendar import Timeframe
from domain.market import Floats
from domain.signals import StrategyName
from research.backtest.answers import Answers
from research.backtest.board import BarBoard, QuoteRows
from research.backtest.history import Frame, Integers
from research.backtest.record import Recording, SlotMark
from research.backtest.stored import StoredPanels
from research.backtest.triggers import Triggers

_NOTHING: Integers = np.zeros(0, dtype=np.int64)
SLOTS_AHEAD_MIN, SLOTS_AHEAD_MAX = 4, 256
"""How far is looked ahead in one pass: further while nothing happens, less far where much does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """What the bars say of prices, and who is told."""

    base: Frame
    board: BarBoard
    at_close: QuoteRows
    triggers: Triggers


class Passing:
    """Passes over quiet slots of an intraday history."""

    def __init__(
        self,
        engine: Engine,
        panels: StoredPanels,
        answers: Answers,
        prices: Prices,
        recording: Recording,
    ) -> None:
        self._engine, self._panels, self._answers = engine, panels, answers
        self._prices, self._recording = prices, recording
        self._skipping = engine.skipping()
        self._reach = SLOTS_AHEAD_MIN
        self._busy_row = -1
        """A row known to be busy: the last look ended there."""
        rules = engine.core.rules
        asked = {n: e for n, e in rules.strategies.items() if not e.abstains}
        self._names = [n for n, e in asked.items() if e.strategy.timeframe is rules.base_timeframe]
        others = {e.strategy.timeframe for e in asked.values()} - {Timeframe.DAY}
        # A strategy on a longer intraday grid answers at slots of its own: none is passed over.
        self._never = bool(others - {rules.base_timeframe})

    def pass_over(self, row: int, last: int) -> int:
        """Return how many rows were passed over from `row` on, before `last` at most."""
        if self._never or row >= last or row == self._busy_row or not self._skipping.may_skip():
            return 0
        ahead, highest = self._ahead(row, min(last - row, self._reach))
        if ahead is None or not len(ahead.slots):
            return 0
        outcomes = self._skipping.look(ahead)
        count = len(outcomes)
        if count < len(ahead.slots):
            self._busy_row = row + count
            self._reach = SLOTS_AHEAD_MIN
        else:
            self._reach = min(2 * self._reach, SLOTS_AHEAD_MAX)
        if not count:
            return 0
        usd = Decimal(int(highest[:count].max())).scaleb(-4)
        self._skipping.skip(ahead, count, usd)
        self._panels.skip(self._prices.base.timeframe, count)
        marks = zip(ahead.slots[:count], outcomes, strict=True)
        self._recording.slots += [
            SlotMark(slot_at=slot, decided_at=slot, outcomes=codes) for slot, codes in marks
        ]
        self._prices.board.update(self._prices.at_close.at(row + count - 1, ahead.slots[count - 1]))
        self._engine.core.refresh_marks()
        return count

    def _ahead(self, row: int, count: int) -> tuple[SlotsAhead | None, Integers]:
        """Return what is known of the next slots, as far as all of it is, and the equity there in
        ten-thousandths of a dollar."""
        base, portfolio = self._prices.base, self._engine.memory.portfolio
        strengths: dict[StrategyName, Floats] = {}
        benched = self._engine.memory.benched
        for name in self._names:
            if name in benched:
                continue
            said = self._answers.strengths_ahead(name, row, count)
            if said is None:
                return None, _NOTHING
            strengths[name] = said
            count = min(count, said.shape[0])
        if not count:
            return None, _NOTHING
        bid, ask, cents = self._prices.at_close.ahead(row, count)
        rows = slice(row, row + bid.shape[0])
        untouched = self._prices.triggers.untouched(
            portfolio, (bid, ask), (base.low[rows], base.high[rows])
        )
        worth = self._prices.board.equity_ahead(portfolio, cents[:untouched])
        if worth is None or not untouched or not worth.min() > 0:
            return None, _NOTHING
        mids = bid[:untouched] + ask[:untouched]
        mids *= 0.5
        ahead = SlotsAhead(
            slots=base.slots[row : row + untouched],
            mids_usd=mids,
            equity_usd=worth / 1e4,
            strengths={name: said[:untouched] for name, said in strengths.items()},
        )
        return ahead, worth

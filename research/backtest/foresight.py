"""What is known of decisions to come, many at a time: quotes, opinions and what follows from both
whatever is held. Of a history all that is known beforehand, and fills change none of it."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from allocation.outlook import Outlook
from daemon.engine.panels import DailyStatistics
from daemon.engine.skipping import Skipping, SlotsAhead
from domain.market import Flags, Floats
from domain.signals import StrategyName
from research.backtest.answers import Answers, Block
from research.backtest.board import QuoteRows
from research.backtest.history import Integers

STRETCH_ROWS_MAX = 512
LOOK_ROWS_MAX = 256
"""How many rows one look takes in at most."""
StatisticsAhead = Callable[[int, int], Sequence[DailyStatistics]]
"""The daily statistics that decisions are taken on, from the first one's row and their count: one
for all of them, or one for each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """Decisions in a row, arrays `[t, n]`, at which the same symbols have a price.

    cents: mids, 0 where there is none. is_complete: every symbol has one. turns: indices at which
    an opinion that counts comes to or leaves the levels of entering and leaving. said: what each
    strategy answers.
    """

    first: int
    stop: int
    bid: Floats
    ask: Floats
    cents: Integers
    is_complete: bool
    ahead: SlotsAhead
    turns: list[int]
    said: Mapping[StrategyName, Block]

    def reach(self, row: int) -> int:
        """Return how many rows from one on are worth a look: up to and with the next turn."""
        at = bisect_left(self.turns, row - self.first)
        until = self.turns[at] + 1 if at < len(self.turns) else self.stop - self.first
        return min(until - (row - self.first), LOOK_ROWS_MAX)


class Foresight:
    """Stretches of one run's decisions. A decision is named by the row of the bar whose price it is
    taken at; `lag` rows before lies the bar that strategies have answered about."""

    def __init__(
        self,
        skipping: Skipping,
        answers: Answers,
        quotes: QuoteRows,
        *,
        lag: int,
        levels: tuple[float, float],
    ) -> None:
        """`levels` are those of entering and of leaving."""
        self._skipping, self._answers, self._quotes = skipping, answers, quotes
        self._lag, self._levels = lag, levels

    def stretch(
        self, row: int, stop: int, names: Sequence[StrategyName], statistics: StatisticsAhead
    ) -> Stretch | None:
        """Return the decisions from a row on and before `stop`, as far as all is known of them;
        None when not even the first is. `names`: who answers."""
        blocks: dict[StrategyName, Block] = {}
        stop = min(stop, row + STRETCH_ROWS_MAX)
        for name in names:
            block = self._answers.block(name, row - self._lag)
            if block is None:
                return None
            blocks[name] = block
            stop = min(stop, block.stop + self._lag)
        bid, ask, cents = self._quotes.ahead(row, stop - row)
        priced = bid == bid
        count = _alike(priced)
        bid, ask, cents, priced = bid[:count], ask[:count], cents[:count], priced[:count]
        strengths = {n: _rows(b, row - self._lag, count) for n, b in blocks.items()}
        mids = bid + ask
        mids *= 0.5
        is_complete = bool(priced[0].all())
        if not is_complete:
            mids = np.where(priced, mids, 1.0)
        outlook = self._skipping.outlook(strengths, statistics(row, count), priced, mids)
        return Stretch(
            first=row,
            stop=row + count,
            bid=bid,
            ask=ask,
            cents=cents,
            is_complete=is_complete,
            ahead=SlotsAhead(mids_usd=mids, outlook=outlook, closed_first=1 - self._lag),
            turns=self._turns(outlook),
            said=blocks,
        )

    def _turns(self, outlook: Outlook) -> list[int]:
        enter, leave = self._levels
        size = np.abs(outlook.strengths)
        sides = (size >= enter) * 2 + (size <= leave)
        sides *= np.where(outlook.strengths < 0, -1, 1)
        turned = (sides[:, 1:] != sides[:, :-1]).any(axis=(0, 2))
        found: list[int] = (np.flatnonzero(turned) + 1).tolist()
        return found


def _alike(priced: Flags) -> int:
    """Return how many rows, from the first on, have a price for the same columns."""
    if np.count_nonzero(priced) == priced.size:
        return int(priced.shape[0])
    other = np.logical_or.reduce(priced != priced[0], -1)
    return int(np.argmax(other)) if other.any() else int(priced.shape[0])


def _rows(block: Block, row: int, count: int) -> Floats:
    """Return what a block says from a row on."""
    return block.strength[row - block.first : row - block.first + count]

"""Strategies asked about many instants at once, where their answers allow it.

A bars-only strategy whose columns are independent gives the same bits whether it is asked about
one instant or about many side by side (design §2), so a backtest asks it once for a block of them.
"""

from dataclasses import dataclass, field

import numpy as np

from daemon.engine.commands import Ask
from daemon.engine.opinions import fault_of
from daemon.engine.rules import EngineRules, StrategyEntry
from daemon.registry import Raised, attempt
from domain.instruments import Symbol
from domain.market import Floats, Market, Reads
from domain.signals import Signals, StrategyName
from research.backtest.stored import StoredFrame, StoredHistory

BLOCK_ELEMENTS_MAX = 1 << 17
"""Look-back x columns of one stacked call: its arrays should stay in the processor's cache."""
BLOCK_INSTANTS_MAX = 512
FIRST_CHECKS, LATER_CHECKS = 16, 2
"""Answers of a strategy's first block, and of each later one, that are checked before use."""


def can_stack(entry: StrategyEntry) -> bool:
    """Return whether a strategy may be asked about many instants in one call."""
    strategy = entry.strategy
    return strategy.reads == frozenset({Reads.BARS}) and not strategy.cross_sectional


@dataclass(slots=True, kw_only=True)
class _Stack:
    """One strategy's block of answers, and the bars they were taken from."""

    entry: StrategyEntry
    frame: StoredFrame
    symbols: tuple[Symbol, ...]
    instants: int
    first: int = 0
    answers: list[Signals] | None = None
    strengths: Floats | None = None
    """All of the block `[t, n]`, None when the engine would object to one of them."""
    turns: list[bool] = field(default_factory=list)
    """Where in the block a strength comes to or leaves the levels of entering and leaving."""


class Answers:
    """Evaluates asks: in blocks where possible, one by one for everything else."""

    def __init__(
        self,
        rules: EngineRules,
        stored: StoredHistory,
        *,
        stacks: bool = True,
        levels: tuple[float, float] = (0.5, 0.1),
    ) -> None:
        """Prepare for a run over a history; `levels` are those of entering and of leaving."""
        self._levels = levels
        self._entries = rules.strategies
        self.asked_singly: dict[StrategyName, str] = {}
        """Strategies whose answers about many instants were not those about each, and when."""
        self._stacks: dict[StrategyName, _Stack] = {}
        for name, entry in rules.strategies.items():
            if stacks and not entry.abstains and can_stack(entry):
                frame = stored.frame(entry.strategy.timeframe, stale_bars_max=rules.stale_bars_max)
                self._stacks[name] = _stack(entry, frame, stored.history.symbols)

    def answer(self, ask: Ask) -> Signals | Raised:
        """Return the strategy's answer, or what it raised.

        Side by side, later instants are other columns: a strategy that looks across columns
        without saying so would see the future. So some answers of each block are asked for singly
        before any is used, and at a difference the strategy is asked about one instant at a time.
        """
        stack = self._stacks.get(ask.strategy)
        if stack is not None:
            row = stack.frame.row_of[ask.slot_at]
            answers = self._block(ask.strategy, stack, row)
            if answers is not None:
                return answers[row - stack.first]
        strategy = self._entries[ask.strategy].strategy
        return attempt(lambda: strategy.decide(ask.market))

    def strengths_ahead(self, name: StrategyName, row: int, count: int) -> Floats | None:
        """Return what a strategy will say at rows of its frame, up to `count` of them `[t, n]`: as
        many as its block holds, none from the first on at which it turns, which is one to look at
        by itself. None when that is not known before it is asked."""
        stack = self._stacks.get(name)
        if stack is None or self._block(name, stack, row) is None or stack.strengths is None:
            return None
        index = row - stack.first
        stop = min(index + count, len(stack.turns))
        if True in stack.turns[index:stop]:
            stop = stack.turns.index(True, index)
        return stack.strengths[index:stop]

    def _block(self, name: StrategyName, stack: _Stack, row: int) -> list[Signals] | None:
        """Return the block that holds a row, evaluated if need be; None when the strategy has to
        be asked singly, from then on."""
        if stack.answers is not None and stack.first <= row < stack.first + len(stack.answers):
            return stack.answers
        is_first = stack.answers is None
        answers = _evaluate(stack, row)
        checked = _checked_rows(len(answers), is_first=is_first) if answers else []
        if answers is None or not all(_agrees(stack, row + k, answers[k]) for k in checked):
            del self._stacks[name]
            self.asked_singly[name] = f"{stack.frame.slots[row]:%Y-%m-%d %H:%M} UTC"
            return None
        stack.first, stack.answers = row, answers
        stack.strengths = self._sound_strengths(stack, answers)
        return answers

    def _sound_strengths(self, stack: _Stack, answers: list[Signals]) -> Floats | None:
        """Return all strengths of a block `[t, n]`, None when the engine would object to any."""
        width = len(stack.symbols) // stack.instants
        whole = Signals(
            strength=np.array([a.strength for a in answers]),
            evidence={
                key: np.array([a.evidence[key] for a in answers]) for key in answers[0].evidence
            },
        )
        if fault_of(whole, (len(answers), width), stack.symbols):
            return None
        enter, leave = self._levels
        strength = np.abs(whole.strength)
        sides = (strength >= enter) * 2 + (strength <= leave)
        sides *= np.where(whole.strength < 0, -1, 1)
        moved = np.logical_or.reduce(sides[1:] != sides[:-1], -1)
        stack.turns = [False, *moved.tolist()]
        return whole.strength


def strengths_of(
    entry: StrategyEntry, frame: StoredFrame, symbols: tuple[Symbol, ...]
) -> Floats | None:
    """Return a strategy's strengths at every slot of a frame `[t, n]`, None if it cannot be asked
    about many instants; some answers of every block are checked as `Answers` does."""
    if not can_stack(entry):
        return None
    stack = _stack(entry, frame, symbols)
    count = len(frame.slots)
    strengths = np.empty((count, len(symbols)))
    for row in range(0, count, stack.instants):
        answers = _evaluate(stack, row)
        if answers is None:
            return None
        for k in _checked_rows(len(answers), is_first=row == 0):
            if not _agrees(stack, row + k, answers[k]):
                return None
        strengths[row : row + len(answers)] = [answer.strength for answer in answers]
    return strengths


def _stack(entry: StrategyEntry, frame: StoredFrame, symbols: tuple[Symbol, ...]) -> _Stack:
    lookback, width = entry.strategy.lookback_bars, len(symbols)
    instants = min(BLOCK_INSTANTS_MAX, max(1, BLOCK_ELEMENTS_MAX // (lookback * width)))
    return _Stack(entry=entry, frame=frame, symbols=symbols * instants, instants=instants)


def _evaluate(stack: _Stack, row: int) -> list[Signals] | None:
    """Return the answers of the block that begins at a row of the frame."""
    last = min(row + stack.instants, len(stack.frame.slots))
    count, width = last - row, len(stack.symbols) // stack.instants
    signals = _asked(stack, row, count)
    if signals is None:
        return None
    strengths = signals.strength.reshape(count, width)
    evidence = {key: values.reshape(count, width) for key, values in signals.evidence.items()}
    return [
        Signals(
            strength=strengths[index],
            evidence={key: values[index] for key, values in evidence.items()},
        )
        for index in range(count)
    ]


def _asked(stack: _Stack, row: int, count: int) -> Signals | None:
    """Return the answer about `count` instants from a row on; None if it is not of that shape."""
    frame, strategy = stack.frame, stack.entry.strategy
    width = len(stack.symbols) // stack.instants
    bars = frame.stack(row, count, strategy.lookback_bars)
    market = Market(
        # The latest of them: who reads the clock answers otherwise than when asked singly.
        as_of=frame.slots[row + count - 1],
        symbols=stack.symbols[: count * width],
        bars=bars,
        panels={frame.timeframe: bars},
        reads=strategy.reads,
    )
    signals = attempt(lambda: strategy.decide(market))
    if not isinstance(signals, Signals) or not _has_shape(signals, (count * width,)):
        return None
    return signals


def _checked_rows(count: int, *, is_first: bool) -> list[int]:
    """Return which answers of a block are asked for singly too: many of the first, two later."""
    wanted = FIRST_CHECKS if is_first else LATER_CHECKS
    return sorted({round(k) for k in np.linspace(0, count - 1, min(wanted, count)).tolist()})


def _agrees(stack: _Stack, row: int, answer: Signals) -> bool:
    single = _asked(stack, row, 1)
    if single is None or single.evidence.keys() != answer.evidence.keys():
        return False
    pairs = [(single.strength, answer.strength)]
    pairs += [(values, answer.evidence[key]) for key, values in single.evidence.items()]
    return all(np.array_equal(one, other, equal_nan=True) for one, other in pairs)


def _has_shape(signals: Signals, shape: tuple[int]) -> bool:
    values: list[Floats] = [signals.strength, *signals.evidence.values()]
    return all(getattr(value, "shape", None) == shape for value in values)

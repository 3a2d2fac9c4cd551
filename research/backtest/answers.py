"""Strategies asked about many instants at once, where their answers allow it.

A bars-only strategy whose columns are independent gives the same bits whether it is asked about
one instant or about many side by side (design §2), so a backtest asks it once for a block of them.
"""

from dataclasses import dataclass

import numpy as np

from daemon.engine.commands import Ask
from daemon.engine.opinions import fault_of
from daemon.engine.rules import EngineRules, StrategyEntry
from daemon.registry import Raised, attempt
from domain.instruments import Symbol
from domain.market import Floats, Market, Reads
from domain.signals import Signals, StrategyName
from domain.values import Value
from research.backtest.stored import StoredFrame, StoredHistory

BLOCK_ELEMENTS_MAX = 1 << 18
"""Look-back x columns of one stacked call: its arrays should stay in the processor's cache."""
BLOCK_INSTANTS_MAX = 512
FEW_INSTANTS, FEW_ELEMENTS_MAX = 32, 1 << 19
"""Fewer instants than these are asked about only where they are more elements than these: each call
has a cost of its own, whatever it is about."""
FIRST_CHECKS, LATER_CHECKS = 16, 2
"""Answers of a strategy's first block, and of each later one, that are checked before use."""


def can_stack(entry: StrategyEntry) -> bool:
    """Return whether a strategy may be asked about many instants in one call."""
    strategy = entry.strategy
    return strategy.reads == frozenset({Reads.BARS}) and not strategy.cross_sectional


class Block(Value, frozen=True, kw_only=True, eq=False):
    """What a strategy says at rows in a row of its frame, arrays `[t, n]` of our own.

    is_sound: the engine would object to none of it.
    """

    first: int
    strength: Floats
    evidence: dict[str, Floats]
    is_sound: bool

    @property
    def stop(self) -> int:
        """The first row after the block's."""
        return self.first + len(self.strength)

    def at(self, row: int) -> Signals:
        """Return the answer about one row."""
        index = row - self.first
        evidence = {key: values[index] for key, values in self.evidence.items()}
        return Signals(strength=self.strength[index], evidence=evidence)


@dataclass(slots=True, kw_only=True)
class _Stack:
    """One strategy that is asked about many instants, and the latest block of its answers."""

    entry: StrategyEntry
    frame: StoredFrame
    symbols: tuple[Symbol, ...]
    instants: int
    block: Block | None = None


class Answers:
    """Evaluates asks: in blocks where possible, one by one for everything else."""

    def __init__(self, rules: EngineRules, stored: StoredHistory, *, stacks: bool = True) -> None:
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
            block = self._block(ask.strategy, stack, row)
            if block is not None:
                return block.at(row)
        strategy = self._entries[ask.strategy].strategy
        return attempt(lambda: strategy.decide(ask.market))

    def block(self, name: StrategyName, row: int) -> Block | None:
        """Return what a strategy says at a row of its frame and at rows around it; None when that
        is not known before it is asked, or the engine would object."""
        stack = self._stacks.get(name)
        block = self._block(name, stack, row) if stack is not None else None
        return block if block is not None and block.is_sound else None

    def _block(self, name: StrategyName, stack: _Stack, row: int) -> Block | None:
        """Return the block that holds a row, evaluated if need be; None when the strategy has to
        be asked singly, from then on."""
        block = stack.block
        if block is not None and block.first <= row < block.stop:
            return block
        found = _evaluate(stack, row)
        checked = _checked_rows(len(found.strength), is_first=block is None) if found else []
        if found is None or not all(_agrees(stack, row + k, found) for k in checked):
            del self._stacks[name]
            self.asked_singly[name] = f"{stack.frame.slots[row]:%Y-%m-%d %H:%M} UTC"
            return None
        stack.block = found
        return found


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
        block = _evaluate(stack, row)
        if block is None:
            return None
        for k in _checked_rows(len(block.strength), is_first=row == 0):
            if not _agrees(stack, row + k, block):
                return None
        strengths[row : block.stop] = block.strength
    return strengths


def _stack(entry: StrategyEntry, frame: StoredFrame, symbols: tuple[Symbol, ...]) -> _Stack:
    lookback, width = entry.strategy.lookback_bars, len(symbols)
    elements = lookback * width
    instants = max(
        1, BLOCK_ELEMENTS_MAX // elements, min(FEW_INSTANTS, FEW_ELEMENTS_MAX // elements)
    )
    instants = min(BLOCK_INSTANTS_MAX, instants)
    return _Stack(entry=entry, frame=frame, symbols=symbols * instants, instants=instants)


def _evaluate(stack: _Stack, row: int) -> Block | None:
    """Return the answers of the block that begins at a row of the frame."""
    last = min(row + stack.instants, len(stack.frame.slots))
    shape = (last - row, len(stack.symbols) // stack.instants)
    signals = _asked(stack, row, shape[0])
    if signals is None:
        return None
    whole = Signals(
        strength=signals.strength.reshape(shape),
        evidence={key: values.reshape(shape) for key, values in signals.evidence.items()},
    )
    is_sound = not fault_of(whole, shape, stack.symbols)
    # Copies, of what the engine would keep: the strategy may use its buffers again.
    kind = np.float64 if is_sound else None
    return Block(
        first=row,
        strength=np.array(whole.strength, dtype=kind),
        evidence={key: np.array(values, dtype=kind) for key, values in whole.evidence.items()},
        is_sound=is_sound,
    )


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


def _agrees(stack: _Stack, row: int, block: Block) -> bool:
    single, answer = _asked(stack, row, 1), block.at(row)
    if single is None or single.evidence.keys() != answer.evidence.keys():
        return False
    pairs = [(single.strength, answer.strength)]
    pairs += [(values, answer.evidence[key]) for key, values in single.evidence.items()]
    # The same bits, as a rule: numbers are compared only where they are not.
    return all(
        one.tobytes() == other.tobytes() or np.array_equal(one, other, equal_nan=True)
        for one, other in pairs
    )


def _has_shape(signals: Signals, shape: tuple[int]) -> bool:
    values: list[Floats] = [signals.strength, *signals.evidence.values()]
    return all(getattr(value, "shape", None) == shape for value in values)

"""Who is asked, what counts as an answer, and who is benched for not giving one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from daemon.engine.board import Board
from daemon.engine.commands import Ask, Command, Notify, Record, RecordDurably
from daemon.engine.panels import Panels
from daemon.engine.rules import EngineRules, StrategyEntry
from daemon.memory import Memory, save_opinion
from domain.calendar import Timeframe
from domain.events import OpinionFailed, OpinionGiven, StrategyHung
from domain.instruments import Symbol, Universe
from domain.market import Bars, Floats, Market, Quotes, Reads
from domain.orders import Severity
from domain.signals import Opinion, OpinionFault, Signals, StrategyName
from domain.snapshot import Benching
from state.records import Noted, OpinionKept

LATE_IN_A_ROW_MAX = 3
"""One late answer may be the machine's fault; this many in a row are the strategy's."""
_BARS_ONLY = frozenset({Reads.BARS})
_NUMBERS = "fiub"
"""Kinds of numpy's types that read as float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A strategy that may be asked, and what it declares: looked up once."""

    name: StrategyName
    timeframe: Timeframe
    lookback_bars: int
    reads: frozenset[Reads]
    heavy: bool

    @staticmethod
    def of(name: StrategyName, entry: StrategyEntry) -> "_Asked":
        strategy = entry.strategy
        return _Asked(
            name=name,
            timeframe=strategy.timeframe,
            lookback_bars=strategy.lookback_bars,
            reads=frozenset(strategy.reads),
            heavy=bool(getattr(strategy, "heavy", False)),
        )


class Opinions:
    """Keeps every strategy's latest accepted opinion, and the asks that are still open."""

    def __init__(
        self, universe: Universe, rules: EngineRules, panels: Panels, memory: Memory
    ) -> None:
        self._universe = universe
        self._symbols = universe.symbols
        self._rules = rules
        self._panels = panels
        self._memory = memory
        self._asked = tuple(_Asked.of(n, e) for n, e in rules.strategies.items() if not e.abstains)
        self._shape = (len(universe),)
        self._open: dict[datetime, set[StrategyName]] = {}
        self._late: dict[StrategyName, int] = {}
        self._restore()

    def _restore(self) -> None:
        """Bring saved opinions back, by symbol: the universe may have changed since."""
        columns = self._universe.column_of()
        for name in list(self._memory.foreign_opinions):
            if name not in self._rules.strategies:
                continue
            saved = self._memory.foreign_opinions.pop(name)
            strength = np.full(len(self._universe), np.nan)
            for symbol, value in saved.strengths.items():
                if symbol in columns:
                    strength[columns[symbol]] = value
            evidence: dict[str, Floats] = {}
            for key, values in saved.evidence.items():
                evidence[key] = np.full(len(self._universe), np.nan)
                for symbol, value in values.items():
                    if symbol in columns:
                        evidence[key][columns[symbol]] = value
            self._memory.opinions[name] = Opinion(
                strategy=name,
                slot_at=saved.slot_at,
                timeframe=saved.timeframe,
                signals=Signals(strength=strength, evidence=evidence),
            )

    def ask(
        self, slot_at: datetime, timeframes: Iterable[Timeframe], board: Board, as_of: datetime
    ) -> list[Command]:
        """Return an Ask for every strategy on these timeframes that is neither benched nor mute."""
        closed = tuple(timeframes)
        benched = self._memory.benched
        chosen = [a for a in self._asked if a.timeframe in closed and a.name not in benched]
        if chosen:
            self._open[slot_at] = {asked.name for asked in chosen}
        return [
            Ask(strategy=a.name, slot_at=slot_at, market=self._market(a, board, as_of))
            for a in chosen
        ]

    def catch_up(self, board: Board, as_of: datetime) -> list[Command]:
        """Return an Ask for every strategy that has no opinion on its latest bar yet.

        After a first start, or one after a long stop, a daily strategy would else be silent until
        the next close although history is there. The answers are opinions, no decision: the next
        slot weighs them.
        """
        commands: list[Command] = []
        for asked in self._asked:
            last_at = self._panels.last_slot_at(asked.timeframe)
            known = self._memory.opinions.get(asked.name)
            is_known = known is not None and last_at is not None and known.slot_at >= last_at
            if asked.name in self._memory.benched or last_at is None or is_known:
                continue
            market = self._market(asked, board, as_of)
            commands.append(Ask(strategy=asked.name, slot_at=last_at, market=market))
        return commands

    def _market(self, asked: _Asked, board: Board, as_of: datetime) -> Market:
        reads = asked.reads
        quotes = weights = None
        if reads != _BARS_ONLY:
            quotes = board.arrays(as_of)
            weights = self._weights(asked.name, quotes) if Reads.WEIGHTS in reads else None
            quotes = quotes if Reads.QUOTES in reads else None
        windows: Mapping[Timeframe, Bars] = self._panels.windows(asked.lookback_bars)
        if asked.heavy:
            # It looks from a thread, when bars may have closed that were not there at the ask.
            windows = dict(windows)
        return Market(
            as_of=as_of,
            symbols=self._symbols,
            bars=self._panels.window(asked.timeframe, asked.lookback_bars),
            panels=windows,
            reads=reads,
            quotes_or_none=quotes,
            weights_or_none=weights,
        )

    def _weights(self, name: StrategyName, quotes: Quotes) -> Floats:
        """Return the strategy's book as shares of the account's equity at mid `[n]`."""
        book = self._memory.portfolio.books.get(name)
        shares = np.zeros(len(self._universe))
        equity_usd = float(self._memory.portfolio.cash_usd)
        mids = quotes.mid
        for column, symbol in enumerate(self._symbols):
            mid = mids[column] if mids[column] == mids[column] else 0.0
            equity_usd += float(self._memory.portfolio.shares(symbol)) * mid
            shares[column] = float(book.shares(symbol)) * mid if book else 0.0
        return shares / equity_usd if equity_usd > 0 else np.zeros_like(shares)

    def is_waiting_for(self, slot_at: datetime) -> bool:
        """Return whether an ask of the slot is still unanswered."""
        return bool(self._open.get(slot_at))

    def close(self, slot_at: datetime) -> list[StrategyName]:
        """Stop waiting for a slot; return who has not answered."""
        return sorted(self._open.pop(slot_at, set()))

    def accept(self, given: OpinionGiven) -> list[Command]:
        """Take an answer in, or bench the strategy when it is out of bounds."""
        self._answered(given.slot_at, given.strategy)
        fault = fault_of(given.signals, self._shape, self._symbols)
        if fault:
            return self._bench(given.strategy, OpinionFault.INVALID.value, fault, given.at)
        self._late[given.strategy] = 0
        held = self._memory.opinions.get(given.strategy)
        if held is not None and given.slot_at < held.slot_at:
            # Asked in threads, a strategy may answer about the later slot first.
            self._memory.count("opinions_overtaken")
            return []
        entry = self._rules.strategies[given.strategy]
        opinion = Opinion(
            strategy=given.strategy,
            slot_at=given.slot_at,
            timeframe=entry.strategy.timeframe,
            signals=_kept(given.signals),
        )
        self._memory.opinions[given.strategy] = opinion
        self._memory.count("opinions")
        saved = save_opinion(opinion, self._symbols)
        return [Record(fact=OpinionKept(strategy=given.strategy, opinion=saved))]

    def fail(self, failed: OpinionFailed) -> list[Command]:
        """Note a failure; bench at once for raising, after LATE_IN_A_ROW_MAX for being late."""
        self._answered(failed.slot_at, failed.strategy)
        self._memory.count(f"opinions_{failed.fault.value}")
        if failed.fault is OpinionFault.LATE:
            late = self._late.get(failed.strategy, 0) + 1
            self._late[failed.strategy] = late
            if late < LATE_IN_A_ROW_MAX:
                return []
        return self._bench(failed.strategy, failed.fault.value, failed.detail, failed.at)

    def hung(self, event: StrategyHung) -> list[Command]:
        """Bench the strategy during which the last run ended."""
        if event.strategy not in self._rules.strategies:
            return []
        detail = "did not return; the watchdog restarted the daemon"
        return self._bench(event.strategy, "hung", detail, event.at)

    def unbench(self, name: StrategyName) -> bool:
        """Ask the strategy again from the next slot on; return whether it was benched."""
        self._late.pop(name, None)
        return self._memory.benched.pop(name, None) is not None

    def strengths(self) -> Mapping[StrategyName, Floats]:
        """Return the latest accepted strengths of every strategy that is not benched."""
        return {
            name: opinion.signals.strength
            for name, opinion in self._memory.opinions.items()
            if name not in self._memory.benched and name in self._rules.strategies
        }

    def _answered(self, slot_at: datetime, name: StrategyName) -> None:
        waiting = self._open.get(slot_at)
        if waiting is not None:
            waiting.discard(name)

    def _bench(self, name: StrategyName, fault: str, detail: str, at: datetime) -> list[Command]:
        self._memory.benched[name] = Benching(since_at=at, fault=fault, detail=detail)
        return [
            RecordDurably(fact=Noted(at=at, benched=dict(self._memory.benched))),
            Notify(
                key=f"benched:{name}",
                severity=Severity.WARNING,
                message=f"strategy {name} is benched ({fault}: {detail})",
                fields={"strategy": name, "action": f"mend it, then: tradewind unbench {name}"},
            ),
        ]


def fault_of(signals: Signals, shape: tuple[int, ...], symbols: Sequence[Symbol]) -> str:
    """Return what makes an answer unusable, "" for nothing; its arrays must have the shape.

    Of many instants at once, `[t, n]`, the symbol named is the column's.
    """
    if not isinstance(signals, Signals):
        return f"answered {type(signals).__name__}, not Signals"
    strength = signals.strength
    if not isinstance(strength, np.ndarray) or strength.shape != shape:
        found = getattr(strength, "shape", type(strength).__name__)
        return f"strength has shape {found}, not {shape}"
    if strength.dtype.kind != "f":
        return f"strength is of {strength.dtype}, not of float64"
    size = np.abs(strength)
    if np.count_nonzero(size > 1.0):
        at = np.unravel_index(int(np.nanargmax(size)), shape)
        return f"strength of {symbols[int(at[-1])]} is {strength[at]}, outside [-1, 1]"
    return _evidence_fault(signals.evidence, shape)


def _evidence_fault(evidence: object, shape: tuple[int, ...]) -> str:
    """Return what makes evidence unusable, "" for nothing: it is shown and written, so it must be
    numbers under names."""
    if type(evidence) is not dict and not isinstance(evidence, Mapping):
        return f"evidence is a {type(evidence).__name__}, not a mapping"
    for key, values in evidence.items():
        if not isinstance(key, str):
            return f"evidence is named {key!r}, not by a text"
        if not isinstance(values, np.ndarray) or values.shape != shape:
            return f"evidence {key} has not the shape {shape}"
        if values.dtype.kind not in _NUMBERS:
            return f"evidence {key} is of {values.dtype}, not of numbers"
    return ""


def _kept(signals: Signals) -> Signals:
    """Return the answer in arrays of our own: the strategy may use its buffers again."""
    return Signals(
        strength=signals.strength.astype(np.float64),
        evidence={k: v.astype(np.float64) for k, v in signals.evidence.items()},
    )

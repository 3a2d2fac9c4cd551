"""Asking strategies, whose code may do anything: raise, dawdle, or never come back."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from daemon.engine.commands import Ask
from domain.events import OpinionFailed, OpinionGiven
from domain.ports import Clock, Strategy
from domain.signals import OpinionFault, StrategyName

NAME_BYTES = 128


class AskNote(Protocol):
    """Where it is noted whom we are asking, so that a restart after a hang knows whom to bench."""

    def write(self, name: StrategyName) -> None:
        """Note that this strategy is being asked."""
        ...

    def clear(self) -> None:
        """Note that nobody is being asked."""
        ...


class AskNoteFile:
    """A note in a small file; survives the process, not the power (a hang costs no power)."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, name: StrategyName) -> None:
        """Note that this strategy is being asked."""
        os.pwrite(self._file, name.encode()[:NAME_BYTES].ljust(NAME_BYTES), 0)

    def clear(self) -> None:
        """Note that nobody is being asked."""
        os.pwrite(self._file, b" " * NAME_BYTES, 0)

    def read(self) -> StrategyName:
        """Return who was being asked when the last process ended, "" for nobody."""
        return os.pread(self._file, NAME_BYTES, 0).decode(errors="replace").strip()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Asker:
    """Evaluates strategies and turns whatever comes of it into an event."""

    def __init__(
        self,
        strategies: Mapping[StrategyName, Strategy],
        *,
        note: AskNote,
        clock: Clock,
        stopwatch_s: Callable[[], float],
        budget_s: float,
    ) -> None:
        self._strategies = strategies
        self._note = note
        self._clock = clock
        self._stopwatch_s = stopwatch_s
        self._budget_s = budget_s

    def is_heavy(self, name: StrategyName) -> bool:
        """Return whether a strategy is to be asked in a thread, off the loop."""
        return bool(getattr(self._strategies[name], "heavy", False))

    def ask(self, ask: Ask) -> OpinionGiven | OpinionFailed:
        """Return the strategy's answer, or how it failed to give one in its budget."""
        self._note.write(ask.strategy)
        started_s = self._stopwatch_s()
        try:
            signals = self._strategies[ask.strategy].decide(ask.market)
        # A user's strategy may raise anything; none of it may reach the others.
        except Exception as fault:  # noqa: BLE001
            return self._failed(ask, OpinionFault.RAISED, f"{type(fault).__name__}: {fault}")
        finally:
            self._note.clear()
        took_s = self._stopwatch_s() - started_s
        if took_s > self._budget_s:
            detail = f"took {took_s * 1e3:.0f} ms of {self._budget_s * 1e3:.0f}"
            return self._failed(ask, OpinionFault.LATE, detail)
        return OpinionGiven(
            at=self._clock.now(), strategy=ask.strategy, slot_at=ask.slot_at, signals=signals
        )

    def _failed(self, ask: Ask, fault: OpinionFault, detail: str) -> OpinionFailed:
        return OpinionFailed(
            at=self._clock.now(),
            strategy=ask.strategy,
            slot_at=ask.slot_at,
            fault=fault,
            detail=detail,
        )

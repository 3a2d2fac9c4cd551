"""Recording the tape beside trading: handed over on the loop, put into writing on a thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from daemon.engine.commands import Command, RecordDurably
from daemon.tape_codec import EventCodec, microseconds, write_bars
from daemon.tape_head import TapeHead, write_head
from domain.calendar import Timeframe
from domain.events import Event, OpinionGiven
from domain.instruments import Symbol
from domain.market import Bar
from domain.signals import Signals
from state import records
from state.filesystem import FileSystem
from state.records import Decided
from state.tape import TapeWriter

FLUSH_S = 0.5
"""Loop time for which what was heard may wait to be written: what a crash may lose."""
FLUSH_RECORDS = 1_000
"""So many waiting are written at once."""
WAITING_MAX = 50_000
"""Records that may wait for the disk; beyond this the tape ends rather than fill the memory."""
CLOSE_S_MAX = 5.0
"""Loop time that a clean stop waits for the last records."""
HEAD, WARMED, DECIDED, UNWRITTEN = "HEAD", "WARMED", "DECISION", "UNWRITTEN"
"""Kinds of records that are no events; DECISION is written as in the journal."""

_log = structlog.get_logger(__name__)
Write = Callable[[], None]


class Taper:
    """Keeps the tape of one run. Whatever fails here ends the tape and nothing else."""

    def __init__(
        self, fs: FileSystem, directory: Path, *, parts_max: int, writer: Executor
    ) -> None:
        """With `parts_max` 0 nothing is recorded; `writer` runs one write at a time, in order."""
        self._fs = fs
        self._directory = directory
        self._parts_max = parts_max
        self._writer = writer
        self._tape: TapeWriter | None = None
        self._codec = EventCodec()
        self._waiting: deque[Write] = deque()
        self._handed_over = 0
        self._is_due = False
        self._is_closed = False
        self.why_ended = "" if parts_max else "it is switched off"
        """Why nothing is recorded any more, "" while everything is."""

    def begin(self, head: TapeHead) -> None:
        """Begin the run with what the engine began with."""
        self._put(lambda: self._begin(head))

    def warmed(
        self,
        timeframe: Timeframe,
        history: Mapping[Symbol, Sequence[Bar]],
        slots: Sequence[datetime],
    ) -> None:
        """Record what the engine was warmed with."""
        self._put(lambda: self._warmed(timeframe, history, slots))

    def heard(self, event: Event) -> None:
        """Record an event, before it is handled: one that ends the program is the one wanted."""
        if self.why_ended:
            return
        # A strategy may use its arrays again before the thread has come to them.
        kept = _kept(event) if isinstance(event, OpinionGiven) else event
        self._put(lambda: self._event(kept))

    def followed(self, commands: Sequence[Command]) -> None:
        """Record the decision among what followed, if there is one."""
        for command in commands:
            if isinstance(command, RecordDurably) and isinstance(command.fact, Decided):
                self._put(partial(self._fact, command.fact))

    async def close(self) -> None:
        """Return when everything handed over is written, after CLOSE_S_MAX at the latest."""
        self._flush()
        done = asyncio.wrap_future(self._writer.submit(self._close))
        self._is_closed = True
        await asyncio.wait([done], timeout=CLOSE_S_MAX)
        self._writer.shutdown(wait=False)

    # --- on the loop -----------------------------------------------------------------------------

    def _put(self, write: Write) -> None:
        if self.why_ended or self._is_closed:
            return
        if len(self._waiting) + self._handed_over >= WAITING_MAX:
            self._end(f"{WAITING_MAX} records wait for the disk")
            return
        self._waiting.append(write)
        if len(self._waiting) >= FLUSH_RECORDS:
            self._flush()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._is_due = False
        if self._waiting and not self.why_ended:
            writes = list(self._waiting)
            self._waiting.clear()
            self._handed_over += len(writes)
            done = self._writer.submit(partial(self._write, writes))
            done.add_done_callback(partial(self._written, len(writes)))

    def _written(self, count: int, done: "Future[None]") -> None:
        self._handed_over -= count
        fault = None if done.cancelled() else done.exception()
        if fault is not None:
            self._end(f"{type(fault).__name__}: {fault}")

    def _end(self, why: str) -> None:
        if not self.why_ended:
            self.why_ended = why
            self._waiting.clear()
            _log.warning("tape_ended", reason=why, hint="trading goes on; replay ends here")

    # --- on the thread ---------------------------------------------------------------------------

    def _write(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if self.why_ended:
                return
            try:
                write()
            except (TypeError, ValueError) as fault:
                self._append(UNWRITTEN, {"reason": f"{type(fault).__name__}: {fault}"})
                self._end(f"something has no written form: {fault}")

    def _begin(self, head: TapeHead) -> None:
        self._tape = TapeWriter(self._fs, self._directory, parts_max=self._parts_max)
        self._append(HEAD, write_head(head))

    def _warmed(
        self,
        timeframe: Timeframe,
        history: Mapping[Symbol, Sequence[Bar]],
        slots: Sequence[datetime],
    ) -> None:
        fields = {
            "timeframe": timeframe.value,
            "slots": [microseconds(at) for at in slots],
            "bars": write_bars(history),
        }
        self._append(WARMED, fields)

    def _event(self, event: Event) -> None:
        if self._tape is not None and self._tape.is_long:
            self._tape.next_part()
            self._codec.begin_part()
        self._append(*self._codec.encode(event))

    def _fact(self, fact: Decided) -> None:
        self._append(*records.encode(fact))

    def _append(self, kind: str, fields: Mapping[str, object]) -> None:
        if self._tape is None:
            raise OSError("the tape was never begun")
        self._tape.append(kind, fields)

    def _close(self) -> None:
        if self._tape is not None:
            self._tape.close()


def _kept(given: OpinionGiven) -> OpinionGiven:
    """Return the answer with arrays of its own; what is no answer at all as it is."""
    signals = given.signals
    if not isinstance(signals, Signals) or not isinstance(signals.evidence, Mapping):
        return given
    evidence = {name: _copy(values) for name, values in signals.evidence.items()}
    return replace(given, signals=Signals(strength=_copy(signals.strength), evidence=evidence))


def _copy(values: Any) -> Any:
    return values.copy() if isinstance(values, np.ndarray) else values

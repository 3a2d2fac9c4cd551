"""Reading a run's tape back: what the engine began with, was warmed with, heard and decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.tape_codec import EVENTS, EventCodec, instant, read_bars
from daemon.tape_head import TapeHead, read_head
from daemon.taping import DECIDED, HEAD, UNWRITTEN, WARMED
from domain.calendar import Timeframe
from domain.errors import StateCorrupt
from domain.events import Event
from domain.instruments import Symbol
from domain.market import Bar
from state.filesystem import FileSystem
from state.tape import TapeEnd, TapeReader, TapeRecord, tape_parts
from state.wire import WireFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Warming:
    """The history that one timeframe's panel was loaded with."""

    timeframe: Timeframe
    history: Mapping[Symbol, Sequence[Bar]]
    slots: Sequence[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A decision as the journal holds it: the fields of its DECISION record."""

    fields: Mapping[str, Any]


Entry = Warming | Event | RecordedDecision


class RecordedRun:
    """One run in the order in which it came about.

    Iterating yields every entry after the head; `end` then says where the tape ends and why. A
    decision stands after the event it came of, but later events may stand between the two.
    """

    def __init__(self, fs: FileSystem, directory: Path, run: int) -> None:
        """Read the head. Raises StateCorrupt when there is none that can be read here."""
        self._reader = TapeReader(fs, directory, run)
        self._records = iter(self._reader)
        self._codec = EventCodec()
        self._lost = ""
        first = next(self._records, None)
        if first is None or first.kind != HEAD:
            raise StateCorrupt(
                f"{directory}: the tape of run {run} has no beginning "
                f"({self._reader.end.reason or 'it is empty'}): it cannot be replayed"
            )
        try:
            self.head: TapeHead = read_head(first.fields)
        except WireFault as fault:
            raise StateCorrupt(f"{directory}: the tape of run {run}: {fault}") from fault

    @property
    def end(self) -> TapeEnd:
        """Where the tape ends; `reason` is "" when it ends with the run."""
        end = self._reader.end
        if not self._lost:
            return end
        return TapeEnd(path=end.path, offset_bytes=end.offset_bytes, reason=self._lost)

    def __iter__(self) -> Iterator[Entry]:
        for record in self._records:
            if record.kind == UNWRITTEN:
                self._lost = str(record.fields.get("reason", "something could not be written"))
                return
            try:
                yield self._entry(record)
            except WireFault as fault:
                self._lost = f"record {record.number}: {fault}"
                return

    def _entry(self, record: TapeRecord) -> Entry:
        fields = record.fields
        if record.kind in EVENTS:
            return self._codec.decode(record.kind, fields)
        if record.kind == DECIDED:
            return RecordedDecision(fields=fields)
        if record.kind == WARMED:
            return _warming(fields)
        raise WireFault(f"of unknown kind {record.kind!r}")


def recorded_runs(fs: FileSystem, directory: Path) -> list[int]:
    """Return the numbers of the runs of which a tape is there, oldest first."""
    return sorted({part.run for part in tape_parts(fs, directory)})


def _warming(fields: Mapping[str, Any]) -> Warming:
    try:
        return Warming(
            timeframe=Timeframe(fields["timeframe"]),
            history=read_bars(fields["bars"]),
            slots=[instant(us) for us in fields["slots"]],
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise WireFault(f"not a history: {fault!r}") from fault

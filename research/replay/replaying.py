"""The engine hears a tape again, and what it decides is compared with what was decided.

Recovery never decides anew; a replay does nothing else. Whatever a decision depended on is on the
tape, the strategies' answers included, so that equal code gives equal bytes.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from daemon.engine import Engine
from daemon.engine.commands import RecordDurably
from daemon.registry import Raised, attempt
from daemon.tape_reading import Entry, RecordedDecision, Warming
from domain.events import Event, StoppingBegan
from research.replay.comparing import Difference, first_difference
from state import records
from state.records import Decided

TAIL_ENTRIES_MAX = 64
"""So many entries may follow an event before its decision: what was heard while it was handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of one run. `certified` decisions are the same to the byte; with a difference it
    ends at the first. `uncertified` decisions were made again at the end of a tape that was cut
    off before it told them."""

    certified: int
    events: int
    uncertified: int
    difference: Difference | None
    ended_with_the_run: bool


@dataclass(slots=True)
class _Made:
    """A decision made again that the tape has not told yet."""

    fields: bytes
    entry: int


@dataclass(slots=True)
class _Progress:
    waiting: deque[_Made] = field(default_factory=deque)
    told: deque[RecordedDecision] = field(default_factory=deque)
    certified: int = 0
    events: int = 0
    entries: int = 0
    is_stopped: bool = False


def replay(
    engine: Engine, entries: Iterable[Entry], *, after_warming: Callable[[], None] | None = None
) -> Replayed:
    """Let an engine hear a run and compare each decision with the recorded one, in order; stop at
    the first difference.

    `after_warming` is called once the history is loaded, before the first event.
    """
    progress = _Progress()
    for entry in entries:
        progress.entries += 1
        difference = _take(engine, entry, progress, after_warming) or _compare(progress)
        if difference is not None:
            return _result(progress, difference)
    return _result(progress, _left_over(progress))


def _take(
    engine: Engine, entry: Entry, progress: _Progress, after_warming: Callable[[], None] | None
) -> Difference | None:
    if isinstance(entry, RecordedDecision):
        progress.told.append(entry)
        return None
    if isinstance(entry, Warming):
        engine.warm(entry.timeframe, entry.history, entry.slots)
        return None
    if progress.events == 0 and after_warming is not None:
        after_warming()
    return _hear(engine, entry, progress)


def _hear(engine: Engine, event: Event, progress: _Progress) -> Difference | None:
    progress.events += 1
    progress.is_stopped = progress.is_stopped or isinstance(event, StoppingBegan)
    # A tape that was tampered with may hold what no engine was ever given.
    commands = attempt(lambda: engine.handle(event))
    if isinstance(commands, Raised):
        words = f"the engine raised {commands} at {type(event).__name__}"
        return Difference(slot_at=event.at.isoformat(), what=words)
    for command in commands:
        if isinstance(command, RecordDurably) and isinstance(command.fact, Decided):
            fields = orjson.dumps(records.encode(command.fact)[1])
            progress.waiting.append(_Made(fields, progress.entries))
    return None


def _compare(progress: _Progress) -> Difference | None:
    while progress.waiting and progress.told:
        made, told = progress.waiting.popleft(), progress.told.popleft()
        if made.fields != orjson.dumps(told.fields):
            return first_difference(told.fields, orjson.loads(made.fields))
        progress.certified += 1
    if progress.told:
        fields: Any = progress.told[0].fields
        return Difference(slot_at=_slot(fields), what="was decided, and is not decided again")
    if progress.waiting and progress.entries - progress.waiting[0].entry > TAIL_ENTRIES_MAX:
        return _surplus(progress.waiting[0])
    return None


def _left_over(progress: _Progress) -> Difference | None:
    """Return the decision too many of a run that ended well: no tail was lost there."""
    return _surplus(progress.waiting[0]) if progress.waiting and progress.is_stopped else None


def _surplus(made: _Made) -> Difference:
    return Difference(slot_at=_slot(orjson.loads(made.fields)), what="is decided, and was not")


def _slot(fields: Any) -> str:
    return str(fields["decision"]["slot_at"])


def _result(progress: _Progress, difference: Difference | None) -> Replayed:
    return Replayed(
        certified=progress.certified,
        events=progress.events,
        uncertified=len(progress.waiting) if difference is None else 0,
        difference=difference,
        ended_with_the_run=progress.is_stopped,
    )

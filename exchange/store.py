"""How the exchange survives being killed: an event log, a saved state, and market time's mark.

In `DIR/exchange`: `identity.json` (what it is), `events.jsonl` (every mutation, one a line),
`state.json` (the venue as of a place in the log, replaced atomically), `clock` (market time,
rewritten in place at every step). Events are written before a request is answered. They are left
to the operating system's cache: a killed process loses nothing, a power cut the last seconds.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
from filelock import FileLock, Timeout

from domain.errors import Refused, StateCorrupt
from exchange.records import EventKind, VenueEvent, VenueState

T = TypeVar("T")
SAVE_EVERY_EVENTS = 20_000
_MARK_WIDTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The venue as of the first `log_bytes` bytes of the event log."""

    log_bytes: int
    state: VenueState


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What one exchange is; a state directory belongs to exactly one."""

    market: str
    seed: int
    start: str
    cash_usd: str
    corporate_actions: bool = False


class Store:
    """One state directory, owned by this process until it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / "lock")
            self._lock.acquire(timeout=0)
        except Timeout as fault:
            raise Refused(f"{folder}: another exchange is running on this state") from fault
        except OSError as fault:
            raise Refused(f"{folder}: the state cannot be written: {fault.strerror}") from fault
        self._identity = folder / "identity.json"
        self._state = folder / "state.json"
        self._log_path = folder / "events.jsonl"
        self._log = os.open(self._log_path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._mark = os.open(folder / "clock", os.O_RDWR | os.O_CREAT, 0o600)
        self._since_save = 0

    def identity(self) -> Identity | None:
        """Return whose state it is, None when it is new. Raises StateCorrupt."""
        if not self._identity.exists():
            return None
        return _decode(self._identity, self._identity.read_bytes(), Identity)

    def write_identity(self, identity: Identity) -> None:
        """Say whose state it is."""
        _replace_file(self._identity, msgspec.json.encode(identity))

    def load(self, first: VenueState) -> tuple[VenueState, list[VenueEvent]]:
        """Return the saved state, or `first`, and the events to redo onto it.

        Market time is where it stood. A torn last line is cut off. Raises StateCorrupt.
        """
        saved = SavedState(log_bytes=0, state=first)
        if self._state.exists():
            saved = _decode(self._state, self._state.read_bytes(), SavedState)
        events = self._events_after(saved.log_bytes)
        mark_ns = self._read_mark()
        state = replace(saved.state, now_ns=max(saved.state.now_ns, mark_ns))
        return state, events

    def append(self, events: list[VenueEvent], now_ns: int) -> None:
        """Write events and market time. Raises OSError."""
        if events:
            lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
            _write_all(self._log, lines)
            self._since_save += len(events)
        os.pwrite(self._mark, str(now_ns).zfill(_MARK_WIDTH).encode(), 0)

    def wants_saving(self, events: list[VenueEvent]) -> bool:
        """Whether it is time to save the state: a new day, or many events since the last time."""
        begins = any(event.kind is EventKind.DAY_BEGUN for event in events)
        return begins or self._since_save >= SAVE_EVERY_EVENTS

    def save(self, state: VenueState) -> None:
        """Replace the saved state by one that includes every event written so far."""
        log_bytes = os.fstat(self._log).st_size
        raw = msgspec.json.encode(SavedState(log_bytes=log_bytes, state=state))
        _replace_file(self._state, raw)
        self._since_save = 0

    def close(self) -> None:
        """Give the directory back."""
        os.close(self._log)
        os.close(self._mark)
        self._lock.release()

    def _events_after(self, offset: int) -> list[VenueEvent]:
        raw = self._log_path.read_bytes()[offset:]
        whole, _, torn = raw.rpartition(b"\n")
        if torn:
            os.ftruncate(self._log, offset + len(raw) - len(torn))
        decoder = msgspec.json.Decoder(VenueEvent)
        events = []
        for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
            try:
                events.append(decoder.decode(line))
            except msgspec.MsgspecError as fault:
                raise StateCorrupt(
                    f"{self._log_path}: record {number} after byte {offset} is unreadable "
                    f"({fault}); move {self.folder} away to begin a new account"
                ) from fault
        return events

    def _read_mark(self) -> int:
        raw = os.pread(self._mark, _MARK_WIDTH, 0)
        return int(raw) if raw.isdigit() else 0


def _decode(path: Path, raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as fault:
        raise StateCorrupt(
            f"{path}: unreadable ({fault}); move {path.parent} away to begin a new account"
        ) from fault


def _write_all(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]


def _replace_file(path: Path, raw: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one."""
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(descriptor, raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

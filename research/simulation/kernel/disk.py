"""A disk that forgets what was not synced when the power goes, and may fail, tear or be slow.

Written bytes are durable after `sync`, names after `sync_directory`. A power cut keeps, of every
file, what was synced and a random part of the rest, the end of it sometimes garbled; of every
directory, its names as they stood after some operation since it was last synced.
"""

import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from domain.errors import TradewindError
from research.simulation.kernel.chance import Chance
from state.filesystem import OpenFile

T = TypeVar("T")
GARBLED = 0.2
"""The share of torn ends whose last byte is not what was written."""


FREE_BYTES = 10**12
"""Room that is always left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFaults:
    """How often what befalls: shares of the operations that change something."""

    fail: float = 0.0
    slow: float = 0.0
    latency_s: tuple[float, float] = (0.0001, 0.002)
    slow_s: tuple[float, float] = (0.2, 2.0)


CALM = DiskFaults()


class _Content:
    __slots__ = ("data", "synced")

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = 0


class _File:
    __slots__ = ("_content", "_disk", "_life", "_path")

    def __init__(self, disk: "Disk", path: Path, content: _Content) -> None:
        self._disk, self._path, self._content, self._life = disk, path, content, disk.life

    def write(self, data: bytes) -> None:
        self._check_alive()
        try:
            self._disk.operate("write", self._path)
        except OSError:
            self._content.data += data[: len(data) // 2]
            raise
        self._content.data += data

    def sync(self) -> None:
        self._check_alive()
        self._disk.operate("sync", self._path)
        news = bytes(self._content.data[self._content.synced :])
        self._content.synced = len(self._content.data)
        self._disk.on_synced(self._path, news)

    def close(self) -> None:
        """Closing does nothing, and cannot fail."""

    def _check_alive(self) -> None:
        if self._life != self._disk.life:
            raise OSError(errno.EBADF, "this file was open in a process that is dead")


class Disk:
    """One computer's files; a `state.filesystem.FileSystem`."""

    def __init__(self, chance: Chance, count: Callable[[str], None] = lambda what: None) -> None:
        self.life = 0
        self.operations = 0
        self.faults = CALM
        self.before_operation: Callable[[int], None] = lambda number: None
        """Told of every change before it is made; may raise to end the process there."""
        self.on_synced: Callable[[Path, bytes], None] = lambda path, data: None
        """Told what has become durable."""
        self.chance = chance
        self._count = count
        self._seen: dict[Path, _Content] = {}
        self._durable: dict[Path, _Content] = {}
        self._history: dict[Path, list[dict[Path, _Content]]] = {}

    # --- what befalls it ----------------------------------------------------------------------

    def operate(self, what: str, path: Path) -> None:
        """Count one change of a file or directory, and fail if it is to fail."""
        self.operations += 1
        self.before_operation(self.operations)
        if self.chance.hits(self.faults.fail):
            self._count(f"disk.fail_{what}")
            raise OSError(errno.EIO, f"{what} failed (simulated)", str(path))

    def write_s(self) -> float:
        """Return how long the next write takes."""
        if self.chance.hits(self.faults.slow):
            self._count("disk.slow")
            return self.chance.between(*self.faults.slow_s)
        return self.chance.between(*self.faults.latency_s)

    def kill(self) -> None:
        """End the process that had files open: what it wrote is kept."""
        self.life += 1

    def lose_power(self) -> None:
        """Cut the power: what was not synced may be gone."""
        self.life += 1
        chance, kept = self.chance, dict(self._durable)
        for directory, states in sorted(self._history.items()):
            chosen = chance.below(len(states) + 1)
            if chosen < len(states):
                self._count("disk.lost_name")
            if chosen:
                kept = {p: c for p, c in kept.items() if p.parent != directory}
                kept |= states[chosen - 1]
        for content in {id(c): c for c in kept.values()}.values():
            self._tear(content)
        self._seen, self._durable = dict(kept), dict(kept)
        self._history.clear()

    def _tear(self, content: _Content) -> None:
        unsynced = len(content.data) - content.synced
        if unsynced > 0:
            kept = self.chance.below(unsynced + 1)
            del content.data[content.synced + kept :]
            self._count("disk.torn" if 0 < kept < unsynced else "disk.lost_bytes")
            if kept and self.chance.hits(GARBLED):
                self._count("disk.garbled")
                content.data[-1] ^= 0x5A
        content.synced = len(content.data)

    # --- FileSystem ---------------------------------------------------------------------------

    def make_directory(self, directory: Path) -> None:
        """Directories are there."""

    def names(self, directory: Path) -> list[str]:
        """Return the names of the files in a directory."""
        return sorted(path.name for path in self._seen if path.parent == directory)

    def read(self, path: Path) -> bytes:
        """Return a file's bytes."""
        return bytes(self._content(path).data)

    def create(self, path: Path) -> OpenFile:
        """Open a new, empty file."""
        self.operate("create", path)
        self._seen[path] = _Content()
        self._note(path.parent)
        return _File(self, path, self._seen[path])

    def append(self, path: Path) -> OpenFile:
        """Open an existing file to write at its end."""
        return _File(self, path, self._content(path))

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name."""
        content = self._content(source)
        self.operate("rename", target)
        if self._seen.get(target) is not content:
            del self._seen[source]
            self._seen[target] = content
            self._note(target.parent)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        content = self._content(source)
        if target in self._seen:
            raise FileExistsError(errno.EEXIST, "the name is taken", str(target))
        self.operate("link", target)
        self._seen[target] = content
        self._note(target.parent)

    def remove(self, path: Path) -> None:
        """Take a name away."""
        self._content(path)
        self.operate("remove", path)
        del self._seen[path]
        self._note(path.parent)

    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file to its first bytes, durably."""
        content = self._content(path)
        self.operate("truncate", path)
        del content.data[size_bytes:]
        content.synced = len(content.data)

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's names durable."""
        self.operate("sync_directory", directory)
        kept = {p: c for p, c in self._durable.items() if p.parent != directory}
        self._durable = kept | self._names_of(directory)
        self._history.pop(directory, None)

    def free_bytes(self, directory: Path) -> int:
        """Return what is left; this disk never fills up by itself."""
        return FREE_BYTES

    def _note(self, directory: Path) -> None:
        self._history.setdefault(directory, []).append(self._names_of(directory))

    def _names_of(self, directory: Path) -> dict[Path, _Content]:
        return {p: c for p, c in self._seen.items() if p.parent == directory}

    def _content(self, path: Path) -> _Content:
        try:
            return self._seen[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None


class Timers(Protocol):
    """As much of an event loop as a disk's queue needs."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        """Have something called after so many seconds."""
        ...


class DiskQueue(Executor):
    """Runs writes one after the other, each after the time it takes the disk: an executor of one
    thread, without the thread."""

    def __init__(self, disk: Disk, loop: Timers) -> None:
        self._disk = disk
        self._loop = loop
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._is_busy = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a write when those before it are done."""
        done: Future[T] = Future()
        self._waiting.append((done, lambda: fn(*args, **kwargs)))
        self._begin()
        return done

    def _begin(self) -> None:
        if self._waiting and not self._is_busy:
            self._is_busy = True
            self._loop.call_later(self._disk.write_s(), self._run)

    def _run(self) -> None:
        done, write = self._waiting.popleft()
        try:
            result = write()
        except (OSError, TradewindError) as fault:
            done.set_exception(fault)
        else:
            done.set_result(result)
        self._is_busy = False
        self._begin()

"""A file system in memory that can fail at any operation, be killed, and lose its power."""

import errno
from pathlib import Path

from state.filesystem import OpenFile


class _Content:
    __slots__ = ("data", "synced")

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = b""


class _MemoryFile:
    __slots__ = ("_content", "_disk", "_life")

    def __init__(self, disk: "MemoryFileSystem", content: _Content) -> None:
        self._disk, self._content, self._life = disk, content, disk.life

    def write(self, data: bytes) -> None:
        self._check_alive()
        try:
            self._disk.count_operation(f"write {len(data)} bytes")
        except OSError:
            self._content.data += data[: len(data) // 2]
            raise
        self._content.data += data

    def sync(self) -> None:
        self._check_alive()
        self._disk.count_operation("sync")
        self._content.synced = bytes(self._content.data)

    def close(self) -> None:
        """Closing does nothing, and cannot fail."""

    def _check_alive(self) -> None:
        if self._life != self._disk.life:
            raise OSError(errno.EBADF, "this file was open in a process that is dead")


class MemoryFileSystem:
    """Files in memory, with what a power cut would leave kept apart from what is seen.

    Operations that change something are counted from 1. After `fail_from(n)` the n-th and all
    later ones raise OSError (a failing write leaves half of its bytes) until `mend`. `kill` ends
    every open file and keeps what was written; `lose_power` keeps only what was synced.
    """

    def __init__(self) -> None:
        self.operations = 0
        self.life = 0
        self.left_bytes = 10**12
        self.log: list[str] = []
        self._fails_from: int | None = None
        self._error = errno.EIO
        self._seen: dict[Path, _Content] = {}
        self._durable: dict[Path, _Content] = {}

    def fail_from(self, operation: int, error: int = errno.EIO) -> None:
        """Let the given operation, counted from the first ever, and all after it fail."""
        self._fails_from, self._error = operation, error

    def mend(self) -> None:
        """Let operations succeed again."""
        self._fails_from = None

    def kill(self) -> None:
        """End the process: what it wrote is kept, its open files are dead."""
        self.life += 1

    def lose_power(self, *, torn_bytes: int = 0) -> None:
        """Cut the power: unsynced names are gone, and unsynced bytes but for the first few."""
        self.life += 1
        self._seen = dict(self._durable)
        for content in self._seen.values():
            kept = content.data[: len(content.synced) + torn_bytes]
            content.data = kept if kept.startswith(content.synced) else bytearray(content.synced)
            content.synced = bytes(content.data)

    def count_operation(self, what: str) -> None:
        """Count one change, and fail if it is to fail."""
        self.operations += 1
        self.log.append(what)
        if self._fails_from is not None and self.operations >= self._fails_from:
            raise OSError(self._error, f"failed as told: {what}")

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
        self.count_operation(f"create {path.name}")
        self._seen[path] = _Content()
        return _MemoryFile(self, self._seen[path])

    def append(self, path: Path) -> OpenFile:
        """Open an existing file to write at its end."""
        return _MemoryFile(self, self._content(path))

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name."""
        content = self._content(source)
        self.count_operation(f"rename {source.name} {target.name}")
        if self._seen.get(target) is not content:
            del self._seen[source]
            self._seen[target] = content

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        content = self._content(source)
        if target in self._seen:
            raise FileExistsError(errno.EEXIST, "the name is taken", str(target))
        self.count_operation(f"link {source.name} {target.name}")
        self._seen[target] = content

    def remove(self, path: Path) -> None:
        """Take a name away."""
        self._content(path)
        self.count_operation(f"remove {path.name}")
        del self._seen[path]

    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file to its first bytes."""
        content = self._content(path)
        self.count_operation(f"truncate {path.name}")
        del content.data[size_bytes:]
        content.synced = bytes(content.data)

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's names durable."""
        self.count_operation(f"sync directory {directory.name}")
        kept = {p: c for p, c in self._durable.items() if p.parent != directory}
        self._durable = kept | {p: c for p, c in self._seen.items() if p.parent == directory}

    def free_bytes(self, directory: Path) -> int:
        """Return what is left: much, unless a test says otherwise."""
        return self.left_bytes

    def _content(self, path: Path) -> _Content:
        try:
            return self._seen[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None

"""The few things the state asks of a file system, so that failures can be put between any two."""

import os
from pathlib import Path
from typing import Protocol

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class OpenFile(Protocol):
    """A file open for appending."""

    def write(self, data: bytes) -> None:
        """Append all of the bytes. Raises OSError; some may have been written then."""
        ...

    def sync(self) -> None:
        """Return once what was written is durable. Raises OSError: then nobody knows what is."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class FileSystem(Protocol):
    """Files in directories. Every method raises OSError.

    A new name, a rename, a link and a removal are durable after `sync_directory`, and each is
    seen wholly or not at all; written bytes are durable after `sync`.
    """

    def make_directory(self, directory: Path) -> None:
        """Make the directory and those above it unless they are there; mode 0700."""
        ...

    def names(self, directory: Path) -> list[str]:
        """Return the sorted names of the files in a directory, none when it is not there."""
        ...

    def read(self, path: Path) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError."""
        ...

    def create(self, path: Path) -> OpenFile:
        """Open a new, empty file with mode 0600, in place of what had this name."""
        ...

    def append(self, path: Path) -> OpenFile:
        """Open an existing file to write at its end. Raises FileNotFoundError."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of what had it."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name. Raises FileExistsError."""
        ...

    def remove(self, path: Path) -> None:
        """Take a name away. Raises FileNotFoundError."""
        ...

    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file to its first bytes, durably."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Return once the directory's names are durable."""
        ...

    def free_bytes(self, directory: Path) -> int:
        """Return how much may still be written there."""
        ...


class _LocalFile:
    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class LocalFileSystem:
    """The machine's own file system."""

    def make_directory(self, directory: Path) -> None:
        """Make the directory; one that was there keeps its mode."""
        missing = [p for p in (directory, *directory.parents) if not p.exists()]
        for path in reversed(missing):
            path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            self.sync_directory(path.parent)

    def names(self, directory: Path) -> list[str]:
        """Return the names of the files in a directory."""
        try:
            return sorted(entry.name for entry in os.scandir(directory) if entry.is_file())
        except FileNotFoundError:
            return []

    def read(self, path: Path) -> bytes:
        """Return a file's bytes."""
        return path.read_bytes()

    def create(self, path: Path) -> OpenFile:
        """Open a new, empty file."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        return _LocalFile(os.open(path, flags, FILE_MODE))

    def append(self, path: Path) -> OpenFile:
        """Open an existing file to write at its end."""
        return _LocalFile(os.open(path, os.O_WRONLY | os.O_APPEND))

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        target.hardlink_to(source)

    def remove(self, path: Path) -> None:
        """Take a name away."""
        path.unlink()

    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file to its first bytes."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size_bytes)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, directory: Path) -> int:
        """Return what the file system has left for us."""
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's names durable."""
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

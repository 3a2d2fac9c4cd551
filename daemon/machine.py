"""What a daemon asks of the computer it runs on, in one place: a simulated one hands in its own."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from daemon import clock
from daemon.alpaca.client import open_session
from daemon.asking import AskNote, AskNoteFile
from daemon.recording import writer_thread
from daemon.watchdog import Watchdog, start_over
from domain.signals import StrategyName
from state.filesystem import FileSystem, LocalFileSystem
from state.lock import StateLock


class Lock(Protocol):
    """The right to use a state directory."""

    def acquire(self) -> None:
        """Take it. Raises Refused when another process has it."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class ReadableNote(AskNote, Protocol):
    """A note that a later process can read."""

    def read(self) -> StrategyName:
        """Return who was being asked when the last process ended, "" for nobody."""
        ...


class Watch(Protocol):
    """Notices a loop that no longer turns."""

    def start(self) -> None:
        """Begin to watch."""
        ...

    def beat(self) -> None:
        """Say that the loop turns."""
        ...

    def stop(self) -> None:
        """Watch no longer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Network, disk, threads and time of one computer.

    `open_session` is given the most connections at once, `watch` the seconds a loop may stand
    still; `real_time_s` are epoch seconds, `stopwatch_s` only ever run on.
    """

    open_session: Callable[[int], aiohttp.ClientSession]
    fs: FileSystem
    lock: Callable[[Path], Lock]
    note: Callable[[Path], ReadableNote]
    writer: Callable[[], Executor]
    """Returns what runs the state's writes, one at a time, in order."""
    watch: Callable[[float], Watch]
    real_time_s: Callable[[], float]
    stopwatch_s: Callable[[], float]


def this_machine() -> Machine:
    """Return the computer this process runs on."""
    return Machine(
        open_session=open_session,
        fs=LocalFileSystem(),
        lock=StateLock,
        note=AskNoteFile,
        writer=writer_thread,
        watch=lambda limit_s: Watchdog(limit_s, stopwatch_s=clock.stopwatch_s, on_hang=start_over),
        real_time_s=clock.real_time_s,
        stopwatch_s=clock.stopwatch_s,
    )

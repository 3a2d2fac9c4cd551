"""Writing the journal and the snapshots off the loop, in order, on one thread."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from domain.snapshot import Snapshot
from state import records
from state.checkpoint import checkpoint
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.records import Fact

WRITES_WAITING_MAX = 20_000
"""Records that may wait for the disk; beyond this the disk is taken for dead."""

Result = TypeVar("Result")


def writer_thread() -> Executor:
    """Return an executor of one thread, which keeps the order of what it is given."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="state-writer")


class Recorder:
    """The only writer of a state directory while the daemon runs.

    `on_failure` hears of the first failed write; after it every durable write raises and nothing
    more is written: what is on disk is not known any longer.
    """

    def __init__(
        self,
        journal: JsonLinesJournal,
        store: JsonStateStore,
        *,
        writer: Executor,
        on_failure: Callable[[OSError], None],
        on_saved: Callable[[float], None] = lambda took_s: None,
    ) -> None:
        """`writer` runs one write at a time, in order: one thread, or the caller itself."""
        self._journal = journal
        self._store = store
        self._on_failure = on_failure
        self._on_saved = on_saved
        self._writer = writer
        self._waiting = 0
        self._begun_s: deque[float] = deque()
        self._slowest_s = 0.0
        self.is_failed = False

    def record(self, fact: Fact) -> None:
        """Write a fact soon; a power loss may lose it."""
        self._submit(lambda: self._append(fact))

    def record_durably(self, fact: Fact) -> "asyncio.Future[int]":
        """Write a fact; the future is done when it and all before it are durable."""
        now_s = asyncio.get_running_loop().time
        self._begun_s.append(now_s())
        durable = self._submit(lambda: self._append_durably(fact))
        durable.add_done_callback(lambda done: self._synced(now_s()))
        return durable

    def take_slowest_s(self) -> float:
        """Return the longest that a durable write took since last asked, one that has not come
        back yet among them; in loop seconds."""
        slowest_s, self._slowest_s = self._slowest_s, 0.0
        if not self._begun_s:
            return slowest_s
        return max(slowest_s, asyncio.get_running_loop().time() - self._begun_s[0])

    def _synced(self, now_s: float) -> None:
        # In the order in which they were handed over.
        self._slowest_s = max(self._slowest_s, now_s - self._begun_s.popleft())

    def save(self, snapshot: Snapshot) -> "asyncio.Future[None]":
        """Save a snapshot; it covers exactly the records handed over before it."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        saved = self._submit(lambda: self._save(snapshot))

        def note(done: "asyncio.Future[None]") -> None:
            if not done.cancelled() and done.exception() is None:
                self._on_saved(loop.time() - began_s)

        saved.add_done_callback(note)
        return saved

    async def close(self) -> None:
        """Return when everything handed over is written; further writes raise."""
        done = self._submit(self._journal.close)
        await asyncio.wait([done])
        self._writer.shutdown(wait=False)

    def _append(self, fact: Fact) -> int:
        return self._journal.append(*records.encode(fact))

    def _append_durably(self, fact: Fact) -> int:
        return self._journal.append_durable(*records.encode(fact))

    def _save(self, snapshot: Snapshot) -> None:
        covered = replace(snapshot, journal_seq=self._journal.last_seq)
        checkpoint(self._store, self._journal, covered)

    def _submit(self, write: Callable[[], Result]) -> "asyncio.Future[Result]":
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        if self.is_failed or self._waiting >= WRITES_WAITING_MAX:
            self._fail(OSError("the state directory cannot be written"), done)
            return done
        self._waiting += 1
        written = self._writer.submit(write)
        written.add_done_callback(lambda w: loop.call_soon_threadsafe(self._finish, w, done))
        return done

    def _finish(self, written: "Future[Result]", done: "asyncio.Future[Result]") -> None:
        self._waiting -= 1
        fault = written.exception()
        if fault is None:
            if not done.done():
                done.set_result(written.result())
        elif isinstance(fault, OSError):
            self._fail(fault, done)
        else:
            # A record that cannot be put into writing is as lost as one that the disk refused.
            self._fail(OSError(f"a record could not be written: {fault!r}"), done)

    def _fail(self, fault: OSError, done: "asyncio.Future[Result]") -> None:
        if not done.done():
            done.set_exception(fault)
            done.exception()  # whoever waits sees it; whoever does not is told through on_failure
        if not self.is_failed:
            self.is_failed = True
            self._on_failure(fault)

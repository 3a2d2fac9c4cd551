"""Writing off the loop: in order, durable before it is said, and never again after a failure."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon import recording
from daemon.recording import Recorder, writer_thread
from state.filesystem import LocalFileSystem
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from state.records import Fact, Filled, Flowed, Submitting
from tests.support.orders import NOON, FixedClock, a_fill, a_snapshot
from tests.support.virtual_loop import in_virtual_time

DIRECTORY = Path("/state")
A_FACT = Submitting(at=NOON, client_order_id="tw1-a")
UNWRITABLE = Flowed(at=NOON, amount_usd=Decimal("NaN"), reason="impossible")


class Writer(Executor):
    """Runs what it is given when it is told to, in order; at once unless `is_slow`."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self.is_shut = False

    def submit(self, write: Callable[[], Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.waiting.append((future, write))
        if not self.is_slow:
            self.run()
        return future

    def run(self, count: int = 1_000) -> None:
        for _ in range(min(count, len(self.waiting))):
            future, write = self.waiting.popleft()
            try:
                future.set_result(write())
            except Exception as fault:  # noqa: BLE001
                future.set_exception(fault)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.is_shut = True


class Desk:
    """A recorder on a disk in memory, and what it was told of failures."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.fs = MemoryFileSystem()
        self.store = JsonStateStore(self.fs, DIRECTORY)
        self.journal, _ = JsonLinesJournal.open(self.fs, DIRECTORY / "journal", FixedClock())
        self.writer = Writer(is_slow=is_slow)
        self.failures: list[OSError] = []
        self.saved_s: list[float] = []
        self.recorder = Recorder(
            self.journal,
            self.store,
            writer=self.writer,
            on_failure=self.failures.append,
            on_saved=self.saved_s.append,
        )

    def break_disk(self) -> None:
        self.fs.fail_from(self.fs.operations + 1)

    def kinds(self) -> list[str]:
        """Return the kinds of the records that a later process would read."""
        self.fs.kill()
        _, found = JsonLinesJournal.open(self.fs, DIRECTORY / "journal", FixedClock())
        return [record.kind for record in found.records]

    def durable_kinds(self) -> list[str]:
        """Return the kinds of the records that outlive the power."""
        self.fs.lose_power()
        return self.kinds()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@in_virtual_time
async def test_records_are_written_in_the_order_they_were_handed_over() -> None:
    desk = Desk(is_slow=True)
    facts: list[Fact] = [A_FACT, Filled(fill=a_fill()), A_FACT]
    desk.recorder.record(facts[0])
    done = desk.recorder.record_durably(facts[1])
    desk.recorder.record(facts[2])
    desk.writer.run()
    assert await done == 2
    assert desk.kinds() == ["SUBMITTING", "FILL", "SUBMITTING"]


@in_virtual_time
async def test_a_durable_record_is_told_of_when_it_is_on_disk_and_not_before() -> None:
    desk = Desk(is_slow=True)
    done = desk.recorder.record_durably(A_FACT)
    await turns()
    assert not done.done()
    desk.writer.run()
    await done
    assert desk.durable_kinds() == ["SUBMITTING"]


@in_virtual_time
async def test_a_durable_record_makes_all_before_it_durable() -> None:
    desk = Desk()
    desk.recorder.record(A_FACT)
    await desk.recorder.record_durably(Filled(fill=a_fill()))
    desk.recorder.record(A_FACT)
    assert desk.durable_kinds() == ["SUBMITTING", "FILL"]


@in_virtual_time
async def test_a_snapshot_covers_what_was_handed_over_before_it_and_nothing_after() -> None:
    desk = Desk(is_slow=True)
    desk.recorder.record(A_FACT)
    desk.recorder.record(A_FACT)
    saved = desk.recorder.save(a_snapshot())
    desk.recorder.record(A_FACT)
    desk.writer.run()
    await saved
    loaded = desk.store.load()
    assert loaded is not None
    assert loaded.journal_seq == 2


@in_virtual_time
async def test_what_a_snapshot_covers_is_durable() -> None:
    desk = Desk()
    desk.recorder.record(A_FACT)
    await desk.recorder.save(a_snapshot())
    assert desk.durable_kinds() == ["SUBMITTING"]


@in_virtual_time
async def test_how_long_a_save_took_is_told() -> None:
    desk = Desk(is_slow=True)
    saved = desk.recorder.save(a_snapshot())
    await asyncio.sleep(2.0)
    desk.writer.run()
    await saved
    await turns()
    assert desk.saved_s == [2.0]


# --- failures ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_failed_durable_record_raises_and_is_told() -> None:
    desk = Desk()
    desk.break_disk()
    with pytest.raises(OSError, match="failed as told"):
        await desk.recorder.record_durably(A_FACT)
    assert len(desk.failures) == 1
    assert desk.recorder.is_failed


@in_virtual_time
async def test_a_failed_record_that_nobody_waits_for_is_told() -> None:
    desk = Desk()
    desk.break_disk()
    desk.recorder.record(A_FACT)
    await turns()
    assert len(desk.failures) == 1


@in_virtual_time
async def test_a_failed_snapshot_is_told() -> None:
    desk = Desk()
    desk.break_disk()
    with pytest.raises(OSError, match="failed as told"):
        await desk.recorder.save(a_snapshot())
    assert len(desk.failures) == 1
    assert desk.saved_s == []


@in_virtual_time
async def test_after_a_failure_nothing_is_written_any_more_though_the_disk_is_well_again() -> None:
    desk = Desk()
    desk.break_disk()
    desk.recorder.record(A_FACT)
    await turns()
    desk.fs.mend()
    before = desk.fs.operations
    for _ in range(3):
        with pytest.raises(OSError, match="cannot be written"):
            await desk.recorder.record_durably(A_FACT)
    with pytest.raises(OSError, match="cannot be written"):
        await desk.recorder.save(a_snapshot())
    assert desk.fs.operations == before


@in_virtual_time
async def test_a_failure_is_told_once() -> None:
    desk = Desk()
    desk.break_disk()
    for _ in range(3):
        desk.recorder.record(A_FACT)
    await turns()
    desk.recorder.record(A_FACT)
    assert len(desk.failures) == 1


@in_virtual_time
async def test_a_record_that_cannot_be_put_into_writing_is_a_failure_too() -> None:
    desk = Desk()
    desk.recorder.record(UNWRITABLE)
    await turns()
    assert desk.recorder.is_failed
    assert "could not be written" in str(desk.failures[0])


@in_virtual_time
async def test_who_waits_for_a_record_that_cannot_be_written_hears_of_it() -> None:
    desk = Desk()
    with pytest.raises(OSError, match="could not be written"):
        await desk.recorder.record_durably(UNWRITABLE)


@in_virtual_time
async def test_a_disk_that_does_not_keep_up_is_taken_for_dead() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recording, "WRITES_WAITING_MAX", 3)
        desk = Desk(is_slow=True)
        for _ in range(3):
            desk.recorder.record(A_FACT)
        assert not desk.failures
        desk.recorder.record(A_FACT)
        assert len(desk.failures) == 1


@in_virtual_time
async def test_writes_that_were_done_make_room_for_others() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recording, "WRITES_WAITING_MAX", 3)
        desk = Desk()
        for _ in range(10):
            await desk.recorder.record_durably(A_FACT)
        assert not desk.failures


# --- the end -------------------------------------------------------------------------------------


@in_virtual_time
async def test_closing_waits_for_what_was_handed_over() -> None:
    desk = Desk(is_slow=True)
    desk.recorder.record(A_FACT)
    closing = asyncio.get_running_loop().create_task(desk.recorder.close())
    await turns()
    assert not closing.done()
    desk.writer.run()
    await closing
    assert desk.writer.is_shut
    assert desk.kinds() == ["SUBMITTING"]


@in_virtual_time
async def test_closing_after_a_failure_does_not_hang() -> None:
    desk = Desk()
    desk.break_disk()
    desk.recorder.record(A_FACT)
    await turns()
    async with asyncio.timeout(5):
        await desk.recorder.close()
    assert desk.writer.is_shut


async def test_a_real_thread_keeps_the_order(tmp_path: Path) -> None:
    journal, _ = JsonLinesJournal.open(LocalFileSystem(), tmp_path / "journal", FixedClock())
    store = JsonStateStore(LocalFileSystem(), tmp_path)
    failures: list[OSError] = []
    recorder = Recorder(journal, store, writer=writer_thread(), on_failure=failures.append)
    numbers = [recorder.record_durably(A_FACT) for _ in range(5)]
    assert await asyncio.gather(*numbers) == [1, 2, 3, 4, 5]
    await recorder.save(a_snapshot())
    await recorder.close()
    loaded = store.load()
    assert loaded is not None
    assert loaded.journal_seq == 5
    assert not failures

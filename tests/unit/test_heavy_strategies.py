"""Strategies that are asked off the loop, more of them at once than there are threads."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon.asking import Asker
from daemon.engine.commands import Ask
from daemon.runner import Runner
from domain.events import OpinionFailed, OpinionGiven
from tests.support.engines import signals
from tests.support.orders import NOON, FixedClock
from tests.support.shells import NoNote

ASKED = 40
THREADS_MAX = min(32, (os.cpu_count() or 1) + 4)
"""Python's own limit on the threads that a loop lends."""
WAIT_S = 10.0


class Slow:
    """Answers when it is let, and remembers in how many threads it is at work."""

    heavy = True

    def __init__(self) -> None:
        self.let = threading.Event()
        self.threads: set[int] = set()

    def decide(self, market: object) -> object:
        self.threads.add(threading.get_ident())
        assert self.let.wait(WAIT_S)
        return signals(0.0, 0.0, 0.0)


def a_runner(slow: Slow, got: list[OpinionGiven | OpinionFailed]) -> Runner:
    """A runner that knows how to ask, and nothing else."""
    runner = Runner.__new__(Runner)
    runner._asker = Asker(
        {f"s{number}": slow for number in range(ASKED)},  # type: ignore[misc]
        note=NoNote(),
        clock=FixedClock(),
        stopwatch_s=lambda: 0.0,
        budget_s=1.0,
    )
    runner.post = got.append  # type: ignore[assignment, method-assign]
    return runner


@asynccontextmanager
async def all_asked(slow: Slow, got: list[OpinionGiven | OpinionFailed]) -> AsyncIterator[None]:
    """Ask all at once; by the end of the block they may answer, and are waited for."""
    runner = a_runner(slow, got)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        for number in range(ASKED):
            ask = Ask(strategy=f"s{number}", slot_at=NOON, market=None)  # type: ignore[arg-type]
            group.create_task(runner._ask_in_thread(ask))
        while not slow.threads:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        try:
            yield
        finally:
            slow.let.set()


async def test_many_heavy_strategies_share_a_bounded_number_of_threads() -> None:
    slow, got = Slow(), list[OpinionGiven | OpinionFailed]()
    async with all_asked(slow, got):
        assert got == []
    assert len(slow.threads) <= THREADS_MAX < ASKED


async def test_whoever_waits_for_a_thread_answers_in_the_end() -> None:
    slow, got = Slow(), list[OpinionGiven | OpinionFailed]()
    async with all_asked(slow, got):
        pass
    assert {answer.strategy for answer in got} == {f"s{number}" for number in range(ASKED)}
    assert all(isinstance(answer, OpinionGiven) for answer in got)


async def test_the_loop_goes_on_while_every_thread_is_taken() -> None:
    slow, got = Slow(), list[OpinionGiven | OpinionFailed]()
    async with all_asked(slow, got):
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        assert (turns, got) == (100, [])

"""Waiting for market instants: by the clock, or in lockstep with an exchange that waits for us."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from daemon.clock import LockstepClock, Pace, VenueClock, sleep_until

SETTLING_TURNS = 10
"""Turns of the loop given to tasks that were just woken; work that takes more is `at_work`."""

_worker: ContextVar["asyncio.Task[object] | None"] = ContextVar("worker", default=None)
"""The task that is at work here. What it starts inherits this, and is not at work for it."""


class Pacing(Protocol):
    """How the daemon's loops wait for market time, and say when they are at work."""

    async def sleep_until(self, at: datetime) -> None:
        """Return once market time has reached `at`."""
        ...

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Mark the enclosed work as under way: in lockstep, market time stands still meanwhile."""
        ...


class ClockPacing:
    """Market time passes by itself, whatever we do."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def sleep_until(self, at: datetime) -> None:
        """Return once market time has reached `at`."""
        await sleep_until(self._pace, at.timestamp())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Do nothing: nobody waits for us."""
        yield


class VenuePacing:
    """Market time runs as an embedded exchange's does: faster, and past closed hours at once."""

    def __init__(self, clock: VenueClock) -> None:
        self._clock = clock

    async def sleep_until(self, at: datetime) -> None:
        """Return once market time has reached `at`."""
        # Nobody can set an event for us: the clock is the exchange's.
        while self._clock.now() < at:  # noqa: ASYNC110
            # A hair on top, or the loop's rounding could wake us just before it for ever.
            await asyncio.sleep(max(0.0, self._clock.real_s_until(at)) + 1e-4)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Do nothing: nobody waits for us."""
        yield


@dataclass(order=True, slots=True)
class _Sleeper:
    at: datetime
    number: int
    woken: asyncio.Future[None] = field(compare=False)


class LockstepPacing:
    """Market time passes only while everybody sleeps, and then at once to the next one's instant.

    `advance` moves the exchange to an instant and returns once all that happened on the way has
    reached us. Work that is neither a sleep nor inside `at_work` is not waited for.
    """

    def __init__(
        self, clock: LockstepClock, advance: Callable[[datetime], Awaitable[datetime]]
    ) -> None:
        self._clock = clock
        self._advance = advance
        self._sleepers: list[_Sleeper] = []
        self._numbers = 0
        self._at_work = 0
        self._changed = asyncio.Event()

    async def sleep_until(self, at: datetime) -> None:
        """Return once market time has reached `at`."""
        if at <= self._clock.now():
            return
        self._numbers += 1
        sleeper = _Sleeper(at, self._numbers, asyncio.get_running_loop().create_future())
        heapq.heappush(self._sleepers, sleeper)
        self._changed.set()
        # A sleeper inside at_work (waiting for budget, say) does not hold up the time it waits for.
        held = _worker.get() is asyncio.current_task()
        self._at_work -= held
        try:
            await sleeper.woken
        finally:
            self._at_work += held

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold market time while the enclosed work is under way."""
        self._at_work += 1
        token = _worker.set(asyncio.current_task())
        try:
            yield
        finally:
            _worker.reset(token)
            self._at_work -= 1
            self._changed.set()

    async def conduct(self) -> None:
        """Advance market time whenever nobody is at work; runs until cancelled."""
        while True:
            await self._settle()
            # Nobody waits any more for what a cancelled task slept for.
            while self._sleepers and self._sleepers[0].woken.done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._at_work:
                self._changed.clear()
                await self._changed.wait()
                continue
            reached = await self._advance(self._sleepers[0].at)
            self._clock.set_to(reached)
            await self._settle()
            while self._sleepers and self._sleepers[0].at <= reached:
                woken = heapq.heappop(self._sleepers).woken
                if not woken.done():
                    woken.set_result(None)

    async def _settle(self) -> None:
        """Let every task that can go on without new input do so."""
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)

"""What time it is: the only file that asks the machine.

*Market time* rules sessions, bars, staleness and request budgets; *loop time* (the event loop's)
rules time-outs and back-off. Live they agree; on the embedded venue market time runs ahead.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from domain.calendar import MarketClock
from domain.ports import Clock

RealTime = Callable[[], float]
"""Epoch seconds of the real world; simulated worlds hand in their own."""

LOCKSTEP_POLL_S = 0.02
"""How often a wait for a clock that others advance looks again, in loop seconds."""


def real_time_s() -> float:
    """Return epoch seconds as the machine believes them."""
    return time.time()  # noqa: TID251 - this is the Clock


def stopwatch_s() -> float:
    """Return seconds on a clock that only ever runs on; for measuring how long something took."""
    return time.perf_counter()


class SystemClock:
    """Market time is real time. A machine clock set back makes it stand still, not go back."""

    def __init__(self, real_time: RealTime = real_time_s) -> None:
        self._real_time = real_time
        self._latest_s = real_time()

    def now(self) -> datetime:
        """Return the market instant, aware UTC."""
        self._latest_s = max(self._latest_s, self._real_time())
        return datetime.fromtimestamp(self._latest_s, UTC)


class VenueClock:
    """Market time of an embedded venue, computed from the constants that the venue serves."""

    def __init__(self, market_clock: MarketClock, real_time: RealTime = real_time_s) -> None:
        self._market_clock = market_clock
        self._real_time = real_time
        self._latest_at = market_clock.market_time(real_time())

    @property
    def speed(self) -> float:
        """Market seconds in a real second."""
        return self._market_clock.speed

    def now(self) -> datetime:
        """Return the market instant, aware UTC."""
        at = self._market_clock.market_time(self._real_time())
        self._latest_at = max(self._latest_at, at)
        return self._latest_at

    def real_s_until(self, at: datetime) -> float:
        """Return the real seconds until market time reaches `at`, skipped hours left out."""
        return self._market_clock.real_time(at) - self._real_time()

    def follow(self, market_clock: MarketClock) -> None:
        """Go on with constants read again after a reconnect; what was already now stays past."""
        self._market_clock = market_clock


class LockstepClock:
    """Market time that another party sets: the exchange waits for us, or a test does."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the market instant, aware UTC."""
        return self._at

    def set_to(self, at: datetime) -> None:
        """Move on to `at`; an earlier instant (a message overtaken by another) changes nothing."""
        self._at = max(self._at, at)


class Pace(Protocol):
    """Market time as seconds, and how to wait for it."""

    def now_s(self) -> float:
        """Return market time in seconds since an epoch; never goes backwards."""
        ...

    def loop_s(self, market_s: float) -> float:
        """Return after how many seconds of loop time it is worth looking whether that much market
        time has passed."""
        ...

    async def sleep(self, market_s: float) -> None:
        """Return once that much market time has passed."""
        ...


class ClockPace:
    """The pace of a clock that runs `speed` times as fast as the loop.

    It may jump ahead (closed hours skipped): a wait then ends no more than its full loop time late.
    """

    def __init__(self, clock: Clock, *, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"a clock's speed is above zero, not {speed}")
        self._clock = clock
        self._speed = speed

    def now_s(self) -> float:
        """Return market time in seconds since 1970."""
        return self._clock.now().timestamp()

    def loop_s(self, market_s: float) -> float:
        """Return the loop seconds that so many market seconds take."""
        return max(0.0, market_s) / self._speed

    async def sleep(self, market_s: float) -> None:
        """Return once that much market time has passed."""
        await sleep_until(self, self.now_s() + market_s)


class LockstepPace:
    """The pace of a clock that someone else advances: look again every LOCKSTEP_POLL_S."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now_s(self) -> float:
        """Return market time in seconds since 1970."""
        return self._clock.now().timestamp()

    def loop_s(self, market_s: float) -> float:
        """Return the loop seconds after which to look again."""
        return LOCKSTEP_POLL_S if market_s > 0 else 0.0

    async def sleep(self, market_s: float) -> None:
        """Return once the clock has been advanced that far."""
        await sleep_until(self, self.now_s() + market_s)


async def sleep_until(pace: Pace, due_s: float) -> None:
    """Return once `pace.now_s()` has reached `due_s`."""
    # Nobody can set an event for us: the clock may be another machine's, and may jump.
    while (left_s := due_s - pace.now_s()) > 0:  # noqa: ASYNC110
        # A microsecond on top, or the loop's rounding could wake us a hair early for ever.
        await asyncio.sleep(pace.loop_s(left_s) + 1e-6)

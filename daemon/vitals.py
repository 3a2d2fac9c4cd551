"""How the daemon and its machine are: what the circuit breakers of lag, disk and clock look at."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from daemon.clock import VenueClock
from domain.errors import VenueError
from domain.events import VitalsMeasured
from domain.ports import Clock
from state.filesystem import FileSystem

EVERY_S: Final = 5.0
"""Loop time between two measurements…"""
SKEW_EVERY_S: Final = 60.0
"""…and between two looks at the venue's clock."""
MEGABYTE: Final = 1024 * 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the measurements come from."""

    clock: Clock
    fs: FileSystem
    directory: Path
    take_slowest_fsync_s: Callable[[], float]
    venue_time: Callable[[], Awaitable[datetime]]
    """Returns the venue's clock. Raises VenueError."""


class Vitals:
    """Collects what is measured between two reports."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._lag_s = 0.0
        self._reported_s = float("-inf")
        self._skew_s: float | None = None

    def lagged(self, lag_s: float) -> VitalsMeasured | None:
        """Take in by how much the loop came late; return a report when one is due."""
        self._lag_s = max(self._lag_s, lag_s)
        now_s = asyncio.get_running_loop().time()
        if now_s - self._reported_s < EVERY_S:
            return None
        self._reported_s = now_s
        report = VitalsMeasured(
            at=self._sources.clock.now(),
            loop_lag_s=self._lag_s,
            fsync_s=self._sources.take_slowest_fsync_s(),
            disk_free_mb=self._disk_free_mb(),
            clock_skew_s=self._skew_s,
        )
        self._lag_s = 0.0
        return report

    async def watch_clock(self) -> None:
        """Look at the venue's clock for ever."""
        while True:
            await self.look_at_clock()
            await asyncio.sleep(SKEW_EVERY_S)

    async def look_at_clock(self) -> None:
        """Measure how far the venue's clock is ahead of ours, what the answer took left out."""
        clock = self._sources.clock
        before = clock.now()
        try:
            venue_at = await self._sources.venue_time()
        except VenueError as fault:
            # How far off it was when last seen says nothing of now.
            self._skew_s = None
            _log.debug("venue_clock_unseen", reason=str(fault))
            return
        after = clock.now()
        half_s = (after - before).total_seconds() / 2
        off_s = (venue_at - before).total_seconds() - half_s
        speed = clock.speed if isinstance(clock, VenueClock) else 1.0
        certain_s = max(0.0, abs(off_s) - half_s) / speed
        self._skew_s = certain_s if off_s > 0 else -certain_s

    def _disk_free_mb(self) -> float | None:
        try:
            return self._sources.fs.free_bytes(self._sources.directory) / MEGABYTE
        except OSError:
            return None

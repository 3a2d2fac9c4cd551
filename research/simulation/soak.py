"""One daemon, many days, nothing that befalls it: what it holds must not grow with time.

The exchange and the judge live in the same process and keep every order, as they must; so what the
daemon itself holds is measured, too: the sizes of all objects that can be reached from it without
passing through the loop, the wire or the exchange.
"""

import asyncio
import contextlib
import gc
import os
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from exchange.records import EventKind, VenueEvent
from research.simulation.swarm import CALM
from research.simulation.world import Wish, World

SEED, SPEED = 5, 240.0
SLOPE_DAYS = 30
SLOPE_MB_MAX = 1.0
WARM_SHARE = 3
"""The first third of the days fills caches and bounded histories, and is left out of the slope."""
_MEGABYTE = 2**20
_NOT_ENTERED = ("exchange", "research", "asyncio", "aiohttp", "_asyncio", "importlib", "logging")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What stood at one close."""

    daemon_mb: float
    process_mb: float
    tasks: int
    timers: int
    descriptors: int


@dataclass(slots=True)
class Soak:
    """What stood at each close, and what was wrong."""

    closes: list[Held] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def slope_mb(self, name: str) -> float:
        """Return by how many megabytes a figure grows in 30 days, by least squares."""
        values = [getattr(held, name) for held in self.closes[len(self.closes) // WARM_SHARE :]]
        if len(values) < 2:
            return 0.0
        return float(np.polyfit(np.arange(len(values)), values, 1)[0]) * SLOPE_DAYS

    def growth(self, name: str) -> int:
        """Return by how much the most of a count in the last third exceeds that of the first."""
        third = max(1, len(self.closes) // 3)
        counts = [getattr(held, name) for held in self.closes]
        return int(max(counts[-third:]) - max(counts[:third]))

    def judge(self) -> None:
        """Note what grows; short runs say nothing of slopes, and are judged by their counts."""
        slope_mb = self.slope_mb("daemon_mb")
        if len(self.closes) >= SLOPE_DAYS and slope_mb > SLOPE_MB_MAX:
            self.failed.append(f"the daemon grows by {slope_mb:.2f} MB in {SLOPE_DAYS} days")
        for name in ("tasks", "timers", "descriptors"):
            if self.growth(name) > 2:
                self.failed.append(f"{name} grew by {self.growth(name)}")


def soak(days: int) -> Soak:
    """Live through so many calm days in one process."""
    world, found = World(Wish(seed=SEED, days=days, swarm=CALM, wide=False, speed=SPEED)), Soak()

    def closed(events: list[VenueEvent]) -> None:
        if any(event.kind is EventKind.DAY_CLOSED for event in events):
            world.loop.call_soon(look)

    def look() -> None:
        # What a world keeps for the sake of its killed processes is nothing here: nobody dies.
        gc.collect()
        found.closes.append(
            Held(
                daemon_mb=_bytes_held(world.daemon.assembly) / _MEGABYTE,
                process_mb=_resident_mb(),
                tasks=len(asyncio.all_tasks(world.loop)),
                timers=sum(not timer.cancelled() for timer in world.loop._scheduled),
                descriptors=len(os.listdir("/proc/self/fd")),
            )
        )

    world.venue.watchers.append(closed)
    outcome = world.run()
    found.failed += [str(violation) for violation in outcome.violations]
    found.judge()
    return found


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE


def _bytes_held(root: Any) -> int:
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen or _is_beyond(item):
            continue
        seen.add(id(item))
        with contextlib.suppress(TypeError):
            total += sys.getsizeof(item)
        waiting += gc.get_referents(item)
    return total


def _is_beyond(item: object) -> bool:
    """Return whether an object is code, or belongs to the loop, the wire or the exchange."""
    if isinstance(item, type | types.ModuleType | types.FunctionType | types.CodeType):
        return True
    if isinstance(item, types.FrameType | types.CoroutineType | types.BuiltinFunctionType):
        return True
    module = type(item).__module__ or ""
    return module.partition(".")[0] in _NOT_ENTERED

"""The tiers beside the worlds: spoilt state, spoilt answers, real kills, one long life.

With a results file each run takes the next seed, is added to the file, and the sums over all runs,
on whatever machine, are what is printed.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import orjson

from research.simulation.load import load
from research.simulation.ready import READY_S_MAX, kill_and_wait
from research.simulation.real_kills import kill_often
from research.simulation.soak import soak
from research.simulation.state_fuzz import fuzz_state
from research.simulation.wire_fuzz import fuzz_wire

Say = Callable[[str], None]
TOLD_MAX = 10
QUIET_S_MAX, LOOK_S = 120.0, 5.0
"""Seconds for which a measurement to be repeated waits for a machine with a core to spare."""


def spoil_state(size_bytes: int, *, say: Say) -> bool:
    """Cut and change every byte of a snapshot and a journal; return whether all came out right."""
    found = fuzz_state(size_bytes)
    say(
        f"{found.tried} states, of a snapshot of {found.snapshot_bytes} and a journal of "
        f"{found.journal_bytes} bytes: {found.loaded} loaded as they were, {found.refused} "
        f"refused, {len(found.failed)} bad"
    )
    return _told(found.failed, say)


def spoil_answers(count: int, *, results: Path | None, say: Say) -> bool:
    """Read so many spoilt payloads; return whether none escaped."""
    seed = 1 + len(_before(results, "wire"))
    found = fuzz_wire(count, seed=seed)
    sums = _add(results, "wire", {"tried": found.tried, "refused": found.refused}, found.failed)
    say(
        f"{sums['tried']} payloads of {len(found.kinds)} kinds read (seeds 1 to {seed}): "
        f"{sums['refused']} refused, {sums['failed']} bad"
    )
    return _told(found.failed, say)


def kill_really(count: int, *, results: Path | None, say: Say) -> bool:
    """Kill real processes; return whether nothing was lost and all were ready in time."""
    seed = 1 + len(_before(results, "kills"))
    found = kill_often(count, seed=seed)
    slowest_s = found.ready_at(0.99)
    # Beside other parts a start waits for a core; the part that measures starts alone judges.
    if slowest_s > READY_S_MAX and os.getloadavg()[0] <= (os.cpu_count() or 1):
        found.failed.append(f"ready again within {slowest_s:.2f} s, not {READY_S_MAX:g}")
    counts = {"kills": found.kills, "in_recovery": found.in_recovery, "orders": found.orders}
    sums = _add(results, "kills", counts, found.failed)
    say(
        f"{sums['kills']} real kills (seeds 1 to {seed}), {sums['in_recovery']} of them in "
        f"recovery, {sums['orders']} orders; this time ready again after "
        f"{found.ready_at(0.5):.2f} s (half), {slowest_s:.2f} s (99 of 100); {sums['failed']} bad"
    )
    return _told(found.failed, say)


def bear_load(seconds: float, *, say: Say) -> bool:
    """Stream messages into a real daemon for so long; return whether it kept up."""
    return timed(lambda: load(seconds), say)


def be_ready(kills: int, records: int, *, say: Say) -> bool:
    """Kill a real daemon so many times; return whether it was ready again in time."""
    return timed(lambda: kill_and_wait(kills, records=records), say)


class _Timed(Protocol):
    """What was measured in real time."""

    failed: list[str]

    def line(self) -> str: ...


def timed(
    measure: Callable[[], _Timed],
    say: Say,
    load_average: Callable[[], float] = lambda: os.getloadavg()[0],
    wait: Callable[[float], None] = time.sleep,
) -> bool:
    """Measure; once more, and only once, where it fell short while others were at work, too."""
    busy = load_average()
    found = measure()
    say(found.line())
    busy, cores = max(busy, load_average()), os.cpu_count() or 1
    if not found.failed or busy <= cores:
        return _told(found.failed, say)
    say(
        f"{'; '.join(found.failed)}: with a load average of {busy:.1f} on {cores} cores these are "
        f"times of waiting for a core; measured once more, in {QUIET_S_MAX:.0f} s at the latest"
    )
    waited_s = 0.0
    while waited_s < QUIET_S_MAX and load_average() > cores:
        wait(LOOK_S)
        waited_s += LOOK_S
    found = measure()
    say(found.line())
    return _told(found.failed, say)


def live_long(days: int, *, say: Say) -> bool:
    """Live through so many days in one process; return whether nothing grew."""
    found = soak(days)
    first, last = found.closes[0], found.closes[-1]
    say(
        f"{len(found.closes)} closes in one process: the daemon holds {first.daemon_mb:.2f} to "
        f"{last.daemon_mb:.2f} MB, {found.slope_mb('daemon_mb'):+.2f} MB in 30 days; the process, "
        f"with the exchange's books and the judge's, {found.slope_mb('process_mb'):+.2f} MB; tasks "
        f"{first.tasks} to {last.tasks}, timers {first.timers} to {last.timers}, descriptors "
        f"{first.descriptors} to {last.descriptors}"
    )
    return _told(found.failed, say)


def _told(failed: list[str], say: Say) -> bool:
    for line in failed[:TOLD_MAX]:
        say(f"VIOLATION {line}")
    return not failed


def _before(results: Path | None, tier: str) -> list[dict[str, Any]]:
    if results is None or not results.exists():
        return []
    lines = map(orjson.loads, results.read_bytes().splitlines())
    return [line for line in lines if line["tier"] == tier]


def _add(
    results: Path | None, tier: str, counts: dict[str, int], failed: list[str]
) -> Counter[str]:
    """Add a run to the file; return the sums over all of its tier."""
    counts |= {"failed": len(failed)}
    sums = Counter(counts)
    for line in _before(results, tier):
        sums.update(line["counts"])
    if results is not None:
        with results.open("ab") as file:
            file.write(orjson.dumps({"tier": tier, "counts": counts, "bad": failed[:3]}) + b"\n")
    return sums

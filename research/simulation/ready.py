"""How long a real daemon that was ended by SIGKILL takes until it trades again, and on what."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.clock import stopwatch_s
from research.simulation.long_journal import lengthen
from research.simulation.site import SETTINGS, Site, busy_s, share_of

READY_S_MAX = 5.0
WAIT_S_MAX = 120.0
LOOK_S = 0.005
ALIVE_S = 2.0
SAVED_S_MAX = 30.0
STAGES: Mapping[str, bytes] = {
    "python and its imports": b"Looking for the embedded exchange",
    "finding the venue": b"Reading the account",
    "recovering the state": b"Loading history",
    "history": b"Comparing the book",
    "comparing": b"Ready; trading",
}
"""What takes the time, and what the daemon says when it is over."""
_QUIET = {
    **SETTINGS,
    "TRADING_SYMBOLS": "",
    # Nothing is ordered, so that the same state may be put back under the same account.
    "STRATEGIES": "chatter(seed=3,enter=0.0,leave=0.0,timeframe=1Min)",
}


@dataclass(slots=True)
class Readiness:
    """What came of it; times in seconds."""

    records: int = 0
    """Records that each start had to fold onto its snapshot, beside the run's own."""
    ready_s: list[float] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    """The daemon's processor time until it was ready: what a busy machine does not change."""
    stages_s: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Note what falls short."""
        if self.ready_at(0.99) > READY_S_MAX:
            self.failed.append(f"ready again in {self.ready_at(0.99):.2f} s, not {READY_S_MAX:g}")

    def ready_at(self, share: float) -> float:
        """Return within how many seconds this share of the starts was ready."""
        return share_of(self.ready_s, share)

    def line(self) -> str:
        """Return all of it in one line."""
        halves = ", ".join(
            f"{name} {sorted(times)[len(times) // 2]:.2f}" for name, times in self.stages_s.items()
        )
        kept = f" on a journal of {self.records:,} records" if self.records else ""
        return (
            f"{len(self.ready_s)} kills{kept}: ready again after "
            f"{self.ready_at(0.5):.2f} s (half), {self.ready_at(0.99):.2f} s (99 of 100), "
            f"{self.ready_at(1.0):.2f} s (most), of "
            f"processor time {sorted(self.busy_s)[len(self.busy_s) // 2]:.2f} s (half); the parts "
            f"(half): {halves}; load average {os.getloadavg()[0]:.1f}"
        )


def kill_and_wait(kills: int, *, records: int = 0) -> Readiness:
    """Kill a trading daemon so many times; each start reads what the one before left, or, with
    `records`, a state whose journal has so many that its snapshot does not cover."""
    found = Readiness(records=records)
    with tempfile.TemporaryDirectory() as folder:
        settings = _QUIET if records else SETTINGS
        with Site(Path(folder), settings) as site:
            _kill_often(site, kills, found)
    if not found.failed:
        found.judge()
    return found


def _kill_often(site: Site, kills: int, found: Readiness) -> None:
    last_seq = 0
    if not _start(site, None):
        found.failed.append(f"not ready in {WAIT_S_MAX:.0f} s: {site.last_words()}")
        return
    time.sleep(ALIVE_S)
    if found.records:
        last_seq = _prepare(site, found.records)
    for _ in range(kills):
        site.kill()
        if last_seq:
            shutil.rmtree(site.state)
            shutil.copytree(site.folder / "prepared", site.state)
        if not _start(site, found):
            found.failed.append(f"not ready in {WAIT_S_MAX:.0f} s: {site.last_words()}")
            return
        if last_seq and not _continues(site, last_seq):
            found.failed.append(f"record {last_seq} was not continued from")
        if not last_seq:
            time.sleep(ALIVE_S)


def _prepare(site: Site, records: int) -> int:
    """Stop the daemon, lengthen its journal, and keep the result aside; return the last number."""
    site.terminate()
    [directory] = [path.parent for path in site.state.glob("*/portfolio.json")]
    last_seq = lengthen(directory, records)
    shutil.copytree(site.state, site.folder / "prepared")
    return last_seq


def _start(site: Site, found: Readiness | None) -> bool:
    """Start it and note when it says what; return whether it was ready in time."""
    daemon = site.start()
    due_s, since_s = site.started_s + WAIT_S_MAX, site.started_s
    for name, word in STAGES.items():
        while word not in site.said.read_bytes():
            if stopwatch_s() > due_s or daemon.poll() is not None:
                return False
            time.sleep(LOOK_S)
        now_s = stopwatch_s()
        if found is not None:
            found.stages_s.setdefault(name, []).append(now_s - since_s)
        since_s = now_s
    if found is not None:
        found.ready_s.append(since_s - site.started_s)
        found.busy_s.append(busy_s(daemon.pid))
    return True


def _continues(site: Site, last_seq: int) -> bool:
    """Return whether the journal goes on after a record: it was read to its end."""
    due_s = stopwatch_s() + SAVED_S_MAX
    following = b'{"n":%d,' % (last_seq + 1)
    while stopwatch_s() < due_s:
        if any(following in path.read_bytes()[-100_000:] for path in site.journal()):
            return True
        time.sleep(LOOK_S)
    return False

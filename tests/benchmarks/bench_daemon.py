"""How soon the daemon decides and fills after its start, and what it takes while it runs.

    .venv/bin/python tests/benchmarks/bench_daemon.py [--seconds 60]

Two runs of the real program on the synthetic market, each with an exchange of its own: the demo at
60× until its first fill, then the defaults at speed 1, opened inside a session, for a while. The
figures to hold: first decision within 20 s and first fill within 40 s of the start; at most 200 MB
resident and 3 % of a core; 99 of 100 wake-ups of the loop less than 5 ms late, beyond what a loop
that does nothing beside it is late on this machine.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.processes import Run, Site, site

FIRST_DECISION_S_MAX, FIRST_FILL_S_MAX = 20.0, 40.0
RESIDENT_MB_MAX, CORE_SHARE_MAX, STALL_MS_MAX = 200.0, 0.03, 5.0
IDLE_LOOP = """
import asyncio, sys, uvloop
async def main(seconds):
    loop = asyncio.get_running_loop()
    due = loop.time()
    while seconds > 0:
        seconds -= 0.5
        due = loop.time() + 0.5
        await asyncio.sleep(0.5)
        print(max(0.0, loop.time() - due))
uvloop.run(main(float(sys.argv[1])))
"""
LOOK_S = 0.5
"""The beat of the daemon: each look sees another wake-up."""
OPENING_S = 5.0
"""Let the first cycles pass before measuring what it takes to run on."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and what it must not exceed."""

    name: str
    value: float
    limit: float
    unit: str

    def line(self) -> str:
        """Return it as a line of a table."""
        verdict = "ok" if self.value <= self.limit else "OVER"
        return f"{self.name:<38}{self.value:>9.2f} {self.unit:<4} at most {self.limit:g}  {verdict}"


def main() -> int:
    """Measure, print, and return 1 when a figure is over its limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long to watch the defaults"
    )
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        figures = [
            *measure_start(Path(folder) / "demo"),
            *measure_run(Path(folder) / "run", seconds),
        ]
    for figure in figures:
        print(figure.line())
    return int(any(figure.value > figure.limit for figure in figures))


def measure_start(folder: Path) -> list[Figure]:
    """Return how long the demo takes to its first decision and its first fill."""
    with site(folder) as place:
        run = place.daemon("--demo", "--speed", "60")
        decision_s = _seconds_until(run, '"event":"decision"')
        fill_s = _seconds_until(run, '"event":"fill"')
        run.stop()
    return [
        Figure("start to first decision (demo, 60×)", decision_s, FIRST_DECISION_S_MAX, "s"),
        Figure("start to first fill (demo, 60×)", fill_s, FIRST_FILL_S_MAX, "s"),
    ]


def _seconds_until(run: Run, pattern: str) -> float:
    run.await_line(pattern, 120)
    return time.monotonic() - run.started_s


def measure_run(folder: Path, seconds: float) -> list[Figure]:
    """Return memory, processor and stalls of a daemon at the defaults while the market is open."""
    with site(folder) as place:
        run = place.daemon()
        run.await_line('"event":"session_opened"', 120)
        time.sleep(OPENING_S)
        idle = subprocess.Popen(
            [sys.executable, "-c", IDLE_LOOP, str(seconds)], stdout=subprocess.PIPE, text=True
        )
        used_s, began_s = _processor_s(run), time.monotonic()
        lags_s = _lags(place, until_s=began_s + seconds)
        share = (_processor_s(run) - used_s) / (time.monotonic() - began_s)
        resident_mb = _resident_mb(run)
        run.stop()
    idle_s = [float(line) for line in idle.communicate()[0].split()]
    return [
        Figure("resident memory (defaults, 1×)", resident_mb, RESIDENT_MB_MAX, "MB"),
        Figure("share of a core (defaults, 1×)", 100 * share, 100 * CORE_SHARE_MAX, "%"),
        Figure(
            "loop late, median, idle loop's off", _beyond(lags_s, idle_s, 50), STALL_MS_MAX, "ms"
        ),
        Figure(
            "loop late, 99 of 100, idle loop's off", _beyond(lags_s, idle_s, 99), STALL_MS_MAX, "ms"
        ),
    ]


def _beyond(lags_s: list[float], idle_s: list[float], percent: int) -> float:
    """Return by how many milliseconds more a percentile is late than the idle loop's."""
    ours, idle = (sorted(x)[percent * (len(x) - 1) // 100] for x in (lags_s, idle_s))
    print(f"  loop late, {percent} of 100: {1e3 * ours:.1f} ms; idle loop {1e3 * idle:.1f} ms")
    return 1e3 * (ours - idle)


def _lags(place: Site, *, until_s: float) -> list[float]:
    found = []
    while time.monotonic() < until_s:
        time.sleep(LOOK_S)
        scrape = place.ask("/metrics").body.decode()
        match = re.search(r"^tradewind_loop_lag_seconds (\S+)$", scrape, re.MULTILINE)
        if match:
            found.append(float(match[1]))
    return found


def _processor_s(run: Run) -> float:
    """Return the seconds of processor used; from the kernel, so that asking costs the daemon
    nothing."""
    fields = Path(f"/proc/{run.process.pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / 100


def _resident_mb(run: Run) -> float:
    text = Path(f"/proc/{run.process.pid}/status").read_text()
    match = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
    assert match is not None
    return int(match[1]) / 1e3


if __name__ == "__main__":
    sys.exit(main())

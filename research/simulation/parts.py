"""`make simulate`: every part, two at a time, each on one core; then, alone, those of real time.

A part that fails does not keep the others from running. What a part says is shown when it ends,
with how long it took; the last line tells what came of all of them, and the exit code is 1 unless
each was good.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from daemon.clock import stopwatch_s

AT_ONCE = 2
PROGRAM = (sys.executable, "-m", "research.simulation")
BESIDE: Mapping[str, tuple[str, ...]] = {
    "worlds": ("--worlds", "136", "--days", "3", "--days-min", "300"),
    "crashes": ("--crash-points", "1000"),
    "mutants": ("--mutants",),
    "same": ("--same", "20"),
    "soak": ("--soak", "60"),
    "kills": ("--real-kills", "50"),
    "fuzz": ("--state-fuzz", "4096", "--wire-fuzz", "100000"),
}
"""Longest first: so two cores are done at about the same time."""
ALONE: Mapping[str, tuple[str, ...]] = {
    "load": ("--load", "10"),
    "ready": ("--ready", "20"),
}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of one part; times in seconds."""

    name: str
    is_good: bool
    said: str
    took_s: float
    busy_s: float

    def line(self) -> str:
        """Return its name, its end and its times."""
        end = "good" if self.is_good else "FAILED"
        return f"==> {self.name}: {end}, {self.took_s:.0f} s, {self.busy_s:.0f} s of processor"


def play(name: str, given: Sequence[str]) -> Played:
    """Run one part as a process of its own, to its end."""
    began_s = stopwatch_s()
    process = subprocess.Popen(
        [*PROGRAM, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Played(
        name=name,
        is_good=process.returncode == 0,
        said=said,
        took_s=stopwatch_s() - began_s,
        # Its own children's included: it has waited for all of them.
        busy_s=used.ru_utime + used.ru_stime,
    )


def play_all(
    beside: Mapping[str, Sequence[str]], alone: Mapping[str, Sequence[str]], *, say: Say
) -> bool:
    """Run all parts; return whether each was good."""
    began_s, played = stopwatch_s(), list[Played]()

    def tell(part: Played) -> None:
        played.append(part)
        say(part.said.rstrip("\n"))
        say(part.line())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(play, name, given) for name, given in beside.items()]
        for ended in as_completed(running):
            tell(ended.result())
    for name, given in alone.items():
        tell(play(name, given))
    failed = [part.name for part in played if not part.is_good]
    busy_s = sum(part.busy_s for part in played)
    say(
        f"==> simulate: {len(played) - len(failed)} of {len(played)} parts good in "
        f"{stopwatch_s() - began_s:.0f} s, {busy_s:.0f} s of processor, on {os.cpu_count()} cores, "
        f"load average {os.getloadavg()[0]:.1f}" + (f"; FAILED: {', '.join(failed)}" * bool(failed))
    )
    return not failed


def main(names: Sequence[str]) -> int:
    """Run the parts named, or all; return the exit code."""
    unknown = sorted(set(names) - {*BESIDE, *ALONE})
    if unknown:
        sys.stderr.write(
            f"no such parts: {', '.join(unknown)}; known: {', '.join(BESIDE)}, {', '.join(ALONE)}\n"
        )
        return 2
    beside = {name: given for name, given in BESIDE.items() if not names or name in names}
    alone = {name: given for name, given in ALONE.items() if not names or name in names}
    return 0 if play_all(beside, alone, say=_say) else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

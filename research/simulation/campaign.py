"""Many worlds, each in a process of its own; their results add up over runs and machines."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from research.simulation.world import Outcome, Wish, World

PIPE_BYTES = 4096
TOLD_MAX = 400
WORLD_S_MAX = 900.0
"""Real seconds after which a world is taken for stuck, and killed."""
FIRED_MIN = 30
"""A fault kind that fired less often in a run of many worlds has not been tried."""
KINDS = (
    "account.blocked",
    "account.deposit",
    "account.order",
    "account.withdrawal",
    "api.blind",
    "api.failing",
    "api.garbled",
    "api.late",
    "api.limited",
    "api.lost",
    "api.unknown",
    "clock.skewed",
    "company.dividend",
    "company.split",
    "disk.slow",
    "exchange.kill",
    "market.halted",
    "network.black_hole",
    "network.hang",
    "network.refuse",
    "network.reset",
    "network.slow",
    "network.split",
    "operator.halt",
    "order.turned.rejected",
    "order.turned.trade_bust",
    "order.turned.trade_correct",
    "process.kill_disk",
    "process.kill_in_recovery",
    "process.kill_step",
    "process.power_cut",
    "process.restart_at_once",
    "process.restart_next_bar",
    "stream.delayed",
    "stream.doubled",
    "stream.lost",
    "stream.muted",
    "stream.unknown",
    "tasks.shuffled",
)
# Others are counted and shown, but too rare for a run to be judged by: failing disks, and restarts
# on the next day, which ending one morning everywhere tries in every third place.
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What many worlds came to."""

    worlds: int = 0
    days: float = 0.0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)

    def add(self, result: dict[str, Any]) -> None:
        """Add one world."""
        self.worlds += 1
        self.days += result["days"]
        self.cpu_s += result["cpu_s"]
        self.counts.update(result["counts"])
        if result["violations"]:
            self.failed[result["seed"]] = result["violations"]

    def untried(self) -> list[str]:
        """Return the fault kinds that fired too rarely for the run to count."""
        return [kind for kind in KINDS if self.counts[kind] < FIRED_MIN]

    def lines(self) -> list[str]:
        """Return the report."""
        kills = sum(self.counts[f"process.kill_{where}"] for where in ("step", "disk"))
        rate = self.days / self.cpu_s if self.cpu_s else 0.0
        lines = [
            f"{self.worlds} worlds, {self.days:.1f} trading days, {kills} kills, "
            f"{self.counts['venue.new']} orders, {self.counts['venue.fill']} filled; "
            f"{rate:.2f} days per second of processor; {len(self.failed)} worlds with violations"
        ]
        shown = sorted(k for k in self.counts if not k.startswith("venue."))
        lines += [f"  {kind:28} {self.counts[kind]}" for kind in shown]
        return lines


def as_result(outcome: Outcome, *, cpu_s: float) -> dict[str, Any]:
    """Return an outcome as JSON."""
    return {
        "seed": outcome.seed,
        "days": round(outcome.days, 3),
        "steps": outcome.steps,
        "trace": outcome.trace,
        "cpu_s": round(cpu_s, 2),
        "violations": [str(v)[:TOLD_MAX] for v in outcome.violations[:3]],
        "counts": dict(sorted(outcome.counts.items())),
    }


def play_apart(wish: Wish) -> dict[str, Any]:
    """Return what came of one world played in a child process, which forgets everything after."""
    began_s = time.process_time()
    # Put together here, so that the child finds the market that an earlier world has drawn.
    world = World(wish)
    world.lets_go = False
    built_s = time.process_time() - began_s
    reading, writing = os.pipe()
    # What stands is not the child's to collect.
    gc.freeze()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(int(WORLD_S_MAX))
        outcome = world.run()
        with os.fdopen(writing, "wb") as result:
            result.write(orjson.dumps(as_result(outcome, cpu_s=built_s + time.process_time())))
        os._exit(0)
    gc.unfreeze()
    world.loop.close()
    os.close(writing)
    with os.fdopen(reading, "rb") as result:
        text = result.read()
    os.waitpid(child, 0)
    if text:
        told: dict[str, Any] = orjson.loads(text)
        return told
    fault = ["the world ended with an error, or took too long: see standard error"]
    return {"seed": wish.seed, "days": 0.0, "cpu_s": 0.0, "violations": fault, "counts": {}}


def play_many(
    seeds: Iterable[int], *, days: int, jobs: int, results: Path | None, say: Say, due_s: float
) -> Tally:
    """Play worlds until all are done or the time is up; those in the results file are not played
    again, and count."""
    tally, known = Tally(), _known(results)
    for result in known.values():
        tally.add(result)
    waiting = [seed for seed in seeds if seed not in known]
    for result in _results(waiting, days=days, jobs=jobs, due_s=due_s):
        tally.add(result)
        if results is not None:
            with results.open("ab") as file:
                file.write(orjson.dumps(result) + b"\n")
        for violation in result["violations"]:
            say(f"seed {result['seed']}: {violation}")
        if result["violations"]:
            say(f"  again: tradewind simulate --seed {result['seed']} --days {days} --trace")
    return tally


def differing_traces(seeds: range, *, days: int) -> list[int]:
    """Return the seeds whose trace is not the same in three interpreters with three hash seeds."""
    traces: list[dict[int, str]] = []
    program = [sys.executable, "-m", "research.simulation"]
    with tempfile.TemporaryDirectory() as folder:
        for hash_seed in ("0", "1", "4242"):
            path = Path(folder) / f"{hash_seed}.jsonl"
            asked = ["--seed", str(seeds.start), "--worlds", str(len(seeds)), "--days", str(days)]
            subprocess.run(
                ["env", f"PYTHONHASHSEED={hash_seed}", *program, *asked, "--results", str(path)],
                stdout=subprocess.DEVNULL,
                check=False,
            )
            traces.append({seed: told.get("trace", "") for seed, told in _known(path).items()})
    return [s for s in seeds if len({t.get(s, f"none {n}") for n, t in enumerate(traces)}) > 1]


def _known(results: Path | None) -> dict[int, dict[str, Any]]:
    if results is None or not results.exists():
        return {}
    lines = results.read_bytes().splitlines()
    return {result["seed"]: result for result in map(orjson.loads, lines)}


def _results(
    seeds: Sequence[int], *, days: int, jobs: int, due_s: float
) -> Iterator[dict[str, Any]]:
    """Yield results as they come, from so many processes that each take every so-manieth seed."""
    reading, writing = os.pipe()
    children = []
    for number in range(jobs):
        child = os.fork()
        if child == 0:
            os.close(reading)
            _work(seeds[number::jobs], days=days, due_s=due_s, writing=writing)
            os._exit(0)
        children.append(child)
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            yield orjson.loads(line)
    for child in children:
        os.waitpid(child, 0)


def _work(seeds: Sequence[int], *, days: int, due_s: float, writing: int) -> None:
    for seed in seeds:
        if time.monotonic() > due_s:  # noqa: TID251 - how long a person is willing to wait
            return
        line = orjson.dumps(play_apart(Wish(seed=seed, days=days))) + b"\n"
        # What a pipe takes at once cannot mix with another worker's.
        assert len(line) <= PIPE_BYTES
        os.write(writing, line)

"""One morning, ended at every callback and in every write, on a disk that keeps or forgets."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from research.simulation.kernel.chance import Chance
from research.simulation.kernel.node import Killed
from research.simulation.swarm import CALM
from research.simulation.world import Outcome, Wish, World

SPEED = 60.0
MORNING_S = 22.0
"""Virtual seconds from the start to which the daemon is ended: start-up and four slots."""
AFTER_S = 12.0
"""Virtual seconds lived after the restart before everything must be settled: two slots."""
SETTINGS: dict[str, object] = {
    "STRATEGIES": "chatter(seed=5,enter=0.5,leave=0.2)",
    "OPEN_DELAY_SECONDS": "300",
    "CLUSTER_DAYS": "20",
}
WISH = Wish(seed=77, swarm=CALM, wide=False, speed=SPEED, symbols=4, more=SETTINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a process ends, and when the next one begins (virtual seconds)."""

    power: bool
    delay_s: float

    def __str__(self) -> str:
        return f"{'power cut' if self.power else 'kill -9'}, back after {self.delay_s:g} s"


ENDS = (
    End(power=True, delay_s=1.0),
    End(power=False, delay_s=1.0),
    End(power=True, delay_s=6.0),
    End(power=False, delay_s=6.0),
    End(power=True, delay_s=420.0),
    End(power=False, delay_s=420.0),
)
"""At once, at the next bar, on the next day."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of ending it everywhere."""

    callbacks: int
    """Callbacks and writes of the undisturbed morning."""
    points: int = 0
    tried: int = 0
    failed: list[str] = field(default_factory=list)


class Morning(World):
    """A calm world in which the first life of the daemon can be ended at a chosen place."""

    def __init__(self) -> None:
        super().__init__(WISH)
        self.heals_at_s = MORNING_S

    def is_time_to_heal(self) -> bool:
        """Return whether the morning is over, or the new life has lived long enough."""
        return self.loop.time() >= self.heals_at_s

    def end(self, end: End, number: int) -> None:
        """End the daemon here and now; `number` seeds what its disk forgets."""
        self.daemon.disk.chance = Chance(number)
        self.heals_at_s = self.loop.time() + end.delay_s + AFTER_S
        self.daemon.kill("chosen", delay_s=end.delay_s, power=end.power)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One end at one place: the n-th callback, or the n-th write."""

    place: int
    is_write: bool
    end: End

    def __str__(self) -> str:
        return f"{'write' if self.is_write else 'callback'} {self.place}: {self.end}"


def crash_everywhere(*, points: int, jobs: int = 1) -> Found:
    """End the daemon at so many places of one morning, evenly spread, every kind of end in turn;
    above the number of places, each place is tried with several ends."""
    callbacks, writes = _measure()
    found = Found(callbacks=callbacks + writes)
    trials = list(_trials(points, callbacks, writes))
    found.points = len({(t.place, t.is_write) for t in trials})
    for trial, outcome in _forked(trials, jobs):
        found.tried += 1
        found.failed += [f"{trial}: {what}" for what in outcome]
    return found


def _measure() -> tuple[int, int]:
    """Return how many callbacks and writes the undisturbed morning has."""
    morning = Morning()
    seen = [0, 0]

    def look() -> None:
        life = morning.daemon.life
        if life is not None and morning.loop.time() < MORNING_S:
            seen[0] = life.steps

    def note(number: int) -> None:
        if morning.loop.time() < MORNING_S:
            look()
            seen[1] = number

    morning.daemon.disk.before_operation = note
    outcome = morning.run()
    if outcome.violations:
        raise RuntimeError(f"the undisturbed morning: {outcome.violations[0]}")
    return seen[0], seen[1]


def _trials(points: int, callbacks: int, writes: int) -> Iterator[Trial]:
    places = [(n, False) for n in range(1, callbacks + 1)] + [
        (n, True) for n in range(1, writes + 1)
    ]
    for number in range(points):
        place, is_write = places[number * len(places) // points % len(places)]
        yield Trial(place=place, is_write=is_write, end=ENDS[number % len(ENDS)])


def _forked(trials: list[Trial], jobs: int) -> Iterator[tuple[Trial, list[str]]]:
    """Play the morning once; at each place of a trial, a child process ends it there and lives on.

    So each trial costs what comes after it, not what came before.
    """
    waiting = {False: _by_place(trials, is_write=False), True: _by_place(trials, is_write=True)}
    reading, writing = os.pipe()
    player = os.fork()
    if player == 0:
        os.close(reading)
        _Player(waiting, writing, jobs).play()
        os._exit(0)
    os.close(writing)
    by_number = dict(enumerate(trials))
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            told = orjson.loads(line)
            yield by_number.pop(told["number"]), told["violations"]
    os.waitpid(player, 0)
    for trial in by_number.values():
        yield trial, ["it was never reached, or its process ended with an error"]


Waiting = dict[int, list[tuple[int, End]]]


def _by_place(trials: list[Trial], *, is_write: bool) -> Waiting:
    found: Waiting = {}
    for number, trial in enumerate(trials):
        if trial.is_write is is_write:
            found.setdefault(trial.place, []).append((number, trial.end))
    return found


class _Player:
    def __init__(self, waiting: dict[bool, Waiting], writing: int, jobs: int) -> None:
        self._waiting = waiting
        self._writing = writing
        self._jobs = jobs
        self._children: list[int] = []
        self._number: int | None = None
        self._morning = Morning()

    def play(self) -> None:
        daemon = self._morning.daemon
        start = daemon.start

        def started() -> None:
            start()
            if daemon.life is not None and daemon.starts == 1:
                daemon.life.on_death = self._at_callback
                self._next_callback()

        daemon.start = started  # type: ignore[method-assign]
        daemon.disk.before_operation = self._at_write
        outcome = self._morning.run()
        if self._number is not None:
            self._tell(outcome)
        for child in self._children:
            os.waitpid(child, 0)

    def _next_callback(self) -> None:
        life = self._morning.daemon.life
        if life is not None and self._waiting[False]:
            life.dies_at_step = min(self._waiting[False])

    def _at_callback(self) -> None:
        life = self._morning.daemon.life
        if life is None or self._number is not None:
            return
        trials = self._waiting[False].pop(life.steps, [])
        self._next_callback()
        self._try(trials, lambda: None)

    def _at_write(self, place: int) -> None:
        if self._number is None:
            self._try(self._waiting[True].pop(place, []), _stop_here)

    def _try(self, trials: list[tuple[int, End]], after: Callable[[], Any]) -> None:
        for number, end in trials:
            if len(self._children) >= self._jobs:
                os.waitpid(self._children.pop(0), 0)
            child = os.fork()
            if child == 0:
                # A running loop is known by the process it runs in.
                asyncio.events._set_running_loop(self._morning.loop)
                self._number, self._children = number, []
                self._morning.lets_go = False
                self._morning.end(end, number)
                after()
                return
            self._children.append(child)

    def _tell(self, outcome: Outcome) -> None:
        violations = [str(v)[:400] for v in outcome.violations[:3]]
        line = orjson.dumps({"number": self._number, "violations": violations}) + b"\n"
        os.write(self._writing, line)


def _stop_here() -> None:
    raise Killed

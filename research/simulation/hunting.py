"""Where each mutant of the order protocol is looked for, and whether it is noticed there."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from research.simulation.kernel.network import LinkFaults
from research.simulation.mutants import MUTANTS
from research.simulation.swarm import (
    ApiFaults,
    OtherFaults,
    ProcessFaults,
    StreamFaults,
    Swarm,
)
from research.simulation.world import Violation, Wish, World

DAYS, LONGER_DAYS = 1, 2
LONGER = ("a slot is decided again", "the gate lets in right before the close")
"""A world heals before its last close: these are looked for on the day before, too."""
SPEEDS = {
    "a refusal on a retry is final": 2.0,
    "an approval holds for ever": 60.0,
    "a slot is decided again": 30.0,
    "cancels are not sent": 10.0,
    "comparisons overlap": 240.0,
    "fills are asked for by our own clock": 240.0,
    "the gate lets in right before the close": 240.0,
}
"""Where what a mutant gets wrong comes about; other worlds draw their speed."""
SEEDS_MAX = 12
BUSY = OtherFaults(by_hand=1.0, look_s=(30.0, 90.0))
"""A person who orders all the time…"""
RESTLESS = replace(BUSY, halts=0.5)
"""…and halts and lifts."""
DEADLY = ProcessFaults(life_steps=300, early=0.1, at_disk=0.3)
SCENES: Mapping[str, Swarm] = {
    "orders that ended unheard are not looked up": Swarm(stream=StreamFaults(lost=0.7)),
    "a slot is decided again": Swarm(process=replace(DEADLY, power=0.0)),
    "recovery is in doubt of nothing": Swarm(
        api=ApiFaults(late=0.1, lost=0.3), stream=StreamFaults(lost=0.5), process=DEADLY
    ),
    "fills are asked for by our own clock": Swarm(
        stream=StreamFaults(lost=0.5), others=OtherFaults(exchange_kill=2_000.0)
    ),
    "comparisons overlap": Swarm(
        link=LinkFaults(slow=0.1, reset=0.03),
        stream=StreamFaults(lost=0.6, muted=0.02),
        others=BUSY,
    ),
    "cancels are not sent": Swarm(others=BUSY),
    "what is taken back stays booked": Swarm(others=replace(BUSY, busted=0.3)),
    "what is taken back unheard stays booked": Swarm(
        stream=StreamFaults(lost=0.5), others=replace(BUSY, busted=0.3)
    ),
    "the gate lets in right after the open": Swarm(others=BUSY),
    "the gate lets in right before the close": Swarm(others=BUSY),
    "the gate has lost its position limit": Swarm(others=BUSY),
    "the gate has lost its rule on short sales": Swarm(others=BUSY),
    "the gate has lost its trading states": Swarm(others=RESTLESS),
    "not judged again at the first byte": Swarm(
        link=LinkFaults(refuse=0.3, reset=0.02), others=RESTLESS
    ),
}
"""What befalls where a mutant's promise is needed; to the others what their seed draws."""
SEEDS = {
    "404 means dead": 7,
    "a refusal on a retry is final": 3,
    "an approval holds for ever": 2,
    "a snapshot takes its name unsynced": 3,
    "doubts are not settled at start": 3,
    "recovery is in doubt of nothing": 10,
    "comparisons overlap": 2,
    "a torn tail is left": 3,
    "every order of a slot has the same id": 6,
    "what is not found once is gone": 8,
    "one difference is believed": 7,
    "cancels are not sent": 2,
    "fills are asked for by our own clock": 49,
}
"""The seed that caught it last, tried first."""
TOLD_MAX = 160


def seeds_of(name: str) -> tuple[int, ...]:
    """Return the seeds in which a mutant is looked for, the likeliest first."""
    return tuple(dict.fromkeys((SEEDS.get(name, 1), *range(1, SEEDS_MAX + 1))))


def caught_by(name: str, seeds: Iterable[int]) -> tuple[int, Violation] | None:
    """Return the first seed in which a mutant breaks a promise, and which; None if none does."""
    days = LONGER_DAYS if name in LONGER else DAYS
    for seed in seeds:
        with MUTANTS[name]():
            outcome = World(scene_of(name, seed, days)).run()
        if outcome.violations:
            return seed, outcome.violations[0]
    return None


def scene_of(name: str, seed: int, days: int) -> Wish:
    """Return the world in which a mutant is looked for."""
    return Wish(
        seed=seed,
        days=days,
        wide=False,
        speed=SPEEDS.get(name),
        swarm=SCENES.get(name),
        generation=1,
    )


def hunt_all(jobs: int) -> Iterator[tuple[str, str | None]]:
    """Yield every mutant with what caught it, in one line, or None; each is played in a process of
    its own, so many at once."""
    waiting, running = list(MUTANTS), list[tuple[str, int, int]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_begin(waiting.pop(0)))
        name, child, reading = running.pop(0)
        with os.fdopen(reading, "rb") as told:
            text = told.read().decode()
        os.waitpid(child, 0)
        yield name, text or None


def _begin(name: str) -> tuple[str, int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        caught = caught_by(name, seeds_of(name))
        text = f"seed {caught[0]}: {caught[1]}"[:TOLD_MAX] if caught else ""
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    return name, child, reading

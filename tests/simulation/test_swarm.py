"""The whole daemon and the exchange under seeded faults; a failing seed tells how to repeat it."""

import gc

import pytest

from research.simulation.campaign import Tally, as_result, play_apart
from research.simulation.hunting import scene_of
from research.simulation.swarm import CALM
from research.simulation.world import Wish, World

SEEDS, DAYS, DAYS_MIN = range(1, 15), 4, 40
SYMBOLS = 4
SPEEDS = (480.0, 480.0, 240.0)
"""Few symbols, fast markets: a day costs half a second. `make simulate` plays what seeds draw."""


def _cheap(seed: int, *, days: int = DAYS) -> Wish:
    speed = SPEEDS[seed % len(SPEEDS)]
    return Wish(seed=seed, days=days, wide=False, speed=speed, symbols=SYMBOLS)


def _play(wish: Wish) -> Tally:
    tally = Tally()
    tally.add(as_result(World(wish).run(), cpu_s=0.0))
    return tally


def test_a_calm_day_trades_and_ends_with_equal_books() -> None:
    tally = _play(Wish(seed=1, days=1, swarm=CALM, wide=False, speed=SPEEDS[0]))
    assert not tally.failed
    assert tally.counts["venue.fill"] > 10
    assert tally.counts["world.settled"] == 1


@pytest.mark.timeout(300)
def test_no_promise_breaks_in_forty_days_under_faults() -> None:
    tally = Tally()
    for seed in SEEDS:
        tally.add(play_apart(_cheap(seed)))
    assert not tally.failed, f"play the same Wish with a log: {tally.failed}"
    assert tally.days >= DAYS_MIN
    assert tally.counts["process.kill_step"] > len(SEEDS)
    assert tally.counts["venue.fill"] > 10 * len(SEEDS)


def test_a_world_leaves_nothing_behind() -> None:
    before = gc.isenabled()
    _play(_cheap(3, days=1))
    assert gc.isenabled() is before


REGRESSIONS = {
    "halted while it waited for a connection, an order left all the same": scene_of(
        "not judged again at the first byte", seed=1, days=1
    ),
    "a purchase carried out a night late was weighed at the morning's price, not at its limit": (
        Wish(seed=7_000_073, days=3, generation=1)
    ),
}
"""Bugs by a world in which they came about. What else was found here is pinned by unit tests: given
up after 3 s and arrived (test_submitting), a look-up that lagged and comparisons that overlapped
halted trading (test_feeds), the oldest order dropped as it ended (test_memory)."""


@pytest.mark.parametrize("story", REGRESSIONS)
def test_what_once_broke_holds(story: str) -> None:
    assert not _play(REGRESSIONS[story]).failed

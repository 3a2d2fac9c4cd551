"""The whole daemon and the exchange under seeded faults; a failing seed tells how to repeat it."""

import gc

import pytest

from research.simulation.campaign import Tally, as_result
from research.simulation.swarm import CALM
from research.simulation.world import Wish, World

SEEDS = range(1, 15)
SHORT_SPEED = 120.0
"""Fast enough that a day costs about a second."""


def _play(wish: Wish) -> Tally:
    tally = Tally()
    tally.add(as_result(World(wish).run(), cpu_s=0.0))
    return tally


def test_a_calm_day_trades_and_ends_with_equal_books() -> None:
    tally = _play(Wish(seed=1, days=1, swarm=CALM, wide=False, speed=SHORT_SPEED))
    assert not tally.failed
    assert tally.counts["venue.fill"] > 10
    assert tally.counts["world.settled"] == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_no_promise_breaks_under_faults(seed: int) -> None:
    tally = _play(Wish(seed=seed, days=3, wide=False, speed=SHORT_SPEED))
    assert not tally.failed, f"tradewind simulate --seed {seed} --days 3 --trace; {tally.failed}"


def test_a_world_leaves_nothing_behind() -> None:
    before = gc.isenabled()
    _play(Wish(seed=3, days=1, wide=False, speed=SHORT_SPEED))
    assert gc.isenabled() is before


REGRESSIONS = {
    "halted while it waited for a connection, an order left all the same": Wish(seed=10006, days=2),
}
"""Bugs by the seed that found them. What else was found here is pinned by unit tests: given up
after 3 s and arrived (test_submitting), a look-up that lagged and comparisons that overlapped
halted trading (test_feeds), the oldest order dropped as it ended (test_memory)."""


@pytest.mark.parametrize("story", REGRESSIONS)
def test_what_once_broke_holds(story: str) -> None:
    assert not _play(REGRESSIONS[story]).failed

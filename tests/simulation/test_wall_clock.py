"""The machine's clock jumps under a daemon that trades: a whole one, over the real wire."""

import pytest

from research.simulation.swarm import CALM
from research.simulation.world import Outcome, Wish, World

AT_S = 40.0


def day_with_a_jump(jump_s: float) -> Outcome:
    """Play a day in which the machine's clock is set once, and stays so until the end."""
    world = World(Wish(seed=5, swarm=CALM, wide=False, speed=240.0, symbols=6))

    def jump() -> None:
        world.daemon.skew_s = jump_s

    world.loop.call_later(AT_S, jump)
    return world.run()


@pytest.mark.parametrize("jump_s", [3_600.0, -3_600.0], ids=["forward", "back"])
def test_an_hour_forward_or_back_breaks_no_promise(jump_s: float) -> None:
    outcome = day_with_a_jump(jump_s)
    assert not outcome.violations
    assert outcome.counts["world.settled"] == 1


def test_a_clock_that_is_ahead_trips_a_breaker() -> None:
    counts = day_with_a_jump(3_600.0).counts
    assert counts["latched.clock_skew"] + counts["latched.stale_data"] > 0

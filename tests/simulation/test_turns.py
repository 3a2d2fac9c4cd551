"""Worlds in which what was told becomes something else: rejected, taken back, in unknown words."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exchange.faults.kinds import Kind
from research.simulation import turns
from research.simulation.kernel.chance import Chance
from research.simulation.swarm import (
    CALM,
    ApiFaults,
    OtherFaults,
    StreamFaults,
    Swarm,
    draw_swarm,
)
from research.simulation.world import Outcome, Wish, World

TURNING = Swarm(
    api=ApiFaults(unknown=0.02),
    stream=StreamFaults(unknown=0.1, lost=0.1),
    others=OtherFaults(by_hand=1.0, look_s=(60.0, 300.0), rejected=0.5, busted=0.2, corrected=0.2),
)
COUNTED = (turns.REJECTED, turns.BUSTED, turns.CORRECTED, Kind.UNKNOWN, Kind.NEWS_UNKNOWN)


@pytest.fixture(scope="module")
def world_of_turns() -> Iterator[Outcome]:
    """A day with the real client on the real exchange's wire; somebody resumes now and then."""
    yield World(Wish(seed=3, swarm=TURNING, wide=False, speed=240.0, symbols=6)).run()


def test_no_promise_breaks(world_of_turns: Outcome) -> None:
    assert not world_of_turns.violations


def test_the_book_is_the_exchanges_at_the_end(world_of_turns: Outcome) -> None:
    assert world_of_turns.counts["world.settled"] == 1


@pytest.mark.parametrize("kind", COUNTED)
def test_each_befalls_and_is_counted(kind: str, world_of_turns: Outcome) -> None:
    assert world_of_turns.counts[kind] > 0


@pytest.mark.parametrize("seed", [17, 7_000_073])
def test_a_seed_of_an_earlier_generation_draws_what_it_drew(seed: int) -> None:
    now, then = (draw_swarm(Chance(seed), generation=n) for n in (2, 1))
    assert then == replace(
        now,
        api=replace(now.api, unknown=0.0),
        stream=replace(now.stream, unknown=0.0),
        others=replace(now.others, rejected=0.0, busted=0.0, corrected=0.0),
    )
    assert then != CALM

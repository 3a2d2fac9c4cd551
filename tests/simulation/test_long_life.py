"""Days in one process, and a real process killed again and again."""

import pytest

from research.simulation.real_kills import kill_often
from research.simulation.soak import soak

DAYS = 5
KILLS = 5


def test_tasks_timers_and_descriptors_do_not_grow_with_days() -> None:
    found = soak(DAYS)
    assert not found.failed, found.failed
    assert len(found.closes) >= DAYS - 1


@pytest.mark.timeout(240)
def test_a_real_process_killed_again_and_again_orders_nothing_twice_and_loses_nothing() -> None:
    found = kill_often(KILLS)
    assert not found.failed, found.failed
    assert found.kills == KILLS
    assert found.orders > 0

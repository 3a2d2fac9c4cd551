"""Ended at any callback or in any write, back at once, at the next bar or the next day."""

import pytest

from research.simulation.crash_points import crash_everywhere

POINTS = 100


@pytest.mark.timeout(300)
def test_wherever_the_daemon_ends_nothing_is_ordered_twice_or_lost() -> None:
    found = crash_everywhere(points=POINTS)
    assert found.tried == POINTS
    assert found.points >= POINTS * 9 // 10
    assert not found.failed, found.failed[:5]

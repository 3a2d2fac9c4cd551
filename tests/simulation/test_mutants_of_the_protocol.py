"""With a promise taken out of the order protocol, the simulation notices."""

import pytest

from research.simulation.mutants import caught_by

QUICK = {
    "the fsync is not waited for": (1,),
    "sent before it is in the journal": (1,),
    "the journal is not synced": (1,),
    "another id at each attempt": (1,),
    "sent again under another id": (2,),
    "a fill counts as often as it is told": (1,),
    "404 means dead": (2, 4),
}
"""Each with seeds that catch it; `make simulate` searches for all of them."""


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught(name: str) -> None:
    assert caught_by(name, QUICK[name], days=1), f"{name}: nothing was noticed"

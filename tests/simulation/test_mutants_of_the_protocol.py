"""With a promise taken out of the order protocol, the simulation notices."""

import pytest

from research.simulation.mutants import caught_by

QUICK = {
    "the fsync is not waited for": (3,),
    "sent before it is in the journal": (3,),
    "the journal is not synced": (3,),
    "another id at each attempt": (3,),
    "sent again under another id": (4,),
    "a fill counts as often as it is told": (3,),
}
"""Each with seeds that catch it; `make simulate` searches for all of them."""


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught(name: str) -> None:
    assert caught_by(name, QUICK[name], days=1), f"{name}: nothing was noticed"

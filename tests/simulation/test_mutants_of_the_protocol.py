"""With a promise taken out of the order protocol, the simulation notices."""

import pytest

from research.simulation.hunting import caught_by, seeds_of

QUICK = (
    "the journal is not synced",
    "sent before it is in the journal",
    "another id at each attempt",
    "sent again under another id",
    "no answer means not sent",
    "a fill counts as often as it is told",
    "not judged again at the first byte",
    "the gate has lost its trading states",
    "what is taken back stays booked",
    "what is taken back unheard stays booked",
)
"""Those that are noticed within a second; `make simulate` plays all of them."""


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught(name: str) -> None:
    assert caught_by(name, seeds_of(name)[:1]), f"{name}: nothing was noticed"

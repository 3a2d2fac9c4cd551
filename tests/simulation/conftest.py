"""What simulated worlds leave behind."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def nobody_listens_to_the_dead() -> Iterator[None]:
    """Let killed processes be finalised unheard.

    Their coroutines are never awaited and their sessions never closed: that is what killing means.
    Once a world was collected during a later file's test, which then failed for it; so `make test`
    runs these files apart, without pytest's own listener.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    yield
    sys.unraisablehook = hook

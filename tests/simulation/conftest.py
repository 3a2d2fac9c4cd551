"""What simulated worlds leave behind."""

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def the_dead_are_buried_here() -> Iterator[None]:
    """Finalise what killed processes left, where nobody listens.

    Once a soak's world was collected during a later file's test, which then failed for coroutines
    that nobody had awaited: that is what killing means.
    """
    yield
    hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook

"""When Python looks for garbage while a backtest runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS_BETWEEN_LOOKS = 100_000
"""New objects until the next look. A run keeps nearly all it makes, and hardly makes a cycle: every
700, as Python has it, are looked at in vain."""


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Have the collector look less often for a while; afterwards as before."""
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)

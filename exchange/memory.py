"""How a process that serves an exchange has its memory looked through."""

import gc

COLLECT_AFTER, YOUNG_PASSES, MIDDLE_PASSES = 20_000, 20, 50
"""New objects before a collection, and how many of each pass before one of the older ones: orders,
executions and events live as long as the exchange does, and looking through them costs a sixth of
its time at Python's defaults."""


def spare_collections() -> None:
    """Leave what start-up made alone, and look for garbage more seldom. For a process of its own:
    it changes the collector of all that runs in it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, YOUNG_PASSES, MIDDLE_PASSES)

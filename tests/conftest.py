"""What every test run has in common."""

import gc
import os

from hypothesis import settings

COLLECT_AFTER = 20_000
"""New objects before a look for garbage."""

# A run must say the same today and tomorrow: examples are drawn from each test itself. New ones
# are looked for with HYPOTHESIS_PROFILE=explore.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_finish() -> None:
    """Leave what collecting tests made alone, and look for garbage more seldom: it lives as long as
    the run does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)

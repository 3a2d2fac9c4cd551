"""What every test run has in common."""

import os

from hypothesis import settings

# A run must say the same today and tomorrow: examples are drawn from each test itself. New ones
# are looked for with HYPOTHESIS_PROFILE=explore.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

"""How long to wait before trying again: full jitter, so that clients do not come back together.

Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Jitter = Callable[[float, float], float]
"""Draw evenly between two numbers."""


def seeded_jitter(seed: int) -> Jitter:
    """Return a jitter that draws the same numbers for the same seed."""
    generator = np.random.default_rng(seed)
    return lambda low, high: float(generator.uniform(low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits that grow twofold from `first_s` to at most `longest_s`, never below `least_s`."""

    first_s: float
    longest_s: float
    least_s: float = 0.0

    def delay_s(self, failures: int, jitter: Jitter) -> float:
        """Return the wait after so many failures in a row (from 1 up), in seconds."""
        # 2**60 would be years: the exponent is capped so that no float overflows.
        ceiling_s = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return max(self.least_s, jitter(self.least_s, max(self.least_s, ceiling_s)))

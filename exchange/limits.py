"""Request budgets: one token bucket per API, refilled by market time."""

from dataclasses import dataclass

from exchange.instants import MINUTE_NS, SECOND_NS


@dataclass(slots=True, kw_only=True)
class TokenBucket:
    """`capacity` requests at once, refilled to that number in a minute of market time."""

    capacity: int
    filled_ns: int
    tokens: float

    def take(self, now_ns: int) -> bool:
        """Take one token; False when there is none. A refused request costs nothing more."""
        passed_ns = max(0, now_ns - self.filled_ns)
        self.tokens = min(self.capacity, self.tokens + passed_ns * self.capacity / MINUTE_NS)
        self.filled_ns = max(self.filled_ns, now_ns)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def headers(self, now_ns: int) -> dict[str, str]:
        """Return the headers a reply carries; Reset is the second at which Remaining changes."""
        missing = 1 - self.tokens % 1
        step_ns = missing * MINUTE_NS / self.capacity
        return {
            "X-Ratelimit-Limit": str(self.capacity),
            "X-Ratelimit-Remaining": str(int(self.tokens)),
            "X-Ratelimit-Reset": str(int((now_ns + step_ns) // SECOND_NS)),
        }


def full_bucket(capacity: int, now_ns: int) -> TokenBucket:
    """Return a bucket that has not been drawn from."""
    return TokenBucket(capacity=capacity, filled_ns=now_ns, tokens=float(capacity))

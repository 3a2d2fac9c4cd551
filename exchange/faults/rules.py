"""One rule of a fault script: which fault, when, to whom, and how much. Pure values."""

import math
from dataclasses import dataclass, field
from datetime import time, timedelta
from fnmatch import fnmatchcase
from statistics import NormalDist

from exchange.faults.kinds import Kind
from exchange.instants import NEW_YORK, SECOND_NS, from_ns, new_york_day, wall_ns

DAYS_LOOKED_AHEAD = 2
End = int | time | None
"""An instant in nanoseconds, a time of New York's day, or nothing said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long something takes: a distribution over seconds, never above `most`.

    `shape` is `fixed` (a), `uniform` (a to b), `exponential` (mean a) or `lognormal` (median a,
    sigma b of the logarithm).
    """

    shape: str
    a: float
    b: float = 0.0
    most: float = math.inf

    def at(self, u: float) -> float:
        """Return the value at a share `u` in [0, 1) of the distribution."""
        value = self.a
        if self.shape == "uniform":
            value = self.a + (self.b - self.a) * u
        elif self.shape == "exponential":
            value = -self.a * math.log1p(-u)
        elif self.shape == "lognormal":
            value = self.a * math.exp(self.b * NormalDist().inv_cdf(min(max(u, 1e-12), 1 - 1e-12)))
        return min(value, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a rule holds, in market time: between two instants, or every day between two times of
    New York's clock. A missing end is open."""

    from_ns: int | None = None
    until_ns: int | None = None
    daily_from: time | None = None
    daily_until: time | None = None

    def holds(self, at_ns: int) -> bool:
        """Whether an instant lies inside; the end does not."""
        if self.from_ns is not None and at_ns < self.from_ns:
            return False
        if self.until_ns is not None and at_ns >= self.until_ns:
            return False
        if self.daily_from is None and self.daily_until is None:
            return True
        clock = from_ns(at_ns).astimezone(NEW_YORK).time()
        return (self.daily_from or time.min) <= clock < (self.daily_until or time.max)

    def next_start(self, after_ns: int) -> int | None:
        """Return the first instant after `after_ns` at which it begins to hold, None without."""
        return self._next(after_ns, self.from_ns, self.daily_from)

    def next_end(self, after_ns: int) -> int | None:
        """Return the first instant after `after_ns` at which it ceases to hold, None without."""
        return self._next(after_ns, self.until_ns, self.daily_until)

    def _next(self, after_ns: int, instant: int | None, daily: time | None) -> int | None:
        if daily is None:
            return instant if instant is not None and instant > after_ns else None
        today = new_york_day(after_ns)
        for days in range(DAYS_LOOKED_AHEAD):
            at_ns = wall_ns(today + timedelta(days=days), daily.hour, daily.minute)
            at_ns += daily.second * SECOND_NS
            if at_ns > after_ns:
                return at_ns
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault of a script. What is not said matches everything.

    `share` is the part of the matching occasions it befalls; `nth` those of these numbers, `every`
    each so-manieth; at most `times` of them.
    """

    kind: Kind
    name: str
    window: Window = field(default_factory=Window)
    share: float = 1.0
    nth: frozenset[int] = frozenset()
    every: int = 1
    times: int | None = None
    method: str = "*"
    path: str | None = None
    body: tuple[tuple[str, str], ...] = ()
    stream: str = "trading"
    event: str = "*"
    symbols: frozenset[str] = frozenset()
    delay: Spread | None = None
    delay_market: Spread | None = None
    status: int = 500
    code: int = 500
    how: str = ""
    factor: float = 1.0
    offset_s: float = 0.0
    symbol: str = ""
    side: str = ""
    qty: str = ""
    is_tied: bool = False
    """Whether requests or messages bring it about, and not the clock."""

    @property
    def offset_ns(self) -> int:
        """How far timestamps are moved."""
        return round(self.offset_s * SECOND_NS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """A request, a message or a price that a fault may befall."""

    at_ns: int
    method: str = ""
    path: str = ""
    body: object = None
    stream: str = ""
    event: str = ""
    symbol: str = ""
    is_handshake: bool = False
    """The beginning of a stream: befallen only by rules that name a path."""


def matches(rule: Rule, occasion: Occasion) -> bool:
    """Whether an occasion is of the sort a rule speaks of, whatever its number and luck."""
    if not rule.window.holds(occasion.at_ns):
        return False
    if occasion.is_handshake and rule.path is None:
        return False
    if occasion.stream and occasion.stream != rule.stream:
        return False
    if rule.symbols and occasion.symbol not in rule.symbols:
        return False
    return (
        fnmatchcase(occasion.method, rule.method)
        and (rule.path is None or fnmatchcase(occasion.path, rule.path))
        and fnmatchcase(occasion.event, rule.event)
        and all(_has(occasion.body, name, wanted) for name, wanted in rule.body)
    )


def _has(body: object, name: str, wanted: str) -> bool:
    found = body
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return fnmatchcase(str(found), wanted)


def window_of(start: End, end: End) -> Window:
    """Return the window between two ends. Raises ValueError when they do not go together or leave
    nothing between them."""
    match start, end:
        case (int() | None, int() | None):
            window = Window(from_ns=start, until_ns=end)
        case (time() | None, time() | None):
            window = Window(daily_from=start, daily_until=end)
        case _:
            raise ValueError("from and until must both be instants, or both times of day")
    ends = (start, end)
    is_empty = False
    match ends:
        case (int() as first, int() as last):
            is_empty = first >= last
        case (time() as first_time, time() as last_time):
            is_empty = first_time >= last_time
    if is_empty:
        raise ValueError("from must lie before until")
    return window

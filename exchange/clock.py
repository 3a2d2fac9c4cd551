"""Market time of a running exchange. The only place that asks the machine for the time."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from domain.calendar import CLOSING_TAIL, OPENING_LEAD, Calendar, MarketClock
from exchange.instants import from_ns, to_ns
from exchange.tape_view import Span

SESSIONS_BEFORE_NEW_ANCHOR = 5


def machine_s() -> float:
    """Return the machine's time in epoch seconds."""
    return time.time()  # noqa: TID251  (this is the clock module)


def lived_parts(clock: MarketClock, span: Span) -> list[Span]:
    """Return the parts of a stretch of market time that a clock passes through."""
    if not clock.skip_closed:
        return [span]
    parts: list[Span] = []
    first_ns, last_ns = span
    at = from_ns(first_ns) - CLOSING_TAIL
    while True:
        try:
            session = clock.calendar.current_or_next(at)
        except LookupError:
            return parts
        begins_ns = max(first_ns, to_ns(session.opens_at - OPENING_LEAD))
        ends_ns = min(last_ns, to_ns(session.closes_at + CLOSING_TAIL))
        if begins_ns >= last_ns:
            return parts
        if begins_ns < ends_ns:
            parts.append((begins_ns, ends_ns))
        at = session.closes_at


class RunningTime:
    """Market time that passes with the machine's, `speed` times as fast."""

    def __init__(
        self,
        calendar: Calendar,
        start_ns: int,
        *,
        speed: float,
        skip_closed: bool,
        machine_s: Callable[[], float] = machine_s,
    ) -> None:
        """`machine_s` tells epoch seconds; a simulated world hands in its own."""
        self._machine_s = machine_s
        self.clock = MarketClock(
            anchor_real_s=machine_s(),
            anchor_market_at=from_ns(start_ns),
            speed=speed,
            skip_closed=skip_closed,
            calendar=calendar,
        )
        self._latest_ns = start_ns
        self._renew_at = self._next_renewal()

    @property
    def is_lockstep(self) -> bool:
        """Whether it stands still until it is told to go on."""
        return False

    def now_ns(self) -> int:
        """Return market time; it never goes back, and stands still after the calendar's end."""
        try:
            now_at = self.clock.market_time(self._machine_s())
        except LookupError:
            return self._latest_ns
        self._latest_ns = max(self._latest_ns, to_ns(now_at))
        if now_at >= self._renew_at:
            self._renew(now_at)
        return self._latest_ns

    def real_s_until(self, at_ns: int) -> float:
        """Return how many real seconds from now market time reaches an instant."""
        if at_ns <= self._latest_ns:
            return 0.0
        if at_ns >= to_ns(self.clock.calendar.sessions[-1].closes_at):
            return float("inf")
        return max(0.0, self.clock.real_time(from_ns(at_ns)) - self._machine_s())

    def lived(self, span: Span) -> list[Span]:
        """Return the parts of a stretch of market time that it passes through: what
        `skip_closed` jumps over is left out."""
        return lived_parts(self.clock, span)

    def _renew(self, now_at: datetime) -> None:
        """Move the anchor to now, so that a long run does not count sessions from its start."""
        real_s = self.clock.real_time(now_at)
        self.clock = replace(self.clock, anchor_real_s=real_s, anchor_market_at=now_at)
        self._renew_at = self._next_renewal()

    def _next_renewal(self) -> datetime:
        at = self.clock.anchor_market_at
        sessions = self.clock.calendar.sessions
        later = [s.opens_at for s in sessions if s.opens_at > at][:SESSIONS_BEFORE_NEW_ANCHOR]
        return later[-1] - OPENING_LEAD if later else sessions[-1].closes_at


class SteppedTime:
    """Market time that goes on only when it is told to."""

    def __init__(self, calendar: Calendar, start_ns: int) -> None:
        # The anchor of a clock that stands still: real time does not enter.
        self.clock = MarketClock(
            anchor_real_s=0.0,
            anchor_market_at=from_ns(start_ns),
            speed=1.0,
            skip_closed=False,
            calendar=calendar,
        )
        self._now_ns = start_ns

    @property
    def is_lockstep(self) -> bool:
        """Whether it stands still until it is told to go on."""
        return True

    def now_ns(self) -> int:
        """Return market time."""
        return self._now_ns

    def real_s_until(self, at_ns: int) -> float:
        """Return infinity: it never gets there by itself."""
        return float("inf")

    def lived(self, span: Span) -> list[Span]:
        """Return a stretch of market time as it is: nothing is jumped over."""
        return [span]

    def step_to(self, at_ns: int) -> None:
        """Go on to an instant; an earlier one is ignored."""
        self._now_ns = max(self._now_ns, at_ns)
        self.clock = replace(self.clock, anchor_market_at=from_ns(self._now_ns))


MarketTime = RunningTime | SteppedTime

"""How many requests may leave: a sliding window per API, with lanes by importance."""

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from daemon.backoff import Backoff, Jitter
from daemon.clock import Pace
from domain.errors import RequestNotSent

WINDOW_S = 60.0
"""The venue counts requests a minute; market time."""
WAITING_MAX = 1_000
"""Requests that may wait at once; one more is refused on the spot."""
LIMITED_BACKOFF = Backoff(first_s=1.0, longest_s=8.0, least_s=0.3)
"""Pause after a 429, loop time: the venue's bucket refills 3 a second, a minute is not needed."""
_TURN_S = 0.001


class BudgetExhausted(RequestNotSent):
    """The request could not leave within its limit of time. Nothing was sent."""


class Lane(IntEnum):
    """What a request is for, most important first."""

    CANCEL = 0
    """Cancels, and orders that only close."""
    SUBMIT = 1
    RECONCILE = 2
    QUOTES = 3
    HISTORY = 4


@dataclass(slots=True)
class BudgetCounts:
    """Running totals for the metrics."""

    by_lane: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    waited_s: float = 0.0
    limited: int = 0
    """Answers 429."""
    exhausted: int = 0
    """Requests that gave up waiting."""

    @property
    def used(self) -> int:
        """Requests let through."""
        return sum(self.by_lane.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimits:
    """`per_minute` requests in any window; `cancel_share` of it is kept for Lane.CANCEL."""

    per_minute: int = 180
    cancel_share: float = 0.0

    def __post_init__(self) -> None:
        if self.per_minute < 1 or not 0 <= self.cancel_share < 1:
            raise ValueError(f"not a request budget: {self!r}")

    def room_for(self, lane: Lane) -> int:
        """Return how full the window may get through this lane; at least one."""
        if lane is Lane.CANCEL:
            return self.per_minute
        return max(1, self.per_minute - int(self.per_minute * self.cancel_share))


@dataclass(slots=True, order=True)
class _Ticket:
    lane: Lane
    number: int
    granted: asyncio.Future[None] = field(compare=False)


class RequestBudget:
    """One API's budget: no WINDOW_S of market time ever holds more than `limits.per_minute`.

    Waiters go by lane, then by arrival. Rate-limit headers and 429 answers only ever tighten it.
    """

    def __init__(self, limits: BudgetLimits, *, pace: Pace, jitter: Jitter) -> None:
        self.limits = limits
        self.counts = BudgetCounts()
        self._pace = pace
        self._jitter = jitter
        self._granted_s: deque[float] = deque()
        self._waiting: list[_Ticket] = []
        self._numbers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._hint: _Hint | None = None
        self._paused_until_s = 0.0
        self._limited_in_a_row = 0

    async def acquire(self, lane: Lane, *, wait_limit_s: float) -> None:
        """Return when one request of this lane may leave; it counts from now on.

        `wait_limit_s` is loop time. Raises BudgetExhausted when it has passed, or at once when
        WAITING_MAX already wait.
        """
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= WAITING_MAX:
            self.counts.exhausted += 1
            raise BudgetExhausted(f"{WAITING_MAX} requests already wait; {lane.name} refused")
        self._numbers += 1
        ticket = _Ticket(lane, self._numbers, loop.create_future())
        heapq.heappush(self._waiting, ticket)
        self._grant()
        if not ticket.granted.done():
            await self._wait(ticket, wait_limit_s, loop)

    async def _wait(
        self, ticket: _Ticket, wait_limit_s: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        began_s = loop.time()
        try:
            async with asyncio.timeout(wait_limit_s):
                await ticket.granted
        except TimeoutError:
            self.counts.exhausted += 1
            raise BudgetExhausted(
                f"no request of lane {ticket.lane.name} could leave within {wait_limit_s:g} s"
                f" ({self.in_window()} in the last minute, {len(self._waiting)} waiting)"
            ) from None
        finally:
            self.counts.waited_s += loop.time() - began_s
            # Who gives up leaves the queue. Nobody behind may go sooner for that: whatever held
            # the head back holds them back too.
            if ticket.granted.cancelled() and ticket in self._waiting:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)

    def in_window(self) -> int:
        """Return how many requests the last WINDOW_S of market time holds."""
        now_s = self._pace.now_s()
        # Strictly older than the window: exactly one window apart still counts as inside.
        while self._granted_s and now_s - self._granted_s[0] > WINDOW_S:
            self._granted_s.popleft()
        return len(self._granted_s)

    def answered(self) -> None:
        """Note an answer that was no 429: the next 429 starts a fresh, short pause."""
        self._limited_in_a_row = 0

    def limited(self) -> None:
        """Note a 429: pause all lanes a little, longer each time in a row."""
        self.counts.limited += 1
        now_s = asyncio.get_running_loop().time()
        if now_s < self._paused_until_s:
            return  # one of the same burst; it says nothing new
        self._limited_in_a_row += 1
        self._paused_until_s = now_s + LIMITED_BACKOFF.delay_s(self._limited_in_a_row, self._jitter)

    def hint(self, *, remaining: int, limit: int) -> None:
        """Note the X-Ratelimit headers of an answer; a higher figure than ours changes nothing."""
        if limit > 0 and remaining >= 0:
            self._hint = _Hint(self._pace.now_s(), remaining, limit)

    def _grant(self) -> None:
        """Let through as many waiters as may go, and set the timer for the next."""
        while self._waiting:
            head = self._waiting[0]
            wait_s = self._loop_wait_s(head.lane)
            if wait_s > 0:
                self._look_again_after(wait_s)
                return
            heapq.heappop(self._waiting)
            if head.granted.done():
                continue  # its caller gave up
            self._granted_s.append(self._pace.now_s())
            if self._hint is not None:
                self._hint.spent += 1
            self.counts.by_lane[head.lane] += 1
            head.granted.set_result(None)

    def _loop_wait_s(self, lane: Lane) -> float:
        """Return 0 when this lane may send now, else the loop seconds to look again after."""
        paused_s = self._paused_until_s - asyncio.get_running_loop().time()
        now_s = self._pace.now_s()
        excess = self.in_window() + 1 - self.limits.room_for(lane)
        window_s = 0.0
        if excess > 0:
            window_s = self._granted_s[excess - 1] + WINDOW_S - now_s + _TURN_S
        hinted_s = self._hint.wait_s(now_s) if self._hint else 0.0
        market_s = max(window_s, hinted_s)
        return max(paused_s, self._pace.loop_s(market_s) if market_s > 0 else 0.0, 0.0)

    def _look_again_after(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(max(wait_s, _TURN_S), self._grant)


class _Hint:
    """What the venue last said is left, growing again as its bucket refills."""

    __slots__ = ("_at_s", "_refill_per_s", "_remaining", "spent")

    def __init__(self, at_s: float, remaining: int, limit: int) -> None:
        self._at_s = at_s
        self._remaining = remaining
        self._refill_per_s = limit / WINDOW_S
        self.spent = 0

    def wait_s(self, now_s: float) -> float:
        """Return the market seconds until one more request fits, 0 when it does now."""
        left = self._remaining - self.spent + (now_s - self._at_s) * self._refill_per_s
        return max(0.0, (1 - left) / self._refill_per_s)

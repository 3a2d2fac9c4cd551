"""Reading the venue's account, whatever the stream says: orders, fills, positions, cash."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.logs import Edge
from domain.errors import VenueError
from domain.events import AccountReported, Event, OrderChanged, OrderFilled, StateDistrusted
from domain.orders import Fill, OrderReport, OrderUpdate
from domain.ports import Broker, Clock

ABSENT_S = 60.0
"""Loop time for which an acknowledged order must be unknown to the venue before we distrust it."""
FILLS_OVERLAP = timedelta(minutes=2)
"""Executions are asked for again from so long before the last one seen, by the venue's clock…"""
FILLS_LOOK_BACK_MAX = timedelta(days=7)
"""…but from no longer ago than this, by ours: a clock of ours that is ahead must hide none, be it
by a holiday and a weekend that a fast market which stood still has yet to skip."""
UNHEARD_AFTER = timedelta(seconds=10)
"""Market time after which an execution that the stream has not told of is one it will not."""
UNHEARD_MAX = 2
"""Reports in a row that find such executions before the stream is taken for mute."""

_log = structlog.get_logger(__name__)


class Comparing:
    """Fetches the account and posts what it finds; one report at a time."""

    def __init__(
        self,
        broker: Broker,
        *,
        clock: Clock,
        post: Callable[[Event], None],
        live: Callable[[], Sequence[str]],
        is_booked: Callable[[str], bool],
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._post = post
        self._live = live
        self._is_booked = is_booked
        self._edge = Edge(_log, what="account")
        self._fills_since_at: datetime | None = None
        self._absent_since_s: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._unheard = 0
        self.has_gap = False
        """Set where news may have been missed; a report that comes whole closes the gap."""
        self.on_mute: Callable[[], None] = lambda: None
        """Hears that the stream is up and does not tell what happens."""

    def wanted_since(self, at: datetime) -> None:
        """Ask for executions from here on: earlier ones are in the book already."""
        self._fills_since_at = at

    async def compare(self) -> bool:
        """Fetch what became of our orders, fills and the account, and post them; return whether
        all came. One at a time: two reports in a row that agree must not be of one instant."""
        async with self._lock:
            return await self._compare()

    async def close_gap(self) -> bool:
        """Return whether there is no gap in the news, after reading what happened in it."""
        return not self.has_gap or await self.compare()

    async def _compare(self) -> bool:
        started_at = self._clock.now()
        since_at = self._fills_since_at or started_at
        live = self._live()
        self.has_gap, had_gap = False, self.has_gap
        try:
            open_orders = await self._broker.open_orders()
            ended = await self._look_up(set(live) - {o.client_order_id for o in open_orders})
            # After the orders: of every share that they report, the execution is there by now.
            fills = await self._broker.fills_since(since_at)
            account = await self._broker.account()
        except VenueError as fault:
            self.has_gap |= had_gap
            self._edge.failed(reason=str(fault))
            return False
        self._edge.worked()
        newest_at = max((fill.filled_at for fill in fills), default=since_at)
        self._fills_since_at = max(
            since_at, newest_at - FILLS_OVERLAP, started_at - FILLS_LOOK_BACK_MAX
        )
        self._listen(fills, had_gap=had_gap)
        now = self._clock.now()
        for fill in fills:
            self._post(OrderFilled(at=now, fill=fill))
        for report in ended:
            self._post(OrderChanged(at=now, update=OrderUpdate(report=report, at=now)))
        self._post(AccountReported(at=now, account=account, open_orders=tuple(open_orders)))
        return True

    def _listen(self, fills: Sequence[Fill], *, had_gap: bool) -> None:
        """Notice a stream that stands, answers pings, and does not tell what happens."""
        due_at = self._clock.now() - UNHEARD_AFTER
        unheard = [f for f in fills if f.filled_at <= due_at and not self._is_booked(f.fill_id)]
        if had_gap or not unheard:
            self._unheard = 0
            return
        self._unheard += 1
        if self._unheard >= UNHEARD_MAX:
            self._unheard = 0
            _log.warning("stream_mute", unheard=len(unheard), hint="connecting anew")
            self.on_mute()

    async def _look_up(self, client_order_ids: Collection[str]) -> list[OrderReport]:
        """Return what became of orders that ended without our hearing of it."""
        found = []
        for identity in sorted(client_order_ids):
            report = await self._broker.order(identity)
            if report is not None:
                found.append(report)
                self._absent_since_s.pop(identity, None)
                continue
            if not self._is_absent_for_long(identity):
                continue
            evidence = f"order {identity} was acknowledged and is not known there any more"
            self._post(
                StateDistrusted(
                    at=self._clock.now(),
                    cause="the venue's account was reset, or it is another one",
                    evidence=evidence,
                )
            )
        return found

    def _is_absent_for_long(self, identity: str) -> bool:
        """Return whether the venue has not known an order of its own for ABSENT_S: a look-up may
        lag behind what was accepted."""
        now_s = asyncio.get_running_loop().time()
        return now_s - self._absent_since_s.setdefault(identity, now_s) >= ABSENT_S

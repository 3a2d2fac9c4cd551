"""Reading the venue's account, whatever the stream says: orders, fills, positions, cash."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from daemon.logs import Edge
from domain.errors import VenueError
from domain.events import (
    AccountReported,
    Event,
    OrderChanged,
    OrderFilled,
    StateDistrusted,
    TradeBusted,
)
from domain.instruments import Symbol
from domain.orders import Bust, Fill, OrderReport, OrderUpdate
from domain.ports import Broker, Clock
from domain.snapshot import RECENT_FILLS_MAX

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
BUSTED_WITHIN = timedelta(days=1)
"""Where our book differs from the venue's, executions of so long before the last one are looked for
again, by the venue's clock: one that it listed once and lists no more was taken back."""
EDGE = timedelta(seconds=10)
"""Executions so near to where a list begins may be missing from it for their times' sake."""
LISTED_MAX = RECENT_FILLS_MAX
"""Executions that the venue has listed: of so many in the book it is asked whether they were."""
MISSING_MAX, LISTED_AFTER = 2, timedelta(minutes=1)
"""An execution that the venue has told of and never listed is taken for taken back, where our book
differs from the venue's, when so many lists in a row are without it or it is so old."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """What of our book decides what is fetched."""

    watched: Callable[[], Sequence[Symbol]]
    """Symbols whose quotes must be fresh: held ones and those on order."""
    live: Callable[[], Sequence[str]]
    """Orders that the venue has acknowledged and that have not ended."""
    is_booked: Callable[[str], bool] = lambda fill_id: True
    """Whether an execution is in the book."""
    booked: Callable[[], Sequence[Fill]] = tuple
    """The latest executions in the book, oldest first."""
    differs: Callable[[], bool] = lambda: False
    """Whether the last report differed from the book."""


class Comparing:
    """Fetches the account and posts what it finds; one report at a time."""

    def __init__(
        self,
        broker: Broker,
        *,
        clock: Clock,
        post: Callable[[Event], None],
        book: BookView,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._post = post
        self._book = book
        self._listed = OrderedDict.fromkeys(fill.fill_id for fill in book.booked())
        """Executions that the venue has listed, or that an earlier process has booked."""
        self._missing: dict[str, int] = {}
        self._has_compared = False
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
        live, booked = self._book.live(), self._book.booked()
        self.has_gap, had_gap = False, self.has_gap
        listed_since_at = self._listed_since(since_at, booked, had_gap=had_gap)
        try:
            open_orders = await self._broker.open_orders()
            ended = await self._look_up(set(live) - {o.client_order_id for o in open_orders})
            # After the orders: of every share that they report, the execution is there by now.
            listed = await self._broker.fills_since(listed_since_at)
            account = await self._broker.account()
        except VenueError as fault:
            self.has_gap |= had_gap
            self._edge.failed(reason=str(fault))
            return False
        self._edge.worked()
        self._has_compared = True
        fills = [fill for fill in listed if fill.filled_at >= since_at]
        newest_at = max((fill.filled_at for fill in fills), default=since_at)
        self._fills_since_at = max(
            since_at, newest_at - FILLS_OVERLAP, started_at - FILLS_LOOK_BACK_MAX
        )
        self._listen(fills, had_gap=had_gap)
        now = self._clock.now()
        for bust in self._busts(booked, listed, listed_since_at, since_at):
            self._post(TradeBusted(at=now, bust=bust))
        for fill in fills:
            self._post(OrderFilled(at=now, fill=fill))
        for report in ended:
            self._post(OrderChanged(at=now, update=OrderUpdate(report=report, at=now)))
        self._post(AccountReported(at=now, account=account, open_orders=tuple(open_orders)))
        return True

    def _listen(self, fills: Sequence[Fill], *, had_gap: bool) -> None:
        """Notice a stream that stands, answers pings, and does not tell what happens."""
        due_at = self._clock.now() - UNHEARD_AFTER
        unheard = [
            f for f in fills if f.filled_at <= due_at and not self._book.is_booked(f.fill_id)
        ]
        if had_gap or not unheard:
            self._unheard = 0
            return
        self._unheard += 1
        if self._unheard >= UNHEARD_MAX:
            self._unheard = 0
            _log.warning("stream_mute", unheard=len(unheard), hint="connecting anew")
            self.on_mute()

    # --- what is taken back ----------------------------------------------------------------------

    def _listed_since(
        self, since_at: datetime, booked: Sequence[Fill], *, had_gap: bool
    ) -> datetime:
        """Return since when executions are to be listed: from further back where one may have been
        taken back unheard."""
        is_sure = self._has_compared and not had_gap and not self._book.differs()
        if is_sure or not booked:
            return since_at
        return min(since_at, booked[-1].filled_at - BUSTED_WITHIN)

    def _busts(
        self,
        booked: Sequence[Fill],
        listed: Sequence[Fill],
        listed_since_at: datetime,
        since_at: datetime,
    ) -> list[Bust]:
        """Return what was booked before a list was asked for, and is missing from it though it had
        been listed, or so often that this explains why our book differs; an unknown execution of
        the same order and size stands in its place."""
        found = {fill.fill_id for fill in listed}
        missing = [
            fill
            for fill in booked
            if fill.filled_at >= listed_since_at + EDGE and fill.fill_id not in found
        ]
        self._missing = {f.fill_id: self._missing.get(f.fill_id, 0) + 1 for f in missing}
        news = [fill for fill in listed if not self._book.is_booked(fill.fill_id)]
        gone = [
            fill
            for fill in missing
            if self._is_gone(fill, since_at) or any(_is_put_right_by(new, fill) for new in listed)
        ]
        self._remember(fill.fill_id for fill in listed)
        busts = []
        for fill in gone:
            alike = [n for n in news if _is_in_place_of(n, fill)]
            if alike:
                news.remove(alike[0])
            busts.append(
                Bust(
                    fill_id=fill.fill_id,
                    client_order_id=fill.client_order_id,
                    symbol=fill.symbol,
                    corrected=alike[0] if alike else None,
                )
            )
        return busts

    def _is_gone(self, fill: Fill, since_at: datetime) -> bool:
        """Return whether an execution that is missing from a list was taken back: it had been
        listed, or is of before the last list and was told after that, or explains a difference."""
        if fill.fill_id in self._listed or fill.filled_at < since_at - EDGE:
            return True
        is_old = self._clock.now() - fill.filled_at >= LISTED_AFTER
        is_sure = is_old or self._missing[fill.fill_id] >= MISSING_MAX
        return self._book.differs() and is_sure

    def _remember(self, fill_ids: Iterable[str]) -> None:
        for fill_id in fill_ids:
            self._listed[fill_id] = None
        while len(self._listed) > LISTED_MAX:
            self._listed.popitem(last=False)

    # --- orders that ended unheard ---------------------------------------------------------------

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


def _is_put_right_by(new: Fill, old: Fill) -> bool:
    """Return whether a list that has an execution of later, and not the old one, says that the new
    stands in its place: one that only lags lacks what is latest."""
    return new.filled_at > old.filled_at and _is_in_place_of(new, old)


def _is_in_place_of(new: Fill, old: Fill) -> bool:
    """Return whether an execution may be another one with its price put right."""
    return (new.venue_order_id, new.side, new.quantity_shares) == (
        old.venue_order_id,
        old.side,
        old.quantity_shares,
    )

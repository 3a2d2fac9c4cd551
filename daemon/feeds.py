"""The loops that turn the world into events: sessions, slots, quotes, accounts, order news."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import structlog

from daemon.comparing import BookView, Comparing
from daemon.logs import Edge
from daemon.pacing import Pacing
from domain.calendar import Calendar, Session, Timeframe
from domain.errors import VenueUnavailable
from domain.events import (
    BarsClosed,
    Event,
    OrderChanged,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    TradeBusted,
)
from domain.instruments import Symbol
from domain.market import Bar, BarRow
from domain.orders import Bust, Fill, OrderUpdate
from domain.panel import bar_row, slot_of
from domain.ports import Broker, Clock, PriceSource

Post = Callable[[Event], None]
LATE_SLOTS = 2
"""Slots before the present one that are fetched again, for late bars."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRules:
    """What is fetched, and when; market seconds."""

    symbols: tuple[Symbol, ...]
    timeframes: tuple[Timeframe, ...]
    settle_s: float
    poll_s: float
    order_price_max_age_s: float
    mark_max_age_s: float
    reconcile_s: float
    sessions_max: int | None = None


@dataclass(slots=True)
class MarkCounts:
    """How many marks were used, and how many of them had to be fetched for it."""

    used: int = 0
    fetched: int = 0

    @property
    def hit_ratio(self) -> float:
        """The share of used marks that came from the cache."""
        return 1.0 - self.fetched / self.used if self.used else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """What a venue is to us: prices, an account, and the hours it keeps."""

    prices: PriceSource
    broker: Broker
    calendar: Calendar
    take_invalid: Callable[[], Mapping[str, int]] = dict
    """Returns, and forgets, how many data were thrown away at the border, by reason."""


class Feeds:
    """Posts what happens. Every loop ends only by cancellation, or, the sessions', by its count."""

    def __init__(
        self,
        venue: Venue,
        *,
        clock: Clock,
        pacing: Pacing,
        post: Post,
        rules: FeedRules,
        book: BookView,
    ) -> None:
        self._prices = venue.prices
        self._broker = venue.broker
        self._calendar = venue.calendar
        self._take_invalid = venue.take_invalid
        self._clock = clock
        self._pacing = pacing
        self._post = post
        self._rules = rules
        self._watched = book.watched
        self.account = Comparing(venue.broker, clock=clock, post=post, book=book)
        self.marks = MarkCounts()
        self.before_session: Callable[[Session], Awaitable[None]] = _nothing
        """Awaited before a session is said to have opened."""
        self.on_poll: Callable[[float], None] = lambda took_s: None
        """Hears of every finished poll, and how long it took in loop seconds."""
        self._rows: dict[tuple[Timeframe, datetime], BarRow] = {}
        self._bars_edge = Edge(_log, what="bars")
        self._quotes_edge = Edge(_log, what="quotes")
        self.slots_missed = 0

    # --- sessions and slots ----------------------------------------------------------------------

    async def sessions(self) -> None:
        """Follow the calendar, session by session; return after `sessions_max` of them."""
        done = 0
        while self._rules.sessions_max is None or done < self._rules.sessions_max:
            session = self._calendar.current_or_next(self._clock.now())
            await self._pacing.sleep_until(session.opens_at)
            with self._pacing.at_work():
                await self.before_session(session)
            self._post(SessionOpened(at=self._clock.now(), session=session))
            await self._slots(session)
            await self._pacing.sleep_until(session.closes_at)
            self._post(SessionClosed(at=self._clock.now(), session=session))
            done += 1
            await self._pacing.sleep_until(session.closes_at + timedelta(seconds=1))

    async def _slots(self, session: Session) -> None:
        """Fetch every slot of a session as it closes; of those already past, the last alone."""
        grid, began_at = self._grid(session), self._clock.now()
        settling = timedelta(seconds=self._rules.settle_s)
        next_due_at = [at + settling for at, _ in grid[1:]] + [None]
        for (slot_at, timeframes), superseded_at in zip(grid, next_due_at, strict=True):
            await self._pacing.sleep_until(slot_at + settling)
            if superseded_at is not None and superseded_at <= self._clock.now():
                # One from before we began was not missed by us; one that our own work ate was.
                self.slots_missed += superseded_at > began_at
                continue
            with self._pacing.at_work():
                await self._slot(session, slot_at, timeframes)

    def _grid(self, session: Session) -> list[tuple[datetime, list[Timeframe]]]:
        closing: dict[datetime, list[Timeframe]] = {}
        for timeframe in self._rules.timeframes:
            for slot_at in session.slots(timeframe):
                closing.setdefault(slot_at, []).append(timeframe)
        return sorted(closing.items())

    async def _slot(
        self, session: Session, slot_at: datetime, timeframes: Sequence[Timeframe]
    ) -> None:
        """Fetch a slot's bars and fresh quotes together, then post quotes before bars; quotes that
        aged while bars were waited for are fetched once more."""
        young_s = self._rules.order_price_max_age_s / 2
        async with asyncio.TaskGroup() as group:
            quotes = group.create_task(self._poll(young_s))
            fetched = [
                group.create_task(self._bars(session, slot_at, timeframe))
                for timeframe in timeframes
            ]
        polled = quotes.result()
        # Nothing new is ordered on a book that may have missed news.
        await self.account.close_gap()
        if polled is not None and self._clock.now() - polled.at > timedelta(seconds=young_s):
            polled = await self._poll(young_s)
        if polled is not None:
            self._post(polled)
        rows: dict[Timeframe, BarRow] = {}
        late: list[tuple[Timeframe, datetime, BarRow]] = []
        for timeframe, task in zip(timeframes, fetched, strict=True):
            for at, row in task.result().items():
                if at == slot_at:
                    rows[timeframe] = row
                else:
                    late.append((timeframe, at, row))
        if rows:
            self._post(
                BarsClosed(at=self._clock.now(), slot_at=slot_at, rows=rows, late=tuple(late))
            )
        else:
            self.slots_missed += 1

    async def _bars(
        self, session: Session, slot_at: datetime, timeframe: Timeframe
    ) -> dict[datetime, BarRow]:
        """Return the slot's row, and of the slots before it those that have changed since."""
        slots = [s for s in session.slots(timeframe) if s <= slot_at][-1 - LATE_SLOTS :]
        opened = session.opens_at if timeframe.is_intraday else midnight_before(session)
        start_at = max(opened, slots[0] - timeframe.length)
        try:
            bars = await self._prices.fetch_bars(
                self._rules.symbols,
                timeframe,
                start_at=start_at if timeframe.is_intraday else opened,
                end_at=slot_at - timedelta(microseconds=1),
            )
        except VenueUnavailable as fault:
            self._bars_edge.failed(timeframe=timeframe.value, reason=str(fault))
            return {}
        self._bars_edge.worked()
        rows = _rows(bars, self._rules.symbols, timeframe, session.slots(timeframe))
        found = {slot_at: rows.get(slot_at, bar_row(self._rules.symbols, {}))}
        for at in slots[:-1]:
            row = rows.get(at)
            known = self._rows.get((timeframe, at))
            # One not known before is of a slot whose own fetch failed, or of before our start.
            if row is not None and (known is None or not _same(row, known)):
                found[at] = row
        for at, row in found.items():
            self._rows[(timeframe, at)] = row
        self._forget(slot_at)
        return found

    def _forget(self, slot_at: datetime) -> None:
        limit = slot_at - timedelta(days=1)
        for key in [k for k in self._rows if k[1] < limit]:
            del self._rows[key]

    # --- quotes ----------------------------------------------------------------------------------

    async def quotes(self) -> None:
        """Poll the universe's quotes while the market is open."""
        while True:
            now = self._clock.now()
            session = self._calendar.session_at(now)
            if session is None:
                opens_at = self._calendar.next_open(now).opens_at
                await self._pacing.sleep_until(opens_at + timedelta(milliseconds=500))
                continue
            with self._pacing.at_work():
                began_s = asyncio.get_running_loop().time()
                await self._marks()
                self.on_poll(asyncio.get_running_loop().time() - began_s)
            await self._pacing.sleep_until(now + timedelta(seconds=self._rules.poll_s))

    async def _marks(self) -> None:
        """Post marks of all symbols, from the cache where it is young enough; what stops and
        orders look at is fetched anew first."""
        watched = self._watched()
        if watched:
            await self._prices.fetch(watched, max_age_s=self._rules.poll_s / 2)
        since = self._clock.now() - timedelta(seconds=self._rules.poll_s / 2)
        polled = await self._poll(self._rules.mark_max_age_s)
        if polled is None:
            return
        fresh = sum(q.quoted_at >= since for s, q in polled.quotes.items() if s not in watched)
        self.marks.used += len(polled.quotes)
        self.marks.fetched += fresh
        self._post(polled)

    async def freshen(self, symbols: Sequence[Symbol]) -> None:
        """Post quotes of some symbols, fetched now: a person's order is not priced by chance."""
        quotes = await self._prices.fetch(symbols, max_age_s=0.0)
        if quotes:
            self._post(QuotesPolled(at=self._clock.now(), quotes=quotes))

    async def refresh(self) -> None:
        """Post quotes of all symbols, young enough to order on."""
        polled = await self._poll(self._rules.order_price_max_age_s / 2)
        if polled is not None:
            self._post(polled)

    async def _poll(self, max_age_s: float) -> QuotesPolled | None:
        quotes = await self._prices.fetch(self._rules.symbols, max_age_s=max_age_s)
        missing = len(self._rules.symbols) - len(quotes)
        if missing:
            self._quotes_edge.failed(missing=missing)
        else:
            self._quotes_edge.worked()
        invalid = self._take_invalid()
        if not quotes and not invalid:
            return None
        return QuotesPolled(at=self._clock.now(), quotes=quotes, invalid=invalid)

    # --- the account -----------------------------------------------------------------------------

    async def reconciling(self, is_quiet: Callable[[], bool]) -> None:
        """Report the account every `reconcile_s`, when nothing of ours is in flight."""
        while True:
            await self._pacing.sleep_until(
                self._clock.now() + timedelta(seconds=self._rules.reconcile_s)
            )
            if is_quiet():
                with self._pacing.at_work():
                    await self.reconcile()

    async def reconcile(self) -> bool:
        """Have the account read and posted; return whether all of it came."""
        return await self.account.compare()

    def fills_wanted_since(self, at: datetime) -> None:
        """Ask for executions from here on: earlier ones are in the book already."""
        self.account.wanted_since(at)

    async def order_news(self, on_connected: Callable[[bool], None]) -> None:
        """Post what the stream tells; `on_connected(is_reconnect)` hears of every connection."""
        async for update in self._broker.updates():
            match update:
                case OrderUpdate():
                    self._post(OrderChanged(at=self._clock.now(), update=update))
                case Fill():
                    self._post(OrderFilled(at=self._clock.now(), fill=update))
                case Bust():
                    self._post(TradeBusted(at=self._clock.now(), bust=update))
                case _:
                    on_connected(update.is_reconnect)


async def _nothing(session: Session) -> None:
    """Wait for nothing."""


def _rows(
    bars: Mapping[Symbol, Sequence[Bar]],
    symbols: Sequence[Symbol],
    timeframe: Timeframe,
    slots: Sequence[datetime],
) -> dict[datetime, BarRow]:
    by_slot: dict[datetime, dict[Symbol, Bar]] = {}
    for symbol, found in bars.items():
        for bar in found:
            slot_at = slot_of(bar.opened_at, timeframe, slots)
            if slot_at is not None:
                by_slot.setdefault(slot_at, {})[symbol] = bar
    return {at: bar_row(symbols, row) for at, row in by_slot.items()}


def midnight_before(session: Session) -> datetime:
    """Return an instant before any bar of the day: daily bars open at midnight in New York."""
    return session.opens_at.replace(hour=0, minute=0, second=0, microsecond=0)


def _same(row: BarRow, known: BarRow) -> bool:
    fields = ("open", "high", "low", "close", "volume")
    return all(np.array_equal(getattr(row, f), getattr(known, f), equal_nan=True) for f in fields)

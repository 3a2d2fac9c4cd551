"""The loops that turn the world into events, in virtual time on a venue moved by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from daemon.clock import ClockPace
from daemon.comparing import ABSENT_S, FILLS_OVERLAP
from daemon.feeds import BookView, FeedRules, Feeds, Venue
from daemon.pacing import ClockPacing
from daemon.startup import fetch_history
from domain.calendar import Calendar, Session, Timeframe
from domain.errors import NotAuthorized, VenueUnavailable
from domain.events import (
    AccountReported,
    BarsClosed,
    Event,
    OrderChanged,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    StateDistrusted,
)
from domain.instruments import Symbol
from domain.market import Quote
from domain.orders import AtMarket, OrderStatus, Side
from tests.support.fake_venue import FakeBroker, FakePriceSource, FakeVenue, WallClock
from tests.support.sessions import weekdays
from tests.support.virtual_loop import current_loop, in_virtual_time

SYMBOLS = (Symbol("AAA"), Symbol("BBB"))
CALENDAR: Calendar = weekdays("2026-06-01", 3)
MONDAY, TUESDAY, _ = CALENDAR.sessions
HALF, HOUR, DAY = Timeframe.THIRTY_MINUTES, Timeframe.HOUR, Timeframe.DAY
SETTLE_S = 2.0
E = TypeVar("E", bound=Event)


class Source(FakePriceSource):
    """Remembers what was asked of it; `takes_s` may be stretched while it runs."""

    def __init__(self, venue: FakeVenue) -> None:
        super().__init__(venue)
        self.asked: list[tuple[Timeframe, datetime, datetime]] = []
        self.fetched: list[tuple[tuple[Symbol, ...], float]] = []
        self.failing: set[Timeframe] = set()
        self.bars_take_s = 0.0

    async def fetch(self, symbols: Sequence[Symbol], *, max_age_s: float) -> dict[Symbol, Quote]:
        self.fetched.append((tuple(symbols), max_age_s))
        return await super().fetch(symbols, max_age_s=max_age_s)

    async def fetch_bars(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        *,
        start_at: datetime,
        end_at: datetime,
    ) -> Any:
        self.asked.append((timeframe, start_at, end_at))
        if timeframe in self.failing:
            raise VenueUnavailable("no answer")
        await asyncio.sleep(self.bars_take_s)
        return await super().fetch_bars(symbols, timeframe, start_at=start_at, end_at=end_at)


class World:
    """Feeds on a venue whose time starts when told, and everything they posted."""

    def __init__(self, starts_at: datetime, *timeframes: Timeframe, **rules: Any) -> None:
        self.clock = WallClock(current_loop().wall, starts_at)
        self.venue = FakeVenue(self.clock)
        self.prices, self.broker = Source(self.venue), FakeBroker(self.venue)
        self.events: list[Event] = []
        self.invalid: dict[str, int] = {}
        self.watched: list[Symbol] = []
        self.live: list[str] = []
        fields: dict[str, Any] = {
            "symbols": SYMBOLS,
            "timeframes": timeframes or (HALF,),
            "settle_s": SETTLE_S,
            "poll_s": 5.0,
            "order_price_max_age_s": 5.0,
            "mark_max_age_s": 30.0,
            "reconcile_s": 60.0,
            "sessions_max": 1,
        }
        self.feeds = Feeds(
            Venue(
                prices=self.prices,
                broker=self.broker,
                calendar=CALENDAR,
                take_invalid=lambda: self.invalid,
            ),
            clock=self.clock,
            pacing=ClockPacing(ClockPace(self.clock)),
            post=self.events.append,
            rules=FeedRules(**{**fields, **rules}),
            book=BookView(watched=lambda: self.watched, live=lambda: self.live),
        )

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def slots(self) -> list[datetime]:
        return [event.slot_at for event in self.of(BarsClosed)]

    def show(self, *, symbols: Sequence[str] = ("AAA", "BBB"), price: float = 100.0) -> None:
        for symbol in symbols:
            self.venue.quote(symbol, price - 0.01, price + 0.01)

    def bars(self, timeframe: Timeframe, session: Session, price: float = 100.0) -> None:
        """Let both symbols trade in every slot of a session."""
        opened_at = session.opens_at
        for slot_at in session.slots(timeframe):
            at = opened_at if timeframe.is_intraday else opened_at.replace(hour=4, minute=0)
            for symbol in SYMBOLS:
                self.venue.bar(symbol, timeframe, at, price)
            opened_at = slot_at

    async def until(self, at: datetime) -> None:
        await asyncio.sleep((at - self.clock.now()).total_seconds())

    async def run(self, *jobs: Callable[[], Coroutine[Any, Any, object]], until: datetime) -> None:
        """Run loops until an instant."""
        async with running(*jobs):
            await self.until(until)


@contextlib.asynccontextmanager
async def running(*jobs: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    tasks = [asyncio.get_running_loop().create_task(job()) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def before(at: datetime, minutes: float) -> datetime:
    return at - timedelta(minutes=minutes)


# --- sessions and slots --------------------------------------------------------------------------


@in_virtual_time
async def test_a_session_is_told_of_as_it_begins_and_ends() -> None:
    world = World(before(MONDAY.opens_at, 5), sessions_max=2)
    await world.feeds.sessions()
    opened, closed = world.of(SessionOpened), world.of(SessionClosed)
    assert [e.session for e in opened] == [e.session for e in closed] == [MONDAY, TUESDAY]
    assert abs((opened[0].at - MONDAY.opens_at).total_seconds()) < 0.01


@in_virtual_time
async def test_a_start_inside_a_session_tells_of_it_at_once() -> None:
    world = World(before(MONDAY.closes_at, 5))
    await world.feeds.sessions()
    assert world.of(SessionOpened)[0].at < MONDAY.closes_at
    assert world.of(SessionOpened)[0].session == MONDAY


@in_virtual_time
async def test_the_last_slot_comes_before_the_sessions_end() -> None:
    world = World(before(MONDAY.closes_at, 5))
    world.show()
    await world.feeds.sessions()
    assert [type(e).__name__ for e in world.events][-2:] == ["BarsClosed", "SessionClosed"]


@in_virtual_time
async def test_every_slot_is_fetched_once_after_it_settled() -> None:
    world = World(before(MONDAY.opens_at, 5))
    world.bars(HALF, MONDAY)
    await world.feeds.sessions()
    assert world.slots() == MONDAY.slots(HALF)
    assert len(world.prices.asked) == len(MONDAY.slots(HALF))
    assert all((e.at - e.slot_at).total_seconds() >= SETTLE_S for e in world.of(BarsClosed))
    assert world.feeds.slots_missed == 0


@in_virtual_time
async def test_timeframes_that_close_together_come_in_one_event() -> None:
    world = World(before(MONDAY.opens_at, 5), HALF, HOUR, DAY)
    world.bars(HALF, MONDAY)
    world.bars(HOUR, MONDAY)
    world.bars(DAY, MONDAY)
    await world.feeds.sessions()
    closed = world.of(BarsClosed)
    assert len(closed) == len(MONDAY.slots(HALF))
    assert set(closed[0].rows) == {HALF}
    assert set(closed[1].rows) == {HALF, HOUR}
    assert set(closed[-1].rows) == {HALF, HOUR, DAY}
    assert closed[-1].rows[DAY].close.tolist() == [100.0, 100.0]


@in_virtual_time
async def test_a_slots_bars_never_reach_past_it() -> None:
    world = World(before(MONDAY.opens_at, 5))
    await world.feeds.sessions()
    for (_, start_at, end_at), slot_at in zip(world.prices.asked, MONDAY.slots(HALF), strict=True):
        assert MONDAY.opens_at <= start_at < end_at < slot_at


@in_virtual_time
async def test_quotes_come_before_the_bars_of_a_slot_and_are_fresh() -> None:
    world = World(before(MONDAY.closes_at, 5))
    world.show()
    await world.feeds.sessions()
    assert [type(e) for e in world.events[1:-1]] == [QuotesPolled, BarsClosed] * 2
    assert world.prices.fetched == [(SYMBOLS, 2.5)] * 2


@in_virtual_time
async def test_quotes_that_aged_while_bars_were_waited_for_are_fetched_once_more() -> None:
    world = World(before(MONDAY.closes_at, 1))  # at 600x every slot's quotes were too old
    world.show()
    world.prices.bars_take_s = 4.0
    await world.feeds.sessions()
    assert (world.of(BarsClosed)[-1].at - world.of(QuotesPolled)[-1].at).total_seconds() < 2.5


@in_virtual_time
async def test_without_any_quote_the_bars_come_alone() -> None:
    world = World(before(MONDAY.closes_at, 5))
    await world.feeds.sessions()
    assert not world.of(QuotesPolled)
    assert len(world.of(BarsClosed)) == 2


@in_virtual_time
async def test_a_slot_in_which_nobody_traded_is_a_slot() -> None:
    world = World(before(MONDAY.closes_at, 5))
    await world.feeds.sessions()
    closed = world.of(BarsClosed)[-1]
    assert [value == value for value in closed.rows[HALF].close.tolist()] == [False, False]


@in_virtual_time
async def test_of_slots_already_past_at_the_start_the_last_is_fetched_and_none_is_missed() -> None:
    world = World(before(MONDAY.closes_at, 45))
    await world.feeds.sessions()
    assert world.slots() == MONDAY.slots(HALF)[-3:]
    assert world.feeds.slots_missed == 0


@in_virtual_time
async def test_slots_that_passed_while_we_were_busy_are_missed_and_counted() -> None:
    world = World(before(MONDAY.opens_at, 5))
    slots = MONDAY.slots(HALF)

    async def stall() -> None:
        await world.until(slots[1])
        world.prices.latency_s = 3 * 1_800.0 + 10.0
        await world.until(slots[1] + timedelta(seconds=60))
        world.prices.latency_s = 0.05

    async with running(stall):
        await world.feeds.sessions()
    # Slot 1 took until after slot 4: 2 and 3 are past, 4 is the last of those.
    assert world.slots() == [slots[0], slots[1], *slots[4:]]
    assert world.feeds.slots_missed == 2


@in_virtual_time
async def test_a_slot_whose_bars_cannot_be_had_is_missed_and_counted() -> None:
    world = World(before(MONDAY.closes_at, 5))
    world.prices.failing = {HALF}
    await world.feeds.sessions()
    assert not world.of(BarsClosed)
    assert world.feeds.slots_missed == 2


@in_virtual_time
async def test_one_timeframe_that_fails_does_not_take_the_others_down() -> None:
    world = World(before(MONDAY.closes_at, 5), HALF, DAY)
    world.prices.failing = {HALF}
    world.bars(DAY, MONDAY)
    await world.feeds.sessions()
    (closed,) = world.of(BarsClosed)
    assert set(closed.rows) == {DAY}


@in_virtual_time
async def test_bars_that_come_late_amend_their_slot_once() -> None:
    world = World(before(MONDAY.opens_at, 5))
    slots = MONDAY.slots(HALF)

    async def be_late() -> None:
        await world.until(slots[0] + timedelta(minutes=1))
        world.venue.bar("AAA", HALF, MONDAY.opens_at, 101.0)

    async with running(be_late):
        await world.feeds.sessions()
    first, second, third = world.of(BarsClosed)[:3]
    assert first.late == ()
    ((timeframe, at, row),) = second.late
    assert (timeframe, at, row.close[0]) == (HALF, slots[0], 101.0)
    assert third.late == ()


@in_virtual_time
async def test_bars_seen_before_and_unchanged_are_not_late() -> None:
    world = World(before(MONDAY.opens_at, 5))
    world.bars(HALF, MONDAY)
    await world.feeds.sessions()
    assert all(event.late == () for event in world.of(BarsClosed))


@in_virtual_time
async def test_yesterdays_rows_are_forgotten() -> None:
    world = World(before(MONDAY.opens_at, 5), sessions_max=2)
    world.bars(HALF, MONDAY)
    world.bars(HALF, TUESDAY)
    await world.feeds.sessions()
    assert len(world.feeds._rows) <= len(MONDAY.slots(HALF)) + 1


@in_virtual_time
async def test_keys_that_are_not_accepted_end_the_loop() -> None:
    world = World(before(MONDAY.closes_at, 5))
    world.prices.fault = NotAuthorized("unauthorized", http_status=401, code=None)
    with pytest.raises(ExceptionGroup) as caught:
        await world.feeds.sessions()
    assert caught.group_contains(NotAuthorized)


# --- quotes --------------------------------------------------------------------------------------


@in_virtual_time
async def test_quotes_are_polled_only_while_the_market_is_open() -> None:
    world = World(before(MONDAY.opens_at, 10))
    world.show()
    await world.run(world.feeds.quotes, until=MONDAY.opens_at)
    assert not world.prices.fetched
    late = World(before(MONDAY.closes_at, 1))
    late.show()
    await late.run(late.feeds.quotes, until=MONDAY.closes_at + timedelta(minutes=30))
    assert 11 <= len(late.prices.fetched) <= 13


@in_virtual_time
async def test_quotes_are_polled_as_often_as_set() -> None:
    world = World(MONDAY.opens_at)
    world.show()
    await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=61))
    at_s = [(e.at - MONDAY.opens_at).total_seconds() for e in world.of(QuotesPolled)]
    assert len(at_s) == 13
    assert all(b - a == pytest.approx(5.0, abs=0.01) for a, b in pairwise(at_s))


@in_virtual_time
async def test_marks_come_from_the_cache_and_what_is_watched_is_fetched_anew() -> None:
    world = World(MONDAY.opens_at)
    world.show()
    world.watched = [SYMBOLS[1]]
    await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=1))
    assert world.prices.fetched == [((SYMBOLS[1],), 2.5), (SYMBOLS, 30.0)]


@in_virtual_time
async def test_nothing_is_fetched_anew_when_nothing_is_watched() -> None:
    world = World(MONDAY.opens_at)
    world.show()
    await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=1))
    assert world.prices.fetched == [(SYMBOLS, 30.0)]


@in_virtual_time
async def test_the_share_of_marks_from_the_cache_is_counted() -> None:
    world = World(MONDAY.opens_at)
    world.show(symbols=["AAA"])

    async def keep_fresh() -> None:
        while True:
            world.show(symbols=["BBB"])
            await asyncio.sleep(1.0)

    async with running(keep_fresh):
        await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=51))
    assert world.feeds.marks.used == 22
    assert world.feeds.marks.hit_ratio == pytest.approx(0.5, abs=0.06)


@in_virtual_time
async def test_without_any_mark_the_share_is_nothing() -> None:
    world = World(MONDAY.opens_at)
    await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=11))
    assert not world.of(QuotesPolled)
    assert world.feeds.marks.hit_ratio == 0.0


@in_virtual_time
async def test_symbols_without_a_quote_are_left_out() -> None:
    world = World(MONDAY.opens_at)
    world.show(symbols=["AAA"])
    await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=1))
    assert set(world.of(QuotesPolled)[0].quotes) == {SYMBOLS[0]}


# --- the account ---------------------------------------------------------------------------------


@in_virtual_time
async def test_a_report_brings_fills_before_the_account() -> None:
    world = World(MONDAY.opens_at)
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    world.venue.fill("tw1-a", 5, 100)
    world.venue.accept("tw1-b", "BBB", Side.BUY, Decimal(5), terms=AtMarket())
    assert await world.feeds.reconcile()
    assert [type(e) for e in world.events] == [OrderFilled, AccountReported]
    (reported,) = world.of(AccountReported)
    assert [o.client_order_id for o in reported.open_orders] == ["tw1-b"]
    assert reported.account.positions[SYMBOLS[0]].quantity_shares == 5


@in_virtual_time
async def test_an_order_that_ended_unheard_is_looked_up() -> None:
    world = World(MONDAY.opens_at)
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    world.venue.end("tw1-a", OrderStatus.EXPIRED)
    world.live = ["tw1-a"]
    await world.feeds.reconcile()
    assert [type(e) for e in world.events] == [OrderChanged, AccountReported]
    assert world.of(OrderChanged)[0].update.report.status is OrderStatus.EXPIRED


@in_virtual_time
async def test_an_order_that_works_is_not_looked_up() -> None:
    world = World(MONDAY.opens_at)
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    world.live = ["tw1-a"]
    await world.feeds.reconcile()
    assert not world.of(OrderChanged)


@in_virtual_time
async def test_an_acknowledged_order_that_the_venue_does_not_know_for_long_is_distrusted() -> None:
    world = World(MONDAY.opens_at)
    world.live = ["tw1-gone"]
    await world.feeds.reconcile()
    assert not world.of(StateDistrusted)  # a look-up may lag behind what was accepted
    await asyncio.sleep(ABSENT_S)
    await world.feeds.reconcile()
    assert "tw1-gone" in world.of(StateDistrusted)[0].evidence


@in_virtual_time
async def test_a_report_that_fails_halfway_posts_nothing_and_says_so() -> None:
    for failing in range(3):
        world = World(MONDAY.opens_at)
        world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
        world.venue.fill("tw1-a", 5, 100)
        calls = 0
        real = world.broker._fail

        def fail_at(failing: int = failing, real: Callable[[], None] = real) -> None:
            nonlocal calls
            calls += 1
            if calls == failing + 1:
                raise VenueUnavailable("away")
            real()

        world.broker._fail = fail_at  # type: ignore[method-assign]
        assert not await world.feeds.reconcile()
        assert not world.of(AccountReported)
        assert not world.of(OrderFilled)


@in_virtual_time
async def test_fills_missed_while_the_venue_was_away_are_fetched_later() -> None:
    world = World(MONDAY.opens_at)
    await world.feeds.reconcile()
    await asyncio.sleep(600)
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    world.venue.fill("tw1-a", 5, 100)
    await asyncio.sleep(600)
    world.broker.faults.append(VenueUnavailable("away"))
    assert not await world.feeds.reconcile()
    assert await world.feeds.reconcile()
    assert len(world.of(OrderFilled)) == 1


@in_virtual_time
async def test_fills_shown_late_or_under_a_clock_of_ours_that_is_ahead_are_fetched() -> None:
    world = World(MONDAY.opens_at)
    for _ in range(2):
        await asyncio.sleep(3_000)
        await world.feeds.reconcile()
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    fill = world.venue.fill("tw1-a", 5, 100)
    world.venue.fills[:] = [replace(fill, filled_at=fill.filled_at - timedelta(minutes=45))]
    await asyncio.sleep(60)
    await world.feeds.reconcile()
    assert len(world.of(OrderFilled)) == 1


@in_virtual_time
async def test_of_old_fills_only_the_last_minutes_are_fetched_again() -> None:
    world = World(MONDAY.opens_at)
    world.feeds.fills_wanted_since(MONDAY.opens_at)
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    for _ in range(5):
        world.venue.fill("tw1-a", 1, 100)
        await asyncio.sleep(2 * FILLS_OVERLAP.total_seconds())
        await world.feeds.reconcile()
    assert len(world.of(OrderFilled)) == 1 + 4 * 2


@in_virtual_time
async def test_fills_from_before_the_start_are_fetched_when_they_are_wanted() -> None:
    world = World(MONDAY.opens_at)
    world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
    world.venue.fill("tw1-a", 5, 100)
    await asyncio.sleep(3_600)
    world.feeds.fills_wanted_since(MONDAY.opens_at)
    await world.feeds.reconcile()
    assert len(world.of(OrderFilled)) == 1


@in_virtual_time
async def test_the_account_is_reported_every_minute_when_it_is_quiet() -> None:
    world = World(MONDAY.opens_at)
    quiet = True

    async def reconciling() -> None:
        await world.feeds.reconciling(lambda: quiet)

    async with running(reconciling):
        await asyncio.sleep(181)
        assert len(world.of(AccountReported)) == 3
        quiet = False
        await asyncio.sleep(180)
        assert len(world.of(AccountReported)) == 3


# --- order news ----------------------------------------------------------------------------------


@in_virtual_time
async def test_order_news_is_posted_as_it_comes() -> None:
    world = World(MONDAY.opens_at)
    connected: list[bool] = []

    async def news() -> None:
        await world.feeds.order_news(connected.append)

    async with running(news):
        await asyncio.sleep(0.1)
        world.venue.accept("tw1-a", "AAA", Side.BUY, Decimal(5), terms=AtMarket())
        world.venue.fill("tw1-a", 5, 100)
        await asyncio.sleep(0.1)
        assert [type(e) for e in world.events] == [OrderChanged, OrderFilled, OrderChanged]
        world.venue.break_streams()
        await asyncio.sleep(2.0)
    assert connected == [False, True]


# --- history -------------------------------------------------------------------------------------


@in_virtual_time
async def test_history_is_what_closed_until_now() -> None:
    world = World(before(TUESDAY.opens_at, -45))
    world.bars(HALF, MONDAY)
    world.bars(HALF, TUESDAY)
    days, now = [MONDAY, TUESDAY], world.clock.now()
    bars, slots = await fetch_history(world.prices, SYMBOLS, HALF, days, now)
    assert slots == [*MONDAY.slots(HALF), TUESDAY.slots(HALF)[0]]
    assert all(bar.opened_at <= slots[-1] for bar in bars[SYMBOLS[0]])


@in_virtual_time
async def test_without_a_past_there_is_no_history() -> None:
    world = World(before(MONDAY.opens_at, 5))
    assert await fetch_history(world.prices, SYMBOLS, HALF, [], world.clock.now()) == ({}, [])
    assert not world.prices.asked


@in_virtual_time
async def test_what_the_border_threw_away_is_told_with_the_quotes() -> None:
    world = World(MONDAY.opens_at)
    world.show()
    world.invalid = {"crossed": 2}
    await world.run(world.feeds.quotes, until=MONDAY.opens_at + timedelta(seconds=2))
    assert world.of(QuotesPolled)[0].invalid == {"crossed": 2}

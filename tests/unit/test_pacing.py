"""Waiting for market instants: in lockstep nobody's time passes while somebody works."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from daemon.clock import ClockPace, LockstepClock, SystemClock, VenueClock
from daemon.pacing import ClockPacing, LockstepPacing, VenuePacing
from domain.calendar import MarketClock
from tests.support.sessions import weekdays
from tests.support.virtual_loop import EPOCH_S, current_loop, in_virtual_time

START = datetime(2026, 6, 1, 14, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Exchange:
    """Moves to where it is told, and remembers it; may stop short once."""

    def __init__(self) -> None:
        self.moves: list[datetime] = []
        self.stops_at: datetime | None = None
        self.takes_s = 0.0

    async def advance(self, to: datetime) -> datetime:
        await asyncio.sleep(self.takes_s)
        if self.stops_at is not None and self.stops_at < to:
            to, self.stops_at = self.stops_at, None
        self.moves.append(to)
        return to


class Stage:
    """A lockstep pacing on its clock, with a diary of what was reached when."""

    def __init__(self) -> None:
        self.clock = LockstepClock(START)
        self.exchange = Exchange()
        self.pacing = LockstepPacing(self.clock, self.exchange.advance)
        self.diary: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.diary.append((what, (self.clock.now() - START).total_seconds()))

    async def sleeper(self, name: str, *seconds: float) -> None:
        for until_s in seconds:
            await self.pacing.sleep_until(later(until_s))
            self.note(name)


@contextlib.asynccontextmanager
async def conducted() -> AsyncIterator[Stage]:
    stage = Stage()
    conductor = asyncio.get_running_loop().create_task(stage.pacing.conduct())
    try:
        yield stage
    finally:
        conductor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await conductor


async def together(*jobs: object) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*jobs)  # type: ignore[arg-type]


# --- lockstep ------------------------------------------------------------------------------------


@in_virtual_time
async def test_sleepers_wake_in_the_order_of_their_instants() -> None:
    async with conducted() as stage:
        await together(stage.sleeper("b", 20, 40), stage.sleeper("a", 10, 30))
        assert stage.diary == [("a", 10), ("b", 20), ("a", 30), ("b", 40)]


@in_virtual_time
async def test_time_goes_only_where_somebody_waits_for_it() -> None:
    async with conducted() as stage:
        await together(stage.sleeper("a", 3600), stage.sleeper("b", 7))
        assert stage.exchange.moves == [later(7), later(3600)]


@in_virtual_time
async def test_no_loop_time_passes_between_sleeps() -> None:
    async with conducted() as stage:
        await together(stage.sleeper("a", 1e4, 1e5, 1e6))
        assert current_loop().time() == 0.0


@in_virtual_time
async def test_sleepers_of_one_instant_wake_in_the_order_they_came() -> None:
    async with conducted() as stage:
        await together(*(stage.sleeper(name, 5) for name in "cab"))
        assert [name for name, _ in stage.diary] == ["c", "a", "b"]


@in_virtual_time
async def test_an_instant_that_is_past_is_not_waited_for() -> None:
    stage = Stage()
    await stage.pacing.sleep_until(START)
    await stage.pacing.sleep_until(START - timedelta(days=1))
    assert stage.exchange.moves == []


@in_virtual_time
async def test_time_stands_still_while_somebody_works() -> None:
    async with conducted() as stage:

        async def worker() -> None:
            with stage.pacing.at_work():
                await asyncio.sleep(3.0)
                stage.note("worked")

        await together(stage.sleeper("slept", 5), worker())
        assert stage.diary == [("worked", 0), ("slept", 5)]


@in_virtual_time
async def test_time_stands_still_until_the_last_of_several_has_worked() -> None:
    async with conducted() as stage:

        async def worker(takes_s: float) -> None:
            with stage.pacing.at_work():
                await asyncio.sleep(takes_s)
                stage.note(f"worked {takes_s:g}")

        await together(stage.sleeper("slept", 5), worker(1), worker(3), worker(2))
        assert [what for what, _ in stage.diary] == ["worked 1", "worked 2", "worked 3", "slept"]


@in_virtual_time
async def test_whoever_sleeps_at_work_does_not_hold_up_the_time_it_waits_for() -> None:
    async with conducted() as stage:

        async def worker() -> None:
            with stage.pacing.at_work():
                await stage.pacing.sleep_until(later(10))
                stage.note("went on")
                await asyncio.sleep(2.0)
                stage.note("worked")

        await together(stage.sleeper("slept", 5, 15), worker())
        assert stage.diary == [("slept", 5), ("went on", 10), ("worked", 10), ("slept", 15)]


@in_virtual_time
async def test_what_work_has_started_does_not_stop_it_from_holding_time() -> None:
    async with conducted() as stage:
        started: list[asyncio.Task[None]] = []

        async def slow() -> None:
            with stage.pacing.at_work():
                await asyncio.sleep(4.0)
                stage.note("slow")

        async def starter() -> None:
            with stage.pacing.at_work():
                loop = asyncio.get_running_loop()
                started.append(loop.create_task(slow()))
                started.append(loop.create_task(stage.sleeper("due", 10)))

        await together(starter())
        await together(*started)
        assert stage.diary == [("slow", 0), ("due", 10)]


@in_virtual_time
async def test_nobody_is_carried_to_where_a_cancelled_task_wanted_to_sleep() -> None:
    async with conducted() as stage:
        with stage.pacing.at_work():
            gone = asyncio.get_running_loop().create_task(stage.sleeper("gone", 10))
            await asyncio.sleep(0)
            gone.cancel()
        await together(stage.sleeper("a", 20))
        assert stage.exchange.moves == [later(20)]


@in_virtual_time
async def test_work_that_raises_lets_time_pass_again() -> None:
    async with conducted() as stage:
        with pytest.raises(ValueError), stage.pacing.at_work():
            raise ValueError
        await together(stage.sleeper("slept", 5))
        assert stage.diary == [("slept", 5)]


@in_virtual_time
async def test_a_sleeper_cancelled_at_work_leaves_no_debt() -> None:
    async with conducted() as stage:

        async def worker() -> None:
            with stage.pacing.at_work():
                await stage.pacing.sleep_until(later(1000))

        task = asyncio.get_running_loop().create_task(worker())
        await together(stage.sleeper("a", 5))
        task.cancel()
        await together(stage.sleeper("a", 10))

        async def busy() -> None:
            with stage.pacing.at_work():
                await asyncio.sleep(1.0)
                stage.note("worked")

        await together(stage.sleeper("b", 15), busy())
        assert stage.diary == [("a", 5), ("a", 10), ("worked", 10), ("b", 15)]


@in_virtual_time
async def test_an_exchange_that_stops_short_is_asked_again() -> None:
    async with conducted() as stage:
        stage.exchange.stops_at = later(4)
        await together(stage.sleeper("a", 10))
        assert stage.exchange.moves == [later(4), later(10)]
        assert stage.diary == [("a", 10)]


@in_virtual_time
async def test_a_woken_task_may_sleep_and_work_on_before_the_next_is_woken() -> None:
    async with conducted() as stage:

        async def poller() -> None:
            for turn in range(1, 4):
                await stage.pacing.sleep_until(later(5 * turn))
                with stage.pacing.at_work():
                    await asyncio.sleep(0.05)
                stage.note("polled")

        await together(poller(), stage.sleeper("slot", 12))
        assert stage.diary == [("polled", 5), ("polled", 10), ("slot", 12), ("polled", 15)]


# --- the venue's clock ---------------------------------------------------------------------------


def venue_pacing(
    *, speed: float, skip_closed: bool, at: datetime
) -> tuple[VenuePacing, VenueClock]:
    market = MarketClock(
        anchor_real_s=EPOCH_S,
        anchor_market_at=at,
        speed=speed,
        skip_closed=skip_closed,
        calendar=weekdays(),
    )
    clock = VenueClock(market, current_loop().wall)
    return VenuePacing(clock), clock


@in_virtual_time
async def test_fast_market_time_is_waited_for_in_less_real_time() -> None:
    pacing, clock = venue_pacing(speed=60.0, skip_closed=False, at=START)
    await pacing.sleep_until(later(600))
    assert clock.now() >= later(600)
    assert 10.0 <= current_loop().time() <= 10.01


@in_virtual_time
async def test_skipped_hours_take_no_real_time() -> None:
    close, next_open = (s for s in weekdays(count=2).sessions)
    pacing, clock = venue_pacing(speed=60.0, skip_closed=True, at=close.closes_at)
    await pacing.sleep_until(next_open.opens_at)
    assert clock.now() >= next_open.opens_at
    # A minute after the close and one before the open are played.
    assert current_loop().time() <= 2.01


@in_virtual_time
async def test_a_sleep_never_ends_before_its_instant() -> None:
    pacing, clock = venue_pacing(speed=600.0, skip_closed=False, at=START)
    for step in range(1, 50):
        await pacing.sleep_until(later(step * 0.37))
        assert clock.now() >= later(step * 0.37)


@in_virtual_time
async def test_work_does_not_hold_a_venues_clock() -> None:
    pacing, clock = venue_pacing(speed=60.0, skip_closed=False, at=START)
    with pacing.at_work():
        await asyncio.sleep(1.0)
    assert clock.now() == later(60)


@in_virtual_time
async def test_a_real_clock_is_waited_for_in_real_time() -> None:
    clock = SystemClock(current_loop().wall)
    pacing = ClockPacing(ClockPace(clock))
    due_at = clock.now() + timedelta(seconds=90)
    with pacing.at_work():
        await pacing.sleep_until(due_at)
    assert clock.now() >= due_at
    assert 90.0 <= current_loop().time() <= 90.01

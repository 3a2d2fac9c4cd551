"""Reading the account: news that the stream never told, and gaps in it."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from daemon.comparing import UNHEARD_AFTER, Comparing
from domain.errors import VenueUnavailable
from domain.events import AccountReported, Event, OrderFilled
from domain.orders import AtMarket, Side
from tests.support.engines import MONDAY
from tests.support.fake_venue import FakeBroker, FakeVenue, WallClock
from tests.support.virtual_loop import current_loop, in_virtual_time


class World:
    """An account that is read, and everything that was posted."""

    def __init__(self) -> None:
        self.clock = WallClock(current_loop().wall, MONDAY.opens_at)
        self.venue = FakeVenue(self.clock)
        self.broker = FakeBroker(self.venue)
        self.booked: set[str] = set()
        self.events: list[Event] = []
        self.mute = 0
        self.account = Comparing(
            self.broker,
            clock=self.clock,
            post=self.events.append,
            live=list,
            is_booked=self.booked.__contains__,
        )
        self.account.on_mute = self._on_mute
        self.account.wanted_since(self.clock.now())

    def _on_mute(self) -> None:
        self.mute += 1

    def fill(self, name: str, *, is_told: bool) -> None:
        self.venue.accept(name, "AAA", Side.BUY, Decimal(1), terms=AtMarket())
        fill = self.venue.fill(name, 1, 100)
        if is_told:
            self.booked.add(fill.fill_id)


LATER_S = (UNHEARD_AFTER + timedelta(seconds=1)).total_seconds()


@in_virtual_time
async def test_a_stream_that_tells_nothing_is_noticed_with_the_second_report() -> None:
    world = World()
    for number in range(2):
        assert world.mute == 0
        world.fill(f"o{number}", is_told=False)
        await asyncio.sleep(LATER_S)
        assert await world.account.compare()
    assert world.mute == 1


@in_virtual_time
async def test_what_the_stream_has_told_is_no_silence() -> None:
    world = World()
    for number in range(4):
        world.fill(f"o{number}", is_told=True)
        await asyncio.sleep(LATER_S)
        assert await world.account.compare()
    assert world.mute == 0


@in_virtual_time
async def test_what_the_stream_may_still_tell_is_no_silence() -> None:
    world = World()
    for number in range(4):
        world.fill(f"o{number}", is_told=False)
        assert await world.account.compare()
        world.booked.update(f.fill_id for f in world.venue.fills)
        await asyncio.sleep(LATER_S)
    assert world.mute == 0


@in_virtual_time
async def test_what_happened_in_a_gap_is_not_held_against_the_stream() -> None:
    world = World()
    for number in range(3):
        world.fill(f"o{number}", is_told=False)
        await asyncio.sleep(LATER_S)
        world.account.has_gap = True
        assert await world.account.compare()
    assert world.mute == 0


@in_virtual_time
async def test_only_a_report_that_came_whole_closes_a_gap() -> None:
    world = World()
    world.fill("o", is_told=False)
    world.account.has_gap = True
    world.broker.faults.append(VenueUnavailable("away"))
    assert not await world.account.close_gap()
    assert world.account.has_gap
    assert not world.events
    assert await world.account.close_gap()
    assert [type(e) for e in world.events] == [OrderFilled, AccountReported]


@in_virtual_time
async def test_without_a_gap_nothing_is_asked() -> None:
    world = World()
    assert await world.account.close_gap()
    assert not world.events

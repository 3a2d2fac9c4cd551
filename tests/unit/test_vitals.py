"""What the breakers of lag, disk and clock are told, and how the skew of clocks is measured."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daemon.recording import Recorder
from daemon.vitals import EVERY_S, Sources, Vitals
from domain.errors import VenueUnavailable
from domain.events import VitalsMeasured
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from state.records import Submitting
from tests.support.engines import MONDAY
from tests.support.fake_venue import WallClock
from tests.support.shells import Writer
from tests.support.virtual_loop import current_loop, in_virtual_time

STATE = Path("/state")


class World:
    """A machine and a venue whose clock is `ahead` of ours and whose answer takes its time."""

    def __init__(self, *, ahead_s: float = 0.0, there_s: float = 0.0, back_s: float = 0.0) -> None:
        self.clock = WallClock(current_loop().wall, MONDAY.opens_at)
        self.fs = MemoryFileSystem()
        self.ahead = timedelta(seconds=ahead_s)
        self.there_s, self.back_s = there_s, back_s
        self.is_away = False
        self.vitals = Vitals(
            Sources(
                clock=self.clock,
                fs=self.fs,
                directory=STATE,
                take_slowest_fsync_s=lambda: 0.25,
                venue_time=self.venue_time,
            )
        )

    async def venue_time(self) -> datetime:
        await asyncio.sleep(self.there_s)
        if self.is_away:
            raise VenueUnavailable("away")
        at = self.clock.now() + self.ahead
        await asyncio.sleep(self.back_s)
        return at

    def report(self) -> VitalsMeasured:
        report = self.vitals.lagged(0.0)
        assert report is not None
        return report


@in_virtual_time
async def test_the_longest_lag_since_the_last_report_is_told() -> None:
    world = World()
    world.report()
    for lag_s in (0.1, 3.0, 0.2):
        assert world.vitals.lagged(lag_s) is None
    await asyncio.sleep(EVERY_S)
    assert world.report().loop_lag_s == 3.0
    await asyncio.sleep(EVERY_S)
    assert world.report().loop_lag_s == 0.0


@in_virtual_time
async def test_disk_and_fsync_are_told() -> None:
    world = World()
    world.fs.left_bytes = 300 * 1024 * 1024
    report = world.report()
    assert (report.disk_free_mb, report.fsync_s) == (300.0, 0.25)


@pytest.mark.parametrize("ahead_s", [3.0, -3.0, 0.0])
def test_the_venues_clock_is_compared_with_ours(ahead_s: float) -> None:
    @in_virtual_time
    async def scene() -> None:
        world = World(ahead_s=ahead_s)
        await world.vitals.look_at_clock()
        assert world.report().clock_skew_s == pytest.approx(ahead_s, abs=1e-6)

    scene()


@pytest.mark.parametrize(("there_s", "back_s"), [(4.0, 0.0), (0.0, 4.0), (2.0, 2.0)])
def test_a_slow_answer_is_no_skew(there_s: float, back_s: float) -> None:
    @in_virtual_time
    async def scene() -> None:
        world = World(there_s=there_s, back_s=back_s)
        await world.vitals.look_at_clock()
        assert world.report().clock_skew_s == pytest.approx(0.0, abs=1e-6)

    scene()


@in_virtual_time
async def test_a_venue_that_is_away_says_nothing_of_clocks() -> None:
    world = World(ahead_s=9.0)
    await world.vitals.look_at_clock()
    world.is_away = True
    await world.vitals.look_at_clock()
    assert world.report().clock_skew_s is None


@in_virtual_time
async def test_a_durable_write_that_does_not_come_back_is_seen_to_take_long() -> None:
    fs, writer = MemoryFileSystem(), Writer()
    clock = WallClock(current_loop().wall, MONDAY.opens_at)
    journal, _ = JsonLinesJournal.open(fs, STATE / "journal", clock)
    recorder = Recorder(
        journal, JsonStateStore(fs, STATE), writer=writer, on_failure=lambda fault: None
    )
    writer.is_stuck = True
    recorder.record_durably(Submitting(at=clock.now(), client_order_id="tw1-a"))
    await asyncio.sleep(7)
    assert recorder.take_slowest_s() == pytest.approx(7, abs=0.1)
    writer.let_go()
    await asyncio.sleep(1)
    assert recorder.take_slowest_s() == pytest.approx(7, abs=0.1)
    assert recorder.take_slowest_s() == 0.0

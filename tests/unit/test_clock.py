"""Clocks and paces."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.clock import ClockPace, LockstepClock, LockstepPace, SystemClock, VenueClock
from domain.calendar import Calendar, MarketClock
from tests.support.virtual_loop import EPOCH_S, current_loop, in_virtual_time

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def a_market_clock(speed: float, at: datetime = AT) -> MarketClock:
    return MarketClock(
        anchor_real_s=EPOCH_S,
        anchor_market_at=at,
        speed=speed,
        skip_closed=False,
        calendar=Calendar.of([]),
    )


def test_a_system_clock_set_back_stands_still() -> None:
    shown = [1_000.0]
    clock = SystemClock(lambda: shown[0])
    shown[0] = 1_010.0
    assert clock.now() == datetime.fromtimestamp(1_010.0, UTC)
    shown[0] = 900.0
    assert clock.now() == datetime.fromtimestamp(1_010.0, UTC)
    shown[0] = 1_011.0
    assert clock.now() == datetime.fromtimestamp(1_011.0, UTC)


def test_a_venues_clock_runs_at_the_venues_speed() -> None:
    real_s = [EPOCH_S]
    clock = VenueClock(a_market_clock(600.0), lambda: real_s[0])
    real_s[0] += 2.0
    assert clock.now() == AT + timedelta(minutes=20)
    assert clock.speed == 600.0


def test_constants_read_again_do_not_take_time_back() -> None:
    real_s = [EPOCH_S + 10.0]
    clock = VenueClock(a_market_clock(600.0), lambda: real_s[0])
    before = clock.now()
    clock.follow(a_market_clock(1.0))
    assert clock.now() == before


def test_a_lockstep_clock_ignores_overtaken_messages() -> None:
    clock = LockstepClock(AT)
    clock.set_to(AT + timedelta(seconds=5))
    clock.set_to(AT)
    assert clock.now() == AT + timedelta(seconds=5)


@in_virtual_time
async def test_sleeping_takes_market_time() -> None:
    loop = current_loop()
    pace = ClockPace(VenueClock(a_market_clock(600.0), loop.wall), speed=600.0)
    await pace.sleep(60.0)
    assert loop.time() == pytest.approx(0.1, abs=1e-4)


@in_virtual_time
async def test_sleeping_in_lockstep_waits_for_whoever_moves_the_clock() -> None:
    loop, clock = current_loop(), LockstepClock(AT)
    loop.call_later(30.0, clock.set_to, AT + timedelta(seconds=59))
    loop.call_later(40.0, clock.set_to, AT + timedelta(seconds=60))
    await LockstepPace(clock).sleep(60.0)
    assert loop.time() == pytest.approx(40.0, abs=0.1)


def test_a_clock_that_does_not_run_has_no_pace() -> None:
    with pytest.raises(ValueError, match="above zero"):
        ClockPace(LockstepClock(AT), speed=0.0)

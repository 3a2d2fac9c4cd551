from datetime import timedelta

import pytest

from domain.calendar import (
    CLOSING_TAIL,
    OPENING_LEAD,
    Calendar,
    MarketClock,
    SessionPhase,
    Timeframe,
)
from tests.support.sessions import a_session, at, weekdays


def test_a_session_has_26_quarter_hours_and_the_last_ends_at_the_close() -> None:
    slots = a_session().slots(Timeframe.FIFTEEN_MINUTES)

    assert len(slots) == 26
    assert slots[-1] == a_session().closes_at


def test_an_hourly_grid_ends_with_the_short_bar_at_the_close() -> None:
    slots = a_session().slots(Timeframe.HOUR)

    assert len(slots) == 7
    assert slots[-1] - slots[-2] == timedelta(minutes=30)


def test_a_daily_bar_of_a_half_day_closes_at_the_early_close() -> None:
    half = a_session("2026-11-27", hours=3.5)

    assert half.slots(Timeframe.DAY) == [half.opens_at + timedelta(hours=3.5)]


def test_the_open_is_inside_the_session_and_the_close_is_not() -> None:
    calendar = weekdays(count=1)
    session = calendar.sessions[0]

    assert calendar.phase_at(session.opens_at) is SessionPhase.OPEN
    assert calendar.phase_at(session.closes_at) is SessionPhase.CLOSED


def test_the_session_after_a_friday_is_monday() -> None:
    calendar = weekdays("2026-06-05", count=2)

    assert calendar.next_open(at("2026-06-05T20:00")).day.isoformat() == "2026-06-08"


def test_looking_past_the_end_of_the_calendar_says_so() -> None:
    with pytest.raises(LookupError, match="calendar ends"):
        weekdays(count=1).next_open(at("2026-07-01T00:00"))


def test_sessions_out_of_order_are_refused() -> None:
    late, early = a_session("2026-06-02"), a_session("2026-06-01")

    with pytest.raises(ValueError, match="out of order"):
        Calendar((late, early))


def a_clock(*, speed: float = 60.0, start: str = "2026-06-01T19:59") -> MarketClock:
    return MarketClock(
        anchor_real_s=1000.0,
        anchor_market_at=at(start),
        speed=speed,
        skip_closed=True,
        calendar=weekdays(),
    )


def test_market_time_passes_speed_times_faster() -> None:
    clock = a_clock(start="2026-06-01T14:00")

    assert clock.market_time(1010.0) == at("2026-06-01T14:10")


def test_closed_hours_are_jumped_over_to_just_before_the_next_open() -> None:
    clock = a_clock()
    closing = at("2026-06-01T20:00") + CLOSING_TAIL
    real_s = clock.real_time(closing)

    assert clock.market_time(real_s) == at("2026-06-02T13:30") - OPENING_LEAD


def test_a_clock_started_on_a_weekend_begins_just_before_monday() -> None:
    clock = a_clock(start="2026-06-06T12:00")

    assert clock.market_time(1000.0) == at("2026-06-08T13:30") - OPENING_LEAD


def test_without_skipping_nights_pass_like_days() -> None:
    clock = MarketClock(
        anchor_real_s=0.0,
        anchor_market_at=at("2026-06-01T19:00"),
        speed=1.0,
        skip_closed=False,
        calendar=weekdays(),
    )

    assert clock.market_time(7200.0) == at("2026-06-01T21:00")


def test_a_clock_anchored_just_after_a_close_does_not_live_through_the_night() -> None:
    # A daemon stopped within a minute of the close once resumed with a whole night ahead of it.
    clock = a_clock(start="2026-06-01T20:00:30", speed=1.0)

    assert clock.market_time(1000.0 + 31) == at("2026-06-02T13:30") - OPENING_LEAD + timedelta(
        seconds=1
    )

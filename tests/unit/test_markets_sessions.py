"""The calendar of US equities, against days that are on record."""

from datetime import UTC, date, datetime

import pytest

from exchange.sessions import xnys_calendar
from tests.support.tapes import tolerates_calendar_library

pytestmark = tolerates_calendar_library


def test_a_session_runs_from_half_past_nine_to_four_in_new_york():
    (session,) = xnys_calendar(date(2018, 2, 16), date(2018, 2, 16)).sessions
    assert session.opens_at == datetime(2018, 2, 16, 14, 30, tzinfo=UTC)
    assert session.closes_at == datetime(2018, 2, 16, 21, 0, tzinfo=UTC)


def test_summer_time_moves_the_open_in_utc():
    (session,) = xnys_calendar(date(2018, 4, 20), date(2018, 4, 20)).sessions
    assert session.opens_at == datetime(2018, 4, 20, 13, 30, tzinfo=UTC)


def test_the_day_after_thanksgiving_ends_at_one():
    (session,) = xnys_calendar(date(2019, 11, 29), date(2019, 11, 29)).sessions
    assert session.closes_at == datetime(2019, 11, 29, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "closed",
    [
        date(2012, 10, 29),  # Sandy
        date(2018, 12, 5),  # mourning for George H. W. Bush
        date(2025, 1, 9),  # mourning for Jimmy Carter
        date(2018, 3, 30),  # Good Friday
        date(2018, 2, 17),  # a Saturday
    ],
)
def test_there_is_no_session_on_a_day_without_trading(closed):
    assert xnys_calendar(closed, closed).sessions == ()


def test_a_calendar_that_ends_before_it_starts_is_refused():
    with pytest.raises(ValueError, match="before it starts"):
        xnys_calendar(date(2018, 2, 17), date(2018, 2, 16))


def test_the_calendar_reaches_years_beyond_today():
    assert xnys_calendar(date(2035, 12, 31), date(2035, 12, 31)).sessions

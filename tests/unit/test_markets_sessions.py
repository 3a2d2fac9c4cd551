"""The calendar of US equities, against days that are on record."""

from datetime import UTC, date, datetime, time

import pytest

from exchange.sessions import library_calendar, tabled_calendar, xnys_calendar
from research.sessions_table import FIRST, LAST, table_of_library

tolerates_calendar_library = pytest.mark.filterwarnings(
    # exchange-calendars 4.13.2 reads `Series.values`, which pandas 3.1 means to change in 4.
    "ignore:Series.values returning an ndarray that drops timezone:DeprecationWarning"
)


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


@tolerates_calendar_library
def test_the_table_says_what_the_library_says():
    """When this fails, the library has learned of a day: `python -m research.sessions_table`."""
    assert xnys_calendar(FIRST, LAST) == library_calendar(FIRST, LAST)


@tolerates_calendar_library
def test_a_span_that_begins_before_the_table_is_the_library_s():
    # The exchange was closed on 27 September 1985, for Hurricane Gloria.
    week = xnys_calendar(date(1985, 9, 23), date(1985, 9, 27)).sessions
    assert [session.day.day for session in week] == [23, 24, 25, 26]


@tolerates_calendar_library
def test_a_table_made_of_the_library_tells_half_days_and_closed_days():
    first, last = date(2019, 11, 25), date(2019, 11, 30)
    table = table_of_library(first, last)
    assert (table.closed, table.closes_early) == (
        (date(2019, 11, 28),),
        {date(2019, 11, 29): time(13, 0)},
    )
    assert tabled_calendar(table, first, last) == library_calendar(first, last)

"""When New York's exchanges are closed or close early, by the rules they publish.

Source: NYSE, "Holidays and Trading Hours", and its notices of single closures. Kept as rules so
that the exchange starts without loading a calendar library, and so that a market of the future
does not change with a version of one; a test compares every day with exchange-calendars.
"""

from datetime import date, timedelta

RULED_FROM, RULED_TO = date(2016, 1, 1), date(2036, 12, 31)
"""The days these rules are checked for."""
SINGLE_CLOSURES = frozenset({date(2018, 12, 5), date(2025, 1, 9)})
"""Days of mourning for presidents."""
JUNETEENTH_FROM = 2022
MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6


def is_ruled(first: date, last: date) -> bool:
    """Whether the rules are checked for every day between two dates."""
    return first >= RULED_FROM and last <= RULED_TO


def closed_days(year: int) -> frozenset[date]:
    """Return the weekdays of a year without a session."""
    days = {
        _weekday_of_month(year, 1, MONDAY, 3),
        _weekday_of_month(year, 2, MONDAY, 3),
        _easter(year) - timedelta(days=2),
        _last_monday_of_may(year),
        _nearest_weekday(date(year, 7, 4)),
        _weekday_of_month(year, 9, MONDAY, 1),
        _thanksgiving(year),
        _nearest_weekday(date(year, 12, 25)),
    }
    new_year = date(year, 1, 1)
    if new_year.weekday() == SUNDAY:
        days.add(date(year, 1, 2))
    elif new_year.weekday() != SATURDAY:
        days.add(new_year)
    if year >= JUNETEENTH_FROM:
        days.add(_nearest_weekday(date(year, 6, 19)))
    return frozenset(days | {day for day in SINGLE_CLOSURES if day.year == year})


def early_days(year: int) -> frozenset[date]:
    """Return the days of a year on which the session ends at 13:00."""
    eves = {date(year, 7, 3), date(year, 12, 24)}
    return frozenset(
        {eve for eve in eves if eve.weekday() <= THURSDAY}
        | {_thanksgiving(year) + timedelta(days=1)}
    )


def _thanksgiving(year: int) -> date:
    return _weekday_of_month(year, 11, THURSDAY, 4)


def _weekday_of_month(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    ahead = (weekday - first.weekday()) % 7
    return first + timedelta(days=ahead + 7 * (nth - 1))


def _last_monday_of_may(year: int) -> date:
    last = date(year, 5, 31)
    return last - timedelta(days=last.weekday())


def _nearest_weekday(day: date) -> date:
    if day.weekday() == SATURDAY:
        return day - timedelta(days=1)
    return day + timedelta(days=1) if day.weekday() == SUNDAY else day


def _easter(year: int) -> date:
    """Return Easter Sunday. Source: the anonymous Gregorian algorithm (Meeus, Astronomical
    Algorithms, chapter 8)."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    leap_century, century_rest = divmod(century, 4)
    moon = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_century - moon + 15) % 30
    leap, rest = divmod(in_century, 4)
    to_sunday = (32 + 2 * century_rest + 2 * leap - epact - rest) % 7
    shift = (golden + 11 * epact + 22 * to_sunday) // 451
    month, day = divmod(epact + to_sunday - 7 * shift + 114, 31)
    return date(year, month, day + 1)

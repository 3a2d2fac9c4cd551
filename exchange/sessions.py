"""The trading calendar of US equities. The only file that knows exchange-calendars."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from domain.calendar import Calendar, Session
from exchange.holidays import closed_days, early_days, is_ruled
from exchange.instants import NEW_YORK

EXCHANGE = "XNYS"
ASKED_BEYOND = timedelta(days=14)
"""The library refuses spans of one day and spans without a session; so more is asked for."""
OPENS, CLOSES, CLOSES_EARLY = time(9, 30), time(16), time(13)
WEEKDAYS = 5


def xnys_calendar(first: date, last: date) -> Calendar:
    """Return New York's regular sessions between two dates, both included; half days end early.

    Raises ValueError when `first` lies after `last`.
    """
    if first > last:
        raise ValueError(f"no calendar from {first} to {last}: it would end before it starts")
    if is_ruled(first, last):
        return Calendar(tuple(_by_rule(first, last)))
    return Calendar(tuple(_by_library(first, last)))


def _by_rule(first: date, last: date) -> Iterator[Session]:
    for year in range(first.year, last.year + 1):
        closed, early = closed_days(year), early_days(year)
        day, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        while day <= end:
            if day.weekday() < WEEKDAYS and day not in closed:
                closes = CLOSES_EARLY if day in early else CLOSES
                yield Session(day=day, opens_at=_at(day, OPENS), closes_at=_at(day, closes))
            day += timedelta(days=1)


def _at(day: date, wall: time) -> datetime:
    return datetime.combine(day, wall, tzinfo=NEW_YORK).astimezone(UTC)


def _by_library(first: date, last: date) -> Iterator[Session]:
    """Yield the sessions of years that have no rules here.

    Both ends are always given: the library's defaults move with the day the program runs on.
    """
    # Half a second and pandas with it, which only files of other years have to wait for.
    import exchange_calendars

    table = exchange_calendars.get_calendar(
        EXCHANGE, start=first.isoformat(), end=(last + ASKED_BEYOND).isoformat()
    ).schedule
    opens_s = table["open"].dt.as_unit("s").astype("int64")
    closes_s = table["close"].dt.as_unit("s").astype("int64")
    for day, opens, closes in zip(table.index.date, opens_s, closes_s, strict=True):
        if day <= last:
            yield Session(day=day, opens_at=_instant(opens), closes_at=_instant(closes))


def _instant(epoch_s: int) -> datetime:
    return datetime.fromtimestamp(int(epoch_s), UTC)

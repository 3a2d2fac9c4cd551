"""The trading calendar of US equities, from a table; the only file that knows who keeps it.

The library that keeps the calendar costs a second before the first session is known. What it says
of the years in `xnys.json` stands there (`python -m research.sessions_table` writes it, and a test
asks both); it is asked itself for spans that reach beyond.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path

import msgspec

from domain.calendar import Calendar, Session
from exchange.instants import NEW_YORK

EXCHANGE = "XNYS"
TABLE = Path(__file__).with_name("xnys.json")
OPENS, CLOSES = time(9, 30), time(16, 0)
"""New York's hours wherever the table says nothing else."""
ASKED_BEYOND = timedelta(days=14)
"""The library refuses spans of one day and spans without a session; so more is asked for."""
_DAY = timedelta(days=1)
_SATURDAY = 5


class SessionTable(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the days from `first` to `last`, both included.

    source: who said so. closed: weekdays without a session. closes_early: when, in New York's
    time, sessions end that end before four.
    """

    source: str
    first: date
    last: date
    closed: tuple[date, ...]
    closes_early: Mapping[date, time]


def xnys_calendar(first: date, last: date) -> Calendar:
    """Return New York's regular sessions between two dates, both included; half days end early.

    Raises ValueError when `first` lies after `last`.
    """
    if first > last:
        raise ValueError(f"no calendar from {first} to {last}: it would end before it starts")
    table = _table()
    if table.first <= first and last <= table.last:
        return tabled_calendar(table, first, last)
    return library_calendar(first, last)


def tabled_calendar(table: SessionTable, first: date, last: date) -> Calendar:
    """Return the sessions of two dates that the table spans."""
    closed = frozenset(table.closed)
    return Calendar(
        tuple(
            Session(
                day=day,
                opens_at=_instant(day, OPENS),
                closes_at=_instant(day, table.closes_early.get(day, CLOSES)),
            )
            for day in weekdays(first, last)
            if day not in closed
        )
    )


def weekdays(first: date, last: date) -> Iterator[date]:
    """Yield the days from Monday to Friday between two dates, both included."""
    days = (first + index * _DAY for index in range((last - first).days + 1))
    return (day for day in days if day.weekday() < _SATURDAY)


def library_calendar(first: date, last: date) -> Calendar:
    """Return the sessions as exchange-calendars has them.

    Both ends are always given: the library's defaults move with the day the program runs on.
    """
    import exchange_calendars

    schedule = exchange_calendars.get_calendar(
        EXCHANGE, start=first.isoformat(), end=(last + ASKED_BEYOND).isoformat()
    ).schedule
    opens_s = schedule["open"].dt.as_unit("s").astype("int64")
    closes_s = schedule["close"].dt.as_unit("s").astype("int64")
    return Calendar(
        tuple(
            Session(
                day=day,
                opens_at=datetime.fromtimestamp(int(opens), UTC),
                closes_at=datetime.fromtimestamp(int(closes), UTC),
            )
            for day, opens, closes in zip(schedule.index.date, opens_s, closes_s, strict=True)
            if day <= last
        )
    )


@cache
def _table() -> SessionTable:
    return msgspec.json.decode(TABLE.read_bytes(), type=SessionTable)


def _instant(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)

"""The trading calendar of US equities. The only file that knows exchange-calendars."""

from datetime import UTC, date, datetime, timedelta

import exchange_calendars

from domain.calendar import Calendar, Session

EXCHANGE = "XNYS"
ASKED_BEYOND = timedelta(days=14)
"""The library refuses spans of one day and spans without a session; so more is asked for."""


def xnys_calendar(first: date, last: date) -> Calendar:
    """Return New York's regular sessions between two dates, both included; half days end early.

    Both ends are always given: the library's defaults move with the day the program runs on.
    Raises ValueError when `first` lies after `last`.
    """
    if first > last:
        raise ValueError(f"no calendar from {first} to {last}: it would end before it starts")
    table = exchange_calendars.get_calendar(
        EXCHANGE, start=first.isoformat(), end=(last + ASKED_BEYOND).isoformat()
    ).schedule
    opens_s = table["open"].dt.as_unit("s").astype("int64")
    closes_s = table["close"].dt.as_unit("s").astype("int64")
    return Calendar(
        tuple(
            Session(day=day, opens_at=_instant(opens), closes_at=_instant(closes))
            for day, opens, closes in zip(table.index.date, opens_s, closes_s, strict=True)
            if day <= last
        )
    )


def _instant(epoch_s: int) -> datetime:
    return datetime.fromtimestamp(int(epoch_s), UTC)

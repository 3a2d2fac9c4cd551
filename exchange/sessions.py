"""The trading calendar of US equities. The only file that knows exchange-calendars."""

from datetime import UTC, date, datetime

import exchange_calendars
from exchange_calendars.errors import NoSessionsError

from domain.calendar import Calendar, Session

EXCHANGE = "XNYS"
NANOSECONDS_PER_SECOND = 1_000_000_000


def xnys_calendar(first: date, last: date) -> Calendar:
    """Return New York's regular sessions between two dates, both included; half days end early.

    Both ends are always given: the library's defaults move with the day the program runs on.
    Raises ValueError when `first` lies after `last`.
    """
    if first > last:
        raise ValueError(f"no calendar from {first} to {last}: it would end before it starts")
    try:
        table = exchange_calendars.get_calendar(
            EXCHANGE, start=first.isoformat(), end=last.isoformat()
        ).schedule
    except NoSessionsError:
        return Calendar(())
    opens_s = table["open"].astype("int64") // _units_per_second(table["open"].dtype)
    closes_s = table["close"].astype("int64") // _units_per_second(table["close"].dtype)
    return Calendar(
        tuple(
            Session(day=day, opens_at=_instant(opens), closes_at=_instant(closes))
            for day, opens, closes in zip(table.index.date, opens_s, closes_s, strict=True)
        )
    )


def _units_per_second(dtype: object) -> int:
    units = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": NANOSECONDS_PER_SECOND}
    return units[str(getattr(dtype, "unit", "ns"))]


def _instant(epoch_s: int) -> datetime:
    return datetime.fromtimestamp(int(epoch_s), UTC)

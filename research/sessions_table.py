"""`python -m research.sessions_table`: write the exchange's table of sessions anew.

To be run when exchange-calendars has learned of a day that was not foreseen.
"""

from datetime import date
from importlib.metadata import version

import msgspec

from exchange.instants import NEW_YORK
from exchange.sessions import CLOSES, OPENS, TABLE, SessionTable, library_calendar, weekdays

FIRST, LAST = date(1990, 1, 1), date(2049, 12, 31)


def table_of_library(first: date = FIRST, last: date = LAST) -> SessionTable:
    """Return what exchange-calendars knows of the days between, as a table.

    Raises ValueError for a session that does not open at half past nine: the table has no word
    for it.
    """
    sessions = {session.day: session for session in library_calendar(first, last).sessions}
    for session in sessions.values():
        if session.opens_at.astimezone(NEW_YORK).time() != OPENS:
            raise ValueError(f"the session of {session.day} opens at {session.opens_at}")
    closes = {day: s.closes_at.astimezone(NEW_YORK).time() for day, s in sessions.items()}
    return SessionTable(
        source=f"exchange-calendars {version('exchange-calendars')}",
        first=first,
        last=last,
        closed=tuple(day for day in weekdays(first, last) if day not in sessions),
        closes_early={day: at for day, at in closes.items() if at != CLOSES},
    )


if __name__ == "__main__":
    plain = msgspec.json.encode(table_of_library())
    TABLE.write_bytes(msgspec.json.format(plain, indent=1) + b"\n")

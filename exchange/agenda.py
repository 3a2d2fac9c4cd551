"""The instants of a trading day at which the venue does something by itself."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto

from domain.calendar import Calendar, Session
from exchange.instants import MINUTE_NS, from_ns, new_york_day, to_ns, wall_ns

NEVER_NS = 1 << 62
WAKE_HOUR = 4
"""New York's hour at which a day begins: splits take effect, and orders that waited."""
SWEEP_DELAY_NS = 15 * MINUTE_NS
"""Old gtc orders are cancelled this long after the close: 16:15 on a full day."""


class Moment(Enum):
    """What happens at an instant."""

    WAKE = auto()
    """04:00 New York: a new day; orders that waited begin to work."""
    OPEN = auto()
    CLOSE = auto()
    SWEEP = auto()
    LATE = auto()
    """20:00 New York: orders with extended hours expire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """One moment of one session."""

    at_ns: int
    moment: Moment
    session: Session


def moments(session: Session) -> list[Appointment]:
    """Return a session's appointments in order."""
    close_ns = to_ns(session.closes_at)
    instants = (
        (wall_ns(session.day, WAKE_HOUR), Moment.WAKE),
        (to_ns(session.opens_at), Moment.OPEN),
        (close_ns, Moment.CLOSE),
        (close_ns + SWEEP_DELAY_NS, Moment.SWEEP),
        (max(wall_ns(session.day, 20), close_ns + SWEEP_DELAY_NS + 1), Moment.LATE),
    )
    return [Appointment(at_ns=at, moment=moment, session=session) for at, moment in instants]


class Agenda:
    """The appointments of a calendar after an instant, one after the other."""

    def __init__(self, calendar: Calendar, after_ns: int) -> None:
        self._sessions = calendar.sessions
        after = from_ns(after_ns)
        opens = [s.opens_at for s in self._sessions]
        self._index = max(0, bisect_right(opens, after - timedelta(days=1)))
        self._queue: list[Appointment] = []
        self._refill()
        while self._queue and self._queue[0].at_ns <= after_ns:
            self._pop()

    @property
    def next_ns(self) -> int:
        """When the next appointment is, NEVER_NS after the last."""
        return self._queue[0].at_ns if self._queue else NEVER_NS

    def take(self) -> Appointment:
        """Return the next appointment and go on to the one after it."""
        appointment = self._queue[0]
        self._pop()
        return appointment

    def _pop(self) -> None:
        self._queue.pop(0)
        self._refill()

    def _refill(self) -> None:
        if not self._queue and self._index < len(self._sessions):
            self._queue = moments(self._sessions[self._index])
            self._index += 1


def trading_day(calendar: Calendar, at_ns: int) -> tuple[Session, bool]:
    """Return the session an order given at an instant belongs to, and whether it works at once.

    It does from 04:00 New York of the session's day until the close; otherwise it waits for the
    next session's 04:00. Raises LookupError after the calendar's end.
    """
    session = calendar.current_or_next(from_ns(at_ns))
    return session, wall_ns(session.day, WAKE_HOUR) <= at_ns


def begun_day(at_ns: int) -> date:
    """Return the New York date whose splits and dividends have taken effect by an instant."""
    today = new_york_day(at_ns)
    return today if at_ns >= wall_ns(today, WAKE_HOUR) else today - timedelta(days=1)


def gtc_expiry_ns(day: date, days: int) -> int:
    """Return when a gtc order given on a day is cancelled: 16:15 New York, `days` later."""
    return wall_ns(day + timedelta(days=days), 16, 15)

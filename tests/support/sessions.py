"""Builders of sessions and calendars; New York hours in UTC, summer time unless said."""

from datetime import UTC, date, datetime, timedelta

from domain.calendar import Calendar, Session

NEW_YORK_OPEN_H = 13.5  # 09:30 in summer


def at(text: str) -> datetime:
    """Return the UTC instant written as ISO, e.g. at("2026-06-01T14:30")."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_session(day: str = "2026-06-01", *, hours: float = 6.5) -> Session:
    """Return a session from 13:30 UTC, `hours` long."""
    opens_at = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=NEW_YORK_OPEN_H)
    return Session(
        day=date.fromisoformat(day), opens_at=opens_at, closes_at=opens_at + timedelta(hours=hours)
    )


def weekdays(
    first: str = "2026-06-01", count: int = 10, half_days: tuple[str, ...] = ()
) -> Calendar:
    """Return `count` weekday sessions from `first`; those in `half_days` are 3.5 hours long."""
    day, sessions = date.fromisoformat(first), []
    while len(sessions) < count:
        if day.weekday() < 5:
            hours = 3.5 if day.isoformat() in half_days else 6.5
            sessions.append(a_session(day.isoformat(), hours=hours))
        day += timedelta(days=1)
    return Calendar.of(sessions)

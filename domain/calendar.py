"""Trading sessions and market time: pure tables and functions; the shells fill them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def day_in_new_york(at: datetime) -> date:
    """Return the day in New York, where sessions' and companies' days begin."""
    return at.astimezone(NEW_YORK).date()


class Timeframe(StrEnum):
    """Bar lengths on the wire's spelling. Week and month are reserved."""

    MINUTE = "1Min"
    FIVE_MINUTES = "5Min"
    FIFTEEN_MINUTES = "15Min"
    THIRTY_MINUTES = "30Min"
    HOUR = "1Hour"
    DAY = "1Day"

    @property
    def length(self) -> timedelta:
        """The nominal length; a daily bar's real one is its session's."""
        return _LENGTHS[self]

    @property
    def is_intraday(self) -> bool:
        """Whether bars of this length close inside a session."""
        return self is not Timeframe.DAY


_LENGTHS = {
    Timeframe.MINUTE: timedelta(minutes=1),
    Timeframe.FIVE_MINUTES: timedelta(minutes=5),
    Timeframe.FIFTEEN_MINUTES: timedelta(minutes=15),
    Timeframe.THIRTY_MINUTES: timedelta(minutes=30),
    Timeframe.HOUR: timedelta(hours=1),
    Timeframe.DAY: timedelta(days=1),
}


class SessionPhase(StrEnum):
    """Where an instant lies relative to the regular session."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One regular trading session; instants are aware UTC."""

    day: date
    opens_at: datetime
    closes_at: datetime

    def __post_init__(self) -> None:
        if not (self.opens_at.tzinfo is UTC and self.closes_at.tzinfo is UTC):
            raise ValueError("session instants are UTC")
        if not self.opens_at < self.closes_at:
            raise ValueError(f"session {self.day} closes before it opens")

    def slots(self, timeframe: Timeframe) -> list[datetime]:
        """Return the closing instants of this session's bars, the last one at the close."""
        if timeframe is Timeframe.DAY:
            return [self.closes_at]
        instants = []
        at = self.opens_at + timeframe.length
        while at < self.closes_at:
            instants.append(at)
            at += timeframe.length
        instants.append(self.closes_at)
        return instants


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sessions in order; every look-up outside what it covers raises LookupError."""

    sessions: tuple[Session, ...]
    _opens: tuple[datetime, ...] = field(init=False, repr=False, compare=False)
    _closes: tuple[datetime, ...] = field(init=False, repr=False, compare=False)
    _days: tuple[date, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        opens = tuple(s.opens_at for s in self.sessions)
        closes = tuple(s.closes_at for s in self.sessions)
        if any(b <= a for a, b in zip(closes, opens[1:], strict=False)):
            raise ValueError("sessions overlap or stand out of order")
        object.__setattr__(self, "_opens", opens)
        object.__setattr__(self, "_closes", closes)
        object.__setattr__(self, "_days", tuple(s.day for s in self.sessions))

    @staticmethod
    def of(sessions: Iterable[Session]) -> "Calendar":
        """Return a calendar of the sessions, sorted."""
        return Calendar(tuple(sorted(sessions, key=lambda s: s.opens_at)))

    def session_at(self, at: datetime) -> Session | None:
        """Return the session that is open at `at` (open ≤ at < close), else None."""
        index = bisect_right(self._opens, at) - 1
        if index >= 0 and at < self._closes[index]:
            return self.sessions[index]
        return None

    def phase_at(self, at: datetime) -> SessionPhase:
        """Return whether the market is open at `at`."""
        return SessionPhase.OPEN if self.session_at(at) else SessionPhase.CLOSED

    def next_open(self, at: datetime) -> Session:
        """Return the first session that opens strictly after `at`."""
        index = bisect_right(self._opens, at)
        if index == len(self.sessions):
            raise LookupError(f"the calendar ends before the session after {at}")
        return self.sessions[index]

    def current_or_next(self, at: datetime) -> Session:
        """Return the open session, or the next one to open."""
        return self.session_at(at) or self.next_open(at - timedelta(microseconds=1))

    def last_closed(self, at: datetime) -> Session | None:
        """Return the last session that closed at or before `at`, else None."""
        index = bisect_right(self._closes, at) - 1
        return self.sessions[index] if index >= 0 else None

    def session_of(self, day: date) -> Session | None:
        """Return the session of a date, else None."""
        index = bisect_left(self._days, day)
        found = index < len(self._days) and self._days[index] == day
        return self.sessions[index] if found else None

    def before(self, at: datetime, count: int) -> tuple[Session, ...]:
        """Return the last `count` sessions closed by `at`, oldest first; fewer at the start."""
        end = bisect_right(self._closes, at)
        return self.sessions[max(0, end - count) : end]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """From where market time resumes to where it pauses, and how much of it passed before."""

    begins_at: datetime
    ends_at: datetime
    passed_before: timedelta

    @property
    def passed_after(self) -> timedelta:
        return self.passed_before + (self.ends_at - self.begins_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketClock:
    """Market time of an embedded venue as a pure function of real time.

    `anchor_real_s` (epoch seconds) is when market time stood at `anchor_market_at`. While it runs,
    market time passes `speed` times faster; with `skip_closed` only session time passes and each
    close is followed at once by the next open less `OPENING_LEAD`.
    """

    anchor_real_s: float
    anchor_market_at: datetime
    speed: float
    skip_closed: bool
    calendar: Calendar
    _stretches: list[_Stretch] = field(init=False, repr=False, compare=False, default_factory=list)
    """Those that were looked at so far, in order: most questions are about the last."""

    def market_time(self, real_s: float) -> datetime:
        """Return the market instant at a real one (epoch seconds)."""
        passed = timedelta(seconds=max(0.0, real_s - self.anchor_real_s) * self.speed)
        if not self.skip_closed:
            return self.anchor_market_at + passed
        while not self._stretches or self._stretches[-1].passed_after <= passed:
            self._look_further()
        for stretch in reversed(self._stretches):
            if stretch.passed_before <= passed:
                break
        return stretch.begins_at + (passed - stretch.passed_before)

    def real_time(self, market_at: datetime) -> float:
        """Return the real instant (epoch seconds) at which market time reaches `market_at`."""
        if not self.skip_closed:
            passed = market_at - self.anchor_market_at
        else:
            passed = self._passed_at(market_at)
        return self.anchor_real_s + max(0.0, passed.total_seconds()) / self.speed

    def _passed_at(self, market_at: datetime) -> timedelta:
        if market_at <= self.anchor_market_at:
            return timedelta()
        while not self._stretches or self._stretches[-1].ends_at < market_at:
            self._look_further()
        for stretch in reversed(self._stretches):
            if stretch.begins_at < market_at:
                return stretch.passed_before + min(stretch.ends_at, market_at) - stretch.begins_at
        return timedelta()

    def _look_further(self) -> None:
        last = self._stretches[-1] if self._stretches else None
        at = _skip(self.calendar, self.anchor_market_at if last is None else last.ends_at)
        passed = timedelta() if last is None else last.passed_after
        self._stretches.append(
            _Stretch(begins_at=at, ends_at=_runs_until(self.calendar, at), passed_before=passed)
        )


OPENING_LEAD = timedelta(minutes=1)
"""With `skip_closed`, market time resumes this long before the next open…"""
CLOSING_TAIL = timedelta(minutes=1)
"""…and runs on this long after a close, so that closing bars and expiries are seen."""


def _skip(calendar: Calendar, at: datetime) -> datetime:
    """Return `at`, or, in skipped closed hours, the instant at which market time resumes."""
    if calendar.session_at(at):
        return at
    last = calendar.last_closed(at)
    if last is not None and at < last.closes_at + CLOSING_TAIL:
        return at
    return max(at, calendar.next_open(at - timedelta(microseconds=1)).opens_at - OPENING_LEAD)


def _runs_until(calendar: Calendar, at: datetime) -> datetime:
    """Return when running market time next pauses, from an instant at which it runs."""
    last = calendar.last_closed(at)
    if last is not None and at < last.closes_at + CLOSING_TAIL:
        return last.closes_at + CLOSING_TAIL
    return calendar.current_or_next(at).closes_at + CLOSING_TAIL

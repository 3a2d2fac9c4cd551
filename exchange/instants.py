"""Instants as integer nanoseconds since the epoch, and how the wire writes and reads them.

The venue counts in nanoseconds because its wire does; `..._ns` names carry them.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
SECONDS_WRITTEN_MAX = 16_384
"""Seconds whose text is kept: more than the bars of the longest page have starts."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def to_ns(at: datetime) -> int:
    """Return an aware instant as nanoseconds since the epoch."""
    passed = at - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * SECOND_NS + passed.microseconds * 1_000


def from_ns(at_ns: int) -> datetime:
    """Return nanoseconds since the epoch as an aware UTC instant, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=at_ns // 1_000)


@lru_cache(maxsize=SECONDS_WRITTEN_MAX)
def _second(at_s: int) -> str:
    return (_EPOCH + timedelta(seconds=at_s)).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(at_ns: int) -> str:
    """Return an instant in UTC with nine fractional digits, as orders carry it."""
    at_s, rest_ns = divmod(at_ns, SECOND_NS)
    return f"{_second(at_s)}.{rest_ns:09d}Z"


def rfc3339_short(at_ns: int) -> str:
    """Return an instant in UTC with only as many fractional digits as it needs (market data)."""
    at_s, rest_ns = divmod(at_ns, SECOND_NS)
    if rest_ns == 0:
        return f"{_second(at_s)}Z"
    return f"{_second(at_s)}.{rest_ns:09d}".rstrip("0") + "Z"


def rfc3339_micro(at_ns: int) -> str:
    """Return an instant in UTC with six fractional digits, as activities carry it."""
    at_s, rest_ns = divmod(at_ns, SECOND_NS)
    return f"{_second(at_s)}.{rest_ns // 1_000:06d}Z"


def new_york_rfc3339(at_ns: int) -> str:
    """Return an instant with New York's offset and nine fractional digits, as the clock does."""
    at_s, rest_ns = divmod(at_ns, SECOND_NS)
    local = (_EPOCH + timedelta(seconds=at_s)).astimezone(NEW_YORK)
    offset = local.strftime("%z")
    fraction = f".{rest_ns:09d}" if rest_ns else ""
    return f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{offset[:3]}:{offset[3:]}"


def new_york_day(at_ns: int) -> date:
    """Return the New York date of an instant."""
    return from_ns(at_ns).astimezone(NEW_YORK).date()


def midnight_ns(day: date) -> int:
    """Return the instant a New York date begins: the timestamp of its daily bar."""
    return to_ns(datetime.combine(day, time(), tzinfo=NEW_YORK).astimezone(UTC))


def wall_ns(day: date, hour: int, minute: int = 0) -> int:
    """Return the instant of a New York wall time on a date."""
    return to_ns(datetime.combine(day, time(hour, minute), tzinfo=NEW_YORK).astimezone(UTC))


def parse_instant(text: str, *, day_ends: bool = False) -> int:
    """Return the instant a query names: RFC 3339, or a New York date.

    A date means its first instant, or with `day_ends` its last. A time without an offset is UTC.
    Raises ValueError.
    """
    if _DATE.fullmatch(text):
        day = date.fromisoformat(text)
        return midnight_ns(day + timedelta(days=1)) - 1 if day_ends else midnight_ns(day)
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    try:
        return to_ns(at.astimezone(UTC))
    except OverflowError as fault:
        raise ValueError(f"no instant: {text!r}") from fault

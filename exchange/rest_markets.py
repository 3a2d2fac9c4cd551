"""Clock and calendar by market, as the current clients ask for them: phases and time zones.

Source: the published OpenAPI models as the official JavaScript client 4.0 reads them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web

from domain.calendar import Session
from exchange import errors
from exchange.encoding import Json
from exchange.instants import NEW_YORK, from_ns, to_ns, wall_ns
from exchange.venue import Venue
from exchange.wire import EXCHANGE, query_list, reply, written_day

DAYS_MAX = 400
"""Days a calendar answers with at most."""
DEFAULT_DAYS = 30
PRE_HOUR, POST_HOUR = 4, 20
_MARKETS: Mapping[str, Json] = {
    "NYSE": {"acronym": "NYSE", "mic": "XNYS", "name": "New York Stock Exchange"},
    "NASDAQ": {"acronym": "NASDAQ", "mic": "XNAS", "name": "NASDAQ"},
}
_NAMES = {"XNYS": "NYSE", "XNAS": "NASDAQ"} | {name: name for name in _MARKETS}


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [web.get("/v3/clock", get_clock), web.get("/v3/calendar/{market}", get_calendar)]


async def get_clock(request: web.Request) -> web.Response:
    """Serve the clocks of the markets asked for, New York's without any."""
    venue = request.app[EXCHANGE].venue
    names = [_name(text) for text in query_list(request.query, "markets")] or ["NYSE"]
    return reply({"clocks": [_clock(venue, name) for name in names]})


async def get_calendar(request: web.Request) -> web.Response:
    """Serve a market's sessions between two dates, in the time zone asked for."""
    venue, query = request.app[EXCHANGE].venue, request.query
    name = _name(request.match_info["market"])
    zone = _zone(query.get("timezone"))
    today = from_ns(venue.now_ns).astimezone(NEW_YORK).date()
    sessions = venue.market.calendar.sessions
    days = [s.day for s in sessions]
    first = bisect_left(days, written_day(query, "start") or today)
    end = written_day(query, "end")
    last = first + DEFAULT_DAYS if end is None else bisect_right(days, end)
    rows = []
    for index in range(first, min(last, first + DAYS_MAX, len(days))):
        settles = days[min(index + 1, len(days) - 1)]
        rows.append(_row(sessions[index], settles, zone))
    return reply({"market": _market(name), "calendar": rows})


def _name(text: str) -> str:
    name = _NAMES.get(text.upper())
    if name is None:
        raise errors.invalid(f"invalid market: {text[:40]}")
    return name


def _market(name: str) -> Json:
    return {**_MARKETS[name], "timezone": "America/New_York"}


def _zone(text: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(text) if text else NEW_YORK
    except (ZoneInfoNotFoundError, ValueError, OSError) as fault:
        raise errors.invalid(f"invalid timezone: {str(text)[:40]}") from fault


def _clock(venue: Venue, name: str) -> Json:
    at = from_ns(venue.now_ns)
    calendar = venue.market.calendar
    session = calendar.session_of(at.astimezone(NEW_YORK).date())
    phase, until = _phase(venue, session)
    open_now, following = calendar.session_at(at), calendar.next_open(at)
    return {
        "market": _market(name),
        "timestamp": _told(at),
        "is_market_day": session is not None,
        "phase": phase,
        "phase_until": _told(until),
        "next_market_open": _told(following.opens_at),
        "next_market_close": _told((open_now or following).closes_at),
    }


def _phase(venue: Venue, session: Session | None) -> tuple[str, datetime]:
    """Return the phase of the day that now lies in, and when it ends."""
    now_ns = venue.now_ns
    if session is not None:
        for name, until in _phases(session):
            if now_ns < to_ns(until):
                return name, until
    following = venue.market.calendar.next_open(from_ns(now_ns))
    return "closed", from_ns(wall_ns(following.day, PRE_HOUR))


def _phases(session: Session) -> list[tuple[str, datetime]]:
    return [
        ("closed", from_ns(wall_ns(session.day, PRE_HOUR))),
        ("pre", session.opens_at),
        ("core", session.closes_at),
        ("post", from_ns(wall_ns(session.day, POST_HOUR))),
    ]


def _row(session: Session, settles: date, zone: ZoneInfo) -> Json:
    def at(hour: int) -> datetime:
        return datetime.combine(session.day, time(hour), tzinfo=NEW_YORK)

    return {
        "date": session.day.isoformat(),
        "pre_start": _told(at(PRE_HOUR), zone),
        "pre_end": _told(session.opens_at, zone),
        "core_start": _told(session.opens_at, zone),
        "core_end": _told(session.closes_at, zone),
        "post_start": _told(session.closes_at, zone),
        "post_end": _told(at(POST_HOUR), zone),
        "settlement_date": settles.isoformat(),
    }


def _told(at: datetime, zone: ZoneInfo = NEW_YORK) -> str:
    return at.astimezone(zone).isoformat()

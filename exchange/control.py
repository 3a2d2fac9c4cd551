"""The exchange's own endpoints: its clock and identity, stepping, and a clean exit."""

import asyncio
from datetime import date, timedelta

from aiohttp import web

from exchange import errors
from exchange.clock import SteppedTime
from exchange.instants import MINUTE_NS, from_ns, parse_instant, rfc3339
from exchange.service import Exchange
from exchange.wire import EXCHANGE, read_object, reply

CALENDAR_SPAN = timedelta(days=400)
STOP: web.AppKey[asyncio.Event] = web.AppKey("stop", asyncio.Event)


def routes() -> list[web.RouteDef]:
    """Return the control routes; they need no keys."""
    return [
        web.get("/_exchange/clock", get_clock),
        web.post("/_exchange/advance", post_advance),
        web.post("/_exchange/halt", post_halt),
        web.post("/_exchange/resume", post_resume),
        web.post("/_exchange/shutdown", post_shutdown),
    ]


async def get_clock(request: web.Request) -> web.Response:
    """Serve what market time is a function of, and which exchange this is."""
    return reply(clock_body(request.app[EXCHANGE]))


def clock_body(exchange: Exchange) -> dict[str, object]:
    """Return anchor, speed, sessions and identity, enough to rebuild `MarketClock`."""
    now_ns, clock = exchange.venue.now_ns, exchange.time.clock
    today = from_ns(now_ns).date()
    first, last = _less(today, CALENDAR_SPAN), today + CALENDAR_SPAN
    sessions = [s for s in clock.calendar.sessions if first <= s.day <= last]
    return {
        "anchor_real_s": clock.anchor_real_s,
        "anchor_market_at": clock.anchor_market_at.isoformat(),
        "speed": clock.speed,
        "skip_closed": clock.skip_closed,
        "lockstep": exchange.time.is_lockstep,
        "now": rfc3339(now_ns),
        "account_id": exchange.venue.account.id,
        "symbols": len(exchange.venue.assets),
        **exchange.identity,
        "sessions": [
            {
                "day": s.day.isoformat(),
                "opens_at": s.opens_at.isoformat(),
                "closes_at": s.closes_at.isoformat(),
            }
            for s in sessions
        ],
    }


def _less(day: date, span: timedelta) -> date:
    return day - span if day.toordinal() > span.days else date.min


async def post_advance(request: web.Request) -> web.Response:
    """Let market time go on to an instant (lockstep only); reply when streams have been told."""
    exchange = request.app[EXCHANGE]
    body = await read_object(request)
    if not isinstance(exchange.time, SteppedTime):
        raise errors.Refusal(409, None, "the exchange does not run in lockstep")
    text = body.get("to")
    if not isinstance(text, str):
        raise errors.Refusal(400, None, 'to is missing; write {"to": "2026-01-05T14:30:00Z"}')
    try:
        to_ns = parse_instant(text)
    except ValueError as fault:
        raise errors.Refusal(400, None, f"to is no instant: {text[:60]}") from fault
    last_ns = parse_instant(exchange.venue.market.calendar.sessions[-1].closes_at.isoformat())
    if to_ns > last_ns:
        raise errors.Refusal(400, None, "to lies after the market's calendar")
    exchange.time.step_to(to_ns)
    exchange.step()
    await exchange.flush()
    return reply({"now": rfc3339(exchange.venue.now_ns), "events": exchange.venue.register.seq})


async def post_halt(request: web.Request) -> web.Response:
    """Halt a symbol now, for some minutes or until it is resumed."""
    exchange, body = request.app[EXCHANGE], await read_object(request)
    venue, minutes = exchange.venue, body.get("minutes")
    until_ns = None
    if minutes is not None:
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 0 < minutes <= 10_000:
            raise errors.Refusal(400, None, "minutes must be a whole number from 1 to 10000")
        until_ns = venue.now_ns + minutes * MINUTE_NS
    symbol, reason = _name(body, "symbol", ""), _name(body, "reason", "T1")
    try:
        venue.halt(symbol, reason, until_ns)
    except ValueError as fault:
        raise errors.Refusal(400, None, str(fault)) from fault
    exchange.settle()
    return reply({"symbol": symbol, "halted": True})


async def post_resume(request: web.Request) -> web.Response:
    """Let a halted symbol trade again."""
    exchange, body = request.app[EXCHANGE], await read_object(request)
    symbol = _name(body, "symbol", "")
    exchange.venue.resume(symbol)
    exchange.settle()
    return reply({"symbol": symbol, "halted": False})


def _name(body: dict[str, object], name: str, default: str) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise errors.Refusal(400, None, f"{name} is missing or no text")
    return value


async def post_shutdown(request: web.Request) -> web.Response:
    """Leave cleanly after this reply."""
    request.app[STOP].set()
    return reply({"stopping": True})

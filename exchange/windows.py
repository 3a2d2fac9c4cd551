"""When which orders may be given: cut-offs of the auctions, and the hours beside the session."""

from datetime import datetime

from domain.calendar import Calendar, Session
from exchange import errors
from exchange.instants import MINUTE_NS, NEW_YORK, from_ns, new_york_day, to_ns, wall_ns
from exchange.knobs import Knobs
from exchange.orders import OrderRequest, TimeInForce

REOPENS_HOUR = 19
"""New York's hour from which orders for the next day's auctions are taken."""
EARLY_HOUR = 4
"""New York's hour at which trading before the open begins."""
LATE_HOUR = 20
"""New York's hour at which trading after the close ends."""


def judge_auction(request: OrderRequest, now_ns: int, calendar: Calendar, knobs: Knobs) -> None:
    """Raise the Refusal of an order for an auction given after its cut-off and before 19:00.

    The opening's text is recorded, the closing's modelled on it.
    """
    if request.time_in_force not in (TimeInForce.OPG, TimeInForce.CLS):
        return
    session = calendar.session_of(new_york_day(now_ns))
    if session is None:
        return
    is_opening = request.time_in_force is TimeInForce.OPG
    if is_opening:
        last_ns = to_ns(session.opens_at) - knobs.opg_cutoff_minutes * MINUTE_NS
    else:
        last_ns = to_ns(session.closes_at) - knobs.cls_cutoff_minutes * MINUTE_NS
    if last_ns <= now_ns < wall_ns(session.day, REOPENS_HOUR):
        raise errors.against_rule(
            f"{request.time_in_force} orders must be submitted after 7:00pm"
            f" and before {_clock(from_ns(last_ns))}"
        )


def _clock(at: datetime) -> str:
    local = at.astimezone(NEW_YORK)
    half = "am" if local.hour < 12 else "pm"
    return f"{(local.hour - 1) % 12 + 1}:{local:%M}{half}"


def evening_session(request: OrderRequest, now_ns: int, calendar: Calendar) -> Session | None:
    """Return the session whose evening an order with extended hours still works in, else None."""
    if not request.extended_hours:
        return None
    session = calendar.session_of(new_york_day(now_ns))
    if session is None or now_ns < to_ns(session.closes_at):
        return None
    return session if now_ns < wall_ns(session.day, LATE_HOUR) else None

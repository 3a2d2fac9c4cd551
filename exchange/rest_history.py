"""`GET /v2/account/portfolio/history`: the account's equity through time.

Source: the published reference, for periods, default timeframes, reporting and resets.
"""

from collections.abc import Mapping
from decimal import Decimal

from aiohttp import web

from exchange import errors
from exchange.activities import ActivityKind
from exchange.equity import (
    DAILY,
    DAYS_OF_QUARTERS,
    Asked,
    Reporting,
    default_timeframe,
    equity_history,
    first_day,
    period_days,
)
from exchange.instants import new_york_day
from exchange.venue import Venue
from exchange.wire import EXCHANGE, query_flag, query_instant, query_list, reply

RESETS = {"": True, "per_day": True, "no_reset": False}
ALL, NONE = "ALL", "NONE"


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [web.get("/v2/account/portfolio/history", get_portfolio_history)]


async def get_portfolio_history(request: web.Request) -> web.Response:
    """Serve the equity through time; numbers, never null."""
    venue = request.app[EXCHANGE].venue
    try:
        asked = _asked(venue, request.query)
        history = equity_history(venue, asked)
    except (ValueError, OverflowError) as fault:
        raise errors.invalid(str(fault)) from fault
    profits = [e - base for e, base in zip(history.equity, history.bases, strict=True)]
    return reply(
        {
            "timestamp": history.timestamps,
            "equity": _numbers(history.equity),
            "profit_loss": _numbers(profits),
            "profit_loss_pct": [
                float(p / base) for p, base in zip(profits, history.bases, strict=True)
            ],
            "base_value": float(history.base),
            "base_value_asof": history.base_day.isoformat() if history.base_day else None,
            "timeframe": asked.timeframe,
            "cashflow": {kind.value: _numbers(flow) for kind, flow in history.cashflow.items()},
        }
    )


def _numbers(amounts: list[Decimal]) -> list[float]:
    return [float(amount) for amount in amounts]


def _asked(venue: Venue, query: Mapping[str, str]) -> Asked:
    """Return what a query asks for. Raises ValueError, and the Refusal of a bad instant."""
    end_ns = query_instant(query, "end") or query_instant(query, "date_end") or venue.now_ns
    start_ns = query_instant(query, "start")
    if start_ns is not None and query.get("end") and query.get("period"):
        raise ValueError("only two of start, end and period are accepted")
    days = period_days(query.get("period") or "1M")
    last = min(new_york_day(end_ns), new_york_day(venue.now_ns))
    first = first_day(end_ns, days) if start_ns is None else new_york_day(start_ns)
    span = (last - first).days + 1
    timeframe = query.get("timeframe") or default_timeframe(span)
    if timeframe != DAILY and span > DAYS_OF_QUARTERS:
        raise ValueError(f"timeframe of more than {DAYS_OF_QUARTERS} days can only be {DAILY}")
    reset = query.get("pnl_reset", "")
    if reset not in RESETS:
        raise ValueError(f"invalid pnl_reset: {reset[:40]}")
    return Asked(
        timeframe=timeframe,
        first=first,
        last=last,
        reporting=_reporting(query),
        resets_daily=RESETS[reset],
        cashflows=_cashflows(query),
    )


def _reporting(query: Mapping[str, str]) -> Reporting:
    text = query.get("intraday_reporting")
    if not text:
        beside = query_flag(query, "extended_hours")
        return Reporting.EXTENDED_HOURS if beside else Reporting.MARKET_HOURS
    if text not in tuple(Reporting):
        raise ValueError(f"invalid intraday_reporting: {text[:40]}")
    return Reporting(text)


def _cashflows(query: Mapping[str, str]) -> frozenset[ActivityKind]:
    names = {name.upper() for name in query_list(query, "cashflow_types")}
    if ALL in names:
        return frozenset(ActivityKind)
    return frozenset(kind for kind in ActivityKind if kind.value in names - {NONE})

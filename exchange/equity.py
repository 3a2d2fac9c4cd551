"""The account's equity through time, for `GET /v2/account/portfolio/history`.

Recomputed from executions, activities and the tape: cash and shares as they stood at each
instant, at the prices of that instant. No point is later than now.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from domain.calendar import Session
from domain.money import ZERO
from exchange.account import to_cents
from exchange.activities import ActivityKind
from exchange.instants import MINUTE_NS, SECOND_NS, midnight_ns, new_york_day, to_ns, wall_ns
from exchange.venue import Venue
from exchange.windows import EARLY_HOUR, LATE_HOUR

STEPS_NS = {
    "1Min": MINUTE_NS,
    "5Min": 5 * MINUTE_NS,
    "15Min": 15 * MINUTE_NS,
    "1H": 60 * MINUTE_NS,
}
DAILY = "1D"
POINTS_MAX = 10_000
DAYS_OF_MINUTES, DAYS_OF_QUARTERS = 7, 30
"""Periods shorter than this are shown in minutes, or in quarters of an hour, unless asked
otherwise; from the second on days are all that can be asked for."""
_PERIOD = re.compile(r"(\d{1,3})([DWMA])")
_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}


class Reporting(StrEnum):
    """Which instants of a day an intraday history has, in the wire's words."""

    MARKET_HOURS = "market_hours"
    EXTENDED_HOURS = "extended_hours"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a history is asked for: the days in [first, last], one point a `timeframe`.

    Profit is against the equity before the first day; within days, unless told otherwise, against
    the close before each.
    """

    timeframe: str
    first: date
    last: date
    reporting: Reporting = Reporting.MARKET_HOURS
    resets_daily: bool = True
    cashflows: frozenset[ActivityKind] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityHistory:
    """Instants (epoch seconds) and the equity at each; `base` is the equity before the first,
    `bases` what the profit at each is measured against. `cashflow` is the money that came (< 0:
    went) up to each since the one before, by kind, of those asked for that there were."""

    timestamps: list[int]
    equity: list[Decimal]
    base: Decimal
    base_day: date | None
    bases: list[Decimal]
    cashflow: dict[ActivityKind, list[Decimal]]


def period_days(text: str) -> int:
    """Return how many days a period such as `1M` reaches back. Raises ValueError."""
    found = _PERIOD.fullmatch(text)
    if not found or int(found[1]) == 0:
        raise ValueError(f"invalid period: {text[:40]}")
    return int(found[1]) * _DAYS[found[2]]


def default_timeframe(days: int) -> str:
    """Return the timeframe of a period that names none."""
    if days < DAYS_OF_MINUTES:
        return "1Min"
    return "15Min" if days < DAYS_OF_QUARTERS else DAILY


def equity_history(venue: Venue, asked: Asked) -> EquityHistory:
    """Return the account's equity through time.

    Raises ValueError for a timeframe it does not know, or for more than POINTS_MAX points.
    """
    instants = _instants(venue, asked)
    if len(instants) > POINTS_MAX:
        raise ValueError(f"more than {POINTS_MAX} points: ask for a longer timeframe")
    closes = venue.register.closes
    before = [c for c in closes if c.day < asked.first]
    base = before[-1].equity if before else venue.config.cash_usd
    bases = [base] * len(instants)
    if asked.resets_daily and asked.timeframe != DAILY:
        bases = [_close_before(venue, at_ns, base) for at_ns in instants]
    return EquityHistory(
        timestamps=[at_ns // SECOND_NS for at_ns in instants],
        equity=list(_equities(venue, instants)),
        base=base,
        base_day=before[-1].day if before else None,
        bases=bases,
        cashflow=_cashflow(venue, instants, asked.cashflows),
    )


def _close_before(venue: Venue, at_ns: int, default: Decimal) -> Decimal:
    """Return the equity at the last close before an instant's day."""
    closes = venue.register.closes
    index = bisect_left(closes, new_york_day(at_ns), key=lambda close: close.day)
    return closes[index - 1].equity if index else default


def _cashflow(
    venue: Venue, instants: list[int], kinds: frozenset[ActivityKind]
) -> dict[ActivityKind, list[Decimal]]:
    """Return what came between the instants; what came before the first is not told."""
    flows: dict[ActivityKind, list[Decimal]] = {}
    for entry in venue.register.activities:
        index = bisect_left(instants, entry.at_ns)
        is_inside = index < len(instants) and new_york_day(instants[0]) <= entry.day
        if entry.kind in kinds and entry.net_amount and is_inside:
            flow = flows.setdefault(entry.kind, [ZERO] * len(instants))
            flow[index] += entry.net_amount
    return flows


def _instants(venue: Venue, asked: Asked) -> list[int]:
    timeframe = asked.timeframe
    if timeframe != DAILY and timeframe not in STEPS_NS:
        raise ValueError(f"invalid timeframe: {timeframe[:40]}")
    now_ns, born = venue.now_ns, new_york_day(venue.account.created_ns)
    first = max(asked.first, born)
    if timeframe != DAILY and asked.reporting is Reporting.CONTINUOUS:
        ends_ns = min(now_ns, midnight_ns(asked.last + timedelta(days=1)))
        return list(range(midnight_ns(first), ends_ns + 1, STEPS_NS[timeframe]))
    instants: list[int] = []
    for session in venue.market.calendar.sessions:
        if not first <= session.day <= asked.last:
            continue
        opens_ns, closes_ns = _hours(session, asked)
        if opens_ns > now_ns:
            break
        ends_ns = min(closes_ns, now_ns)
        if timeframe == DAILY:
            instants.append(ends_ns)
        else:
            instants.extend(range(opens_ns, ends_ns + 1, STEPS_NS[timeframe]))
        if len(instants) > POINTS_MAX:
            break
    return instants


def _hours(session: Session, asked: Asked) -> tuple[int, int]:
    if asked.timeframe != DAILY and asked.reporting is Reporting.EXTENDED_HOURS:
        return wall_ns(session.day, EARLY_HOUR), wall_ns(session.day, LATE_HOUR)
    return to_ns(session.opens_at), to_ns(session.closes_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Movement:
    """Cash and shares that came or went at an instant."""

    at_ns: int
    cash: Decimal
    symbol: str | None
    qty: Decimal


def _movements(venue: Venue) -> list[_Movement]:
    moved = [
        _Movement(
            at_ns=e.at_ns,
            cash=-e.side.sign * e.qty * e.price_usd,
            symbol=e.symbol,
            qty=e.side.sign * e.qty,
        )
        for e in venue.register.executions
    ]
    entries = [
        _Movement(at_ns=a.at_ns, cash=a.net_amount, symbol=a.symbol, qty=a.moved_qty)
        for a in venue.register.activities
    ]
    return sorted(moved + entries, key=lambda m: m.at_ns) if entries else moved


def _equities(venue: Venue, instants: list[int]) -> Iterator[Decimal]:
    cash, held = venue.config.cash_usd, dict[str, Decimal]()
    movements = iter(_movements(venue))
    upcoming = next(movements, None)
    for at_ns in instants:
        while upcoming is not None and upcoming.at_ns <= at_ns:
            cash += upcoming.cash
            if upcoming.symbol is not None:
                held[upcoming.symbol] = held.get(upcoming.symbol, ZERO) + upcoming.qty
            upcoming = next(movements, None)
        price_of = venue.prices.at(at_ns)
        values = (to_cents(qty * price_of(symbol)) for symbol, qty in held.items() if qty)
        yield to_cents(cash) + sum(values, ZERO)


def first_day(last_ns: int, days: int) -> date:
    """Return the first day of a period that ends at an instant."""
    return new_york_day(last_ns) - timedelta(days=days - 1)

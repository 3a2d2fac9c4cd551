"""The account's equity through time, for `GET /v2/account/portfolio/history`.

Recomputed from executions, activities and the tape: cash and shares as they stood at each
instant, at the prices of that instant. No point is later than now.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from domain.money import ZERO
from exchange.account import to_cents
from exchange.instants import MINUTE_NS, SECOND_NS, new_york_day, to_ns
from exchange.venue import Venue

STEPS_NS = {
    "1Min": MINUTE_NS,
    "5Min": 5 * MINUTE_NS,
    "15Min": 15 * MINUTE_NS,
    "1H": 60 * MINUTE_NS,
}
DAILY = "1D"
POINTS_MAX = 10_000
_PERIOD = re.compile(r"(\d{1,3})([DWMA])")
_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityHistory:
    """Instants (epoch seconds) and the equity at each; `base` is the equity before the first."""

    timestamps: list[int]
    equity: list[Decimal]
    base: Decimal
    base_day: date | None


def period_days(text: str) -> int:
    """Return how many days a period such as `1M` reaches back. Raises ValueError."""
    found = _PERIOD.fullmatch(text)
    if not found or int(found[1]) == 0:
        raise ValueError(f"invalid period: {text[:40]}")
    return int(found[1]) * _DAYS[found[2]]


def equity_history(venue: Venue, timeframe: str, first: date, last: date) -> EquityHistory:
    """Return the equity on the days in [first, last], one point a `timeframe`.

    Raises ValueError for a timeframe it does not know, or for more than POINTS_MAX points.
    """
    instants = _instants(venue, timeframe, first, last)
    if len(instants) > POINTS_MAX:
        raise ValueError(f"more than {POINTS_MAX} points: ask for a longer timeframe")
    before = [c for c in venue.register.closes if c.day < first]
    return EquityHistory(
        timestamps=[at_ns // SECOND_NS for at_ns in instants],
        equity=list(_equities(venue, instants)),
        base=before[-1].equity if before else venue.config.cash_usd,
        base_day=before[-1].day if before else None,
    )


def _instants(venue: Venue, timeframe: str, first: date, last: date) -> list[int]:
    if timeframe != DAILY and timeframe not in STEPS_NS:
        raise ValueError(f"invalid timeframe: {timeframe[:40]}")
    now_ns, born = venue.now_ns, new_york_day(venue.account.created_ns)
    instants: list[int] = []
    for session in venue.market.calendar.sessions:
        if not max(first, born) <= session.day <= last:
            continue
        opens_ns, closes_ns = to_ns(session.opens_at), to_ns(session.closes_at)
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

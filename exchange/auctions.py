"""The auctions of finished sessions: official opening and closing prices, as one row a day."""

from collections.abc import Iterator

from domain.calendar import Calendar
from exchange.bars import BarBlock
from exchange.instants import new_york_day, rfc3339_short, to_ns
from exchange.market_data import LOT_SHARES, VENUE_CODE, Point

OFFICIAL_OPEN, OFFICIAL_CLOSE = "Q", "M"
"""Conditions of the trades that a venue declares its opening and its close."""


def daily_auctions(
    row: int, block: BarBlock, calendar: Calendar, now_ns: int
) -> Iterator[tuple[int, Point]]:
    """Yield (opening instant, auctions) of a symbol's raw daily bars, oldest first; of sessions
    that have closed by now alone. Sizes are made up: the market has no auction of its own."""
    for index, at_ns in enumerate(block.at_ns.tolist()):
        session = calendar.session_of(new_york_day(at_ns))
        if session is None or not block.close[row, index] > 0:
            continue
        opens_ns, closes_ns = to_ns(session.opens_at), to_ns(session.closes_at)
        if closes_ns > now_ns:
            return
        yield (
            opens_ns,
            {
                "d": session.day.isoformat(),
                "o": [_print(opens_ns, float(block.open[row, index]), OFFICIAL_OPEN)],
                "c": [_print(closes_ns, float(block.close[row, index]), OFFICIAL_CLOSE)],
            },
        )


def _print(at_ns: int, price_usd: float, condition: str) -> Point:
    at = rfc3339_short(at_ns)
    return {"t": at, "x": VENUE_CODE, "p": price_usd, "s": LOT_SHARES, "c": condition}

"""Pages of market data: by symbol, then by time, resumed by an opaque token."""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from exchange import errors

Point = dict[str, object]
Points = Callable[[str], Iterable[tuple[int, Point]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The last point of a page."""

    symbol: str
    at_ns: int

    def token(self) -> str:
        """Return it as the wire hands it out."""
        text = f"{self.symbol}|M|{self.at_ns}".encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_token(token: str | None) -> Mark | None:
    """Return the mark of a page token, None without one. Raises the Refusal of a bad one."""
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        symbol, _, at = text.decode("utf-8").split("|")
        return Mark(symbol=symbol, at_ns=int(at))
    except (binascii.Error, ValueError) as fault:
        raise errors.bad_data_request("invalid page_token") from fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Points by symbol, and where the next page goes on; None after the last."""

    points: dict[str, list[Point]]
    next_token: str | None


def cut_page(
    symbols: Iterable[str], points_of: Points, limit: int, after: Mark | None, *, descending: bool
) -> Page:
    """Return at most `limit` points of all symbols together, from after a mark on."""
    page: dict[str, list[Point]] = {}
    left, last = limit, None
    for symbol, timed in _streams(sorted(set(symbols)), points_of, after, descending):
        points: list[Point] = []
        for at_ns, point in timed:
            if not left:
                assert last is not None
                return Page(points=page, next_token=Mark(symbol=last[0], at_ns=last[1]).token())
            if not points:
                page[symbol] = points
            points.append(point)
            last = (symbol, at_ns)
            left -= 1
    return Page(points=page, next_token=None)


def _streams(
    symbols: list[str], points_of: Points, after: Mark | None, descending: bool
) -> Iterator[tuple[str, Iterable[tuple[int, Point]]]]:
    for symbol in symbols:
        if after is None or symbol > after.symbol:
            yield symbol, points_of(symbol)
        elif symbol == after.symbol:
            yield symbol, _beyond(points_of(symbol), after.at_ns, descending)


def _beyond(
    timed: Iterable[tuple[int, Point]], at_ns: int, descending: bool
) -> Iterator[tuple[int, Point]]:
    """Yield what comes after an instant, in the order of the page."""
    for found_ns, point in timed:
        if (found_ns < at_ns) if descending else (found_ns > at_ns):
            yield found_ns, point

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
    last = None
    stream = _stream(sorted(set(symbols)), points_of, after, descending)
    for count, (symbol, at_ns, point) in enumerate(stream):
        if count == limit:
            assert last is not None
            return Page(points=page, next_token=last.token())
        page.setdefault(symbol, []).append(point)
        last = Mark(symbol=symbol, at_ns=at_ns)
    return Page(points=page, next_token=None)


def _stream(
    symbols: list[str], points_of: Points, after: Mark | None, descending: bool
) -> Iterator[tuple[str, int, Point]]:
    for symbol in symbols:
        if after is not None and symbol < after.symbol:
            continue
        is_marked = after is not None and symbol == after.symbol
        for at_ns, point in points_of(symbol):
            if is_marked and after is not None:
                passed = at_ns >= after.at_ns if descending else at_ns <= after.at_ns
                if passed:
                    continue
            yield symbol, at_ns, point

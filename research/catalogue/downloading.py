"""Downloading bars page by page into a catalogue; what is there already is not asked for again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import numpy as np

from daemon.alpaca.client import AlpacaApi
from daemon.alpaca.codec import encode_instant
from daemon.budget import Lane
from domain.calendar import NEW_YORK, Timeframe
from domain.errors import VenueUnavailable
from research.catalogue.layout import Catalogue, Part, Span, table_of

PAGE_BARS = 10_000
PAGES_MAX = 10_000
"""A hundred million bars in one part: more is a venue that pages in circles."""
REQUEST_SYMBOLS_MAX = 200
_FIELDS = ("symbol", "at_ms", "open", "high", "low", "close", "volume")


class _BarWire(msgspec.Struct):
    t: str
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float


class _PageWire(msgspec.Struct):
    bars: dict[str, list[_BarWire]] | None = None
    next_page_token: str | None = None


_page = msgspec.json.Decoder(_PageWire, strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be downloaded; `last` None is the last day that is over at the venue."""

    symbols: tuple[str, ...]
    timeframe: Timeframe
    first: date
    last: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Told as a download goes on: each page, each part, and parts that were there."""

    on_page: Callable[[Span, int], None]
    on_part: Callable[[Span, Part], None]
    on_held: Callable[[Span], None]


async def download(
    api: AlpacaApi, catalogue: Catalogue, wanted: Wanted, todo: Sequence[Span], progress: Progress
) -> None:
    """Fetch what the catalogue lacks of these spans, one part after the other, bars as the venue
    serves them. Raises VenueRejected, NotAuthorized, VenueUnavailable; parts done are kept."""
    for span in todo:
        symbols = catalogue.missing(wanted.timeframe, span, wanted.symbols)
        if not symbols:
            progress.on_held(span)
            continue
        columns: dict[str, list[Any]] = {name: [] for name in _FIELDS}
        for start in range(0, len(symbols), REQUEST_SYMBOLS_MAX):
            chunk = symbols[start : start + REQUEST_SYMBOLS_MAX]
            await _pages(api, catalogue, (wanted.timeframe, span, chunk), columns, progress)
        table = table_of(wanted.timeframe, columns)
        progress.on_part(span, catalogue.put(wanted.timeframe, span, table, symbols))


async def _pages(
    api: AlpacaApi,
    catalogue: Catalogue,
    what: tuple[Timeframe, Span, Sequence[str]],
    columns: dict[str, list[Any]],
    progress: Progress,
) -> None:
    timeframe, span, symbols = what
    params = {
        "symbols": ",".join(symbols),
        "timeframe": timeframe.value,
        "start": encode_instant(_midnight(span.first)),
        "end": encode_instant(_midnight(span.last + timedelta(days=1)) - timedelta(seconds=1)),
        "limit": str(PAGE_BARS),
        "adjustment": catalogue.index.adjustment,
        "feed": catalogue.index.feed,
        "sort": "asc",
    }
    tokens: set[str] = set()
    for _ in range(PAGES_MAX):
        body = await api.get("/stocks/bars", params, lane=Lane.HISTORY)
        token = _take(body, timeframe, columns)
        progress.on_page(span, len(columns["at_ms"]))
        if token is None:
            return
        if token in tokens:
            break
        tokens.add(token)
        params["page_token"] = token
    raise VenueUnavailable(f"the venue's pages of bars for {span.period} do not end")


def _take(body: bytes, timeframe: Timeframe, columns: dict[str, list[Any]]) -> str | None:
    """Add a page's bars to the columns; return the next page's token."""
    try:
        page = _page.decode(body)
        for symbol, bars in (page.bars or {}).items():
            columns["symbol"] += [symbol] * len(bars)
            columns["at_ms"] += _starts_ms([bar.t for bar in bars], timeframe)
            columns["open"] += [bar.o for bar in bars]
            columns["high"] += [bar.h for bar in bars]
            columns["low"] += [bar.l for bar in bars]
            columns["close"] += [bar.c for bar in bars]
            columns["volume"] += [bar.v for bar in bars]
    except (msgspec.MsgspecError, ValueError) as fault:
        raise VenueUnavailable(f"not a page of bars: {fault}") from fault
    return page.next_page_token


def _starts_ms(written: list[str], timeframe: Timeframe) -> list[int]:
    """Return the starts of bars in epoch milliseconds; of daily bars, their New York day's."""
    instants = np.array([text.removesuffix("Z") for text in written], dtype="datetime64[ms]")
    starts: list[int] = instants.astype(np.int64).tolist()
    if timeframe.is_intraday:
        return starts
    days = [datetime.fromtimestamp(ms / 1000, NEW_YORK).date() for ms in starts]
    return [int(datetime.combine(day, time(), UTC).timestamp() * 1000) for day in days]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK)

"""The market-data API's JSON and our words. What cannot be true is dropped here and counted."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from daemon.alpaca.codec import to_utc
from domain.errors import VenueUnavailable
from domain.instruments import Symbol
from domain.market import Bar, Quote

FUTURE_MAX = timedelta(seconds=5)
"""Clocks differ by a little; a datum from further ahead is not believed."""
PRICE_MAX_USD = 10_000_000.0
SPREAD_MAX_RATIO = 0.5
"""Of the mid. Wider are place-holders of market makers, whose mid means nothing."""


class Fault(StrEnum):
    """Why a datum was dropped."""

    UNREADABLE = "unreadable"
    NOT_A_NUMBER = "not_a_number"
    NOT_POSITIVE = "not_positive"
    CROSSED = "crossed"
    FUTURE = "future"
    ABSURD = "absurd"
    INCONSISTENT = "inconsistent"


class InvalidCounts:
    """How many data were dropped, by reason: running totals, and those since last taken."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._since: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Count one dropped datum."""
        self.totals[fault.value] += 1
        self._since[fault.value] += 1

    def take(self) -> dict[str, int]:
        """Return the counts since the last call, and start over."""
        taken = dict(self._since)
        self._since.clear()
        return taken


class _QuoteWire(msgspec.Struct):
    t: datetime
    bp: float | None = None
    ap: float | None = None
    bs: float | None = None
    as_: float | None = msgspec.field(default=None, name="as")


class _BarWire(msgspec.Struct):
    t: datetime
    o: float | None = None
    h: float | None = None
    l: float | None = None  # noqa: E741 - the venue's name
    c: float | None = None
    v: float | None = 0.0


class _QuotesPage(msgspec.Struct):
    quotes: dict[str, msgspec.Raw]


class _BarsPage(msgspec.Struct):
    bars: dict[str, list[msgspec.Raw] | None] | None = None
    next_page_token: str | None = None


class _StreamHead(msgspec.Struct):
    T: str = ""
    S: str = ""
    msg: str = ""
    code: int | None = None
    bars: list[str] = []
    updatedBars: list[str] = []


_MINUTE_BARS = frozenset({"b", "u"})
"""New bars, and bars that late trades have changed."""
_stream_page = msgspec.json.Decoder(list[msgspec.Raw])
_stream_head = msgspec.json.Decoder(_StreamHead, strict=False)
_quotes_page = msgspec.json.Decoder(_QuotesPage)
_bars_page = msgspec.json.Decoder(_BarsPage)
_quote = msgspec.json.Decoder(_QuoteWire, strict=False)
_bar = msgspec.json.Decoder(_BarWire, strict=False)


def decode_quotes(body: bytes, *, now: datetime, invalid: InvalidCounts) -> dict[Symbol, Quote]:
    """Return the believable quotes of `/v2/stocks/quotes/latest`. Raises VenueUnavailable."""
    found: dict[Symbol, Quote] = {}
    latest_at = now + FUTURE_MAX
    for symbol, wire in _quote_rows(body):
        outcome = _to_quote(symbol, wire, latest_at)
        if isinstance(outcome, Fault):
            invalid.add(outcome)
        else:
            found[symbol] = outcome
    return found


def decode_bars(
    body: bytes, *, now: datetime, invalid: InvalidCounts
) -> tuple[list[Bar], str | None]:
    """Return the believable bars of one page of `/v2/stocks/bars` and the next page's token."""
    bars: list[Bar] = []
    latest_at = now + FUTURE_MAX
    rows, token = _bar_rows(body)
    for symbol, wire in rows:
        outcome = _to_bar(symbol, wire, latest_at)
        if isinstance(outcome, Fault):
            invalid.add(outcome)
        else:
            bars.append(outcome)
    return bars, token


@dataclass(frozen=True, slots=True)
class StreamSaid:
    """A message of the data stream that is no bar: its kind, its words, an error's code, and whose
    bars, with their corrections, it confirms to send."""

    kind: str
    words: str = ""
    code: int | None = None
    confirmed: frozenset[str] = frozenset()


def decode_data_stream(
    payload: bytes, *, now: datetime, invalid: InvalidCounts
) -> list[Bar | StreamSaid]:
    """Return what one frame of the data stream says, believable bars of a minute as such.

    Raises VenueUnavailable for a frame that cannot be read.
    """
    said: list[Bar | StreamSaid] = []
    try:
        messages = _stream_page.decode(payload)
        heads = [_stream_head.decode(raw) for raw in messages]
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise VenueUnavailable(f"the data stream's frame cannot be read: {fault}") from fault
    for raw, head in zip(messages, heads, strict=True):
        if head.T not in _MINUTE_BARS:
            confirmed = frozenset(head.bars) & frozenset(head.updatedBars)
            said.append(StreamSaid(head.T, head.msg, head.code, confirmed))
            continue
        try:
            wire = _bar.decode(raw)
        except msgspec.DecodeError:
            wire = None
        outcome = _to_bar(Symbol(head.S), wire, now + FUTURE_MAX)
        if isinstance(outcome, Fault):
            invalid.add(outcome)
        else:
            said.append(outcome)
    return said


def _to_quote(symbol: Symbol, wire: _QuoteWire | None, latest_at: datetime) -> Quote | Fault:
    if wire is None:
        return Fault.UNREADABLE
    bid, ask = _number(wire.bp), _number(wire.ap)
    quoted_at = to_utc(wire.t)
    fault = Fault.FUTURE if quoted_at > latest_at else _quote_fault(bid, ask)
    return fault or Quote(
        symbol=symbol,
        bid_usd=bid,
        ask_usd=ask,
        quoted_at=quoted_at,
        bid_size_shares=wire.bs or 0.0,
        ask_size_shares=wire.as_ or 0.0,
    )


def _quote_fault(bid: float, ask: float) -> Fault | None:
    if not (math.isfinite(bid) and math.isfinite(ask)):
        return Fault.NOT_A_NUMBER
    if bid <= 0 or ask <= 0:
        return Fault.NOT_POSITIVE
    if bid > ask:
        return Fault.CROSSED
    is_absurd = ask > PRICE_MAX_USD or ask - bid > SPREAD_MAX_RATIO * (ask + bid) / 2
    return Fault.ABSURD if is_absurd else None


def _to_bar(symbol: Symbol, wire: _BarWire | None, latest_at: datetime) -> Bar | Fault:
    if wire is None:
        return Fault.UNREADABLE
    opened_at = to_utc(wire.t)
    fault = Fault.FUTURE if opened_at > latest_at else _bar_fault(wire)
    return fault or Bar(
        symbol=symbol,
        opened_at=opened_at,
        open_usd=_number(wire.o),
        high_usd=_number(wire.h),
        low_usd=_number(wire.l),
        close_usd=_number(wire.c),
        volume_shares=_number(wire.v),
    )


def _bar_fault(wire: _BarWire) -> Fault | None:
    """Return what is wrong with a bar, None for one that can be true."""
    if (
        wire.o is not None
        and wire.h is not None
        and wire.l is not None
        and wire.c is not None
        and wire.v is not None
        and 0.0 < wire.l <= wire.o <= wire.h <= PRICE_MAX_USD
        and wire.l <= wire.c <= wire.h
        and 0.0 <= wire.v < math.inf
    ):
        return None
    prices = [_number(p) for p in (wire.o, wire.h, wire.l, wire.c)]
    volume = _number(wire.v)
    if not all(map(math.isfinite, (*prices, volume))):
        return Fault.NOT_A_NUMBER
    if min(prices) <= 0 or volume < 0:
        return Fault.NOT_POSITIVE
    if prices[1] < max(prices) or prices[2] > min(prices):
        return Fault.INCONSISTENT
    return Fault.ABSURD if prices[1] > PRICE_MAX_USD else None


def _number(wire: float | None) -> float:
    return math.nan if wire is None else wire


def _quote_rows(body: bytes) -> Iterator[tuple[Symbol, _QuoteWire | None]]:
    try:
        page = _quotes_page.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        rows = _tolerant(body).get("quotes")
        if not isinstance(rows, dict):
            raise VenueUnavailable("the venue's answer holds no quotes") from None
        for symbol, row in rows.items():
            yield Symbol(symbol), _convert(row, _QuoteWire)
        return
    for symbol, raw in page.quotes.items():
        try:
            yield Symbol(symbol), _quote.decode(raw)
        except msgspec.DecodeError:
            yield Symbol(symbol), None


def _bar_rows(body: bytes) -> tuple[list[tuple[Symbol, _BarWire | None]], str | None]:
    found: list[tuple[Symbol, _BarWire | None]] = []
    try:
        page = _bars_page.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        loose = _tolerant(body)
        rows = loose.get("bars")
        if not isinstance(rows, dict):
            raise VenueUnavailable("the venue's answer holds no bars") from None
        for symbol, listed in rows.items():
            each = listed if isinstance(listed, list | None) else [None]
            found += [(Symbol(symbol), _convert(row, _BarWire)) for row in each or ()]
        token = loose.get("next_page_token")
        return found, str(token) if token else None
    for symbol, raws in (page.bars or {}).items():
        for raw in raws or ():
            try:
                found.append((Symbol(symbol), _bar.decode(raw)))
            except msgspec.DecodeError:
                found.append((Symbol(symbol), None))
    return found, page.next_page_token or None


def _tolerant(body: bytes) -> dict[str, Any]:
    """Return what Python's own reader makes of it: it takes NaN and Infinity for numbers, so that
    one of them costs its datum and not the whole answer."""
    try:
        loose = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise VenueUnavailable(f"the venue's answer cannot be read: {fault}") from fault
    if not isinstance(loose, dict):
        raise VenueUnavailable("the venue's answer is no object")
    return loose


def _convert(row: object, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(row, kind, strict=False)
    except (msgspec.ValidationError, OverflowError, UnicodeEncodeError):
        # Python's reader lets halves of surrogate pairs through, which no text may hold.
        return None

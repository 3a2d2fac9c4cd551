"""The market-data API for stocks: bars, quotes, trades, latest, snapshots; many symbols or one."""

import asyncio
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from domain.calendar import Session
from exchange import errors
from exchange.adjusting import BarAdjuster, read_adjustment
from exchange.auctions import daily_auctions
from exchange.bar_lengths import parse_length
from exchange.bars import BarBlock, Blocks, Scale
from exchange.instants import (
    MINUTE_NS,
    midnight_ns,
    new_york_day,
    parse_instant,
)
from exchange.market_data import MarketData, Point
from exchange.paging import Mark, Page, cut_page, read_token
from exchange.service import Exchange
from exchange.tape_view import Span
from exchange.tape_views import TAPE_VIEWS_MAX
from exchange.wire import EXCHANGE, Handler, query_list, reply

LIMIT_DEFAULT, LIMIT_MAX = 1_000, 10_000
TURN_S = 0.002
"""How long others have their turn between two sessions of history that must be made."""
SIP_DELAY_NS = 15 * MINUTE_NS
FEEDS = frozenset({"", "sip", "iex", "boats", "otc"})
LATEST_FEEDS = FEEDS | {"delayed_sip", "overnight"}
AUCTION_FEEDS = frozenset({"", "sip"})
EMPTY_FEEDS = frozenset({"boats", "otc", "overnight"})
"""Feeds of venues and hours that this market does not have."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9./\-]{0,19}")
Latest = Callable[[MarketData, list[str], int], Mapping[str, Point]]
TimedPoint = tuple[int, Point]


def routes() -> list[web.RouteDef]:
    """Return the routes of this API; the fixed words go before the symbols."""
    many = [
        web.get("/v2/stocks/bars/latest", _latest("bars", _latest_bars)),
        web.get("/v2/stocks/quotes/latest", _latest("quotes", _latest_quotes)),
        web.get("/v2/stocks/trades/latest", _latest("trades", _latest_trades)),
        web.get("/v2/stocks/snapshots", get_snapshots),
        web.get("/v2/stocks/bars", get_bars),
        web.get("/v2/stocks/quotes", get_quotes),
        web.get("/v2/stocks/trades", get_trades),
        web.get("/v2/stocks/auctions", get_auctions),
    ]
    single = [
        web.get("/v2/stocks/{symbol}/bars/latest", _latest_one("bar", _latest_bars)),
        web.get("/v2/stocks/{symbol}/quotes/latest", _latest_one("quote", _latest_quotes)),
        web.get("/v2/stocks/{symbol}/trades/latest", _latest_one("trade", _latest_trades)),
        web.get("/v2/stocks/{symbol}/snapshot", get_snapshot),
        web.get("/v2/stocks/{symbol}/bars", get_bars),
        web.get("/v2/stocks/{symbol}/quotes", get_quotes),
        web.get("/v2/stocks/{symbol}/trades", get_trades),
        web.get("/v2/stocks/{symbol}/auctions", get_auctions),
    ]
    return many + single


def _latest_bars(data: MarketData, symbols: list[str], now_ns: int) -> Mapping[str, Point]:
    return data.latest_bars(symbols, now_ns)


def _latest_quotes(data: MarketData, symbols: list[str], now_ns: int) -> Mapping[str, Point]:
    return data.latest_quotes(symbols, now_ns)


def _latest_trades(data: MarketData, symbols: list[str], now_ns: int) -> Mapping[str, Point]:
    return data.latest_trades(symbols, now_ns)


def _latest(root: str, read: Latest) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return reply({root: _read_latest(request, read)})

    return handle


def _latest_one(root: str, read: Latest) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        symbol = _symbols(request)[0]
        found = _read_latest(request, read)
        if symbol not in found:
            raise errors.Refusal(404, None, f"no {root} found for {symbol}")
        return reply({"symbol": symbol, root: found[symbol]})

    return handle


async def get_snapshots(request: web.Request) -> web.Response:
    """Serve snapshots, symbols at the root."""
    return reply(_read_latest(request, MarketData.snapshots))


async def get_snapshot(request: web.Request) -> web.Response:
    """Serve one symbol's snapshot."""
    symbol = _symbols(request)[0]
    found = _read_latest(request, MarketData.snapshots)
    if symbol not in found:
        raise errors.Refusal(404, None, f"no snapshot found for {symbol}")
    return reply({"symbol": symbol, **found[symbol]})


def _read_latest(request: web.Request, read: Latest) -> Mapping[str, Point]:
    """Return what a feed knows of the symbols asked for: the delayed one, of a while ago."""
    exchange, symbols = request.app[EXCHANGE], _symbols(request)
    feed = _feed(request.query, LATEST_FEEDS)
    _judge_currency(request.query)
    if feed == "sip" and not exchange.limits.sip_realtime:
        raise _no_recent_sip(exchange)
    if feed in EMPTY_FEEDS:
        return {}
    delay_ns = SIP_DELAY_NS if feed == "delayed_sip" else 0
    return read(_data_of(exchange, feed), symbols, exchange.venue.now_ns - delay_ns)


def _data_of(exchange: Exchange, feed: str) -> MarketData:
    """Return what a feed sees; without a name it is the best that the plan permits."""
    is_iex = feed == "iex" or (not feed and not exchange.limits.sip_realtime)
    return exchange.iex_data if is_iex else exchange.data


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What a history request asks for; instants inclusive."""

    symbols: list[str]
    start_ns: int
    end_ns: int
    limit: int
    after: Mark | None
    descending: bool

    def first_of(self, known: Container[str]) -> str | None:
        """Return the symbol the page begins with, None when none of them is known."""
        left = [s for s in self.symbols if s in known]
        return min((s for s in left if not self.after or s >= self.after.symbol), default=None)

    def span_of(self, symbol: str, now_ns: int) -> Span:
        """Return the instants of a symbol that this page may need, none later than now."""
        first_ns, last_ns = self.start_ns, min(self.end_ns, now_ns)
        if self.after is None or self.after.symbol != symbol:
            return first_ns, last_ns
        if self.descending:
            return first_ns, min(last_ns, self.after.at_ns)
        return max(first_ns, self.after.at_ns), last_ns


async def get_bars(request: web.Request) -> web.Response:
    """Serve bars of many symbols or one."""
    exchange = request.app[EXCHANGE]
    try:
        length = parse_length(request.query.get("timeframe", "1Min"))
        adjustment = read_adjustment(request.query.get("adjustment", ""))
    except ValueError as fault:
        raise errors.bad_data_request(str(fault)) from fault
    window, now_ns = _window(request, exchange), exchange.venue.now_ns
    span = window.start_ns, window.end_ns
    adjuster = BarAdjuster(exchange.venue.market, adjustment, now_ns)
    blocks = exchange.data.bars.blocks(length, span, now_ns, adjuster.whole)
    columns, bars = exchange.venue.views.column_of, exchange.data.bars
    coverage = _data_of(exchange, request.query.get("feed", "")).coverage
    wanted = window.first_of(columns)
    if wanted is not None:
        in_order = blocks.backward() if window.descending else blocks.forward()
        found = (len(_found(columns[wanted], block, window)) for block in in_order)
        await _make_ready(found, lambda: bars.blocks_made, window.limit)

    def points_of(symbol: str) -> Iterable[TimedPoint]:
        row = exchange.venue.views.column_of.get(symbol)
        if row is None:
            return ()
        scale = adjuster.scale_of(symbol) if length.is_intraday else None
        bars_of = _bars_of(row, blocks, window, scale)
        if coverage.share >= 1 or not length.is_intraday or length.minutes > 1:
            return bars_of
        return (point for point in bars_of if coverage.has_bar(symbol, point[0]))

    return _paged(request, "bars", window, points_of)


async def get_quotes(request: web.Request) -> web.Response:
    """Serve the tape's quotes of many symbols or one."""
    return await _ticks(request, "quotes", MarketData.tick_quotes)


async def get_trades(request: web.Request) -> web.Response:
    """Serve the tape's trades of many symbols or one."""
    return await _ticks(request, "trades", MarketData.tick_trades)


async def get_auctions(request: web.Request) -> web.Response:
    """Serve the opening and closing auctions of finished sessions, one row a day."""
    _feed(request.query, AUCTION_FEEDS)
    exchange = request.app[EXCHANGE]
    venue, window = exchange.venue, _window(request, exchange)
    days = new_york_day(window.start_ns), new_york_day(window.end_ns)
    block = exchange.data.bars.daily(*days, venue.now_ns)

    def points_of(symbol: str) -> Iterable[TimedPoint]:
        row = venue.views.column_of.get(symbol)
        if row is None:
            return ()
        found = daily_auctions(row, block, venue.market.calendar, venue.now_ns)
        points = [p for p in found if window.start_ns <= p[0] <= window.end_ns]
        return reversed(points) if window.descending else points

    return _paged(request, "auctions", window, points_of)


async def _ticks(
    request: web.Request, root: str, read: Callable[..., list[TimedPoint]]
) -> web.Response:
    exchange = request.app[EXCHANGE]
    window, views = _window(request, exchange), exchange.venue.views
    now_ns = exchange.venue.now_ns

    def days_of(symbol: str) -> list[tuple[Session, Span]]:
        span = window.span_of(symbol, now_ns)
        if span[0] > span[1]:
            return []
        first, last = new_york_day(span[0]), new_york_day(span[1])
        days = [(s, span) for s in exchange.data.bars.sessions(first, last, now_ns)]
        return days[::-1] if window.descending else days

    def points_of(symbol: str) -> Iterator[TimedPoint]:
        if symbol not in exchange.venue.assets:
            return
        for day, span in days_of(symbol):
            points = read(exchange.data, symbol, day, span)
            yield from reversed(points) if window.descending else points

    wanted = window.first_of(views.column_of)
    if wanted is not None:
        # More than are kept would push each other out before they are read.
        days = days_of(wanted)[:TAPE_VIEWS_MAX]
        ticks = (
            sum(len(view.ticks_in(span)) for view in views.over(day, span)) for day, span in days
        )
        await _make_ready(ticks, lambda: views.views_made, window.limit)
    return _paged(request, root, window, points_of)


def _paged(
    request: web.Request,
    root: str,
    window: _Window,
    points_of: Callable[[str], Iterable[TimedPoint]],
) -> web.Response:
    page: Page = cut_page(
        window.symbols, points_of, window.limit, window.after, descending=window.descending
    )
    if "symbol" not in request.match_info:
        return reply({root: page.points, "next_page_token": page.next_token})
    symbol = _symbols(request)[0]
    return reply(
        {
            "symbol": symbol,
            root: page.points.get(symbol, []),
            "next_page_token": page.next_token,
        }
    )


def _bars_of(
    row: int, blocks: Blocks, window: _Window, scale: Scale | None
) -> Iterator[TimedPoint]:
    for block in blocks.backward() if window.descending else blocks.forward():
        found = _found(row, block, window)
        yield from block.points(row, found[::-1] if window.descending else found, scale)


def _found(row: int, block: BarBlock, window: _Window) -> NDArray[np.int64]:
    """Return where a block has bars of a symbol inside the window."""
    inside = (block.at_ns >= window.start_ns) & (block.at_ns <= window.end_ns)
    return np.flatnonzero(inside & np.isfinite(block.close[row]))


async def _make_ready(points: Iterable[int], made: Callable[[], int], limit: int) -> None:
    """Make the sessions of history that a page needs, others having their turn after each.

    A session that nobody has asked for yet takes tens of milliseconds; thirty in a row would hold
    up orders and, at high speed, let market time jump. `points` makes them one by one and says
    how many points of the page's first symbol each has: no symbol goes through more of them.
    `made` counts what had to be made.
    """
    before = made()
    for count in points:
        limit -= count
        if limit < 0:
            return
        if made() != before:
            await asyncio.sleep(TURN_S)
            before = made()


def _symbols(request: web.Request) -> list[str]:
    single = request.match_info.get("symbol")
    names = [single] if single else query_list(request.query, "symbols")
    if not names:
        raise errors.bad_data_request(
            "Invalid format for parameter symbols: query parameter 'symbols' is required"
        )
    for name in names:
        if not _SYMBOL.fullmatch(name):
            raise errors.bad_data_request(f"invalid symbol: {name[:40]}")
    return list(dict.fromkeys(name.upper() for name in names))


def _window(request: web.Request, exchange: Exchange) -> _Window:
    symbols, query = _symbols(request), request.query
    feed = _feed(query, FEEDS)
    _judge_currency(query)
    _judge_asof(query)
    if feed in EMPTY_FEEDS:
        symbols = []
    now_ns = exchange.venue.now_ns
    start_ns = _instant(query, "start", midnight_ns(new_york_day(now_ns)))
    end_ns = _instant(query, "end", now_ns, day_ends=True)
    is_recent = end_ns > now_ns - SIP_DELAY_NS
    if feed == "sip" and is_recent and not exchange.limits.sip_realtime:
        if query.get("end"):
            raise _no_recent_sip(exchange)
        end_ns = now_ns - SIP_DELAY_NS
    if query.get("end") and end_ns < start_ns:
        raise errors.bad_data_request("end should not be before start")
    if query.get("sort", "asc") not in ("", "asc", "desc"):
        raise errors.bad_data_request("invalid sort")
    return _Window(
        symbols=symbols,
        start_ns=start_ns,
        end_ns=end_ns,
        limit=_limit(query),
        after=read_token(query.get("page_token")),
        descending=query.get("sort") == "desc",
    )


def _judge_currency(query: Mapping[str, str]) -> None:
    currency = query.get("currency", "")
    if currency not in ("", "USD"):
        raise errors.bad_data_request(f"currency is not supported: {currency[:40]}")


def _judge_asof(query: Mapping[str, str]) -> None:
    """Symbols never change here, so that any date gives the same; "-" means none."""
    asof = query.get("asof", "")
    if asof and asof != "-" and not _DAY.fullmatch(asof):
        raise errors.bad_data_request(
            f"Invalid format for parameter asof: error parsing '{asof[:60]}' as 2006-01-02 time"
        )


def _no_recent_sip(exchange: Exchange) -> errors.Refusal:
    code = errors.RULE if exchange.limits.sip_refusal_has_code else None
    return errors.Refusal(403, code, "subscription does not permit querying recent SIP data")


def _feed(query: Mapping[str, str], known: Container[str]) -> str:
    feed = query.get("feed", "")
    if feed not in known:
        raise errors.bad_data_request(f"invalid feed: {feed[:40]}")
    return feed


def _instant(
    query: Mapping[str, str], name: str, default_ns: int, *, day_ends: bool = False
) -> int:
    text = query.get(name)
    if not text:
        return default_ns
    try:
        return parse_instant(text.replace(" ", "+"), day_ends=day_ends)
    except ValueError as fault:
        raise errors.bad_data_request(
            f"Invalid format for parameter {name}: error parsing '{text[:60]}' "
            f"as RFC3339 or 2006-01-02 time: {fault}"
        ) from fault


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit")
    if not text:
        return LIMIT_DEFAULT
    is_count = text.isascii() and text.isdigit() and len(text) < 8
    if not is_count or not 1 <= int(text) <= LIMIT_MAX:
        raise errors.bad_data_request(f"invalid limit: {text[:40]}; it must be 1 to {LIMIT_MAX}")
    return int(text)

"""Quotes and bars from Alpaca's market-data API: many symbols in one request."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from daemon.alpaca.actions_codec import decode_actions
from daemon.alpaca.client import READ_LIMITS, AlpacaApi, CallLimits
from daemon.alpaca.codec import encode_instant
from daemon.alpaca.price_codec import InvalidCounts, decode_bars, decode_quotes
from daemon.budget import Lane
from domain.calendar import Timeframe
from domain.corporate import CorporateAction
from domain.errors import VenueRejected, VenueUnavailable
from domain.instruments import Symbol
from domain.market import Bar, Quote
from domain.ports import Clock

MAX_CONCURRENT_REQUESTS = 25
CHUNK_SYMBOLS = 500
CHUNK_URL_BYTES = 6_000
BARS_PAGE = 10_000
ACTIONS_PAGE = 1_000
PAGES_MAX = 1_000
"""Ten million bars: more is a venue that pages in circles."""
_BLAMES_A_SYMBOL = frozenset({400, 404, 413, 414, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """Which feed to read, how bars are adjusted, and how requests are cut.

    `adjustment` split keeps yesterday's bars comparable with today's quotes.
    """

    feed: str = "iex"
    adjustment: str = "split"
    chunk_symbols: int = CHUNK_SYMBOLS
    chunk_url_bytes: int = CHUNK_URL_BYTES
    concurrent_requests: int = MAX_CONCURRENT_REQUESTS

    def __post_init__(self) -> None:
        if min(self.chunk_symbols, self.chunk_url_bytes, self.concurrent_requests) < 1:
            raise ValueError(f"not a data plan: {self!r}")


def chunked(symbols: Sequence[Symbol], plan: DataPlan) -> list[list[Symbol]]:
    """Return the symbols in their order, in as few chunks as the plan's limits allow."""
    chunks: list[list[Symbol]] = []
    bytes_used = 0
    for symbol in symbols:
        # Clients may write a comma as %2C: three bytes.
        cost = len(symbol.encode()) + 3
        is_full = not chunks or len(chunks[-1]) >= plan.chunk_symbols
        if is_full or bytes_used + cost > plan.chunk_url_bytes:
            chunks.append([])
            bytes_used = 0
        chunks[-1].append(symbol)
        bytes_used += cost
    return chunks


def blames_a_symbol(refusal: VenueRejected) -> bool:
    """Return whether a smaller or other set of symbols may be answered where this one was not."""
    return refusal.http_status in _BLAMES_A_SYMBOL


class AlpacaMarketData:
    """Latest quotes of one chunk, and history of any number of symbols."""

    def __init__(self, api: AlpacaApi, plan: DataPlan, *, clock: Clock) -> None:
        self.api = api
        self.plan = plan
        self.invalid = InvalidCounts()
        """Data thrown away because they cannot be true."""
        self._clock = clock
        self._slots = asyncio.Semaphore(plan.concurrent_requests)

    async def latest_quotes(
        self, symbols: Sequence[Symbol], *, limits: CallLimits = READ_LIMITS
    ) -> dict[Symbol, Quote]:
        """Return the quotes of one chunk in one request; what cannot be had or believed is
        missing. Raises VenueRejected, NotAuthorized, VenueUnavailable."""
        params = {"symbols": ",".join(symbols), "feed": self.plan.feed}
        async with self._slots:
            body = await self.api.get(
                "/stocks/quotes/latest", params, lane=Lane.QUOTES, limits=limits
            )
        quotes = decode_quotes(body, now=self._clock.now(), invalid=self.invalid)
        return {symbol: quotes[symbol] for symbol in symbols if symbol in quotes}

    async def bars(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        *,
        start_at: datetime,
        end_at: datetime,
    ) -> dict[Symbol, list[Bar]]:
        """Return every bar with start_at ≤ opened_at ≤ end_at, oldest first, all pages.

        Raises VenueUnavailable when the answer is not complete, VenueRejected, NotAuthorized.
        """
        query = {
            "timeframe": timeframe.value,
            "start": encode_instant(start_at),
            "end": encode_instant(end_at),
            "limit": str(BARS_PAGE),
            "adjustment": self.plan.adjustment,
            "feed": self.plan.feed,
            "sort": "asc",
        }
        bars = await self._pages(symbols, query)
        found: dict[Symbol, dict[datetime, Bar]] = {symbol: {} for symbol in symbols}
        for bar in bars:
            if bar.symbol in found and start_at <= bar.opened_at <= end_at:
                found[bar.symbol][bar.opened_at] = bar
        return {symbol: [rows[at] for at in sorted(rows)] for symbol, rows in found.items() if rows}

    async def corporate_actions(
        self, symbols: Sequence[Symbol], start: date, end: date
    ) -> list[CorporateAction]:
        """Return what is processed for these symbols between two days, all pages. Raises
        VenueUnavailable when the answer is not complete, VenueRejected, NotAuthorized."""
        params = {
            "symbols": ",".join(symbols),
            "start": start.isoformat(),
            "end": end.isoformat(),
            "limit": str(ACTIONS_PAGE),
        }
        found: list[CorporateAction] = []
        for _ in range(PAGES_MAX):
            body = await self.api.get("/v1/corporate-actions", params, lane=Lane.HISTORY)
            page, token = decode_actions(body)
            found += page
            if token is None:
                return found
            params["page_token"] = token
        raise VenueUnavailable("the venue's pages of corporate actions do not end")

    async def _pages(self, symbols: Sequence[Symbol], query: Mapping[str, str]) -> list[Bar]:
        params = {"symbols": ",".join(symbols), **query}
        bars: list[Bar] = []
        tokens: set[str] = set()
        for _ in range(PAGES_MAX):
            async with self._slots:
                body = await self.api.get("/stocks/bars", params, lane=Lane.HISTORY)
            page, token = decode_bars(body, now=self._clock.now(), invalid=self.invalid)
            bars += page
            if token is None:
                return bars
            if token in tokens:
                break
            tokens.add(token)
            params["page_token"] = token
        raise VenueUnavailable("the venue's pages of bars do not end")

"""Prices for the whole universe (`domain.ports.PriceSource`): parallel, cached, single flight.

A failed chunk is retried until the cycle's deadline; one that a bad symbol poisons is bisected
until that symbol stands alone; neither takes other chunks down. What is missing is missing.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import structlog

from daemon.alpaca.client import AlpacaApi, CallLimits
from daemon.alpaca.division import SPLITS_MAX, Division, ask_dividing
from daemon.alpaca.market_data import AlpacaMarketData, chunked
from daemon.alpaca.price_codec import InvalidCounts
from daemon.clock import Pace
from domain.calendar import Timeframe
from domain.corporate import CorporateAction
from domain.errors import NotAuthorized, VenueError
from domain.instruments import Symbol
from domain.market import Bar, Quote

CYCLE_LIMITS = CallLimits(attempt_s=2.0, deadline_s=4.0)
"""Loop seconds for a chunk of quotes, all attempts together: below the default polling period."""
REFUSED_FOR_S = 60.0
"""Market seconds for which a symbol that the venue refused is left out; then it is asked alone."""

_log = structlog.get_logger(__name__)
_Flight = asyncio.Future[NotAuthorized | None]


@dataclass(slots=True)
class FetchCounts:
    """Running totals for the metrics; chunks and failed_chunks count requests, the rest symbols."""

    hits: int = 0
    misses: int = 0
    shared: int = 0
    """Symbols for which another caller's request was already under way."""
    chunks: int = 0
    failed_chunks: int = 0
    refused: int = 0

    @property
    def hit_ratio(self) -> float:
        """The share of symbols answered from the cache or by another caller's request."""
        asked = self.hits + self.misses + self.shared
        return (self.hits + self.shared) / asked if asked else 0.0


@dataclass(frozen=True, slots=True)
class _Received:
    quote: Quote
    received_s: float


class PriceFetcher:
    """Implements `domain.ports.PriceSource`.

    The cache's age is market time since the quote was received; how old the quote itself is, only
    `Quote.quoted_at` tells.
    """

    def __init__(
        self, source: AlpacaMarketData, *, pace: Pace, limits: CallLimits = CYCLE_LIMITS
    ) -> None:
        self.counts = FetchCounts()
        self._source = source
        self._pace = pace
        self._limits = limits
        self._cache: dict[Symbol, _Received] = {}
        self._under_way: dict[Symbol, _Flight] = {}
        self._refused_until_s: dict[Symbol, float] = {}
        self._undivided_until_s = 0.0
        self._failures_in_a_row = 0

    @property
    def api(self) -> AlpacaApi:
        """The client that requests go through."""
        return self._source.api

    @property
    def invalid(self) -> InvalidCounts:
        """What was thrown away because it cannot be true."""
        return self._source.invalid

    async def corporate_actions(
        self, symbols: Sequence[Symbol], start: date, end: date
    ) -> list[CorporateAction]:
        """Return what is processed for these symbols between two days. Raises VenueError."""
        return await self._source.corporate_actions(symbols, start, end)

    def take_invalid(self) -> dict[str, int]:
        """Return how many data were thrown away since the last call, by reason."""
        return self._source.invalid.take()

    async def fetch(self, symbols: Sequence[Symbol], *, max_age_s: float) -> dict[Symbol, Quote]:
        """Return the latest quotes; none was received more than `max_age_s` ago.

        Missing symbols could not be had. Raises NotAuthorized and nothing else.
        """
        asked = list(dict.fromkeys(symbols))
        began_s = self._pace.now_s()
        found = self._received_since(asked, began_s - max_age_s)
        self.counts.hits += len(found)
        missing = [s for s in asked if s not in found and not self._is_refused(s)]
        shared = {s: self._under_way[s] for s in missing if s in self._under_way}
        own = [s for s in missing if s not in shared]
        self.counts.shared += len(shared)
        self.counts.misses += len(own)
        await self._fetch_own(own)
        orphans = await self._join(shared)
        found.update(self._received_since(missing, began_s))
        if orphans:  # who shared with a caller that was cancelled asks itself
            found.update(await self.fetch(orphans, max_age_s=max_age_s))
        return {s: found[s] for s in asked if s in found}

    async def fetch_bars(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        *,
        start_at: datetime,
        end_at: datetime,
    ) -> dict[Symbol, list[Bar]]:
        """Return every bar with start_at ≤ opened_at ≤ end_at, oldest first, all pages.

        Raises VenueUnavailable when the answer is not complete, VenueRejected when the venue
        refuses the question itself, NotAuthorized.
        """

        async def ask(chunk: Sequence[Symbol]) -> dict[Symbol, list[Bar]]:
            return await self._source.bars(chunk, timeframe, start_at=start_at, end_at=end_at)

        wanted = [s for s in dict.fromkeys(symbols) if not self._is_refused(s)]
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask_dividing(c, ask)) for c in self._chunks(wanted)]
        bars: dict[Symbol, list[Bar]] = {}
        for division in (task.result() for task in asked):
            if division.faults:
                raise division.faults[0]
            if division.refused and not division.requests_answered:
                raise next(iter(division.refused.values()))
            self._refuse(division)
            bars.update(division.found)
        return {s: bars[s] for s in wanted if s in bars}

    # --- cache and flights --------------------------------------------------------------------

    def _received_since(self, symbols: Iterable[Symbol], earliest_s: float) -> dict[Symbol, Quote]:
        received = ((s, self._cache.get(s)) for s in symbols)
        return {s: r.quote for s, r in received if r is not None and r.received_s >= earliest_s}

    async def _fetch_own(self, symbols: Sequence[Symbol]) -> None:
        """Request what nobody has requested yet, chunk by chunk side by side."""
        flights: list[tuple[list[Symbol], _Flight]] = []
        loop = asyncio.get_running_loop()
        # Registered before anything is awaited, or a second caller would slip in between.
        for chunk in self._chunks(symbols):
            flight: _Flight = loop.create_future()
            flights.append((chunk, flight))
            self._under_way.update(dict.fromkeys(chunk, flight))
        try:
            if len(flights) == 1:
                await self._fly(*flights[0])
            elif flights:
                async with asyncio.TaskGroup() as tasks:
                    for chunk, flight in flights:
                        tasks.create_task(self._fly(chunk, flight))
        finally:
            for chunk, flight in flights:
                if not flight.done():
                    self._land(chunk, flight)
                    flight.cancel()
        for _, flight in flights:
            if (denied := flight.result()) is not None:
                raise denied

    async def _fly(self, chunk: list[Symbol], flight: _Flight) -> None:
        async def ask(part: Sequence[Symbol]) -> dict[Symbol, Quote]:
            return await self._source.latest_quotes(part, limits=self._limits)

        may_divide = self._pace.now_s() >= self._undivided_until_s
        division = await ask_dividing(chunk, ask, splits_max=SPLITS_MAX if may_divide else 0)
        received_s = self._pace.now_s()
        for symbol, quote in division.found.items():
            self._cache[symbol] = _Received(quote, received_s)
            self._refused_until_s.pop(symbol, None)
        self._note(division)
        self._land(chunk, flight)
        denied = (fault for fault in division.faults if isinstance(fault, NotAuthorized))
        flight.set_result(next(denied, None))

    def _land(self, chunk: Iterable[Symbol], flight: _Flight) -> None:
        for symbol in chunk:
            if self._under_way.get(symbol) is flight:
                del self._under_way[symbol]

    async def _join(self, shared: dict[Symbol, _Flight]) -> list[Symbol]:
        """Wait for other callers' requests; return the symbols whose caller was cancelled."""
        for flight in dict.fromkeys(shared.values()):
            await asyncio.wait((flight,))
        orphans = [s for s, flight in shared.items() if flight.cancelled()]
        for flight in shared.values():
            if not flight.cancelled() and (denied := flight.result()) is not None:
                raise denied
        return orphans

    # --- refusals and failures ----------------------------------------------------------------

    def _chunks(self, symbols: Sequence[Symbol]) -> list[list[Symbol]]:
        """Return the requests to make; symbols refused before are asked alone."""
        alone = [[s] for s in symbols if s in self._refused_until_s]
        rest = [s for s in symbols if s not in self._refused_until_s]
        return [*chunked(rest, self._source.plan), *alone]

    def _is_refused(self, symbol: Symbol) -> bool:
        until_s = self._refused_until_s.get(symbol)
        return until_s is not None and self._pace.now_s() < until_s

    def _refuse(self, division: Division[Quote] | Division[list[Bar]]) -> None:
        for symbol, refusal in division.refused.items():
            self.counts.refused += 1
            if symbol not in self._refused_until_s:
                _log.warning("symbol_refused", symbol=symbol, cause=str(refusal))
            self._refused_until_s[symbol] = self._pace.now_s() + REFUSED_FOR_S

    def _note(self, division: Division[Quote]) -> None:
        self.counts.chunks += division.requests
        self.counts.failed_chunks += len(division.faults)
        if division.requests > 1 and not division.requests_answered:
            # No part was answered: that is no symbol's fault, so do not divide for a while.
            self._undivided_until_s = self._pace.now_s() + REFUSED_FOR_S
        else:
            self._refuse(division)
        self._note_edge(division.faults)

    def _note_edge(self, faults: Sequence[VenueError]) -> None:
        if faults:
            self._failures_in_a_row += 1
            if self._failures_in_a_row == 1:
                _log.warning("prices_failing", cause=str(faults[0]))
        elif self._failures_in_a_row:
            _log.info("prices_recovered", failures=self._failures_in_a_row)
            self._failures_in_a_row = 0

"""Bringing the shell's running totals into the metrics, twice a second and at every request."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.alpaca.bar_stream import BarStream
from daemon.alpaca.client import AlpacaApi
from daemon.budget import RequestBudget
from daemon.fetcher import FetchCounts, PriceFetcher
from daemon.metrics import Api, CacheOutcome, Metrics, RequestOutcome, Stream
from daemon.wiring import Connection


@dataclass(slots=True)
class _Seen:
    """Totals as they were at the last look."""

    hits: int = 0
    misses: int = 0
    shared: int = 0
    slots_missed: int = 0
    bars_heard: int = 0


class Meter:
    """Reads counters that are kept for other reasons; nothing waits for it."""

    def __init__(
        self,
        metrics: Metrics,
        connection: Connection,
        *,
        slots_missed: Callable[[], int],
        bar_stream: Callable[[], BarStream | None],
    ) -> None:
        self._metrics = metrics
        self._connection = connection
        self._slots_missed = slots_missed
        self._bar_stream = bar_stream
        self._seen = _Seen()
        self._waited_s = dict.fromkeys(Api, 0.0)
        self._connected = dict.fromkeys(Stream, False)
        for api, client in self._apis().items():
            client.on_finished = self._finished(api)

    def publish(self) -> None:
        """Bring everything up to date."""
        self._cache(self._connection.prices.counts)
        for api, client in self._apis().items():
            self._budget(api, client.budget)
        missed = self._slots_missed()
        for _ in range(missed - self._seen.slots_missed):
            self._metrics.slot_missed()
        self._seen.slots_missed = missed
        self._stream(Stream.TRADING, is_up=self._connection.broker.stream.is_connected)
        bars = self._bar_stream()
        if bars is not None:
            self._stream(Stream.DATA, is_up=bars.is_connected)
            self._metrics.bars_streamed(bars.bars_heard - self._seen.bars_heard)
            self._seen.bars_heard = bars.bars_heard

    def _apis(self) -> dict[Api, AlpacaApi]:
        prices: PriceFetcher = self._connection.prices
        return {Api.TRADING: self._connection.broker.api, Api.DATA: prices.api}

    def _finished(self, api: Api) -> Callable[[str, str, float], None]:
        def finished(lane: str, outcome: str, took_s: float) -> None:
            self._metrics.request_finished(api, lane, _outcome(outcome), took_s)

        return finished

    def _cache(self, counts: FetchCounts) -> None:
        seen, metrics = self._seen, self._metrics
        metrics.cache_answered(CacheOutcome.HIT, counts.hits - seen.hits)
        metrics.cache_answered(CacheOutcome.MISS, counts.misses - seen.misses)
        metrics.cache_answered(CacheOutcome.JOINED, counts.shared - seen.shared)
        seen.hits, seen.misses, seen.shared = counts.hits, counts.misses, counts.shared

    def _budget(self, api: Api, budget: RequestBudget) -> None:
        self._metrics.budget_used(api, budget.limits.per_minute - budget.in_window())
        waited_s = budget.counts.waited_s
        self._metrics.budget_waited(api, waited_s - self._waited_s[api])
        self._waited_s[api] = waited_s

    def _stream(self, stream: Stream, *, is_up: bool) -> None:
        was_up, self._connected[stream] = self._connected[stream], is_up
        if is_up and not was_up:
            self._metrics.stream_connected(stream)
        if was_up and not is_up:
            self._metrics.stream_lost(stream)


def _outcome(ended: str) -> RequestOutcome:
    """Return how a request ended, from the client's word for it."""
    if ended.startswith("2"):
        return RequestOutcome.OK
    if ended == "429":
        return RequestOutcome.THROTTLED
    if ended == "timeout":
        return RequestOutcome.TIMED_OUT
    return RequestOutcome.REFUSED if ended.startswith("4") else RequestOutcome.FAILED

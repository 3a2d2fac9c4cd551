"""Bars from the stream where it has them whole, fetched where it has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from daemon.alpaca.bar_stream import BarStream
from daemon.logs import Edge
from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.market import Bar, Quote
from domain.ports import PriceSource

SILENCE_MAX = timedelta(seconds=90)
"""In a session, a universe of which no minute has traded for so long is a stream that is mute."""
SUMMED = frozenset(
    {
        Timeframe.MINUTE,
        Timeframe.FIVE_MINUTES,
        Timeframe.FIFTEEN_MINUTES,
        Timeframe.THIRTY_MINUTES,
    }
)
"""Timeframes made of streamed minutes; longer ones are asked for, once an hour or a day."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BarCounts:
    """Running totals of questions for bars, by who answered."""

    streamed: int = 0
    fetched: int = 0


class StreamedBars:
    """Implements `domain.ports.PriceSource`: quotes are the source's, bars the stream's."""

    def __init__(self, source: PriceSource, stream: BarStream) -> None:
        self.counts = BarCounts()
        self.stream = stream
        self._source = source
        self._edge = Edge(_log, what="bar_stream")

    async def fetch(self, symbols: Sequence[Symbol], *, max_age_s: float) -> dict[Symbol, Quote]:
        """Return the source's quotes."""
        return await self._source.fetch(symbols, max_age_s=max_age_s)

    async def fetch_bars(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        *,
        start_at: datetime,
        end_at: datetime,
    ) -> dict[Symbol, list[Bar]]:
        """Return every bar with start_at ≤ opened_at ≤ end_at, oldest first; of the stream when
        all of them were sent to us. Raises as the source does."""
        minutes = None
        if timeframe in SUMMED:
            minutes = self.stream.minutes(symbols, start_at=start_at, end_at=end_at)
            if minutes is not None and _is_mute(minutes, start_at, end_at):
                self._edge.failed(reason="no bar for any symbol")
                await self.stream.start_over()
                minutes = None
        if minutes is not None:
            self._edge.worked()
            self.counts.streamed += 1
            return {symbol: summed(bars, timeframe) for symbol, bars in minutes.items()}
        self.counts.fetched += 1
        return await self._source.fetch_bars(symbols, timeframe, start_at=start_at, end_at=end_at)


def summed(minutes: Sequence[Bar], timeframe: Timeframe) -> list[Bar]:
    """Return minute bars of one symbol, oldest first, summed up to a timeframe that divides the
    hour: first open, highest high, lowest low, last close, all volume."""
    grouped: dict[datetime, list[Bar]] = {}
    for bar in minutes:
        past_midnight = bar.opened_at - bar.opened_at.replace(hour=0, minute=0)
        grouped.setdefault(bar.opened_at - past_midnight % timeframe.length, []).append(bar)
    return [
        Bar(
            symbol=bars[0].symbol,
            opened_at=opened_at,
            open_usd=bars[0].open_usd,
            high_usd=max(b.high_usd for b in bars),
            low_usd=min(b.low_usd for b in bars),
            close_usd=bars[-1].close_usd,
            volume_shares=sum(b.volume_shares for b in bars),
        )
        for opened_at, bars in grouped.items()
    ]


def _is_mute(minutes: Mapping[Symbol, Sequence[Bar]], start_at: datetime, end_at: datetime) -> bool:
    if end_at - start_at < SILENCE_MAX:
        return not minutes
    newest_at = max((bars[-1].opened_at for bars in minutes.values()), default=None)
    return newest_at is None or end_at - newest_at > SILENCE_MAX + timedelta(minutes=1)

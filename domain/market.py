"""What is known of prices: a quote, the cross-section of bars, and the Market a strategy sees."""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from domain.calendar import Timeframe
from domain.errors import InvalidMarketData
from domain.instruments import Symbol
from domain.values import Value

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Quote(Value, frozen=True, kw_only=True):
    """Best bid and ask of one symbol; `quoted_at` is the venue's time, never a cache's.

    Cannot exist crossed, non-positive or non-finite: raises InvalidMarketData.
    """

    symbol: Symbol
    bid_usd: float
    ask_usd: float
    quoted_at: datetime
    bid_size_shares: float = 0.0
    ask_size_shares: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bid_usd) and math.isfinite(self.ask_usd)):
            raise InvalidMarketData(f"{self.symbol}: quote is not a number")
        if self.bid_usd <= 0 or self.ask_usd <= 0:
            raise InvalidMarketData(f"{self.symbol}: quote is not positive")
        if self.bid_usd > self.ask_usd:
            raise InvalidMarketData(f"{self.symbol}: quote is crossed")

    @property
    def mid_usd(self) -> float:
        """Half way between bid and ask."""
        return (self.bid_usd + self.ask_usd) / 2


class Bar(Value, frozen=True, kw_only=True):
    """One symbol's trading between two instants. Raises InvalidMarketData if it cannot be true."""

    symbol: Symbol
    opened_at: datetime
    open_usd: float
    high_usd: float
    low_usd: float
    close_usd: float
    volume_shares: float

    def __post_init__(self) -> None:
        low, high = self.low_usd, self.high_usd
        # What is wrong is looked for only where something is: nothing compares with NaN.
        if (
            0.0 < low <= self.open_usd <= high < math.inf
            and low <= self.close_usd <= high
            and 0.0 <= self.volume_shares < math.inf
        ):
            return
        prices = (self.open_usd, self.high_usd, self.low_usd, self.close_usd)
        if not all(math.isfinite(p) and p > 0 for p in prices):
            raise InvalidMarketData(f"{self.symbol}: bar price is not a positive number")
        if self.high_usd < max(prices) or self.low_usd > min(prices):
            raise InvalidMarketData(f"{self.symbol}: bar's high or low lies inside its body")
        if not (math.isfinite(self.volume_shares) and self.volume_shares >= 0):
            raise InvalidMarketData(f"{self.symbol}: bar volume is not a number from 0 up")


class BarRow(Value, frozen=True, kw_only=True, eq=False):
    """One slot of bars across the universe: arrays `[n]` in column order; NaN = no bar."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


class Bars(Value, frozen=True, kw_only=True, eq=False):
    """The last slots of bars: arrays `[lookback, n]`, oldest first, read-only, NaN = unknown.

    `traded` is False where a slot had no trade and the previous close stands in.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    traded: Flags

    def __len__(self) -> int:
        return int(self.close.shape[0])


class Quotes(Value, frozen=True, kw_only=True, eq=False):
    """Best bid and ask across the universe: arrays `[n]`; NaN = none. Ages in seconds."""

    bid: Floats
    ask: Floats
    age_s: Floats

    @property
    def mid(self) -> Floats:
        """Half way between bid and ask."""
        mid: Floats = (self.bid + self.ask) / 2
        return mid


class Reads(StrEnum):
    """The parts of a Market that a strategy may declare to read."""

    BARS = "bars"
    QUOTES = "quotes"
    WEIGHTS = "weights"
    OBSERVATIONS = "observations"


class UndeclaredRead(AttributeError):
    """A strategy read a part of the market that it did not declare in `reads`."""


class Market(Value, frozen=True, kw_only=True, eq=False):
    """The whole universe at one instant: nothing in it is later than `as_of`.

    `bars` is the window of the asking strategy's timeframe; `panels` maps each of its timeframes
    to a window. `quotes` and `weights` (the strategy's book, share of equity, `[n]`) raise
    UndeclaredRead unless declared in `reads`.
    """

    as_of: datetime
    symbols: tuple[Symbol, ...]
    bars: Bars
    panels: Mapping[Timeframe, Bars]
    reads: frozenset[Reads]
    quotes_or_none: Quotes | None = None
    weights_or_none: Floats | None = None

    @property
    def quotes(self) -> Quotes:
        """Quotes `[n]`."""
        if Reads.QUOTES not in self.reads or self.quotes_or_none is None:
            raise UndeclaredRead("declare reads = frozenset({Reads.QUOTES, …}) to see quotes")
        return self.quotes_or_none

    @property
    def weights(self) -> Floats:
        """The strategy's own book as shares of equity `[n]`."""
        if Reads.WEIGHTS not in self.reads or self.weights_or_none is None:
            raise UndeclaredRead("declare reads = frozenset({Reads.WEIGHTS, …}) to see weights")
        return self.weights_or_none

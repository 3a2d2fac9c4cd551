"""Trend following by two moving averages."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.numerics import sma
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class SmaCrossover:
    """Long while the fast average of closes is above the slow one, short while it is below.

    No opinion on a symbol with unknown bars in the slow window, or while both averages are equal
    (a column that does not move). Source: W. Brock, J. Lakonishok, B. LeBaron, Simple Technical
    Trading Rules and the Stochastic Properties of Stock Returns, Journal of Finance 47(5), 1992
    (variable-length moving-average rule, without their band).

    Not good for markets that go sideways, where it buys high and sells low at every wiggle, nor for
    intraday bars, where costs eat it: on minutes 10/30 trades each symbol some fifteen times a day.
    """

    fast_bars: int = 10
    slow_bars: int = 30
    timeframe: Timeframe = Timeframe.DAY

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False
    heavy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 1 <= self.fast_bars < self.slow_bars:
            raise ValueError(
                f"fast_bars must be at least 1 and less than slow_bars; "
                f"got fast_bars={self.fast_bars}, slow_bars={self.slow_bars}"
            )

    @property
    def lookback_bars(self) -> int:
        """As far as the slow average reaches."""
        return self.slow_bars

    def decide(self, market: Market) -> Signals:
        """Return the sign of fast − slow, with both averages as evidence."""
        fast = sma(market.bars.close, self.fast_bars)
        slow = sma(market.bars.close, self.slow_bars)
        gap = fast - slow
        # With NaN in the slow window only, gap is NaN too: slow is.
        strength = np.where(gap == 0.0, np.nan, np.sign(gap))
        return Signals(strength=strength, evidence={"fast_usd": fast, "slow_usd": slow})

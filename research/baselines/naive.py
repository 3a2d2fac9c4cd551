"""A strategy without an opinion of its own: long everything, through the whole engine.

Beside a strategy it shows what allocation, limits, gate and costs make of the market alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysLong:
    """Long whatever has a price."""

    timeframe: Timeframe = Timeframe.DAY

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False
    heavy: ClassVar[bool] = False

    @property
    def lookback_bars(self) -> int:
        """One bar: is there a price?"""
        return 1

    def decide(self, market: Market) -> Signals:
        """Return 1 where the last bar has a close."""
        close = market.bars.close[-1]
        return Signals(strength=np.where(np.isfinite(close), 1.0, np.nan))

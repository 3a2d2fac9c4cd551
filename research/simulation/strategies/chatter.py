"""A strategy that changes its mind all the time, so that orders flow."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.signals import Signals

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chatter:
    """Buys, leaves or says nothing by the bits of the last close: a function of the bars, and as
    good as random. Not good for anything but testing.
    """

    seed: int = 0
    enter: float = 0.06
    leave: float = 0.06
    timeframe: Timeframe = Timeframe.FIVE_MINUTES

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False
    heavy: ClassVar[bool] = False

    @property
    def lookback_bars(self) -> int:
        """One bar is enough."""
        return 1

    def decide(self, market: Market) -> Signals:
        """Return +1, 0 or no opinion for each symbol."""
        close = np.ascontiguousarray(market.bars.close[-1], dtype=np.float64)
        bits = (close.view(np.uint64) + np.uint64(self.seed)) * _MIX
        bits ^= bits >> np.uint64(29)
        draw = ((bits * _MIX) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        strength = np.full(draw.shape, np.nan)
        strength[draw < self.enter + self.leave] = 0.0
        strength[draw < self.enter] = 1.0
        strength[np.isnan(close)] = np.nan
        return Signals(strength=strength)

"""Reversion by Wilder's relative strength index."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.numerics import clipped, wilder_rsi
from domain.signals import Signals

MIDDLE = 50.0
STRENGTH_AT_LEVEL = 0.5
"""Strength where the index touches a level: what the default hysteresis enters at."""
FORGETTING_BARS, FORGETTING_PERIOD = 250, 14
"""Look-back for Wilder's period: the starting average then weighs 3e-8 of the whole. Other periods
in proportion, never fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RsiReversion:
    """Long after falls that were too fast, short after rises that were too fast.

    Strength is 0 at an index of 50, +0.5 at `oversold` and −0.5 at `overbought`, straight lines
    between, on at the same slope and cut off at ±1. With the default hysteresis (enter ≥ .5,
    exit ≤ .1) it buys at 30 and lets go at 46. No opinion with unknown bars in the look-back, or
    while the price does not move at all. Source: J. W. Wilder, New Concepts in Technical Trading
    Systems, 1978, section VI (index and levels; the straight line is ours).

    Not good for trends: in a strong one the index stays beyond a level for weeks and every entry is
    early. It has no opinion of value; what falls for a reason goes on falling.
    """

    period_bars: int = 14
    oversold: float = 30.0
    overbought: float = 70.0
    timeframe: Timeframe = Timeframe.FIFTEEN_MINUTES

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False
    heavy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.period_bars < 2:
            raise ValueError(f"period_bars must be at least 2; got {self.period_bars}")
        if not 0.0 < self.oversold < MIDDLE < self.overbought < 100.0:
            raise ValueError(
                f"the index runs from 0 to 100: 0 < oversold < 50 < overbought < 100; "
                f"got oversold={self.oversold}, overbought={self.overbought}"
            )

    @property
    def lookback_bars(self) -> int:
        """Long enough that where the smoothing started is forgotten."""
        in_proportion = -(-self.period_bars * FORGETTING_BARS // FORGETTING_PERIOD)
        return max(FORGETTING_BARS, in_proportion)

    def decide(self, market: Market) -> Signals:
        """Return the distance of the index from 50 in units of its levels, against the move."""
        close = market.bars.close
        if close.shape[0] < self.lookback_bars:
            unknown = np.full(close.shape[1], np.nan)
            return Signals(strength=unknown, evidence={"rsi_index": unknown})
        rsi = wilder_rsi(close[-self.lookback_bars :], self.period_bars)
        below = MIDDLE - rsi
        reach = np.where(below > 0.0, MIDDLE - self.oversold, self.overbought - MIDDLE)
        strength = clipped(below * STRENGTH_AT_LEVEL / reach, -1.0, 1.0)
        return Signals(strength=strength, evidence={"rsi_index": rsi})

"""Reversion to the average by Bollinger's bands."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.numerics import clipped, mean_and_deviation, ratio
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanReversion:
    """Long when the price lies far below its recent average, short when far above.

    Strength is −z / `entry_z`, cut off at ±1, where z counts deviations from the average of the
    last `window_bars` closes: ±1 at Bollinger's bands. No opinion with unknown bars in the window,
    or when the window is flat. Source: J. Bollinger, Bollinger on Bollinger Bands, 2001 (20 bars,
    2 deviations); the reading as reversion is the common one, Bollinger himself warns that a touch
    of a band is no signal alone.

    Not good for breakouts and news: a jump lies at many deviations and is faded at full strength.
    """

    window_bars: int = 20
    entry_z: float = 2.0
    timeframe: Timeframe = Timeframe.FIFTEEN_MINUTES

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False
    heavy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.window_bars < 3:
            raise ValueError(f"window_bars must be at least 3; got {self.window_bars}")
        # The last of n numbers lies at most √(n − 1) deviations from their average.
        if not 0.0 < self.entry_z <= float(np.sqrt(self.window_bars - 1)):
            raise ValueError(
                f"entry_z must be above 0 and at most √(window_bars − 1) = "
                f"{np.sqrt(self.window_bars - 1):.2f}, or it is never reached; got {self.entry_z}"
            )

    @property
    def lookback_bars(self) -> int:
        """The window."""
        return self.window_bars

    def decide(self, market: Market) -> Signals:
        """Return −z / entry_z within ±1, with z and the average as evidence."""
        close = market.bars.close
        average, spread = mean_and_deviation(close, self.window_bars)
        score = ratio(close[-1] - average, spread)
        strength = clipped(score / -self.entry_z, -1.0, 1.0)
        return Signals(strength=strength, evidence={"z_deviations": score, "average_usd": average})

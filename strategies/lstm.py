"""A recurrent network's forecast; abstains until a trained model is installed."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Lstm:
    """Never has an opinion yet: no model is trained, and an untrained one would be a coin.

    Source for what is to come: S. Hochreiter, J. Schmidhuber, Long Short-Term Memory, Neural
    Computation 9(8), 1997.
    """

    timeframe: Timeframe = Timeframe.DAY

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False
    heavy: ClassVar[bool] = True
    abstains: ClassVar[str] = "no model yet"

    @property
    def lookback_bars(self) -> int:
        """One bar; nothing is read from it."""
        return 1

    def decide(self, market: Market) -> Signals:
        """Return no opinion on every symbol."""
        return Signals(strength=np.full(market.bars.close.shape[1], np.nan))

"""Several trained policies that vote; abstains until their models are installed."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class RlEnsemble:
    """Never has an opinion yet: no policy is trained, and an untrained one would be a coin.

    Source for what is to come: H. Yang, X.-Y. Liu, S. Zhong, A. Walid, Deep Reinforcement Learning
    for Automated Stock Trading: An Ensemble Strategy, ICAIF 2020.
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

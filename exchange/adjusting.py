"""Bars that look through splits and dividends, as of a market instant."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from domain.market import Floats
from exchange.agenda import begun_day
from exchange.bars import BarBlock, Integers, Scale
from exchange.corporate_actions import Adjustment, BarFactors, bar_factors
from exchange.instants import midnight_ns
from exchange.markets.base import Market

ADJUSTED_PLACES = 4
EX_DAYS_KEPT_MAX = 8_192
WORDS = frozenset({"raw", "split", "dividend", "spin-off", "all"})
ex_ns = lru_cache(maxsize=EX_DAYS_KEPT_MAX)(midnight_ns)


def read_adjustment(text: str) -> Adjustment:
    """Return the adjustment a query asks for, words joined by commas; raw for none.

    Raises ValueError.
    """
    words = {word.strip() for word in text.split(",")} - {""}
    if not words <= WORDS:
        raise ValueError(f"invalid adjustment: {text[:40]}")
    return Adjustment(
        splits=not words.isdisjoint({"split", "all"}),
        dividends=not words.isdisjoint({"dividend", "all"}),
    )


class BarAdjuster:
    """Makes raw bars comparable with the shares of a market instant."""

    def __init__(self, market: Market, adjustment: Adjustment, now_ns: int) -> None:
        self._actions = market.actions
        self._symbols = market.symbols
        self._adjustment = adjustment
        self._as_of = begun_day(now_ns)

    def scale_of(self, symbol: str) -> Scale | None:
        """Return what adjusts a symbol's bars, None when they are served as traded."""
        actions = self._actions.of(symbol)
        if self._adjustment.is_raw or not actions:
            return None

        def scale(starts: Integers, columns: list[Floats]) -> list[Floats]:
            factors = self._factors(symbol, starts)
            opens, highs, lows, closes, volumes, trades, vwaps = columns
            prices = [_rounded(part * factors.price) for part in (opens, highs, lows, closes)]
            return [*prices, np.rint(volumes * factors.volume), trades, vwaps * factors.price]

        return scale

    def whole(self, block: BarBlock) -> BarBlock:
        """Return a block with the bars of every symbol adjusted."""
        if self._adjustment.is_raw or not self._actions or block.at_ns.size == 0:
            return block
        price, volume = np.ones(block.open.shape), np.ones(block.open.shape)
        for row, symbol in enumerate(self._symbols):
            if self._actions.of(symbol):
                factors = self._factors(symbol, block.at_ns)
                price[row], volume[row] = factors.price, factors.volume
        return replace(
            block,
            open=_rounded(block.open * price),
            high=_rounded(block.high * price),
            low=_rounded(block.low * price),
            close=_rounded(block.close * price),
            vwap=block.vwap * price,
            volume=np.rint(block.volume * volume),
        )

    def _factors(self, symbol: str, starts: Integers) -> BarFactors:
        actions = self._actions.of(symbol)
        return bar_factors(actions, starts, self._as_of, self._adjustment, ex_at=ex_ns)


def _rounded(price_usd: Floats) -> Floats:
    rounded: Floats = np.round(price_usd, ADJUSTED_PLACES)
    return rounded

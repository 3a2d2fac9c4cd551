"""At which prices the engine must look at a position: where a stop or a target would be crossed.

The engine decides; this only says which bars trade through a trigger, and quotes the symbol there.
"""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from daemon.engine.rules import EngineRules
from domain.instruments import Symbol, Universe
from domain.market import Floats
from domain.orders import EXTERNAL
from domain.portfolio import Portfolio, Position
from risk.limits import RiskLimits

_GRID = 1e-6
_NEAR_ABOVE, _NEAR_BELOW = 1.0001, 0.9999
"""A hair more than float rounding; what is that near is left to the engine."""


class Triggers:
    """The stops and targets of what is held, as arrays `[n]`; remade when the portfolio changes."""

    def __init__(self, limits: RiskLimits, rules: EngineRules, universe: Universe) -> None:
        self._stop = float(limits.stop_loss_percent)
        self._profit = float(limits.take_profit_percent)
        self._books = frozenset(n for n, e in rules.strategies.items() if e.takes_profit)
        self.is_idle = not self._stop and not (self._profit and self._books)
        self._column_of = universe.column_of()
        self._portfolio: Portfolio | None = None
        self._held: dict[tuple[str, Symbol], Position] = {}
        self._below = np.full(len(universe), np.nan)
        self._above = np.full(len(universe), np.nan)

    def crossed(
        self, portfolio: Portfolio, bars: tuple[Floats, Floats, Floats], *, falling: bool
    ) -> tuple[Floats, Floats] | None:
        """Return bids and asks `[n]` at the triggers that a bar trades through on its way down
        (`falling`) or up, NaN for all others; None when it crosses none.

        `bars` are opens, lows and highs. A bar that opens beyond a trigger is met at its open.
        """
        if self.is_idle:
            return None
        if portfolio is not self._portfolio:
            self._remake(portfolio)
        opened, low, high = bars
        price = (
            np.where(low <= self._below, np.minimum(self._below, opened), np.nan)
            if falling
            else np.where(high >= self._above, np.maximum(self._above, opened), np.nan)
        )
        if not np.count_nonzero(price == price):
            return None
        # One tick wide: a long leaves at the bid, a short at the ask, both at the trigger.
        return price, price

    def are_far(self, portfolio: Portfolio, bid: Floats, ask: Floats) -> bool:
        """Return whether quotes leave every stop and target well alone."""
        if self.is_idle:
            return True
        if portfolio is not self._portfolio:
            self._remake(portfolio)
        near = (bid <= self._below * _NEAR_ABOVE) | (ask >= self._above * _NEAR_BELOW)
        return not np.count_nonzero(near)

    def untouched(
        self, portfolio: Portfolio, quotes: tuple[Floats, Floats], bars: tuple[Floats, Floats]
    ) -> int:
        """Return how many rows, from the first on, leave every stop and target alone: neither
        crossed by a bar nor near its quotes. `quotes` are bids and asks, `bars` lows and highs,
        all `[t, n]`."""
        if self.is_idle:
            return len(quotes[0])
        if portfolio is not self._portfolio:
            self._remake(portfolio)
        least, most = np.minimum(quotes[0], bars[0]), np.maximum(quotes[1], bars[1])
        near = (least <= self._below * _NEAR_ABOVE) | (most >= self._above * _NEAR_BELOW)
        touched = np.logical_or.reduce(near, -1)
        return len(touched) if not touched.any() else int(np.argmax(touched))

    def _remake(self, portfolio: Portfolio) -> None:
        """Take in what changed since the portfolio seen last: positions unchanged are the same."""
        held = {
            (name, symbol): position
            for name, book in portfolio.books.items()
            if name != EXTERNAL
            for symbol, position in book.positions.items()
        }
        changed = {key[1] for key, position in held.items() if self._held.get(key) is not position}
        changed |= {symbol for name, symbol in self._held.keys() - held.keys()}
        self._portfolio, self._held = portfolio, held
        for symbol in changed:
            column = self._column_of.get(symbol)
            if column is not None:
                self._set(column, _ours(portfolio, symbol))

    def _set(self, column: int, ours: Mapping[str, Position]) -> None:
        self._below[column] = self._above[column] = np.nan
        net = sum((p.quantity_shares for p in ours.values()), Decimal(0))
        if net and self._stop > 0:
            self._put(column, _average(ours, net), float(net), -self._stop)
        for book, position in ours.items():
            if book in self._books and self._profit > 0:
                entry_usd = float(position.average_entry_usd)
                self._put(column, entry_usd, float(position.quantity_shares), self._profit)

    def _put(self, column: int, entry_usd: float, shares: float, gain: float) -> None:
        """Note where a position has gained this share of its entry, on the tick beyond it."""
        move = gain if shares > 0 else -gain
        exact = entry_usd * (1.0 + move)
        scale = 100.0 if exact >= 1.0 else 10_000.0
        if move < 0:
            at_usd = np.floor(exact * scale + _GRID) / scale
            self._below[column] = np.fmax(self._below[column], at_usd)
        else:
            at_usd = np.ceil(exact * scale - _GRID) / scale
            self._above[column] = np.fmin(self._above[column], at_usd)


def _ours(portfolio: Portfolio, symbol: Symbol) -> Mapping[str, Position]:
    return {
        name: book.positions[symbol]
        for name, book in portfolio.books.items()
        if name != EXTERNAL and symbol in book.positions
    }


def _average(ours: Mapping[str, Position], net: Decimal) -> float:
    """Return what the books on the net side paid on average."""
    same = [p for p in ours.values() if p.quantity_shares * net > 0]
    cost = sum(float(p.quantity_shares) * float(p.average_entry_usd) for p in same)
    return cost / sum(float(p.quantity_shares) for p in same)

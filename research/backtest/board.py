"""Quotes of a whole bar at once: kept as arrays, spelled out for the few that are looked at."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from daemon.engine.board import Board
from domain.instruments import Symbol, Universe
from domain.market import Floats, Quote

AMOUNTS_KEPT_MAX = 100_000
"""Amounts of money kept ready made."""


class BarQuotes(dict[Symbol, Quote]):
    """What a poll would have brought, as arrays `[n]` on the tick grid; NaN where it brought none.

    Stands for the mapping in QuotesPolled; the board takes the arrays.
    """

    def __init__(self, bid: Floats, ask: Floats, quoted_at: datetime) -> None:
        super().__init__()
        self.bid = bid
        self.ask = ask
        self.quoted_at = quoted_at


class _LazyQuotes(dict[Symbol, Quote]):
    """Quotes made when they are asked for; forgotten at the next poll."""

    def __init__(self, board: "BarBoard") -> None:
        super().__init__()
        self._board = board

    def __missing__(self, symbol: Symbol) -> Quote:
        quote = self._board.quote(symbol)
        if quote is None:
            raise KeyError(symbol)
        self[symbol] = quote
        return quote

    def get(self, symbol: Symbol, default: Any = None) -> Any:
        found = super().get(symbol)
        if found is None:
            found = self._board.quote(symbol)
            if found is None:
                return default
            self[symbol] = found
        return found


class _LazyMids(dict[Symbol, float]):
    """Mids made when they are asked for."""

    def __init__(self, board: "BarBoard") -> None:
        super().__init__()
        self._board = board

    def __missing__(self, symbol: Symbol) -> float:
        mid_usd = self._board.mid_usd(symbol)
        if mid_usd is None:
            raise KeyError(symbol)
        return mid_usd

    def get(self, symbol: Symbol, default: Any = None) -> Any:
        mid_usd = self._board.mid_usd(symbol)
        return default if mid_usd is None else mid_usd


class BarBoard(Board):
    """A Board fed by bars. The price of a bar is an established level, made by many trades: a jump
    that a live poll would doubt for a minute is believed at once, as it is live a minute later.
    """

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe, price_jump_max=Decimal(0))
        self.quotes = _LazyQuotes(self)
        self.last_good_usd = _LazyMids(self)
        self._columns = universe.column_of()
        self._symbols = universe.symbols
        self._cents: list[int] | None = None
        self._mids: list[float] | None = None
        self._amounts: dict[int, Decimal] = {}

    def update(self, quotes: Mapping[Symbol, Quote]) -> None:
        """Take in the quotes of a bar; symbols without one keep their old quote."""
        if not isinstance(quotes, BarQuotes):
            raise TypeError("a backtest's board is fed by BarQuotes")
        self.version += 1
        fresh = quotes.bid == quotes.bid
        at_s = quotes.quoted_at.timestamp()
        if np.count_nonzero(fresh) == fresh.shape[0]:
            self._bid, self._ask = quotes.bid, quotes.ask
            self._quoted_s = np.full(fresh.shape, at_s)
        else:
            self._bid = np.where(fresh, quotes.bid, self._bid)
            self._ask = np.where(fresh, quotes.ask, self._ask)
            self._quoted_s = np.where(fresh, at_s, self._quoted_s)
        self.quotes.clear()
        self._cents = self._mids = None

    def quote(self, symbol: Symbol) -> Quote | None:
        """Return the latest quote of a symbol, None before its first."""
        column = self._columns.get(symbol)
        if column is None:
            return None
        bid_usd = float(self._bid[column])
        if bid_usd != bid_usd:
            return None
        return Quote(
            symbol=symbol,
            bid_usd=bid_usd,
            ask_usd=float(self._ask[column]),
            quoted_at=datetime.fromtimestamp(float(self._quoted_s[column]), UTC),
        )

    def mid_usd(self, symbol: Symbol) -> float | None:
        """Return the last mid of a symbol, None before its first quote."""
        column = self._columns.get(symbol)
        if column is None:
            return None
        if self._mids is None:
            self._mids = ((self._bid + self._ask) / 2).tolist()
        mid_usd = self._mids[column]
        return mid_usd if mid_usd == mid_usd else None

    def marks_usd(self, symbols: Iterable[Symbol]) -> dict[Symbol, Decimal]:
        """Return the marks of those symbols that were ever quoted."""
        cents = self._cents = self._in_cents() if self._cents is None else self._cents
        columns = self._columns
        known = ((symbol, cents[columns[symbol]]) for symbol in symbols if symbol in columns)
        return {symbol: self._usd(count) for symbol, count in known if count}

    def mark_usd(self, symbol: Symbol) -> Decimal | None:
        """Return the last mid of a symbol to the cent, half to even as `Board` rounds it."""
        return self.marks_usd((symbol,)).get(symbol)

    def _usd(self, cents: int) -> Decimal:
        """Return cents as dollars; amounts come again and again, and Decimals are dear to make."""
        usd = self._amounts.get(cents)
        if usd is None:
            if len(self._amounts) >= AMOUNTS_KEPT_MAX:
                self._amounts.clear()
            usd = self._amounts[cents] = Decimal(cents).scaleb(-2)
        return usd

    def _in_cents(self) -> list[int]:
        """Return mids in whole cents, 0 where there is none; counted in halves of a ten-thousandth
        of a dollar, which every mid between two ticks is a whole number of."""
        both = self._bid + self._ask
        halves = np.where(both == both, np.rint(both * 1e4), 0.0).astype(np.int64)
        cents, rest = np.divmod(halves, 200)
        up = (rest > 100) | ((rest == 100) & (cents % 2 == 1))
        rounded: list[int] = (cents + up).tolist()
        return rounded

"""Quotes of a whole bar at once: kept as arrays, spelled out for the few that are looked at."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from daemon.engine.board import Board
from daemon.engine.held import Held
from domain.instruments import Symbol, Universe
from domain.market import Floats, Quote, Quotes
from domain.money import CENT, ZERO
from domain.portfolio import Portfolio, Position
from research.backtest.costs import Spread
from research.backtest.history import Integers
from state import ledger

AMOUNTS_KEPT_MAX = 100_000
"""Amounts of money kept ready made."""
EXACT_MAX = 2**52
"""Ten-thousandths of a dollar up to which float64 tells every one: 450 billion dollars."""
ELEMENTS_AT_ONCE = 1 << 15
"""Rows x symbols whose quotes are made in one pass."""


class BarQuotes(dict[Symbol, Quote]):
    """What a poll would have brought, as arrays `[n]` on the tick grid; NaN where it brought none.

    Stands for the mapping in QuotesPolled; the board takes the arrays. `cents` `[n]` are the mids
    in whole cents where no quote is missing, None where one is.
    """

    def __init__(
        self, bid: Floats, ask: Floats, quoted_at: datetime, cents: Integers | None = None
    ) -> None:
        self.bid = bid
        self.ask = ask
        self.quoted_at = quoted_at
        self.cents = cents


class QuoteRows:
    """Bids and asks around one price of every bar, `[t, n]`, made for many rows at a time: from the
    row asked for on, until it is left behind or the spread is measured anew."""

    def __init__(self, price_usd: Floats, spread: Spread, *, near_open: bool = False) -> None:
        self._price_usd, self._spread, self._near_open = price_usd, spread, near_open
        self._rows_at_once = max(1, ELEMENTS_AT_ONCE // price_usd.shape[1])
        self._first = self._measured_at = self._count = 0
        self._bid = self._ask = price_usd[:0]
        self._cents = np.zeros((0, price_usd.shape[1]), dtype=np.int64)
        self._complete: list[bool] = []

    def at(self, row: int, quoted_at: datetime) -> BarQuotes:
        """Return the quotes of a row."""
        index = self._index_of(row)
        cents = self._cents[index] if self._complete[index] else None
        return BarQuotes(self._bid[index], self._ask[index], quoted_at, cents)

    def row(self, row: int) -> tuple[Floats, Floats, Integers, bool]:
        """Return bids, asks and mids in cents of a row `[n]`, NaN and 0 where there is no quote,
        and whether each symbol has one."""
        index = row - self._first
        if not 0 <= index < self._count or self._measured_at != self._spread.measured_at:
            self._make(row)
            index = 0
        return self._bid[index], self._ask[index], self._cents[index], self._complete[index]

    def ahead(self, row: int, count: int) -> tuple[Floats, Floats, Integers]:
        """Return bids, asks and mids in cents of up to `count` rows `[t, n]`, as many as were made
        at a time; NaN and 0 where there is no quote."""
        index = self._index_of(row)
        rows = slice(index, index + count)
        return self._bid[rows], self._ask[rows], self._cents[rows]

    def _index_of(self, row: int) -> int:
        index = row - self._first
        if 0 <= index < self._count and self._measured_at == self._spread.measured_at:
            return index
        self._make(row)
        return 0

    def _make(self, first: int) -> None:
        prices = self._price_usd[first : first + self._rows_at_once]
        self._first, self._measured_at = first, self._spread.measured_at
        self._bid, self._ask = self._spread.touch(prices, near_open=self._near_open)
        self._cents = mids_in_cents(self._bid, self._ask)
        self._count, known = len(prices), self._bid == self._bid
        is_complete = np.count_nonzero(known) == known.size
        self._complete = [True] * self._count if is_complete else known.all(axis=1).tolist()


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


class BarMarks(dict[Symbol, Decimal]):
    """Marks made when they are asked for: the board's latest, always."""

    def __init__(self, board: "BarBoard") -> None:
        super().__init__()
        self._board = board

    def __missing__(self, symbol: Symbol) -> Decimal:
        mark = self._board.mark_usd(symbol)
        if mark is None:
            raise KeyError(symbol)
        return mark

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and self._board.mark_usd(Symbol(symbol)) is not None

    def __setitem__(self, symbol: Symbol, mark: Decimal) -> None:
        """Keep nothing: what the board says next would be hidden by it."""

    def get(self, symbol: Symbol, default: Any = None) -> Any:
        """Return a mark, or the default before a symbol's first quote."""
        mark = self._board.mark_usd(symbol)
        return default if mark is None else mark


class BarBoard(Board):
    """A Board fed by bars. The price of a bar is an established level, made by many trades: a jump
    that a live poll would doubt for a minute is believed at once, as it is live a minute later.
    """

    def __init__(self, universe: Universe, held: Held) -> None:
        """`held`: the positions as the engine follows them."""
        super().__init__(universe, price_jump_max=Decimal(0))
        self.quotes = _LazyQuotes(self)
        self.last_good_usd = _LazyMids(self)
        self._columns = universe.column_of()
        self._symbols = universe.symbols
        self._cents: Integers | None = None
        self._amounts: dict[int, Decimal] = {}
        self._held = held
        self._portfolio: Portfolio | None = None
        self._cash: int | None = None
        self._is_whole = True
        self._quoted_at: datetime | None = None
        """When every quote was made, None where they are not of one instant."""

    def take(self, rows: QuoteRows, row: int, quoted_at: datetime) -> None:
        """Take in the quotes of a bar, as `update` does, where nothing acts beside allocation."""
        self.is_calm = True
        bid, ask, cents, is_complete = rows.row(row)
        if not is_complete:
            self.update(rows.at(row, quoted_at))
            return
        self.version += 1
        self._bid, self._ask, self._cents = bid, ask, cents
        self._quoted_at = quoted_at
        if self.quotes:
            self.quotes.clear()

    def update(self, quotes: Mapping[Symbol, Quote]) -> None:
        """Take in the quotes of a bar; symbols without one keep their old quote."""
        if not isinstance(quotes, BarQuotes):
            raise TypeError("a backtest's board is fed by BarQuotes")
        self.version += 1
        fresh = None if quotes.cents is not None else quotes.bid == quotes.bid
        if fresh is None or np.count_nonzero(fresh) == fresh.shape[0]:
            self._bid, self._ask = quotes.bid, quotes.ask
            self._quoted_at = quotes.quoted_at
        else:
            self._bid = np.where(fresh, quotes.bid, self._bid)
            self._ask = np.where(fresh, quotes.ask, self._ask)
            self._tell_instants()
            self._quoted_s = np.where(fresh, quotes.quoted_at.timestamp(), self._quoted_s)
        self.quotes.clear()
        self._cents = quotes.cents

    def quote(self, symbol: Symbol) -> Quote | None:
        """Return the latest quote of a symbol, None before its first."""
        column = self._columns.get(symbol)
        if column is None:
            return None
        bid_usd: float = self._bid.item(column)
        if bid_usd != bid_usd:
            return None
        return Quote(
            symbol=symbol,
            bid_usd=bid_usd,
            ask_usd=self._ask.item(column),
            quoted_at=self._quoted_at or datetime.fromtimestamp(float(self._quoted_s[column]), UTC),
        )

    def _tell_instants(self) -> None:
        """Say of each quote when it was made; of one instant they are seldom asked one by one."""
        if self._quoted_at is not None:
            self._quoted_s = np.full(self._bid.shape, self._quoted_at.timestamp())
            self._quoted_at = None

    def arrays(self, as_of: datetime) -> Quotes:
        """Return bids, asks and ages `[n]`, NaN where there was no quote yet."""
        self._tell_instants()
        return super().arrays(as_of)

    def mids_usd(self, as_of: datetime, *, max_age_s: float) -> tuple[Floats, Floats]:
        """Return mids `[n]` of quotes not older than `max_age_s`, NaN for the others; and of all,
        however old."""
        self._tell_instants()
        return super().mids_usd(as_of, max_age_s=max_age_s)

    def newest_quoted_at(self) -> datetime | None:
        """Return when the youngest quote of all was made, None before the first."""
        return self._quoted_at or super().newest_quoted_at()

    def good_mids_usd(self) -> Floats:
        """Return the last mids `[n]`, NaN before a symbol's first quote."""
        mids: Floats = (self._bid + self._ask) / 2
        return mids

    def mid_usd(self, symbol: Symbol) -> float | None:
        """Return the last mid of a symbol, None before its first quote."""
        column = self._columns.get(symbol)
        if column is None:
            return None
        mid_usd: float = (self._bid.item(column) + self._ask.item(column)) / 2
        return mid_usd if mid_usd == mid_usd else None

    def mark(self, held: Mapping[Symbol, Position], marks: dict[Symbol, Decimal]) -> None:
        """Do nothing: BarMarks are made when they are looked at."""

    def mark_new(self, held: Mapping[Symbol, Position], marks: dict[Symbol, Decimal]) -> bool:
        """Do nothing, and say so."""
        return False

    def marks_usd(self, symbols: Iterable[Symbol]) -> dict[Symbol, Decimal]:
        """Return the marks of those symbols that were ever quoted."""
        found = ((symbol, self.mark_usd(symbol)) for symbol in symbols)
        return {symbol: mark for symbol, mark in found if mark is not None}

    def mark_usd(self, symbol: Symbol) -> Decimal | None:
        """Return the last mid of a symbol to the cent, half to even as `Board` rounds it."""
        column = self._columns.get(symbol)
        if column is None:
            return None
        cents: int = self._in_cents().item(column)
        return self._usd(cents) if cents else None

    def equity_usd(self, portfolio: Portfolio, marks: Mapping[Symbol, Decimal]) -> Decimal:
        """Return cash plus positions at their marks, in whole cents where all shares are whole."""
        self._look_at(portfolio)
        cents, shares = self._in_cents(), self._held.whole
        if not self._is_whole or np.count_nonzero(cents[shares != 0] == 0):
            return ledger.equity_usd(portfolio, marks)
        if not portfolio.positions:
            return portfolio.cash_usd + ZERO
        return portfolio.cash_usd + int(shares @ cents) * CENT

    def worth_ahead(
        self, portfolio: Portfolio, cents: Integers, *, is_complete: bool
    ) -> list[int] | None:
        """Return what the account is worth at mids to come `[t, n]`, in ten-thousandths of a
        dollar; None where that is no whole number or not above 0, or what is held has no mid.

        `is_complete`: every symbol has a mid in all of them.
        """
        self._look_at(portfolio)
        whole, shares = self._cash, self._held.whole
        if whole is None or not self._is_whole:
            return None
        if not is_complete and not cents[:, shares != 0].all():
            return None
        if len(cents) == 1:
            worth = whole + 100 * int(cents[0] @ shares)
            return [worth] if 0 < worth < EXACT_MAX else None
        found = [whole + 100 * held for held in (cents @ shares).tolist()]
        return found if min(found) > 0 and max(found) < EXACT_MAX else None

    def usd_of(self, portfolio: Portfolio, worth: int) -> Decimal:
        """Return ten-thousandths that `worth_ahead` found as `equity_usd` tells them."""
        self._look_at(portfolio)
        assert self._cash is not None
        if not portfolio.positions:
            return portfolio.cash_usd + ZERO
        return portfolio.cash_usd + (worth - self._cash) // 100 * CENT

    def _look_at(self, portfolio: Portfolio) -> None:
        """Follow what is held, and the cash in ten-thousandths of a dollar, None where that is no
        whole number."""
        held = self._held
        held.take(portfolio.positions)
        if portfolio is not self._portfolio:
            cash = portfolio.cash_usd.scaleb(4)
            whole = int(cash)
            self._portfolio = portfolio
            self._cash = whole if whole == cash and abs(whole) <= EXACT_MAX else None
            self._is_whole = not held.outside and not held.broken

    def _usd(self, cents: int) -> Decimal:
        """Return cents as dollars; amounts come again and again, and Decimals are dear to make."""
        usd = self._amounts.get(cents)
        if usd is None:
            if len(self._amounts) >= AMOUNTS_KEPT_MAX:
                self._amounts.clear()
            usd = self._amounts[cents] = cents * CENT
        return usd

    def _in_cents(self) -> Integers:
        if self._cents is None:
            self._cents = mids_in_cents(self._bid, self._ask)
        return self._cents


def mids_in_cents(bid: Floats, ask: Floats) -> Integers:
    """Return mids in whole cents, half to even, 0 where there is none; counted in halves of a
    ten-thousandth of a dollar, which every mid between two ticks is a whole number of."""
    both = bid + ask
    halves = np.where(both == both, np.rint(both * 1e4), 0.0).astype(np.int64)
    cents, rest = np.divmod(halves, 200)
    rounded: Integers = cents + ((rest > 100) | ((rest == 100) & (cents % 2 == 1)))
    return rounded

"""The latest quotes of the universe: as values for the gate, as arrays for strategies."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from domain.instruments import Symbol, Universe
from domain.market import Floats, Quote, Quotes
from domain.money import CENT, Rounding, tick_for, to_price
from domain.portfolio import Portfolio, Position
from risk.prices import LEAP_SHARE, KnownPrice, observe_price
from state import ledger


def tick_of(quote: Quote) -> Decimal:
    """Return the price increment of a symbol that is quoted so."""
    # A bid rounded up to the cent decides; from a dollar on there is nothing to round.
    return CENT if quote.bid_usd >= 1.0 else tick_for(to_price(quote.bid_usd, CENT, Rounding.UP))


class Board:
    """Holds one quote a symbol and the last good mid, however old; ages are the reader's affair."""

    def __init__(self, universe: Universe, *, price_jump_max: Decimal) -> None:
        self.version = 0
        """Grows whenever a price may have changed."""
        self.is_calm = False
        """Whether it is known that no position's stop or target is near; else they are looked at
        one by one."""
        self.leapt: list[Symbol] = []
        """Symbols whose quote, in the last update, was far from the one before, or the first."""
        self._newest_at: datetime | None = None
        self._newest_of = 0
        self._column_of = universe.column_of()
        self._price_jump_max = price_jump_max
        self.quotes: dict[Symbol, Quote] = {}
        self.last_good_usd: dict[Symbol, float] = {}
        self._known: dict[Symbol, KnownPrice] = {}
        self._marks: dict[Symbol, Decimal] = {}
        self._of_others_until: dict[Symbol, datetime] = {}
        self._bid = np.full(len(universe), np.nan)
        self._ask = np.full(len(universe), np.nan)
        self._quoted_s = np.full(len(universe), np.nan)
        self._good = np.full(len(universe), np.nan)

    def update(self, quotes: Mapping[Symbol, Quote]) -> None:
        """Take in what a poll brought; older quotes never replace newer ones."""
        self.version += 1
        self.leapt = []
        for symbol, quote in quotes.items():
            held = self.quotes.get(symbol)
            if held is not None and quote.quoted_at <= held.quoted_at:
                continue
            if symbol in self._of_others_until and self._is_of_others(quote):
                continue
            if held is None or abs(quote.mid_usd / held.mid_usd - 1.0) > LEAP_SHARE:
                self.leapt.append(symbol)
            self.quotes[symbol] = quote
            known = observe_price(self._known.get(symbol), quote, self._price_jump_max)
            self._known[symbol] = known
            self.last_good_usd[symbol] = known.mid_usd
            self._marks.pop(symbol, None)
            column = self._column_of.get(symbol)
            if column is not None:
                self._bid[column] = quote.bid_usd
                self._ask[column] = quote.ask_usd
                self._quoted_s[column] = quote.quoted_at.timestamp()
                self._good[column] = known.mid_usd

    def _is_of_others(self, quote: Quote) -> bool:
        return quote.quoted_at < self._of_others_until[quote.symbol]

    def forget(self, symbol: Symbol, *, made_before: datetime) -> None:
        """Believe the next price of a symbol that was made since an instant, whatever it was
        before: its shares are others from then on. One made before may still be on its way."""
        self._of_others_until[symbol] = made_before
        self.version += 1
        self.is_calm = False
        self.quotes.pop(symbol, None)
        self.last_good_usd.pop(symbol, None)
        self._known.pop(symbol, None)
        self._marks.pop(symbol, None)
        column = self._column_of.get(symbol)
        if column is not None:
            for values in (self._bid, self._ask, self._quoted_s, self._good):
                values[column] = np.nan

    def newest_quoted_at(self) -> datetime | None:
        """Return when the youngest quote of all was made, None before the first."""
        if self._newest_of != self.version:
            newest_s = float(np.fmax.reduce(self._quoted_s))
            is_known = newest_s == newest_s
            self._newest_at = datetime.fromtimestamp(newest_s, UTC) if is_known else None
            self._newest_of = self.version
        return self._newest_at

    def arrays(self, as_of: datetime) -> Quotes:
        """Return bids, asks and ages `[n]`, NaN where there was no quote yet."""
        return Quotes(
            bid=self._bid.copy(),
            ask=self._ask.copy(),
            age_s=as_of.timestamp() - self._quoted_s,
        )

    def good_mids_usd(self) -> Floats:
        """Return the last good mids `[n]`, NaN before a symbol's first quote."""
        return self._good

    def mids_usd(self, as_of: datetime, *, max_age_s: float) -> tuple[Floats, Floats]:
        """Return mids `[n]` of quotes not older than `max_age_s`, NaN for the others; and of all,
        however old."""
        latest = self._bid + self._ask
        latest *= 0.5
        is_fresh = self._quoted_s >= as_of.timestamp() - max_age_s
        if np.count_nonzero(is_fresh) == is_fresh.shape[0]:
            return latest, latest
        return np.where(is_fresh, latest, np.nan), latest

    def equity_usd(self, portfolio: Portfolio, marks: Mapping[Symbol, Decimal]) -> Decimal:
        """Return cash plus positions at their marks, which this board gave."""
        return ledger.equity_usd(portfolio, marks)

    def mark(self, held: Mapping[Symbol, Position], marks: dict[Symbol, Decimal]) -> None:
        """Put the marks of what is held in."""
        marks.update(self.marks_usd(held))

    def mark_new(self, held: Mapping[Symbol, Position], marks: dict[Symbol, Decimal]) -> bool:
        """Put those in that are missing; return whether any was."""
        new = self.marks_usd(symbol for symbol in held if symbol not in marks)
        marks.update(new)
        return bool(new)

    def marks_usd(self, symbols: Iterable[Symbol]) -> dict[Symbol, Decimal]:
        """Return the marks of those symbols that were ever quoted."""
        found = ((symbol, self.mark_usd(symbol)) for symbol in symbols)
        return {symbol: mark for symbol, mark in found if mark is not None}

    def mark_usd(self, symbol: Symbol) -> Decimal | None:
        """Return the last good mid of a symbol to the cent, None before its first quote."""
        mark = self._marks.get(symbol)
        if mark is None:
            mid_usd = self.last_good_usd.get(symbol)
            if mid_usd is None:
                return None
            mark = self._marks[symbol] = to_price(mid_usd, CENT, Rounding.NEAREST)
        return mark

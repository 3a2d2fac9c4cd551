"""The portfolio as allocation sees it: arrays `[n]`, remade only when it has changed."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from allocation.plan import Ints
from daemon.engine.core import Core
from domain.instruments import Symbol
from domain.market import Floats
from domain.orders import BookName
from domain.portfolio import Portfolio, Position, moved

NEVER = datetime.min.replace(tzinfo=UTC)
BARS_HELD_UNKNOWN = 1_000_000
"""Long enough for any minimum hold: entered before anything we remember."""


@dataclass(slots=True)
class Held:
    """One portfolio's shares `[n]`, signed, and how long they are held.

    `bars_held` counts up to and with the slot `counted_at`; `entered_at` is the latest entry.
    """

    portfolio: Portfolio
    account: Floats
    books: dict[BookName, Floats]
    bars_held: Ints
    counted_at: datetime | None
    entered_at: datetime


class Holdings:
    """Follows the portfolio."""

    def __init__(self, core: Core, *, hold_bars_min: int) -> None:
        self._core = core
        self._hold_bars_min = hold_bars_min
        self._base = core.panels.panels[core.rules.base_timeframe]
        self._column_of = core.universe.column_of()
        self._nothing = np.zeros(len(core.universe))
        self._all_old = np.full(len(core.universe), BARS_HELD_UNKNOWN, dtype=np.int64)
        for unchanging in (self._nothing, self._all_old):
            unchanging.flags.writeable = False
        self._held: Held | None = None

    def now(self) -> Held:
        """Return the portfolio of now; the same object while nothing has changed."""
        portfolio = self._core.memory.portfolio
        if self._held is None or self._held.portfolio is not portfolio:
            account = self._core.held.frozen(portfolio.positions)
            self._held = Held(
                portfolio=portfolio,
                account=account,
                books=self._books_of(portfolio, account),
                bars_held=self._bars_held(),
                counted_at=self._base.last_slot_at,
                entered_at=self._entered_at(),
            )
        elif self._hold_bars_min and self._held.counted_at != self._base.last_slot_at:
            if self._held.entered_at >= self._oldest_at():
                self._held.bars_held = self._bars_held()
            else:
                self._held.bars_held = self._all_old
            self._held.counted_at = self._base.last_slot_at
        return self._held

    def bars_held_ahead(self, first: int, count: int) -> Ints:
        """Return the bars held at `count` slots to come `[t, n]`, before the first of which `first`
        bars will have closed; `[n]` where all is held for long, however many close."""
        held = self.now().bars_held
        if held is self._all_old:
            return held
        ahead: Ints = held + np.arange(first, first + count)[:, None]
        return ahead

    def _books_of(self, portfolio: Portfolio, account: Floats) -> dict[BookName, Floats]:
        if len(portfolio.books) == 1:
            # Σ books' shares = the account's: of one book they are its own.
            return dict.fromkeys(portfolio.books, account)
        before = self._held
        books = before.portfolio.books if before else {}
        return {
            name: self._shares_of(
                book.positions,
                books[name].positions if before and name in books else {},
                before.books[name] if before and name in books else self._nothing,
            )
            for name, book in portfolio.books.items()
        }

    def _shares_of(
        self,
        positions: Mapping[Symbol, Position],
        before: Mapping[Symbol, Position],
        shares_before: Floats,
    ) -> Floats:
        """Return signed shares `[n]`; a position that has not changed is the same object."""
        if positions is before:
            return shares_before
        shares = shares_before.copy()
        for symbol in moved(before, positions):
            column, position = self._column_of.get(symbol), positions.get(symbol)
            if column is not None:
                shares[column] = float(position.quantity_shares) if position is not None else 0.0
        return shares

    def _bars_held(self) -> Ints:
        """Return the base slots closed since each symbol was entered; many for older ones than
        the panel tells of."""
        if not self._hold_bars_min:
            return self._all_old
        slots = self._base.latest_slots(1 + self._hold_bars_min)
        oldest_at = self._oldest_at()
        entered_at = self._core.memory.entered_at
        young = [(s, at) for s, at in entered_at.items() if at >= oldest_at]
        if not young:
            return self._all_old
        held = self._all_old.copy()
        for symbol, at in young:
            column = self._column_of.get(symbol)
            if column is not None:
                held[column] = len(slots) - bisect_right(slots, at)
        return held

    def _entered_at(self) -> datetime:
        """Return when something was entered last, as far as that is ever asked."""
        if not self._hold_bars_min:
            return NEVER
        return max(self._core.memory.entered_at.values(), default=NEVER)

    def _oldest_at(self) -> datetime:
        """Return the slot before which an entry is old enough for any minimum hold."""
        slots = self._base.latest_slots(1 + self._hold_bars_min)
        return slots[0] if slots else self._core.now

"""What holding costs and brings overnight: splits, dividends, and the fee for borrowed shares.

All of it happens before the open, on both books: the engine's ledger and the venue's account.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from daemon.engine import Engine
from domain.calendar import Session
from domain.corporate import ActionKind
from domain.corporate import CorporateAction as Split
from domain.events import Event, QuotesPolled
from domain.instruments import Symbol
from domain.market import Floats
from domain.money import CENT, ZERO, to_usd
from domain.orders import BookName
from exchange.corporate_actions import CorporateAction, dividend_usd, split_position
from research.backtest.board import BarQuotes
from research.backtest.history import History
from research.backtest.venue import BarVenue
from state import corporate, ledger

DAYS_A_YEAR = 360
"""Of borrow fees, as money markets count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Money that a book was paid (> 0) or charged overnight; `kind` is dividend, borrow or
    fraction (what a split left of a share). A split has no amount and a `ratio`."""

    day: date
    symbol: Symbol
    book: BookName
    kind: str
    amount_usd: Decimal = ZERO
    ratio: Decimal = Decimal(1)


class Carrying:
    """The nights of one backtest."""

    def __init__(
        self,
        engine: Engine,
        venue: BarVenue,
        history: History,
        *,
        borrow_bps: float,
        post: Callable[[Event], None],
    ) -> None:
        self._engine, self._venue, self._history = engine, venue, history
        self._borrow_bps = borrow_bps
        self._has_actions = len(history.actions) > 0
        self._post = post
        self._column_of = {str(s): column for column, s in enumerate(history.symbols)}
        self._last: date | None = None
        self.carried: list[Carried] = []

    def before_open(self, session: Session, shares: Floats, last_usd: Floats, at: datetime) -> None:
        """Carry everything over the night before a session. `shares` and `last_usd` `[n]`, what
        the venue holds and the last prices, are brought into the shares of the session."""
        if self._last is not None:
            self._charge(session.day, (session.day - self._last).days, last_usd)
        self._last = session.day
        if not self._has_actions:
            return
        for action in self._history.actions.on(session.day):
            if action.is_split:
                self._split(action, shares, last_usd, at)
            else:
                self._pay(action, session.day)

    def nights_without(self, sessions: Sequence[Session]) -> int:
        """Return before how many sessions, from the first on, there is nothing to carry."""
        if self._borrow_bps and self._is_short():
            return 0
        if not self._has_actions:
            return len(sessions)
        on = self._history.actions.on
        return next((k for k, s in enumerate(sessions) if on(s.day)), len(sessions))

    def _is_short(self) -> bool:
        books = self._engine.memory.portfolio.books.values()
        return any(p.quantity_shares < 0 for book in books for p in book.positions.values())

    def pass_over(self, last: Session) -> None:
        """Leave nights without anything to carry behind, up to that before a session."""
        self._last = last.day

    def splits_on(self, day: date) -> bool:
        """Return whether last prices will be brought into other shares before a session."""
        found = self._history.actions.on(day) if self._has_actions else ()
        return any(action.is_split for action in found)

    # --- dividends -------------------------------------------------------------------------------

    def _pay(self, action: CorporateAction, day: date) -> None:
        """Pay a dividend to the books that hold the symbol; shorts are charged it."""
        symbol = self._history.symbols[self._column_of[action.symbol]]
        for name, held in self._held(symbol).items():
            self._earn(name, symbol, dividend_usd(held, action.cash_usd), "dividend", day)

    # --- borrowed shares -------------------------------------------------------------------------

    def _charge(self, day: date, nights: int, last_usd: Floats) -> None:
        """Charge the fee for shares sold short over the nights since the last session."""
        if not self._borrow_bps:
            return
        share = self._borrow_bps / 1e4 * nights / DAYS_A_YEAR
        for symbol in list(self._engine.memory.portfolio.positions):
            price = float(last_usd[self._column_of[symbol]])
            for name, held in self._held(symbol).items():
                if held < 0 and price > 0:
                    fee_usd = to_usd(float(-held) * price * share)
                    self._earn(name, symbol, -fee_usd, "borrow", day)

    # --- splits ----------------------------------------------------------------------------------

    def _split(
        self, action: CorporateAction, shares: Floats, last_usd: Floats, at: datetime
    ) -> None:
        column = self._column_of[action.symbol]
        symbol, ratio = self._history.symbols[column], action.ratio
        last_usd[column] /= float(ratio)
        for order in list(self._venue.working.values()):
            # Its price and size are in shares that there are no more.
            if order.intent.symbol == symbol:
                ended = self._venue.cancel(order.intent.client_order_id, at, "the shares split")
                if ended is not None:
                    self._post(ended)
        self.carried.append(
            Carried(day=action.ex_date, symbol=symbol, book="", kind="split", ratio=ratio)
        )
        if symbol in self._engine.memory.portfolio.positions:
            self._split_held(action, symbol, float(last_usd[column]))
            held = self._engine.memory.portfolio.shares(symbol)
            shares[column] = float(held)
            self._venue.shares.pop(symbol, None)
            if held:
                self._venue.shares[symbol] = held
        self._show(column, float(last_usd[column]), at)

    def _split_held(self, action: CorporateAction, symbol: Symbol, price: float) -> None:
        """Give every book its new shares, at the same cost; fractions are paid out."""
        memory, before = self._engine.memory, self._held(symbol)
        account = memory.portfolio.positions[symbol]
        after = split_position(
            account.quantity_shares,
            account.quantity_shares * account.average_entry_usd,
            action.ratio,
            whole_shares=self._is_whole(symbol),
        )
        memory.portfolio = corporate.carry_out(
            memory.portfolio, _in_our_words(action, symbol), after.qty
        )
        now = self._held(symbol)
        for name, shares in before.items():
            left = shares * action.ratio - now.get(name, ZERO)
            self._earn(name, symbol, to_usd(float(left) * price), "fraction", action.ex_date)

    def _is_whole(self, symbol: Symbol) -> bool:
        return self._engine.core.instruments[symbol].lot_shares >= 1

    def _show(self, column: int, price: float, at: datetime) -> None:
        """Let the board show the last price in the new shares, or the book would seem to have
        gained or lost by the ratio."""
        if not price > 0:
            return
        quotes = np.full(len(self._column_of), np.nan)
        quotes[column] = round(price, 2)
        self._post(QuotesPolled(at=at, quotes=BarQuotes(quotes, quotes, at)))

    # --- both books ------------------------------------------------------------------------------

    def _held(self, symbol: Symbol) -> dict[BookName, Decimal]:
        """Return the signed shares of every book that has some."""
        books = self._engine.memory.portfolio.books
        return {name: b.shares(symbol) for name, b in books.items() if b.shares(symbol)}

    def _earn(
        self, name: BookName, symbol: Symbol, amount_usd: Decimal, kind: str, day: date
    ) -> None:
        amount_usd = amount_usd.quantize(CENT)
        if not amount_usd:
            return
        memory = self._engine.memory
        memory.portfolio = ledger.earn(memory.portfolio, amount_usd, name)
        self._venue.cash_usd += amount_usd
        self.carried.append(
            Carried(day=day, symbol=symbol, book=name, kind=kind, amount_usd=amount_usd)
        )


def _in_our_words(action: CorporateAction, symbol: Symbol) -> Split:
    """Return a split of the exchange's as the ledger knows it."""
    return Split(
        action_id=action.id,
        kind=ActionKind.SPLIT,
        symbol=symbol,
        ex_day=action.ex_date,
        pay_day=action.ex_date,
        ratio=action.ratio,
    )

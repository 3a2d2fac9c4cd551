"""Prices of single symbols as of a market instant, exact, for accounts and reservations."""

import math
from collections.abc import Callable
from datetime import date
from decimal import Decimal

from exchange.account import Account
from exchange.admission import Touch
from exchange.agenda import begun_day
from exchange.instants import to_ns
from exchange.matching import exact_usd
from exchange.tape_view import TapeView
from exchange.tape_views import TapeViews


class Prices:
    """What symbols are worth; nothing later than the instant asked about."""

    def __init__(self, views: TapeViews, account: Account) -> None:
        self._views = views
        self._account = account
        self._ratios: tuple[tuple[date, date], dict[str, Decimal]] | None = None

    def at(self, at_ns: int) -> Callable[[str], Decimal]:
        """Return symbol → price of its last trade by an instant (after a close, the official one).

        A symbol never seen to trade is worth what it cost.
        """
        view = self._views.latest(at_ns)
        if view is None:
            return self._at_cost
        tick = view.tick_at(at_ns)
        is_over = at_ns >= to_ns(view.session.closes_at)
        ratios = self._split_since(view, at_ns)

        def price_of(symbol: str) -> Decimal:
            row = self._views.column_of[symbol]
            price = _known(view, row, tick, is_over=is_over)
            if price is None:
                return self._at_cost(symbol)
            return _on_footing(price, ratios.get(symbol))

        return price_of

    def lastday(self, at_ns: int, *, has_begun: bool) -> Callable[[str], Decimal | None]:
        """Return symbol → official close of the last finished day; None before its first.

        `has_begun`: the day after the latest session's has already begun (04:00 New York).
        """
        view = self._views.latest(at_ns)
        ratios = self._split_since(view, at_ns) if view is not None else {}

        def price_of(symbol: str) -> Decimal | None:
            if view is None:
                return None
            row = self._views.column_of[symbol]
            tape = view.tape
            source = tape.official_close_usd if has_begun else tape.previous_close_usd
            value = float(source[row])
            if not math.isfinite(value):
                return None
            return _on_footing(exact_usd(value), ratios.get(symbol))

        return price_of

    def touch(self, symbol: str, at_ns: int) -> Touch | None:
        """Return best bid and ask at an instant, None while nothing is known of the symbol."""
        row = self._views.column_of[symbol]
        view = self._views.latest(at_ns)
        if view is None:
            first = self._views.of_day(self._views.market.first_day)
            return _flat_touch(float(first.tape.previous_close_usd[row]))
        tick = max(0, view.tick_at(at_ns))
        if view.tick_at(at_ns) < 0:
            return _flat_touch(float(view.tape.previous_close_usd[row]))
        bid, ask = float(view.bid[row, tick]), float(view.ask[row, tick])
        if not math.isfinite(bid) or not math.isfinite(ask):
            return None
        ratio = self._split_since(view, at_ns).get(symbol)
        return Touch(
            bid_usd=_on_footing(exact_usd(bid), ratio), ask_usd=_on_footing(exact_usd(ask), ratio)
        )

    def _split_since(self, view: TapeView, at_ns: int) -> dict[str, Decimal]:
        """Return symbol → shares that one share of the view's day has become by an instant."""
        actions = self._views.market.actions
        if not actions:
            return {}
        day, until = view.session.day, begun_day(at_ns)
        if until <= day:
            return {}
        if self._ratios is None or self._ratios[0] != (day, until):
            found = {s: actions.split_ratio(s, day, until) for s in actions.symbols()}
            self._ratios = ((day, until), {s: r for s, r in found.items() if r != 1})
        return self._ratios[1]

    def _at_cost(self, symbol: str) -> Decimal:
        holding = self._account.holdings.get(symbol)
        return holding.average_entry_usd if holding else Decimal(0)


def _on_footing(price_usd: Decimal, ratio: Decimal | None) -> Decimal:
    """Return the price of a share of before a split as that of one after it."""
    return price_usd if ratio is None else exact_usd(float(price_usd / ratio))


def _known(view: TapeView, row: int, tick: int, *, is_over: bool) -> Decimal | None:
    tape = view.tape
    if is_over:
        value = float(tape.official_close_usd[row])
        if math.isfinite(value):
            return exact_usd(value)
    value = float(view.last[row, tick] if tick >= 0 else tape.previous_close_usd[row])
    return exact_usd(value) if math.isfinite(value) else None


def _flat_touch(price_usd: float) -> Touch | None:
    """Return the touch before a session's first tick: both sides at the previous close."""
    if not math.isfinite(price_usd):
        return None
    price = exact_usd(price_usd)
    return Touch(bid_usd=price, ask_usd=price)

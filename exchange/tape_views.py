"""The sessions of a market prepared for matching and market data, the last few kept."""

from datetime import date

from domain.calendar import Session
from domain.market import Floats
from exchange.extended import ExtendedTrades, Part, extended_trades, part_of
from exchange.halts import Halt, without_halts
from exchange.instants import new_york_day, to_ns, wall_ns
from exchange.markets.base import Market, MinuteBars, SessionTape
from exchange.tape_view import Span, TapeView, view_of
from exchange.windows import EARLY_HOUR, LATE_HOUR

TAPE_VIEWS_MAX = 8
"""Sessions kept at hand."""


class TapeViews:
    """The sessions of a market as views, the last few kept."""

    def __init__(self, market: Market, extended_seed: int | None = None) -> None:
        """`extended_seed` draws the hours beside the session; None: nobody is told of them."""
        self.market = market
        self.extended_seed = extended_seed
        self.column_of = {symbol: row for row, symbol in enumerate(market.symbols)}
        self.halts: list[Halt] = []
        """Every halt there has been; the venue's own list."""
        self._views: dict[date, TapeView] = {}
        self._beside: dict[tuple[date, Part], TapeView] = {}
        self._trades: dict[tuple[date, Part], ExtendedTrades] = {}
        self.views_made = 0
        """How often a session had to be prepared: work that takes a while."""
        self._current: tuple[int, int, TapeView] | None = None

    def has(self, day: date) -> bool:
        """Whether the market plays a session on a day."""
        last_day = self.market.last_day or date.max
        return self.market.first_day <= day <= last_day

    def of_day(self, day: date) -> TapeView:
        """Return a session's view. Raises LookupError when the market has none that day."""
        found = self._views.pop(day, None)
        if found is None:
            found = self._without_halts(view_of(self.market.tape(day)))
            self.views_made += 1
        self._views[day] = found
        while len(self._views) > TAPE_VIEWS_MAX:
            self._views.pop(next(iter(self._views)))
        return found

    def beside(self, day: date, part: Part) -> TapeView:
        """Return what is traded before or after a session. Raises LookupError as `of_day` does."""
        found = self._beside.pop((day, part), None)
        if found is None:
            view = self._traded(day, part).view()
            halts = self._halts_over(view.session)
            closes_usd = view.tape.previous_close_usd
            found = without_halts(view, halts, self.column_of, closes_usd) if halts else view
            self.views_made += 1
        self._beside[day, part] = found
        while len(self._beside) > TAPE_VIEWS_MAX:
            self._beside.pop(next(iter(self._beside)))
        return found

    def _traded(self, day: date, part: Part) -> ExtendedTrades:
        found = self._trades.pop((day, part), None)
        if found is None:
            assert self.extended_seed is not None
            found = extended_trades(self.tape(day), part, self.extended_seed)
        self._trades[day, part] = found
        while len(self._trades) > TAPE_VIEWS_MAX:
            self._trades.pop(next(iter(self._trades)))
        return found

    def minutes(self, session: Session, until_ns: int) -> list[SessionTape | MinuteBars]:
        """Return the minutes of a session's day, in order: the regular ones, and those beside
        them that had begun by an instant."""
        found: list[SessionTape | MinuteBars] = [self.tape(session.day)]
        if self.extended_seed is None:
            return found
        found.insert(0, self._minutes_beside(session.day, Part.BEFORE))
        if until_ns >= to_ns(session.closes_at):
            found.append(self._minutes_beside(session.day, Part.AFTER))
        return found

    def _minutes_beside(self, day: date, part: Part) -> SessionTape | MinuteBars:
        if self.halts:
            return self.beside(day, part).tape
        return self._traded(day, part).minutes()

    def over(self, session: Session, span: Span) -> list[TapeView]:
        """Return the views of a session's day that a span touches, in order."""
        first_ns, last_ns = span
        opens_ns, closes_ns = to_ns(session.opens_at), to_ns(session.closes_at)
        knows_all = self.extended_seed is not None
        views = []
        if knows_all and first_ns < opens_ns and last_ns >= wall_ns(session.day, EARLY_HOUR):
            views.append(self.beside(session.day, Part.BEFORE))
        if first_ns < closes_ns and last_ns >= opens_ns:
            views.append(self.of_day(session.day))
        if knows_all and last_ns >= closes_ns and first_ns < wall_ns(session.day, LATE_HOUR):
            views.append(self.beside(session.day, Part.AFTER))
        return views

    def playing(self, at_ns: int) -> TapeView | None:
        """Return what is played at an instant, in a session or in the hours beside it that are
        told of; None at night."""
        view = self.latest(at_ns)
        if view is not None and at_ns < to_ns(view.session.closes_at):
            return view
        today = self.market.calendar.session_of(new_york_day(at_ns))
        if self.extended_seed is None or today is None or not self.has(today.day):
            return None
        part = part_of(today, at_ns)
        return self.beside(today.day, part) if part is not None else None

    def latest_beside(self, at_ns: int) -> TapeView | None:
        """Return the hours beside a session that were told of last, None when that is a session's
        own tape or nothing. Its first tick has passed."""
        view = self.latest(at_ns)
        if self.extended_seed is None or view is None:
            return None
        if at_ns < to_ns(view.session.closes_at):
            return self.beside(view.session.day, Part.BEFORE) if view.tick_at(at_ns) < 0 else None
        today = self.market.calendar.session_of(new_york_day(at_ns))
        part = part_of(today, at_ns) if today is not None and self.has(today.day) else None
        if today is not None and part is not None:
            beside = self.beside(today.day, part)
            if beside.tick_at(at_ns) >= 0:
                return beside
        return None if part is Part.AFTER else self.beside(view.session.day, Part.AFTER)

    def tape(self, day: date) -> SessionTape:
        """Return a session's tape, the view's own if there is one: reading history must not push
        the session being played out of the market's cache. Raises LookupError as `of_day` does."""
        known = self._views.get(day)
        if known is None and self.halts_on(day):
            known = self.of_day(day)
        return known.tape if known else self.market.tape(day)

    def halts_on(self, day: date) -> list[Halt]:
        """Return the halts that touch a session."""
        session = self.market.calendar.session_of(day)
        assert session is not None
        return self._halts_over(session)

    def _halts_over(self, session: Session) -> list[Halt]:
        if not self.halts:
            return []
        opens_ns, closes_ns = to_ns(session.opens_at), to_ns(session.closes_at)
        return [
            h
            for h in self.halts
            if h.from_ns < closes_ns and (h.until_ns is None or h.until_ns > opens_ns)
        ]

    def forget(self, at_ns: int) -> None:
        """Prepare anew what is played from an instant's session on: its halts have changed."""
        day = new_york_day(at_ns)
        self._views = {known: view for known, view in self._views.items() if known < day}
        self._beside = {known: view for known, view in self._beside.items() if known[0] < day}
        self._trades = {known: made for known, made in self._trades.items() if known[0] < day}
        self._current = None

    def _without_halts(self, view: TapeView) -> TapeView:
        halts = self.halts_on(view.session.day)
        closes_usd = self._closes_before(view)
        if not halts and closes_usd is view.tape.previous_close_usd:
            return view
        return without_halts(view, halts, self.column_of, closes_usd)

    def _closes_before(self, view: TapeView) -> Floats:
        """Return the closes before a session: of symbols halted over the one before, their last
        price, on the footing of this session's shares."""
        closes_usd = view.tape.previous_close_usd
        before = self.market.calendar.last_closed(view.session.opens_at)
        if before is None or before.day < self.market.first_day:
            return closes_usd
        closed_ns = to_ns(before.closes_at)
        halted = [h.symbol for h in self.halts_on(before.day) if h.holds_at(closed_ns - 1)]
        if not halted:
            return closes_usd
        closes_usd, last_usd = closes_usd.copy(), self.of_day(before.day).tape.official_close_usd
        for symbol in halted:
            row = self.column_of[symbol]
            ratio = self.market.actions.split_ratio(symbol, before.day, view.session.day)
            closes_usd[row] = last_usd[row] / float(ratio)
        return closes_usd

    def latest(self, at_ns: int) -> TapeView | None:
        """Return the view of the last session that had opened by an instant, None before any.

        After the market's last day it stays that day's.
        """
        if self._current and self._current[0] <= at_ns < self._current[1]:
            return self._current[2]
        session, until_ns = self._opened(at_ns)
        if session is None:
            return None
        view = self.of_day(session.day)
        self._current = (to_ns(session.opens_at), until_ns, view)
        return view

    def _opened(self, at_ns: int) -> tuple[Session | None, int]:
        """Return the last playable session opened by an instant, and when the next one opens."""
        last_day = self.market.last_day
        found: Session | None = None
        for session in self._around(at_ns):
            if to_ns(session.opens_at) > at_ns:
                return found, to_ns(session.opens_at)
            if session.day >= self.market.first_day and (
                last_day is None or session.day <= last_day
            ):
                found = session
        return found, 1 << 62

    def _around(self, at_ns: int) -> tuple[Session, ...]:
        sessions = self.market.calendar.sessions
        low, high = 0, len(sessions)
        while low < high:
            middle = (low + high) // 2
            if to_ns(sessions[middle].opens_at) > at_ns:
                high = middle
            else:
                low = middle + 1
        last_day = self.market.last_day
        start = low - 1
        if last_day is not None:
            while start > 0 and sessions[start].day > last_day:
                start -= 1
        return sessions[max(0, start) : low + 1]

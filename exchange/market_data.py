"""Quotes, trades, latest bars and snapshots as of a market instant, as the wire writes them."""

import math
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import date
from functools import cache, partial

import numpy as np

from domain.calendar import Session
from exchange.bars import BarBlock, BarHistory
from exchange.coverage import WHOLE, Coverage
from exchange.instants import MINUTE_NS, SECOND_NS, rfc3339_short, to_ns
from exchange.tape_view import Span, TapeView
from exchange.tape_views import TapeViews

QUOTE_LIFE_NS = 5 * MINUTE_NS
"""A symbol that has traded this lately is quoted anew every second."""
LOT_SHARES = 100
VENUE_CODE = "V"
TAPE_CODE = "C"
Point = dict[str, object]
MakeBlock = Callable[[], BarBlock]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """An open or finished session seen at an instant: its view and the last tick passed."""

    view: TapeView
    tick: int


class MarketData:
    """What a data client may know at an instant."""

    def __init__(self, views: TapeViews) -> None:
        self._views = views
        self.bars = BarHistory(views)
        self.coverage = WHOLE
        """Of minutes: the latest bar is one of these."""
        self._previous: tuple[date, BarBlock] | None = None

    def latest_quotes(self, symbols: Iterable[str], now_ns: int) -> dict[str, Point]:
        """Return symbol → last quote; symbols without one are missing."""
        moment = self._moment(now_ns)
        if moment is None:
            return {}
        found = {s: self._quote(s, moment, now_ns) for s in symbols}
        return {symbol: quote for symbol, quote in found.items() if quote is not None}

    def latest_trades(self, symbols: Iterable[str], now_ns: int) -> dict[str, Point]:
        """Return symbol → last trade; symbols without one are missing."""
        moment = self._moment(now_ns)
        if moment is None:
            return {}
        found = {s: self._trade(s, moment, now_ns) for s in symbols}
        return {symbol: trade for symbol, trade in found.items() if trade is not None}

    def latest_bars(self, symbols: Iterable[str], now_ns: int) -> dict[str, Point]:
        """Return symbol → last finished minute bar; symbols without one are missing."""
        moment = self._moment(now_ns)
        if moment is None:
            return {}
        minutes = self._minutes(moment, now_ns)
        found = {s: self._last_of(s, minutes, self.coverage) for s in symbols}
        return {symbol: bar for symbol, bar in found.items() if bar is not None}

    def snapshots(self, symbols: Iterable[str], now_ns: int) -> dict[str, Point]:
        """Return symbol → latest trade, quote, minute bar, daily bar and the one before."""
        moment, regular = self._moment(now_ns), self._regular(now_ns)
        if moment is None or regular is None:
            return {}
        session = regular.view.session
        minutes = self._minutes(moment, now_ns)
        today = self.bars.daily(session.day, session.day, now_ns)
        previous = self._day_before(session.day, now_ns)
        return {
            symbol: {
                "latestTrade": self._trade(symbol, moment, now_ns),
                "latestQuote": self._quote(symbol, moment, now_ns),
                "minuteBar": self._last_of(symbol, minutes, self.coverage),
                "dailyBar": self._last_of(symbol, [lambda: today]),
                "prevDailyBar": self._last_of(symbol, [lambda: previous]),
            }
            for symbol in symbols
            if symbol in self._views.column_of
        }

    def tick_trades(self, symbol: str, session: Session, span: Span) -> list[tuple[int, Point]]:
        """Return (instant, trade) of a session's day in a span, where there was one."""
        row = self._views.column_of[symbol]
        return [
            (int(view.at_ns[tick]), _trade_point(view, row, tick))
            for view in self._views.over(session, span)
            for tick in view.ticks_in(span)
            if view.shares[row, tick] > 0
        ]

    def tick_quotes(self, symbol: str, session: Session, span: Span) -> list[tuple[int, Point]]:
        """Return (instant, quote) of a session's day in a span."""
        row = self._views.column_of[symbol]
        return [
            (int(view.at_ns[tick]), _quote_point(view, row, tick, int(view.at_ns[tick])))
            for view in self._views.over(session, span)
            for tick in view.ticks_in(span)
            if math.isfinite(view.bid[row, tick]) and not view.is_halted(row, tick)
        ]

    def _moment(self, now_ns: int) -> _Moment | None:
        """Return the ticks to be seen now, those beside a session among them."""
        beside = self._views.latest_beside(now_ns)
        if beside is not None:
            return _Moment(view=beside, tick=beside.tick_at(now_ns))
        return self._regular(now_ns)

    def _regular(self, now_ns: int) -> _Moment | None:
        """Return the session to be seen now; before its first tick, the one before it."""
        view = self._views.latest(now_ns)
        if view is None:
            return None
        tick = view.tick_at(now_ns)
        if tick >= 0:
            return _Moment(view=view, tick=tick)
        before = self._views.latest(to_ns(view.session.opens_at) - 1)
        if before is None:
            return None
        return _Moment(view=before, tick=len(before.at_ns) - 1)

    def _quote(self, symbol: str, moment: _Moment, now_ns: int) -> Point | None:
        view, row = moment.view, self._views.column_of.get(symbol)
        if row is None or not math.isfinite(view.bid[row, moment.tick]):
            return None
        if view.is_halted(row, moment.tick):
            return _quote_before_halt(view, row, moment.tick)
        return _quote_point(view, row, moment.tick, _quoted_ns(view, row, moment.tick, now_ns))

    def _trade(self, symbol: str, moment: _Moment, now_ns: int) -> Point | None:
        view, row = moment.view, self._views.column_of.get(symbol)
        if row is None:
            return None
        tick = int(view.traded[row, moment.tick])
        if tick >= 0:
            return _trade_point(view, row, tick)
        regular = self._regular(now_ns) if view.is_extended else None
        if regular is not None:
            return self._trade(symbol, regular, now_ns)
        price = float(view.tape.previous_close_usd[row])
        if not math.isfinite(price):
            return None
        closed = self._views.market.calendar.last_closed(view.session.opens_at)
        if closed is None:
            return None
        at = rfc3339_short(to_ns(closed.closes_at))
        return {"t": at, "x": VENUE_CODE, "p": price, "s": LOT_SHARES, **_TRADE_TAIL}

    def _minutes(self, moment: _Moment, now_ns: int) -> list[MakeBlock]:
        """Return the blocks that hold the last minute bars, the newest first, to be made when
        they are needed: in a session few symbols have none in it."""
        session, regular = moment.view.session, self._regular(now_ns)
        makers: list[MakeBlock] = []
        days = [session.day]
        if not moment.view.is_extended:
            makers.append(cache(partial(self.bars.session_block, session, 1, now_ns)))
        elif regular is not None and regular.view.session.day != days[0]:
            days.append(regular.view.session.day)
        for day in days:
            whole = self._views.market.calendar.session_of(day)
            assert whole is not None
            makers.append(cache(partial(self.bars.day_block, whole, 1, now_ns)))
        return makers

    def covering(self, coverage: Coverage) -> "MarketData":
        """Return the same data as a feed sees them that has bars of some minutes only."""
        seen = copy(self)
        seen.coverage = coverage
        return seen

    def _last_of(
        self, symbol: str, makers: Iterable[MakeBlock], coverage: Coverage = WHOLE
    ) -> Point | None:
        """Return a symbol's last bar of the first block that has one."""
        row = self._views.column_of.get(symbol)
        if row is None:
            return None
        for make in makers:
            block = make()
            closes = block.close[row]
            index = closes.shape[0] - 1
            while index >= 0 and not (
                math.isfinite(closes[index]) and coverage.has_bar(symbol, int(block.at_ns[index]))
            ):
                index -= 1
            if index >= 0:
                return block.row_dict(row, index, rfc3339_short(int(block.at_ns[index])))
        return None

    def _day_before(self, day: date, now_ns: int) -> BarBlock:
        if self._previous is None or self._previous[0] != day:
            session = self._views.market.calendar.session_of(day)
            assert session is not None
            before = self._views.market.calendar.last_closed(session.opens_at)
            last = before.day if before else date.min
            self._previous = (day, self.bars.daily(last, last, now_ns))
        return self._previous[1]


_TRADE_TAIL: Point = {"c": ["@"], "i": 1, "z": TAPE_CODE}


def _quoted_ns(view: TapeView, row: int, tick: int, now_ns: int) -> int:
    """Return when a standing quote was last refreshed: every second while the symbol is lively."""
    closes_ns = to_ns(view.session.closes_at)
    traded = int(view.traded[row, tick])
    tick_ns = int(view.at_ns[tick])
    if traded < 0 or now_ns - int(view.at_ns[traded]) > QUOTE_LIFE_NS:
        return min(tick_ns, int(view.at_ns[max(traded, 0)]))
    whole_second_ns = min(now_ns, closes_ns) // SECOND_NS * SECOND_NS
    return max(tick_ns, whole_second_ns)


def _quote_before_halt(view: TapeView, row: int, tick: int) -> Point | None:
    """Return the last quote before the halt a symbol is in, None when it was never quoted."""
    assert view.halted is not None
    quoted = np.flatnonzero(~view.halted[row, :tick])
    if quoted.size == 0:
        return None
    return _quote_point(view, row, int(quoted[-1]), int(view.at_ns[quoted[-1]]))


def quote_fields(view: TapeView, row: int, tick: int) -> Point:
    """Return a quote's fields but its instant."""
    lots = 1 + int(view.shares[row, tick]) // (10 * LOT_SHARES) % 20
    return {
        "ax": VENUE_CODE,
        "ap": round(float(view.ask[row, tick]), 4),
        "as": lots * LOT_SHARES,
        "bx": VENUE_CODE,
        "bp": round(float(view.bid[row, tick]), 4),
        "bs": (lots * 7 % 20 + 1) * LOT_SHARES,
        "c": ["R"],
        "z": TAPE_CODE,
    }


def _quote_point(view: TapeView, row: int, tick: int, at_ns: int) -> Point:
    return {"t": rfc3339_short(at_ns), **quote_fields(view, row, tick)}


def trade_fields(view: TapeView, row: int, tick: int) -> Point:
    """Return a trade's fields but its instant."""
    return {
        "x": VENUE_CODE,
        "p": round(float(view.last[row, tick]), 4),
        "s": max(1, min(LOT_SHARES, int(view.shares[row, tick]))),
        "c": ["@", "T"] if view.is_extended else ["@"],
        "i": int(view.at_ns[tick] // SECOND_NS) if view.is_extended else tick + 1,
        "z": TAPE_CODE,
    }


def _trade_point(view: TapeView, row: int, tick: int) -> Point:
    return {"t": rfc3339_short(int(view.at_ns[tick])), **trade_fields(view, row, tick)}

"""Bars of every length as of a market instant, made from the minutes of the tape.

A bar is served once its last minute has ended; the running bar of a longer length is made of the
minutes that have. Nothing later than the instant asked about is ever looked at.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from domain.calendar import Session
from domain.market import Floats
from exchange.bar_lengths import BarLength, Unit
from exchange.instants import (
    MINUTE_NS,
    SECOND_NS,
    from_ns,
    midnight_ns,
    new_york_day,
    rfc3339_short,
    to_ns,
    wall_ns,
)
from exchange.markets.base import MinuteBars, SessionTape
from exchange.tape_view import Span, TapeView
from exchange.tape_views import TapeViews
from exchange.windows import EARLY_HOUR, LATE_HOUR

BAR_CELLS_MAX = 12_000_000
"""Numbers kept of aggregated sessions, 8 bytes each: of 66 symbols about 65 sessions of minutes
or 900 of quarter hours."""
BAR_COLUMNS = 7
SHARES_PER_TRADE = 150.0
"""What a trade is taken to be where only daily volume is known."""
Integers = NDArray[np.int64]
Minutes = SessionTape | MinuteBars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarBlock:
    """Bars of all symbols in a stretch of time: `at_ns` `[b]` starts, the rest `[n, b]`, NaN
    prices where a symbol has none."""

    at_ns: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trades: Floats
    vwap: Floats

    @property
    def cells(self) -> int:
        """How many numbers it holds."""
        return self.open.size * BAR_COLUMNS

    def points(
        self, row: int, indices: Integers, scale: "Scale | None" = None
    ) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield (start, bar as the wire writes it) of a symbol's bars at `indices`, adjusted by
        `scale` if given."""
        arrays = [column[row, indices] for column in _columns(self)]
        if scale is not None:
            arrays = scale(self.at_ns[indices], arrays)
        columns = [array.tolist() for array in arrays]
        starts = self.at_ns[indices].tolist()
        for at_ns, o, h, low, c, v, n, vw in zip(starts, *columns, strict=True):
            yield (
                at_ns,
                {
                    "t": rfc3339_short(at_ns),
                    "o": o,
                    "h": h,
                    "l": low,
                    "c": c,
                    "v": int(v),
                    "n": int(n),
                    "vw": round(vw, 6),
                },
            )

    def row_dict(self, row: int, index: int, at: str) -> dict[str, object]:
        """Return one bar as the wire writes it."""
        return {
            "t": at,
            "o": float(self.open[row, index]),
            "h": float(self.high[row, index]),
            "l": float(self.low[row, index]),
            "c": float(self.close[row, index]),
            "v": int(self.volume[row, index]),
            "n": int(self.trades[row, index]),
            "vw": round(float(self.vwap[row, index]), 6),
        }


Adjuster = Callable[[BarBlock], BarBlock]
Scale = Callable[[Integers, list[Floats]], list[Floats]]
"""Starts and columns of one symbol's raw bars → columns adjusted."""


class BarHistory:
    """Bars of a market up to an instant."""

    def __init__(self, views: TapeViews) -> None:
        self._views = views
        self._market = views.market
        self._days = [s.day for s in self._market.calendar.sessions]
        self._opens = [s.opens_at for s in self._market.calendar.sessions]
        self._kept, self._whole = KeptBlocks(), KeptBlocks()
        self.blocks_made = 0
        """How often a session had to be aggregated: work that takes a while."""

    def sessions(self, first: date, last: date, now_ns: int) -> list[Session]:
        """Return the sessions in [first, last] the market knows that had opened by now, their
        early hours among them where those are told."""
        highest = self._market.last_day or date.max
        start = bisect_left(self._days, max(first, self._market.first_day))
        end = bisect_right(self._days, min(last, highest))
        opened = bisect_right(self._opens, from_ns(now_ns))
        if self._views.extended_seed is not None and opened < len(self._days):
            opened += wall_ns(self._days[opened], EARLY_HOUR) <= now_ns
        return list(self._market.calendar.sessions[start : min(end, opened)])

    def blocks(
        self,
        length: BarLength,
        span: Span,
        now_ns: int,
        adjusted: Adjuster | None = None,
    ) -> "Blocks":
        """Return the blocks of bars of the days in a span, one a session if intraday: of its
        regular hours where the span asks for no others.

        `adjusted` is applied to days before they are summed up to longer bars; intraday blocks
        are raw.
        """
        first, last = new_york_day(span[0]), new_york_day(span[1])
        if length.is_intraday:
            sessions = self.sessions(first, last, now_ns)
            makers = [self._lazily(s, length.minutes, span, now_ns) for s in sessions]
            return Blocks(makers)
        block = self.daily(first, last, now_ns)
        if adjusted is not None:
            block = adjusted(block)
        if length.unit is not Unit.DAY:
            block = _by_period(block, length)
        return Blocks([lambda: block])

    def session_block(self, session: Session, minutes: int, now_ns: int) -> BarBlock:
        """Return one session's bars of so many minutes, of the minutes ended by now."""
        ended = int(min(now_ns, to_ns(session.closes_at)) - to_ns(session.opens_at)) // MINUTE_NS
        found = self._kept.find(session.day, minutes, ended)
        if found is not None:
            return found
        self.blocks_made += 1
        block = _aggregate([self._views.tape(session.day)], minutes, now_ns)
        self._kept.keep(session.day, minutes, ended, block)
        return block

    def day_block(self, session: Session, minutes: int, now_ns: int) -> BarBlock:
        """Return the bars of a session and of the hours beside it where those are told."""
        if self._views.extended_seed is None:
            return self.session_block(session, minutes, now_ns)
        begins_ns = wall_ns(session.day, EARLY_HOUR)
        ended = (min(now_ns, wall_ns(session.day, LATE_HOUR)) - begins_ns) // MINUTE_NS
        found = self._whole.find(session.day, minutes, ended)
        if found is not None:
            return found
        self.blocks_made += 1
        block = _aggregate(self._views.minutes(session, now_ns), minutes, now_ns)
        self._whole.keep(session.day, minutes, ended, block)
        return block

    def daily(self, first: date, last: date, now_ns: int) -> BarBlock:
        """Return daily bars: the market's own of finished sessions, and the running one."""
        opened = self.sessions(first, last, now_ns)
        running = [s for s in opened if to_ns(s.opens_at) <= now_ns < to_ns(s.closes_at)]
        last_done = min(last, running[0].day - timedelta(days=1)) if running else last
        last_done = min(last_done, self._last_finished(now_ns))
        block = _daily_block(self._views, max(first, self._market.first_day), last_done)
        if self._views.halts:
            block = self._without_halts(block, now_ns)
        if not running:
            return block
        today = self._running_day(running[0], now_ns)
        return _joined([block, today])

    def _running_day(self, session: Session, now_ns: int) -> BarBlock:
        whole = self.session_block(session, 24 * 60, now_ns)
        at_ns = np.full(whole.at_ns.shape, midnight_ns(session.day), dtype=np.int64)
        return _with_starts(whole, at_ns)

    def _without_halts(self, block: BarBlock, now_ns: int) -> BarBlock:
        """Return daily bars with those of halted symbols summed up from what was played."""
        parts = [column.copy() for column in _columns(block)]
        for index, at_ns in enumerate(block.at_ns.tolist()):
            day = new_york_day(at_ns)
            halted = {h.symbol for h in self._views.halts_on(day)}
            session = self._market.calendar.session_of(day)
            if not halted or session is None:
                continue
            played = self.session_block(session, 24 * 60, now_ns)
            for row in sorted(self._views.column_of[symbol] for symbol in halted):
                for part, column in zip(parts, _columns(played), strict=True):
                    part[row, index] = column[row, 0] if column.shape[1] else np.nan
        return _block(block.at_ns, parts)

    def _last_finished(self, now_ns: int) -> date:
        session = self._market.calendar.last_closed(from_ns(now_ns))
        return session.day if session else date.min

    def _lazily(
        self, session: Session, minutes: int, span: Span, now_ns: int
    ) -> Callable[[], BarBlock]:
        opens_ns, closes_ns = to_ns(session.opens_at), to_ns(session.closes_at)
        if opens_ns <= span[0] and span[1] < closes_ns:
            return lambda: self.session_block(session, minutes, now_ns)
        return lambda: self.day_block(session, minutes, now_ns)


class KeptBlocks:
    """The aggregated sessions asked for last, `BAR_CELLS_MAX` numbers of them at most.

    Of a session that is running only the latest state is kept.
    """

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[date, int], tuple[int, BarBlock]] = OrderedDict()
        self._cells = 0

    def find(self, day: date, minutes: int, ended: int) -> BarBlock | None:
        """Return a session's bars of so many minutes as of its first `ended` minutes, if kept."""
        known = self._blocks.get((day, minutes))
        if known is None or known[0] != ended:
            return None
        self._blocks.move_to_end((day, minutes))
        return known[1]

    def keep(self, day: date, minutes: int, ended: int, block: BarBlock) -> None:
        """Keep a session's bars, and let go of those not asked for longest."""
        old = self._blocks.pop((day, minutes), None)
        self._cells += block.cells - (old[1].cells if old else 0)
        self._blocks[day, minutes] = (ended, block)
        while self._cells > BAR_CELLS_MAX and len(self._blocks) > 1:
            _, (_, gone) = self._blocks.popitem(last=False)
            self._cells -= gone.cells


class Blocks:
    """Blocks in order of time, made when they are looked at."""

    def __init__(self, makers: list[Callable[[], BarBlock]]) -> None:
        self._makers = makers

    def forward(self) -> Iterator[BarBlock]:
        """Yield them oldest first."""
        return (make() for make in self._makers)

    def backward(self) -> Iterator[BarBlock]:
        """Yield them newest first."""
        return (make() for make in reversed(self._makers))


def minutes_of(view: TapeView, now_ns: int) -> BarBlock:
    """Return the minute bars of a view that had ended by an instant."""
    return _aggregate([view.tape], 1, now_ns)


def _aggregate(tapes: Sequence[Minutes], minutes: int, now_ns: int) -> BarBlock:
    """Return the bars of parts of a day, which follow each other without a gap."""
    opened_at_s = np.concatenate([tape.opened_at_s for tape in tapes])
    ended = int(np.searchsorted((opened_at_s + 60) * SECOND_NS, now_ns, side="right"))
    part = slice(0, ended)
    starts_s = opened_at_s[part]
    columns = [_minutes(tape) for tape in tapes]
    whole = columns[0] if len(tapes) == 1 else [np.hstack(c) for c in zip(*columns, strict=True)]
    parts = [column[:, part] for column in whole]
    if minutes == 1 or ended == 0:
        return _block(starts_s * SECOND_NS, parts)
    midnight_s = midnight_ns(tapes[0].session.day) // SECOND_NS
    bucket = (starts_s - midnight_s) // (60 * minutes)
    edges = np.flatnonzero(np.diff(bucket, prepend=-1))
    at_ns = (midnight_s + bucket[edges] * 60 * minutes) * SECOND_NS
    return _block(at_ns, _reduced(parts, edges))


def _minutes(tape: Minutes) -> list[Floats]:
    volume, trades = tape.volume, tape.trade_count
    return [tape.open, tape.high, tape.low, tape.close, volume, trades, tape.vwap]


def _block(at_ns: Integers, columns: Sequence[Floats]) -> BarBlock:
    opens, highs, lows, closes, volumes, trades, vwaps = columns
    return BarBlock(
        at_ns=at_ns,
        open=opens,
        high=highs,
        low=lows,
        close=closes,
        volume=volumes,
        trades=trades,
        vwap=vwaps,
    )


def _reduced(columns: list[Floats], edges: Integers) -> list[Floats]:
    """Return minute columns `[n, m]` summed up over the stretches that begin at `edges`."""
    opens, highs, lows, closes, volumes, trades, vwaps = columns
    known, position = np.isfinite(closes), np.arange(opens.shape[1])
    earliest = np.minimum.reduceat(np.where(known, position, len(position)), edges, axis=1)
    latest = np.maximum.reduceat(np.where(known, position, -1), edges, axis=1)
    # A stretch without a bar points at its own beginning, where there is no price either.
    first = np.take_along_axis(opens, np.where(latest < 0, edges, earliest), axis=1)
    last = np.take_along_axis(closes, np.where(latest < 0, edges, latest), axis=1)
    volume = np.add.reduceat(volumes, edges, axis=1)
    value = np.add.reduceat(np.nan_to_num(vwaps) * volumes, edges, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        vwap = np.where(volume > 0, value / volume, last)
    return [
        first,
        np.fmax.reduceat(highs, edges, axis=1),
        np.fmin.reduceat(lows, edges, axis=1),
        last,
        volume,
        np.add.reduceat(np.nan_to_num(trades), edges, axis=1),
        vwap,
    ]


def _daily_block(views: TapeViews, first: date, last: date) -> BarBlock:
    rows = len(views.market.symbols)
    if last < first:
        return _empty(rows)
    bars = views.market.daily(first, last)
    at_ns = np.array([midnight_ns(day) for day in bars.days], dtype=np.int64)
    with np.errstate(invalid="ignore"):
        typical = (bars.high + bars.low + bars.close) / 3
        trades = np.ceil(bars.volume / SHARES_PER_TRADE)
    columns = [bars.open, bars.high, bars.low, bars.close, bars.volume, trades, typical]
    return _block(at_ns, columns)


def _empty(rows: int) -> BarBlock:
    nothing = np.empty((rows, 0))
    return _block(np.empty(0, dtype=np.int64), [nothing] * 7)


def _columns(block: BarBlock) -> list[Floats]:
    return [
        block.open,
        block.high,
        block.low,
        block.close,
        block.volume,
        block.trades,
        block.vwap,
    ]


def _with_starts(block: BarBlock, at_ns: Integers) -> BarBlock:
    return _block(at_ns, _columns(block))


def _joined(blocks: list[BarBlock]) -> BarBlock:
    at_ns = np.concatenate([b.at_ns for b in blocks])
    columns = [np.concatenate(c, axis=1) for c in zip(*map(_columns, blocks), strict=True)]
    return _block(at_ns, columns)


def _by_period(block: BarBlock, length: BarLength) -> BarBlock:
    if block.at_ns.size == 0:
        return block
    days = [new_york_day(int(at_ns)) for at_ns in block.at_ns]
    starts = [_period_start(day, length) for day in days]
    ordinals = np.array([start.toordinal() for start in starts])
    edges = np.flatnonzero(np.diff(ordinals, prepend=-1))
    at_ns = np.array([midnight_ns(starts[edge]) for edge in edges], dtype=np.int64)
    return _block(at_ns, _reduced(_columns(block), edges))


def _period_start(day: date, length: BarLength) -> date:
    if length.unit is Unit.WEEK:
        return day - timedelta(days=day.weekday())
    month = (day.month - 1) // length.amount * length.amount + 1
    return day.replace(month=month, day=1)

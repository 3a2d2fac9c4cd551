"""A history as the engine's panels show it: settled once, cut into windows for every run over it.

Live, a panel takes in one slot at a time and says what stands in for a bar that is missing. Over a
history all that is known beforehand, and it is the same for every set of parameters. So closes are
carried once, windows are slices, and the daily statistics are measured for many days in one pass,
by the functions that measure one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from daemon.engine.panels import DailyStatistics, Panels
from daemon.engine.rules import EngineRules
from domain.calendar import Session, Timeframe
from domain.events import BarsClosed
from domain.instruments import Symbol, Universe
from domain.market import BarRow, Bars, Flags, Floats
from domain.panel import Panel
from research.backtest.actions import in_first_shares, shares_grown
from research.backtest.daily import DailyHistory, overlapping
from research.backtest.history import Frame, History

_FIELDS = ("open", "high", "low", "close", "volume")


class StoredFrame:
    """The bars of one timeframe as a panel shows them, `[t, n]`, and what is cut from them."""

    def __init__(
        self,
        frame: Frame,
        symbols: Sequence[Symbol],
        *,
        stale_bars_max: int,
        grown: Floats | None = None,
    ) -> None:
        """Settle the bars; where all are there they are the frame's own arrays. With `grown`
        (`actions.shares_grown`) they are kept in the shares of the first bar, and shown in those
        of the instant that is asked about."""
        self.grown = grown
        frame = frame if grown is None else in_first_shares(frame, grown)
        self.timeframe = frame.timeframe
        self.slots = frame.slots
        self.row_of = {slot: row for row, slot in enumerate(frame.slots)}
        self.starts = frame.starts
        arrays = tuple(getattr(frame, name) for name in _FIELDS)
        if all(np.isfinite(values).all() for values in arrays):
            self._arrays: tuple[Floats, ...] = arrays
            self._traded: Flags = np.broadcast_to(np.True_, arrays[0].shape)
        else:
            self._arrays, self._traded = _settled(frame, symbols, stale_bars_max)
        self.open, self.close, self.volume = (self._arrays[k] for k in (0, 3, 4))

    def window(self, row: int, lookback_bars: int) -> Bars:
        """Return the look-back up to and with a row `[lookback, n]`, NaN before the first row."""
        bars = self._cut(row, lookback_bars)
        return bars if self.grown is None else _shown_in(bars, self.grown[max(row, 0)])

    def _cut(self, row: int, lookback_bars: int) -> Bars:
        """Return a window as it is kept."""
        start, stop = row + 1 - lookback_bars, row + 1
        if start < 0:
            return self._padded(start, stop)
        opens, highs, lows, closes, volumes = self._arrays
        return Bars(
            open=opens[start:stop],
            high=highs[start:stop],
            low=lows[start:stop],
            close=closes[start:stop],
            volume=volumes[start:stop],
            traded=self._traded[start:stop],
        )

    def stack(self, row: int, count: int, lookback_bars: int) -> Bars:
        """Return the windows of `count` rows side by side `[lookback, count · n]`, zero-copy as
        `Panel.stack` does it: overlapping in memory and read-only."""
        bars = self._cut(row + count - 1, lookback_bars + count - 1)

        width = self.close.shape[1]
        shape = (lookback_bars, count * width)

        def overlap(values: Floats) -> Floats:
            return overlapping(values, shape, (width * values.itemsize, values.itemsize))

        found = Bars(
            open=overlap(bars.open),
            high=overlap(bars.high),
            low=overlap(bars.low),
            close=overlap(bars.close),
            volume=overlap(bars.volume),
            traded=overlapping(bars.traded, shape, (width, 1)),
        )
        if self.grown is None:
            return found
        return _shown_in(found, self.grown[row : row + count].ravel())

    def _padded(self, start: int, stop: int) -> Bars:
        width = self.close.shape[1]
        blank = np.full((-start, width), np.nan)
        found = [np.vstack([blank, values[:stop]]) for values in self._arrays]
        traded = np.vstack([np.zeros((-start, width), dtype=np.bool_), self._traded[:stop]])
        traded.flags.writeable = False
        for values in found:
            values.flags.writeable = False
        opens, highs, lows, closes, volumes = found
        return Bars(open=opens, high=highs, low=lows, close=closes, volume=volumes, traded=traded)


def _shown_in(bars: Bars, grown: Floats) -> Bars:
    """Return bars in the shares that one has become, column by column."""
    prices = [values / grown for values in (bars.open, bars.high, bars.low, bars.close)]
    volume = bars.volume * grown
    for values in (*prices, volume):
        values.flags.writeable = False
    opens, highs, lows, closes = prices
    return Bars(open=opens, high=highs, low=lows, close=closes, volume=volume, traded=bars.traded)


def _settled(
    frame: Frame, symbols: Sequence[Symbol], stale_bars_max: int
) -> tuple[tuple[Floats, ...], Flags]:
    """Return what a panel makes of a frame with gaps, row by row."""
    panel = Panel(symbols, frame.timeframe, 1, stale_bars_max=stale_bars_max)
    shape = frame.close.shape
    arrays = tuple(np.empty(shape) for _ in _FIELDS)
    traded = np.empty(shape, dtype=np.bool_)
    starts = frame.starts
    for row, slot in enumerate(frame.slots):
        panel.append(slot, frame.row(row), slot in starts)
        shown = panel.window(1)
        for values, name in zip(arrays, _FIELDS, strict=True):
            values[row] = getattr(shown, name)[0]
        traded[row] = shown.traded[0]
    for values in arrays:
        values.flags.writeable = False
    traded.flags.writeable = False
    return arrays, traded


class StoredHistory:
    """A history and all that runs over it share; made once, handed to each of them."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._frames: dict[tuple[Timeframe, int], StoredFrame] = {}
        self._daily: dict[tuple[int, int, int, float], DailyHistory] = {}

    def frame(self, timeframe: Timeframe, *, stale_bars_max: int) -> StoredFrame:
        """Return the settled bars of a timeframe."""
        key = timeframe, stale_bars_max
        if key not in self._frames:
            frame = self.history.frames[timeframe]
            self._frames[key] = StoredFrame(
                frame,
                self.history.symbols,
                stale_bars_max=stale_bars_max,
                grown=shares_grown(self.history, frame),
            )
        return self._frames[key]

    def daily(self, rules: EngineRules) -> DailyHistory:
        """Return the daily statistics under these rules."""
        key = (
            rules.stale_bars_max,
            rules.cluster_days,
            rules.history_days,
            rules.cluster_correlation,
        )
        if key not in self._daily:
            frame = self.frame(Timeframe.DAY, stale_bars_max=rules.stale_bars_max)
            self._daily[key] = DailyHistory(frame.close, frame.volume, frame.grown, rules)
        return self._daily[key]

    def panels(
        self, universe: Universe, rules: EngineRules, *, base_slots_min: int
    ) -> "StoredPanels":
        """Return panels that have seen nothing yet, for one run."""
        return StoredPanels(universe, rules, self, base_slots_min=base_slots_min)


class StoredPanel(Panel):
    """A panel over settled bars: appending a slot moves its end on."""

    def __init__(self, stored: StoredFrame, empty: Panel) -> None:
        """Take over the shape of an empty panel."""
        self.symbols = empty.symbols
        self.timeframe = empty.timeframe
        self.capacity_slots = empty.capacity_slots
        self.stale_bars_max = empty.stale_bars_max
        self.duplicates = self.late_ignored = 0
        self._stored = stored
        self.first_row = self.row = 0
        """The first row shown, and the last; the last lies before the first while empty."""
        self.begin_at(0)

    def begin_at(self, row: int) -> None:
        """Show nothing yet; the next slot appended is this row's."""
        self.first_row, self.row = row, row - 1

    def __len__(self) -> int:
        return min(self.row + 1 - self.first_row, self.capacity_slots)

    @property
    def last_slot_at(self) -> datetime | None:
        """The latest slot, None while empty."""
        return self._stored.slots[self.row] if self.row >= self.first_row else None

    @property
    def slots(self) -> tuple[datetime, ...]:
        """The slots held, oldest first."""
        return self._stored.slots[self.row + 1 - len(self) : self.row + 1]

    def latest_slots(self, count: int) -> list[datetime]:
        """Return the last `count` slots held, or as many as there are, oldest first."""
        first = max(self.first_row, self.row + 1 - count)
        return list(self._stored.slots[first : self.row + 1])

    def append(
        self,
        slot_at: datetime,
        row: BarRow,
        session_start: bool = False,
        *,
        halted: Flags | None = None,
    ) -> None:
        """Move on to the next slot. Raises ValueError for any other."""
        if halted is not None or slot_at != self._stored.slots[self.row + 1]:
            raise ValueError(f"slot {slot_at} is not the next of the stored history")
        self.row += 1

    def amend(self, slot_at: datetime, row: BarRow) -> None:
        """Raises ValueError: nothing comes late in a history."""
        raise ValueError(f"slot {slot_at} of a stored history cannot be amended")

    def window(self, lookback_bars: int) -> Bars:
        """Return the last `lookback_bars` slots `[lookback, n]`, NaN in front of the first one.

        Raises ValueError beyond the capacity.
        """
        if not 0 < lookback_bars <= self.capacity_slots:
            raise ValueError(f"look-back {lookback_bars} is not within 1…{self.capacity_slots}")
        return self._stored.window(self.row, lookback_bars)

    def closes(self, lookback_bars: int) -> Floats:
        """Return the closes of `window(lookback_bars)`, read-only."""
        return self.window(lookback_bars).close


class StoredPanels(Panels):
    """The engine's panels over a stored history."""

    def __init__(
        self, universe: Universe, rules: EngineRules, stored: StoredHistory, *, base_slots_min: int
    ) -> None:
        super().__init__(universe, rules, base_slots_min=base_slots_min)
        self._over: Mapping[Timeframe, StoredPanel] = {
            timeframe: StoredPanel(
                stored.frame(timeframe, stale_bars_max=rules.stale_bars_max), empty
            )
            for timeframe, empty in self.panels.items()
        }
        self.panels = dict(self._over)
        self._daily = stored.daily(rules)

    def begin_at(self, rows: Mapping[Timeframe, int]) -> None:
        """Show, of each timeframe, the bars before a row: the next slot is that row's."""
        for timeframe, row in rows.items():
            panel = self._over[timeframe]
            panel.begin_at(0)
            panel.row = row - 1
        self._statistics = None

    def add(
        self,
        closed: BarsClosed,
        *,
        session: Session | None,
        session_starts: Mapping[Timeframe, bool],
    ) -> None:
        """Move on to a slot. A history knows all its slots: there is no gap to fill."""
        for timeframe, row in closed.rows.items():
            self._over[timeframe].append(closed.slot_at, row)
        if Timeframe.DAY in closed.rows:
            self._statistics = None

    def skip(self, timeframe: Timeframe, count: int) -> None:
        """Move on by several slots of a timeframe."""
        self._over[timeframe].row += count
        if timeframe is Timeframe.DAY:
            self._statistics = None

    def statistics(self) -> DailyStatistics:
        """Return the daily statistics after the latest daily bar."""
        if self._statistics is None:
            row = self._over[Timeframe.DAY].row
            # Before the first day nothing is known, as of an empty panel.
            self._statistics = self._daily.at(row) if row >= 0 else super().statistics()
        return self._statistics

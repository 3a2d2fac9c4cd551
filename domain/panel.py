"""The one function that builds bars panels: slots in, look-back windows out."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.market import Bar, BarRow, Bars, Flags, Floats

STALE_BARS_MAX = 20
"""Empty slots in a row after which a carried close is no longer taken for a price."""

Element = TypeVar("Element", bound=np.generic)

_FIELDS = 5
_CLOSE, _VOLUME = 3, 4


def bar_row(symbols: Sequence[Symbol], bars: Mapping[Symbol, Bar]) -> BarRow:
    """Return the bars of one slot as a row in column order; symbols without a bar are NaN."""
    values = np.full((_FIELDS, len(symbols)), np.nan)
    for column, symbol in enumerate(symbols):
        bar = bars.get(symbol)
        if bar is not None:
            values[:, column] = _numbers(bar)
    return _row(values)


def empty_row(count: int) -> BarRow:
    """Return the row of a slot of which nothing was received, `count` columns wide."""
    return _row(np.full((_FIELDS, count), np.nan))


def slot_of(
    opened_at: datetime, timeframe: Timeframe, slots: Sequence[datetime]
) -> datetime | None:
    """Return the slot among sorted `slots` that a bar belongs to, None when to none of them.

    Never a slot at which the bar was not yet complete: a bar that straddles slots (the venue's
    hours start on the hour, sessions at half past) belongs to the first one after its end. Only a
    session's last bar may be cut short by the close. Bars outside sessions belong to no slot.
    """
    length = timeframe.length
    after = bisect_right(slots, opened_at)
    starts_at_slot = after > 0 and slots[after - 1] == opened_at
    if timeframe is Timeframe.DAY or starts_at_slot:
        # A daily bar carries its day's first instant (midnight in New York, or the open).
        in_reach = after < len(slots) and slots[after] - opened_at <= length
        return slots[after] if in_reach else None
    ended_at = opened_at + length
    index = bisect_left(slots, ended_at)
    in_reach = index < len(slots) and slots[index] - ended_at < length
    return slots[index] if in_reach else None


class Panel:
    """The bars of every symbol on one timeframe, aligned slot by slot.

    A slot without trades is o=h=l=c=previous close, volume 0, `traded` False. A column is NaN
    before its first bar ever, while halted and from then to its next bar, and after
    `stale_bars_max` empty slots in a row, to its next bar. At a session's open a symbol that has
    not traded yet carries the previous session's close: were it NaN until the first trade, one
    quiet minute would poison every window across that open for the whole look-back. The count of
    empty slots starts anew with each session of an intraday panel; nobody trades at night.

    Windows are zero-copy, C-contiguous, read-only, padded with NaN in front of the first slot, and
    never change once given out: neither by appending nor by amending.
    """

    def __init__(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        capacity_slots: int,
        *,
        stale_bars_max: int = STALE_BARS_MAX,
    ) -> None:
        """Make an empty panel that looks back at most `capacity_slots` slots."""
        if not symbols or capacity_slots < 1 or stale_bars_max < 0:
            raise ValueError(
                f"a panel needs symbols, capacity ≥ 1 and stale_bars_max ≥ 0; got {len(symbols)}, "
                f"{capacity_slots}, {stale_bars_max}"
            )
        self.symbols = tuple(symbols)
        self.timeframe = timeframe
        self.capacity_slots = capacity_slots
        self.stale_bars_max = stale_bars_max
        self.duplicates = 0
        """Slots that came again and were ignored."""
        self.late_ignored = 0
        """Late rows for slots that the panel does not hold."""
        rows, count = 2 * capacity_slots, len(self.symbols)
        self._values = np.full((_FIELDS, rows, count), np.nan)
        self._traded = np.zeros((rows, count), dtype=np.bool_)
        self._halted = np.zeros((rows, count), dtype=np.bool_)
        # Empty slots in a row up to and with each row; what amending starts again from.
        self._empty = np.zeros((rows, count), dtype=np.int32)
        self._starts = np.zeros(rows, dtype=np.bool_)
        self._slots: list[datetime] = []
        # Rows before _end are known; those before the first slot are NaN, which pads windows.
        self._end = capacity_slots
        self._expose()

    def __len__(self) -> int:
        """The number of slots a window can reach."""
        return min(len(self._slots), self.capacity_slots)

    @property
    def last_slot_at(self) -> datetime | None:
        """The latest slot, None while empty."""
        return self._slots[-1] if self._slots else None

    @property
    def slots(self) -> tuple[datetime, ...]:
        """The slots held, oldest first."""
        return tuple(self._slots)

    def latest_slots(self, count: int) -> list[datetime]:
        """Return the last `count` slots held, or as many as there are, oldest first."""
        return self._slots[-count:]

    def append(
        self,
        slot_at: datetime,
        row: BarRow,
        session_start: bool = False,
        *,
        halted: Flags | None = None,
    ) -> None:
        """Add the next slot; `halted` `[n]` marks columns that are NaN whatever the row says.

        A bar with any field NaN or infinite is no bar. A slot the panel holds is ignored and
        counted. Raises ValueError for a slot before the last one that the panel does not hold.
        """
        last_at = self.last_slot_at
        if last_at is not None and slot_at <= last_at:
            if slot_at == last_at or self._index_of(slot_at) is not None:
                self.duplicates += 1
                return
            raise ValueError(f"slot {slot_at} comes after {last_at}: append slots in order")
        if self._end == self._values.shape[1]:
            self._renew(self.capacity_slots)
        end = self._end
        target = self._values[:, end]
        target[0] = row.open
        target[1] = row.high
        target[2] = row.low
        target[_CLOSE] = row.close
        target[_VOLUME] = row.volume
        self._starts[end] = session_start and self.timeframe.is_intraday
        known = np.isfinite(target)
        if halted is None and np.count_nonzero(known) == known.size:
            # The usual slot: every symbol has its bar, and nothing is carried.
            self._traded[end] = True
        else:
            if halted is not None:
                self._halted[end] = halted
            self._settle(end, has_bar=known.all(axis=0))
        self._slots.append(slot_at)
        self._end = end + 1

    def amend(self, slot_at: datetime, row: BarRow) -> None:
        """Put late bars into a slot already appended; what was carried from it is carried anew.

        Windows given out before stay as they were: the next ones show the bars. Rows of slots that
        the panel does not hold are ignored and counted. Raises ValueError for a slot to come.
        """
        if self.last_slot_at is None or slot_at > self.last_slot_at:
            raise ValueError(
                f"slot {slot_at} was not appended yet; the last is {self.last_slot_at}"
            )
        at = self._index_of(slot_at)
        if at is None:
            self.late_ignored += 1
            return
        late = np.stack([row.open, row.high, row.low, row.close, row.volume])
        has_late = np.isfinite(late).all(axis=0) & ~self._halted[at]
        if not has_late.any():
            return
        self._renew(self._end)
        np.copyto(self._values[:, at], late, where=has_late)
        self._traded[at] |= has_late
        self._empty[at, has_late] = 0
        for index in range(at + 1, self._end):
            if not self._carry_again(index):
                break

    def load(self, history: Mapping[Symbol, Sequence[Bar]], slots: Sequence[datetime]) -> None:
        """Append `slots` (closing instants, oldest first) with the bars of `history`, for warm-up.

        Each bar goes to its `slot_of`; bars that belong to none of the slots, and symbols that are
        not the panel's, are left out. A slot on another UTC date than the one before starts a
        session.
        """
        if any(later <= earlier for earlier, later in pairwise(slots)):
            raise ValueError("slots to load must be in order")
        row_of = {slot_at: index for index, slot_at in enumerate(slots)}
        grid = np.full((len(slots), _FIELDS, len(self.symbols)), np.nan)
        for column, symbol in enumerate(self.symbols):
            for bar in history.get(symbol, ()):
                slot_at = slot_of(bar.opened_at, self.timeframe, slots)
                if slot_at is not None:
                    grid[row_of[slot_at], :, column] = _numbers(bar)
        day = self.last_slot_at.date() if self.last_slot_at else None
        for slot_at, values in zip(slots, grid, strict=True):
            self.append(slot_at, _row(values), session_start=slot_at.date() != day)
            day = slot_at.date()

    def rescale(self, column: int, ratio: float) -> None:
        """Show a symbol's past in the shares of after a split: prices divided by `ratio`, volumes
        multiplied. Windows given out before stay as they were."""
        self._renew(self._end)
        self._values[:_VOLUME, :, column] /= ratio
        self._values[_VOLUME, :, column] *= ratio

    def window(self, lookback_bars: int) -> Bars:
        """Return the last `lookback_bars` slots `[lookback, n]`, NaN in front of the first one.

        Raises ValueError beyond the capacity.
        """
        if not 0 < lookback_bars <= self.capacity_slots:
            raise ValueError(f"look-back {lookback_bars} is not within 1…{self.capacity_slots}")
        end = self._end
        start = end - lookback_bars
        opens, highs, lows, closes, volumes = self._shown
        return Bars(
            open=opens[start:end],
            high=highs[start:end],
            low=lows[start:end],
            close=closes[start:end],
            volume=volumes[start:end],
            traded=self._shown_traded[start:end],
        )

    def closes(self, lookback_bars: int) -> Floats:
        """Return the closes of `window(lookback_bars)`, read-only."""
        if not 0 < lookback_bars <= self.capacity_slots:
            raise ValueError(f"look-back {lookback_bars} is not within 1…{self.capacity_slots}")
        return self._shown[_CLOSE][self._end - lookback_bars : self._end]

    def stack(self, first_slot: datetime, count: int, lookback_bars: int) -> Bars:
        """Return the windows of `count` consecutive slots side by side: `[lookback, count · n]`.

        Column k · n + j is symbol j as seen k slots after `first_slot`. Zero-copy: the columns
        overlap in memory, so a change of one would change others; they are read-only. Raises
        LookupError when the panel does not hold all that is asked.
        """
        at = self._index_of(first_slot)
        if at is None or count < 1 or at + count > self._end or at + 1 < lookback_bars:
            raise LookupError(
                f"{count} slots from {first_slot} with {lookback_bars} bars before each are not "
                f"held: {len(self._slots)} slots from {self._slots[:1]}"
            )
        start, width = at + 1 - lookback_bars, len(self.symbols)

        def overlap(field: Floats) -> Floats:
            strides = field.strides
            shape = (lookback_bars, count * width)
            return as_strided(field[start:], shape, strides, writeable=False)

        opens, highs, lows, closes, volumes = self._shown
        flags = self._shown_traded
        traded: Flags = as_strided(
            flags[start:], (lookback_bars, count * width), flags.strides, writeable=False
        )
        return Bars(
            open=overlap(opens),
            high=overlap(highs),
            low=overlap(lows),
            close=overlap(closes),
            volume=overlap(volumes),
            traded=traded,
        )

    def _settle(self, index: int, *, has_bar: Flags) -> None:
        """Carry, or blank, the columns of a row that have no bar; the row's bars are in place."""
        target, halted = self._values[:, index], self._halted[index]
        before = self._empty[index - 1]
        self._traded[index] = has_bar
        if has_bar.all() and not halted.any():
            self._empty[index] = 0
            return
        if self._starts[index]:
            before = np.zeros_like(before)
        has_bar = has_bar & ~halted
        self._traded[index] = has_bar
        empty = np.where(has_bar, 0, before + 1)
        self._empty[index] = empty
        close = self._values[_CLOSE, index - 1]
        np.copyto(target[:_VOLUME], close, where=~has_bar)
        # 0 where a close is carried, NaN where there is none to carry.
        np.copyto(target[_VOLUME], close * 0.0, where=~has_bar)
        np.copyto(target, np.nan, where=halted | (empty > self.stale_bars_max))

    def _carry_again(self, index: int) -> bool:
        """Settle a row anew after the one before it changed; return whether anything came of it."""
        closes, empty = self._values[_CLOSE, index].copy(), self._empty[index].copy()
        self._settle(index, has_bar=self._traded[index])
        same_closes = np.array_equal(closes, self._values[_CLOSE, index], equal_nan=True)
        return not (same_closes and np.array_equal(empty, self._empty[index]))

    def _index_of(self, slot_at: datetime) -> int | None:
        """Return the buffer row of a slot, None when it is not held."""
        position = bisect_left(self._slots, slot_at)
        if position == len(self._slots) or self._slots[position] != slot_at:
            return None
        index = self._end - (len(self._slots) - position)
        return index if index >= 0 else None

    def _renew(self, kept_rows: int) -> None:
        """Go on in fresh buffers with the last rows, so that windows given out never change."""
        kept = slice(self._end - kept_rows, self._end)
        values = np.full_like(self._values, np.nan)
        values[:, :kept_rows] = self._values[:, kept]
        self._values = values
        self._traded = _moved_up(self._traded, kept)
        self._halted = _moved_up(self._halted, kept)
        self._empty = _moved_up(self._empty, kept)
        self._starts = _moved_up(self._starts, kept)
        self._end = kept_rows
        del self._slots[: max(0, len(self._slots) - kept_rows)]
        self._expose()

    def _expose(self) -> None:
        """Make the read-only views that windows are cut from."""
        shown = self._values.view()
        shown.flags.writeable = False
        self._shown: tuple[Floats, ...] = tuple(shown)
        self._shown_traded: Flags = self._traded.view()
        self._shown_traded.flags.writeable = False


def _moved_up(old: NDArray[Element], kept: slice) -> NDArray[Element]:
    new = np.zeros_like(old)
    new[: kept.stop - kept.start] = old[kept]
    return new


def _numbers(bar: Bar) -> tuple[float, float, float, float, float]:
    return bar.open_usd, bar.high_usd, bar.low_usd, bar.close_usd, bar.volume_shares


def _row(values: Floats) -> BarRow:
    opens, highs, lows, closes, volumes = values
    return BarRow(open=opens, high=highs, low=lows, close=closes, volume=volumes)

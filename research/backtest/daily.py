"""The daily statistics of a history, measured for many days in one pass by the functions that
measure one."""

from functools import partial
from typing import TypeVar

import numpy as np

from allocation.plan import Ints
from daemon.engine.panels import (
    VOLUME_DAYS,
    DailyStatistics,
    Deviations,
    centred_squares,
    clusters,
    deviations,
    mean_volume,
    volatility_of,
)
from daemon.engine.rules import EngineRules
from domain.market import Flags, Floats

Values = TypeVar("Values", Floats, Flags)
MEASURED_ELEMENTS_MAX = 1 << 15
"""Days x symbols x window of one pass, unless those are fewer than MEASURED_DAYS_MIN."""
MEASURED_DAYS_MIN = 4
BLOCKS_AT_ONCE = 8
"""Passes that share what they look back on: its logarithms are taken once."""
DAYS_KEPT_MAX = 512
"""Days whose statistics, and the clusters looked for in them, are kept ready made."""


class DailyHistory:
    """The daily statistics after every day of a history; closes and volumes are `[t, n]`."""

    def __init__(
        self, close: Floats, volume: Floats, grown: Floats | None, rules: EngineRules
    ) -> None:
        """`grown` (`actions.shares_grown`): the bars are in the shares of the first one."""
        self._close, self._volume, self._grown, self._rules = close, volume, grown, rules
        self._days = min(rules.cluster_days, rules.history_days - 1)
        rows = MEASURED_ELEMENTS_MAX // (self._days * close.shape[1])
        self._rows_at_once = max(MEASURED_DAYS_MIN, rows)
        if close.shape[1] == 1:
            # A single column is added up in another order when it stands alone.
            self._rows_at_once = 1
        self._volatility, self._mean_volume = np.empty(close.shape), np.empty(close.shape)
        self._measured = np.zeros(-(-len(close) // self._rows_at_once), dtype=np.bool_)
        self._known: dict[int, DailyStatistics] = {}
        self._block: tuple[int, Deviations] | None = None
        self._room: tuple[Floats, Floats] | None = None

    def at(self, row: int) -> DailyStatistics:
        """Return what is known after a day's bar."""
        known = self._known.get(row)
        if known is None:
            if len(self._known) >= DAYS_KEPT_MAX:
                # A history is walked through: those behind are not asked for again.
                self._known.clear()
            known = self._known[row] = self._made(row)
        return known

    def volatility(self) -> Floats:
        """Return the annualised volatility after every day `[t, n]`."""
        for block in range(0, len(self._measured), BLOCKS_AT_ONCE):
            if not self._measured[block]:
                self._measure(block)
        return self._volatility

    def _made(self, row: int) -> DailyStatistics:
        block = row // self._rows_at_once
        if not self._measured[block]:
            self._measure(block)
        close, volume = self._close[row], self._mean_volume[row]
        if self._grown is not None:
            # What is known after a day is used on the next, in whose shares it must be.
            grown = self._grown[min(row + 1, len(self._grown) - 1)]
            close, volume = close / grown, volume * grown
        return DailyStatistics(
            volatility=self._volatility[row],
            volume_shares=volume,
            previous_close_usd=close,
            clusters=partial(self._clusters, row),
        )

    def _measure(self, block: int) -> None:
        """Measure a block, and with it those that share what they look back on."""
        begin = block - block % BLOCKS_AT_ONCE
        blocks = range(begin, min(begin + BLOCKS_AT_ONCE, len(self._measured)))
        first, last = self._span(begin)[0], self._span(blocks[-1])[1]
        returns, known = self._returns(first, last)
        squares = np.empty((last - first, returns.shape[1]))
        counts = np.empty(squares.shape, dtype=np.int64)
        for number in blocks:
            start, stop = (row - first for row in self._span(number))
            rows = slice(start, stop + self._days - 1)
            _, squares[start:stop], counts[start:stop] = self._centred(returns[rows], known[rows])
        self._volatility[first:last] = volatility_of(squares, counts)
        before = _before(self._volume, first - VOLUME_DAYS + 1, last)
        finite: Flags = np.isfinite(before)
        self._mean_volume[first:last] = mean_volume(
            _windows(before, VOLUME_DAYS), _windows(finite, VOLUME_DAYS)
        )
        self._measured[blocks.start : blocks.stop] = True

    def _returns(self, first: int, last: int) -> tuple[Floats, Flags]:
        """Return the log returns that rows look back on `[t, n]`, and which of them are finite."""
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(_before(self._close, first - self._days, last))
        returns = logs[1:] - logs[:-1]
        return returns, np.isfinite(returns)

    def _centred(self, returns: Floats, known: Flags) -> tuple[Floats, Floats, Ints]:
        shape = (self._days, len(returns) - self._days + 1, returns.shape[1])
        if self._room is None or self._room[0].shape != shape:
            # Made once: new memory of that size costs as much as what is written to it.
            self._room = np.empty(shape), np.empty(shape)
        windows = _windows(returns, self._days), _windows(known, self._days)
        return centred_squares(*windows, self._room)

    def _deviations(self, block: int) -> Deviations:
        """Return the deviations of a block of days; the latest is remembered."""
        if self._block is None or self._block[0] != block:
            returns, _ = self._returns(*self._span(block))
            windows = _windows(returns, self._days)
            self._block = block, deviations(windows, self._rules.cluster_days)
        return self._block[1]

    def _span(self, block: int) -> tuple[int, int]:
        first = block * self._rows_at_once
        return first, min(first + self._rows_at_once, len(self._close))

    def _clusters(self, row: int) -> Ints:
        block, index = divmod(row, self._rows_at_once)
        found = self._deviations(block)
        return clusters(
            np.ascontiguousarray(found.centred[:, index]),
            found.squares[index],
            found.comparable[index],
            self._rules.cluster_correlation,
        )


def overlapping(values: Values, shape: tuple[int, ...], strides: tuple[int, ...]) -> Values:
    """Return a read-only view of a contiguous array with other strides; `as_strided`, which takes
    many times as long as what is done with the view, without its care for subclasses."""
    view = np.ndarray(shape, values.dtype, np.ascontiguousarray(values), 0, strides)
    view.flags.writeable = False
    return view


def _windows(values: Values, days: int) -> Values:
    """Return the last `days` rows `[days, t, n]` up to and with each row from the last of the
    first `days` on."""
    count, width = values.shape
    row = width * values.itemsize
    return overlapping(values, (days, count - days + 1, width), (row, row, values.itemsize))


def _before(values: Floats, first: int, last: int) -> Floats:
    """Return rows `first` to `last`, NaN for those before the first there is."""
    if first >= 0:
        return values[first:last]
    return np.vstack([np.full((-first, values.shape[1]), np.nan), values[:last]])

"""The daily statistics of a history, measured for many days in one pass by the functions that
measure one."""

from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from allocation.plan import Ints
from daemon.engine.panels import (
    VOLUME_DAYS,
    DailyStatistics,
    Deviations,
    clusters,
    deviations,
    mean_volume,
)
from daemon.engine.rules import EngineRules
from domain.market import Floats

MEASURED_ELEMENTS_MAX = 1 << 16
"""Days x symbols x window of one pass."""
DAYS_KEPT_MAX = 8_192
"""Days whose statistics, and the clusters looked for in them, are kept ready made."""


class DailyHistory:
    """The daily statistics after every day of a history; closes and volumes are `[t, n]`."""

    def __init__(
        self, close: Floats, volume: Floats, grown: Floats | None, rules: EngineRules
    ) -> None:
        """`grown` (`actions.shares_grown`): the bars are in the shares of the first one."""
        self._close, self._volume, self._grown, self._rules = close, volume, grown, rules
        self._days = min(rules.cluster_days, rules.history_days - 1)
        self._rows_at_once = max(1, MEASURED_ELEMENTS_MAX // (self._days * close.shape[1]))
        if close.shape[1] == 1:
            # A single column is added up in another order when it stands alone.
            self._rows_at_once = 1
        self._volatility, self._mean_volume = np.empty(close.shape), np.empty(close.shape)
        self._measured = np.zeros(-(-len(close) // self._rows_at_once), dtype=np.bool_)
        self._known: dict[int, DailyStatistics] = {}
        self._block: tuple[int, Deviations] | None = None

    def at(self, row: int) -> DailyStatistics:
        """Return what is known after a day's bar."""
        known = self._known.get(row)
        if known is None:
            if len(self._known) >= DAYS_KEPT_MAX:
                del self._known[next(iter(self._known))]
            known = self._known[row] = self._made(row)
        return known

    def volatility(self) -> Floats:
        """Return the annualised volatility after every day `[t, n]`."""
        for block in np.flatnonzero(~self._measured).tolist():
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
        first, last = self._span(block)
        self._volatility[first:last] = self._deviations(block).volatility
        before = _before(self._volume, first - VOLUME_DAYS + 1, last)
        windows = sliding_window_view(before, VOLUME_DAYS, axis=0)
        self._mean_volume[first:last] = mean_volume(np.moveaxis(windows, -1, 0))
        self._measured[block] = True

    def _deviations(self, block: int) -> Deviations:
        """Return the deviations of a block of days; the latest is remembered."""
        if self._block is None or self._block[0] != block:
            first, last = self._span(block)
            with np.errstate(invalid="ignore", divide="ignore"):
                logs = np.log(_before(self._close, first - self._days, last))
            windows = sliding_window_view(logs[1:] - logs[:-1], self._days, axis=0)
            found = deviations(np.moveaxis(windows, -1, 0), self._rules.cluster_days)
            self._block = block, found
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


def _before(values: Floats, first: int, last: int) -> Floats:
    """Return rows `first` to `last`, NaN for those before the first there is."""
    if first >= 0:
        return values[first:last]
    return np.vstack([np.full((-first, values.shape[1]), np.nan), values[:last]])

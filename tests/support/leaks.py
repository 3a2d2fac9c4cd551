"""Strategies that know what they cannot know, as files; each differs from an honest one in a line.

Kept as text because a leak often lies in the file: in what it reads, or keeps from call to call.
"""

from pathlib import Path

_FILE = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.numerics import sma
from domain.signals import Signals

{module}


def in_memory(close):
    """Return every row of closes that lies in memory around a window, and the window's last."""
    whole = close
    while getattr(whole, "base", None) is not None:
        whole = whole.base
    rows = whole[3] if whole.ndim == 3 else close
    now = [k for k in range(len(rows)) if np.array_equal(rows[k], close[-1], equal_nan=True)]
    return rows, (now or [len(rows) - 1])[0]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A distance from an average, and one thing it must not do."""

    timeframe: Timeframe = Timeframe.{timeframe}
    reads: ClassVar = frozenset({{Reads.BARS}})
    cross_sectional: ClassVar[bool] = {cross_sectional}

    @property
    def lookback_bars(self):
        return 10

    def decide(self, market):
        close = market.bars.close
        average = sma(close, 10)
        wish = (close[-1] - average) / average
{body}
        return Signals(strength=np.clip(wish, -1.0, 1.0))
'''


def plant(
    folder: Path,
    name: str,
    body: str = "",
    *,
    module: str = "",
    timeframe: str = "DAY",
    cross_sectional: bool = False,
) -> Path:
    """Write a strategy file and return where."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    path = folder / f"{name}.py"
    path.write_text(
        _FILE.format(
            module=module, timeframe=timeframe, cross_sectional=cross_sectional, body=lines
        )
    )
    return path


AXIS_SLIPS = {
    "full_sample_scaling": "wish = (close[-1] - np.nanmean(close)) / np.nanstd(close)",
    "rank_among_columns": "wish = np.argsort(np.argsort(close[-1])) / close.shape[1] - 0.5",
    "shift_of_the_flat_array": "wish = np.roll(close, -1)[-1] / close[-1] - 1.0",
    "smoothing_of_the_flat_array": (
        "smooth = np.convolve(np.nan_to_num(close).ravel(), np.ones(5) / 5, 'same')\n"
        "wish = smooth.reshape(close.shape)[-1] / close[-1] - 1.0"
    ),
}
"""Forgotten axes: side by side, other columns are later days."""

MEMORY_SLIPS = {
    "centred_window": (
        "rows, now = in_memory(close)\n"
        "wish = close[-1] / np.mean(rows[max(0, now - 2) : now + 3], axis=0) - 1.0"
    ),
    "shift_minus_one": (
        "rows, now = in_memory(close)\nwish = rows[min(now + 1, len(rows) - 1)] / close[-1] - 1.0"
    ),
    "back_fill": (
        "rows, now = in_memory(close)\n"
        "later = [r[np.isfinite(r)] for r in rows[now:].T]\n"
        "first = np.array([r[0] if len(r) else np.nan for r in later])\n"
        "wish = np.where(np.isnan(wish), first / 1e4, wish)"
    ),
    "smoothed_regime": (
        "rows, now = in_memory(close)\n"
        "moves = np.abs(np.diff(np.nan_to_num(rows), axis=0)).mean(axis=1)\n"
        "smooth = np.convolve(moves, np.ones(9) / 9, 'same')\n"
        "wish = wish * (smooth[min(now, len(smooth)) - 1] < np.median(smooth))"
    ),
    "full_sample_volatility": (
        "rows, now = in_memory(close)\nwish = (close[-1] - average) / np.nanstd(rows, axis=0)"
    ),
}
"""What lies behind a window in memory, used."""

KEPT = {
    "module_level_history": (
        "SEEN.append(close[-1].copy())\nwish = wish - np.nanmean(np.array(SEEN)) / 1e4",
        "SEEN = []",
    ),
    "memo_of_the_day": (
        "wish = MEMO.setdefault(market.as_of.date(), wish)",
        "MEMO = {}",
    ),
}
"""What is kept from call to call."""

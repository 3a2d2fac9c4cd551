"""Column-wise kernels: `[rows, n]`, oldest row first, to `[n]`, one column per symbol.

Every kernel gives a column the same bits whether it stands alone, among 66, or among thousands of
stacked instants: sums run down the rows in order, one row at a time, never pairwise and never
through BLAS. NaN anywhere in the rows a kernel reads makes that column NaN and touches no other.
Too few rows make every column NaN. Memory: a few arrays of the input's size; whoever stacks many
instants chooses how many. Inputs are never written to.
"""

from functools import lru_cache

import numpy as np

from domain.market import Floats

WEIGHTS_CACHED_MAX = 64
"""How many weight columns (one per period and row count) are remembered."""
WIDE_COLUMNS_MAX = 1_024
"""Up to so many columns weights are kept spelled out for each: one long loop instead of one for
every row."""


def sum_rows(values: Floats) -> Floats:
    """Return the sum of each column `[n]`, added row by row, oldest first."""
    # np.add.reduce adds row by row only while columns are the fastest axis and there are at least
    # two of them; alone or transposed it sums pairwise, which gives other bits.
    if values.shape[1] == 1:
        alone: Floats = np.add.reduce(np.repeat(values, 2, axis=1), axis=0)[:1]
        return alone
    if values.strides[1] != values.itemsize:
        values = np.ascontiguousarray(values)
    total: Floats = np.add.reduce(values, axis=0)
    return total


def sma(values: Floats, period_bars: int) -> Floats:
    """Return the simple moving average of the last `period_bars` rows `[n]`.

    Measured from the last row, so that a constant column gives exactly that constant.
    """
    if values.shape[0] < period_bars:
        return _unknown(values)
    last = values[-1]
    average: Floats = sum_rows(values[-period_bars:] - last) / period_bars + last
    return average


def ema(values: Floats, period_bars: int) -> Floats:
    """Return the exponential moving average (k = 2 / (period + 1)) over all given rows `[n]`.

    Seeded by the simple average of the first `period_bars` rows, as TA-Lib does.
    """
    if values.shape[0] < period_bars:
        return _unknown(values)
    weights = smoothing_weights(values.shape[0], period_bars, 2.0 / (period_bars + 1))
    last = values[-1]
    average: Floats = sum_rows((values - last) * weights) + last
    return average


def mean_and_deviation(values: Floats, period_bars: int, *, ddof: int = 0) -> tuple[Floats, Floats]:
    """Return `sma` and `deviation` of the last `period_bars` rows, each `[n]`, for one price."""
    middle = sma(values, period_bars)
    if values.shape[0] < period_bars or period_bars <= ddof:
        return middle, _unknown(values)
    distance = values[-period_bars:] - middle
    distance *= distance
    spread: Floats = np.sqrt(sum_rows(distance) / (period_bars - ddof))
    return middle, spread


def deviation(values: Floats, period_bars: int, *, ddof: int) -> Floats:
    """Return the standard deviation of the last `period_bars` rows `[n]`, divisor period − ddof.

    Two passes, so that large prices with small moves keep their digits; exactly 0 when flat.
    """
    return mean_and_deviation(values, period_bars, ddof=ddof)[1]


def z_score(values: Floats, period_bars: int) -> Floats:
    """Return how many deviations (ddof 0) the last row lies above its average `[n]`.

    The window of `period_bars` includes the last row. NaN when the window is flat.
    """
    if values.shape[0] < period_bars:
        return _unknown(values)
    middle, spread = mean_and_deviation(values, period_bars)
    return ratio(values[-1] - middle, spread)


def bollinger(values: Floats, period_bars: int, width: float) -> tuple[Floats, Floats, Floats]:
    """Return (lower, middle, upper) bands `[n]`: the average ± `width` deviations (ddof 0).

    Source: J. Bollinger, Bollinger on Bollinger Bands, 2001.
    """
    middle, spread = mean_and_deviation(values, period_bars)
    reach = spread * width
    return middle - reach, middle, middle + reach


def wilder_rsi(close: Floats, period_bars: int) -> Floats:
    """Return Wilder's relative strength index in [0, 100] over all given rows `[n]`.

    The averages of gains and losses start as the simple average of the first `period_bars` changes
    and are then smoothed by 1 / period. Needs period + 1 rows; give ≥ 250 for period 14, so that
    the start is forgotten (its weight is 3e-8 then). NaN where no price changed.
    Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978, section VI.
    """
    if close.shape[0] < period_bars + 1:
        return _unknown(close)
    weights = _wide_weights(close.shape[0] - 1, period_bars, 1.0 / period_bars, close.shape[1])
    # With w > 0: Σ w·gain = (Σ|w·change| + Σ w·change) / 2, and Σ w·(gain + loss) = Σ|w·change|.
    changes = close[1:] - close[:-1]
    changes *= weights
    net = sum_rows(changes)
    total = sum_rows(np.abs(changes, out=changes))
    return ratio((total + net) * 50.0, total)


def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return Wilder's true range of every row but the first, `[rows − 1, n]`."""
    before = close[:-1]
    tops: Floats = np.maximum(high[1:], before)
    tops -= np.minimum(low[1:], before)
    return tops


def atr(high: Floats, low: Floats, close: Floats, period_bars: int) -> Floats:
    """Return Wilder's average true range over all given rows `[n]`, in the prices' unit.

    Seeded by the simple average of the first `period_bars` true ranges. Needs period + 1 rows.
    Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978, section III.
    """
    if close.shape[0] < period_bars + 1:
        return _unknown(close)
    weights = smoothing_weights(close.shape[0] - 1, period_bars, 1.0 / period_bars)
    return sum_rows(true_range(high, low, close) * weights)


def returns(close: Floats) -> Floats:
    """Return the simple returns of every row but the first, `[rows − 1, n]`; prices are > 0."""
    before = close[:-1]
    changes: Floats = close[1:] - before
    changes /= before
    return changes


def annualised_volatility(close: Floats, period_bars: int, bars_per_year: float) -> Floats:
    """Return the deviation (ddof 1) of the last `period_bars` simple returns, times √bars a year.

    `[n]`; 0.25 means 25 % a year. Needs period + 1 rows. `bars_per_year`: 252 for daily bars.
    """
    if close.shape[0] < period_bars + 1:
        return _unknown(close)
    recent = returns(close[-(period_bars + 1) :])
    volatility: Floats = deviation(recent, period_bars, ddof=1) * np.sqrt(bars_per_year)
    return volatility


def correlation(values: Floats) -> Floats:
    """Return Pearson's correlation of every two columns `[n, n]` over all given rows.

    Symmetric to the bit. A column with NaN, or flat, has NaN in its row and column, and there only.
    """
    rows, count = values.shape
    if rows < 2:
        return np.full((count, count), np.nan)
    distance = values - sma(values, rows)
    scale = np.sqrt(sum_rows(distance * distance))
    unit = np.divide(distance, scale, out=np.full_like(distance, np.nan), where=scale > 0.0)
    together = np.empty((count, count))
    for column in range(count):
        together[column] = sum_rows(unit * unit[:, column, None])
    # Rounding may leave 1 + 1e-16.
    bounded: Floats = np.clip(together, -1.0, 1.0, out=together)
    return bounded


def highest(values: Floats, period_bars: int) -> Floats:
    """Return the greatest of the last `period_bars` rows `[n]`."""
    if values.shape[0] < period_bars:
        return _unknown(values)
    top: Floats = np.maximum.reduce(values[-period_bars:], axis=0)
    return top


def lowest(values: Floats, period_bars: int) -> Floats:
    """Return the least of the last `period_bars` rows `[n]`."""
    if values.shape[0] < period_bars:
        return _unknown(values)
    bottom: Floats = np.minimum.reduce(values[-period_bars:], axis=0)
    return bottom


def ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below, NaN (and no warning) where below is not a positive number."""
    quotient: Floats = np.empty_like(below)
    quotient.fill(np.nan)
    np.divide(above, below, out=quotient, where=below > 0.0)
    return quotient


def clipped(values: Floats, least: float, most: float) -> Floats:
    """Return values no less than `least` and no more than `most`, NaN where they are NaN."""
    # np.clip is the same and, on short arrays, three times as slow.
    bounded: Floats = np.maximum(values, least)
    np.minimum(bounded, most, out=bounded)
    return bounded


@lru_cache(maxsize=WEIGHTS_CACHED_MAX)
def smoothing_weights(rows: int, period_bars: int, factor: float) -> Floats:
    """Return the weights `[rows, 1]` with which recursive smoothing weighs each row; sum 1.

    avg ← avg + factor · (x − avg), started from the simple average of the first `period_bars` rows,
    written out as one weighted sum. Read-only.
    """
    age = np.arange(rows - 1, -1, -1, dtype=np.float64)
    weights = factor * (1.0 - factor) ** age
    weights[:period_bars] = (1.0 - factor) ** (rows - period_bars) / period_bars
    column: Floats = weights[:, None]
    column.flags.writeable = False
    return column


@lru_cache(maxsize=WEIGHTS_CACHED_MAX // 8)
def _wide_weights(rows: int, period_bars: int, factor: float, columns: int) -> Floats:
    """Return `smoothing_weights`, `[rows, columns]` where that is not too wide."""
    weights = smoothing_weights(rows, period_bars, factor)
    if columns > WIDE_COLUMNS_MAX:
        return weights
    wide: Floats = np.repeat(weights, columns, axis=1)
    wide.flags.writeable = False
    return wide


def _unknown(values: Floats) -> Floats:
    return np.full(values.shape[1], np.nan)

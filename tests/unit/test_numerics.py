"""Kernels: against published values, against TA-Lib, and bit for bit in any company."""

from collections.abc import Callable

import numpy as np
import pytest
import talib
from numpy.lib.stride_tricks import as_strided

from domain import numerics
from domain.market import Floats
from tests.support.markets import NAN, bars_of, walk

ROWS = 260
KERNELS: dict[str, Callable[[Floats], Floats]] = {
    "sma": lambda x: numerics.sma(x, 30),
    "ema": lambda x: numerics.ema(x, 20),
    "deviation": lambda x: numerics.deviation(x, 20, ddof=1),
    "z_score": lambda x: numerics.z_score(x, 20),
    "bollinger": lambda x: numerics.bollinger(x, 20, 2.0)[0],
    "wilder_rsi": lambda x: numerics.wilder_rsi(x, 14),
    "atr": lambda x: numerics.atr(x * 1.01, x * 0.99, x, 14),
    "volatility": lambda x: numerics.annualised_volatility(x, 60, 252.0),
    "highest": lambda x: numerics.highest(x, 20),
    "lowest": lambda x: numerics.lowest(x, 20),
    "sum_rows": numerics.sum_rows,
}
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())


def column(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)[:, None]


# --- published values ----------------------------------------------------------------------------

# StockCharts ChartSchool, Relative Strength Index, worked sheet cs-rsi.xls: QQQQ, 14 days.
STOCKCHARTS_CLOSE = [
    *(44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826),
    *(45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439),
    *(46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672),
    *(43.4205, 42.6628, 43.1314),
]
STOCKCHARTS_RSI = [
    *(70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38),
    *(54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30, 33.08, 37.77),
]
# J. W. Wilder, New Concepts in Technical Trading Systems, 1978, section VI, worked sheet. He cut
# every step of it to two decimals, so it agrees to about half a point only.
WILDER_CLOSE = [
    *(54.80, 56.80, 57.85, 59.85, 60.57, 61.10, 62.17, 60.60, 62.35, 62.15, 62.35, 61.45, 62.80),
    *(61.37, 62.50, 62.57, 60.80, 59.37, 60.35, 62.35, 62.17, 62.55, 64.55, 64.37, 65.30, 64.42),
    *(62.90, 61.60, 62.05, 60.05, 59.70, 60.90, 60.25, 58.27, 58.70, 57.72, 58.10, 58.20),
]
WILDER_RSI = [
    *(74.36, 74.55, 65.75, 59.68, 61.98, 66.44, 65.75, 67.00, 71.43, 70.50, 72.14, 67.95),
    *(60.78, 55.56, 56.71, 49.49, 48.19, 52.38, 50.00, 43.50, 45.36, 42.53, 44.13, 44.75),
]


@pytest.mark.parametrize(
    ("close", "published", "within"),
    [(STOCKCHARTS_CLOSE, STOCKCHARTS_RSI, 0.0051), (WILDER_CLOSE, WILDER_RSI, 0.53)],
    ids=["stockcharts", "wilder 1978"],
)
def test_wilders_index_gives_the_published_values(
    close: list[float], published: list[float], within: float
) -> None:
    computed = [
        float(numerics.wilder_rsi(column(close[:end]), 14)[0]) for end in range(15, len(close) + 1)
    ]

    assert computed == pytest.approx(published, abs=within)


# --- TA-Lib as the oracle ------------------------------------------------------------------------

ORACLES: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "sma": (lambda x: numerics.sma(x, 30), lambda c: talib.SMA(c, 30)),
    "ema": (lambda x: numerics.ema(x, 20), lambda c: talib.EMA(c, 20)),
    "rsi": (lambda x: numerics.wilder_rsi(x, 14), lambda c: talib.RSI(c, 14)),
    "deviation": (lambda x: numerics.deviation(x, 20, ddof=0), lambda c: talib.STDDEV(c, 20)),
    "lower band": (lambda x: numerics.bollinger(x, 20, 2)[0], lambda c: talib.BBANDS(c, 20)[2]),
    "middle band": (lambda x: numerics.bollinger(x, 20, 2)[1], lambda c: talib.BBANDS(c, 20)[1]),
    "upper band": (lambda x: numerics.bollinger(x, 20, 2)[2], lambda c: talib.BBANDS(c, 20)[0]),
}


@pytest.mark.parametrize(("ours", "oracle"), ORACLES.values(), ids=ORACLES.keys())
def test_a_kernel_agrees_with_ta_lib(
    ours: Callable[[Floats], Floats], oracle: Callable[[Floats], Floats]
) -> None:
    close = walk(ROWS, 5)
    expected = [oracle(np.ascontiguousarray(close[:, j]))[-1] for j in range(5)]

    # TA-Lib's STDDEV and bands square the prices and lose digits; RSI and averages agree closer.
    assert ours(close) == pytest.approx(expected, rel=1e-8)


def test_average_true_range_agrees_with_ta_lib() -> None:
    bars = bars_of(walk(ROWS, 3), reach=0.004)
    expected = [
        talib.ATR(*(np.ascontiguousarray(f[:, j]) for f in (bars.high, bars.low, bars.close)), 14)[
            -1
        ]
        for j in range(3)
    ]

    assert numerics.atr(bars.high, bars.low, bars.close, 14) == pytest.approx(expected, rel=1e-12)


def test_after_250_bars_the_index_has_forgotten_where_it_started() -> None:
    close = walk(2000, 20)

    assert numerics.wilder_rsi(close[-250:], 14) == pytest.approx(
        numerics.wilder_rsi(close, 14), abs=1e-4
    )


# --- the same bits in any company ----------------------------------------------------------------


def bits(values: Floats) -> bytes:
    return np.ascontiguousarray(values).tobytes()


@every_kernel
@pytest.mark.parametrize("count", [2, 3, 7, 66])
def test_a_column_has_the_same_bits_alone_and_among_others(
    kernel: Callable[[Floats], Floats], count: int
) -> None:
    close = walk(ROWS, count)
    alone = [kernel(np.ascontiguousarray(close[:, j : j + 1])) for j in range(count)]

    assert bits(np.concatenate(alone)) == bits(kernel(close))


@every_kernel
@pytest.mark.parametrize("count", [1, 2, 66])
def test_stacked_instants_have_the_bits_of_each_alone(
    kernel: Callable[[Floats], Floats], count: int
) -> None:
    close, instants = walk(ROWS + 8, count), 9
    stacked = as_strided(close, (ROWS, instants * count), close.strides, writeable=False)
    alone = [kernel(close[k : k + ROWS]) for k in range(instants)]

    assert bits(np.concatenate(alone)) == bits(kernel(stacked))


@every_kernel
def test_the_layout_in_memory_changes_no_bit(kernel: Callable[[Floats], Floats]) -> None:
    close = walk(ROWS, 6)
    spread = np.zeros((ROWS, 12))
    spread[:, ::2] = close

    assert bits(kernel(np.asfortranarray(close))) == bits(kernel(close))
    assert bits(kernel(spread[:, ::2])) == bits(kernel(close))


def test_sums_run_down_the_rows_in_order() -> None:
    values = walk(ROWS, 4) * 1e8
    total = values[0].copy()
    for row in values[1:]:
        total = total + row

    assert bits(numerics.sum_rows(values)) == bits(total)


@every_kernel
def test_nan_in_one_column_touches_no_other(kernel: Callable[[Floats], Floats]) -> None:
    close = walk(ROWS, 4)
    holed = close.copy()
    holed[-5, 2] = NAN
    others = [0, 1, 3]

    assert bits(kernel(holed)[others]) == bits(kernel(close)[others])
    assert np.isnan(kernel(holed)[2])


@every_kernel
def test_a_kernel_writes_to_nothing(kernel: Callable[[Floats], Floats]) -> None:
    close = walk(ROWS, 3)
    before = close.copy()
    kernel(close)

    assert bits(close) == bits(before)


@pytest.mark.parametrize(
    ("kernel", "needed"),
    [
        ("sma", 30),
        ("ema", 20),
        ("deviation", 20),
        ("z_score", 20),
        ("bollinger", 20),
        ("wilder_rsi", 15),
        ("atr", 15),
        ("volatility", 61),
        ("highest", 20),
        ("lowest", 20),
    ],
)
def test_a_kernel_is_silent_until_it_has_rows_enough(kernel: str, needed: int) -> None:
    close = walk(ROWS, 2)

    assert np.isnan(KERNELS[kernel](close[: needed - 1])).all()
    assert not np.isnan(KERNELS[kernel](close[:needed])).any()
    assert np.isnan(KERNELS[kernel](close[:0])).all()


# --- columns that do not move, and small known cases ----------------------------------------------


def flat(price: float = 0.1) -> Floats:
    return np.full((ROWS, 3), price)


def test_the_average_of_a_column_that_does_not_move_is_exactly_its_price() -> None:
    assert numerics.sma(flat(), 30).tolist() == [0.1] * 3


def test_the_deviation_of_a_column_that_does_not_move_is_exactly_nothing() -> None:
    assert numerics.deviation(flat(), 30, ddof=0).tolist() == [0.0] * 3


def test_the_distance_from_the_average_is_unknown_where_nothing_moves() -> None:
    assert np.isnan(numerics.z_score(flat(), 20)).all()


def test_the_index_is_unknown_where_nothing_moves() -> None:
    assert np.isnan(numerics.wilder_rsi(flat(), 14)).all()


def test_the_index_of_what_only_rises_is_100() -> None:
    assert numerics.wilder_rsi(column([float(n) for n in range(1, 40)]), 14).tolist() == [100.0]


def test_the_index_of_what_only_falls_is_0() -> None:
    assert numerics.wilder_rsi(column([float(n) for n in range(40, 1, -1)]), 14).tolist() == [0.0]


def test_distance_from_the_average_is_counted_in_deviations() -> None:
    assert numerics.z_score(column([1.0, 1.0, 1.0, 5.0]), 4) == pytest.approx([3**0.5])


def test_deviation_divides_by_what_was_asked() -> None:
    sample = column([1.0, 2.0, 3.0, 4.0])

    assert numerics.deviation(sample, 4, ddof=0) == pytest.approx([1.25**0.5])
    assert numerics.deviation(sample, 4, ddof=1) == pytest.approx([(5 / 3) ** 0.5])


def test_true_range_reaches_to_the_close_before() -> None:
    high, low, close = column([10.0, 15.0, 9.0]), column([9.0, 14.0, 8.0]), column([9.5, 14.5, 8.5])

    assert numerics.true_range(high, low, close)[:, 0].tolist() == [5.5, 6.5]


def test_returns_are_changes_in_shares_of_the_price_before() -> None:
    assert numerics.returns(column([100.0, 110.0, 99.0]))[:, 0] == pytest.approx([0.1, -0.1])


def test_volatility_is_scaled_to_a_year() -> None:
    close = column([100.0, 110.0, 99.0, 108.9])

    assert numerics.annualised_volatility(close, 3, 252.0) == pytest.approx(
        [np.std([0.1, -0.1, 0.1], ddof=1) * 252**0.5]
    )


def test_smoothing_weights_sum_to_one() -> None:
    assert numerics.smoothing_weights(250, 14, 1 / 14).sum() == pytest.approx(1.0, abs=1e-14)


def test_smoothing_weights_cannot_be_written_to() -> None:
    assert not numerics.smoothing_weights(250, 14, 1 / 14).flags.writeable


# --- correlation ---------------------------------------------------------------------------------


def test_correlation_is_pearsons() -> None:
    values = numerics.returns(walk(61, 8))

    assert numerics.correlation(values) == pytest.approx(np.corrcoef(values.T), abs=1e-12)


def test_correlation_is_symmetric_to_the_bit() -> None:
    together = numerics.correlation(numerics.returns(walk(61, 8)))

    assert bits(together) == bits(together.T)


def test_two_columns_correlate_alike_in_any_company() -> None:
    values = numerics.returns(walk(61, 66))
    pair = numerics.correlation(np.ascontiguousarray(values[:, 3:5]))

    assert bits(pair) == bits(numerics.correlation(values)[3:5, 3:5])


def test_what_moves_as_one_correlates_by_one() -> None:
    one = numerics.returns(walk(61, 1))

    assert numerics.correlation(np.hstack([one, one, -one]))[0] == pytest.approx([1.0, 1.0, -1.0])


def test_no_correlation_lies_beyond_one() -> None:
    assert np.abs(numerics.correlation(numerics.returns(walk(61, 66)))).max() <= 1.0


def test_an_unknown_or_flat_column_correlates_with_nothing_and_harms_no_other() -> None:
    values = numerics.returns(walk(61, 4))
    known = numerics.correlation(values)[2:, 2:]
    values[3, 0] = NAN
    values[:, 1] = 0.0
    together = numerics.correlation(values)

    assert np.isnan(together[:2]).all()
    assert np.isnan(together[:, :2]).all()
    assert bits(together[2:, 2:]) == bits(known)


def test_one_row_correlates_nothing() -> None:
    assert np.isnan(numerics.correlation(np.ones((1, 2)))).all()

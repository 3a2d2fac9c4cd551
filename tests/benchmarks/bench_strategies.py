"""How long one slot of 66 symbols takes: panel, three strategies, and stacking against a loop.

Run: python -m tests.benchmarks.bench_strategies. Prints medians in microseconds; times depend on
the machine, so look at the ratios.
"""

import json
import statistics
from collections.abc import Callable
from time import perf_counter_ns

import numpy as np
import talib

from daemon.strategy_sample import make_series, market_of
from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.ports import Strategy
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover

SYMBOLS = [Symbol(f"S{number:02d}") for number in range(66)]
ROWS, INSTANTS, REPEATS = 600, 300, 2_000
STRATEGIES: tuple[Strategy, ...] = (
    SmaCrossover(timeframe=Timeframe.FIFTEEN_MINUTES),
    RsiReversion(),
    MeanReversion(),
)


def median_us(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median duration of a call in microseconds."""
    took: list[int] = []
    for _ in range(repeats):
        started = perf_counter_ns()
        call()
        took.append(perf_counter_ns() - started)
    return statistics.median(took) / 1e3


def main() -> None:
    """Measure and print one JSON object."""
    series = make_series(SYMBOLS, Timeframe.FIFTEEN_MINUTES, ROWS, np.random.default_rng(0))
    panel = series.panel()
    slots = iter(range(ROWS))
    refilled = type(panel)(SYMBOLS, series.timeframe, ROWS)

    def append() -> None:
        index = next(slots)
        refilled.append(series.slots[index], series.row(index))

    def ask(strategy: Strategy) -> Callable[[], object]:
        bars = panel.window(strategy.lookback_bars)
        market = market_of(strategy, SYMBOLS, series.slots[-1], bars)
        return lambda: strategy.decide(market)

    def talib_loop() -> None:
        closes = panel.closes(250)
        for column in range(len(SYMBOLS)):
            close = np.ascontiguousarray(closes[:, column])
            talib.SMA(close, 10), talib.SMA(close, 30), talib.RSI(close, 14)
            talib.BBANDS(close, 20)

    def stacked(strategy: Strategy) -> float:
        first = series.slots[ROWS - INSTANTS]
        bars = panel.stack(first, INSTANTS, strategy.lookback_bars)
        market = market_of(strategy, SYMBOLS * INSTANTS, series.slots[-1], bars)
        return median_us(lambda: strategy.decide(market), 5) / INSTANTS

    asked = {type(s).__name__: round(median_us(ask(s)), 1) for s in STRATEGIES}
    together = [ask(s) for s in STRATEGIES]
    figures = {
        "append_us": round(median_us(append, ROWS), 1),
        "window_us": round(median_us(lambda: panel.window(250)), 1),
        "decide_us": asked,
        "three_strategies_us": round(median_us(lambda: [call() for call in together]), 1),
        "talib_loop_us": round(median_us(talib_loop, 200), 1),
        "stacked_us_per_instant": {type(s).__name__: round(stacked(s), 1) for s in STRATEGIES},
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

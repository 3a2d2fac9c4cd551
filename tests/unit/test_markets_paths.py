"""Paths inside bars: exact at the four prices, and smooth on the way there."""

import numpy as np

from exchange.markets.paths import on_grid, pinned, ticks_of_bars
from tests.support.tapes import synthetic_market

PATHS, TICKS = 4_000, 240


def drawn_bars(generator: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """Bars `[4, b]` whose highs and lows lie from a hair to far beyond their bodies."""
    opened = on_grid(generator.uniform(5, 600, PATHS))
    closed = on_grid(opened * np.exp(generator.standard_normal(PATHS) * size))
    reach = np.abs(generator.standard_normal((2, PATHS))) * size
    reach *= 10 ** generator.uniform(-3, 0.3, (2, PATHS))
    high = on_grid(np.maximum(opened, closed) * np.exp(reach[0]))
    low = on_grid(np.minimum(opened, closed) * np.exp(-reach[1]))
    return np.stack([opened, high, low, closed])


def test_every_one_of_many_paths_touches_its_bars_four_prices():
    generator = np.random.default_rng(0)
    size = 10 ** generator.uniform(-4, -1, PATHS)
    bars = drawn_bars(generator, size)
    walk = np.cumsum(generator.standard_normal((PATHS, TICKS)), axis=1)
    walk *= (size / np.sqrt(TICKS))[:, None]
    straight = np.linspace(0, 1, TICKS)
    ends = np.log(bars[3]) - np.log(bars[0]) - (walk[:, -1] - walk[:, 0])
    path = np.log(bars[0])[:, None] + walk - walk[:, :1] + ends[:, None] * straight
    ticks = pinned(path, bars, np.arange(1, TICKS + 1) / TICKS)
    assert np.array_equal(ticks[:, 0], bars[0])
    assert np.array_equal(ticks.max(axis=1), bars[1])
    assert np.array_equal(ticks.min(axis=1), bars[2])
    assert np.array_equal(ticks[:, -1], bars[3])


def test_a_session_walks_to_its_high_and_low_and_does_not_jump_there():
    market = synthetic_market()
    jumps = []
    for session in market.calendar.before(market.calendar.sessions[-1].opens_at, 3):
        ticks = market.tape(session.day).tick_usd
        ticks = ticks[np.ptp(ticks, axis=1) > 1.0]
        reach = ticks.max(axis=1) - ticks.min(axis=1)
        at = np.clip(np.stack([ticks.argmax(axis=1), ticks.argmin(axis=1)]), 1, 4678)
        rows = np.arange(len(ticks))
        for extreme in at:
            here = ticks[rows, extreme]
            beside = np.stack([ticks[rows, extreme - 1], ticks[rows, extreme + 1]])
            jumps.append(np.abs(beside - here).min(axis=0) / reach)
    assert np.concatenate(jumps).max() < 0.12


def test_low_and_high_come_in_either_order():
    bars = np.tile(np.array([[10.0], [11.0], [9.0], [10.5]]), 200)
    ticks = ticks_of_bars(bars, np.random.default_rng(0).random((3, 200)))
    low_first = ticks.argmin(axis=1) < ticks.argmax(axis=1)
    assert 0.5 < low_first.mean() < 0.9

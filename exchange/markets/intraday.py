"""How prices wander inside a session: U-shaped, fat-tailed, trending for a while, bouncing.

Constants are fitted to one-minute bars of 82 stocks, 2018-02-16 to 2018-04-20. In brackets what
was measured there: kurtosis of minute returns net of the time of day [4.8]; variance of k-minute
returns over k times that of one minute, k = 5, 15, 30 [.88, .76, .75] and a whole session
[.98]; deviation of log minute volume [.63], its autocorrelation [.26].
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from domain.market import Floats
from exchange.markets.base import TICKS_PER_MINUTE
from exchange.markets.streams import stream

TREND_SHARE = 0.15
"""The share of a session's variance that comes from drifts lasting about `TREND_HALF_LIFE`."""
TREND_HALF_LIFE_MINUTES = 60.0
FLICKER = 0.42
"""Deviation of a minute's log volatility: gives the minutes their fat tails."""
BOUNCE_VARIANCE = 0.36
"""A symbol's own passing deviation, as a share of its minute's variance…"""
BOUNCE_HALF_LIFE_MINUTES = 2.5
"""…which is gone by half after this long."""
TICK_ROUGHNESS = 1.5
"""Variance inside minutes over that between them [range over deviation of a minute: 1.24]."""
SHAPES_CACHED_MAX = 8
"""Lengths of session whose constants are kept: whole days and half days, and to spare."""
VOLUME_FLICKER, VOLUME_MEMORY, VOLUME_PER_MOVE = 0.58, 0.3, 0.35


def wandering(seed: int, names: Sequence[str], ordinal: int, shares: Floats) -> Floats:
    """Return paths `[k, m]` at the minutes' ends, of about unit variance over the session.

    `shares` `[m]` is each minute's share of the variance. Paths are not pinned.
    """
    minutes = len(shares)
    drawn = np.stack(
        [stream(seed, f"{n}/minutes", ordinal).standard_normal((3, minutes)) for n in names]
    )
    shocks = drawn[:, 0] * np.exp(FLICKER * drawn[:, 1] - FLICKER**2)
    memory = 0.5 ** (1.0 / TREND_HALF_LIFE_MINUTES)
    trend = _remembered(drawn[:, 2], memory) * np.sqrt(shares)
    trend *= np.sqrt(TREND_SHARE / _trend_variance(shares.tobytes()))
    steps = shocks * np.sqrt((1.0 - TREND_SHARE) * shares) + trend
    paths: Floats = np.cumsum(steps, axis=1)
    return paths


@lru_cache(maxsize=SHAPES_CACHED_MAX)
def _trend_variance(shares: bytes) -> float:
    """Return the variance over a session of a trend of unit variance in each minute.

    The same for every path of a session; `shares` are the float64 of the minutes' shares.
    """
    root = np.sqrt(np.frombuffer(shares))
    minute = np.arange(len(root))
    memory = 0.5 ** (1.0 / TREND_HALF_LIFE_MINUTES)
    lags = np.abs(np.subtract.outer(minute, minute))
    return float((memory**lags * np.outer(root, root)).sum())


def bouncing(seed: int, names: Sequence[str], ordinal: int, variance: Floats) -> Floats:
    """Return symbols' passing deviations `[n, m]`; `variance` `[n, m]` is that of their minutes."""
    minutes = variance.shape[1]
    drawn = np.stack([stream(seed, f"{n}/bounce", ordinal).standard_normal(minutes) for n in names])
    memory = 0.5 ** (1.0 / BOUNCE_HALF_LIFE_MINUTES)
    deviation: Floats = _remembered(drawn, memory) * np.sqrt(BOUNCE_VARIANCE * variance)
    return deviation


def _remembered(shocks: Floats, memory: float) -> Floats:
    """Return unit-variance AR(1) sequences along the last axis."""
    by_minute = np.ascontiguousarray(shocks.T)
    by_minute[1:] *= np.sqrt(1.0 - memory**2)
    for minute in range(1, len(by_minute)):
        by_minute[minute] += memory * by_minute[minute - 1]
    return by_minute.T


def bridged(paths: Floats, ends: Floats, shares: Floats) -> Floats:
    """Return the paths `[k, m]` bent, in proportion to variance passed, to end at `ends` `[k]`."""
    passed = np.cumsum(shares)
    pinned: Floats = paths + passed * (ends - paths[:, -1])[:, None]
    return pinned


def tick_noise(seed: int, names: Sequence[str], ordinal: int, minutes: int) -> Floats:
    """Return standard normal noise of ticks `[n, m, K]`."""
    return np.stack(
        [
            stream(seed, f"{n}/ticks", ordinal).standard_normal((minutes, TICKS_PER_MINUTE))
            for n in names
        ]
    )


def trading_weights(
    seed: int, names: Sequence[str], ordinal: int, moves: Floats
) -> tuple[Floats, Floats]:
    """Return how lively trading was: per minute `[n, m]` and per tick `[n, m, K]`, positive.

    `moves` `[n, m]` are minutes' moves in units of their deviation: big moves trade more.
    """
    minutes = moves.shape[1]
    by_minute = np.empty_like(moves)
    by_tick = np.empty((*moves.shape, TICKS_PER_MINUTE))
    for row, name in enumerate(names):
        drawn = stream(seed, f"{name}/volume", ordinal)
        by_minute[row] = drawn.standard_normal(minutes)
        by_tick[row] = drawn.standard_exponential((minutes, TICKS_PER_MINUTE))
    by_minute = _remembered(by_minute, VOLUME_MEMORY) * VOLUME_FLICKER
    by_minute += VOLUME_PER_MOVE * np.minimum(np.abs(moves), 4.0)
    by_tick += 0.1
    return np.exp(by_minute), by_tick

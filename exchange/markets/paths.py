"""From bars to trades: tick paths that open, peak, bottom and close exactly where a bar says."""

import numpy as np

from domain.calendar import Session
from domain.market import Floats
from exchange.markets.base import SECONDS_PER_MINUTE, TICKS_PER_MINUTE, Instants

PIN_ROUNDS = 3
"""Passes that lift a path's top and lower its bottom to the bar's; the last tick of it is set."""
PIN_WIDTH = 0.15
"""How wide, in shares of the session's variance, the hump is that lifts a path to its high."""
PIN_EVERYWHERE = 1e-3
"""The hump's height far from its middle, so that no excess anywhere goes unseen."""
LOW_FIRST_IN_RISING_BAR = 0.7
"""How often a bar that closed up had its low before its high."""


def on_grid(price_usd: Floats) -> Floats:
    """Return prices on the grid of Reg NMS Rule 612: cents from $1 up, 1/100 cent below."""
    gridded: Floats = np.where(
        price_usd >= 1.0, np.rint(price_usd * 100.0) / 100.0, np.rint(price_usd * 1e4) / 1e4
    )
    return gridded


def minute_starts(session: Session) -> Instants:
    """Return the epoch seconds at which the session's minutes start `[m]`."""
    return np.arange(
        int(session.opens_at.timestamp()),
        int(session.closes_at.timestamp()),
        SECONDS_PER_MINUTE,
        dtype=np.int64,
    )


def ticks_between(
    minute_log: Floats, minute_variance: Floats, noise: Floats, *, open_log: Floats
) -> Floats:
    """Return log prices of ticks `[n, m*K]` that pass through each minute's last one.

    `minute_log` `[n, m]` are log closes, `minute_variance` `[n, m]`, `noise` standard normal
    `[n, m, K]`. A Brownian bridge inside each minute; the first tick of all is `open_log` `[n]`.
    """
    ticks = noise.shape[2]
    start = np.concatenate([open_log[:, None], minute_log[:, :-1]], axis=1)
    steps = noise * np.sqrt(minute_variance / ticks)[:, :, None]
    steps[:, 0, 0] = 0.0
    walk = np.cumsum(steps, axis=2)
    passed = np.tile(np.arange(1, ticks + 1) / ticks, (noise.shape[1], 1))
    passed[0] = np.arange(ticks) / (ticks - 1)
    missing = minute_log - start - walk[:, :, -1]
    walk += passed * missing[:, :, None]
    walk += start[:, :, None]
    path: Floats = walk.reshape(noise.shape[0], -1)
    path[:, -1] = minute_log[:, -1]
    return path


def pinned(path_log: Floats, bar_usd: Floats, passed: Floats) -> Floats:
    """Return prices of ticks `[n, T]` inside a session's bar, touching its high and its low.

    `path_log` `[n, T]` runs from the bar's open to its close; `bar_usd` `[4, n]` is open, high,
    low, close on the grid; `passed` `[T]` the share of the session's variance that lies before
    each tick. A path that stays below the high gets a smooth hump around its own top, as high as
    takes it there; one that goes too far is folded back at the high; for the low alike. Both leave
    the minutes' variance as it was. `path_log` is overwritten.
    """
    high_log, low_log = np.log(bar_usd[1]), np.log(bar_usd[2])
    inside = path_log[:, 1:-1]
    time = passed[1:-1]
    envelope = np.clip(time * (1.0 - time), 1e-9, None)
    for _ in range(PIN_ROUNDS):
        _lift(inside, high_log, time, envelope)
        np.negative(inside, out=inside)
        _lift(inside, -low_log, time, envelope)
        np.negative(inside, out=inside)
    _fold(inside, low_log, high_log)
    highest, lowest = inside.argmax(axis=1), inside.argmin(axis=1)
    opened, high, low, closed = bar_usd
    ticks = np.clip(on_grid(np.exp(path_log)), low[:, None], high[:, None])
    rows = np.arange(len(ticks))
    # A path that is folded back between two ticks has none at the high itself.
    ticks[rows, 1 + highest] = high
    ticks[rows, 1 + np.where(lowest == highest, (lowest + 1) % inside.shape[1], lowest)] = low
    ticks[:, 0] = opened
    ticks[:, -1] = closed
    return ticks


def _lift(inside: Floats, top_log: Floats, time: Floats, envelope: Floats) -> None:
    middle = time[inside.argmax(axis=1)]
    hump = np.exp(-0.5 * ((time - middle[:, None]) / PIN_WIDTH) ** 2)
    hump += PIN_EVERYWHERE
    hump *= envelope
    # max(path + a·hump) = top exactly when a is the smallest of (top - path) / hump. A path that
    # is too high already is left to the folding: a hump downward would bend its quiet ends.
    height = np.maximum(((top_log[:, None] - inside) / hump).min(axis=1), 0.0)
    hump *= height[:, None]
    inside += hump


def _fold(inside: Floats, low_log: Floats, high_log: Floats) -> None:
    reach = (high_log - low_log)[:, None]
    inside -= low_log[:, None]
    np.mod(inside, np.maximum(2.0 * reach, 1e-300), out=inside)
    np.subtract(inside, reach, out=inside)
    np.abs(inside, out=inside)
    np.subtract(reach + low_log[:, None], inside, out=inside)


def ticks_of_bars(bars_usd: Floats, uniform: Floats) -> Floats:
    """Return prices of ticks `[b, K]` of bars: open, low and high in a drawn order, close.

    `bars_usd` `[4, b]` is open, high, low, close on the grid; `uniform` `[3, b]` in [0, 1) decides
    order and instants. The first tick is the open, the last the close, the extremes are touched;
    between these the price moves in straight lines on the grid.
    """
    opened, high, low, closed = bars_usd
    last = TICKS_PER_MINUTE - 1
    rising = closed >= opened
    low_first = uniform[0] < np.where(rising, LOW_FIRST_IN_RISING_BAR, 1 - LOW_FIRST_IN_RISING_BAR)
    one = np.where(low_first, low, high)[:, None]
    two = np.where(low_first, high, low)[:, None]
    half = TICKS_PER_MINUTE // 2
    first_at = (1 + np.floor(uniform[1] * (half - 1)))[:, None]
    second_at = (half + np.floor(uniform[2] * (last - half)))[:, None]
    at = np.arange(TICKS_PER_MINUTE, dtype=np.float64)
    before = opened[:, None] + (one - opened[:, None]) * (at / first_at)
    between = one + (two - one) * ((at - first_at) / (second_at - first_at))
    after = two + (closed[:, None] - two) * ((at - second_at) / (last - second_at))
    path = np.where(at <= first_at, before, np.where(at <= second_at, between, after))
    # On the grid every corner is again exactly the price it was drawn through.
    return on_grid(path)


def split_shares(total_shares: Floats, weights: Floats) -> Floats:
    """Return whole shares `[..., k]` that sum to `total_shares` `[...]` exactly.

    `weights` `[..., k]` are positive; what rounding down leaves goes to the last part.
    """
    parts: Floats = np.floor(weights * (total_shares / weights.sum(axis=-1))[..., None])
    parts[..., -1] += total_shares - parts.sum(axis=-1)
    return parts

"""Other paths the same returns might have taken, and what each way of drawing them destroys."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from arch.bootstrap import StationaryBootstrap

from domain.market import Floats
from research import metrics
from research.evaluation.comparing import SEED, block_length

PATHS = 1_000


class Drawing(StrEnum):
    """How paths are drawn."""

    BLOCKS = "stationary bootstrap"
    SHUFFLE = "shuffled"


DESTROYS = {
    Drawing.BLOCKS: (
        "Blocks of sessions, drawn with replacement: keeps what one session tells of the next "
        "within a block, loses it across blocks, and knows no regime that the sample lacks."
    ),
    Drawing.SHUFFLE: (
        "The same returns in another order: destroys every dependence in time (trends, clusters of "
        "volatility), so falls look shallower than they would be; the end of the path is the same "
        "in all."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Quantiles 5 %, 50 % and 95 % over drawn paths, and how they were drawn."""

    drawing: Drawing
    destroys: str
    count: int
    growth: tuple[float, float, float]
    sharpe: tuple[float, float, float]
    max_drawdown: tuple[float, float, float]
    probability_of_loss: float


def drawn_paths(
    returns: Floats, drawing: Drawing, *, count: int = PATHS, seed: int = SEED
) -> Paths:
    """Return the figures of `count` paths drawn from returns `[t]`; deterministic in the seed."""
    draw = _drawer(returns, drawing, seed)
    growths, sharpes, falls = np.empty(count), np.empty(count), np.empty(count)
    for number in range(count):
        path = draw()
        curve = np.concatenate([[1.0], np.cumprod(1.0 + path)])
        growths[number] = metrics.growth(curve)
        sharpes[number] = metrics.sharpe(path)
        falls[number] = metrics.max_drawdown(curve).depth
    return Paths(
        drawing=drawing,
        destroys=DESTROYS[drawing],
        count=count,
        growth=_quantiles(growths),
        sharpe=_quantiles(sharpes),
        max_drawdown=_quantiles(falls),
        probability_of_loss=float(np.mean(growths < 0.0)),
    )


def _drawer(returns: Floats, drawing: Drawing, seed: int) -> Callable[[], Floats]:
    generator = np.random.default_rng(seed)
    if drawing is Drawing.SHUFFLE:
        return lambda: generator.permutation(returns)
    block = math.ceil(block_length(returns))
    resampled = StationaryBootstrap(block, returns, seed=generator)

    def draw() -> Floats:
        positions, _ = next(iter(resampled.bootstrap(1)))
        drawn: Floats = positions[0]
        return drawn

    return draw


def _quantiles(values: Floats) -> tuple[float, float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return (metrics.NAN, metrics.NAN, metrics.NAN)
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95)).tolist()
    return (low, middle, high)

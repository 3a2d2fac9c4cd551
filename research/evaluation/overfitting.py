"""The probability that choosing the best of many trials chose luck: CSCV."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from domain.errors import ConfigurationFault
from domain.market import Floats

BLOCKS = 16
"""As in the paper: 12,870 ways to halve them."""
BLOCKS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overfitting:
    """What symmetric cross-validation of trials says.

    `probability` (PBO) is the share of halvings in which the trial that was best in one half lay in
    the lower half of the ranks in the other; `logits` `[c]` of that rank, one a halving;
    `probability_of_loss` is the share in which its ratio out of sample was below 0; `slope` is that
    of its ratio out of sample on the one in sample.
    """

    probability: float
    probability_of_loss: float
    slope: float
    logits: Floats


def overfitting(returns: Floats, blocks: int = BLOCKS) -> Overfitting:
    """Return the overfitting of choosing among trials by Sharpe ratio; returns `[t, trials]`.

    The rows are cut into `blocks` (even) of equal length, what is left at the start is dropped;
    each half of the blocks is once the sample, the rest out of it. A trial that never traded has
    ratio 0. Source: D. H. Bailey, J. Borwein, M. López de Prado, Q. J. Zhu, The Probability of
    Backtest Overfitting, Journal of Computational Finance 20(4), 2017. Raises ConfigurationFault
    for fewer than two trials, or too few rows.
    """
    rows, trials = returns.shape
    if trials < 2:
        raise ConfigurationFault("overfitting is a matter of choice: it needs at least two trials")
    if blocks % 2 or not 2 <= blocks <= BLOCKS_MAX:
        raise ConfigurationFault(f"blocks must be even, from 2 to {BLOCKS_MAX}; got {blocks}")
    length = rows // blocks
    if length < 2:
        raise ConfigurationFault(f"{rows} sessions cannot be cut into {blocks} blocks of two")
    sums, squares = _moments(returns[rows - length * blocks :], blocks, length)
    logits, within, beyond = [], [], []
    total_sums, total_squares = sums.sum(axis=0), squares.sum(axis=0)
    half = length * blocks // 2
    for chosen in combinations(range(blocks), blocks // 2):
        inside = list(chosen)
        sum_in, square_in = sums[inside].sum(axis=0), squares[inside].sum(axis=0)
        ratio_in = _ratios(sum_in, square_in, half)
        ratio_out = _ratios(total_sums - sum_in, total_squares - square_in, half)
        best = int(np.argmax(ratio_in))
        rank = float(stats.rankdata(ratio_out)[best]) / (trials + 1)
        logits.append(np.log(rank / (1.0 - rank)))
        within.append(ratio_in[best])
        beyond.append(ratio_out[best])
    found = np.array(logits)
    out = np.array(beyond)
    varies = float(np.ptp(within)) > 1e-12
    return Overfitting(
        probability=float(np.mean(found <= 0.0)),
        probability_of_loss=float(np.mean(out < 0.0)),
        slope=float(stats.linregress(within, out).slope) if varies else float("nan"),
        logits=found,
    )


def _moments(returns: Floats, blocks: int, length: int) -> tuple[Floats, Floats]:
    """Return sums and sums of squares `[blocks, trials]`: every halving's ratio follows of them."""
    cut = np.nan_to_num(returns).reshape(blocks, length, returns.shape[1])
    return cut.sum(axis=1), (cut**2).sum(axis=1)


def _ratios(sums: Floats, squares: Floats, count: int) -> Floats:
    mean = sums / count
    variance = (squares - count * mean**2) / (count - 1)
    known = variance > 1e-18
    ratios = np.zeros(len(mean))
    ratios[known] = mean[known] / np.sqrt(variance[known])
    return ratios

"""Several opinions into one: each strategy's contribution to the combined strength.

All take stances `[s, ..., n]` (0 = flat) and votes of the same shape (the strategy's weight where
it has an opinion, else 0), and return contributions `[s, ..., n]`, whose sum over strategies is the
combined strength in [−1, +1]. Where nobody has an opinion all contributions are 0.
"""

from collections.abc import Callable, Mapping

import numpy as np

from allocation.rules import Combination
from domain.market import Flags, Floats

_NO_VOTES = 1e-300


def weighted(stances: Floats, votes: Floats) -> Floats:
    """Return weight × strength over the weight of all that have an opinion, the flat ones too."""
    shares = votes / np.maximum(np.add.reduce(votes, 0), _NO_VOTES)
    contributions: Floats = stances * shares
    return contributions


def majority(stances: Floats, votes: Floats) -> Floats:
    """Return equal shares of ±1 for the side that has more than half of the opining weight.

    Where neither side has, all are flat: a tie opens nothing and keeps nothing.
    """
    half = np.add.reduce(votes, 0) / 2
    longs, shorts = _sides(stances, votes)
    long_wins = np.add.reduce(votes * longs, 0) > half
    short_wins = np.add.reduce(votes * shorts, 0) > half
    return _equal_shares(longs & long_wins, shorts & short_wins)


def unanimous(stances: Floats, votes: Floats) -> Floats:
    """Return equal shares of ±1 where all that have an opinion stand on the same side."""
    opined = np.add.reduce(votes > 0, 0)
    longs, shorts = _sides(stances, votes)
    all_long = np.add.reduce(longs, 0) == opined
    all_short = np.add.reduce(shorts, 0) == opined
    return _equal_shares(longs & all_long, shorts & all_short)


def _sides(stances: Floats, votes: Floats) -> tuple[Flags, Flags]:
    opined = votes > 0
    return (stances > 0) & opined, (stances < 0) & opined


def _equal_shares(long_winners: Flags, short_winners: Flags) -> Floats:
    signed = long_winners.astype(np.float64) - short_winners
    count = np.add.reduce(np.abs(signed), 0)
    shares: Floats = signed / np.maximum(count, 1.0)
    return shares


COMBINATIONS: Mapping[Combination, Callable[[Floats, Floats], Floats]] = {
    Combination.WEIGHTED: weighted,
    Combination.MAJORITY: majority,
    Combination.UNANIMOUS: unanimous,
}

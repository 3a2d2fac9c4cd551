"""Who is in and who is out: hysteresis as a function of a strategy's own book."""

import numpy as np

from allocation.plan import Ints
from domain.market import Flags, Floats


def long_stances(strengths: Floats, held_shares: Floats, *, enter: float, exit_: float) -> Floats:
    """Return each strategy's strength where it is or comes in long, else 0 (flat, no opinion).

    In from `enter` up; a book that holds stays in while strength > `exit_`. Negative strength is
    a wish to be flat. Arrays of one shape `[..., n]`; NaN strength gives 0.
    """
    inside = (held_shares > 0) & (strengths > exit_)
    inside |= strengths >= enter
    stances: Floats = np.where(inside, strengths, 0.0)
    return stances


def signed_stances(strengths: Floats, held_shares: Floats, *, enter: float, exit_: float) -> Floats:
    """Return each strategy's strength where it is or comes in, long or short, else 0.

    The short side mirrors `long_stances`: in at −`enter`, stays below −`exit_`.
    """
    inside = (held_shares > 0) & (strengths > exit_)
    inside |= (held_shares < 0) & (strengths < -exit_)
    inside |= np.abs(strengths) >= enter
    stances: Floats = np.where(inside, strengths, 0.0)
    return stances


def held_by_minimum(
    contributions: Floats, held_shares: Floats, bars_held: Ints, *, bars_min: int
) -> Flags:
    """Return where a book must stay although its signal wants it out: held fewer than `bars_min`.

    contributions, held_shares: `[s, n]`; bars_held: `[n]`. A smaller wish on the same side is no
    exit.
    """
    young: Flags = (bars_held < bars_min) & (held_shares != 0)
    young &= contributions * held_shares <= 0
    return young


def without_entries(target_shares: Floats, held_shares: Floats) -> Floats:
    """Return targets under which no book grows or changes sides; it may shrink or leave.

    Both signed, `[s, n]`.
    """
    least, most = np.minimum(held_shares, 0.0), np.maximum(held_shares, 0.0)
    kept: Floats = np.clip(target_shares, least, most)
    return kept

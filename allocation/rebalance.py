"""What is worth trading: the no-trade band, lots, changed wishes, and the day's turnover."""

import math
from collections.abc import Sequence

import numpy as np

from allocation.books import LOT_TOLERANCE, over_books
from allocation.rules import AllocationRules
from domain.market import Flags, Floats


def band_usd(target_usd: Floats, rules: AllocationRules) -> Floats:
    """Return the dollars `[n]` a change must exceed: the larger of the share of the target's
    worth and the fixed amount."""
    return np.maximum(np.abs(target_usd) * rules.band_of_target, rules.band_usd)


def worth_trading(deltas: Floats, net: Floats, mids_usd: Floats, band: Floats) -> Flags:
    """Return where `[n]` the net order, or what books would cross inside, exceeds the band.

    deltas: what each book wants `[s, n]`; net: their sum; band: in dollars, `[n]`.
    """
    moved = over_books(np.abs(deltas))
    worth: Flags = moved * mids_usd > band
    if deltas.shape[0] > 1 and np.count_nonzero(worth):
        # a rare slot pays for the exact answer: all that moves is the net and twice what crosses
        ordered = np.abs(net)
        worth = np.maximum(ordered, (moved - ordered) / 2) * mids_usd > band
    return worth


def whole_lots(shares: float, lot: float) -> int:
    """Return the lots in signed shares, toward zero; float noise below a lot's millionth aside."""
    lots = shares / lot
    return math.trunc(lots + math.copysign(LOT_TOLERANCE, lots))


def leaving(target_shares: Floats, holds: Flags) -> Flags | None:
    """Return where `[n]` some book that `holds` `[s, n]` is to be emptied; None for nowhere."""
    emptied = target_shares == 0.0
    emptied &= holds
    if not np.count_nonzero(emptied):
        return None
    out: Flags = emptied[0] if emptied.shape[0] == 1 else np.logical_or.reduce(emptied, 0)
    return out


def flat_first(account_shares: float, change_shares: float) -> float:
    """Return the change, or, where it would carry the account through zero, what closes it.

    A flip is two orders: the opening one follows on a later slot, once the closing one filled.
    """
    after = account_shares + change_shares
    flips = account_shares * after < 0 and abs(after) > LOT_TOLERANCE * abs(account_shares)
    return -account_shares if flips else change_shares


def no_longer_wanted(working: float, wanted: float, band: float, mid_usd: float) -> bool:
    """Return whether a working order opposes the wish or overshoots it by more than the band.

    working, wanted: signed shares still to fill and still to trade (whole lots). One that falls
    short is left to fill; the rest follows on a later slot.
    """
    if working * wanted < 0:
        return True
    return (abs(working) - abs(wanted)) * mid_usd > band


def within_turnover(
    costs_usd: Sequence[float], ranks: Sequence[tuple[float, str]], left_usd: float
) -> set[int]:
    """Return which entries (by position) the day's turnover still pays for.

    ranks: (|strength|, symbol) of each; the strongest first, equal ones by symbol. One that no
    longer fits waits whole; a smaller one behind it may still fit.
    """
    chosen: set[int] = set()
    for entry in sorted(range(len(ranks)), key=lambda i: (-ranks[i][0], ranks[i][1])):
        if costs_usd[entry] <= left_usd:
            chosen.add(entry)
            left_usd -= costs_usd[entry]
    return chosen

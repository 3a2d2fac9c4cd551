"""What is worth trading: the no-trade band, lots, changed wishes, and the day's turnover."""

import math

import numpy as np

from allocation.books import LOT_TOLERANCE
from allocation.rules import AllocationRules
from domain.market import Flags, Floats
from domain.values import Value

NOTHING = np.array(0.0)
"""An array without axes: for numpy, to make one of a Python number costs more than to use it."""


class Band(Value, frozen=True, kw_only=True, eq=False):
    """The no-trade band: a share of a target's worth, and dollars; arrays without axes."""

    of_target: Floats
    least_usd: Floats

    @staticmethod
    def of(rules: AllocationRules) -> "Band":
        """Return the band that the rules ask for."""
        return Band(of_target=np.array(rules.band_of_target), least_usd=np.array(rules.band_usd))

    def around(self, target_usd: Floats) -> Floats:
        """Return the dollars `[n]` a change must exceed: the larger of the share of the target's
        worth and the fixed amount."""
        return np.maximum(np.abs(target_usd) * self.of_target, self.least_usd)


def worth_trading(deltas: Floats, net: Floats, mids_usd: Floats, band: Floats) -> Flags:
    """Return where `[n]` the net order, or what books would cross inside, exceeds the band.

    deltas: what each book wants `[s, n]`; net: their sum; band: in dollars, `[n]`.
    """
    ordered = np.abs(net)
    moved = ordered if deltas.shape[0] == 1 else np.add.reduce(np.abs(deltas), 0)
    worth: Flags = moved * mids_usd > band
    if moved is not ordered and np.count_nonzero(worth):
        # a rare slot pays for the exact answer: all that moves is the net and twice what crosses
        worth = np.maximum(ordered, (moved - ordered) / 2) * mids_usd > band
    return worth


def whole_lots(shares: float, lot: float) -> int:
    """Return the lots in signed shares, toward zero; float noise below a lot's millionth aside."""
    lots = shares / lot
    return math.trunc(lots + math.copysign(LOT_TOLERANCE, lots))


def leaving(target_shares: Floats, holds: Flags) -> Flags | None:
    """Return where `[n]` some book that `holds` `[s, n]` is to be emptied; None for nowhere."""
    if target_shares.shape[0] == 1:
        emptied: Flags = target_shares[0] == NOTHING
        emptied &= holds[0]
        return emptied if np.count_nonzero(emptied) else None
    emptied = target_shares == NOTHING
    emptied &= holds
    return np.logical_or.reduce(emptied, 0) if np.count_nonzero(emptied) else None


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

"""What is wanted against what is held: the gaps of one slot, or of many in a row."""

import numpy as np

from allocation.books import over_books
from allocation.plan import OUTCOME_CODES, AllocationInputs, Codes
from allocation.rebalance import Band, leaving, worth_trading
from allocation.targets import Books, Targets, Wishes
from domain.market import Flags, Floats
from domain.snapshot import Outcome
from domain.values import Value

_NO_SIGNAL, _HOLDING = OUTCOME_CODES[Outcome.NO_SIGNAL], OUTCOME_CODES[Outcome.HOLDING]
_QUIET = np.array([_NO_SIGNAL, _HOLDING, _NO_SIGNAL, OUTCOME_CODES[Outcome.IN_BAND]], dtype=np.int8)
"""Outcome without an order, by 2 × decided + (holds or wants something)."""
_QUIET_DECIDED = _QUIET[2:]


class Gaps(Value, frozen=True, kw_only=True, eq=False):
    """What the books would trade: arrays `[n]`, or `[t, n]` for many slots, in shares unless named
    otherwise.

    deltas: of each book `[s, ..., n]`; total: what all books should hold, gap: less what they do.
    acts: where that is worth trading; the opinions and orders that forbid it are not looked at.
    """

    deltas: Floats
    total: Floats
    gap: Floats
    value_usd: Floats
    band: Floats
    acts: Flags

    def at(self, row: int) -> "Gaps":
        """Return the gaps of one of many slots."""
        return Gaps(
            deltas=self.deltas[:, row],
            total=self.total[row],
            gap=self.gap[row],
            value_usd=self.value_usd[row],
            band=self.band[row],
            acts=self.acts[row],
        )


class Weighed(Value, frozen=True, kw_only=True, eq=False):
    """One slot half way: its wishes and gaps `[n]`, and the outcomes and reasons filled in.

    works: where an order works, None for nowhere.
    """

    inputs: AllocationInputs
    targets: Targets
    gaps: Gaps
    works: Flags | None
    outcomes: Codes
    reasons: dict[int, tuple[str, ...]]

    def note(self, column: int, outcome: int, *reasons: str) -> None:
        """Record what became of a column, and why."""
        self.outcomes[column] = outcome
        if reasons:
            self.reasons[column] = self.reasons.get(column, ()) + reasons


def gaps_of(shares: Floats, books: Books, mids_usd: Floats, around: Band) -> Gaps:
    """Return the gaps between target shares and the books `[s, ..., n]`, at mids `[..., n]`."""
    total = over_books(shares)
    gap = total - books.own
    deltas = gap[None] if shares.shape[0] == 1 else shares - books.held
    value_usd = total * mids_usd
    band = around.around(value_usd)
    acts = worth_trading(deltas, gap, mids_usd, band)
    emptied = leaving(shares, books.holds)
    if emptied is not None:
        acts |= emptied
    return Gaps(deltas=deltas, total=total, gap=gap, value_usd=value_usd, band=band, acts=acts)


def quiet_outcomes(wishes: Wishes, occupied: Flags) -> Codes:
    """Return the outcomes `[..., n]` without an order; `occupied`: something is held or wanted."""
    if wishes.all_decided:
        return _QUIET_DECIDED.take(occupied)
    return _QUIET.take(2 * wishes.decided + occupied)

"""What is wanted against what is held: the gaps of one slot, or of many in a row."""

from collections.abc import Callable

import numpy as np

from allocation.books import over_books
from allocation.plan import OUTCOME_CODES, AllocationInputs, Codes, Wanted
from allocation.rebalance import Band, leaving, worth_trading
from allocation.targets import Books, Targets, Wishes
from domain.market import Flags, Floats
from domain.signals import StrategyName
from domain.snapshot import Outcome
from domain.values import Value

_NO_SIGNAL, _HOLDING = OUTCOME_CODES[Outcome.NO_SIGNAL], OUTCOME_CODES[Outcome.HOLDING]
_QUIET = np.array([_NO_SIGNAL, _HOLDING, _NO_SIGNAL, OUTCOME_CODES[Outcome.IN_BAND]], dtype=np.int8)
"""Outcome without an order, by 2 × decided + (holds or wants something)."""
QUIET_DECIDED = _QUIET[2:]
"""The same where all is decided, by (holds or wants something)."""


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


class Column(Value, frozen=True, kw_only=True, eq=False):
    """One column that acts: shares, but the `weight` it is to have of equity, the combined
    `strength` and the mid. `held` and `deltas` are by book; `target` is what all are to hold,
    `is_wanted`: any of them."""

    index: int
    held: list[float]
    deltas: list[float]
    is_wanted: bool
    account: float
    own: float
    gap: float
    target: float
    strength: float
    weight: float
    mid_usd: float


class Weighed(Value, frozen=True, kw_only=True, eq=False):
    """One slot half way: the columns that act, and the outcomes and reasons `[n]` filled in.

    names: of the books. whole: its targets and gaps `[n]`, told when asked for. is_plain: no cap
    has bound, no price is missing and no minimum hold keeps anybody. works: where an order works,
    None for nowhere.
    """

    inputs: AllocationInputs
    names: tuple[StrategyName, ...]
    columns: list[Column]
    whole: Callable[[], "Whole"]
    is_plain: bool
    works: Flags | None
    outcomes: Codes
    reasons: dict[int, tuple[str, ...]]

    def note(self, column: int, outcome: int, *reasons: str) -> None:
        """Record what became of a column, and why."""
        self.outcomes[column] = outcome
        if reasons:
            self.reasons[column] = self.reasons.get(column, ()) + reasons

    def wanted(self) -> Wanted:
        """Return what is wanted, as an allocation tells it."""
        targets, gaps = self.whole()
        wishes = targets.wishes
        return Wanted(
            names=self.names,
            shares=targets.shares,
            value_usd=gaps.value_usd,
            combined=targets.combined,
            decided=None if wishes.all_decided else wishes.decided,
        )


Whole = tuple[Targets, Gaps]


def weighed(
    inputs: AllocationInputs,
    targets: Targets,
    gaps: Gaps,
    outcomes: Codes,
    works: Flags | None = None,
) -> Weighed:
    """Return a slot half way, by its targets and gaps `[n]`."""
    wishes = targets.wishes
    acting = gaps.acts.nonzero()[0].tolist()
    return Weighed(
        inputs=inputs,
        names=wishes.books.names,
        columns=[_column(inputs, targets, gaps, index) for index in acting],
        whole=lambda: (targets, gaps),
        is_plain=wishes.silent is None and wishes.kept is None and not targets.limits,
        works=works,
        outcomes=outcomes,
        reasons={},
    )


def _column(inputs: AllocationInputs, targets: Targets, gaps: Gaps, index: int) -> Column:
    books = targets.wishes.books
    return Column(
        index=index,
        held=books.held[:, index].tolist(),
        deltas=gaps.deltas[:, index].tolist(),
        is_wanted=bool(np.count_nonzero(targets.shares[:, index])),
        account=inputs.account_shares.item(index),
        own=books.own.item(index),
        gap=gaps.gap.item(index),
        target=gaps.total.item(index),
        strength=targets.combined.item(index),
        weight=gaps.value_usd.item(index) / inputs.equity_usd,
        mid_usd=inputs.mids_usd.item(index),
    )


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
        return QUIET_DECIDED.take(occupied)
    return _QUIET.take(2 * wishes.decided + occupied)

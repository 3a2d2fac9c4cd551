"""What allocation is given at a slot and what it answers."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import cast

import numpy as np
from numpy.typing import NDArray

from domain.instruments import Symbol, Universe
from domain.market import Flags, Floats
from domain.orders import BookName, Leg, Side
from domain.signals import StrategyName
from domain.snapshot import Outcome
from domain.values import Value, remember

Ints = NDArray[np.int64]
Codes = NDArray[np.int8]

OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
"""Code → outcome: `OUTCOMES[allocation.outcomes[column]]`."""
OUTCOME_CODES: Mapping[Outcome, int] = {outcome: code for code, outcome in enumerate(OUTCOMES)}


class AllocationInputs(Value, frozen=True, kw_only=True, eq=False):
    """Everything one slot is decided on. Arrays `[n]` in the universe's column order.

    strengths: latest accepted opinion of each strategy, NaN = none. weights: of the enabled
    strategies; one that is missing here or weighs 0 neither speaks nor trades (shadow).
    book_shares: signed shares of every book, `external` and `operator` among them.
    account_shares: what the account holds, Σ of all books. working_shares: signed shares still
    to fill of the symbol's working order, 0 = none; where `locked`, that order is not
    allocation's (protective exit, operator's) and is never canceled here. mids_usd: NaN = no
    usable price; marks_usd: last good price, weighs what is held where the mid is missing.
    volatility: annualised, NaN = take the universe's own. cluster_of: id from 0, −1 = none; a
    function is called only when a cap may bind, and must be the same one while its answer is.
    bars_held: bars since the strategies entered, large when they hold nothing. blocked: no new
    entry here (cooldown, quarantine). turnover_left_usd: what entries may still cost today.
    """

    universe: Universe
    equity_usd: float
    mids_usd: Floats
    strengths: Mapping[StrategyName, Floats]
    weights: Mapping[StrategyName, float]
    book_shares: Mapping[BookName, Floats]
    account_shares: Floats
    working_shares: Floats
    volatility: Floats
    cluster_of: Ints | Callable[[], Ints]
    bars_held: Ints
    blocked: Flags
    turnover_left_usd: float
    locked: Flags | None = None
    marks_usd: Floats | None = None


class PlannedOrder(Value, frozen=True, kw_only=True):
    """One net order. `deltas` are what each book wants of it and sum to the signed quantity;
    opposite ones among them cross inside at its fill price."""

    column: int
    symbol: Symbol
    side: Side
    quantity_shares: Decimal
    leg: Leg
    deltas: Mapping[BookName, Decimal]
    reason: str


class Crossing(Value, frozen=True, kw_only=True):
    """Shares that change books at the slot's mid, with no order: `deltas` sum to zero."""

    column: int
    symbol: Symbol
    deltas: Mapping[BookName, Decimal]
    reason: str


class Wanted(Value, frozen=True, kw_only=True, eq=False):
    """What is wanted at one slot: signed shares `[s, n]` that each of the `names`d books should
    hold (its present ones where it holds), and `[n]` what they are worth together, the combined
    strength in [−1, +1], and where both count (decided; None = everywhere)."""

    names: tuple[StrategyName, ...]
    shares: Floats
    value_usd: Floats
    combined: Floats
    decided: Flags | None

    def where_decided(self, values: Floats) -> Floats:
        """Return values `[n]`, NaN where nothing is decided."""
        return values if self.decided is None else np.where(self.decided, values, np.nan)


class Allocation(Value, frozen=True, kw_only=True, eq=False):
    """What is wanted at one slot, and why not more. Arrays `[n]`.

    wanted: told when asked for. outcomes: codes of `OUTCOMES`. planned: at most one order a
    column; what closes first (by symbol), then entries, the strongest first. cancel: columns
    whose working order no longer fits the wish. reasons: column → words.
    """

    wanted: Callable[[], Wanted]
    equity_usd: float
    outcomes: Codes
    planned: tuple[PlannedOrder, ...]
    crossings: tuple[Crossing, ...]
    cancel: tuple[int, ...]
    reasons: Mapping[int, tuple[str, ...]]
    _weight: Floats | None = None

    @property
    def target_weight(self) -> Floats:
        """Signed share of equity for all enabled strategies' books together, NaN = hold (no opinion
        that counts, or no price)."""
        if self._weight is None:
            # Worked out when somebody asks: of most slots nobody does.
            wanted = self.wanted()
            weight = wanted.value_usd / (self.equity_usd or 1.0)
            remember(self, "_weight", wanted.where_decided(weight))
        return cast(Floats, self._weight)

    @property
    def combined_strength(self) -> Floats:
        """In [−1, +1], NaN as in `target_weight`."""
        wanted = self.wanted()
        return wanted.where_decided(wanted.combined)

    @property
    def book_targets(self) -> Mapping[StrategyName, Floats]:
        """Signed shares that each enabled strategy's book should hold."""
        wanted = self.wanted()
        return dict(zip(wanted.names, wanted.shares, strict=True))

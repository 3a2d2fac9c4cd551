"""Allocation looked at for many slots in a row, under books that do not change meanwhile.

Everything here is made of the functions that decide a single slot, on arrays with one axis more. It
plans no order: it says at which slots none would be planned, and what is recorded of those. Where
anything may be traded, or any cap may bind, the slot is for `Allocator.allocate` to decide.
"""

import numpy as np

from allocation.allocate import quiet_outcomes
from allocation.plan import OUTCOME_CODES, AllocationInputs, Codes
from allocation.rebalance import band_usd, leaving, worth_trading
from allocation.rules import AllocationRules
from allocation.targets import A_HAIR_LESS, TargetSetter, Wishes
from domain.instruments import Universe
from domain.market import Flags, Floats
from domain.snapshot import Outcome
from domain.values import Value

_MIN_HOLD = OUTCOME_CODES[Outcome.MIN_HOLD]


class QuietSlots(Value, frozen=True, kw_only=True, eq=False):
    """How many slots from the first on come to nothing, and their outcomes `[count, n]`."""

    count: int
    outcomes: Codes


class StackedAllocator:
    """Finds quiet slots for one universe under one set of rules; pure, its tables made once."""

    def __init__(self, universe: Universe, rules: AllocationRules) -> None:
        self._setter = _Unbound(universe, rules)
        self._rules = rules

    def quiet_slots(self, inputs: AllocationInputs, equity_usd: Floats) -> QuietSlots:
        """Return the slots, from the first on, at which `allocate` would neither trade nor meet a
        cap, and the outcomes it would give.

        Of `inputs`, `mids_usd`, `bars_held` and every strength are `[t, n]`, one row a slot; all
        mids are known, nothing is blocked and no order works. equity_usd: `[t]`, positive.
        """
        equity = equity_usd[:, None]
        wishes, shares, is_free = self._setter.unbound(inputs, equity)
        books = wishes.books
        deltas = shares - books.held[:, None]
        total = np.add.reduce(shares, 0)
        value_usd = total * inputs.mids_usd
        band = band_usd(value_usd, self._rules)
        acts = worth_trading(deltas, total - books.own, inputs.mids_usd, band)
        emptied = leaving(shares, books.holds[:, None])
        if emptied is not None:
            acts |= emptied
        acts &= wishes.decided
        quiet = is_free & ~np.logical_or.reduce(acts, -1)
        count = quiet.shape[0] if quiet.all() else int(np.argmin(quiet))
        outcomes = quiet_outcomes(wishes, np.logical_or(books.own, total))
        if wishes.kept is not None:
            outcomes[wishes.kept] = _MIN_HOLD
        return QuietSlots(count=count, outcomes=outcomes[:count])


class _Unbound(TargetSetter):
    """Targets of many slots as they are while no cap binds."""

    def unbound(self, inputs: AllocationInputs, equity_usd: Floats) -> tuple[Wishes, Floats, Flags]:
        """Return the wishes, the target shares `[s, t, n]`, and at which slots `[t]` it is certain
        that no cap binds. equity_usd: `[t, 1]`."""
        mids = inputs.mids_usd
        wishes = self._wishes(inputs, np.ones(mids.shape, dtype=np.bool_))
        held, moves = wishes.books.held[:, None], wishes.moves
        outside = wishes.books.outside
        fixed_shares = np.zeros(mids.shape) if outside is None else outside
        if moves is not None:
            fixed_shares = inputs.account_shares - np.add.reduce(held * moves, 0)
        combined = np.add.reduce(wishes.contributions, 0)
        size = self._size(inputs.volatility)
        load = np.abs(combined) * size + np.abs(fixed_shares) * (mids / equity_usd)
        shares = wishes.contributions * (size * (equity_usd / mids))
        if moves is not None:
            shares = np.where(moves, shares, held)
        return wishes, shares, self._is_free(load, inputs)

    def _is_free(self, load: Floats, inputs: AllocationInputs) -> Flags:
        """Return where `[t]` no cap can bind; a hair below one counts as bound."""
        over = np.logical_or.reduce(load > self._rules.max_position * A_HAIR_LESS, -1)
        over |= np.logical_or.reduce(load @ self._all_loads > self._all_caps * A_HAIR_LESS, -1)
        together = np.add.reduce(load, -1)
        if np.count_nonzero(together > self._cluster_cap):
            clusters = self._grouped(inputs.cluster_of)
            if clusters is not None:
                used = load @ clusters.loads
                over |= np.logical_or.reduce(used > clusters.caps * A_HAIR_LESS, -1)
        free: Flags = ~over
        return free

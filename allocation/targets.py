"""From opinions to what each book should hold."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from allocation.budgets import (
    Groups,
    Limit,
    cluster_groups,
    gross_group,
    joined,
    sector_groups,
    shrink,
    tier_groups,
)
from allocation.combination import COMBINATIONS
from allocation.hysteresis import (
    held_by_minimum,
    long_stances,
    signed_stances,
    without_entries,
)
from allocation.plan import AllocationInputs, Ints
from allocation.rebalance import NOTHING, Band
from allocation.rules import AllocationRules
from allocation.sizing import base_weights, median
from domain.instruments import Universe
from domain.market import Flags, Floats
from domain.signals import StrategyName
from domain.snapshot import Outcome
from domain.values import Value

MEMO_MAX = 8
"""Volatilities and clusters change once a day; what follows from them is kept for so many."""


class Books(Value, frozen=True, kw_only=True, eq=False):
    """What the enabled strategies' books hold: signed shares `held` `[s, n]`, rows by `names`.

    holds: where that is not 0; own: the books' sum `[n]`; outside: what the account holds beyond
    them, None when nothing.
    """

    names: tuple[StrategyName, ...]
    held: Floats
    holds: Flags
    own: Floats
    outside: Floats | None

    def at_each_of(self, slots: int) -> "Books":
        """Return the books as they stay over so many slots: rows `[s, t, n]`, `own` `[t, n]`."""
        # Copied out: numpy works on arrays of one shape three times as fast as on unlike ones.
        count, width = self.held.shape
        held = np.empty((count, slots, width))
        held[:] = self.held[:, None]
        if count == 1:
            own = held[0]
        else:
            own = np.empty((slots, width))
            own[:] = self.own
        return Books(
            names=self.names, held=held, holds=held != NOTHING, own=own, outside=self.outside
        )


class Wishes(Value, frozen=True, kw_only=True, eq=False):
    """What the opinions ask for before any cap; rows `[s, n]` in the order of the books.

    books: what they hold. contributions: signed, Σ over books in [−1, +1]. moves: where a book
    follows its contribution, elsewhere it stays as it is (None = everywhere). decided: where an
    opinion counts and there is a price `[n]`. silent: where there is an opinion but no price; kept:
    where the minimum holding time holds somebody in (None = nowhere).
    """

    books: Books
    contributions: Floats
    moves: Flags | None
    decided: Flags
    all_decided: bool
    silent: Flags | None
    kept: Flags | None


class Targets(Value, frozen=True, kw_only=True, eq=False):
    """What each enabled strategy's book should hold: signed `shares` `[s, n]`.

    combined: `[n]` in [−1, +1]. size: share of equity at full strength, before caps `[n]`.
    limits: the caps that took from what was wanted.
    """

    wishes: Wishes
    shares: Floats
    combined: Floats
    size: Floats
    limits: tuple[Limit, ...]


class _Prices(Value, frozen=True, kw_only=True, eq=False):
    """Conversions `[n]` between shares and shares of equity. usable: there is a mid; without
    one, `weight_per_share` is by the last good price (0 = never seen)."""

    usable: Flags
    weight_per_share: Floats
    shares_per_weight: Floats


class TargetSetter:
    """Targets of one universe under one set of rules; a pure function, its tables made once."""

    def __init__(self, universe: Universe, rules: AllocationRules) -> None:
        self._rules = rules
        self._volatility = np.array([i.volatility for i in universe.instruments], dtype=np.float64)
        self._stances = signed_stances if rules.allow_shorts else long_stances
        self._combine = COMBINATIONS[rules.method]
        self._tiers = tier_groups(universe, rules.tier_budgets)
        self._sectors = sector_groups(universe, rules.sector_caps, rules.etf_cap)
        self._gross = gross_group(universe, rules.max_gross)
        self._all_loads, self._all_caps = joined((self._tiers, self._sectors, self._gross))
        self._size_of = lru_cache(maxsize=MEMO_MAX)(self._sizes)
        self._clusters_of = lru_cache(maxsize=MEMO_MAX)(self._clusters)
        self._enabled = lru_cache(maxsize=MEMO_MAX)(self._strategies)
        self._band = Band.of(rules)
        self._none = np.zeros(len(universe))
        self._silence = np.full(len(universe), np.nan)
        self._books_of: tuple[AllocationInputs, Books] | None = None
        self._sized: tuple[Floats, Floats] | None = None
        self._clustered: tuple[Ints | Callable[[], Ints], Groups | None] | None = None
        self._cluster_cap = rules.cluster_names_max * rules.target_position * A_HAIR_LESS
        self._voting: tuple[Mapping[StrategyName, float], _Voters] | None = None

    def reachable_gross(self) -> float:
        """Return the gross exposure if every name were wanted at full strength."""
        size = self._size_of(self._volatility.tobytes())
        magnitude, _ = self._under_groups(size, self._none)
        return float(magnitude.sum())

    def set_targets(self, inputs: AllocationInputs) -> Targets:
        """Return what each enabled strategy's book should hold. Shapes as in `Targets`."""
        prices = _prices(inputs)
        wishes = self._wishes(inputs, prices.usable)
        held, moves = wishes.books.held, wishes.moves
        fixed_shares = _fixed(inputs, wishes)
        fixed = None
        if fixed_shares is not None:
            fixed = np.abs(fixed_shares) * prices.weight_per_share
        combined = np.add.reduce(wishes.contributions, 0)
        size = self._size(inputs.volatility)
        wanted = np.abs(combined) * size
        limits: list[Limit] = []
        allowed = self._under_caps(wanted, fixed, inputs.cluster_of, limits)
        scale = _rescaled(size, wanted, allowed) if limits else size
        shares = wishes.contributions * (scale * prices.shares_per_weight)
        if moves is not None:
            shares = np.where(moves, shares, held)
        if np.count_nonzero(inputs.blocked):
            # after the caps: a block on one name takes or gives no other any room
            shares = np.where(inputs.blocked, without_entries(shares, held), shares)
            limits.append(_limit(_BLOCKED, inputs.blocked))
        return Targets(
            wishes=wishes, shares=shares, combined=combined, size=size, limits=tuple(limits)
        )

    def _wishes(self, inputs: AllocationInputs, priced: Flags) -> Wishes:
        rules = self._rules
        names, weights, votes = self._voters(inputs.weights)
        books = self._books(inputs, names)
        held = books.held
        strengths = _stacked(names, inputs.strengths, self._silence)
        opined = strengths == strengths  # NaN differs from itself
        silent = kept = moves = None
        decided, all_decided = priced, True
        said, usable = np.count_nonzero(opined), np.count_nonzero(priced)
        if not names or said < opined.size or usable < priced.size:
            silent = np.logical_or.reduce(opined, 0) & ~priced
            silent = silent if np.count_nonzero(silent) else None
            opined &= priced
            decided = np.logical_or.reduce(opined, 0)
            all_decided = np.count_nonzero(decided) == decided.size
            moves, votes = opined, weights * opined
        stances = self._stances(strengths, held, enter=rules.enter, exit_=rules.exit)
        contributions = self._combine(stances, votes)
        if np.count_nonzero(inputs.bars_held < rules.hold_bars_min):
            contributions, moves, kept = self._under_minimum(
                contributions, opined, held, inputs.bars_held
            )
        return Wishes(
            books=books,
            contributions=contributions,
            moves=moves,
            decided=decided,
            all_decided=all_decided,
            silent=silent,
            kept=kept,
        )

    def _under_minimum(
        self, contributions: Floats, opined: Flags, held: Floats, bars_held: Ints
    ) -> tuple[Floats, Flags, Flags]:
        """Return contributions `[s, ..., n]` and what may move, without what was entered too lately
        to leave, and where `[..., n]` that is."""
        staying = opined & held_by_minimum(
            contributions, held, bars_held, bars_min=self._rules.hold_bars_min
        )
        kept: Flags = np.logical_or.reduce(staying, 0)
        return np.where(staying, 0.0, contributions), opined & ~staying, kept

    def _books(self, inputs: AllocationInputs, names: tuple[StrategyName, ...]) -> Books:
        """Return what the books hold; the same mapping and account are the same books."""
        if self._books_of is not None:
            before, books = self._books_of
            if (
                before.book_shares is inputs.book_shares
                and before.account_shares is inputs.account_shares
                and books.names == names
            ):
                return books
        account, outside = inputs.account_shares, None
        if len(names) == 1:
            own = inputs.book_shares.get(names[0], self._none)
            held = own[None]
        else:
            held = _stacked(names, inputs.book_shares, self._none)
            own = np.add.reduce(held, 0)
        if own is not account:
            outside = account - own
            outside = outside if np.count_nonzero(outside) else None
        books = Books(names=names, held=held, holds=held != NOTHING, own=own, outside=outside)
        self._books_of = inputs, books
        return books

    def _under_caps(
        self,
        wanted: Floats,
        fixed: Floats | None,
        cluster_of: Ints | Callable[[], Ints],
        limits: list[Limit],
    ) -> Floats:
        """Return |weights| `[n]` under every cap, and add the caps that bound to `limits`.

        fixed: |weight| that counts and does not move, None = nowhere any.
        """
        allowed = wanted
        over = (allowed if fixed is None else allowed + fixed) > self._rules.max_position
        stays = self._none if fixed is None else fixed
        if np.count_nonzero(over):
            limits.append(_limit(_POSITION, over))
            allowed = np.minimum(allowed, np.maximum(self._rules.max_position - stays, 0.0))
        # What all names together do not fill, no cluster of them does.
        together = float(np.add.reduce(allowed if fixed is None else allowed + fixed))
        clusters = self._grouped(cluster_of) if together > self._cluster_cap else None
        if clusters is not None:
            allowed, bound = shrink(allowed, stays, clusters)
            limits += bound
        allowed, bound = self._under_groups(allowed, stays)
        limits += bound
        return allowed

    def _under_groups(self, magnitude: Floats, fixed: Floats) -> tuple[Floats, list[Limit]]:
        """Return magnitudes under tiers, then sectors, then gross, each seeing the ones before."""
        limits: list[Limit] = []
        load = magnitude if fixed is self._none else magnitude + fixed
        used = load @ self._all_loads
        if np.count_nonzero(used > self._all_caps):
            for groups in (self._tiers, self._sectors, self._gross):
                magnitude, bound = shrink(magnitude, fixed, groups)
                limits += bound
        return magnitude, limits

    def _voters(self, weights: Mapping[StrategyName, float]) -> "_Voters":
        if self._voting is None or self._voting[0] is not weights:
            self._voting = weights, self._enabled(tuple(weights.items()))
        return self._voting[1]

    def _strategies(self, weights: tuple[tuple[StrategyName, float], ...]) -> "_Voters":
        """Return the enabled strategies, sorted, their weights `[s, 1]`, and the votes `[s, n]`
        when all have an opinion on everything."""
        enabled = sorted((name, weight) for name, weight in weights if weight > 0)
        column = np.array([weight for _, weight in enabled], dtype=np.float64)[:, None]
        votes = np.repeat(column, self._none.shape[0], axis=1)
        return tuple(name for name, _ in enabled), column, votes

    def _size(self, volatility: Floats) -> Floats:
        # The day's statistics are the same array all day long; else equal ones are found again.
        if self._sized is None or self._sized[0] is not volatility:
            self._sized = volatility, self._size_of(volatility.tobytes())
        return self._sized[1]

    def _grouped(self, cluster_of: Ints | Callable[[], Ints]) -> Groups | None:
        if self._clustered is None or self._clustered[0] is not cluster_of:
            found = cluster_of() if callable(cluster_of) else cluster_of
            self._clustered = cluster_of, self._clusters_of(found.tobytes())
        return self._clustered[1]

    def _sizes(self, volatility_bytes: bytes) -> Floats:
        return self._sizes_at(np.frombuffer(volatility_bytes, dtype=np.float64), median)

    def _sizes_at(self, given: Floats, middle: Callable[[Floats], float | Floats]) -> Floats:
        """Return the sizes `[..., n]` under volatilities as far as they are known; `middle` is what
        they are measured by where the rules name nothing."""
        rules = self._rules
        volatility = np.where(given > 0, given, self._volatility)
        reference = rules.volatility_reference or middle(volatility)
        return base_weights(
            volatility,
            reference=reference,
            target_position=rules.target_position,
            max_position=rules.max_position,
        )

    def _clusters(self, cluster_bytes: bytes) -> Groups | None:
        groups = cluster_groups(
            np.frombuffer(cluster_bytes, dtype=np.int64),
            self._rules.cluster_names_max * self._rules.target_position,
        )
        return groups if groups.names else None


A_HAIR_LESS = 1.0 - 1e-9
"""So that sums taken in another order cannot differ on which side of a cap they lie."""
_Voters = tuple[tuple[StrategyName, ...], Floats, Floats]
_BLOCKED = "entry is blocked: cooldown, quarantine, or refused by the venue"
_POSITION = "position limit, counting what other books hold"


def _limit(words: str, columns: Flags) -> Limit:
    return Limit(words=words, outcome=Outcome.BUDGET, columns=columns)


def _stacked(
    names: tuple[StrategyName, ...], rows: Mapping[str, Floats], missing: Floats
) -> Floats:
    """Return the named rows as one matrix `[s, n]`, `missing` for those that are not there."""
    if not names:
        return np.empty((0, *missing.shape))
    return np.array([rows.get(name, missing) for name in names], dtype=np.float64)


def _fixed(inputs: AllocationInputs, wishes: Wishes) -> Floats | None:
    """Return the signed shares `[n]` that count and do not move, None when there are none."""
    fixed = wishes.books.outside
    if wishes.moves is not None:
        fixed = inputs.account_shares - np.add.reduce(wishes.books.held * wishes.moves, 0)
    if not wishes.all_decided:
        waiting = np.where(wishes.decided, 0.0, inputs.working_shares)
        fixed = waiting if fixed is None else fixed + waiting
    return fixed


def _rescaled(size: Floats, wanted: Floats, allowed: Floats) -> Floats:
    shrunk = np.divide(allowed, wanted, out=np.ones_like(wanted), where=wanted > 0)
    scale: Floats = size * shrunk
    return scale


def _prices(inputs: AllocationInputs) -> _Prices:
    mids, equity_usd = inputs.mids_usd, inputs.equity_usd
    usable = mids > 0.0
    usable &= mids < np.inf
    if equity_usd > 0 and np.count_nonzero(usable) == usable.size:
        return _Prices(
            usable=usable, weight_per_share=mids / equity_usd, shares_per_weight=equity_usd / mids
        )
    if not equity_usd > 0:
        nothing = np.zeros(mids.shape)
        return _Prices(
            usable=np.zeros(mids.shape, dtype=np.bool_),
            weight_per_share=nothing,
            shares_per_weight=nothing,
        )
    marks = mids if inputs.marks_usd is None else inputs.marks_usd
    marked = np.where((marks > 0) & (marks < np.inf), marks, 0.0)
    return _Prices(
        usable=usable,
        weight_per_share=np.where(usable, mids, marked) / equity_usd,
        shares_per_weight=np.where(usable, equity_usd / np.where(usable, mids, 1.0), 0.0),
    )

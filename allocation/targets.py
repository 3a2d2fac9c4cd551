"""From opinions to what each book should hold."""

from collections.abc import Mapping
from dataclasses import dataclass
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
from allocation.rules import AllocationRules
from allocation.sizing import base_weights, median
from domain.instruments import Universe
from domain.market import Flags, Floats
from domain.signals import StrategyName
from domain.snapshot import Outcome

MEMO_MAX = 8
"""Volatilities and clusters change once a day; what follows from them is kept for so many."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wishes:
    """What the opinions ask for before any cap; rows `[s, n]` in the order of `names`.

    held: signed shares of each book; own: their sum `[n]`. contributions: signed, Σ over books in
    [−1, +1]. moves: where a book follows its contribution; elsewhere it stays as it is. decided:
    where an opinion counts and there is a price `[n]`. silent: where there is an opinion but no
    price; kept: where the minimum holding time holds somebody in (None = nowhere).
    """

    names: tuple[StrategyName, ...]
    held: Floats
    own: Floats
    contributions: Floats
    moves: Flags
    decided: Flags
    silent: Flags | None
    kept: Flags | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """What each enabled strategy's book should hold: signed `shares` `[s, n]`.

    combined: `[n]` in [−1, +1]. size: share of equity at full strength, before caps `[n]`.
    limits: the caps that took from what was wanted.
    """

    wishes: Wishes
    shares: Floats
    combined: Floats
    size: Floats
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prices:
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
        self._none = np.zeros(len(universe))
        self._silence = np.full(len(universe), np.nan)

    def reachable_gross(self) -> float:
        """Return the gross exposure if every name were wanted at full strength."""
        size = self._size_of(self._volatility.tobytes())
        magnitude, _ = self._under_groups(size, self._none)
        return float(magnitude.sum())

    def set_targets(self, inputs: AllocationInputs) -> Targets:
        """Return what each enabled strategy's book should hold. Shapes as in `Targets`."""
        prices = _prices(inputs)
        wishes = self._wishes(inputs, prices.usable)
        held, moves = wishes.held, wishes.moves
        all_move = np.count_nonzero(moves) == moves.size
        movable = wishes.own if all_move else np.add.reduce(held * moves, 0)
        fixed_shares = inputs.account_shares - movable
        if np.count_nonzero(wishes.decided) < fixed_shares.shape[0]:
            fixed_shares += np.where(wishes.decided, 0.0, inputs.working_shares)
        fixed = np.abs(fixed_shares) * prices.weight_per_share
        combined = np.add.reduce(wishes.contributions, 0)
        size = self._size_of(inputs.volatility.tobytes())
        wanted = np.abs(combined) * size
        limits: list[Limit] = []
        allowed = self._under_caps(wanted, fixed, inputs.cluster_of, limits)
        scale = _rescaled(size, wanted, allowed) if limits else size
        shares = wishes.contributions * (scale * prices.shares_per_weight)
        if not all_move:
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
        names, weights = self._enabled(tuple(inputs.weights.items()))
        strengths = _stacked(names, inputs.strengths, self._silence)
        held = _stacked(names, inputs.book_shares, self._none)
        opined = strengths == strengths  # NaN differs from itself
        silent = kept = None
        if np.count_nonzero(priced) < priced.shape[0]:
            silent = np.logical_or.reduce(opined, 0) & ~priced
            opined &= priced
        decided = np.logical_or.reduce(opined, 0)
        stances = self._stances(strengths, held, enter=rules.enter, exit_=rules.exit)
        contributions = self._combine(stances, weights * opined)
        moves = opined
        if np.count_nonzero(inputs.bars_held < rules.hold_bars_min):
            staying = opined & held_by_minimum(
                contributions, held, inputs.bars_held, bars_min=rules.hold_bars_min
            )
            kept = np.logical_or.reduce(staying, 0)
            contributions = np.where(staying, 0.0, contributions)
            moves = opined & ~staying
        return Wishes(
            names=names,
            held=held,
            own=np.add.reduce(held, 0),
            contributions=contributions,
            moves=moves,
            decided=decided,
            silent=silent,
            kept=kept,
        )

    def _under_caps(
        self, wanted: Floats, fixed: Floats, cluster_of: Ints, limits: list[Limit]
    ) -> Floats:
        """Return |weights| `[n]` under every cap, and add the caps that bound to `limits`.

        fixed: |weight| that counts and does not move.
        """
        allowed = wanted
        over = allowed + fixed > self._rules.max_position
        if np.count_nonzero(over):
            limits.append(_limit(_POSITION, over))
            allowed = np.minimum(allowed, np.maximum(self._rules.max_position - fixed, 0.0))
        clusters = self._clusters_of(cluster_of.tobytes())
        if clusters is not None:
            allowed, bound = shrink(allowed, fixed, clusters)
            limits += bound
        allowed, bound = self._under_groups(allowed, fixed)
        limits += bound
        return allowed

    def _under_groups(self, magnitude: Floats, fixed: Floats) -> tuple[Floats, list[Limit]]:
        """Return magnitudes under tiers, then sectors, then gross, each seeing the ones before."""
        limits: list[Limit] = []
        used = (magnitude + fixed) @ self._all_loads
        if np.count_nonzero(used > self._all_caps):
            for groups in (self._tiers, self._sectors, self._gross):
                magnitude, bound = shrink(magnitude, fixed, groups)
                limits += bound
        return magnitude, limits

    def _strategies(
        self, weights: tuple[tuple[StrategyName, float], ...]
    ) -> tuple[tuple[StrategyName, ...], Floats]:
        """Return the enabled strategies, sorted, and their weights as a column `[s, 1]`."""
        enabled = sorted((name, weight) for name, weight in weights if weight > 0)
        column = np.array([weight for _, weight in enabled], dtype=np.float64)
        return tuple(name for name, _ in enabled), column[:, None]

    def _sizes(self, volatility_bytes: bytes) -> Floats:
        rules = self._rules
        given = np.frombuffer(volatility_bytes, dtype=np.float64)
        volatility = np.where(given > 0, given, self._volatility)
        reference = rules.volatility_reference or median(volatility)
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


_BLOCKED = "entry is blocked: cooldown or quarantine"
_POSITION = "position limit, counting what other books hold"


def _limit(words: str, columns: Flags) -> Limit:
    return Limit(words=words, outcome=Outcome.BUDGET, columns=columns)


def _stacked(
    names: tuple[StrategyName, ...], rows: Mapping[str, Floats], missing: Floats
) -> Floats:
    """Return the named rows as one matrix `[s, n]`, `missing` for those that are not there."""
    if not names:
        return np.empty((0, missing.shape[0]))
    return np.array([rows.get(name, missing) for name in names], dtype=np.float64)


def _rescaled(size: Floats, wanted: Floats, allowed: Floats) -> Floats:
    shrunk = np.divide(allowed, wanted, out=np.ones_like(wanted), where=wanted > 0)
    scale: Floats = size * shrunk
    return scale


def _prices(inputs: AllocationInputs) -> _Prices:
    mids, equity_usd = inputs.mids_usd, inputs.equity_usd
    usable = (mids > 0) & np.isfinite(mids)
    if equity_usd > 0 and np.count_nonzero(usable) == usable.shape[0]:
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

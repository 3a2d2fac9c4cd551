"""From opinions to what each book should hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from allocation.budgets import (
    Groups,
    Limit,
    cluster_groups,
    factors,
    gross_group,
    joined,
    sector_groups,
    shrink,
    tier_groups,
)
from allocation.combination import COMBINATIONS
from allocation.hysteresis import held_by_minimum, long_stances, signed_stances
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
class Targets:
    """What each enabled strategy's book holds and should hold.

    held, shares: signed shares `[s, n]` in the order of `names`. combined: `[n]` in [−1, +1].
    decided: where an opinion counts and there is a price. silent: where there is an opinion but
    no price. kept: where the minimum holding time held somebody in. uncapped: what the opinions
    alone would give, signed shares of equity `[n]`. limits: the caps that took from it.
    """

    names: tuple[StrategyName, ...]
    held: Floats
    shares: Floats
    combined: Floats
    decided: Flags
    silent: Flags | None
    kept: Flags | None
    uncapped: Floats
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Room:
    """What caps leave room for. fixed: |weight| that counts and cannot move, `[n]`; movable: the
    signed weight of the books that can."""

    size: Floats
    fixed: Floats
    movable: Floats
    blocked: Flags
    cluster_of: Ints


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
        self._none = np.zeros(len(universe))

    def reachable_gross(self) -> float:
        """Return the gross exposure if every name were wanted at full strength."""
        size = self._size_of(self._volatility.tobytes())
        magnitude, _ = self._under_groups(size, self._none)
        return float(magnitude.sum())

    def set_targets(self, inputs: AllocationInputs) -> Targets:
        """Return what each enabled strategy's book should hold. Shapes as in `Targets`."""
        rules = self._rules
        names = tuple(sorted(name for name, weight in inputs.weights.items() if weight > 0))
        strengths = self._stacked(names, inputs.strengths, np.nan)
        held = self._stacked(names, inputs.book_shares, 0.0)
        prices = _prices(inputs)
        priced = prices.usable
        opined = strengths == strengths  # NaN differs from itself
        silent = None
        if not priced.all():
            silent = np.logical_or.reduce(opined, 0) & ~priced
            opined &= priced
        stances = self._stances(strengths, held, enter=rules.enter, exit_=rules.exit)
        votes = np.array([[inputs.weights[name]] for name in names]).reshape(-1, 1) * opined
        contributions = self._combine(stances, votes)
        moves, kept = opined, None
        if (inputs.bars_held < rules.hold_bars_min).any():
            staying = held_by_minimum(
                contributions, held, inputs.bars_held, bars_min=rules.hold_bars_min
            )
            staying &= opined
            kept = np.logical_or.reduce(staying, 0)
            contributions = np.where(staying, 0.0, contributions)
            moves = opined & ~staying
        return self._targets(inputs, (names, held, contributions, moves), prices, silent, kept)

    def _targets(
        self,
        inputs: AllocationInputs,
        books: tuple[tuple[StrategyName, ...], Floats, Floats, Flags],
        prices: _Prices,
        silent: Flags | None,
        kept: Flags | None,
    ) -> Targets:
        names, held, contributions, moves = books
        decided = np.logical_or.reduce(moves, 0)
        if kept is not None:
            decided |= kept
        per_share = prices.weight_per_share
        combined = np.add.reduce(contributions, 0)
        movable_shares = np.add.reduce(held * moves, 0)
        fixed_shares = inputs.account_shares - movable_shares
        if not decided.all():
            fixed_shares += np.where(decided, 0.0, inputs.working_shares)
        volatility = inputs.volatility
        room = _Room(
            size=self._size_of(volatility.tobytes()),
            fixed=np.abs(fixed_shares) * per_share,
            movable=movable_shares * per_share,
            blocked=inputs.blocked,
            cluster_of=inputs.cluster_of,
        )
        wanted = np.abs(combined) * room.size
        allowed, limits = self._under_caps(wanted, combined, room)
        scale = room.size if not limits else _rescaled(room.size, wanted, allowed)
        shares = np.where(moves, contributions * (scale * prices.shares_per_weight), held)
        if inputs.blocked.any():
            grown = np.clip(shares, np.minimum(held, 0.0), np.maximum(held, 0.0))
            shares = np.where(inputs.blocked, grown, shares)
        return Targets(
            names=names,
            held=held,
            shares=shares,
            combined=combined,
            decided=decided,
            silent=silent,
            kept=kept,
            uncapped=combined * room.size,
            limits=limits,
        )

    def _under_caps(
        self, wanted: Floats, combined: Floats, room: _Room
    ) -> tuple[Floats, tuple[Limit, ...]]:
        limits: list[Limit] = []
        allowed = wanted
        position = np.maximum(self._rules.max_position - room.fixed, 0.0)
        over = allowed > position
        if over.any():
            limits.append(_limit(_POSITION, over))
            allowed = np.minimum(allowed, position)
        if room.blocked.any():
            held = np.maximum(room.movable * np.sign(combined), 0.0)
            limits.append(_limit(_BLOCKED, room.blocked))
            allowed = np.where(room.blocked, np.minimum(allowed, held), allowed)
        clusters = self._clusters_of(room.cluster_of.tobytes())
        if clusters is not None:
            allowed, bound = shrink(allowed, room.fixed, clusters)
            limits += bound
        allowed, bound = self._under_groups(allowed, room.fixed)
        return allowed, (*limits, *bound)

    def _under_groups(self, magnitude: Floats, fixed: Floats) -> tuple[Floats, list[Limit]]:
        """Return magnitudes under tiers, then sectors, then gross, each seeing the ones before."""
        limits: list[Limit] = []
        if factors(magnitude, fixed, self._all_loads, self._all_caps) is not None:
            for groups in (self._tiers, self._sectors, self._gross):
                magnitude, bound = shrink(magnitude, fixed, groups)
                limits += bound
        return magnitude, limits

    def _stacked(
        self, names: tuple[StrategyName, ...], rows: Mapping[str, Floats], missing: float
    ) -> Floats:
        blank = self._none + missing
        stacked = np.array([rows.get(name, blank) for name in names], dtype=np.float64)
        return stacked.reshape(len(names), blank.shape[0])

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


def _rescaled(size: Floats, wanted: Floats, allowed: Floats) -> Floats:
    shrunk = np.divide(allowed, wanted, out=np.ones_like(wanted), where=wanted > 0)
    scale: Floats = size * shrunk
    return scale


def _prices(inputs: AllocationInputs) -> _Prices:
    mids, equity_usd = inputs.mids_usd, inputs.equity_usd
    usable = (mids > 0) & (mids < np.inf)
    if equity_usd > 0 and usable.all():
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

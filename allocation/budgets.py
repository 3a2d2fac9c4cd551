"""Caps that several names share: clusters, tiers, sectors, ETFs, gross exposure.

A group that is over its cap shrinks all its names by the same factor, so the order of columns
decides nothing. A name in several groups of one kind (an ETF looked through) takes the smallest
factor. Tiers are capped side by side: what one leaves unused does not flow on to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from allocation.plan import Ints
from domain.instruments import Kind, Sector, Tier, Universe
from domain.market import Flags, Floats
from domain.snapshot import Outcome


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """Groups of one kind. `loads[j, g]`: how much of name j counts in group g, from 0 to 1.

    caps: shares of equity `[g]`. outcome: what a name is said to have met when they bind.
    """

    names: tuple[str, ...]
    loads: Floats
    caps: Floats
    outcome: Outcome
    touches: Flags

    @staticmethod
    def of(rows: Mapping[str, tuple[Floats, float]], outcome: Outcome, count: int) -> "Groups":
        """Return groups from name → (loads `[n]`, cap); those that hold no name are left out."""
        kept = {name: row for name, row in rows.items() if row[0].any()}
        loads = np.zeros((count, len(kept)))
        for group, (column, _) in enumerate(kept.values()):
            loads[:, group] = column
        return Groups(
            names=tuple(kept),
            loads=loads,
            caps=np.array([cap for _, cap in kept.values()], dtype=np.float64),
            outcome=outcome,
            touches=loads > 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """One cap that bound, in words, and the names it bound `[n]`."""

    words: str
    outcome: Outcome
    columns: Flags


def tier_groups(universe: Universe, budgets: Mapping[Tier, float]) -> Groups:
    """Return the tiers that have a budget, in the order of `Tier`."""
    tiers = [i.tier for i in universe.instruments]
    rows = {
        f"tier {tier.value}": (_loads([t is tier for t in tiers]), budgets[tier])
        for tier in Tier
        if tier in budgets
    }
    return Groups.of(rows, Outcome.BUDGET, len(universe))


def sector_groups(universe: Universe, caps: Mapping[Sector, float], etf_cap: float) -> Groups:
    """Return the capped sectors, ETFs looked through to what they hold, and the ETFs as one."""
    instruments = universe.instruments
    rows = {
        sector.value: (_loads([i.look_through.get(sector, 0.0) for i in instruments]), caps[sector])
        for sector in Sector
        if sector in caps
    }
    rows["ETFs"] = (_loads([i.kind is Kind.ETF for i in instruments]), etf_cap)
    return Groups.of(rows, Outcome.SECTOR_CAP, len(universe))


def gross_group(universe: Universe, max_gross: float) -> Groups:
    """Return the one group of all names."""
    rows = {"gross exposure": (np.ones(len(universe)), max_gross)}
    return Groups.of(rows, Outcome.BUDGET, len(universe))


def cluster_groups(cluster_of: Ints, cap: float) -> Groups:
    """Return one group for each correlation cluster. cluster_of: `[n]`, −1 = in none."""
    rows = {
        f"correlation cluster {cluster}": ((cluster_of == cluster).astype(np.float64), cap)
        for cluster in sorted({c for c in cluster_of.tolist() if c >= 0})
    }
    return Groups.of(rows, Outcome.BUDGET, cluster_of.shape[0])


def joined(kinds: tuple[Groups, ...]) -> tuple[Floats, Floats]:
    """Return loads `[n, G]` and caps `[G]` of all groups, to see in one pass whether any binds."""
    return np.hstack([k.loads for k in kinds]), np.concatenate([k.caps for k in kinds])


def factors(magnitude: Floats, fixed: Floats, loads: Floats, caps: Floats) -> Floats | None:
    """Return the factor `[..., g]` that brings each group under its cap, None when all are.

    magnitude: |weight| that may shrink, fixed: |weight| that may not but counts, `[..., n]`.
    A group whose cap is already used up by what is fixed gets 0.
    """
    used = magnitude @ loads
    room = np.maximum(caps - fixed @ loads, 0.0)
    over = used > room
    if not np.count_nonzero(over):
        return None
    found: Floats = np.divide(room, used, out=np.ones_like(used), where=over)
    return found


def shrink(magnitude: Floats, fixed: Floats, groups: Groups) -> tuple[Floats, list[Limit]]:
    """Return magnitudes `[n]` under the caps of one kind of groups, and the caps that bound."""
    factor = factors(magnitude, fixed, groups.loads, groups.caps)
    if factor is None:
        return magnitude, []
    by_name = np.minimum.reduce(np.where(groups.touches, factor, 1.0), -1)
    wanted = (magnitude + fixed) @ groups.loads
    limits = [
        Limit(
            words=f"{groups.names[group]} is full: {wanted[group]:.2%} of equity wanted, "
            f"{groups.caps[group]:.2%} allowed",
            outcome=groups.outcome,
            columns=groups.touches[:, group],
        )
        for group in np.flatnonzero(factor < 1.0).tolist()
    ]
    return magnitude * by_name, limits


def _loads(values: list[bool] | list[float]) -> Floats:
    return np.array(values, dtype=np.float64)

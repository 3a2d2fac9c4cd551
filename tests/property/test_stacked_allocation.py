"""Allocation looked at for many slots at once says what allocation says of each, to the bit."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation.allocate import Allocator
from allocation.outlook import Look, Outlook
from allocation.plan import Allocation, AllocationInputs
from allocation.rules import AllocationRules, Combination
from allocation.stacked import StackedAllocator
from domain.instruments import GICS_SECTORS, Tier, Universe
from domain.market import Flags, Floats
from domain.values import replace as changed
from tests.support.allocations import instrument, slot

SLOTS, NAMES = 6, ("a", "b", "c")
RUNS = settings(max_examples=60, deadline=None)
WIDE = AllocationRules(
    max_gross=10.0,
    max_position=1.0,
    sector_caps={},
    etf_cap=10.0,
    tier_budgets={},
    cluster_names_max=1_000,
    volatility_reference=0.2,
)


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """Slots to come under one book: `[t, n]`, `[t]`, and the inputs they have in common."""

    common: AllocationInputs
    mids_usd: Floats
    equity_usd: Floats
    strengths: dict[str, Floats]


def _universe(count: int) -> Universe:
    return Universe(
        tuple(
            instrument(f"S{k}", sector=GICS_SECTORS[k % 3], tier=tuple(Tier)[k % 3])
            for k in range(count)
        )
    )


def _ahead(seed: int, count: int, hold_bars: int) -> Ahead:
    """Draw books near what the opinions of the first slot want, so that some slots are quiet."""
    rng = np.random.default_rng(seed)
    universe = _universe(count)
    opinion = rng.choice([-0.4, 0.0, 0.3, 0.7, 1.0, np.nan], size=(len(NAMES), 1, count))
    strengths = np.repeat(opinion, SLOTS, axis=1)
    turns = rng.random(strengths.shape) < 0.02
    strengths[turns] = rng.uniform(-1, 1, int(turns.sum()))
    mids = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((SLOTS, count)), axis=0))
    equity = 100_000.0 * np.exp(np.cumsum(0.002 * rng.standard_normal(SLOTS)))
    first = slot(
        universe,
        strengths={name: strengths[k, 0].tolist() for k, name in enumerate(NAMES)},
        books={name: [0.0] * count for name in (*NAMES, "external")},
        mids_usd=mids[0],
        bars_held=rng.integers(0, 9, count) if hold_bars else np.full(count, 999),
    )
    wanted = Allocator(universe, WIDE).allocate(first).book_targets
    books = {name: np.round(shares) for name, shares in wanted.items()}
    books["external"] = np.where(rng.random(count) < 0.2, 7.0, 0.0)
    common = changed(
        first, book_shares=books, account_shares=np.add.reduce(list(books.values()), 0)
    )
    return Ahead(
        common=common,
        mids_usd=mids,
        equity_usd=equity,
        strengths={name: strengths[k] for k, name in enumerate(NAMES)},
    )


def _stacked(ahead: Ahead, rules: AllocationRules, *, holes: Flags | None = None) -> Look:
    """Look at the slots; where there are `holes` `[t, n]` there is no price."""
    allocator = StackedAllocator(ahead.common.universe, rules)
    priced = np.ones(ahead.mids_usd.shape, dtype=np.bool_) if holes is None else ~holes
    inputs = changed(
        ahead.common,
        mids_usd=np.where(priced, ahead.mids_usd, 1.0),
        bars_held=ahead.common.bars_held + np.arange(SLOTS)[:, None],
    )
    return allocator.look(_outlook(allocator, ahead, priced), inputs, ahead.equity_usd)


def _outlook(allocator: StackedAllocator, ahead: Ahead, priced: Flags) -> Outlook:
    cluster_of = ahead.common.cluster_of
    assert not callable(cluster_of)
    return allocator.outlook(
        ahead.common.weights,
        ahead.strengths,
        np.broadcast_to(allocator.sizes(ahead.common.volatility[None, :]), priced.shape),
        (lambda: cluster_of,),
        priced,
        np.where(priced, ahead.mids_usd, 1.0),
    )


def _single(ahead: Ahead, rules: AllocationRules) -> list[Allocation]:
    allocator = Allocator(ahead.common.universe, rules)
    return [
        allocator.allocate(
            changed(
                ahead.common,
                equity_usd=float(ahead.equity_usd[k]),
                mids_usd=ahead.mids_usd[k],
                strengths={name: rows[k] for name, rows in ahead.strengths.items()},
                bars_held=ahead.common.bars_held + k,
            )
        )
        for k in range(SLOTS)
    ]


@RUNS
@given(
    seed=st.integers(0, 100_000),
    count=st.integers(1, 5),
    method=st.sampled_from(list(Combination)),
    hold=st.sampled_from([0, 4]),
    shorts=st.booleans(),
)
def test_quiet_slots_are_those_at_which_nothing_is_planned(
    seed: int, count: int, method: Combination, hold: int, shorts: bool
) -> None:
    rules = replace(WIDE, method=method, hold_bars_min=hold, allow_shorts=shorts)
    ahead = _ahead(seed, count, hold)

    quiet = _stacked(ahead, rules)

    singles = _single(ahead, rules)
    for k in range(quiet.count):
        assert not singles[k].planned and not singles[k].crossings
        np.testing.assert_array_equal(singles[k].outcomes, quiet.outcomes[k])
    if quiet.count < SLOTS:
        # Nothing is bound here, so what is left to the engine does act, if only on no whole share.
        stopped = singles[quiet.count]
        said = [words for reasons in stopped.reasons.values() for words in reasons]
        assert stopped.planned or stopped.crossings or any("no share" in w for w in said)


@RUNS
@given(
    seed=st.integers(0, 100_000),
    count=st.integers(2, 5),
    method=st.sampled_from(list(Combination)),
    hold=st.sampled_from([0, 4]),
    signs=st.booleans(),
    holes=st.booleans(),
)
def test_the_slot_after_the_quiet_ones_weighs_as_allocation_weighs_it(
    seed: int, count: int, method: Combination, hold: int, signs: bool, holes: bool
) -> None:
    rules = replace(WIDE, method=method, hold_bars_min=hold)
    ahead = _ahead(seed, count, hold)
    if signs:
        # Opinions that nobody's books can change the meaning of.
        ahead = replace(ahead, strengths={n: np.sign(s) for n, s in ahead.strengths.items()})
    missing = np.zeros(ahead.mids_usd.shape, dtype=np.bool_)
    if holes:
        missing[:, -1] = True
        ahead = _without(ahead, column=count - 1)

    look = _stacked(ahead, rules, holes=missing)

    if look.weighed is None:
        assert look.count == SLOTS or holes
        return
    found = Allocator(ahead.common.universe, rules).conclude(look.weighed)
    alone = _single(ahead, rules)[look.count]
    assert (found.planned, found.crossings, found.reasons) == (
        alone.planned,
        alone.crossings,
        alone.reasons,
    )
    for one, other in (
        (found.outcomes, alone.outcomes),
        (found.target_weight, alone.target_weight),
        (found.combined_strength, alone.combined_strength),
        *((found.book_targets[n], alone.book_targets[n]) for n in NAMES),
    ):
        np.testing.assert_array_equal(one, other)


def _without(ahead: Ahead, *, column: int) -> Ahead:
    """Return the slots with one symbol that is neither quoted, held nor spoken of."""
    books = {name: shares.copy() for name, shares in ahead.common.book_shares.items()}
    strengths = {name: said.copy() for name, said in ahead.strengths.items()}
    mids = ahead.mids_usd.copy()
    for shares in books.values():
        shares[column] = 0.0
    for said in strengths.values():
        said[:, column] = np.nan
    mids[:, column] = np.nan
    account = np.add.reduce(list(books.values()), 0)
    common = changed(ahead.common, book_shares=books, account_shares=account)
    return replace(ahead, common=common, mids_usd=mids, strengths=strengths)


@RUNS
@given(seed=st.integers(0, 100_000), count=st.integers(2, 5), cap=st.floats(0.005, 0.06))
def test_no_slot_is_called_quiet_where_a_cap_binds(seed: int, count: int, cap: float) -> None:
    rules = replace(
        WIDE,
        max_gross=cap,
        max_position=max(cap, WIDE.target_position),
        sector_caps=dict.fromkeys(GICS_SECTORS, 0.6 * cap),
        cluster_names_max=1,
    )
    ahead = _ahead(seed, count, 0)
    linked = changed(ahead.common, cluster_of=np.zeros(count, dtype=np.int64))
    ahead = replace(ahead, common=linked)

    quiet = _stacked(ahead, rules)

    for single, outcomes in zip(_single(ahead, rules), quiet.outcomes, strict=False):
        assert not single.planned and not single.crossings and not single.reasons
        np.testing.assert_array_equal(single.outcomes, outcomes)


@RUNS
@given(
    seed=st.integers(0, 100_000),
    count=st.integers(2, 5),
    method=st.sampled_from(list(Combination)),
    hold=st.sampled_from([0, 4]),
)
def test_a_slot_looked_at_alone_is_as_among_others(
    seed: int, count: int, method: Combination, hold: int
) -> None:
    drawn = _ahead(seed, count, hold)
    said = {name: np.sign(rows) for name, rows in drawn.strengths.items()}
    own = {name: held for name, held in drawn.common.book_shares.items() if name != "external"}
    account = np.add.reduce(list(own.values()), 0)
    common = changed(drawn.common, book_shares=own, account_shares=account)
    ahead = replace(drawn, strengths=said, common=common)
    rules = replace(WIDE, method=method, hold_bars_min=hold)
    allocator = StackedAllocator(common.universe, rules)
    outlook = _outlook(allocator, ahead, np.ones(ahead.mids_usd.shape, dtype=np.bool_))

    for k in range(SLOTS):
        mids, equity = ahead.mids_usd[k : k + 1], ahead.equity_usd[k : k + 1]
        one = changed(common, mids_usd=mids[0], equity_usd=equity.item(0))
        alone = allocator.look_at(outlook, k, one)
        among = allocator.look(outlook.rows(slice(k, k + 1)), changed(one, mids_usd=mids), equity)
        if alone is None:
            continue  # its wishes depend on what is held: it is looked at in full
        assert alone.count == among.count
        np.testing.assert_array_equal(alone.outcomes, among.outcomes)
        if alone.weighed is not None and among.weighed is not None:
            decided = Allocator(common.universe, rules)
            found, wanted = decided.conclude(alone.weighed), decided.conclude(among.weighed)
            assert (found.planned, found.crossings) == (wanted.planned, wanted.crossings)
            np.testing.assert_array_equal(found.outcomes, wanted.outcomes)
            np.testing.assert_array_equal(found.target_weight, wanted.target_weight)
        assert (alone.weighed is None) == (among.weighed is None)


def test_a_slot_whose_wishes_nobodys_books_change_can_be_looked_at_alone() -> None:
    drawn = _ahead(1, 3, 0)
    said = {name: np.ones_like(rows) for name, rows in drawn.strengths.items()}
    common = changed(drawn.common, book_shares={}, account_shares=np.zeros(3))
    ahead = replace(drawn, strengths=said, common=common)
    allocator = StackedAllocator(common.universe, WIDE)
    outlook = _outlook(allocator, ahead, np.ones(ahead.mids_usd.shape, dtype=np.bool_))

    found = allocator.look_at(outlook, 2, changed(common, mids_usd=ahead.mids_usd[2]))

    assert found is not None
    assert found.weighed is not None

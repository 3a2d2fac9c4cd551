"""Slots followed by the columns that may act are those looked at in full, to the bit."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation.allocate import Allocator
from allocation.outlook import Look, Outlook
from allocation.plan import Allocation, AllocationInputs
from allocation.rules import AllocationRules
from allocation.stacked import StackedAllocator
from allocation.steady import Steady, Tracks
from domain.market import Floats
from domain.values import replace as changed
from tests.property.test_stacked_allocation import WIDE
from tests.support.allocations import floats, slot

SLOTS = 40
RUNS = settings(max_examples=60, deadline=None)


@dataclass(kw_only=True)
class World:
    """Opinions that turn now and then, prices that wander, and one book."""

    allocator: StackedAllocator
    outlook: Outlook
    common: AllocationInputs
    mids_usd: Floats
    equity_usd: list[float]
    looked: int = 0
    followed: int = 0

    def hold(self, shares: Floats) -> None:
        self.common = changed(self.common, book_shares={"a": shares}, account_shares=shares)

    def looks(self, first: int, count: int) -> tuple[Look | None, Look]:
        rows = slice(first, first + count)
        inputs = changed(self.common, mids_usd=self.mids_usd[rows])
        equity_usd = self.equity_usd[rows]
        found = self.allocator.follow(self.outlook, first, inputs, equity_usd)
        return found, self.allocator.look(self.outlook.rows(rows), inputs, floats(*equity_usd))


def _world(seed: int, count: int, rules: AllocationRules, *, wander: float = 0.01) -> World:
    rng = np.random.default_rng(seed)
    sides = [0.0, 0.6, 1.0] if not rules.allow_shorts else [-1.0, 0.0, 0.7]
    turned = rng.random((SLOTS, count)) < 0.04
    turned |= rng.random((SLOTS, 1)) < 0.04  # and now and then all at once
    turns = np.cumsum(turned, axis=0)
    strengths = rng.choice(sides, size=(SLOTS + 1, count))[turns, np.arange(count)]
    mids = 100.0 * np.exp(np.cumsum(wander * rng.standard_normal((SLOTS, count)), axis=0))
    equity = 100_000.0 * np.exp(np.cumsum(0.004 * rng.standard_normal(SLOTS)))
    common = slot(
        count, strengths={}, books={"a": [0.0] * count}, weights={"a": 1.0}, mids_usd=mids[0]
    )
    allocator = StackedAllocator(common.universe, rules)
    outlook = allocator.outlook(
        {"a": 1.0},
        {"a": strengths},
        np.broadcast_to(allocator.sizes(common.volatility[None, :]), strengths.shape),
        (lambda: np.full(count, -1),),
        np.ones(strengths.shape, dtype=np.bool_),
        mids,
    )
    return World(
        allocator=allocator,
        outlook=outlook,
        common=common,
        mids_usd=mids,
        equity_usd=equity.tolist(),
    )


def _concluded(world: World, look: Look) -> Allocation | None:
    if look.weighed is None:
        return None
    decided = Allocator(world.common.universe, world.allocator._rules)
    inputs = changed(look.weighed.inputs, turnover_left_usd=1e9)
    return decided.conclude(changed(look.weighed, inputs=inputs))


def _assert_same(found: Look, wanted: Look, world: World) -> Allocation | None:
    assert found.count == wanted.count
    np.testing.assert_array_equal(found.outcomes, wanted.outcomes)
    one, other = _concluded(world, found), _concluded(world, wanted)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (one.planned, one.reasons) == (other.planned, other.reasons)
        np.testing.assert_array_equal(one.outcomes, other.outcomes)
        np.testing.assert_array_equal(one.target_weight, other.target_weight)
        np.testing.assert_array_equal(one.combined_strength, other.combined_strength)
        np.testing.assert_array_equal(one.book_targets["a"], other.book_targets["a"])
    return other


def _played(world: World, seed: int) -> None:
    """Look on and on, fill what is planned in whole, in part or not at all, and hold both looks
    against each other."""
    rng = np.random.default_rng(seed)
    first, shares = 0, np.zeros(len(world.common.universe))
    while first < SLOTS:
        count = min(int(rng.integers(1, 9)), SLOTS - first)
        found, wanted = world.looks(first, count)
        world.looked += 1
        world.followed += found is not None
        planned = _assert_same(found or wanted, wanted, world)
        for order in planned.planned if planned is not None else ():
            shares = shares.copy()
            part = rng.choice([0.0, 0.995, 1.0], p=[0.2, 0.2, 0.6])
            shares[order.column] += part * float(sum(order.deltas.values()))
        world.hold(shares)
        first += wanted.count + (wanted.count < count)


@RUNS
@given(
    seed=st.integers(0, 100_000),
    count=st.integers(2, 5),
    shorts=st.booleans(),
    band_of_target=st.sampled_from([0.0, 0.05, 0.25, 0.95]),
    band_usd=st.sampled_from([0.0, 100.0, 1_000.0]),
)
def test_following_comes_to_what_looking_comes_to(
    seed: int, count: int, shorts: bool, band_of_target: float, band_usd: float
) -> None:
    rules = replace(
        WIDE,
        hold_bars_min=0,
        allow_shorts=shorts,
        band_of_target=band_of_target,
        band_usd=band_usd,
    )
    _played(_world(seed, count, rules), seed)


def test_slots_of_a_wide_band_are_mostly_followed() -> None:
    # The other rules' opinions come in two sizes: such steps are not followed.
    rules = replace(WIDE, hold_bars_min=0, allow_shorts=True, band_of_target=0.5, band_usd=0.0)
    world = _world(5, 4, rules)
    _played(world, 5)
    assert world.followed * 2 > world.looked


@pytest.mark.parametrize(
    "changes",
    [{"bars_held": np.array([9, 2])}, {"account_shares": floats(0.0, 3.0)}],
    ids=["where somebody is held too short a time", "where others hold something"],
)
def test_nothing_is_followed(changes: dict[str, Floats]) -> None:
    world = _world(1, 2, replace(WIDE, hold_bars_min=4))
    inputs = changed(world.common, mids_usd=world.mids_usd[:3], **changes)
    assert world.allocator.follow(world.outlook, 0, inputs, world.equity_usd[:3]) is None


# --- until when a column rests --------------------------------------------------------------------

ONE = AllocationRules(band_of_target=0.25, band_usd=0.0)


def _tracks(load: list[float], mids_usd: list[float]) -> Tracks:
    found = Tracks.of(floats(*load)[:, None], floats(*mids_usd)[:, None])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("held", "load", "mids_usd", "until"),
    [
        (100.0, [0.01, 0.01, 0.0], [100.0, 101.0, 99.0], 2),
        (100.0, [0.01, 0.01, 0.01], [100.0, 101.0, 99.0], 3),
        (100.0, [0.01, 0.01, 0.01], [100.0, 100.0, 126.0], 0),
        (100.0, [0.01, 0.01, 0.01], [100.0, 100.0, 74.0], 0),
        (100.0, [0.01, 0.02, 0.02], [100.0, 100.0, 100.0], 0),
        (0.0, [0.0, 0.01, 0.01], [100.0, 100.0, 100.0], 1),
        (0.0, [0.01, 0.01, 0.01], [100.0, 100.0, 100.0], 0),
        (100.0, [0.0, 0.0, 0.0], [100.0, 100.0, 100.0], 0),
        (-100.0, [0.01, 0.01, 0.01], [100.0, 100.0, 100.0], 0),
        (-100.0, [-0.01, -0.01, 0.01], [100.0, 100.0, 100.0], 2),
    ],
    ids=[
        "until its opinion turns",
        "to the end",
        "not where the price may rise out of the band",
        "not where it may fall out of it",
        "not where more may be wanted",
        "with nothing, until something is wanted",
        "not while something is wanted and nothing held",
        "not while something is held and nothing wanted",
        "not on the wrong side",
        "short, until the side turns",
    ],
)
def test_a_column_rests(held: float, load: list[float], mids_usd: list[float], until: int) -> None:
    found = Steady(ONE).until(_tracks(load, mids_usd), 0, floats(held), 1e6, 1e6)
    assert found == [until]


def test_a_column_rests_no_more_where_equity_has_left_the_range() -> None:
    steady, tracks = Steady(ONE), _tracks([0.01, 0.01, 0.01], [100.0, 100.0, 100.0])
    assert steady.until(tracks, 0, floats(100.0), 1e6, 1e6) == [3]
    assert steady.until(tracks, 1, floats(100.0), 1e6, 1.4e6) == [1]


def test_what_is_traded_is_looked_at_anew() -> None:
    steady, tracks = Steady(ONE), _tracks([0.01, 0.01, 0.01], [100.0, 100.0, 100.0])
    assert steady.until(tracks, 0, floats(100.0), 1e6, 1e6) == [3]
    assert steady.until(tracks, 1, floats(50.0), 1e6, 1e6) == [1]


def test_a_wish_for_next_to_nothing_is_not_followed() -> None:
    assert Tracks.of(floats(1e-200, 0.01)[:, None], floats(100.0, 100.0)[:, None]) is None

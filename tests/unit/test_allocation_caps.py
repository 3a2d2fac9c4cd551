from dataclasses import replace

import numpy as np
import pytest

from allocation.allocate import Allocator, allocate
from allocation.budgets import cluster_groups, sector_groups, shrink, tier_groups
from allocation.plan import OUTCOMES, Allocation
from allocation.rules import AllocationRules
from allocation.sizing import base_weights, median
from domain.instruments import Kind, Sector, Tier, Universe
from domain.snapshot import Outcome
from tests.support.allocations import UNCAPPED, floats, instrument, slot, universe_of

NAN = float("nan")
TECH = Sector.INFORMATION_TECHNOLOGY


def outcome(result: Allocation, column: int = 0) -> Outcome:
    return OUTCOMES[result.outcomes[column]]


def test_size_is_inverse_to_volatility() -> None:
    sizes = base_weights(
        floats(0.2, 0.4, 0.3), reference=0.2, target_position=0.015, max_position=0.02
    )
    assert sizes.tolist() == pytest.approx([0.015, 0.0075, 0.01])


def test_size_stops_at_the_maximum() -> None:
    sizes = base_weights(floats(0.1), reference=0.2, target_position=0.015, max_position=0.02)
    assert sizes.tolist() == [0.02]


@pytest.mark.parametrize("values", [(3.0,), (1.0, 4.0), (5.0, 1.0, 3.0), (4.0, 1.0, 2.0, 9.0)])
def test_the_median_is_the_usual_one(values: tuple[float, ...]) -> None:
    assert median(floats(*values)) == np.median(values)


def test_the_median_volatility_of_the_universe_is_sized_at_target() -> None:
    inputs = slot(3, strengths={"a": [1, 1, 1]}, volatility=floats(0.15, 0.3, 0.6))
    result = allocate(inputs, UNCAPPED)
    assert result.target_weight.tolist() == pytest.approx([0.02, 0.015, 0.0075])


def test_a_reference_volatility_replaces_the_median() -> None:
    inputs = slot(2, strengths={"a": [1, 1]}, volatility=floats(0.3, 0.6))
    result = allocate(inputs, replace(UNCAPPED, volatility_reference=0.3))
    assert result.target_weight.tolist() == pytest.approx([0.015, 0.0075])


def test_a_missing_volatility_is_taken_from_the_universe() -> None:
    inputs = slot(1, strengths={"a": [1]}, volatility=floats(NAN))
    assert allocate(inputs, UNCAPPED).target_weight.tolist() == pytest.approx([0.015])


def test_a_full_group_shrinks_all_its_names_by_the_same_factor() -> None:
    universe = universe_of(3)
    groups = sector_groups(universe, {TECH: 0.03}, 1.0)
    found, limits = shrink(floats(0.02, 0.02, 0.01), np.zeros(3), groups)
    assert found.tolist() == pytest.approx([0.012, 0.012, 0.006])
    assert [limit.words for limit in limits] == [
        "Information Technology is full: 5.00% of equity wanted, 3.00% allowed"
    ]


def test_what_cannot_move_takes_its_room_first() -> None:
    groups = sector_groups(universe_of(2), {TECH: 0.03}, 1.0)
    found, _ = shrink(floats(0.02, 0.02), floats(0.01, 0.0), groups)
    assert found.tolist() == pytest.approx([0.01, 0.01])


def test_an_overfull_group_leaves_no_room() -> None:
    groups = sector_groups(universe_of(2), {TECH: 0.03}, 1.0)
    found, _ = shrink(floats(0.02, 0.02), floats(0.05, 0.0), groups)
    assert found.tolist() == [0, 0]


def test_an_etf_counts_in_the_sectors_it_holds() -> None:
    etf = instrument("MIX", kind=Kind.ETF, look_through={TECH: 0.5, Sector.ENERGY: 0.5})
    universe = Universe((instrument("AAA"), etf, instrument("OIL", sector=Sector.ENERGY)))
    groups = sector_groups(universe, {TECH: 0.015, Sector.ENERGY: 1.0}, 1.0)
    # technology: 0.02 + 0.5 × 0.02 = 0.03, so both shrink by half and the oil stock does not
    found, _ = shrink(floats(0.02, 0.02, 0.02), np.zeros(3), groups)
    assert found.tolist() == pytest.approx([0.01, 0.01, 0.02])


def test_all_etfs_share_one_cap() -> None:
    gold = instrument("GLD", kind=Kind.ETF, sector=Sector.GOLD)
    bond = instrument("TLT", kind=Kind.ETF, sector=Sector.BONDS)
    groups = sector_groups(Universe((gold, bond, instrument("AAA"))), {}, 0.02)
    found, limits = shrink(floats(0.02, 0.02, 0.02), np.zeros(3), groups)
    assert found.tolist() == pytest.approx([0.01, 0.01, 0.02])
    assert limits[0].outcome is Outcome.SECTOR_CAP


def test_what_one_tier_leaves_unused_does_not_flow_on() -> None:
    universe = Universe(
        (instrument("SAF", tier=Tier.SAFE), instrument("AGG", tier=Tier.AGGRESSIVE))
    )
    groups = tier_groups(universe, {Tier.SAFE: 0.5, Tier.AGGRESSIVE: 0.01})
    found, limits = shrink(floats(0.02, 0.02), np.zeros(2), groups)
    assert found.tolist() == pytest.approx([0.02, 0.01])
    assert limits[0].words.startswith("tier aggressive is full")


def test_tiers_stand_in_their_order() -> None:
    universe = Universe(tuple(instrument(tier.value, tier=tier) for tier in reversed(Tier)))
    groups = tier_groups(universe, dict.fromkeys(Tier, 0.1))
    assert groups.names == ("tier safe", "tier growth", "tier aggressive", "tier etf")


def test_a_name_in_no_cluster_belongs_to_none() -> None:
    groups = cluster_groups(np.array([-1, 3, 3], dtype=np.int64), 0.03)
    assert groups.loads.tolist() == [[0], [1], [1]]


def test_correlated_names_share_the_weight_of_two() -> None:
    inputs = slot(4, strengths={"a": [1] * 4}, cluster_of=np.array([0, 0, 0, -1]))
    result = allocate(inputs, UNCAPPED)
    assert result.target_weight.tolist() == pytest.approx([0.01, 0.01, 0.01, 0.015])


def test_gross_exposure_is_scaled_pro_rata() -> None:
    inputs = slot(2, strengths={"a": [1, 0.5]})
    result = allocate(inputs, replace(UNCAPPED, max_gross=0.018))
    # 1.5 % and 0.75 % are 2.25 %, brought to 1.8 %
    assert result.target_weight.tolist() == pytest.approx([0.012, 0.006])


def test_what_others_hold_counts_toward_the_position_and_is_not_traded() -> None:
    inputs = slot(1, strengths={"a": [1]}, books={"a": [0], "external": [15]})
    result = allocate(inputs, UNCAPPED)
    # 1.5 % of 2 % is taken: 0.5 % of $100,000 at $100 are 5 shares
    assert result.target_weight.tolist() == pytest.approx([0.005])
    assert dict(result.planned[0].deltas) == {"a": 5}


def test_what_others_hold_counts_toward_gross() -> None:
    inputs = slot(2, strengths={"a": [0, 1]}, books={"a": [0, 0], "operator": [15, 0]})
    result = allocate(inputs, replace(UNCAPPED, max_gross=0.02))
    assert result.target_weight.tolist() == pytest.approx([0, 0.005])


def test_holdings_without_a_mid_weigh_by_their_mark() -> None:
    inputs = slot(
        2,
        strengths={"a": [0, 1]},
        books={"external": [10, 0]},
        mids_usd=floats(NAN, 100),
        marks_usd=floats(100, 50),
    )
    result = allocate(inputs, replace(UNCAPPED, max_gross=0.02))
    assert result.target_weight[1] == pytest.approx(0.01)


def test_a_sector_cap_is_the_outcome_of_a_name_it_keeps_out() -> None:
    rules = replace(UNCAPPED, sector_caps={TECH: 0.015})
    inputs = slot(2, strengths={"a": [0, 1]}, books={"a": [0, 0], "external": [15, 0]})
    result = allocate(inputs, rules)
    assert outcome(result, 1) is Outcome.SECTOR_CAP
    assert result.reasons[1] == (
        "Information Technology is full: 3.00% of equity wanted, 1.50% allowed",
    )


def test_a_tier_budget_is_the_outcome_of_a_name_it_keeps_out() -> None:
    result = allocate(
        slot(1, strengths={"a": [1]}), replace(UNCAPPED, tier_budgets={Tier.GROWTH: 0})
    )
    assert outcome(result) is Outcome.BUDGET


def test_a_sector_cap_outranks_a_budget_as_outcome_and_both_are_said() -> None:
    rules = replace(UNCAPPED, sector_caps={TECH: 0}, tier_budgets={Tier.GROWTH: 0.001})
    result = allocate(slot(1, strengths={"a": [1]}), rules)
    assert outcome(result) is Outcome.SECTOR_CAP
    assert len(result.reasons[0]) == 2


def test_the_reachable_gross_is_what_the_caps_leave() -> None:
    rules = replace(UNCAPPED, sector_caps={TECH: 0.04})
    assert Allocator(universe_of(4), rules).reachable_gross() == pytest.approx(0.04)


def test_rules_that_cannot_be_are_refused() -> None:
    for wrong in (
        {"enter": 0.1, "exit": 0.2},
        {"max_position": 0.01},
        {"etf_cap": NAN},
        {"hold_bars_min": -1},
        {"volatility_reference": 0.0},
    ):
        with pytest.raises(ValueError, match=r"needs|negative"):
            AllocationRules(**wrong)  # type: ignore[arg-type]

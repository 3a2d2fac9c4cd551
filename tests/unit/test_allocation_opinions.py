import numpy as np
import pytest

from allocation.combination import majority, unanimous, weighted
from allocation.hysteresis import held_by_minimum, long_stances, signed_stances
from tests.support.allocations import floats

NAN = float("nan")


def long_stance(strength: float, held: float) -> float:
    stances = long_stances(floats(strength), floats(held), enter=0.5, exit_=0.1)
    return float(stances[0])


def signed_stance(strength: float, held: float) -> float:
    stances = signed_stances(floats(strength), floats(held), enter=0.5, exit_=0.1)
    return float(stances[0])


def test_a_flat_book_enters_at_the_entry_threshold() -> None:
    assert long_stance(0.5, 0) == 0.5


def test_a_flat_book_stays_flat_below_the_entry_threshold() -> None:
    assert long_stance(0.49, 0) == 0


def test_a_holding_book_stays_above_the_exit_threshold() -> None:
    assert long_stance(0.11, 5) == 0.11


def test_a_holding_book_leaves_at_the_exit_threshold() -> None:
    assert long_stance(0.1, 5) == 0


def test_a_negative_strength_is_a_wish_to_be_flat_when_shorts_are_off() -> None:
    assert long_stance(-1, 5) == 0


def test_no_opinion_is_no_stance() -> None:
    assert long_stance(NAN, 5) == 0
    assert signed_stance(NAN, -5) == 0


@pytest.mark.parametrize(
    ("strength", "held", "stance"),
    [
        (-0.5, 0, -0.5),
        (-0.49, 0, 0),
        (-0.11, -5, -0.11),
        (-0.1, -5, 0),
        (0.3, -5, 0),
        (-0.3, 5, 0),
        (-0.6, 5, -0.6),
        (0.6, -5, 0.6),
        (0.11, 5, 0.11),
    ],
)
def test_shorts_mirror_longs(strength: float, held: float, stance: float) -> None:
    assert signed_stance(strength, held) == stance


@pytest.mark.parametrize(
    ("contribution", "held", "bars", "stays"),
    [
        (0.0, 5, 3, True),
        (0.0, 5, 4, False),
        (0.5, 5, 0, False),
        (-0.5, 5, 0, True),
        (0.0, 0, 0, False),
        (0.5, -5, 0, True),
    ],
)
def test_only_an_exit_by_signal_waits_for_the_minimum_hold(
    contribution: float, held: float, bars: int, stays: bool
) -> None:
    staying = held_by_minimum(
        floats(contribution).reshape(1, 1),
        floats(held).reshape(1, 1),
        np.array([bars], dtype=np.int64),
        bars_min=4,
    )
    assert bool(staying[0, 0]) is stays


def column(*values: float) -> np.ndarray:
    return floats(*values).reshape(-1, 1)


def test_weighted_contributions_are_shares_of_the_opining_weight() -> None:
    # weights 1, 2 and 1 (silent): (1·1, 2·0.5) / 3
    found = weighted(column(1.0, 0.5, 0.0), column(1, 2, 0))
    assert found[:, 0] == pytest.approx([1 / 3, 1 / 3, 0])


def test_a_flat_opinion_dilutes_a_weighted_one() -> None:
    assert weighted(column(1.0, 0.0), column(1, 1))[:, 0] == pytest.approx([0.5, 0])


def test_nobody_speaking_contributes_nothing() -> None:
    for combine in (weighted, majority, unanimous):
        assert combine(column(0.0, 0.0), column(0, 0))[:, 0].tolist() == [0, 0]


def test_a_majority_shares_equally_whatever_its_strengths() -> None:
    found = majority(column(0.9, 0.2, 0.0), column(1, 1, 1))
    assert found[:, 0].tolist() == [0.5, 0.5, 0]


def test_half_of_the_weight_is_no_majority() -> None:
    assert majority(column(1.0, 0.0), column(1, 1))[:, 0].tolist() == [0, 0]


def test_a_majority_counts_weight_and_not_heads() -> None:
    assert majority(column(1.0, 0.0, 0.0), column(3, 1, 1))[:, 0].tolist() == [1, 0, 0]


def test_a_majority_may_be_short() -> None:
    assert majority(column(-1.0, -0.5, 1.0), column(1, 1, 1))[:, 0].tolist() == [-0.5, -0.5, 0]


def test_the_silent_do_not_count_in_a_majority() -> None:
    assert majority(column(0.6, 0.0), column(1, 0))[:, 0].tolist() == [1, 0]


def test_the_unanimous_share_equally() -> None:
    assert unanimous(column(0.6, 0.2, 0.0), column(1, 5, 0))[:, 0].tolist() == [0.5, 0.5, 0]


def test_one_flat_opinion_breaks_unanimity() -> None:
    assert unanimous(column(0.6, 0.0), column(5, 1))[:, 0].tolist() == [0, 0]


def test_the_unanimous_may_be_short() -> None:
    assert unanimous(column(-0.6, -1.0), column(1, 1))[:, 0].tolist() == [-0.5, -0.5]

"""Spans that never touch: counts from López de Prado 2018, chapter 12, and laws for all lengths."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationFault
from research.evaluation.splits import Fold, WalkForward, combinations


def test_six_groups_of_which_two_are_tested_make_15_splits_and_5_paths() -> None:
    found = combinations(600)

    assert len(found.splits) == 15
    assert found.paths == 5


def test_every_path_is_made_of_every_group_once() -> None:
    found = combinations(600)
    tested = [{g: np.full(1, float(g)) for g in split.groups} for split in found.splits]

    for path in range(5):
        np.testing.assert_array_equal(found.path(path, tested), np.arange(6.0))


def test_each_split_owns_a_group_of_each_path_only_once() -> None:
    found = combinations(600)
    owned = {
        (group, path)
        for split in found.splits
        for group, path in zip(split.groups, split.paths, strict=True)
    }

    assert owned == {(group, path) for group in range(6) for path in range(5)}


@given(
    rows=st.integers(120, 900),
    groups=st.integers(3, 8),
    purge=st.integers(0, 5),
    embargo=st.integers(0, 8),
)
def test_no_row_is_learned_from_that_lies_near_a_tested_one(
    rows: int, groups: int, purge: int, embargo: int
) -> None:
    if rows // groups - 1 <= purge + embargo:
        return
    found = combinations(rows, groups=groups, purge=purge, embargo=embargo)

    assert sum(len(span) for span in found.groups) == rows
    for split in found.splits:
        learned = set(split.train.tolist())
        for group in split.groups:
            span = found.groups[group]
            near = range(span.start - purge, span.stop + purge + embargo)
            assert learned.isdisjoint(near)


@given(
    count=st.integers(20, 400),
    train=st.integers(5, 60),
    test=st.integers(1, 40),
    purge=st.integers(0, 10),
)
def test_folds_walk_forward_without_touching(count: int, train: int, test: int, purge: int) -> None:
    plan = WalkForward(train=train, test=test, purge=purge)
    sessions = range(7, 7 + count)
    if count < train + purge + 1:
        with pytest.raises(ConfigurationFault, match="hold no fold"):
            plan.folds(sessions)
        return
    folds = plan.folds(sessions)

    for fold in folds:
        assert len(fold.train) == train
        assert fold.test.start - fold.train.stop == purge
    for one, two in pairwise(folds):
        assert one.test.stop == two.test.start
    assert folds[-1].test.stop == sessions.stop


def test_a_training_span_that_overlaps_its_test_is_refused() -> None:
    with pytest.raises(ConfigurationFault, match="overlaps or follows"):
        Fold(train=range(0, 100), test=range(99, 120))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"groups": 6, "tested": 6}, "can be tested"),
        ({"groups": 6, "tested": 1}, "can be tested"),
        ({"purge": 90, "embargo": 9}, "purge and embargo"),
    ],
)
def test_impossible_combinations_are_one_clear_error(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigurationFault, match=said):
        combinations(600, **wrong)

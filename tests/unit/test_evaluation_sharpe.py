"""Reference values: Bailey and López de Prado, The Deflated Sharpe Ratio (2014), its worked
example; their Sharpe Ratio Efficient Frontier (2012) for the length of a track record."""

import math

import numpy as np
import pytest

from research.evaluation.ledger import variance_of_trials
from research.evaluation.sharpe import (
    Estimate,
    deflated_sharpe,
    estimate,
    expected_max_sharpe,
    min_track_record,
    probabilistic_sharpe,
)

YEAR = 250
EXAMPLE = Estimate(sharpe=2.5 / math.sqrt(YEAR), periods=1250, skewness=-3.0, kurtosis=10.0)
VARIANCE = 0.5 / YEAR


def test_the_worked_example_expects_this_best_of_a_hundred() -> None:
    assert expected_max_sharpe(VARIANCE, 100) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("found", "trials", "published"),
    [
        (EXAMPLE, 100, 0.9004),
        (EXAMPLE, 46, 0.9505),
        (Estimate(sharpe=EXAMPLE.sharpe, periods=1250), 88, 0.9505),
    ],
)
def test_the_worked_example_is_deflated_as_published(
    found: Estimate, trials: int, published: float
) -> None:
    assert deflated_sharpe(found, trials=trials, variance=VARIANCE) == pytest.approx(
        published, abs=5e-5
    )


@pytest.mark.parametrize(("annual", "years"), [(0.5, 10.8), (0.8, 4.2), (1.0, 2.7), (1.12, 2.2)])
def test_a_daily_normal_record_must_be_this_long(annual: float, years: float) -> None:
    found = Estimate(sharpe=annual / math.sqrt(252), periods=1000)

    assert min_track_record(found) / 252 == pytest.approx(years, abs=0.06)


@pytest.mark.parametrize(
    ("trials", "best_of_5_years"), [(10, 0.70), (100, 1.13), (1000, 1.46), (5000, 1.65)]
)
def test_luck_alone_makes_this_much_of_five_years(trials: int, best_of_5_years: float) -> None:
    # Annual ratios without skill vary by 1 / years.
    assert expected_max_sharpe(1 / 5, trials) == pytest.approx(best_of_5_years, abs=0.006)


def test_a_record_that_is_long_enough_is_just_significant() -> None:
    found = Estimate(sharpe=0.06, periods=2, skewness=-0.5, kurtosis=6.0)
    needed = min_track_record(found)
    long = Estimate(sharpe=0.06, periods=round(needed), skewness=-0.5, kurtosis=6.0)

    assert probabilistic_sharpe(long) == pytest.approx(0.95, abs=1e-3)


def test_no_record_is_long_enough_for_a_loss() -> None:
    assert min_track_record(Estimate(sharpe=-0.01, periods=100)) == math.inf


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe(EXAMPLE, trials=1, variance=1.0) == probabilistic_sharpe(EXAMPLE)


def test_no_trials_cannot_be() -> None:
    with pytest.raises(ValueError, match="no trials"):
        expected_max_sharpe(1.0, 0)


def test_more_trials_never_make_a_ratio_better() -> None:
    deflated = [deflated_sharpe(EXAMPLE, trials=n, variance=VARIANCE) for n in (1, 2, 10, 1000)]

    assert deflated == sorted(deflated, reverse=True)


def test_an_estimate_knows_the_shape_of_its_returns() -> None:
    returns = np.array([-0.04, 0.01, 0.01, 0.01, 0.02])
    found = estimate(returns)

    assert found is not None
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.skewness < -1.0
    assert found.periods == 5


def test_returns_that_do_not_vary_have_no_estimate() -> None:
    assert estimate(np.full(50, 0.001)) is None


def test_the_variance_of_one_trial_is_that_of_luck() -> None:
    assert variance_of_trials([0.1], 101) == pytest.approx(0.01)
    assert variance_of_trials([0.1, math.nan, 0.3], 101) == pytest.approx(0.02)

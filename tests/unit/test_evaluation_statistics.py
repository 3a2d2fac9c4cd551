"""Tests of significance on samples whose truth is known, and on published figures."""

import math

import numpy as np
import pytest

from domain.errors import ConfigurationFault
from domain.market import Floats
from research import metrics
from research.evaluation import comparing
from research.evaluation.overfitting import overfitting
from research.evaluation.paths import Drawing, drawn_paths


def noise(rows: int, columns: int, seed: int) -> Floats:
    return 0.01 * np.random.default_rng(seed).standard_normal((rows, columns))


def autoregressive(count: int, phi: float, seed: int) -> Floats:
    shocks = np.random.default_rng(seed).standard_normal(count + 100)
    series = np.zeros(count + 100)
    for at in range(1, count + 100):
        series[at] = phi * series[at - 1] + shocks[at]
    return series[100:]


def test_newey_west_without_lags_is_the_plain_error() -> None:
    series = np.array([1.0, 2.0, 4.0, 1.0])
    found = comparing.newey_west(series, lags=0)

    assert found.mean == 2.0
    assert found.error == pytest.approx(math.sqrt(np.mean((series - 2.0) ** 2) / 4))


def test_newey_west_adds_bartlett_weighted_covariances() -> None:
    series = np.array([1.0, 2.0, 4.0, 1.0, 0.0, 3.0])
    centred = series - series.mean()
    first = float(centred[1:] @ centred[:-1])
    second = float(centred[2:] @ centred[:-2])
    variance = (float(centred @ centred) + 2 * (2 / 3 * first + 1 / 3 * second)) / 36

    assert comparing.newey_west(series, lags=2).error == pytest.approx(math.sqrt(variance))


def test_a_trend_in_the_series_widens_its_error() -> None:
    series = autoregressive(2000, 0.8, seed=1)

    assert comparing.newey_west(series).error > 1.5 * comparing.newey_west(series, lags=0).error


def test_diebold_mariano_one_ahead_is_a_corrected_t_test() -> None:
    first, second = np.array([1.0, 3.0, 2.0, 5.0]), np.array([1.0, 1.0, 1.0, 2.0])
    # Differences 0, 2, 1, 3: mean 1.5, variance 1.25 (divisor T), correction √((T − 1)/T).
    expected = 1.5 / math.sqrt(1.25 / 4) * math.sqrt(3 / 4)

    assert comparing.diebold_mariano(first, second).statistic == pytest.approx(expected)


def test_equal_forecasts_do_not_differ() -> None:
    losses = noise(50, 1, seed=2)[:, 0] ** 2

    assert comparing.diebold_mariano(losses, losses).p == 1.0


def test_losses_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 4 losses"):
        comparing.diebold_mariano(np.ones(3), np.ones(4))


def test_the_bootstrap_covers_the_mean_of_a_dependent_series() -> None:
    # Coverage of a 95 % interval over 60 samples of an AR(1): its own error is 2.8 %.
    covered = 0
    for seed in range(60):
        found = comparing.interval(
            lambda s: float(s.mean()), autoregressive(600, 0.3, seed), replications=300, seed=seed
        )
        covered += found.low <= 0.0 <= found.high

    assert covered / 60 >= 0.85


def test_an_interval_is_the_same_when_asked_again() -> None:
    series = noise(300, 1, seed=3)[:, 0]

    assert comparing.interval(comparing.ratio, series) == comparing.interval(
        comparing.ratio, series
    )


def test_paired_series_are_resampled_together() -> None:
    series = noise(400, 1, seed=4)[:, 0]
    found = comparing.interval(comparing.ratio_difference, series, 2.0 * series)

    assert (found.value, found.low, found.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_a_contest_of_noise_finds_nobody() -> None:
    drawn = noise(1000, 11, seed=5)
    candidates = {f"c{i}": drawn[:, i] for i in range(10)}
    found = comparing.contest(drawn[:, 10], candidates, replications=500)

    assert found.better == ()
    assert found.p_best > 0.05


def test_a_contest_finds_the_one_with_skill() -> None:
    drawn = noise(1000, 6, seed=6)
    candidates = {f"c{i}": drawn[:, i] for i in range(5)}
    candidates["c3"] = candidates["c3"] + 0.003
    found = comparing.contest(drawn[:, 5], candidates, replications=500)

    assert found.better == ("c3",)
    assert found.p_best < 0.05


def test_a_candidate_that_is_the_benchmark_is_no_candidate() -> None:
    series = noise(200, 1, seed=7)[:, 0]

    assert comparing.contest(series, {"same": series}).p_best == 1.0


def test_the_best_of_noise_is_luck_half_of_the_time() -> None:
    # Bailey et al. 2017: without skill the best in sample ranks anywhere out of sample.
    found = [overfitting(noise(480, 40, seed), blocks=8).probability for seed in range(12)]

    assert np.mean(found) == pytest.approx(0.5, abs=0.15)


def test_a_trial_with_skill_is_chosen_for_it() -> None:
    returns = noise(960, 20, seed=8)
    returns[:, 7] += 0.004

    assert overfitting(returns, blocks=8).probability == 0.0


def test_sixteen_blocks_are_halved_in_12870_ways() -> None:
    assert len(overfitting(noise(64, 2, seed=9)).logits) == 12_870


@pytest.mark.parametrize(
    ("shape", "blocks", "said"),
    [((100, 1), 8, "two trials"), ((100, 3), 7, "even"), ((10, 3), 8, "cannot be cut")],
)
def test_what_cannot_be_cross_validated_is_said(
    shape: tuple[int, int], blocks: int, said: str
) -> None:
    with pytest.raises(ConfigurationFault, match=said):
        overfitting(noise(*shape, seed=1), blocks=blocks)


def test_shuffling_keeps_the_end_of_the_path_and_says_what_it_destroys() -> None:
    returns = noise(250, 1, seed=10)[:, 0]
    found = drawn_paths(returns, Drawing.SHUFFLE, count=50)

    curve = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    assert found.growth == pytest.approx((metrics.growth(curve),) * 3)
    assert "destroys every dependence in time" in found.destroys


def test_blocks_keep_falls_that_shuffling_loses() -> None:
    returns = 0.01 * autoregressive(750, 0.6, seed=11)
    blocks = drawn_paths(returns, Drawing.BLOCKS, count=200)
    shuffled = drawn_paths(returns, Drawing.SHUFFLE, count=200)

    assert blocks.max_drawdown[1] > shuffled.max_drawdown[1]

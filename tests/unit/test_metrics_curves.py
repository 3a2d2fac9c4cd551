"""Reference values worked out by hand or taken from the sources the functions name."""

import math
from datetime import date

import numpy as np
import pytest

from research import metrics

RETURNS = np.array([0.01, -0.02, 0.03, 0.00, -0.01])


def test_returns_are_simple() -> None:
    np.testing.assert_allclose(metrics.returns_of(np.array([100.0, 110.0, 99.0])), [0.1, -0.1])


def test_an_equity_of_nothing_has_no_returns() -> None:
    with pytest.raises(ValueError, match="above 0"):
        metrics.returns_of(np.array([100.0, 0.0]))


def test_growth_compounds_over_a_year() -> None:
    curve = np.linspace(100.0, 121.0, 2 * 252 + 1)

    assert metrics.growth(curve) == pytest.approx(0.10)


def test_sharpe_is_mean_over_deviation_annualised() -> None:
    # mean 0.002, deviation √(0.00148 / 4) = 0.0192354
    assert metrics.sharpe(RETURNS) == pytest.approx(0.002 / math.sqrt(0.00148 / 4) * math.sqrt(252))


def test_sharpe_subtracts_the_riskless_rate() -> None:
    assert metrics.sharpe(RETURNS, riskless=0.002) == pytest.approx(0.0, abs=1e-12)


def test_sharpe_of_a_constant_is_not_a_number() -> None:
    assert math.isnan(metrics.sharpe(np.full(10, 0.01)))


def test_sortino_divides_by_shortfall_over_all_periods() -> None:
    downside = math.sqrt((0.02**2 + 0.01**2) / 5)

    assert metrics.sortino(RETURNS) == pytest.approx(0.002 / downside * math.sqrt(252))


def test_sortino_without_a_loss_is_not_a_number() -> None:
    assert math.isnan(metrics.sortino(np.array([0.01, 0.02])))


def test_the_deepest_fall_names_peak_bottom_and_recovery() -> None:
    fall = metrics.max_drawdown(np.array([100.0, 120.0, 90.0, 100.0, 130.0, 125.0]))

    assert fall == metrics.Drawdown(depth=0.25, peak=1, bottom=2, recovered=4)


def test_a_fall_that_lasts_has_no_recovery() -> None:
    assert metrics.max_drawdown(np.array([100.0, 80.0])).recovered is None


def test_calmar_is_growth_over_the_deepest_fall() -> None:
    curve = np.array([100.0, 80.0, 110.0])

    assert metrics.calmar(curve, periods_per_year=2.0) == pytest.approx(0.10 / 0.20)


def test_calmar_without_a_fall_is_not_a_number() -> None:
    assert math.isnan(metrics.calmar(np.array([1.0, 2.0, 3.0])))


def test_information_ratio_is_the_sharpe_of_the_difference() -> None:
    benchmark = np.array([0.0, -0.01, 0.01, 0.01, -0.01])

    expected = metrics.sharpe(RETURNS - benchmark)
    assert metrics.information_ratio(RETURNS, benchmark) == expected


def test_information_ratio_refuses_curves_of_different_length() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        metrics.information_ratio(RETURNS, RETURNS[1:])


# Losses 1 … 100: Rockafellar and Uryasev's definitions on a uniform sample.
LOSSES = -np.arange(1.0, 101.0)


def test_value_at_risk_is_the_smallest_loss_not_exceeded_with_the_level() -> None:
    assert metrics.value_at_risk(LOSSES, 0.95) == 95.0


def test_expected_shortfall_is_the_mean_of_the_tail() -> None:
    assert metrics.expected_shortfall(LOSSES, 0.95) == pytest.approx(98.0)


def test_expected_shortfall_takes_a_part_of_the_boundary() -> None:
    # level 0.945: half of the loss 95 and all of 96 … 100 lie in the tail of 5.5 %
    expected = (0.5 * 95 + sum(range(96, 101))) / 5.5

    assert metrics.expected_shortfall(LOSSES, 0.945) == pytest.approx(expected)


def test_a_level_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.value_at_risk(LOSSES, 1.0)


def test_hit_rate_and_profit_factor_count_closed_trades() -> None:
    profits = [3.0, -1.0, 0.0, 2.0, -1.5]

    assert metrics.hit_rate(profits) == pytest.approx(0.4)
    assert metrics.profit_factor(profits) == pytest.approx(2.0)


def test_without_a_trade_nothing_can_be_said() -> None:
    assert math.isnan(metrics.hit_rate([]))
    assert math.isnan(metrics.profit_factor([1.0]))


def test_turnover_is_traded_value_over_mean_equity_a_year() -> None:
    assert metrics.turnover(200.0, np.full(253, 100.0)) == pytest.approx(2.0)


def test_months_are_measured_from_the_end_of_the_one_before() -> None:
    days = [date(2020, 1, 2), date(2020, 1, 31), date(2020, 2, 28)]

    months = metrics.monthly_returns(days, np.array([100.0, 110.0, 99.0]))

    assert months == {(2020, 1): pytest.approx(0.1), (2020, 2): pytest.approx(-0.1)}


def test_the_rolling_sharpe_ends_with_the_sharpe_of_its_window() -> None:
    rolled = metrics.rolling_sharpe(RETURNS, 3)

    assert np.isnan(rolled[:2]).all()
    assert rolled[-1] == pytest.approx(metrics.sharpe(RETURNS[-3:]))

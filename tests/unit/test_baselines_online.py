"""On-line portfolios against worked examples and published tables.

The tables need the price relatives of the literature, which are not ours to ship: put nyse_o.csv,
djia.csv, sp500.csv, tse.csv and msci.csv of the PyPI package `universal-portfolios`
(universal/data) into a folder and name it in OLPS_DATA. Without it those tests skip.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from domain.market import Floats
from research.baselines import online, recursion

DOUBLES_AND_HALVES = np.array([[1.0, 2.0], [1.0, 0.5]] * 10)
"""Cash beside a stock that doubles and halves: Cover's standard example."""


def final(relatives: Floats, weights: Floats) -> float:
    return float(recursion.wealth(relatives, weights, penalty=0.0).curve[-1])


def test_half_and_half_grows_though_neither_asset_does() -> None:
    # (1 + 2)/2 · (1 + ½)/2 = 9/8 every two days.
    grown = final(DOUBLES_AND_HALVES, online.constant(DOUBLES_AND_HALVES))

    assert grown == pytest.approx((9 / 8) ** 10)


def test_half_and_half_is_the_best_constant_there() -> None:
    np.testing.assert_allclose(online.best_constant(DOUBLES_AND_HALVES), [0.5, 0.5], atol=1e-6)


def test_buying_once_ends_at_the_mean_of_the_assets() -> None:
    relatives = np.array([[1.1, 0.9], [1.2, 1.0], [0.8, 1.3]])

    assert final(relatives, online.buy_and_hold(relatives)) == pytest.approx(
        (1.1 * 1.2 * 0.8 + 0.9 * 1.0 * 1.3) / 2
    )


def test_a_gradient_step_is_multiplicative() -> None:
    relatives = np.array([[1.0, 2.0], [1.0, 1.0]])
    second = online.exponentiated_gradient(relatives, rate=0.3)[1]

    # Shares 1 : e^{η·(2 − 1)/1.5}
    assert second[1] / second[0] == pytest.approx(np.exp(0.3 / 1.5))


def test_the_universal_portfolio_of_two_assets_averages_21_mixtures() -> None:
    grid = np.linspace(0.0, 1.0, 21)
    grown = np.mean(((1 - grid) + 2 * grid) * ((1 - grid) + 0.5 * grid))

    assert final(DOUBLES_AND_HALVES[:2], online.universal(DOUBLES_AND_HALVES[:2])) == (
        pytest.approx(grown)
    )


@pytest.mark.parametrize(
    "policy", [online.buy_and_hold, online.exponentiated_gradient, online.universal]
)
def test_weights_know_nothing_of_their_own_day(policy: object) -> None:
    assert callable(policy)
    relatives = np.random.default_rng(1).uniform(0.9, 1.1, (30, 4))
    poisoned = relatives.copy()
    poisoned[20:] = 7.0

    np.testing.assert_array_equal(policy(relatives)[:21], policy(poisoned)[:21])


def test_the_recursion_charges_both_legs_and_drifts_the_weights() -> None:
    relatives = np.array([[1.2, 1.0], [1.0, 1.0]])
    weights = np.array([[0.5, 0.5], [0.5, 0.5]])
    found = recursion.wealth(relatives, weights, penalty=1e-2, start=np.array([0.0, 1.0]))

    # From cash to half: 0.5 bought, 0.5 of cash given. Then 0.6/1.1 against 0.5, both legs.
    drift = 2 * (0.6 / 1.1 - 0.5)
    assert found.turnover == pytest.approx([1.0, drift])
    assert found.curve == pytest.approx(
        [1.0, (1 - 0.01) * 1.1, (1 - 0.01) * 1.1 * (1 - 0.01 * drift)]
    )


def test_cash_earns_its_year_in_252_days() -> None:
    relatives = recursion.with_cash(np.ones((252, 1)))

    assert np.prod(relatives[:, -1]) == pytest.approx(1.01)


def test_weights_that_borrow_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        recursion.wealth(np.ones((1, 2)), np.array([[1.0, 1.0]]))


def published(name: str) -> Floats:
    folder = os.environ.get("OLPS_DATA")
    if not folder:
        pytest.skip("OLPS_DATA names no folder with the published price relatives")
    wealth = np.genfromtxt(Path(folder) / f"{name}.csv", delimiter=",", skip_header=1)
    wealth = np.vstack([np.ones(wealth.shape[1]), wealth])
    relatives: Floats = wealth[1:] / wealth[:-1]
    return relatives


# Li and Hoi's survey: market, best stock, BCRP, EG(0.05), uniform CRP; no cost.
TABLES = {
    "nyse_o": (14.50, 54.14, 250.60, 27.09, 27.08),
    "djia": (0.76, 1.19, 1.24, 0.81, 0.81),
    "sp500": (1.34, 3.78, 4.07, 1.63, 1.65),
    "tse": (1.61, 6.28, 6.78, 1.59, 1.60),
    "msci": (0.91, 1.50, 1.51, 0.93, 0.93),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", TABLES)
def test_the_published_table_is_reproduced(name: str) -> None:
    relatives = published(name)
    found = (
        final(relatives, online.buy_and_hold(relatives)),
        float(np.prod(relatives, axis=0).max()),
        final(relatives, online.constant(relatives, online.best_constant(relatives))),
        final(relatives, online.exponentiated_gradient(relatives)),
        final(relatives, online.constant(relatives)),
    )

    assert found == pytest.approx(TABLES[name], abs=0.0051)


# Cover 1991: Iroquois and Kin Ark, Commercial Metals and Kin Ark: best constant, universal.
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("columns", "best", "mixed"), [((19, 22), 73.70, 38.67), ((5, 22), 144.00, 78.47)]
)
def test_covers_own_pairs_are_reproduced(
    columns: tuple[int, int], best: float, mixed: float
) -> None:
    relatives = published("nyse_o")[:, list(columns)]
    constant = online.constant(relatives, online.best_constant(relatives))

    assert final(relatives, constant) == pytest.approx(best, abs=0.0101)
    assert final(relatives, online.universal(relatives)) == pytest.approx(mixed, abs=0.0051)

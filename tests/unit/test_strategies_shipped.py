"""What each shipped strategy says about known prices."""

from collections.abc import Callable

import numpy as np
import pytest

from domain.calendar import Timeframe
from domain.ports import Strategy
from strategies.lstm import Lstm
from strategies.mean_reversion import MeanReversion
from strategies.rl_ensemble import RlEnsemble
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover
from tests.support.markets import NAN, a_market, strengths, walk


def rising(rows: int, step: float = 1.0) -> np.ndarray:
    return (100.0 + step * np.arange(rows, dtype=np.float64))[:, None]


def swinging_to(index: float, rows: int = 250) -> np.ndarray:
    """Return closes whose gains and losses alternate in such a proportion that the index is about
    `index` (the latest change weighs more than the one before)."""
    gain, loss = index / 100.0, 1.0 - index / 100.0
    steps = np.where(np.arange(rows) % 2 == 0, gain, -loss)
    return (1000.0 + np.cumsum(steps))[:, None]


# --- crossing averages ---------------------------------------------------------------------------


def test_a_rising_price_is_bought() -> None:
    assert strengths(SmaCrossover(), rising(30)) == [1.0]


def test_a_falling_price_is_sold() -> None:
    assert strengths(SmaCrossover(), rising(30, step=-1.0)) == [-1.0]


def test_averages_are_given_as_evidence() -> None:
    evidence = SmaCrossover(fast_bars=2, slow_bars=4).decide(a_market(rising(30))).evidence

    assert {name: values.tolist() for name, values in evidence.items()} == {
        "fast_usd": [128.5],
        "slow_usd": [127.5],
    }


def test_one_unknown_close_in_the_slow_window_silences_the_crossover() -> None:
    close = walk(30, 2)
    close[0, 1] = NAN

    assert np.isnan(strengths(SmaCrossover(), close)).tolist() == [False, True]


def test_a_shock_turns_the_fast_average_first() -> None:
    close = rising(60)
    close[-5:] -= 60.0

    assert strengths(SmaCrossover(), close) == [-1.0]


# --- Wilder's index ------------------------------------------------------------------------------


def rsi_of(close: np.ndarray, strategy: RsiReversion) -> float:
    return float(strategy.decide(a_market(close)).evidence["rsi_index"][0])


@pytest.mark.parametrize("target", [12.0, 30.0, 42.0, 50.0, 58.0, 70.0, 88.0])
def test_strength_runs_straight_through_the_levels(target: float) -> None:
    strategy = RsiReversion()
    close = swinging_to(target)
    index = rsi_of(close, strategy)

    assert index == pytest.approx(target, abs=4.0)
    assert strengths(strategy, close) == pytest.approx([(50.0 - index) / 40.0])


@pytest.mark.parametrize(("target", "reach"), [(25.0, 30.0), (48.0, 30.0), (55.0, 10.0)])
def test_each_level_has_its_own_slope(target: float, reach: float) -> None:
    strategy = RsiReversion(oversold=20.0, overbought=60.0)
    close = swinging_to(target)
    index = rsi_of(close, strategy)

    assert strengths(strategy, close) == pytest.approx([0.5 * (50.0 - index) / reach])
    assert (index < 50.0) == (target < 50.0)


def test_what_only_falls_is_bought_at_full_strength() -> None:
    assert strengths(RsiReversion(), rising(250, step=-0.1)) == [1.0]


def test_what_only_rises_is_sold_at_full_strength() -> None:
    assert strengths(RsiReversion(), rising(250)) == [-1.0]


def test_the_index_has_no_opinion_before_its_start_is_forgotten() -> None:
    assert np.isnan(strengths(RsiReversion(), walk(249, 2))).all()


def test_a_longer_period_looks_back_further() -> None:
    assert (RsiReversion().lookback_bars, RsiReversion(period_bars=21).lookback_bars) == (250, 375)


# --- bands ---------------------------------------------------------------------------------------


def at_deviations(z: float) -> np.ndarray:
    """Return 20 closes whose last lies `z` deviations (ddof 0) from their average."""
    others = np.tile([-1.0, 1.0], 10)[:19] * 1.0
    others -= others.mean()
    spread = float(others @ others)
    # With x the last and others centred: mean = x/20, z² = (19x/20)² / (Σ/20 + 19x²/400).
    x = np.sign(z) * np.sqrt(z * z * spread / 20 / (361 / 400 - z * z * 19 / 400))
    return (100.0 + np.append(others, x))[:, None]


@pytest.mark.parametrize(
    ("deviations", "strength"), [(-2.0, 1.0), (-1.0, 0.5), (1.0, -0.5), (2.0, -1.0), (3.5, -1.0)]
)
def test_strength_is_the_distance_from_the_average_in_units_of_the_band(
    deviations: float, strength: float
) -> None:
    assert strengths(MeanReversion(), at_deviations(deviations)) == pytest.approx([strength])


def test_the_distance_is_given_as_evidence() -> None:
    evidence = MeanReversion().decide(a_market(at_deviations(-1.5))).evidence

    assert evidence["z_deviations"].tolist() == pytest.approx([-1.5])


def test_a_wider_entry_makes_a_weaker_opinion() -> None:
    assert strengths(MeanReversion(entry_z=4.0), at_deviations(-2.0)) == pytest.approx([0.5])


# --- all of them ---------------------------------------------------------------------------------

OPINIONATED: list[Callable[[], Strategy]] = [SmaCrossover, RsiReversion, MeanReversion]
ABSTAINING: list[type[Lstm] | type[RlEnsemble]] = [Lstm, RlEnsemble]


@pytest.mark.parametrize("price", [0.1, 100.0, 123.456, 3333.33])
@pytest.mark.parametrize("strategy", OPINIONATED)
def test_a_price_that_never_moves_is_no_opinion(
    strategy: Callable[[], Strategy], price: float
) -> None:
    assert np.isnan(strengths(strategy(), np.full((260, 3), price))).all()


@pytest.mark.parametrize("strategy", OPINIONATED)
def test_a_strategy_has_opinions_on_a_walk(strategy: Callable[[], Strategy]) -> None:
    assert not np.isnan(strengths(strategy(), walk(260, 66))).any()


@pytest.mark.parametrize("strategy", ABSTAINING)
def test_a_strategy_without_a_model_abstains_and_says_so(
    strategy: type[Lstm] | type[RlEnsemble],
) -> None:
    assert np.isnan(strengths(strategy(), walk(260, 66))).all()
    assert (strategy.abstains, strategy.heavy) == ("no model yet", True)


@pytest.mark.parametrize("strategy", ABSTAINING)
def test_a_strategy_that_abstains_still_decides_on_days(
    strategy: type[Lstm] | type[RlEnsemble],
) -> None:
    assert strategy().timeframe is Timeframe.DAY


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: SmaCrossover(fast_bars=30, slow_bars=10), "less than slow_bars"),
        (lambda: SmaCrossover(fast_bars=10, slow_bars=10), "less than slow_bars"),
        (lambda: SmaCrossover(fast_bars=0), "at least 1"),
        (lambda: RsiReversion(period_bars=1), "at least 2"),
        (lambda: RsiReversion(oversold=55.0), "oversold < 50"),
        (lambda: RsiReversion(overbought=100.0), "overbought < 100"),
        (lambda: RsiReversion(overbought=0.7), "overbought=0.7"),
        (lambda: MeanReversion(window_bars=2), "at least 3"),
        (lambda: MeanReversion(entry_z=0.0), "above 0"),
        (lambda: MeanReversion(window_bars=10, entry_z=3.1), "never reached"),
        (lambda: MeanReversion(entry_z=NAN), "above 0"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_with_the_reason(
    wrong: Callable[[], Strategy], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()

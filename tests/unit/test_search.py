"""Spaces and the ways through them."""

import math

import pytest

from daemon.registry import SHIPPED_FOLDER, Discovery, discover
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from research.evaluation.curves import Score
from research.search.searching import (
    Method,
    Scored,
    Search,
    candidates,
    chosen,
    run_search,
)
from research.search.spaces import Space, parse_spaces

DAY = Timeframe.DAY


@pytest.fixture(scope="module")
def discovery() -> Discovery:
    return discover([SHIPPED_FOLDER])


def space(text: str) -> Space:
    return parse_spaces(text)[0]


def test_a_shipped_strategy_without_parameters_has_its_usual_space() -> None:
    assert space("sma_crossover").size == 16


def test_choices_and_ranges_span_a_space_and_the_rest_stays_fixed() -> None:
    found = space("sma_crossover(fast_bars=5|10,slow_bars=30:90:30,weight=2)")

    assert found.choices == {"fast_bars": (5, 10), "slow_bars": (30, 60, 90)}
    assert found.spec.weight == 2
    assert found.at([1, 2]).parameters == {"fast_bars": 10, "slow_bars": 90}


def test_a_strategy_with_given_parameters_has_one_point() -> None:
    assert [s.parameters for s in space("sma_crossover(fast_bars=7)").points()] == [
        {"fast_bars": 7}
    ]


@pytest.mark.parametrize("text", ["5:50", "50:5:5", "5:50:0", "a:b:c"])
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(ConfigurationFault, match="is no range"):
        parse_spaces(f"sma_crossover(fast_bars={text})")


def test_a_grid_leaves_out_what_the_strategy_refuses(discovery: Discovery) -> None:
    found = candidates(
        space("sma_crossover(fast_bars=10|50,slow_bars=30|60)"), Search(), discovery, DAY
    )

    assert {"fast_bars": 50, "slow_bars": 30} not in [s.parameters for s in found]
    assert len(found) == 3


def test_a_space_of_refusals_is_a_search_with_no_trials(discovery: Discovery) -> None:
    with pytest.raises(ConfigurationFault, match="a search with no trials"):
        candidates(space("sma_crossover(fast_bars=50|60,slow_bars=30)"), Search(), discovery, DAY)


@pytest.mark.parametrize("count", [0, -1, 10**6])
def test_a_search_of_no_or_endless_trials_is_refused(count: int) -> None:
    with pytest.raises(ConfigurationFault, match="no trials"):
        Search(trials=count)


def hill(spec: StrategySpec) -> Score:
    """Best at fast 20 and slow 120."""
    fast, slow = spec.parameters["fast_bars"], spec.parameters["slow_bars"]
    assert isinstance(fast, int)
    assert isinstance(slow, int)
    sharpe = 2.0 - abs(fast - 20) / 20 - abs(slow - 120) / 120
    return Score(sharpe=sharpe, turnover=100.0 / fast, max_drawdown=slow / 1000)


WIDE = "sma_crossover(fast_bars=2:60:2,slow_bars=62:300:2)"


@pytest.mark.parametrize("method", [Method.RANDOM, Method.TPE, Method.NSGA2])
def test_a_search_is_the_same_for_the_same_seed(method: Method, discovery: Discovery) -> None:
    search = Search(method=method, trials=12, seed=3)
    one = run_search(space(WIDE), search, hill, discovery, DAY)

    assert one == run_search(space(WIDE), search, hill, discovery, DAY)
    assert len(one) == 12
    assert len({tuple(t.spec.parameters.items()) for t in one}) == 12


def test_a_model_of_the_hill_finds_more_than_chance(discovery: Discovery) -> None:
    def best(method: Method, seed: int) -> float:
        search = Search(method=method, trials=40, seed=seed)
        trials = run_search(space(WIDE), search, hill, discovery, DAY)
        return max(t.score.sharpe for t in trials)

    guided = [best(Method.TPE, seed) for seed in range(4)]
    blind = [best(Method.RANDOM, seed) for seed in range(4)]
    assert sum(guided) > sum(blind)


def scored(name: str, sharpe: float, turnover: float, fall: float) -> Scored:
    spec = StrategySpec(name=name, kind=name)
    return Scored(spec=spec, score=Score(sharpe=sharpe, turnover=turnover, max_drawdown=fall))


TRIALS = [
    scored("greedy", 1.0, 50.0, 0.40),
    scored("balanced", 0.9, 5.0, 0.15),
    scored("idle", math.nan, 0.0, 0.0),
    scored("beaten", 0.8, 60.0, 0.50),
]


def test_one_objective_chooses_the_best_ratio() -> None:
    assert chosen(TRIALS, Method.GRID).spec.name == "greedy"


def test_three_objectives_choose_among_those_that_none_beats() -> None:
    assert chosen(TRIALS, Method.NSGA2).spec.name == "balanced"
    assert chosen([TRIALS[0], TRIALS[3]], Method.NSGA2).spec.name == "greedy"


def test_nothing_can_be_chosen_of_nothing() -> None:
    with pytest.raises(ConfigurationFault, match="no trials"):
        chosen([], Method.GRID)

"""What every strategy file keeps to, the user's folder included."""

from pathlib import Path

import pytest

from daemon.registry import SHIPPED_FOLDER, discover, make, spec_of
from daemon.strategy_check import CHECKS, check_strategy
from domain.calendar import Timeframe
from domain.ports import Strategy

USER_FOLDER = Path(__file__).parents[2] / "my_strategies"
FOUND = discover([SHIPPED_FOLDER, USER_FOLDER])
KINDS = sorted(FOUND.files)
# Parameters that a shipped strategy is also used with.
OTHER_PARAMETERS = {
    "sma_crossover": {"fast_bars": 1, "slow_bars": 2, "timeframe": "5Min"},
    "rsi_reversion": {"period_bars": 2, "oversold": 10.0, "overbought": 95.0},
    "mean_reversion": {"window_bars": 60, "entry_z": 1.0, "timeframe": "1Day"},
}


def failures(strategy: Strategy) -> list[str]:
    return [f"{r.name}: {r.detail}" for r in check_strategy(strategy) if not r.passed]


def test_every_strategy_file_loads() -> None:
    assert [f"{error.path}: {error.reason}" for error in FOUND.errors] == []


def test_the_shipped_strategies_are_found() -> None:
    shipped = {"sma_crossover", "rsi_reversion", "mean_reversion", "lstm", "rl_ensemble"}

    assert shipped <= set(FOUND.files)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strategy_keeps_the_contract(kind: str) -> None:
    strategy = make(spec_of(kind, {}), FOUND)

    assert failures(strategy) == []
    assert len(check_strategy(strategy)) == len(CHECKS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strategy_keeps_the_contract_at_demo_pace(kind: str) -> None:
    strategy = make(spec_of(kind, {}), FOUND, bar_timeframe=Timeframe.FIVE_MINUTES)

    assert failures(strategy) == []


@pytest.mark.parametrize("kind", OTHER_PARAMETERS)
def test_a_strategy_keeps_the_contract_with_other_parameters(kind: str) -> None:
    assert failures(make(spec_of(kind, OTHER_PARAMETERS[kind]), FOUND)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_strategy_says_what_it_is_in_one_line(kind: str) -> None:
    assert len(FOUND.files[kind].summary) > 20

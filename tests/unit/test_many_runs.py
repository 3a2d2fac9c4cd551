"""Many sets of parameters over one history: each is what it is alone."""

import numpy as np
import pytest

from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from research.backtest.costs import FREE
from research.backtest.history import History
from research.backtest.many import SIGNALS_ONLY, ManyRuns
from research.backtest.playing import Plan
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import (
    CAPITAL_USD,
    Scripted,
    deals,
    drawn_bars,
    history_of,
    parts_of,
    played,
    player_of,
)

HISTORY = history_of(drawn_bars(120, 3, seed=7))
SETS = [SmaCrossover(fast_bars=fast, slow_bars=slow) for fast, slow in ((3, 8), (5, 20), (2, 4))]


def many(history: History = HISTORY) -> ManyRuns:
    parts = parts_of(history, {"sma": SmaCrossover()})
    sessions = range(len(history.sessions))
    return ManyRuns(history, parts, Plan(sessions=sessions, costs=FREE, capital_usd=CAPITAL_USD))


@pytest.mark.parametrize("strategy", SETS)
def test_a_set_played_among_others_is_the_set_played_alone(strategy: SmaCrossover) -> None:
    runs = many()
    for other in SETS:
        runs.play({"sma": other})

    found = runs.play({"sma": strategy})

    alone = played(player_of(HISTORY, parts_of(HISTORY, {"sma": strategy})))
    assert deals(HISTORY, found) == deals(HISTORY, alone)
    assert [d.equity_usd for d in found.recording.days] == [
        d.equity_usd for d in alone.recording.days
    ]


@pytest.mark.parametrize("strategy", SETS)
def test_screening_holds_what_the_backtest_holds_but_for_whole_shares(
    strategy: SmaCrossover,
) -> None:
    runs = many()

    screened = runs.screen({"sma": strategy})

    curve = [float(d.equity_usd) for d in runs.play({"sma": strategy}).recording.days]
    returns = np.diff(curve, prepend=float(CAPITAL_USD)) / [float(CAPITAL_USD), *curve[:-1]]
    # Positions drift until the band is left, and volatility is measured a day later: not the same.
    assert np.corrcoef(screened.returns, returns)[0, 1] > 0.98
    assert screened.label == SIGNALS_ONLY


def test_a_set_is_screened_to_the_same_figures_every_time() -> None:
    runs = many()

    first, _, again = (runs.screen({"sma": s}) for s in (SETS[0], SETS[1], SETS[0]))

    np.testing.assert_array_equal(first.returns, again.returns)
    assert first.turnover == again.turnover


def test_a_strategy_that_cannot_be_stacked_is_not_screened() -> None:
    wishes = Scripted(wishes=((1.0, 1.0, 1.0),))

    with pytest.raises(ConfigurationFault, match="play it"):
        many().screen({"sma": wishes})


def test_a_strategy_on_other_bars_is_not_screened() -> None:
    with pytest.raises(ConfigurationFault, match="daily bars"):
        many().screen({"sma": SmaCrossover(timeframe=Timeframe.MINUTE)})


def test_a_set_for_nobody_is_refused() -> None:
    with pytest.raises(ConfigurationFault, match="no strategy is named ema"):
        many().play({"ema": SmaCrossover()})

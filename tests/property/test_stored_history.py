"""What a backtest's panels show is what panels show that are fed slot by slot, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.engine.panels import Panels
from domain.calendar import Timeframe
from domain.events import BarsClosed
from domain.market import Bars, Floats
from research.backtest.history import History
from research.backtest.stored import StoredHistory, StoredPanels
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import drawn_bars, history_of, parts_of

RUNS = settings(max_examples=15, deadline=None)
LOOKBACK = 12


def _with_holes(seed: int, width: int, share: float) -> dict[str, Floats]:
    bars = drawn_bars(90, width, seed=seed)
    holes = np.random.default_rng(seed).random((90, width)) < share
    holes[30:45, 0] = share > 0
    for values in bars.values():
        values[holes] = np.nan
    return bars


def _panels(history: History) -> tuple[Panels, StoredPanels]:
    parts = parts_of(history, {"sma": SmaCrossover(fast_bars=3, slow_bars=LOOKBACK)})
    stored = StoredHistory(history).panels(parts.universe, parts.rules, base_slots_min=0)
    stored.begin_at({Timeframe.DAY: 0})
    return Panels(parts.universe, parts.rules), stored


def _fields(bars: Bars) -> list[np.ndarray]:
    return [bars.open, bars.high, bars.low, bars.close, bars.volume, bars.traded]


@RUNS
@given(seed=st.integers(0, 10_000), width=st.integers(1, 4), share=st.sampled_from([0.0, 0.2]))
def test_windows_and_statistics_are_those_of_panels_fed_slot_by_slot(
    seed: int, width: int, share: float
) -> None:
    history = history_of(_with_holes(seed, width, share))
    frame = history.frames[Timeframe.DAY]
    fed, stored = _panels(history)

    for row, slot in enumerate(frame.slots):
        closed = BarsClosed(at=slot, slot_at=slot, rows={Timeframe.DAY: frame.row(row)})
        for panels in (fed, stored):
            panels.add(closed, session=None, session_starts={})
        pairs = zip(
            _fields(fed.window(Timeframe.DAY, LOOKBACK)),
            _fields(stored.window(Timeframe.DAY, LOOKBACK)),
            strict=True,
        )
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)
        said, kept = fed.statistics(), stored.statistics()
        np.testing.assert_array_equal(said.volatility, kept.volatility)
        np.testing.assert_array_equal(said.volume_shares, kept.volume_shares)
        np.testing.assert_array_equal(said.previous_close_usd, kept.previous_close_usd)
        np.testing.assert_array_equal(said.cluster_of, kept.cluster_of)


@RUNS
@given(
    seed=st.integers(0, 10_000),
    row=st.integers(0, 80),
    count=st.integers(1, 9),
    lookback=st.integers(1, 20),
)
def test_a_stack_holds_the_windows_side_by_side(
    seed: int, row: int, count: int, lookback: int
) -> None:
    history = history_of(_with_holes(seed, 3, 0.1))
    frame = StoredHistory(history).frame(Timeframe.DAY, stale_bars_max=5)

    stacked = _fields(frame.stack(row, count, lookback))

    for k in range(count):
        single = _fields(frame.window(row + k, lookback))
        for many, one in zip(stacked, single, strict=True):
            np.testing.assert_array_equal(many[:, 3 * k : 3 * k + 3], one)


def test_slots_are_shown_in_the_order_of_the_history_alone() -> None:
    history = history_of(drawn_bars(10, 2, seed=1))
    frame = history.frames[Timeframe.DAY]
    _, stored = _panels(history)
    second = BarsClosed(
        at=frame.slots[1], slot_at=frame.slots[1], rows={Timeframe.DAY: frame.row(1)}
    )

    with pytest.raises(ValueError, match="not the next"):
        stored.add(second, session=None, session_starts={})

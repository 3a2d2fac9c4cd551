"""A backtest that passes over quiet slots is the one that visits every slot, to the bit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation.rules import Combination
from daemon.engine import EngineParts
from domain.calendar import Calendar, Session, Timeframe
from domain.market import Floats
from research.backtest.costs import FREE, Costs, FillAt
from research.backtest.history import History, minute_history
from research.backtest.playing import Plan, Player
from research.backtest.record import BacktestResult
from risk.breakers import BreakerLimits
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import CAPITAL_USD, OPEN_LIMITS, drawn_bars, parts_of, played

MINUTES, SESSIONS, WIDTH = 70, 5, 3
RUNS = settings(max_examples=8, deadline=None)
FIRST_DAY = datetime(2020, 3, 2, 14, 30, tzinfo=UTC)
WIDE = BreakerLimits(
    orders_sent_per_minute_max=10**6,
    rejects_per_hour_max=10**6,
    stale_data_seconds_max=1e9,
    repeated_executions_per_hour_max=10**6,
)


def _history(bars: dict[str, Floats]) -> History:
    opens = [FIRST_DAY + timedelta(days=k) for k in range(SESSIONS + 10)]
    table = tuple(
        Session(day=at.date(), opens_at=at, closes_at=at + timedelta(minutes=MINUTES))
        for at in opens
    )
    names = [f"S{k}" for k in range(WIDTH)]
    return minute_history(bars, names, table[:SESSIONS], calendar=Calendar(table), source="drawn")


def _bars(seed: int, *, sigma: float = 0.003, holes: float = 0.0) -> dict[str, Floats]:
    bars = drawn_bars(MINUTES * SESSIONS, WIDTH, seed=seed, sigma=sigma)
    missing = np.random.default_rng(seed).random((MINUTES * SESSIONS, WIDTH)) < holes
    for values in bars.values():
        values[missing] = np.nan
    return bars


def _parts(
    history: History, *, hold: int = 0, stop: str = "0", **allocation: object
) -> EngineParts:
    minute = Timeframe.MINUTE
    strategies = {
        "sma": SmaCrossover(fast_bars=4, slow_bars=12, timeframe=minute),
        "rsi": RsiReversion(period_bars=2, timeframe=minute),
        "mean": MeanReversion(window_bars=9, timeframe=minute),
    }
    limits = replace(OPEN_LIMITS, stop_loss_percent=Decimal(stop), adv_share_max=Decimal(10**6))
    parts = parts_of(history, strategies, limits=limits, takes_profit=True, target_position=0.02)
    return replace(
        parts,
        rules=replace(parts.rules, breakers=WIDE, open_delay_s=60.0),
        allocation=replace(parts.allocation, hold_bars_min=hold, **allocation),  # type: ignore[arg-type]
    )


def _both(history: History, parts: EngineParts, costs: Costs) -> list[BacktestResult]:
    # The first session is history: volumes and volatilities are known from the second on.
    plan = Plan(sessions=range(1, SESSIONS), costs=costs, capital_usd=CAPITAL_USD)
    players = [Player(history, parts, replace(plan, skips=skips)) for skips in (True, False)]
    results = [played(player) for player in players]
    assert_remembered(*players)
    return results


REMEMBERED = (
    *("portfolio", "orders", "working", "fills", "booked_fill_ids", "entered_at", "finished"),
    *("turnover_day", "turnover_usd", "entry_day", "entries", "submitted_at", "decided_slots"),
    *("equity_peak_usd", "day_start", "cooldowns", "trading", "due_at_open", "session"),
)
"""What an engine remembers of its orders, by name."""


def assert_remembered(passing: Player, visiting: Player) -> None:
    one, other = passing.engine.memory, visiting.engine.memory
    for name in REMEMBERED:
        assert getattr(one, name) == getattr(other, name), name
    assert list(one.orders) == list(other.orders)


def assert_same(passing: BacktestResult, visiting: BacktestResult) -> None:
    one, other = passing.recording, visiting.recording
    assert one.fills == other.fills
    assert {i: (m.status, m.finished_at) for i, m in one.orders.items()} == {
        i: (m.status, m.finished_at) for i, m in other.orders.items()
    }
    assert [
        (d.equity_usd, d.cash_usd, d.trading_state, d.fills, d.orders, d.shares.tolist())
        for d in one.days
    ] == [
        (d.equity_usd, d.cash_usd, d.trading_state, d.fills, d.orders, d.shares.tolist())
        for d in other.days
    ]
    assert [(s.slot_at, s.decided_at) for s in one.slots] == [
        (s.slot_at, s.decided_at) for s in other.slots
    ]
    for kept, visited in zip(one.slots, other.slots, strict=True):
        np.testing.assert_array_equal(kept.outcomes, visited.outcomes)
    assert one.counts() == other.counts()
    assert one.notices == other.notices
    assert one.notices_count == other.notices_count
    assert passing.carried == visiting.carried
    assert passing.counters == visiting.counters
    assert passing.final == visiting.final
    assert passing.marks == visiting.marks


@RUNS
@given(
    seed=st.integers(0, 10_000),
    hold=st.sampled_from([0, 3]),
    method=st.sampled_from(list(Combination)),
    stop=st.sampled_from(["0", "0.004"]),
)
def test_passing_over_quiet_slots_changes_nothing(
    seed: int, hold: int, method: Combination, stop: str
) -> None:
    history = _history(_bars(seed))
    parts = _parts(history, hold=hold, method=method, stop=stop)

    passing, visiting = _both(history, parts, Costs(half_spread_bps=1.0, impact_bps=0.0))

    assert_same(passing, visiting)
    assert visiting.recording.fills


@RUNS
@given(seed=st.integers(0, 10_000), fill_at=st.sampled_from(list(FillAt)))
def test_nor_does_it_with_missing_bars_and_binding_caps(seed: int, fill_at: FillAt) -> None:
    history = _history(_bars(seed, holes=0.02))
    parts = _parts(history, max_gross=0.02, band_of_target=0.1)

    passing, visiting = _both(history, parts, replace(FREE, fill_at=fill_at))

    assert_same(passing, visiting)


def test_a_loss_that_latches_is_met_at_the_same_slot() -> None:
    bars = _bars(3)
    for name in ("open", "high", "low", "close"):
        bars[name][190:] = np.round(bars[name][190:] * 0.5, 2)
    history = _history(bars)
    parts = _parts(history)
    parts = replace(parts, limits=replace(parts.limits, max_daily_loss_percent=Decimal("0.005")))

    passing, visiting = _both(history, parts, FREE)

    assert_same(passing, visiting)
    assert any("daily_loss" in n.message for n in visiting.recording.notices)


@pytest.mark.parametrize("skips", [True, False])
def test_most_slots_of_a_calm_market_are_passed_over(
    skips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = {name: np.full((MINUTES * SESSIONS, WIDTH), 100.0) for name in _bars(1)}
    history = _history(bars)
    plan = Plan(sessions=range(SESSIONS), costs=FREE, capital_usd=CAPITAL_USD, skips=skips)
    player = Player(history, _parts(history), plan)
    handled = 0
    handle = player.engine.handle

    def counting(event: object) -> object:
        nonlocal handled
        handled += 1
        return handle(event)  # type: ignore[arg-type]

    monkeypatch.setattr(player.engine, "handle", counting)

    played(player)

    slots = MINUTES * SESSIONS
    assert handled > 4 * slots if not skips else handled < slots / 2

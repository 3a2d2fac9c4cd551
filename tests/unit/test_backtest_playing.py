from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from daemon.engine.rules import OrderStyle
from domain.calendar import Timeframe
from domain.market import Market
from domain.orders import EXTERNAL, Leg
from domain.signals import Signals
from research.backtest.costs import FREE, Costs, FillAt
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import (
    OPEN_LIMITS,
    SYMBOL,
    Scripted,
    deals,
    drawn_bars,
    flat_bars,
    history_of,
    parts_of,
    played,
    player_of,
)

SMA = SmaCrossover(fast_bars=3, slow_bars=8)
LONG, OUT = (1.0,), (0.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raising:
    """Raises on the third bar."""

    timeframe: Timeframe = Timeframe.DAY
    lookback_bars: int = 1
    reads: frozenset[str] = SMA.reads
    cross_sectional: bool = True

    def decide(self, market: Market) -> Signals:
        if market.as_of.day == 7:
            raise ValueError("cannot say")
        return Signals(strength=np.ones(market.bars.close.shape[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Peeking:
    """Says its columns are independent; they are not, and side by side they are later days."""

    leak: str
    timeframe: Timeframe = Timeframe.DAY
    lookback_bars: int = 5
    reads: frozenset[str] = SMA.reads
    cross_sectional: bool = False

    def decide(self, market: Market) -> Signals:
        last, before = market.bars.close[-1], market.bars.close[-2]
        match self.leak:
            case "scaling":
                wish = last - np.nanmean(last)
            case "shift":
                wish = np.roll(last, -3) - last
            case _:
                wish = (last - before) * (1 if market.as_of.day % 2 else -1)
        return Signals(strength=np.sign(np.nan_to_num(wish)))


def test_a_wish_at_a_close_is_filled_at_the_next_open() -> None:
    bars = flat_bars([[100.0], [110.0], [120.0], [130.0]])
    bars["open"][1] = 101.0
    history = history_of(bars)

    result = played(player_of(history, parts_of(history, {"s": Scripted(wishes=(LONG,))})))

    assert [(d[1], d[2], d[4]) for d in deals(history, result)] == [(1, "buy", Decimal("101.0"))]


def test_every_fill_lies_in_a_later_session_than_its_slot() -> None:
    history = history_of(drawn_bars(120, 4, seed=3))
    result = played(player_of(history, parts_of(history, {"sma": SMA})))

    slots = [result.recording.orders[f.client_order_id].intent for f in result.recording.fills]

    assert len(slots) > 10
    assert all(
        intent.slot_at.date() < fill.filled_at.date()
        for intent, fill in zip(slots, result.recording.fills, strict=True)
    )


@pytest.mark.parametrize(
    ("fill_at", "price"), [(FillAt.OPEN, "100.0"), (FillAt.CLOSE, "110.0"), (FillAt.VWAP, "105.0")]
)
def test_orders_fill_where_the_plan_says(fill_at: FillAt, price: str) -> None:
    history = history_of(flat_bars([[100.0], [110.0], [120.0]]))
    player = player_of(
        history,
        parts_of(history, {"s": Scripted(wishes=(LONG,))}),
        costs=replace(FREE, fill_at=fill_at),
    )

    assert deals(history, played(player))[0][4] == Decimal(price)


def test_costs_are_taken_from_the_trader() -> None:
    history = history_of(flat_bars([[100.0], [100.0], [100.0], [100.0]]))
    script = Scripted(wishes=(LONG, OUT))
    costs = Costs(
        half_spread_bps=10.0,
        impact_bps=0.0,
        volume_share_max=1e9,
        commission_per_share_usd=Decimal("0.01"),
    )

    result = played(player_of(history, parts_of(history, {"s": script}), costs=costs))

    (bought, sold) = result.recording.fills
    assert (bought.price_usd, sold.price_usd) == (Decimal("100.1"), Decimal("99.9"))
    lost = bought.quantity_shares * (Decimal("0.2") + 2 * Decimal("0.01"))
    assert result.recording.days[-1].equity_usd == result.capital_usd - lost


def test_an_order_gets_no_more_than_its_share_of_the_volume() -> None:
    history = history_of(flat_bars([[100.0], [100.0], [100.0]], volume=1_000.0))
    player = player_of(
        history,
        parts_of(history, {"s": Scripted(wishes=(LONG,))}),
        costs=replace(FREE, volume_share_max=0.1),
        sessions=range(2),
    )

    result = played(player)

    assert [d[3] for d in deals(history, result)] == [Decimal(100)]
    (order,) = result.recording.orders.values()
    assert order.status == "expired"


def test_the_ledger_agrees_with_the_venue() -> None:
    history = history_of(drawn_bars(150, 5, seed=4))
    costs = Costs(commission_bps=1.0, volume_share_max=0.001)

    result = played(
        player_of(
            history,
            parts_of(history, {"sma": SMA, "rsi": RsiReversion(timeframe=Timeframe.DAY)}),
            costs=costs,
        )
    )

    assert len(result.recording.fills) > 20
    assert result.ledger_differences == ()


def test_the_books_profits_sum_to_the_accounts() -> None:
    history = history_of(drawn_bars(150, 5, seed=5))
    strategies = {"sma": SMA, "mean": MeanReversion(timeframe=Timeframe.DAY, window_bars=10)}

    result = played(player_of(history, parts_of(history, strategies)))

    made = result.recording.days[-1].equity_usd - result.capital_usd
    assert sum(result.profit_by_book_usd.values()) == made
    assert EXTERNAL not in result.profit_by_book_usd


def test_asking_about_many_days_at_once_changes_nothing() -> None:
    history = history_of(drawn_bars(330, 3, seed=6))
    strategies = {
        "sma": SMA,
        "rsi": RsiReversion(timeframe=Timeframe.DAY),
        "mean": MeanReversion(timeframe=Timeframe.DAY, window_bars=10),
    }
    parts = parts_of(history, strategies)

    stacked = played(player_of(history, parts))
    one_by_one = played(player_of(history, parts, stacks=False))

    assert deals(history, stacked) == deals(history, one_by_one)
    assert len(stacked.recording.fills) > 20


@pytest.mark.parametrize("leak", ["scaling", "shift", "clock"])
def test_a_strategy_that_looks_across_columns_undeclared_sees_no_future(leak: str) -> None:
    history = history_of(drawn_bars(120, 3, seed=9))
    parts = parts_of(history, {"peek": Peeking(leak=leak)})

    stacked = played(player_of(history, parts))
    one_by_one = played(player_of(history, parts, stacks=False))

    assert deals(history, stacked) == deals(history, one_by_one)
    assert list(stacked.asked_singly) == ["peek"]
    assert one_by_one.asked_singly == {}


def test_a_symbol_is_not_traded_before_it_is_listed_nor_after_it_has_ended() -> None:
    bars = drawn_bars(160, 2, seed=7)
    for name in ("open", "high", "low", "close", "volume"):
        bars[name][:60, 0] = np.nan
        bars[name][110:, 0] = np.nan
    history = history_of(bars)

    result = played(player_of(history, parts_of(history, {"sma": SMA})))

    traded = [d[1] for d in deals(history, result) if d[0] == "S0"]
    assert traded
    assert min(traded) > 60
    assert max(traded) < 110


def test_bars_before_the_first_session_warm_the_strategies() -> None:
    bars = flat_bars([[100.0 + row] for row in range(40)])
    history = history_of(bars)

    result = played(player_of(history, parts_of(history, {"sma": SMA}), sessions=range(20, 40)))

    # The crossing is known at the close of the first session already.
    assert deals(history, result)[0][1] == 21


def test_a_stop_inside_a_bar_is_left_at_the_stop() -> None:
    bars = flat_bars([[100.0], [100.0], [100.0], [100.0]])
    bars["low"][2], bars["high"][2] = 90.0, 100.0
    history = history_of(bars)
    limits = replace(OPEN_LIMITS, stop_loss_percent=Decimal("0.05"))

    result = played(
        player_of(history, parts_of(history, {"s": Scripted(wishes=(LONG,))}, limits=limits))
    )

    assert [(d[1], d[2], d[4]) for d in deals(history, result)[:2]] == [
        (1, "buy", Decimal("100.0")),
        (2, "sell", Decimal("95.0")),
    ]


def test_a_gap_through_a_stop_is_left_at_the_open() -> None:
    bars = flat_bars([[100.0], [100.0], [100.0], [80.0]])
    bars["open"][3], bars["high"][3], bars["low"][3] = 85.0, 85.0, 80.0
    history = history_of(bars)
    limits = replace(OPEN_LIMITS, stop_loss_percent=Decimal("0.05"))

    result = played(
        player_of(history, parts_of(history, {"s": Scripted(wishes=(LONG,))}, limits=limits))
    )

    assert deals(history, result)[1][1:3] == (3, "sell")
    assert deals(history, result)[1][4] == Decimal("85.0")


def test_two_books_that_take_their_profit_together_send_one_order() -> None:
    bars = flat_bars([[100.0], [100.0], [100.0], [100.0]])
    bars["high"][2] = 120.0
    history = history_of(bars)
    limits = replace(OPEN_LIMITS, take_profit_percent=Decimal("0.10"))
    both = {"one": Scripted(wishes=(LONG,)), "two": Scripted(wishes=(LONG,))}

    result = played(player_of(history, parts_of(history, both, limits=limits, takes_profit=True)))

    exits = [o for o in result.recording.orders.values() if o.intent.leg is Leg.EXIT]
    assert [sorted(o.intent.deltas) for o in exits] == [["one", "two"]]
    assert result.final.shares(SYMBOL) == 0
    assert result.ledger_differences == ()


def test_a_limit_beyond_the_bar_is_not_filled_and_ends_with_its_day() -> None:
    bars = flat_bars([[100.0], [100.0], [100.0]])
    history = history_of(bars)
    parts = parts_of(history, {"s": Scripted(wishes=(LONG,))}, order_style=OrderStyle.LIMIT)
    costs = replace(FREE, half_spread_bps=50.0)

    result = played(player_of(history, parts, costs=costs, sessions=range(2)))

    assert result.recording.fills == []
    assert [o.status for o in result.recording.orders.values()] == ["expired"]


def test_a_drawdown_stops_new_risk_until_somebody_resumes() -> None:
    fall = [[100.0]] * 3 + [[80.0]] + [[80.0]] * 8
    history = history_of(flat_bars(fall))
    limits = replace(OPEN_LIMITS, max_drawdown_percent=Decimal("0.10"))
    script = Scripted(wishes=(LONG, LONG, LONG, LONG, OUT, OUT, LONG))
    parts = parts_of(history, {"s": script}, limits=limits, target_position=0.9)

    latched = played(player_of(history, parts))
    resumed = played(player_of(history, parts, resumes_after=3))

    assert latched.recording.days[-1].trading_state == "REDUCING"
    assert [d[2] for d in deals(history, latched)] == ["buy", "sell"]
    assert resumed.recording.days[-1].trading_state == "ACTIVE"
    assert [d[2] for d in deals(history, resumed)] == ["buy", "sell", "buy"]


def test_a_strategy_that_raises_is_benched_and_named_with_its_bar() -> None:
    history = history_of(drawn_bars(6, 2, seed=1))

    result = played(player_of(history, parts_of(history, {"bad": Raising()})))

    (told,) = [n for n in result.recording.notices if n.key == "benched:bad"]
    assert "ValueError: cannot say at the bar of 2015-01-07" in told.message


def test_an_interrupted_run_is_the_beginning_of_the_whole_one() -> None:
    history = history_of(drawn_bars(100, 3, seed=8))
    parts = parts_of(history, {"sma": SMA})

    whole = played(player_of(history, parts))
    part = played(player_of(history, parts), sessions_max=50)

    assert (part.is_partial, whole.is_partial) == (True, False)
    curve = [d.equity_usd for d in part.recording.days]
    assert curve == [d.equity_usd for d in whole.recording.days[:50]]
    assert len(curve) == 50


def test_decisions_wait_for_the_delay_after_the_open() -> None:
    history = history_of(flat_bars([[100.0], [100.0], [100.0]]))

    result = played(player_of(history, parts_of(history, {"s": Scripted(wishes=(LONG,))})))

    opened = history.sessions[1].opens_at
    assert result.recording.slots[0].decided_at == opened + timedelta(seconds=300)

"""Baselines filled at the next open, worked out by hand."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from domain.calendar import Timeframe
from domain.market import Floats
from exchange.corporate_actions import ActionKind, ActionTable, CorporateAction
from research.backtest.costs import FREE, Costs, Spread
from research.backtest.history import Frame, History
from research.baselines import next_open, weights
from research.baselines.holding import held_frame
from tests.support.backtests import drawn_bars, flat_bars, history_of


def frame_of(closes: list[list[float]]) -> Frame:
    return history_of(flat_bars(closes)).frames[Timeframe.DAY]


def played(frame: Frame, schedule: weights.Schedule, costs: Costs = FREE) -> next_open.Played:
    return next_open.play(
        frame,
        schedule,
        range(1, len(frame.close)),
        costs=costs,
        spread=Spread(frame, costs, open_delay_s=300.0),
        capital_usd=1_000.0,
    )


def test_what_is_decided_at_a_close_is_bought_at_the_next_open() -> None:
    # Bars open where the one before closed: bought at 10, held to 12 and 9.
    frame = frame_of([[10.0], [12.0], [9.0]])
    found = played(frame, {0: np.array([1.0])})

    assert found.equity == pytest.approx([1_000.0, 1_200.0, 900.0])
    assert found.traded_usd == pytest.approx(1_000.0)


def test_holdings_drift_between_two_decisions() -> None:
    frame = frame_of([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0]])
    found = played(frame, weights.buy_and_hold(frame.close, range(0, 2)))

    # Half each: 50 shares of both; 1,000 + 500, then 1,000 + 1,000.
    assert found.equity == pytest.approx([1_000.0, 1_500.0, 2_000.0])


def test_equal_weights_sell_what_rose() -> None:
    frame = frame_of([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0]])
    found = played(frame, weights.equal_weight(frame.close, range(0, 2), every=1))

    # 750 each at the open of the third day: 37.5 and 75 shares.
    assert found.equity[-1] == pytest.approx(37.5 * 20.0 + 75 * 20.0)


def test_half_the_spread_is_paid_on_what_is_traded() -> None:
    frame = frame_of([[100.0], [100.0], [100.0]])
    found = played(frame, {0: np.array([1.0])}, Costs(half_spread_bps=100.0, impact_bps=0.0))

    assert found.cost_usd == pytest.approx(10.0, rel=0.01)
    assert found.equity[-1] == pytest.approx(990.0, rel=1e-3)


def acting(day_row: int, **what: object) -> History:
    """A symbol that splits two for one or pays, at the open of a day."""
    raw = [[100.0], [100.0], [50.0], [50.0]] if "new_rate" in what else [[100.0]] * 4
    history = history_of(flat_bars(raw))
    ex = history.sessions[day_row].day
    action = CorporateAction(
        symbol="S0", ex_date=ex, declared_on=ex, record_date=ex, payable_date=ex,
        **what,  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(history, actions=ActionTable([action]))


def test_a_split_makes_nobody_poorer() -> None:
    split = {"kind": ActionKind.FORWARD_SPLIT, "new_rate": Decimal(2)}
    frame = held_frame(acting(2, **split))

    np.testing.assert_allclose(frame.close[:, 0], 100.0)


def test_a_dividend_is_put_back_from_its_ex_date_on() -> None:
    paid = {"kind": ActionKind.CASH_DIVIDEND, "cash_usd": Decimal(20)}
    frame = held_frame(acting(2, **paid))

    np.testing.assert_allclose(frame.close[:, 0], [100.0, 100.0, 125.0, 125.0])


def test_without_actions_a_holder_lives_the_bars() -> None:
    history = history_of(flat_bars([[10.0], [11.0]]))

    assert held_frame(history) is history.frames[Timeframe.DAY]


def test_nothing_is_bought_with_what_it_costs() -> None:
    frame = frame_of([[100.0], [100.0]])
    found = played(frame, {0: np.array([1.0])}, Costs(half_spread_bps=500.0))

    assert found.equity[-1] + found.cost_usd == pytest.approx(1_000.0)


def test_a_symbol_listed_later_is_not_bought_before() -> None:
    closes = np.array([[10.0, np.nan], [10.0, 5.0], [10.0, 5.0]])

    schedule = weights.equal_weight(closes, range(0, 3), every=1)
    np.testing.assert_allclose(schedule[0], [1.0, 0.0])
    np.testing.assert_allclose(schedule[1], [0.5, 0.5])


def drawn_closes() -> Floats:
    rng = np.random.default_rng(3)
    market = 0.005 * rng.standard_normal((600, 1))
    own = rng.standard_normal((600, 3)) * np.array([0.002, 0.01, 0.02])
    closes: Floats = 100.0 * np.exp(np.cumsum(market + own, axis=0))
    return closes


def test_the_least_variance_holds_most_of_what_moves_least() -> None:
    schedule = weights.min_variance(drawn_closes(), range(550, 560))

    assert np.argmax(schedule[550]) == 0
    assert schedule[550].sum() == pytest.approx(1.0)


def test_less_aversion_to_risk_takes_more_mean() -> None:
    closes = drawn_closes()
    closes[:, 2] *= np.exp(0.004 * np.arange(600))
    timid = weights.mean_variance(closes, range(550, 551), risk_aversion=500.0)[550]
    bold = weights.mean_variance(closes, range(550, 551), risk_aversion=1.0)[550]

    assert bold[2] > timid[2]


def test_without_history_an_optimiser_holds_equal_weights() -> None:
    np.testing.assert_allclose(
        weights.min_variance(drawn_closes(), range(10, 11))[10], np.full(3, 1 / 3)
    )


def test_an_optimiser_knows_nothing_after_its_row() -> None:
    closes = drawn_closes()
    poisoned = closes.copy()
    poisoned[551:] *= 3.0

    one = weights.mean_variance(closes, range(550, 551))[550]
    np.testing.assert_array_equal(one, weights.mean_variance(poisoned, range(550, 551))[550])


def test_an_online_portfolio_may_know_the_close_it_is_decided_at() -> None:
    bars = drawn_bars(30, 2, seed=4)
    seen: list[Floats] = []

    def follow(relatives: Floats) -> Floats:
        seen.append(relatives)
        return np.full(relatives.shape, 0.5)

    weights.from_online(bars["close"], range(5, 20), follow)
    # The first relative a policy is shown after its first answer is that of the next close.
    np.testing.assert_allclose(seen[0][0], bars["close"][6] / bars["close"][5])

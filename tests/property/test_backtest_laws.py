"""What holds for every history: fills equal a vectorised reference, and nothing sees the future."""

from decimal import Decimal

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.calendar import Timeframe
from domain.market import Floats
from research.backtest.costs import Costs
from research.backtest.history import History
from research.backtest.record import BacktestResult
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import deals, drawn_bars, history_of, parts_of, played, player_of

FAST, SLOW = 3, 8
SMA = SmaCrossover(fast_bars=FAST, slow_bars=SLOW)
EVERYTHING = {
    "sma": SMA,
    "rsi": RsiReversion(timeframe=Timeframe.DAY, period_bars=3),
    "mean": MeanReversion(timeframe=Timeframe.DAY, window_bars=10),
}
RUNS = settings(max_examples=12, deadline=None)
SEEDS = st.integers(0, 10_000)


def _average(close: Floats, period: int) -> Floats:
    """Return simple moving averages by the windows themselves, NaN before there are enough."""
    found = np.full(close.shape, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(close, period, axis=0)
    found[period - 1 :] = windows.mean(axis=2)
    return found


def _has_ties(close: Floats) -> bool:
    cents = np.rint(close * 100).astype(np.int64)
    totals = [
        np.lib.stride_tricks.sliding_window_view(cents, period, axis=0).sum(axis=2)
        for period in (FAST, SLOW)
    ]
    return bool((totals[0][SLOW - FAST :] * SLOW == totals[1] * FAST).any())


def _crossings(bars: dict[str, Floats]) -> list[tuple[str, int, str, Decimal]]:
    """Return (symbol, session, side, open) of every crossing, filled at the next open."""
    with np.errstate(invalid="ignore"):
        above = _average(bars["close"], FAST) > _average(bars["close"], SLOW)
    before = np.vstack([np.zeros((1, above.shape[1]), dtype=bool), above[:-1]])
    turned = np.argwhere((above != before)[:-1])
    return [
        (
            f"S{column}",
            int(row) + 1,
            "buy" if above[row, column] else "sell",
            Decimal(repr(float(bars["open"][row + 1, column]))),
        )
        for row, column in turned
    ]


@RUNS
@given(seed=SEEDS, width=st.integers(1, 4))
def test_fills_equal_a_vectorised_reference(seed: int, width: int) -> None:
    bars = drawn_bars(80, width, seed=seed)
    # Where both averages are equal to the cent, rounding decides: no two programs agree there.
    assume(not _has_ties(bars["close"]))
    history = history_of(bars)

    result = played(player_of(history, parts_of(history, {"sma": SMA})))

    ours = [(d[0], d[1], d[2], d[4]) for d in deals(history, result)]
    assert sorted(ours) == sorted(_crossings(bars))


@RUNS
@given(seed=SEEDS)
def test_equity_equals_cash_and_shares_at_the_close(seed: int) -> None:
    bars = drawn_bars(80, 3, seed=seed)
    history = history_of(bars)

    result = played(player_of(history, parts_of(history, {"sma": SMA})))

    cash, shares = float(result.capital_usd), np.zeros((80, 3))
    spent = np.zeros(80)
    for symbol, row, side, quantity, price in deals(history, result):
        signed = float(quantity) * (1 if side == "buy" else -1)
        shares[row:, int(symbol[1:])] += signed
        spent[row:] += signed * float(price)
    reference = cash - spent + (shares * bars["close"]).sum(axis=1)
    curve = np.array([float(d.equity_usd) for d in result.recording.days])
    np.testing.assert_allclose(curve, reference, rtol=0, atol=1e-6)


def _beginning(history: History, result: BacktestResult, sessions: int) -> list[object]:
    fills = [d for d in deals(history, result) if d[1] < sessions]
    return [fills, [d.equity_usd for d in result.recording.days[:sessions]]]


@RUNS
@given(seed=SEEDS, cut=st.integers(20, 70))
def test_what_comes_later_changes_nothing_before_it(seed: int, cut: int) -> None:
    bars = drawn_bars(80, 3, seed=seed)
    whole = history_of(bars)
    prefix = history_of({name: values[:cut] for name, values in bars.items()})
    rng = np.random.default_rng(seed)
    poison = {name: values.copy() for name, values in bars.items()}
    for name in ("open", "high", "low", "close"):
        poison[name][cut:] = np.round(bars["close"][cut:] * rng.uniform(0.8, 1.2), 2)
    poison["high"][cut:] = np.maximum(poison["open"], poison["close"])[cut:]
    poison["low"][cut:] = np.minimum(poison["open"], poison["close"])[cut:]
    poisoned = history_of(poison)
    costs = Costs(half_spread_bps=2.0, commission_bps=1.0)

    begun = [
        _beginning(history, played(player_of(history, parts, costs=costs)), cut)
        for history in (whole, prefix, poisoned)
        for parts in [parts_of(history, EVERYTHING)]
    ]

    assert begun[0] == begun[1] == begun[2]
    assert begun[0][1]


@RUNS
@given(seed=SEEDS, share=st.sampled_from([1e-5, 1e-4, 1e9]))
def test_the_ledger_is_the_venues_account_to_the_cent(seed: int, share: float) -> None:
    history = history_of(drawn_bars(60, 3, seed=seed))
    costs = Costs(volume_share_max=share, commission_per_share_usd=Decimal("0.005"))

    result = played(player_of(history, parts_of(history, EVERYTHING), costs=costs))

    assert result.ledger_differences == ()
    made = result.recording.days[-1].equity_usd - result.capital_usd
    assert sum(result.profit_by_book_usd.values()) == made


@RUNS
@given(seed=SEEDS)
def test_stacked_answers_equal_single_ones_to_the_bit(seed: int) -> None:
    bars = drawn_bars(60, 2, seed=seed)
    holes = np.random.default_rng(seed).random((60, 2)) < 0.1
    for values in bars.values():
        values[holes] = np.nan
    history = history_of(bars)
    parts = parts_of(history, EVERYTHING)

    runs = [played(player_of(history, parts, stacks=stacks)) for stacks in (True, False)]

    assert deals(history, runs[0]) == deals(history, runs[1])
    for one, other in zip(runs[0].recording.slots, runs[1].recording.slots, strict=True):
        np.testing.assert_array_equal(one.outcomes, other.outcomes)

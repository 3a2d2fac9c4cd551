"""Splits, dividends and borrowed shares: raw prices trade, prices in today's shares inform."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from daemon.settings import Settings
from daemon.settings_env import load_settings
from daemon.strategy_specs import parse_specs
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.instruments import Symbol
from domain.market import Floats
from research.backtest.costs import FREE, Costs
from research.backtest.preparing import Prepared, Request, prepare
from research.backtest.record import BacktestResult
from research.backtest.results import load, save
from research.backtest.stored import StoredHistory
from research.reports.figures import attribute
from research.reports.trades import closed_trades
from tests.support.backtests import drawn_bars
from tests.support.splits import SESSIONS, as_traded, write_actions, write_bars

SYMBOLS = ("AAPL", "JPM")
ROWS, SPLIT_ROW = 60, 40
SPLIT_DAY = SESSIONS[SPLIT_ROW].day
SPECS = "sma_crossover(fast_bars=3,slow_bars=8)"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(
        None,
        {},
        {
            "ORDER_STYLE": "market",
            "STOP_LOSS_PERCENT": "0",
            "TARGET_POSITION_SIZE": "0.2",
            "MAX_POSITION_SIZE": "0.4",
            "ORDER_SIZE_MAX_USD": "1000000",
            "MAX_DAILY_LOSS_PERCENT": "0.5",
            "MAX_DRAWDOWN_PERCENT": "0.9",
            "DAILY_TURNOVER_MAX": "1",
        },
    )


def prepared(
    settings: Settings,
    folder: Path,
    bars: Mapping[str, Floats],
    actions: Sequence[str] = (),
    *,
    costs: Costs = FREE,
) -> Prepared:
    path = write_bars(folder / f"bars-{len(list(folder.iterdir()))}.csv", bars, SYMBOLS)
    if actions:
        write_actions(path, actions)
    return prepare(Request(data=path, specs=tuple(parse_specs(SPECS)), costs=costs), settings)


def played(one: Prepared) -> BacktestResult:
    return one.player().run(progress=lambda _done, _of: None, stop=lambda: False)


def bars_of(seed: int = 3) -> dict[str, Floats]:
    return drawn_bars(ROWS, len(SYMBOLS), seed=seed)


def equity(result: BacktestResult) -> list[float]:
    return [float(day.equity_usd) for day in result.recording.days]


def split(ratio: str) -> str:
    return f"AAPL,{SPLIT_DAY},split,{ratio},"


# --- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "factor"), [("2:1", 2.0), ("4:1", 4.0), ("1:10", 0.1)])
def test_a_split_changes_nothing_of_what_is_held(
    ratio: str, factor: float, settings: Settings, tmp_path: Path
) -> None:
    bars = bars_of()
    whole = played(prepared(settings, tmp_path, bars))
    raw = as_traded(bars, 0, SPLIT_ROW, factor)

    parted = played(prepared(settings, tmp_path, raw, [split(ratio)]))

    def held(result: BacktestResult) -> list[list[bool]]:
        return [(day.shares > 0).tolist() for day in result.recording.days]

    assert held(parted) == held(whole)


def test_a_split_makes_nobody_richer(settings: Settings, tmp_path: Path) -> None:
    bars = bars_of()
    whole = equity(played(prepared(settings, tmp_path, bars)))
    raw = as_traded(bars, 0, SPLIT_ROW, 2.0)

    parted = equity(played(prepared(settings, tmp_path, raw, [split("2:1")])))

    # Whole shares at twice the price are other sizes: not more than a share each.
    np.testing.assert_allclose(parted, whole, rtol=2e-3)


def test_shares_double_and_cost_half_over_the_night(settings: Settings, tmp_path: Path) -> None:
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 2.0)

    result = played(prepared(settings, tmp_path, raw, [split("2:1")]))

    before, after = (result.recording.days[k].shares[0] for k in (SPLIT_ROW - 1, SPLIT_ROW))
    bought = sum(
        float(f.signed_shares)
        for f in result.recording.fills
        if f.symbol == "AAPL" and f.filled_at.date() == SPLIT_DAY
    )
    assert before > 0
    assert after == 2 * before + bought
    assert result.ledger_differences == ()


def test_what_a_reverse_split_leaves_of_a_share_is_paid_out(
    settings: Settings, tmp_path: Path
) -> None:
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 0.1)

    result = played(prepared(settings, tmp_path, raw, [split("1:10")]))

    fractions = [c for c in result.carried if c.kind == "fraction"]
    assert len(fractions) == 1
    assert 0 < fractions[0].amount_usd < 2_000
    assert all(float(day.shares[0]).is_integer() for day in result.recording.days)
    assert result.ledger_differences == ()


def test_no_halt_comes_of_a_split(settings: Settings, tmp_path: Path) -> None:
    strict = settings.model_copy(update={"max_daily_loss_percent": Decimal("0.10")})
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 10.0)

    result = played(prepared(strict, tmp_path, raw, [split("10:1")]))

    assert {day.trading_state for day in result.recording.days} == {"ACTIVE"}


@pytest.mark.parametrize("ratio", [2.0, 3.0, 0.1])
def test_what_is_shown_is_in_the_shares_of_the_day(
    ratio: float, settings: Settings, tmp_path: Path
) -> None:
    bars = bars_of()
    words = f"{ratio:g}:1" if ratio > 1 else "1:10"
    raw = as_traded(bars, 0, SPLIT_ROW, ratio)
    stored = StoredHistory(prepared(settings, tmp_path, raw, [split(words)]).history)
    frame = stored.frame(Timeframe.DAY, stale_bars_max=20)

    before, after = frame.window(SPLIT_ROW - 1, 10), frame.window(SPLIT_ROW + 3, 10)

    seen = np.round(raw["close"][SPLIT_ROW - 10 : SPLIT_ROW, 0], 4)
    np.testing.assert_allclose(before.close[:, 0], seen, rtol=1e-3)
    np.testing.assert_allclose(
        after.close[:, 0], bars["close"][SPLIT_ROW - 6 : SPLIT_ROW + 4, 0], rtol=1e-3
    )
    np.testing.assert_allclose(
        after.volume[:, 0], bars["volume"][SPLIT_ROW - 6 : SPLIT_ROW + 4, 0], rtol=1e-3
    )


def test_many_windows_at_once_are_each_in_the_shares_of_their_day(
    settings: Settings, tmp_path: Path
) -> None:
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 2.0)
    stored = StoredHistory(prepared(settings, tmp_path, raw, [split("2:1")]).history)
    frame = stored.frame(Timeframe.DAY, stale_bars_max=20)
    first, count, lookback = SPLIT_ROW - 4, 8, 6

    together = frame.stack(first, count, lookback)

    for k in range(count):
        alone = frame.window(first + k, lookback)
        columns = slice(k * len(SYMBOLS), (k + 1) * len(SYMBOLS))
        assert np.array_equal(together.close[:, columns], alone.close)
        assert np.array_equal(together.volume[:, columns], alone.volume)


def test_a_split_to_come_changes_nothing_that_is_seen_before(
    settings: Settings, tmp_path: Path
) -> None:
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 2.0)
    know = StoredHistory(prepared(settings, tmp_path, raw, [split("2:1")]).history)
    ignore = StoredHistory(prepared(settings, tmp_path, raw).history)

    for row in range(10, SPLIT_ROW):
        one, other = (
            s.frame(Timeframe.DAY, stale_bars_max=20).window(row, 8) for s in (know, ignore)
        )
        assert np.array_equal(one.close, other.close)


def test_bars_that_are_adjusted_already_are_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="adjusted already"):
        prepared(settings, tmp_path, bars_of(), [split("2:1")])


# --- dividends -----------------------------------------------------------------------------------


def test_a_dividend_is_paid_to_who_held_over_the_night(settings: Settings, tmp_path: Path) -> None:
    bars = bars_of()
    dividend = f"AAPL,{SPLIT_DAY},dividend,,0.50"

    result = played(prepared(settings, tmp_path, bars, [dividend]))

    held = Decimal(str(result.recording.days[SPLIT_ROW - 1].shares[0]))
    paid = [(c.kind, c.symbol, c.amount_usd) for c in result.carried]
    expected = [("dividend", Symbol("AAPL"), held * Decimal("0.50"))] if held else []
    assert paid == expected
    assert held > 0
    assert result.ledger_differences == ()


def test_a_dividend_is_profit_of_the_book_that_held(settings: Settings, tmp_path: Path) -> None:
    bars = bars_of()
    without = played(prepared(settings, tmp_path, bars))
    paid = played(prepared(settings, tmp_path, bars, [f"AAPL,{SPLIT_DAY},dividend,,0.50"]))

    income = sum(c.amount_usd for c in paid.carried)
    before = float(without.recording.days[SPLIT_ROW].equity_usd)
    after = float(paid.recording.days[SPLIT_ROW].equity_usd)

    assert after - before == pytest.approx(float(income), abs=0.011)
    assert sum(paid.profit_by_book_usd.values()) == (
        paid.recording.days[-1].equity_usd - paid.capital_usd
    )


# --- shorts --------------------------------------------------------------------------------------


def test_borrowed_shares_cost_by_the_night(settings: Settings, tmp_path: Path) -> None:
    shorting = settings.model_copy(update={"allow_shorts": True})
    costs = Costs(half_spread_bps=0.0, impact_bps=0.0, borrow_bps=360.0)

    result = played(prepared(shorting, tmp_path, bars_of(), costs=costs))

    fees = {c.day: -c.amount_usd for c in result.carried if c.kind == "borrow"}
    assert fees
    assert all(fee > 0 for fee in fees.values())
    row = next(k for k, s in enumerate(SESSIONS) if s.day in fees)
    nights = (SESSIONS[row].day - SESSIONS[row - 1].day).days
    held = result.recording.days[row - 1].shares
    close = bars_of()["close"][row - 1]
    value = float(-np.minimum(held, 0.0) @ close)
    assert float(sum(c.amount_usd for c in result.carried if c.day == SESSIONS[row].day)) == (
        pytest.approx(-value * 0.036 * nights / 360, abs=0.03)
    )
    assert result.ledger_differences == ()


def test_a_short_pays_the_dividend(settings: Settings, tmp_path: Path) -> None:
    shorting = settings.model_copy(update={"allow_shorts": True})
    actions = [
        f"{symbol},{session.day},dividend,,0.10"
        for symbol in SYMBOLS
        for session in SESSIONS[20:ROWS:5]
    ]

    result = played(prepared(shorting, tmp_path, bars_of(), actions))

    row_of = {session.day: row for row, session in enumerate(SESSIONS)}
    for paid in result.carried:
        held = result.recording.days[row_of[paid.day] - 1].shares[SYMBOLS.index(paid.symbol)]
        assert (paid.amount_usd > 0) == (held > 0)
    assert min(c.amount_usd for c in result.carried) < 0


def test_without_shorts_nothing_is_sold_short(settings: Settings, tmp_path: Path) -> None:
    result = played(prepared(settings, tmp_path, bars_of()))

    assert min(float(day.shares.min()) for day in result.recording.days) >= 0.0


# --- the report ----------------------------------------------------------------------------------


def test_what_came_overnight_is_in_the_profit_by_symbol(settings: Settings, tmp_path: Path) -> None:
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 2.0)
    actions = [split("2:1"), f"AAPL,{SESSIONS[SPLIT_ROW + 2].day},dividend,,0.40"]
    one = prepared(settings, tmp_path, raw, actions)
    folder = tmp_path / "result"
    folder.mkdir()

    save(folder, one, played(one), {})

    found = attribute(load(folder))
    assert sum(found.by_symbol.values()) == found.total
    assert sum(found.by_strategy.values()) == found.total
    kinds = load(folder).tables["income"]["kind"]
    assert kinds == ["split", "dividend"]


def test_lots_bought_before_a_split_are_closed_in_the_shares_after_it(
    settings: Settings, tmp_path: Path
) -> None:
    raw = as_traded(bars_of(), 0, SPLIT_ROW, 2.0)
    one = prepared(settings, tmp_path, raw, [split("2:1")])
    folder = tmp_path / "result"
    folder.mkdir()

    save(folder, one, played(one), {})

    profits = [float(t.profit_usd / t.shares) for t in closed_trades(load(folder))]
    assert profits
    # A lot that was taken for twice its shares would have lost half its price.
    assert all(abs(profit) < 40.0 for profit in profits)

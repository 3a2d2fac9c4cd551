from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from daemon.engine.rules import OrderStyle
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from exchange.sessions import xnys_calendar
from research.backtest.costs import FREE, Costs, FillAt
from research.backtest.history import History, load_history
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import deals, parts_of, played, player_of

CALENDAR = xnys_calendar(date(2019, 1, 2), date(2019, 1, 31))
SESSIONS = 5
QUARTER = Timeframe.FIFTEEN_MINUTES


def minute_file(folder: Path, *, seed: int = 1) -> Path:
    """Write minute bars of two symbols, the closing print in a row of its own."""
    rng = np.random.default_rng(seed)
    lines = ["symbol,timestamp,open,high,low,close,volume"]
    for symbol in ("AAA", "BBB"):
        price = 100.0
        for session in CALENDAR.sessions[:SESSIONS]:
            for minute in range(391):
                before, price = price, round(price * float(np.exp(0.002 * rng.normal())), 2)
                seconds = session.opens_at.timestamp() + 60 * minute
                at = np.datetime64(int(seconds), "s")
                low, high = min(before, price), max(before, price)
                lines.append(f"{symbol},{at}Z,{before:.2f},{high:.2f},{low:.2f},{price:.2f},1000")
    path = folder / "minutes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def minutes(folder: Path) -> History:
    return load_history(minute_file(folder), ["AAA", "BBB"], [QUARTER, Timeframe.HOUR])


def test_minutes_are_summed_up_on_every_timeframe(tmp_path: Path) -> None:
    history = minutes(tmp_path)
    quarter, day = history.frames[QUARTER], history.frames[Timeframe.DAY]

    assert history.base is QUARTER
    assert (len(quarter.slots), len(day.slots)) == (26 * SESSIONS, SESSIONS)
    np.testing.assert_array_equal(quarter.open[0], day.open[0])
    np.testing.assert_array_equal(quarter.close[25], day.close[0])
    np.testing.assert_array_equal(quarter.high[:26].max(axis=0), day.high[0])
    # The closing print belongs to the last bar.
    np.testing.assert_array_equal(quarter.volume[25], [16_000.0, 16_000.0])
    np.testing.assert_array_equal(day.volume[0], [391_000.0, 391_000.0])


def test_an_hour_that_the_close_cuts_short_is_a_bar_too(tmp_path: Path) -> None:
    frame = minutes(tmp_path).frames[Timeframe.HOUR]

    assert frame.first[1] == 7
    assert frame.slots[6] == CALENDAR.sessions[0].closes_at


def test_equal_bars_have_an_equal_hash_and_others_another(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    same = load_history(minute_file(two), ["AAA", "BBB"], [QUARTER])
    other = load_history(minute_file(two, seed=2), ["AAA", "BBB"], [QUARTER])

    first = load_history(minute_file(one), ["AAA", "BBB"], [QUARTER])

    assert first.content_hash == same.content_hash
    assert first.content_hash != other.content_hash


def test_daily_bars_serve_no_shorter_timeframe(tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    path.write_text("symbol,date,open,high,low,close,volume\nAAA,2019-01-02,1,1,1,1,5\n")

    with pytest.raises(ConfigurationFault, match="there is no 15Min"):
        load_history(path, ["AAA"], [QUARTER])


@pytest.mark.parametrize("fill_at", [FillAt.OPEN, FillAt.VWAP])
def test_intraday_orders_meet_the_next_bar(tmp_path: Path, fill_at: FillAt) -> None:
    history = minutes(tmp_path)
    strategy = SmaCrossover(fast_bars=2, slow_bars=5, timeframe=QUARTER)
    costs = Costs(half_spread_bps=0.0, impact_bps=0.0, fill_at=fill_at)

    result = played(player_of(history, parts_of(history, {"sma": strategy}), costs=costs))

    frame = history.frames[QUARTER]
    row_of = {slot: row for row, slot in enumerate(frame.slots)}
    checked = 0
    for fill in result.recording.fills:
        intent = result.recording.orders[fill.client_order_id].intent
        row = row_of[intent.slot_at] + 1
        if intent.intended_at != intent.slot_at or row in frame.first:
            continue  # waited for an open: a later bar
        column = history.symbols.index(fill.symbol)
        bar = [f[row, column] for f in (frame.open, frame.high, frame.low, frame.close)]
        expected = bar[0] if fill_at is FillAt.OPEN else sum(bar) / 4
        assert float(fill.price_usd) == pytest.approx(expected, abs=0.00011)
        checked += 1
    assert checked > 10
    assert result.ledger_differences == ()


def test_closing_orders_fill_at_the_close_and_late_ones_not_at_all(tmp_path: Path) -> None:
    history = minutes(tmp_path)
    strategy = SmaCrossover(fast_bars=2, slow_bars=5, timeframe=QUARTER)
    costs = Costs(half_spread_bps=0.0, impact_bps=0.0, fill_at=FillAt.CLOSE)

    result = played(player_of(history, parts_of(history, {"sma": strategy}), costs=costs))

    closes = history.frames[Timeframe.DAY].close
    for symbol, row, _, _, price in deals(history, result):
        column = [str(s) for s in history.symbols].index(symbol)
        assert price == Decimal(repr(float(closes[row, column])))
    assert result.recording.fills


def test_an_intraday_limit_is_priced_anew_once(tmp_path: Path) -> None:
    history = minutes(tmp_path)
    strategy = SmaCrossover(fast_bars=2, slow_bars=5, timeframe=QUARTER)
    parts = parts_of(history, {"sma": strategy}, order_style=OrderStyle.MARKETABLE_LIMIT)

    result = played(player_of(history, parts, costs=FREE))

    assert result.ledger_differences == ()
    assert {o.status for o in result.recording.orders.values()} >= {"filled"}

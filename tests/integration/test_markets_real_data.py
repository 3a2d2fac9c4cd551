"""Markets on real bars: what the files say is what is played."""

from datetime import date
from functools import cache

import numpy as np
import pandas as pd
import pytest

from exchange.markets.files import FileMarket
from tests.support.tapes import (
    assert_day_sums_up,
    assert_tape_is_sound,
    real_file,
    shipped_universe,
)

pytestmark = pytest.mark.real_data

DAY = date(2018, 3, 21)


@cache
def minutes() -> FileMarket:
    return FileMarket(real_file("minute.parquet"), wanted=all_symbols("minute.parquet"), seed=1)


@cache
def days() -> FileMarket:
    return FileMarket(real_file("daily.parquet"), wanted=shipped_universe().symbols, seed=1)


def all_symbols(name: str) -> tuple[str, ...]:
    return tuple(sorted(set(pd.read_parquet(real_file(name), columns=["symbol"]).symbol)))


@cache
def minute_rows() -> pd.DataFrame:
    table = pd.read_parquet(real_file("minute.parquet"))
    return table[table.timestamp.dt.date == DAY]


def test_all_sessions_and_symbols_of_the_minute_file_are_there():
    market = minutes()
    assert len(market.symbols) == 82
    assert (market.first_day, market.last_day) == (date(2018, 2, 16), date(2018, 4, 20))
    assert len(market.daily(date(2018, 1, 1), date(2018, 12, 31)).days) == 44
    assert market.outside_session_count == 0


def test_a_month_of_minutes_is_history_and_the_rest_is_traded():
    market = minutes()
    start = market.default_start_day()
    assert len(market.daily(market.first_day, start).days) == 31
    assert len(market.daily(start, date(2018, 12, 31)).days) == 14


def test_a_real_session_is_sound_and_sums_up_to_its_day():
    market = minutes()
    tape = market.tape(DAY)
    assert tape.close.shape == (82, 390)
    assert_tape_is_sound(tape)
    assert_day_sums_up(tape, market.daily(DAY, DAY))


def test_every_minute_but_the_last_is_the_files_own():
    tape = minutes().tape(DAY)
    rows = minute_rows()
    for symbol in ("AAPL", "KO", "GS"):
        own = rows[rows.symbol == symbol]
        at = (own.timestamp.dt.hour * 60 + own.timestamp.dt.minute - 570).to_numpy()
        own, at = own[at < 389], at[at < 389]
        row = tape.symbols.index(symbol)
        for name in ("open", "high", "low", "close"):
            played = getattr(tape, name)[row, at]
            assert np.abs(played - own[name].to_numpy()).max() <= 0.00501
        assert np.array_equal(tape.volume[row, at], own.volume.to_numpy())


def test_no_share_of_a_session_is_lost():
    tape = minutes().tape(DAY)
    told = minute_rows().groupby("symbol").volume.sum()
    assert np.array_equal(tape.tick_shares.sum(axis=1), told[list(tape.symbols)].to_numpy())


def test_the_closing_print_is_the_official_close_and_trades_last():
    tape = minutes().tape(DAY)
    rows = minute_rows()
    prints = rows[rows.timestamp.dt.hour == 16].set_index("symbol").loc[list(tape.symbols)]
    assert np.abs(tape.official_close_usd - prints.close.to_numpy()).max() <= 0.00501
    assert (tape.tick_shares[:, -1] >= prints.volume.to_numpy()).all()


def test_official_closes_are_near_those_of_the_daily_file():
    """Typically within 0.3 %, at worst 2.6 % (README of the data: 16:00 minute, daily close)."""
    market = minutes()
    factors = pd.read_csv(real_file("extra/minute_to_daily_factor.csv")).set_index("symbol")
    daily = pd.read_parquet(real_file("daily.parquet"))
    wide = daily.pivot(index="date", columns="symbol", values="close")
    bars = market.daily(market.first_day, DAY)
    told = wide.loc[pd.to_datetime(list(bars.days)), list(market.symbols)].to_numpy().T
    factor = factors.loc[list(market.symbols)].daily_over_minute_price_factor.to_numpy()
    off = np.abs(bars.close * factor[:, None] / told - 1)
    assert np.median(off) < 0.0005
    assert np.quantile(off, 0.95) < 0.005
    assert off.max() < 0.03


def test_sessions_chain_by_their_official_closes():
    market = minutes()
    bars = market.daily(DAY, market.last_day or DAY)
    for one, two in zip(bars.days[:3], bars.days[1:4], strict=True):
        before, after = market.tape(one), market.tape(two)
        assert np.array_equal(after.previous_close_usd, before.official_close_usd)


def test_every_day_of_twenty_years_is_a_session_of_the_calendar():
    market = days()
    told = pd.read_csv(real_file("extra/trading_days_2000_2020.csv"))
    listed = {date.fromisoformat(str(day)[:10]) for day in told.iloc[:, 0]}
    known = {s.day for s in market.calendar.sessions if s.day <= max(listed)}
    assert known == listed


def test_a_daily_path_stays_inside_its_bar():
    market = days()
    for day in (date(2008, 10, 10), date(2018, 2, 5), date(2020, 3, 16)):
        tape = market.tape(day)
        assert_tape_is_sound(tape)
        assert_day_sums_up(tape, market.daily(day, day))
    row = market.symbols.index("SPY")
    bars = market.daily(date(2020, 3, 16), date(2020, 3, 16))
    ticks = market.tape(date(2020, 3, 16)).tick_usd[row]
    assert (ticks.max(), ticks.min()) == (bars.high[row, 0], bars.low[row, 0])


def test_a_symbol_is_unknown_before_it_is_listed():
    market = days()
    tape = market.tape(date(2005, 6, 1))
    row = market.symbols.index("TSLA")
    assert np.isnan(tape.tick_usd[row]).all() and np.isnan(tape.official_close_usd[row])


def test_a_real_half_day_of_daily_bars_ends_at_one():
    tape = days().tape(date(2019, 11, 29))
    assert tape.close.shape[1] == 210
    assert_tape_is_sound(tape)


def test_minutes_of_funds_with_gaps_and_a_half_day_are_played():
    name = "extra/minute_etf_2019_2020.parquet"
    market = FileMarket(real_file(name), wanted=all_symbols(name), seed=1)
    christmas_eve = market.tape(date(2019, 12, 24))
    assert christmas_eve.close.shape[1] == 210
    assert 0 < (christmas_eve.volume > 0).mean() < 1
    assert_tape_is_sound(christmas_eve)
    assert_day_sums_up(christmas_eve, market.daily(date(2019, 12, 24), date(2019, 12, 24)))

"""Markets replayed from files: what is read, how it is played, and what bad files get."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from domain.errors import ConfigurationFault
from exchange.markets.catalogue import open_market
from exchange.markets.files import FileMarket
from exchange.markets.synthetic import SyntheticMarket
from tests.support.tapes import (
    assert_day_sums_up,
    assert_tape_is_sound,
    bars_csv,
    minute_label,
    universe_of,
)

DAY = date(2018, 2, 16)
NEXT_DAY = date(2018, 2, 20)  # the 19th was Presidents' Day
HALF_DAY = date(2019, 11, 29)
DAILY_HEADER = "symbol,date,open,high,low,close,volume"


def minute(n: int, bar: str = "10,11,9,10.5,1200", symbol: str = "KO", day: date = DAY) -> str:
    return f"{symbol},{minute_label(day, n)},{bar}"


def market_of(folder: Path, text: str, *symbols: str, name: str = "bars.csv") -> FileMarket:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return FileMarket(path, wanted=symbols or ("KO",), seed=1)


def refusal(folder: Path, text: str, name: str = "bars.csv") -> str:
    with pytest.raises(ConfigurationFault) as caught:
        market_of(folder, text, name=name)
    return str(caught.value).removeprefix(f"{folder}/")


# --- minutes -------------------------------------------------------------------------------------


def test_a_minute_bar_is_played_from_its_open_to_its_close(tmp_path):
    tape = market_of(tmp_path, bars_csv([minute(0), minute(1)])).tape(DAY)
    ticks = tape.tick_usd[0, :12]
    assert (ticks[0], ticks[-1], ticks.max(), ticks.min()) == (10, 10.5, 11, 9)
    assert tape.tick_shares[0, :12].sum() == 1200
    assert_tape_is_sound(tape)


def test_a_minute_without_a_row_has_no_bar_and_carries_the_last_price(tmp_path):
    tape = market_of(tmp_path, bars_csv([minute(0), minute(2), minute(3)])).tape(DAY)
    assert np.isnan(tape.close[0, 1]) and tape.volume[0, 1] == 0
    assert (tape.tick_usd[0, 12:24] == 10.5).all()


def test_nothing_is_known_of_a_symbol_before_its_first_bar(tmp_path):
    tape = market_of(tmp_path, bars_csv([minute(5), minute(6)])).tape(DAY)
    assert np.isnan(tape.tick_usd[0, : 5 * 12]).all()
    assert np.isnan(tape.previous_close_usd[0])


def test_a_row_without_volume_is_no_bar(tmp_path):
    rows = [minute(0), minute(1, "20,20,20,20,0"), minute(2)]
    tape = market_of(tmp_path, bars_csv(rows)).tape(DAY)
    assert np.isnan(tape.close[0, 1])


def test_the_row_of_the_closing_instant_is_the_closing_auction(tmp_path):
    rows = [minute(388), minute(389), minute(390, "10.6,10.8,10.6,10.7,5000")]
    tape = market_of(tmp_path, bars_csv(rows)).tape(DAY)
    assert tape.close.shape == (1, 390)
    assert tape.close[0, 389] == tape.official_close_usd[0] == tape.tick_usd[0, -1] == 10.7
    assert (tape.open[0, 389], tape.high[0, 389], tape.low[0, 389]) == (10, 11, 9)
    assert tape.volume[0, 389] == 6200
    assert tape.tick_shares[0, -1] >= 5000
    assert_tape_is_sound(tape)


def test_a_closing_print_alone_makes_the_last_minute(tmp_path):
    rows = [minute(0), minute(1), minute(390, "10.6,10.8,10.6,10.7,5000")]
    tape = market_of(tmp_path, bars_csv(rows)).tape(DAY)
    assert (tape.open[0, 389], tape.close[0, 389], tape.volume[0, 389]) == (10.6, 10.7, 5000)
    assert_tape_is_sound(tape)


def test_a_half_day_ends_at_one(tmp_path):
    rows = [minute(0, day=HALF_DAY), minute(209, day=HALF_DAY), minute(210, day=HALF_DAY)]
    market = market_of(tmp_path, bars_csv(rows))
    assert market.tape(HALF_DAY).close.shape == (1, 210)
    assert market.outside_session_count == 0


def test_bars_outside_the_regular_session_are_counted_and_not_played(tmp_path):
    rows = [minute(-30), minute(-29), minute(0), minute(1), minute(391)]
    market = market_of(tmp_path, bars_csv(rows))
    assert market.outside_session_count == 3
    assert market.tape(DAY).volume.sum() == 2400


def test_the_previous_close_is_the_last_sessions_official_close(tmp_path):
    rows = [minute(0), minute(390, "10,10,10,10,9"), minute(0, day=NEXT_DAY)]
    market = market_of(tmp_path, bars_csv(rows))
    assert market.tape(NEXT_DAY).previous_close_usd[0] == 10


def test_a_symbol_that_skips_a_session_keeps_its_last_close(tmp_path):
    rows = [minute(0), minute(1), minute(0, symbol="XOM", day=NEXT_DAY)]
    tape = market_of(tmp_path, bars_csv(rows), "KO", "XOM").tape(NEXT_DAY)
    assert tape.official_close_usd[0] == 10.5
    assert (tape.tick_usd[0] == 10.5).all()
    assert_tape_is_sound(tape)


def test_a_symbol_comes_back_from_its_last_close_however_long_ago(tmp_path):
    third_day = date(2018, 2, 21)
    rows = [minute(0), minute(1), minute(0, day=third_day)]
    rows += [minute(0, symbol="XOM", day=day) for day in (DAY, NEXT_DAY, third_day)]
    tape = market_of(tmp_path, bars_csv(rows), "KO", "XOM").tape(third_day)
    assert tape.previous_close_usd[0] == 10.5


def test_minutes_are_summed_up_to_days(tmp_path):
    rows = [minute(0), minute(1, "10.5,12,10,11,300"), minute(390, "11,11,11,11,7")]
    market = market_of(tmp_path, bars_csv([*rows, minute(0, day=NEXT_DAY)]))
    bars = market.daily(DAY, DAY)
    assert bars.days == (DAY,)
    assert (bars.open[0, 0], bars.high[0, 0], bars.low[0, 0]) == (10, 12, 9)
    assert (bars.close[0, 0], bars.volume[0, 0]) == (11, 1507)
    assert_day_sums_up(market.tape(DAY), bars)


def test_the_same_seed_draws_the_same_ticks_and_another_seed_others(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(bars_csv([minute(n) for n in range(30)]))
    one, two, other = (
        FileMarket(path, wanted=("KO",), seed=seed).tape(DAY).tick_usd for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two, equal_nan=True)
    assert not np.array_equal(one, other, equal_nan=True)


def test_prices_are_put_on_the_grid_of_cents(tmp_path):
    rows = [minute(0, "10.0049,11,9,10.5051,10"), minute(1, "0.93638,0.94,0.93,0.93999,10")]
    tape = market_of(tmp_path, bars_csv(rows)).tape(DAY)
    assert (tape.open[0, 0], tape.close[0, 0]) == (10.0, 10.51)
    assert (tape.open[0, 1], tape.close[0, 1]) == (0.9364, 0.94)
    assert_tape_is_sound(tape)


# --- what files look like ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        ("2018-02-16 09:30", "2018-02-16 09:31"),
        ("2018-02-16T14:30:00Z", "2018-02-16T14:31:00Z"),
        ("2018-02-16 15:30:00+01:00", "2018-02-16 15:31:00+01:00"),
    ],
    ids=["naive New York", "UTC", "another zone"],
)
def test_a_label_is_the_start_of_its_minute_in_whatever_zone_it_says(tmp_path, labels):
    rows = [f"KO,{label},10,11,9,10.5,1200" for label in labels]
    tape = market_of(tmp_path, bars_csv(rows)).tape(DAY)
    assert (tape.volume[0, :2] == 1200).all()


def test_columns_are_found_by_their_usual_names(tmp_path):
    text = bars_csv(
        [f"10,11,9,10.5,1200,KO,{minute_label(DAY, n)},x" for n in range(2)],
        header="Open,HIGH,low,c,Vol,Ticker,Datetime,note",
    )
    assert market_of(tmp_path, text).tape(DAY).close[0, 0] == 10.5


def test_a_file_without_a_symbol_column_is_of_the_symbol_it_is_named_after(tmp_path):
    text = bars_csv(
        [f"{minute_label(DAY, n)},10,11,9,10.5,1200" for n in range(2)],
        header="timestamp,open,high,low,close,volume",
    )
    assert market_of(tmp_path, text, name="ko.csv").symbols_all == ("KO",)


def test_a_ticker_that_reads_like_a_missing_value_is_a_ticker(tmp_path):
    text = bars_csv([minute(0, symbol="NA"), minute(1, symbol="NA")])
    assert market_of(tmp_path, text, "NA").symbols == ("NA",)


def test_parquet_with_zoned_times_in_its_index_is_read(tmp_path):
    path = tmp_path / "bars.parquet"
    times = pd.to_datetime([minute_label(DAY, n) for n in range(2)], utc=True)
    pd.DataFrame(
        {"symbol": "KO", "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5},
        index=pd.DatetimeIndex(times, name="timestamp"),
    ).to_parquet(path)
    assert FileMarket(path, wanted=("KO",), seed=1).tape(DAY).volume.sum() == 10


def test_a_folder_is_one_market_of_all_its_files(tmp_path):
    (tmp_path / "a.csv").write_text(bars_csv([minute(0), minute(1)]))
    (tmp_path / "b.csv").write_text(bars_csv([minute(0, symbol="XOM"), minute(1, symbol="XOM")]))
    (tmp_path / "notes.txt").write_text("not bars")
    market = FileMarket(tmp_path, wanted=("XOM", "KO"), seed=1)
    assert market.symbols == ("XOM", "KO")
    assert_tape_is_sound(market.tape(DAY))


def test_the_market_has_every_symbol_that_the_file_holds(tmp_path):
    path = tmp_path / "bars.csv"
    rows = [minute(n, symbol=s) for s in ("ZZZ", "XOM", "KO") for n in range(2)]
    path.write_text(bars_csv(rows))
    market = open_market(str(path), seed=1, universe=universe_of("KO", "XOM", "SPY"))
    assert isinstance(market, FileMarket)
    assert market.symbols == market.symbols_all == ("KO", "XOM", "ZZZ")


def test_of_wanted_symbols_the_market_has_those_that_the_file_holds(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(bars_csv([minute(n, symbol=s) for s in ("ZZZ", "XOM") for n in range(2)]))
    market = FileMarket(path, wanted=("SPY", "ZZZ"), seed=1)
    assert market.symbols == ("ZZZ",)


# --- days ----------------------------------------------------------------------------------------


def daily(day: str, bar: str = "10,11,9,10.5,120000", symbol: str = "KO") -> str:
    return f"{symbol},{day},{bar}"


def test_a_daily_bar_is_played_inside_itself(tmp_path):
    market = market_of(tmp_path, bars_csv([daily("2018-02-16")], DAILY_HEADER))
    tape = market.tape(DAY)
    assert_tape_is_sound(tape)
    assert_day_sums_up(tape, market.daily(DAY, DAY))
    assert market.daily(DAY, DAY).high[0, 0] == 11


def test_a_flat_daily_bar_is_played_flat(tmp_path):
    text = bars_csv([daily("2018-02-16", "10,10,10,10,500")], DAILY_HEADER)
    tape = market_of(tmp_path, text).tape(DAY)
    assert (tape.tick_usd == 10).all()
    assert_tape_is_sound(tape)


def test_a_day_with_hardly_a_share_still_touches_its_high_and_low(tmp_path):
    text = bars_csv([daily("2018-02-16", "10,11,9,10.5,3")], DAILY_HEADER)
    market = market_of(tmp_path, text)
    assert_tape_is_sound(market.tape(DAY))
    assert_day_sums_up(market.tape(DAY), market.daily(DAY, DAY))


def test_dates_dressed_as_midnight_utc_are_days(tmp_path):
    rows = [daily("2018-02-16T00:00:00Z"), daily("2018-02-20T00:00:00Z")]
    market = market_of(tmp_path, bars_csv(rows))
    assert market.is_daily and market.first_day == DAY


def test_the_calendar_goes_on_after_the_last_bar(tmp_path):
    market = market_of(tmp_path, bars_csv([daily("2018-02-16")], DAILY_HEADER))
    assert market.last_day == DAY
    assert market.calendar.session_of(date(2018, 12, 24)) is not None


def test_a_day_the_file_does_not_have_is_said_to_be_none(tmp_path):
    market = market_of(tmp_path, bars_csv([daily("2018-02-16")], DAILY_HEADER))
    with pytest.raises(LookupError, match="no session on 2018-02-20"):
        market.tape(NEXT_DAY)


# --- where trading starts ------------------------------------------------------------------------


def many_days(count: int) -> str:
    days = pd.bdate_range("2018-04-02", periods=count)
    return bars_csv([daily(str(d.date())) for d in days], DAILY_HEADER)


def test_a_short_file_leaves_a_quarter_of_its_sessions_to_trade(tmp_path):
    market = market_of(tmp_path, many_days(20))
    assert len(market.daily(market.default_start_day(), date(2019, 1, 1)).days) == 5


def test_a_file_of_one_session_trades_it(tmp_path):
    assert market_of(tmp_path, many_days(1)).default_start_day() == date(2018, 4, 2)


def test_a_wished_warm_up_is_kept_to_the_session(tmp_path):
    assert market_of(tmp_path, many_days(20)).default_start_day(3) == date(2018, 4, 5)


@pytest.mark.parametrize("wish", [-1, 20])
def test_a_warm_up_that_leaves_nothing_is_refused(tmp_path, wish):
    with pytest.raises(ConfigurationFault, match=r"accepted: 0 to 19"):
        market_of(tmp_path, many_days(20)).default_start_day(wish)


# --- bad files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bar", "column", "found", "accepted"),
    [
        ("10,11,9,,1200", "close", "no number (NaN)", "a finite number"),
        ("10,11,9,nan,1200", "close", "nan", "a finite number"),
        ("10,11,9,ten,1200", "close", "ten", "a finite number"),
        ("10,inf,9,10,1200", "high", "inf", "a finite number"),
        ("0,11,0,10,1200", "open", "0.0", "a price above 0"),
        ("10,11,-9,10,1200", "low", "-9.0", "a price above 0"),
        ("10,11,9,10,-1", "volume", "-1.0", "shares from 0 up"),
        ("10,9,11,10,1200", "high", "9.0", "a high not below the low"),
        ("10,10.2,9,10.5,1200", "high", "10.2", "a high not below the body"),
        ("10,11,10.2,10.5,1200", "low", "10.2", "a low not above the body"),
    ],
)
def test_an_impossible_bar_is_named_by_file_row_and_column(tmp_path, bar, column, found, accepted):
    said = refusal(tmp_path, bars_csv([minute(0), minute(1, bar), minute(2)]))
    assert said == (
        f"bars.csv, row 3 (the header is row 1), column {column}:"
        f" found {found}; accepted: {accepted}"
    )


def test_a_row_is_counted_as_an_editor_shows_it_blank_lines_and_all(tmp_path):
    said = refusal(tmp_path, bars_csv([minute(0), "", minute(1)]))
    assert said.startswith("bars.csv, row 3 (the header is row 1), column symbol: found nothing")


def test_blank_lines_at_the_end_are_no_rows(tmp_path):
    market = market_of(tmp_path, bars_csv([minute(0), minute(1), "", ""]))
    assert market.tape(DAY).volume.sum() == 2400


def test_parquet_rows_are_named_by_their_index(tmp_path):
    path = tmp_path / "bars.parquet"
    pd.DataFrame(
        {
            "symbol": ["KO", "KO"],
            "timestamp": pd.to_datetime([minute_label(DAY, n) for n in range(2)], utc=True),
            "open": 10.0,
            "high": [11.0, 9.5],
            "low": 9.0,
            "close": 10.5,
            "volume": 5,
        }
    ).to_parquet(path)
    with pytest.raises(ConfigurationFault, match=r"row index 1, column high: found 9\.5"):
        FileMarket(path, wanted=("KO",), seed=1)


def test_a_missing_column_is_named_with_the_names_it_may_have(tmp_path):
    said = refusal(tmp_path, "symbol,timestamp,open,high,low,last\n")
    assert "column close, volume is missing" in said
    assert "found symbol, timestamp, open, high, low, last" in said
    assert "volume as volume, vol, v" in said


def test_rows_out_of_order_are_named(tmp_path):
    said = refusal(tmp_path, bars_csv([minute(0), minute(2), minute(1)]))
    assert "row 4 (the header is row 1), column timestamp" in said
    assert "2018-02-16T14:31:00.000Z after a later bar for KO" in said


def test_a_duplicate_row_is_named(tmp_path):
    said = refusal(tmp_path, bars_csv([minute(0), minute(1), minute(1)]))
    assert "row 4" in said and "twice for KO" in said


def test_rows_of_several_symbols_may_be_mixed(tmp_path):
    rows = [minute(n, symbol=s) for n in range(3) for s in ("KO", "XOM")]
    assert market_of(tmp_path, bars_csv(rows), "KO", "XOM").tape(DAY).volume.sum() == 7200


def test_a_bar_that_two_files_hold_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(bars_csv([minute(0), minute(1)]))
    (tmp_path / "b.csv").write_text(bars_csv([minute(1), minute(2)]))
    with pytest.raises(ConfigurationFault, match=r"b\.csv, row 2 .*a bar of KO that a\.csv holds"):
        FileMarket(tmp_path, wanted=("KO",), seed=1)


def test_daily_files_beside_minute_files_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text(bars_csv([minute(0), minute(1)]))
    (tmp_path / "b.csv").write_text(bars_csv([daily("2018-02-16")], DAILY_HEADER))
    with pytest.raises(ConfigurationFault, match="daily bars beside minute ones"):
        FileMarket(tmp_path, wanted=("KO",), seed=1)


def test_a_day_that_is_no_session_is_named(tmp_path):
    said = refusal(tmp_path, bars_csv([daily("2018-02-16"), daily("2018-02-19")], DAILY_HEADER))
    assert "row 3" in said and "column date: found 2018-02-19" in said


@pytest.mark.parametrize("label", ["yesterday", "2018-13-01", ""])
def test_a_time_that_is_none_is_named(tmp_path, label):
    said = refusal(tmp_path, bars_csv([daily("2018-02-16"), daily(label)], DAILY_HEADER))
    assert "row 3" in said and "column date" in said and "2018-02-16T14:30:00Z" in said


def test_times_with_and_without_a_zone_in_one_file_are_refused(tmp_path):
    rows = [minute(0), "KO,2018-02-16 09:31,10,11,9,10.5,1200"]
    assert "zones in all rows of a file or in none" in refusal(tmp_path, bars_csv(rows))


def test_numbers_for_times_are_refused(tmp_path):
    said = refusal(tmp_path, bars_csv([daily("1518791400")], DAILY_HEADER))
    assert "column date: found 1518791400" in said


def test_a_bar_that_starts_inside_a_minute_is_refused(tmp_path):
    rows = ["KO,2018-02-16 09:30:15,10,11,9,10.5,1200"]
    assert "the full minute a bar starts at" in refusal(tmp_path, bars_csv(rows))


def test_bars_of_five_minutes_are_refused(tmp_path):
    said = refusal(tmp_path, bars_csv([minute(5 * n) for n in range(11)]))
    assert "found bars 5 minutes apart; accepted: bars of one minute or of one day" in said


def test_a_file_without_rows_is_refused(tmp_path):
    assert "no rows in it" in refusal(tmp_path, bars_csv([]))


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_an_empty_file_is_refused(tmp_path, name):
    assert "not a readable" in refusal(tmp_path, "", name=name)


def test_a_csv_with_too_many_fields_in_a_row_is_refused(tmp_path):
    said = refusal(tmp_path, bars_csv([minute(0), minute(1) + ",1,2"]))
    assert "not a readable CSV file" in said and "line 3" in said


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationFault, match="no such file or folder of bars"):
        FileMarket(tmp_path / "none.csv", wanted=("KO",), seed=1)


def test_a_file_of_another_kind_is_refused(tmp_path):
    assert "accepted: .parquet" in refusal(tmp_path, "x", name="bars.xlsx")


def test_a_folder_without_bars_is_refused(tmp_path):
    with pytest.raises(ConfigurationFault, match="file in this folder"):
        FileMarket(tmp_path, wanted=("KO",), seed=1)


def test_a_file_with_none_of_the_wanted_symbols_says_what_it_holds(tmp_path):
    with pytest.raises(ConfigurationFault, match=r"none of the 1 symbols .* it holds KO"):
        market_of(tmp_path, bars_csv([minute(0), minute(1)]), "SPY")


def test_a_file_without_a_bar_in_a_session_is_refused(tmp_path):
    assert "no bar with volume" in refusal(tmp_path, bars_csv([minute(-9), minute(-8)]))


# --- the catalogue -------------------------------------------------------------------------------


def test_synthetic_alone_takes_the_given_seed():
    market = open_market("synthetic", seed=3, universe=universe_of("KO"))
    assert isinstance(market, SyntheticMarket) and market.name == "synthetic:3"


def test_a_seed_in_the_name_goes_before_the_given_one():
    assert open_market("synthetic:11", seed=3, universe=universe_of("KO")).name == "synthetic:11"


@pytest.mark.parametrize("spec", ["synthetic:", "synthetic:x", "synthetic:-1", "synthetic:1.5"])
def test_a_seed_that_is_no_number_is_refused(spec):
    with pytest.raises(ConfigurationFault, match="write synthetic:7"):
        open_market(spec, seed=3, universe=universe_of("KO"))

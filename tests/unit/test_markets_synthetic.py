"""The synthetic market: its identity, and the habits it shares with the real one.

The ranges below hold the values measured on real data (see factors.py and intraday.py) with room
for the sampling error of ten years and a dozen sessions of one seed.
"""

from datetime import date

import numpy as np
import pytest

from domain.errors import ConfigurationFault
from domain.instruments import Kind, Universe, unclassified
from exchange.markets.synthetic import START_DAY, SyntheticMarket
from tests.support.tapes import (
    assert_day_sums_up,
    assert_tape_is_sound,
    shipped_universe,
    synthetic_market,
    universe_of,
)

DAY = date(2026, 1, 6)


def stocks() -> list[int]:
    return [k for k, i in enumerate(shipped_universe().instruments) if i.kind is Kind.STOCK]


def daily_returns() -> np.ndarray:
    bars = synthetic_market().daily(date(2016, 1, 1), date(2025, 12, 31))
    return np.diff(np.log(bars.close), axis=1)[stocks()]


def kurtosis(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return (centred**4).mean(axis=1) / (centred**2).mean(axis=1) ** 2


def autocorrelation(rows: np.ndarray, lag: int) -> np.ndarray:
    return np.array([np.corrcoef(row[:-lag], row[lag:])[0, 1] for row in rows])


def minutes(name: str, sessions: int = 12) -> np.ndarray:
    """A field of the tapes of some sessions `[stocks, sessions, minutes]`."""
    market = synthetic_market()
    start = market.calendar.session_of(START_DAY)
    assert start is not None
    first = market.calendar.sessions.index(start)
    days = [s.day for s in market.calendar.sessions[first : first + sessions]]
    return np.stack([getattr(market.tape(day), name)[stocks()] for day in days], axis=1)


# --- identity ------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_session():
    first = synthetic_market().tape(DAY)
    again = SyntheticMarket(seed=7, universe=shipped_universe()).tape(DAY)
    assert np.array_equal(first.tick_usd, again.tick_usd)
    assert np.array_equal(first.tick_shares, again.tick_shares)


def test_another_seed_gives_another_session():
    assert not np.array_equal(
        synthetic_market(seed=7, count=2).tape(DAY).tick_usd,
        synthetic_market(seed=8, count=2).tape(DAY).tick_usd,
    )


def test_a_symbol_does_not_depend_on_who_else_is_in_the_universe():
    alone = SyntheticMarket(seed=7, universe=universe_of("KO")).tape(DAY)
    row = synthetic_market().symbols.index("KO")
    among_others = synthetic_market().tape(DAY)
    assert np.array_equal(alone.tick_usd[0], among_others.tick_usd[row])
    assert np.array_equal(alone.tick_shares[0], among_others.tick_shares[row])


def test_a_session_does_not_depend_on_the_ones_asked_for_before():
    market = SyntheticMarket(seed=7, universe=universe_of("KO", "XOM"))
    fresh = SyntheticMarket(seed=7, universe=universe_of("KO", "XOM"))
    for day in (date(2026, 1, 5), date(2020, 3, 16), date(2026, 1, 7)):
        market.tape(day)
    assert np.array_equal(market.tape(DAY).tick_usd, fresh.tape(DAY).tick_usd)


def test_a_cached_tape_is_the_same_object_until_others_push_it_out():
    market = SyntheticMarket(seed=7, universe=universe_of("KO"))
    first = market.tape(DAY)
    assert market.tape(DAY) is first
    for day in (5, 7, 8, 9):
        market.tape(date(2026, 1, day))
    assert market.tape(DAY) is not first


def test_the_tape_used_last_is_kept_longest():
    market = SyntheticMarket(seed=7, universe=universe_of("KO"))
    first = market.tape(DAY)
    for day in (5, 7, 8):
        market.tape(date(2026, 1, day))
    market.tape(DAY)
    market.tape(date(2026, 1, 9))
    assert market.tape(DAY) is first


def test_a_path_is_bent_to_its_high_and_low_and_not_cut_off_there():
    tape = synthetic_market().tape(DAY)
    dear = tape.close[:, 0] > 200
    day_high = tape.tick_usd[dear].max(axis=1, keepdims=True)
    day_low = tape.tick_usd[dear].min(axis=1, keepdims=True)
    at_extremes = (tape.tick_usd[dear] == day_high) | (tape.tick_usd[dear] == day_low)
    assert at_extremes.mean() < 0.006


def test_arrays_of_a_tape_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        synthetic_market().tape(DAY).tick_usd[0, 0] = 1.0


def test_a_tape_is_the_daily_bar_played_out():
    market = synthetic_market()
    assert_tape_is_sound(market.tape(DAY))
    assert_day_sums_up(market.tape(DAY), market.daily(date(2026, 1, 1), date(2026, 1, 31)))


def test_a_half_day_has_half_as_many_minutes_and_all_of_the_volume():
    market = synthetic_market()
    tape = market.tape(date(2026, 11, 27))
    assert tape.close.shape[1] == 210
    assert_tape_is_sound(tape)
    assert_day_sums_up(tape, market.daily(date(2026, 11, 27), date(2026, 11, 27)))


def test_ticks_stand_five_seconds_apart_just_before_their_instant():
    tape = synthetic_market().tape(DAY)
    assert tape.tick_at_s[0] == pytest.approx(tape.opened_at_s[0] + 4.999, abs=1e-4, rel=0)
    assert tape.tick_at_s[11] == pytest.approx(tape.opened_at_s[0] + 59.999, abs=1e-4, rel=0)
    assert tape.tick_at_s[-1] < tape.session.closes_at.timestamp()


def test_there_is_a_year_of_history_before_the_default_start():
    market = synthetic_market()
    start = market.default_start_day()
    assert start == START_DAY
    assert len(market.daily(market.first_day, start).days) > 260


def test_a_wish_for_a_long_warm_up_moves_the_start():
    market = synthetic_market()
    start = market.default_start_day(4000)
    assert len(market.daily(market.first_day, start).days) == 4001


def test_a_warm_up_longer_than_the_market_is_refused():
    with pytest.raises(ConfigurationFault, match="leave none to trade"):
        synthetic_market().default_start_day(1_000_000)


def test_a_day_without_a_session_is_said_to_be_none():
    with pytest.raises(LookupError, match="no session on 2026-01-04"):
        synthetic_market().tape(date(2026, 1, 4))


def test_daily_bars_of_an_empty_span_are_none():
    assert synthetic_market().daily(date(2026, 1, 3), date(2026, 1, 4)).days == ()


def test_liveliness_multiplies_the_moves():
    calm = SyntheticMarket(seed=7, universe=universe_of("KO"))
    lively = SyntheticMarket(seed=7, universe=universe_of("KO"), liveliness=2.0)
    span = (date(2025, 1, 1), date(2025, 12, 31))
    moves = [np.diff(np.log(m.daily(*span).close)).std() for m in (calm, lively)]
    assert moves[1] == pytest.approx(2 * moves[0], rel=0.02)


@pytest.mark.parametrize("liveliness", [0.0, -1.0, float("nan"), 11.0])
def test_a_liveliness_out_of_bounds_is_refused(liveliness):
    with pytest.raises(ConfigurationFault, match="liveliness"):
        SyntheticMarket(seed=7, universe=universe_of("KO"), liveliness=liveliness)


def test_a_symbol_of_unknown_turnover_still_trades():
    market = SyntheticMarket(seed=7, universe=Universe((unclassified("ZZZZ"),)))
    assert_tape_is_sound(market.tape(DAY))
    assert (market.tape(DAY).volume > 0).mean() > 0.95


def test_prices_at_the_start_are_plausible():
    prices = synthetic_market().tape(START_DAY).previous_close_usd
    assert prices.min() >= 20 and prices.max() <= 600


# --- habits: days --------------------------------------------------------------------------------


def test_daily_returns_have_fat_tails():
    middle = np.median(kurtosis(daily_returns()))
    assert 4.5 < middle < 12


def test_nights_have_fatter_tails_than_days():
    bars = synthetic_market().daily(date(2016, 1, 1), date(2025, 12, 31))
    nights = kurtosis(np.log(bars.open[:, 1:] / bars.close[:, :-1])[stocks()])
    days = kurtosis(np.log(bars.close / bars.open)[stocks()])
    assert 8 < np.median(nights) < 40
    assert 4.5 < np.median(days) < 9


def test_big_days_follow_big_days():
    size = np.abs(daily_returns())
    assert 0.07 < np.median(autocorrelation(size, 1)) < 0.25
    assert 0.02 < np.median(autocorrelation(size, 20)) < 0.15


def test_returns_themselves_do_not_follow_each_other():
    assert abs(np.median(autocorrelation(daily_returns(), 1))) < 0.03


def test_names_of_a_sector_move_together_more_than_others():
    instruments = shipped_universe().instruments
    sectors = np.array([str(instruments[k].sector) for k in stocks()])
    correlation = np.corrcoef(daily_returns())
    pair = np.triu(np.ones_like(correlation, dtype=bool), 1)
    same = sectors[:, None] == sectors[None, :]
    within, across = correlation[pair & same].mean(), correlation[pair & ~same].mean()
    assert 0.35 < within < 0.60
    assert 0.18 < across < 0.40
    assert within > across + 0.1


def test_funds_follow_what_they_hold_and_bonds_go_their_own_way():
    bars = synthetic_market().daily(date(2016, 1, 1), date(2025, 12, 31))
    returns = np.diff(np.log(bars.close), axis=1)
    row = {s: k for k, s in enumerate(synthetic_market().symbols)}
    correlation = np.corrcoef(returns)
    assert correlation[row["SPY"], row["QQQ"]] > 0.8
    assert correlation[row["XLK"], row["MSFT"]] > 0.5
    assert abs(correlation[row["TLT"], row["SPY"]]) < 0.35


def test_a_third_of_the_variance_comes_over_night():
    bars = synthetic_market().daily(date(2016, 1, 1), date(2025, 12, 31))
    over_night = np.log(bars.open[:, 1:] / bars.close[:, :-1])[stocks()].var(axis=1)
    by_day = np.log(bars.close / bars.open)[stocks()].var(axis=1)
    assert 0.25 < np.median(over_night / (over_night + by_day)) < 0.40


def test_each_symbol_has_about_the_volatility_of_its_instrument():
    told = np.array([i.volatility for i in shipped_universe().instruments])[stocks()]
    drawn = daily_returns().std(axis=1) * np.sqrt(252)
    assert 0.8 < np.median(drawn / told) < 1.2
    assert np.corrcoef(drawn, told)[0, 1] > 0.95


def test_the_days_range_fits_the_days_variance():
    """Parkinson's estimate from high and low, over the variance of close to open [1.05]."""
    bars = synthetic_market().daily(date(2016, 1, 1), date(2025, 12, 31))
    ranges = np.log(bars.high / bars.low)[stocks()]
    by_range = (ranges**2).mean(axis=1) / (4 * np.log(2))
    by_close = np.log(bars.close / bars.open)[stocks()].var(axis=1)
    assert 0.9 < np.median(by_range / by_close) < 1.2


def test_volume_rises_with_the_size_of_the_move():
    bars = synthetic_market().daily(date(2016, 1, 1), date(2025, 12, 31))
    size = np.abs(daily_returns())
    dollars = np.log((bars.volume * bars.close)[stocks()][:, 1:])
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(size, dollars, strict=True)]) > 0.3


# --- habits: minutes -----------------------------------------------------------------------------


def test_volume_is_u_shaped():
    share = minutes("volume").mean(axis=(0, 1))
    share = share / share.sum() * 390
    assert share[:5].mean() > 2.5
    assert 0.4 < share[170:220].mean() < 0.8
    assert share[380:389].mean() > 2.0


def test_the_closing_auction_takes_its_share():
    volume = minutes("volume")
    assert 0.05 < (volume[:, :, -1] / volume.sum(axis=2)).mean() < 0.09


def test_the_spread_is_widest_at_the_open_and_widens_into_the_close():
    row = synthetic_market().symbols.index("SHW")
    tape = synthetic_market().tape(DAY)
    relative = tape.half_spread_usd[row] / tape.close[row]
    assert relative[0] > 2.5 * relative[195]
    assert relative[389] > 1.2 * relative[195]
    assert (tape.half_spread_usd >= 0.005).all()


def test_prices_move_most_after_the_open():
    moves = np.diff(np.log(minutes("close")), axis=2) ** 2
    by_minute = moves.mean(axis=(0, 1)) / moves.mean()
    assert by_minute[:2].mean() > 6
    assert by_minute[180:220].mean() < 0.9


def test_minute_returns_have_fat_tails():
    moves = np.diff(np.log(minutes("close")), axis=2)
    flat = moves.reshape(moves.shape[0], -1)
    assert 5 < np.median(kurtosis(flat)) < 16


def test_minutes_bounce_and_sessions_do_not():
    """Variance of 15-minute returns over fifteen times that of one [.76]; a session's [.98]."""
    log_close = np.log(minutes("close"))
    one = np.diff(log_close, axis=2).var()
    fifteen = (log_close[:, :, 15::15] - log_close[:, :, :-15:15]).var()
    session = (log_close[:, :, -1] - log_close[:, :, 0]).var()
    assert 0.6 < fifteen / (15 * one) < 0.95
    assert 0.6 < session / (389 * one) < 1.5


def test_a_minutes_range_fits_its_move():
    """Mean range over the deviation of open to close [1.24]."""
    ranges = np.log(minutes("high") / minutes("low"))
    moves = np.log(minutes("close") / minutes("open"))
    assert 1.0 < ranges.mean() / moves.std() < 1.6

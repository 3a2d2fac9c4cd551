"""Laws of every tape, whatever market, seed, day or bar."""

from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.instruments import Universe
from exchange.markets.files import FileMarket
from exchange.markets.paths import on_grid, pinned, split_shares, ticks_of_bars
from exchange.markets.synthetic import SyntheticMarket
from tests.support.tapes import (
    assert_day_sums_up,
    assert_tape_is_sound,
    bars_csv,
    minute_label,
    shipped_universe,
    synthetic_market,
)

DAY = date(2018, 2, 16)
SEEDS = st.integers(0, 2**64 - 1)
SESSIONS = st.deferred(  # the market is built inside a test, where its library may warn
    lambda: st.sampled_from([s.day for s in synthetic_market(count=4).calendar.sessions])
)
PRICES = st.floats(0.5, 900.0)


@st.composite
def bars(draw) -> tuple[float, float, float, float]:
    """Open, high, low and close of a bar that can be true, on the grid."""
    base = draw(PRICES)
    reach = draw(st.floats(0.0, 0.2))
    inside = [base * (1 + reach * draw(st.floats(-1, 1))) for _ in range(4)]
    prices = on_grid(np.array(inside))
    return float(prices[0]), float(prices.max()), float(prices.min()), float(prices[1])


@st.composite
def bar_rows(draw, *, minutes_max: int) -> list[tuple[int, tuple[float, ...], int]]:
    """(minute, bar, shares) of some minutes of a session, the closing print perhaps among them."""
    count = draw(st.integers(1, 12))
    at = draw(st.lists(st.integers(0, minutes_max), min_size=count, max_size=count, unique=True))
    shares = st.integers(1, 10_000_000)
    return [(minute, draw(bars()), draw(shares)) for minute in sorted(at)]


@given(seed=SEEDS, day=SESSIONS)
@settings(max_examples=25, deadline=None)
def test_any_session_of_any_seed_is_sound_and_sums_up_to_its_day(seed, day):
    market = SyntheticMarket(seed=seed, universe=Universe(shipped_universe().instruments[:3]))
    tape = market.tape(day)
    assert_tape_is_sound(tape)
    assert_day_sums_up(tape, market.daily(day, day + timedelta(days=1)))


@given(day=SESSIONS.filter(lambda day: day < date(2035, 12, 1)))
@settings(max_examples=25, deadline=None)
def test_a_session_starts_from_the_official_close_of_the_one_before(day):
    market = synthetic_market(count=4)
    tape = market.tape(day)
    after = market.calendar.next_open(tape.session.closes_at)
    assert np.array_equal(market.tape(after.day).previous_close_usd, tape.official_close_usd)


@given(rows=bar_rows(minutes_max=390), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_any_minute_file_is_played_as_it_stands(rows, seed):
    text = bars_csv(
        [
            f"KO,{minute_label(DAY, at)},{','.join(map(repr, bar))},{shares}"
            for at, bar, shares in rows
        ]
    )
    market = market_of(text, seed)
    tape = market.tape(DAY)
    assert_tape_is_sound(tape)
    assert_day_sums_up(tape, market.daily(DAY, DAY))
    assert tape.volume.sum() == sum(shares for _, _, shares in rows)
    for at, bar, _ in rows:
        if at < 389:
            played = tape.open[0, at], tape.high[0, at], tape.low[0, at], tape.close[0, at]
            assert played == bar


@given(bar=bars(), shares=st.integers(1, 10**9), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_any_daily_bar_is_played_inside_itself(bar, shares, seed):
    text = bars_csv([f"KO,{DAY},{','.join(map(repr, bar))},{shares}"])
    market = market_of(text, seed)
    tape = market.tape(DAY)
    assert_tape_is_sound(tape)
    assert_day_sums_up(tape, market.daily(DAY, DAY))
    day = market.daily(DAY, DAY)
    assert (day.open[0, 0], day.high[0, 0], day.low[0, 0], day.close[0, 0]) == bar


def market_of(text: str, seed: int) -> FileMarket:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bars.csv"
        path.write_text(text)
        return FileMarket(path, wanted=("KO",), seed=seed)


@given(
    bar=bars(),
    uniform=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3),
)
def test_the_ticks_of_a_minute_stay_in_it_and_touch_all_four_prices(bar, uniform):
    ticks = ticks_of_bars(np.array(bar)[:, None], np.array(uniform)[:, None])[0]
    assert (ticks[0], ticks.max(), ticks.min(), ticks[-1]) == bar


@given(bar=bars(), seed=st.integers(0, 2**32), wildness=st.floats(0.0, 0.1))
def test_a_path_however_wild_is_pinned_to_its_bar(bar, seed, wildness):
    count = 240
    time = np.arange(1, count + 1) / count
    walk = np.cumsum(np.random.default_rng(seed).standard_normal(count)) * wildness
    straight = np.log(bar[0]) + (np.log(bar[3]) - np.log(bar[0])) * np.linspace(0, 1, count)
    path = straight + walk - walk[0] - (walk[-1] - walk[0]) * np.linspace(0, 1, count)
    ticks = pinned(path[None, :], np.array(bar)[:, None], time)[0]
    assert (ticks[0], ticks.max(), ticks.min(), ticks[-1]) == bar
    assert np.array_equal(on_grid(ticks), ticks)


@given(
    total=st.integers(0, 10**12),
    weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40),
)
def test_split_shares_are_whole_and_none_is_lost(total, weights):
    parts = split_shares(np.array(float(total)), np.array(weights))
    assert parts.sum() == total
    assert (parts >= 0).all()
    assert np.array_equal(parts, np.rint(parts))


@given(st.floats(0.0002, 1e5))
def test_the_grid_moves_a_price_by_half_a_tick_at_most_and_only_once(price):
    gridded = on_grid(np.array([price]))
    assert abs(gridded[0] - price) <= (0.0050001 if price >= 1 else 0.000050001)
    assert np.array_equal(on_grid(gridded), gridded)

"""The hours beside the session as a tape: bars are its ticks, and who never looks pays nothing."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import tape_views
from exchange.assets import list_assets, shipped_instruments
from exchange.bar_lengths import parse_length
from exchange.extended import TICKS_PER_MINUTE, Part, extended_trades
from exchange.instants import MINUTE_NS, midnight_ns, to_ns, wall_ns
from exchange.knobs import Knobs
from exchange.market_data import MarketData
from exchange.markets.base import SessionTape
from exchange.venue import Venue, VenueConfig
from tests.support.exchanges import buy
from tests.support.tapes import synthetic_market

START = date(2026, 1, 5)
MARKET = synthetic_market(5, 4)
SYMBOLS = MARKET.symbols


def opened(at_ns: int) -> Venue:
    config = VenueConfig(
        seed=1, cash_usd=Decimal(100_000), start_ns=midnight_ns(START), knobs=Knobs()
    )
    venue = Venue(MARKET, list_assets(MARKET, shipped_instruments()), config)
    venue.advance(at_ns)
    return venue


@pytest.mark.parametrize("part", list(Part))
@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_minute_bars_are_the_sum_of_the_ticks(part: Part, seed: int) -> None:
    trades = extended_trades(MARKET.tape(START), part, seed)
    bars, view = trades.minutes(), trades.view()
    shares = view.shares.reshape(len(SYMBOLS), -1, TICKS_PER_MINUTE)
    usd = view.last.reshape(shares.shape)
    assert np.array_equal(bars.volume, shares.sum(axis=2))
    for row, minute in np.argwhere(bars.volume > 0)[:: 1 + seed % 7]:
        played = usd[row, minute][shares[row, minute] > 0]
        bar = [getattr(bars, name)[row, minute] for name in ("open", "high", "low", "close")]
        assert bar == [played[0], played.max(), played.min(), played[-1]]
    assert np.isnan(bars.close[bars.volume == 0]).all()


def test_a_symbol_nothing_is_known_of_trades_nothing() -> None:
    tape = MARKET.tape(START)
    closes_usd = tape.previous_close_usd.copy()
    closes_usd[0] = np.nan
    unknown = replace(tape, previous_close_usd=closes_usd)
    trades = extended_trades(unknown, Part.BEFORE, 1)
    assert 0 not in trades.row
    assert {1, 2, 3} == set(trades.row.tolist())


def test_another_symbol_changes_no_trade() -> None:
    alone, both = synthetic_market(5, 2), MARKET
    for part in Part:
        one = extended_trades(alone.tape(START), part, 1)
        many = extended_trades(both.tape(START), part, 1)
        assert np.array_equal(one.usd, many.usd[many.row < 2])


def no_drawing(tape: SessionTape, part: Part, seed: int) -> None:
    raise AssertionError(f"{part.name} of {tape.session.day} was drawn for nobody")


def test_a_session_in_which_nobody_looks_beside_it_draws_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tape_views, "extended_trades", no_drawing)
    venue = opened(wall_ns(START, 9, 30))
    data, session = MarketData(venue.views), MARKET.calendar.session_of(START)
    assert session is not None
    venue.submit(buy(SYMBOLS[0]))
    for minute in (32, 59):
        venue.advance(wall_ns(START, 9, minute))
        data.snapshots(SYMBOLS, venue.now_ns)
        data.latest_bars(SYMBOLS, venue.now_ns)
    span = to_ns(session.opens_at), venue.now_ns - MINUTE_NS
    for length in ("1Min", "15Min", "1Day"):
        for block in data.bars.blocks(parse_length(length), span, venue.now_ns).forward():
            assert block.at_ns.size
    venue.advance(wall_ns(START, 22))


def test_what_is_told_does_not_depend_on_who_looked_before() -> None:
    watched, unwatched = (MarketData(opened(wall_ns(START, 4)).views) for _ in range(2))
    for hour in (5, 7, 9, 12, 17):
        watched.snapshots(SYMBOLS, wall_ns(START, hour))
    late_ns = wall_ns(START, 18, 30)
    assert watched.snapshots(SYMBOLS, late_ns) == unwatched.snapshots(SYMBOLS, late_ns)
    session = MARKET.calendar.session_of(START)
    assert session is not None
    blocks = [data.bars.day_block(session, 5, late_ns) for data in (watched, unwatched)]
    assert np.array_equal(blocks[0].close, blocks[1].close, equal_nan=True)
    assert np.array_equal(blocks[0].volume, blocks[1].volume)

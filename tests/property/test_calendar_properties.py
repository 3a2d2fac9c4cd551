from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import MarketClock
from tests.support.sessions import at, weekdays

CLOCK = MarketClock(
    anchor_real_s=0.0,
    anchor_market_at=at("2026-06-01T15:00"),
    speed=100.0,
    skip_closed=True,
    calendar=weekdays(count=30),
)


@given(st.floats(0, 4_000), st.floats(0, 500))
def test_market_time_never_goes_back(real_s: float, more_s: float) -> None:
    assert CLOCK.market_time(real_s) <= CLOCK.market_time(real_s + more_s)


@given(st.floats(0, 4_000))
def test_real_time_undoes_market_time(real_s: float) -> None:
    market_at = CLOCK.market_time(real_s)

    assert abs(CLOCK.real_time(market_at) - real_s) < 1e-5


@given(st.floats(0, 4_000))
def test_market_time_stays_in_sessions_their_lead_and_their_tail(real_s: float) -> None:
    market_at = CLOCK.market_time(real_s)
    session = CLOCK.calendar.current_or_next(market_at)
    closed = CLOCK.calendar.last_closed(market_at)

    near_open = (session.opens_at - market_at).total_seconds() <= 60
    near_close = closed is not None and (market_at - closed.closes_at).total_seconds() < 60
    assert near_open or near_close

"""The split of a difference in profit: it sums exactly, and each part is what it says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.instruments import Symbol
from domain.orders import Leg
from research.parity.splitting import Key, Parts, Wish, split, total

KEY: Key = (datetime(2026, 1, 5, 15, 0, tzinfo=UTC), Symbol("AAPL"), Leg.OPEN)
LAST = 110.0
PRICES = st.floats(1.0, 500.0)
SHARES = st.floats(-1_000.0, 1_000.0).map(lambda x: round(x, 3))


def wish(**given_: float) -> Wish:
    """Return a wish for ten shares at 100, filled as asked, but for what is given."""
    return Wish(
        **{  # type: ignore[arg-type]
            "asked": 10.0,
            "filled": given_.get("asked", 10.0),
            "price_usd": 100.0,
            "seen_usd": 100.0,
            "fees_usd": 0.0,
            "held": 0.0,
            "sized": None,
            **given_,
        }
    )


def parts_of(live: Wish | None, backtest: Wish | None, *, seen: float = 100.0) -> Parts:
    ours = {KEY: live} if live else {}
    theirs = {KEY: backtest} if backtest else {}
    return split(ours, theirs, {KEY[1]: LAST}, {KEY: seen}).get(KEY, Parts())


def profit(one: Wish | None) -> float:
    return one.filled * (LAST - one.price_usd) - one.fees_usd if one else 0.0


WISHES = st.builds(
    Wish,
    asked=SHARES,
    filled=SHARES,
    price_usd=PRICES,
    seen_usd=PRICES,
    fees_usd=st.floats(0.0, 10.0),
    held=SHARES,
    sized=st.none() | SHARES,
)


@given(live=st.none() | WISHES, backtest=st.none() | WISHES, seen=PRICES)
def test_the_parts_sum_to_the_difference(
    live: Wish | None, backtest: Wish | None, seen: float
) -> None:
    parts = parts_of(live, backtest, seen=seen)

    assert parts.total == pytest.approx(profit(live) - profit(backtest), abs=1e-6)


def test_equal_wishes_have_no_parts() -> None:
    assert parts_of(wish(), wish()) == Parts()


def test_a_dearer_fill_is_fill_price() -> None:
    assert parts_of(wish(price_usd=100.5), wish()) == Parts(fill_price=-5.0)


def test_fees_are_fill_price() -> None:
    assert parts_of(wish(fees_usd=1.5), wish()) == Parts(fill_price=-1.5)


def test_a_price_that_had_moved_when_we_decided_is_timing() -> None:
    assert parts_of(wish(seen_usd=101.0, price_usd=101.0), wish()) == Parts(timing=-10.0)


def test_a_size_at_another_price_is_timing() -> None:
    live, backtest = wish(asked=9.0, sized=9.0), wish(asked=10.0, sized=10.0)

    assert parts_of(live, backtest) == Parts(timing=-10.0)


def test_a_share_lost_to_whole_shares_is_rounding() -> None:
    live, backtest = wish(asked=9.0, sized=9.99), wish(asked=10.0, sized=10.01)

    parts = parts_of(live, backtest)

    assert (parts.timing, parts.rounding) == (pytest.approx(-0.2), pytest.approx(-9.8))


def test_what_did_not_fill_is_a_missed_signal() -> None:
    assert parts_of(wish(filled=4.0), wish()) == Parts(missed_signal=-60.0)


def test_what_is_asked_for_again_is_a_missed_signal_made_up_for() -> None:
    live = wish(asked=6.0, held=4.0, sized=10.0)
    backtest = wish(asked=0.0001, filled=0.0, held=10.0, sized=10.0)

    assert parts_of(live, backtest).missed_signal == pytest.approx(60.0, abs=0.01)


def test_a_wish_that_only_the_backtest_had_is_a_missed_signal() -> None:
    assert parts_of(None, wish()) == Parts(missed_signal=-100.0)


def test_a_wish_that_only_we_had_is_measured_at_the_slots_price() -> None:
    parts = parts_of(wish(seen_usd=101.0, price_usd=101.5), None, seen=100.0)

    assert parts == Parts(missed_signal=100.0, timing=-10.0, fill_price=-5.0)


def test_no_cause_explains_more_than_there_is() -> None:
    live, backtest = wish(asked=9.0, held=0.0), wish(asked=10.0, held=500.0)

    assert parts_of(live, backtest) == Parts(rounding=-10.0)


def test_a_total_is_the_sum_of_its_parts() -> None:
    one = Parts(data=1.0, timing=2.0, fill_price=3.0, rounding=4.0, missed_signal=5.0)

    assert total([one, one]).total == 30.0

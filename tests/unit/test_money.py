from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import CENT, Rounding, tick_for, to_price, to_quantity, to_usd

STEPS = [Decimal(step) for step in ("1", "0.01", "0.0001", "0.000001", "1e-9", "0.05", "100")]
AMOUNTS = st.decimals("-1e17", "1e17", allow_nan=False) | st.decimals("-500", "500", places=4)


def test_a_price_goes_to_the_cent_the_caller_finds_safe() -> None:
    assert to_price(187.316, CENT, Rounding.DOWN) == Decimal("187.31")
    assert to_price(187.311, CENT, Rounding.UP) == Decimal("187.32")


def test_a_price_on_the_grid_stays_where_it_is() -> None:
    assert to_price(187.31, CENT, Rounding.UP) == Decimal("187.31")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0, 0.001])
def test_what_is_no_price_is_refused(bad: float) -> None:
    with pytest.raises(ValueError):
        to_price(bad, CENT, Rounding.DOWN)


def test_quantities_round_toward_zero_on_both_sides() -> None:
    assert to_quantity(2.99, Decimal(1)) == 2
    assert to_quantity(-2.99, Decimal(1)) == -2


def test_fractional_lots_keep_their_grid() -> None:
    assert to_quantity(0.1234567, Decimal("0.001")) == Decimal("0.123")


def test_below_a_dollar_the_tick_is_a_hundredth_of_a_cent() -> None:
    assert tick_for(Decimal("0.99")) == Decimal("0.0001")
    assert tick_for(Decimal("1.00")) == CENT


def test_an_observed_amount_becomes_cents() -> None:
    assert to_usd(0.1 + 0.2) == Decimal("0.30")


@given(exact=AMOUNTS, step=st.sampled_from(STEPS), rounding=st.sampled_from(Rounding))
def test_a_grid_is_counted_in_whole_steps(
    exact: Decimal, step: Decimal, rounding: Rounding
) -> None:
    """To the last zero: an amount is also a text, in the journal and on the wire."""
    counted = (exact / step).to_integral_value(rounding.value) * step

    if counted > 0:
        assert to_price(exact, step, rounding).as_tuple() == counted.as_tuple()
    whole = (exact / step).to_integral_value(ROUND_DOWN) * step
    assert to_quantity(exact, step).as_tuple() == whole.as_tuple()


@given(
    observed=st.floats(1e-9, 1e16) | st.integers(1, 10**12).map(lambda n: n / 10**4),
    step=st.sampled_from(STEPS),
    rounding=st.sampled_from(Rounding),
)
def test_an_observed_price_goes_where_its_shortest_decimal_goes(
    observed: float, step: Decimal, rounding: Rounding
) -> None:
    """To the last zero, as above."""
    written = Decimal(repr(observed))
    if (written / step).to_integral_value(rounding.value) > 0:
        expected = to_price(written, step, rounding)
        assert to_price(observed, step, rounding).as_tuple() == expected.as_tuple()

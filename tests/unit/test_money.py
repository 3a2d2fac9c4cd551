from decimal import Decimal

import pytest

from domain.money import CENT, Rounding, tick_for, to_price, to_quantity, to_usd


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

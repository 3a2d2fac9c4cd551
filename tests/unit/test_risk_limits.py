"""The limits and their keys."""

from dataclasses import fields
from decimal import Decimal

import pytest

from domain.instruments import Sector
from risk.limits import SETTING_OF, RiskLimits


def test_every_limit_has_a_key() -> None:
    assert set(SETTING_OF) == {f.name for f in fields(RiskLimits)}
    assert SETTING_OF["max_position_size"] == "MAX_POSITION_SIZE"


def test_every_sector_has_a_cap() -> None:
    assert set(RiskLimits().sector_caps) == set(Sector)


def test_a_negative_limit_is_refused_by_its_key() -> None:
    with pytest.raises(ValueError, match="ORDERS_PER_DAY_MAX is negative"):
        RiskLimits(orders_per_day_max=-1)


def test_a_negative_sector_cap_is_refused() -> None:
    with pytest.raises(ValueError, match="SECTOR_CAPS"):
        RiskLimits(sector_caps={Sector.ENERGY: Decimal("-0.1")})


def test_a_gross_exposure_above_two_is_refused() -> None:
    with pytest.raises(ValueError, match="MAX_GROSS_EXPOSURE"):
        RiskLimits(max_gross_exposure=Decimal("2.01"))

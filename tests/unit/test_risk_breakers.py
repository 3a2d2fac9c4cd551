"""What trips a circuit breaker, to the last unit, and how each gauge is shown."""

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import pytest

from domain.instruments import Symbol
from risk.breakers import BREAKERS, BreakerLimits, Readings, armed, levels, trips
from risk.halts import Cause
from risk.limits import RiskLimits

LIMITS = BreakerLimits()
CALM = Readings(
    quote_age_s=1.0, clock_skew_s=0.1, loop_lag_s=0.01, disk_free_mb=5_000.0, fsync_s=0.01
)
AT_AND_BEYOND: list[tuple[str, Any, Any, Cause]] = [
    ("orders_sent", 150, 151, Cause.ORDER_RATE),
    ("rejects", 20, 21, Cause.REJECT_RATE),
    ("quote_age_s", 120.0, 120.1, Cause.STALE_DATA),
    ("mismatches", 6, 7, Cause.RECONCILE_MISMATCH),
    ("repeats", 20, 21, Cause.REPEATED_EXECUTION),
    ("clock_skew_s", 2.0, 2.1, Cause.CLOCK_SKEW),
    ("clock_skew_s", -2.0, -2.1, Cause.CLOCK_SKEW),
    ("loop_lag_s", 5.0, 5.1, Cause.LOOP_LAG),
    ("disk_free_mb", 200.0, 199.9, Cause.DISK),
    ("fsync_s", 5.0, 5.1, Cause.DISK),
]


def test_a_calm_daemon_trips_nothing() -> None:
    assert trips(CALM, LIMITS) == {}


def test_what_was_not_measured_trips_nothing() -> None:
    assert trips(Readings(), LIMITS) == {}


@pytest.mark.parametrize(("name", "at", "beyond", "cause"), AT_AND_BEYOND)
def test_at_the_limit_holds_and_beyond_trips(name: str, at: Any, beyond: Any, cause: Cause) -> None:
    assert trips(replace(CALM, **{name: at}), LIMITS) == {}
    assert list(trips(replace(CALM, **{name: beyond}), LIMITS)) == [cause]


def test_every_reading_is_somebodys_gauge() -> None:
    tried = {name for name, *_ in AT_AND_BEYOND}
    assert tried == {*asdict(Readings())} - {"repeated_symbol", "daily_loss", "drawdown"}


def test_what_is_no_number_trips() -> None:
    assert Cause.LOOP_LAG in trips(replace(CALM, loop_lag_s=float("nan")), LIMITS)


def test_the_evidence_names_value_limit_and_setting() -> None:
    found = trips(replace(CALM, repeats=21, repeated_symbol=Symbol("AAPL")), LIMITS)
    assert found[Cause.REPEATED_EXECUTION] == (
        "AAPL: 21 turns of one symbol in an hour, limit 20 turns of one symbol in an hour "
        "(REPEATED_EXECUTIONS_PER_HOUR_MAX)"
    )


@pytest.mark.parametrize("name", asdict(LIMITS))
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name.upper()):
        replace(LIMITS, **{name: 0})


def test_every_limit_is_shown_with_value_and_headroom() -> None:
    seen = replace(CALM, orders_sent=100, daily_loss=Decimal("0.005"), drawdown=Decimal("0.15"))
    shown = levels(seen, armed(LIMITS, RiskLimits()), (Cause.DRAWDOWN,))
    assert {level.setting for level in shown} == {g.setting for b in BREAKERS for g in b.gauges}
    by_setting = {level.setting: level for level in shown}
    rate = by_setting["ORDERS_SENT_PER_MINUTE_MAX"]
    assert (rate.value, rate.headroom) == ("100 orders in a minute", "50 orders in a minute")
    assert rate.headroom_share == pytest.approx(1 / 3)
    assert by_setting["MAX_DAILY_LOSS_PERCENT"].value == "0.50 % lost today"
    assert by_setting["DISK_FREE_MB_MIN"].headroom == "4,800 MB free"
    assert [level.cause for level in shown if level.is_tripped] == [Cause.DRAWDOWN]


def test_a_gain_is_shown_as_no_loss() -> None:
    shown = levels(Readings(daily_loss=Decimal("-0.02")), armed(LIMITS, RiskLimits()), ())
    assert shown[0].value == "0.00 % lost today"


def test_a_second_daily_loss_shows_the_same_breaker_tripped() -> None:
    shown = levels(Readings(), armed(LIMITS, RiskLimits()), (Cause.REPEATED_DAILY_LOSS,))
    assert shown[0].is_tripped
    assert shown[0].value == "not measured"
    assert shown[0].headroom_share is None

"""When trading is reduced or halted, and what resumes it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from domain.calendar import Session
from domain.events import Action, OperatorAsked, SessionOpened, StateDistrusted
from domain.orders import Severity
from domain.snapshot import TradingState, TradingStatus
from risk.halts import (
    LATCHES,
    Cause,
    LossesSeen,
    Observation,
    advance_epoch,
    bases_after_resume,
    causes_of,
    earlier_trips,
    next_status,
    resume_refusal,
)
from risk.limits import RiskLimits
from risk.losses import LossBases, daily_loss_ratio, drawdown_ratio

LIMITS = RiskLimits()
NOON = datetime(2024, 1, 3, 17, 0, tzinfo=UTC)
TODAY = Session(
    day=date(2024, 1, 3),
    opens_at=datetime(2024, 1, 3, 14, 30, tzinfo=UTC),
    closes_at=datetime(2024, 1, 3, 21, 0, tzinfo=UTC),
)
TOMORROW = Session(
    day=date(2024, 1, 4),
    opens_at=datetime(2024, 1, 4, 14, 30, tzinfo=UTC),
    closes_at=datetime(2024, 1, 4, 21, 0, tzinfo=UTC),
)
ACTIVE = TradingStatus(state=TradingState.ACTIVE, since_at=NOON - timedelta(days=9), epoch=7)


def losses(
    equity_usd: str, *, day_start_usd: str = "100000", peak_usd: str = "100000", trips: int = 0
) -> LossesSeen:
    bases = LossBases(day_start_usd=Decimal(day_start_usd), peak_usd=Decimal(peak_usd))
    return LossesSeen(equity_usd=Decimal(equity_usd), bases=bases, earlier_trips=trips)


def asked(action: Action, subject: str = "", reason: str = "because") -> OperatorAsked:
    return OperatorAsked(at=NOON, action=action, subject=subject, reason=reason)


def opened(session: Session, at: datetime | None = None) -> SessionOpened:
    return SessionOpened(at=at or session.opens_at, session=session)


DISTRUST = StateDistrusted(at=NOON, cause="fsync failed", evidence="journal 12: EIO")


def after(*observations: Observation, status: TradingStatus = ACTIVE) -> TradingStatus:
    for observation in observations:
        at = observation.at if isinstance(observation, SessionOpened) else NOON
        status = next_status(status, observation, LIMITS, at) or status
    return status


def test_a_daily_loss_at_the_limit_reduces() -> None:
    status = after(losses("98000"))
    assert status.state is TradingState.REDUCING
    assert causes_of(status) == (Cause.DAILY_LOSS,)
    assert status.severity is Severity.WARNING


def test_a_cent_before_the_limit_nothing_changes() -> None:
    assert next_status(ACTIVE, losses("98000.01"), LIMITS, NOON) is None


def test_a_latched_loss_does_not_latch_again() -> None:
    latched = after(losses("98000"))
    assert next_status(latched, losses("97000"), LIMITS, NOON) is None


def test_a_daily_loss_stays_latched_when_equity_comes_back() -> None:
    latched = after(losses("98000"))
    assert next_status(latched, losses("101000"), LIMITS, NOON) is None


def test_a_daily_loss_clears_itself_at_the_next_open_and_says_so() -> None:
    status = after(losses("98000"), opened(TOMORROW))
    assert status.state is TradingState.ACTIVE
    assert status.cause == ""
    assert status.evidence == "daily_loss cleared at the open of 2024-01-04"
    assert status.since_at == TOMORROW.opens_at


def test_a_daemon_that_starts_again_the_same_day_keeps_the_daily_loss() -> None:
    latched = after(losses("98000"))
    again = opened(TODAY, at=NOON + timedelta(minutes=5))
    assert next_status(latched, again, LIMITS, again.at) is None


def test_a_second_daily_loss_within_five_sessions_waits_for_a_person() -> None:
    status = after(losses("98000", trips=1), opened(TOMORROW))
    assert causes_of(status) == (Cause.REPEATED_DAILY_LOSS,)
    assert after(asked(Action.RESUME), status=status).state is TradingState.ACTIVE


def test_a_repeated_loss_is_not_softened_by_another_look() -> None:
    repeated = after(losses("98000", trips=1))
    assert next_status(repeated, losses("97000", trips=0), LIMITS, NOON) is None


@pytest.mark.parametrize(
    ("trip_days", "count"),
    [([], 0), ([3], 1), ([0], 1), ([2, 3], 2), ([-1], 0)],
)
def test_only_the_four_sessions_before_today_count(trip_days: list[int], count: int) -> None:
    days = [date(2024, 1, 8) + timedelta(days=n) for n in range(-2, 4)]
    last_four = days[-4:]
    tripped = [last_four[n] if n >= 0 else days[1] for n in trip_days]
    assert earlier_trips(tripped, days) == count


def test_a_drawdown_at_the_limit_reduces_and_is_critical() -> None:
    status = after(losses("85000", day_start_usd="85100"))
    assert causes_of(status) == (Cause.DRAWDOWN,)
    assert status.state is TradingState.REDUCING
    assert status.severity is Severity.CRITICAL


def test_a_cent_before_the_drawdown_limit_nothing_changes() -> None:
    seen = losses("85000.01", day_start_usd="85100")
    assert next_status(ACTIVE, seen, LIMITS, NOON) is None


def test_a_drawdown_does_not_clear_at_the_open() -> None:
    status = after(losses("85000", day_start_usd="85100"))
    assert next_status(status, opened(TOMORROW), LIMITS, TOMORROW.opens_at) is None


def test_a_drawdown_is_resumed_only_by_its_name() -> None:
    status = after(losses("85000", day_start_usd="85100"))
    assert next_status(status, asked(Action.RESUME), LIMITS, NOON) is None
    assert next_status(status, asked(Action.RESUME, "distrust"), LIMITS, NOON) is None
    assert after(asked(Action.RESUME, "Drawdown"), status=status).state is TradingState.ACTIVE


def test_a_refused_resume_says_what_to_type() -> None:
    status = after(losses("85000", day_start_usd="85100"), DISTRUST)
    assert "`tradewind resume distrust,drawdown`" in resume_refusal(status, "")
    assert "`tradewind resume distrust`" in resume_refusal(status, "drawdown")
    assert resume_refusal(status, "drawdown, distrust") == ""


def test_a_fall_through_both_limits_latches_both() -> None:
    status = after(losses("80000"))
    assert causes_of(status) == (Cause.DRAWDOWN, Cause.DAILY_LOSS)
    assert status.epoch == ACTIVE.epoch + 1


def test_a_cleared_daily_loss_leaves_the_drawdown() -> None:
    status = after(losses("80000"), opened(TOMORROW))
    assert causes_of(status) == (Cause.DRAWDOWN,)
    assert status.state is TradingState.REDUCING
    assert status.evidence.startswith("drawdown: 20.00 % below the peak")
    assert "daily_loss" not in status.evidence


def test_distrust_halts_and_is_resumed_only_by_its_name() -> None:
    status = after(DISTRUST)
    assert status.state is TradingState.HALTED
    assert status.evidence == "distrust: fsync failed: journal 12: EIO"
    assert next_status(status, asked(Action.RESUME), LIMITS, NOON) is None
    assert after(asked(Action.RESUME, "distrust"), status=status).state is TradingState.ACTIVE


def test_resuming_from_distrust_falls_back_to_the_drawdown_under_it() -> None:
    status = after(losses("85000", day_start_usd="85100"), DISTRUST)
    assert status.state is TradingState.HALTED
    status = after(asked(Action.RESUME, "distrust"), status=status)
    assert status.state is TradingState.REDUCING
    assert causes_of(status) == (Cause.DRAWDOWN,)


@pytest.mark.parametrize(
    ("action", "state", "cause"),
    [
        (Action.HALT, TradingState.HALTED, Cause.OPERATOR_HALT),
        (Action.REDUCE, TradingState.REDUCING, Cause.OPERATOR_REDUCE),
        (Action.FLATTEN, TradingState.REDUCING, Cause.FLATTEN),
    ],
)
def test_a_person_may_halt_reduce_flatten_and_resume(
    action: Action, state: TradingState, cause: Cause
) -> None:
    status = after(asked(action))
    assert status.state is state
    assert causes_of(status) == (cause,)
    assert status.evidence == f"{cause}: because"
    assert after(asked(Action.RESUME), status=status).state is TradingState.ACTIVE


def test_a_flatten_does_not_soften_a_halt() -> None:
    assert after(asked(Action.HALT), asked(Action.FLATTEN)).state is TradingState.HALTED


def test_an_operators_reduce_does_not_clear_at_the_open() -> None:
    status = after(asked(Action.REDUCE))
    assert next_status(status, opened(TOMORROW), LIMITS, TOMORROW.opens_at) is None


@pytest.mark.parametrize("action", [Action.CANCEL_ALL, Action.ORDER, Action.UNBENCH])
def test_other_wishes_of_a_person_change_no_state(action: Action) -> None:
    assert next_status(ACTIVE, asked(action), LIMITS, NOON) is None


def test_resuming_while_active_changes_nothing() -> None:
    assert next_status(ACTIVE, asked(Action.RESUME), LIMITS, NOON) is None


def test_every_change_advances_the_epoch_by_one() -> None:
    status, epochs = ACTIVE, []
    for seen in (losses("80000"), DISTRUST, asked(Action.RESUME, "drawdown,distrust")):
        status = after(seen, status=status)
        epochs.append(status.epoch)
    assert epochs == [8, 9, 10]
    assert advance_epoch(status).epoch == 11


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_says_what_to_do_and_what_resumes_it(cause: Cause) -> None:
    assert LATCHES[cause].action
    assert "resume" in LATCHES[cause].resumes


def test_causes_stand_strictest_first() -> None:
    states = [LATCHES[cause].state for cause in Cause]
    assert states == sorted(states, key=lambda state: state is not TradingState.HALTED)


def test_after_a_resumed_drawdown_the_peak_counts_anew() -> None:
    seen = losses("85000", day_start_usd="85100")
    latched = after(seen)
    resumed = after(asked(Action.RESUME, "drawdown"), status=latched)
    bases = bases_after_resume(latched, resumed, seen.bases, seen.equity_usd)
    assert bases == replace(seen.bases, peak_usd=Decimal(85_000))
    assert after(replace(seen, bases=bases), status=resumed) == resumed


def test_after_a_resumed_daily_loss_the_day_counts_anew() -> None:
    seen = losses("98000")
    latched = after(seen)
    resumed = after(asked(Action.RESUME), status=latched)
    bases = bases_after_resume(latched, resumed, seen.bases, seen.equity_usd)
    assert bases == replace(seen.bases, day_start_usd=Decimal(98_000))


def test_what_counts_anew_leaves_deposits_out() -> None:
    seen = losses("80000")
    flows = replace(seen.bases, flows_today_usd=Decimal(500), flows_usd=Decimal(3_000))
    latched = after(seen)
    resumed = after(asked(Action.RESUME, "drawdown"), status=latched)
    bases = bases_after_resume(latched, resumed, flows, Decimal(80_000))
    assert (bases.day_start_usd, bases.peak_usd) == (79_500, 77_000)
    assert daily_loss_ratio(Decimal(80_000), bases) == 0
    assert drawdown_ratio(Decimal(80_000), bases) == 0


def test_losses_cannot_be_measured_from_nothing() -> None:
    with pytest.raises(ValueError, match="from nothing"):
        LossBases(day_start_usd=Decimal(0), peak_usd=Decimal(1))


def test_a_gain_is_a_negative_loss() -> None:
    bases = LossBases(day_start_usd=Decimal(100), peak_usd=Decimal(100))
    assert daily_loss_ratio(Decimal(110), bases) == Decimal("-0.1")
    assert drawdown_ratio(Decimal(110), bases) == Decimal("-0.1")

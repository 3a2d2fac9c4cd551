"""When trading is reduced or halted, why, and what resumes it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from domain.events import Action, OperatorAsked, SessionOpened, StateDistrusted
from domain.orders import Severity
from domain.snapshot import TradingState, TradingStatus
from risk.limits import RiskLimits
from risk.losses import LossBases, daily_loss_ratio, drawdown_ratio

LOSS_WINDOW_SESSIONS = 5
"""A second daily loss within so many sessions, today's among them, needs a person."""
QUARANTINE = "quarantine"
"""What a resume names to have symbols traded again that were left alone."""
OPERATOR = "operator"
"""What a resume may name for what a person asked for; it is lifted without, too."""
_BETWEEN_CAUSES = ", "
_BETWEEN_EVIDENCE = " | "


class Cause(StrEnum):
    """What latches a trading state. `TradingStatus.cause` lists all that hold, comma between."""

    DISTRUST = "distrust"
    ACCOUNT_BLOCKED = "account_blocked"
    RECONCILE_MISMATCH = "reconcile_mismatch"
    ORDER_RATE = "order_rate"
    OPERATOR_HALT = "operator_halt"
    DRAWDOWN = "drawdown"
    REPEATED_EXECUTION = "repeated_execution"
    REJECT_RATE = "reject_rate"
    STALE_DATA = "stale_data"
    CLOCK_SKEW = "clock_skew"
    LOOP_LAG = "loop_lag"
    DISK = "disk"
    REPEATED_DAILY_LOSS = "repeated_daily_loss"
    DAILY_LOSS = "daily_loss"
    OPERATOR_REDUCE = "operator_reduce"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """What one cause does. One that `must_be_named` is lifted only by a resume that names it."""

    state: TradingState
    severity: Severity
    action: str
    resumes: str
    must_be_named: bool = False


LATCHES: Mapping[Cause, Latch] = {
    Cause.DISTRUST: Latch(
        state=TradingState.HALTED,
        severity=Severity.CRITICAL,
        action="compare the book with the venue: `tradewind state diff`, `tradewind state verify`",
        resumes="`tradewind resume distrust` once the book is right",
        must_be_named=True,
    ),
    Cause.ACCOUNT_BLOCKED: Latch(
        state=TradingState.HALTED,
        severity=Severity.CRITICAL,
        action="the venue lets this account order nothing: sign in there and see why; what is "
        "held is unprotected until then",
        resumes="`tradewind resume account_blocked` once the venue has lifted it",
        must_be_named=True,
    ),
    Cause.RECONCILE_MISMATCH: Latch(
        state=TradingState.HALTED,
        severity=Severity.CRITICAL,
        action="our book and the venue's do not come together: `tradewind state diff`",
        resumes="`tradewind resume reconcile_mismatch` once they agree",
        must_be_named=True,
    ),
    Cause.ORDER_RATE: Latch(
        state=TradingState.HALTED,
        severity=Severity.CRITICAL,
        action="the program sends far more than it should: `tradewind orders` says what and why",
        resumes="`tradewind resume order_rate` once that is explained",
        must_be_named=True,
    ),
    Cause.OPERATOR_HALT: Latch(
        state=TradingState.HALTED,
        severity=Severity.WARNING,
        action="nothing is ordered; `tradewind flatten` still closes all",
        resumes="`tradewind resume`",
    ),
    Cause.DRAWDOWN: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="find out why: `tradewind risk`, `tradewind fills`; then decide on the strategies",
        resumes="`tradewind resume drawdown`; the peak then counts anew",
        must_be_named=True,
    ),
    Cause.REPEATED_EXECUTION: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="one symbol is bought and sold over and over: `tradewind fills`, then the strategy",
        resumes="`tradewind resume repeated_execution`",
        must_be_named=True,
    ),
    Cause.REJECT_RATE: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="the venue refuses our orders: `tradewind orders` has its reason beside each",
        resumes="`tradewind resume reject_rate` once they would be accepted",
        must_be_named=True,
    ),
    Cause.STALE_DATA: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="no prices come in: `tradewind doctor` for connectivity, budget and data plan",
        resumes="`tradewind resume stale_data` once quotes are fresh",
        must_be_named=True,
    ),
    Cause.CLOCK_SKEW: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="this machine's clock is not the venue's: set it by NTP, see `tradewind doctor`",
        resumes="`tradewind resume clock_skew` once it is right",
        must_be_named=True,
    ),
    Cause.LOOP_LAG: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="the daemon stood still: a slow strategy, or a machine with too much to do",
        resumes="`tradewind resume loop_lag` once it runs freely",
        must_be_named=True,
    ),
    Cause.DISK: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action="the state's disk is nearly full or very slow: make room, or find what uses it",
        resumes="`tradewind resume disk` once there is room again",
        must_be_named=True,
    ),
    Cause.REPEATED_DAILY_LOSS: Latch(
        state=TradingState.REDUCING,
        severity=Severity.CRITICAL,
        action=f"the second daily loss within {LOSS_WINDOW_SESSIONS} sessions: find out why",
        resumes="`tradewind resume`",
    ),
    Cause.DAILY_LOSS: Latch(
        state=TradingState.REDUCING,
        severity=Severity.WARNING,
        action="nothing: only orders toward zero pass today",
        resumes="by itself at the next session's open, or `tradewind resume`",
    ),
    Cause.OPERATOR_REDUCE: Latch(
        state=TradingState.REDUCING,
        severity=Severity.INFO,
        action="only orders toward zero pass",
        resumes="`tradewind resume`",
    ),
    Cause.FLATTEN: Latch(
        state=TradingState.REDUCING,
        severity=Severity.WARNING,
        action="wait until all is closed: `tradewind positions`",
        resumes="`tradewind resume`; until then nothing is bought back",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossesSeen:
    """Equity was measured. `earlier_trips` daily losses fell into the sessions just before (see
    `earlier_trips`)."""

    equity_usd: Decimal
    bases: LossBases
    earlier_trips: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakersTripped:
    """A measurement lies beyond its limit: what trips, and the evidence for each (see
    `risk.breakers.trips`)."""

    evidence: Mapping[Cause, str]


Observation = LossesSeen | BreakersTripped | SessionOpened | OperatorAsked | StateDistrusted


def next_status(
    status: TradingStatus, observation: Observation, limits: RiskLimits, now: datetime
) -> TradingStatus | None:
    """Return the trading status after an observation, None when it does not change.

    Causes add up, and the state is the strictest of theirs. Every change advances the epoch.
    """
    match observation:
        case LossesSeen():
            return _latched(status, _loss_causes(status, observation, limits), now)
        case BreakersTripped():
            return _latched(status, observation.evidence, now)
        case StateDistrusted():
            said = {Cause.DISTRUST: f"{observation.cause}: {observation.evidence}"}
            return _latched(status, said, now)
        case SessionOpened():
            # A daemon that starts in mid-session hears this too: today's loss stays latched.
            if status.since_at >= observation.session.opens_at:
                return None
            why = f"cleared at the open of {observation.session.day}"
            return _lifted(status, (Cause.DAILY_LOSS,), now, why)
        case OperatorAsked():
            return _obeyed(status, observation, now)


def causes_of(status: TradingStatus) -> tuple[Cause, ...]:
    """Return what holds the state, strictest first; none while ACTIVE."""
    if not status.cause:
        return ()
    held = status.cause.split(_BETWEEN_CAUSES)
    return tuple(cause for cause in Cause if cause.value in held)


def resume_refusal(status: TradingStatus, subject: str) -> str:
    """Return why a resume naming `subject` does not make trading ACTIVE, and what to type; empty
    when it does."""
    left = [c for c in causes_of(status) if not _may_lift(c, _named(subject))]
    if not left:
        return ""
    names = _BETWEEN_CAUSES.join(left)
    return f"still held by {names}: type `tradewind resume {','.join(left)}` once that is settled"


def unknown_names(subject: str) -> tuple[str, ...]:
    """Return what of a resume's subject is the name of nothing that holds trading back."""
    return tuple(sorted(_named(subject) - set(Cause) - {QUARANTINE, OPERATOR}))


def bases_after_resume(
    before: TradingStatus, after: TradingStatus, bases: LossBases, equity_usd: Decimal
) -> LossBases:
    """Return what losses are measured from once a person has resumed: what the lifted cause was
    measured by counts anew from today's equity, else it would trip again at once."""
    lifted = set(causes_of(before)) - set(causes_of(after))
    if Cause.DRAWDOWN in lifted:
        bases = replace(bases, peak_usd=equity_usd - bases.flows_usd)
    if lifted & {Cause.DAILY_LOSS, Cause.REPEATED_DAILY_LOSS}:
        bases = replace(bases, day_start_usd=equity_usd - bases.flows_today_usd)
    return bases


def earlier_trips(daily_loss_days: Collection[date], sessions_before: Sequence[date]) -> int:
    """Return how many daily losses count against today: those among the sessions before it that
    fall into the window. `sessions_before` are days, oldest first, today left out."""
    window = sessions_before[-(LOSS_WINDOW_SESSIONS - 1) :]
    return sum(1 for day in daily_loss_days if day in window)


def advance_epoch(status: TradingStatus) -> TradingStatus:
    """Return the status with its epoch advanced: for a change of quarantine."""
    return replace(status, epoch=status.epoch + 1)


def _loss_causes(status: TradingStatus, seen: LossesSeen, limits: RiskLimits) -> dict[Cause, str]:
    found: dict[Cause, str] = {}
    today = daily_loss_ratio(seen.equity_usd, seen.bases)
    held = causes_of(status)
    if today >= limits.max_daily_loss_percent and Cause.REPEATED_DAILY_LOSS not in held:
        cause = Cause.REPEATED_DAILY_LOSS if seen.earlier_trips else Cause.DAILY_LOSS
        found[cause] = (
            f"{today * 100:.2f} % lost since the previous close's "
            f"{seen.bases.day_start_usd:,.2f} USD, limit {limits.max_daily_loss_percent * 100:f} %"
        )
    fallen = drawdown_ratio(seen.equity_usd, seen.bases)
    if fallen >= limits.max_drawdown_percent:
        found[Cause.DRAWDOWN] = (
            f"{fallen * 100:.2f} % below the peak of {seen.bases.peak_usd:,.2f} USD, "
            f"limit {limits.max_drawdown_percent * 100:f} %"
        )
    return found


def _obeyed(status: TradingStatus, asked: OperatorAsked, now: datetime) -> TradingStatus | None:
    reason = asked.reason or "no reason given"
    match asked.action:
        case Action.HALT:
            return _latched(status, {Cause.OPERATOR_HALT: reason}, now)
        case Action.REDUCE:
            return _latched(status, {Cause.OPERATOR_REDUCE: reason}, now)
        case Action.FLATTEN:
            return _latched(status, {Cause.FLATTEN: reason}, now)
        case Action.RESUME:
            named = _named(asked.subject)
            liftable = [c for c in causes_of(status) if _may_lift(c, named)]
            return _lifted(status, liftable, now, f"resumed by the operator: {reason}")
        case _:
            return None


def _named(subject: str) -> frozenset[str]:
    return frozenset(subject.replace(",", " ").lower().split())


def _may_lift(cause: Cause, named: frozenset[str]) -> bool:
    return not LATCHES[cause].must_be_named or cause.value in named


def _latched(
    status: TradingStatus, found: Mapping[Cause, str], now: datetime
) -> TradingStatus | None:
    held = causes_of(status)
    new = {cause: text for cause, text in found.items() if cause not in held}
    if not new:
        return None
    evidence = {**_evidence_of(status), **new}
    return _worded(status, (*held, *new), evidence, now)


def _lifted(
    status: TradingStatus, causes: Iterable[Cause], now: datetime, why: str
) -> TradingStatus | None:
    held, gone = causes_of(status), set(causes)
    left = tuple(cause for cause in held if cause not in gone)
    if len(left) == len(held):
        return None
    if left:
        return _worded(status, left, _evidence_of(status), now)
    lifted = _BETWEEN_CAUSES.join(held)
    return TradingStatus(
        state=TradingState.ACTIVE,
        since_at=now,
        evidence=f"{lifted} {why}",
        epoch=status.epoch + 1,
    )


def _worded(
    status: TradingStatus, held: Collection[Cause], evidence: Mapping[Cause, str], now: datetime
) -> TradingStatus:
    ordered = [cause for cause in Cause if cause in held]
    strictest = LATCHES[ordered[0]]
    return TradingStatus(
        state=strictest.state,
        since_at=now,
        cause=_BETWEEN_CAUSES.join(ordered),
        evidence=_BETWEEN_EVIDENCE.join(f"{c}: {evidence.get(c, '')}" for c in ordered),
        severity=max((LATCHES[c].severity for c in ordered), key=_RANK.__getitem__),
        action=strictest.action,
        resumes=_BETWEEN_EVIDENCE.join(LATCHES[c].resumes for c in ordered),
        epoch=status.epoch + 1,
    )


def _evidence_of(status: TradingStatus) -> dict[Cause, str]:
    """Return each cause's own evidence, taken apart again."""
    found: dict[Cause, str] = {}
    for part in status.evidence.split(_BETWEEN_EVIDENCE):
        name, _, text = part.partition(": ")
        for cause in causes_of(status):
            if cause.value == name:
                found[cause] = text
    return found


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}

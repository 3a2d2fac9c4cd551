"""For every circuit breaker: events that bring it to its limit, and the one that goes beyond."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from domain.events import (
    AccountReported,
    Event,
    OrderFilled,
    SubmitRejected,
    SubmitStarted,
    VitalsMeasured,
)
from domain.orders import Leg, OrderStatus, Side
from domain.snapshot import DayStart
from risk.breakers import BreakerLimits
from risk.halts import Cause
from state.records import ApprovedIntent, Ordered
from tests.support.engines import C, polled
from tests.support.orders import a_fill, an_intent, an_order
from tests.support.shells import Shell

TIGHT = BreakerLimits(
    orders_sent_per_minute_max=3,
    rejects_per_hour_max=3,
    stale_data_seconds_max=10.0,
    mismatches_in_a_row_max=3,
    repeated_executions_per_hour_max=3,
    clock_skew_seconds_max=2.0,
    loop_lag_seconds_max=5.0,
    disk_free_mb_min=200,
    fsync_seconds_max=5.0,
)
MINUTE = timedelta(minutes=1)
Steps = tuple[list[Event], Event]
"""What stays inside the limit, and what trips."""


def vitals(shell: Shell, **seen: Any) -> VitalsMeasured:
    calm = {"loop_lag_s": 0.0, "fsync_s": 0.0, "disk_free_mb": 10_000.0, "clock_skew_s": 0.0}
    return VitalsMeasured(**{"at": shell.clock.now(), **calm, **seen})


def _known(shell: Shell, number: int, *, side: Side = Side.BUY, shares: int = 1) -> str:
    """Put an order on its way into the engine's memory, as if it had been decided; its id."""
    identity = f"tw1-breaker-{side}-{number}"
    intent = an_intent(
        shares,
        client_order_id=identity,
        symbol=C,
        side=side,
        leg=Leg.CLOSE,
        deltas={"one": side.sign * Decimal(shares)},
    )
    shell.memory.remember(an_order(OrderStatus.SUBMITTING, intent=intent))
    at = shell.clock.now()
    decided = ApprovedIntent(intent=intent, approved_at=at, expires_at=at + MINUTE, epoch=0)
    shell.recorder.record(Ordered(orders=(decided,)))
    return identity


def _orders_sent(shell: Shell) -> Steps:
    at = shell.clock.now()
    before = [e for e in shell.events if isinstance(e, SubmitStarted) and at - e.at < MINUTE]
    sent = [
        SubmitStarted(at=at, client_order_id=_known(shell, number))
        for number in range(TIGHT.orders_sent_per_minute_max + 1 - len(before))
    ]
    return list(sent[:-1]), sent[-1]


def _rejects(shell: Shell) -> Steps:
    at = shell.clock.now()
    said = [
        SubmitRejected(at=at, client_order_id=_known(shell, number), reason="no", code=None)
        for number in range(TIGHT.rejects_per_hour_max + 1)
    ]
    return list(said[:-1]), said[-1]


def _stale(shell: Shell) -> Steps:
    quoted_at = shell.engine.core.board.newest_quoted_at() or shell.clock.now()
    limit = timedelta(seconds=TIGHT.stale_data_seconds_max)
    inside, outside = (
        vitals(shell, at=quoted_at + limit),
        vitals(shell, at=quoted_at + limit + timedelta(seconds=1)),
    )
    return [inside], outside


def _mismatches(shell: Shell) -> Steps:
    account = replace(shell.venue.account(), account_id=shell.memory.account_id)
    differing: list[Event] = [
        AccountReported(
            at=shell.clock.now(),
            account=replace(account, cash_usd=account.cash_usd + 100 + number),
            open_orders=tuple(shell.venue.open_orders()),
        )
        for number in range(TIGHT.mismatches_in_a_row_max + 1)
    ]
    return differing[:-1], differing[-1]


def _turns(shell: Shell) -> Steps:
    at = shell.clock.now()
    known = {side: _known(shell, 0, side=side, shares=100) for side in Side}
    told: list[Event] = []
    for number in range(TIGHT.repeated_executions_per_hour_max + 2):
        side = Side.BUY if number % 2 == 0 else Side.SELL
        fill = a_fill(
            1,
            100,
            fill_id=f"turn-{number}",
            client_order_id=known[side],
            symbol=C,
            side=side,
            filled_at=at,
        )
        told.append(OrderFilled(at=at, fill=fill))
    return told[:-1], told[-1]


def _measured(inside: Mapping[str, float], outside: Mapping[str, float]) -> Callable[..., Steps]:
    return lambda shell: ([vitals(shell, **inside)], vitals(shell, **outside))


def _loss(shell: Shell, lost: str, *, in_all: bool) -> Event:
    """Show quotes at which so much of equity is lost, since the day's start or since the peak."""
    memory = shell.memory
    equity_usd = shell.engine.core.equity_usd()
    share = Decimal(lost)
    before_usd = equity_usd / (1 - share)
    day = memory.session.day if memory.session else shell.clock.now().date()
    start_usd = equity_usd if in_all else before_usd
    memory.day_start = DayStart(day=day, equity_usd=start_usd, flows_usd=Decimal(0))
    memory.equity_peak_usd = before_usd
    return polled(shell.clock.now())


def _daily_loss(shell: Shell) -> Steps:
    return [], _loss(shell, "0.03", in_all=False)


def _drawdown(shell: Shell) -> Steps:
    return [], _loss(shell, "0.16", in_all=True)


TRIPS: Mapping[Cause, Callable[[Shell], Steps]] = {
    Cause.DAILY_LOSS: _daily_loss,
    Cause.DRAWDOWN: _drawdown,
    Cause.ORDER_RATE: _orders_sent,
    Cause.REJECT_RATE: _rejects,
    Cause.STALE_DATA: _stale,
    Cause.RECONCILE_MISMATCH: _mismatches,
    Cause.REPEATED_EXECUTION: _turns,
    Cause.CLOCK_SKEW: _measured({"clock_skew_s": -2.0}, {"clock_skew_s": -2.1}),
    Cause.LOOP_LAG: _measured({"loop_lag_s": 5.0}, {"loop_lag_s": 5.1}),
    Cause.DISK: _measured({"disk_free_mb": 200.0, "fsync_s": 5.0}, {"disk_free_mb": 199.0}),
}
SLOW_FSYNC = _measured({"fsync_s": 5.0}, {"fsync_s": 5.1})

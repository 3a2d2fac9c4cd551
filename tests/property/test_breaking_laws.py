"""After an order the circuit breakers look at little, and say what looking at all would say."""

from collections.abc import Callable
from datetime import datetime, timedelta
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.engine import Engine
from daemon.engine.breaking import Breaking
from daemon.engine.commands import Command
from domain.events import (
    Action,
    Event,
    OperatorAsked,
    OrderFilled,
    SessionOpened,
    SubmitRejected,
    SubmitStarted,
    VitalsMeasured,
)
from domain.orders import OrderStatus, Side
from risk.breakers import BreakerLimits
from risk.halts import causes_of
from tests.support.engines import MONDAY, A, an_engine, entry, polled, rules_of
from tests.support.orders import a_fill, an_intent, an_order

TIGHT = BreakerLimits(
    orders_sent_per_minute_max=2,
    rejects_per_hour_max=1,
    stale_data_seconds_max=40.0,
    repeated_executions_per_hour_max=1,
)
START = MONDAY.opens_at + timedelta(hours=1)
Step = Callable[[Engine, datetime, int], Event]


def a_poll(_: Engine, at: datetime, __: int) -> Event:
    return polled(at)


def a_sending(engine: Engine, at: datetime, number: int) -> Event:
    return SubmitStarted(at=at, client_order_id=_known(engine, number, Side.BUY))


def a_rejection(engine: Engine, at: datetime, number: int) -> Event:
    identity = _known(engine, number, Side.BUY)
    return SubmitRejected(at=at, client_order_id=identity, reason="no", code=None)


def a_purchase(engine: Engine, at: datetime, number: int) -> Event:
    return _filled(engine, at, number, Side.BUY)


def a_sale(engine: Engine, at: datetime, number: int) -> Event:
    return _filled(engine, at, number, Side.SELL)


def calm_vitals(_: Engine, at: datetime, __: int) -> Event:
    return VitalsMeasured(at=at, loop_lag_s=0.0, fsync_s=0.0, disk_free_mb=1e6, clock_skew_s=0.0)


def a_full_disk(_: Engine, at: datetime, __: int) -> Event:
    return VitalsMeasured(at=at, loop_lag_s=0.0, fsync_s=0.0, disk_free_mb=1.0, clock_skew_s=0.0)


def a_resume(engine: Engine, at: datetime, _: int) -> Event:
    held = ",".join(cause.value for cause in causes_of(engine.memory.trading))
    return OperatorAsked(at=at, action=Action.RESUME, subject=held)


STEPS: tuple[Step, ...] = (
    a_poll,
    a_sending,
    a_rejection,
    a_purchase,
    a_sale,
    calm_vitals,
    a_full_disk,
    a_resume,
)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(STEPS), st.sampled_from([0, 1, 25, 50, 3_601])), max_size=20
)
LIFTED = [(step, 1) for step in (a_purchase, a_sale, a_purchase, a_resume)]
"""A breaker that has tripped by turns, and was lifted."""


def _known(engine: Engine, number: int, side: Side) -> str:
    """Put an order into the engine's memory, as if it had been decided; return its id."""
    identity = f"tw1-{number}"
    intent = an_intent(1, side=side, client_order_id=identity, symbol=A)
    engine.memory.remember(an_order(OrderStatus.APPROVED, intent=intent))
    return identity


def _filled(engine: Engine, at: datetime, number: int, side: Side) -> Event:
    identity = _known(engine, number, side)
    fill_id = f"fill-{number}"
    fill = a_fill(1, client_order_id=identity, fill_id=fill_id, symbol=A, side=side, filled_at=at)
    return OrderFilled(at=at, fill=fill)


def _said(history: list[tuple[Step, int]]) -> list[list[Command]]:
    rules = rules_of({"one": entry()}, breakers=TIGHT)
    engine, at = an_engine(rules, now=START), START
    engine.handle(SessionOpened(at=at, session=MONDAY))
    engine.handle(polled(at))
    said = []
    for number, (step, seconds) in enumerate(history):
        at += timedelta(seconds=seconds)
        said.append(engine.handle(step(engine, at, number)))
    return said


@settings(max_examples=150, deadline=None)
@given(history=HISTORIES)
@example(history=[*LIFTED, (a_sending, 1), (a_sale, 1), (a_purchase, 1), (a_sale, 1)])
@example(history=[(a_full_disk, 1), (a_poll, 1), (a_sending, 1), (a_resume, 1), (a_sending, 1)])
def test_looking_at_what_has_changed_is_looking_at_everything(
    history: list[tuple[Step, int]],
) -> None:
    looking_at_little = _said(history)
    with patch.object(Breaking, "_is_as_calm", lambda _: False):
        assert looking_at_little == _said(history)

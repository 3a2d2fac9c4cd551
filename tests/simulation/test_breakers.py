"""Every circuit breaker in the running shell: at once, at the wire, over a kill, till a person."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from daemon.settings_env import KEYS
from domain.events import Action, OperatorAsked, SessionOpened
from domain.orders import OrderStatus
from domain.snapshot import TradingState
from risk.breakers import BREAKERS, Breaker
from risk.halts import LATCHES, Cause, causes_of
from tests.support.breakers import SLOW_FSYNC, TIGHT, TRIPS
from tests.support.engines import MONDAY, NAN, Scripted, bars_closed, entry, polled
from tests.support.shells import Shell, minutes
from tests.support.virtual_loop import in_virtual_time

START = MONDAY.opens_at + minutes(60)
SLOT = START + minutes(15)
CAUSES = [breaker.cause for breaker in BREAKERS]
CANCELED_WITHIN_S = 5.0


async def a_shell_with_an_entry_at_work() -> Shell:
    """Return a reconciled shell in session, one entry working at the venue, nothing filled."""
    strategy = Scripted(strengths=(1.0, NAN, NAN))
    shell = Shell({"one": entry(strategy=strategy)}, now=START, breakers=TIGHT)
    await shell.recorder.save(shell.engine.snapshot(START))
    await shell.feeds.reconcile()
    shell.runner.post(SessionOpened(at=START, session=MONDAY))
    await shell.until(SLOT)
    shell.show()
    await decide(shell, 0)
    assert [o.status for o in shell.memory.working.values()] == [OrderStatus.WORKING]
    return shell


async def decide(shell: Shell, number: int) -> None:
    shell.show()
    shell.runner.post(polled(shell.clock.now()))
    shell.runner.post(bars_closed(SLOT + number * minutes(15), settle_s=0.0))
    await asyncio.sleep(0.01)
    await shell.feeds.reconcile()


def trip(shell: Shell, cause: Cause) -> None:
    inside, outside = TRIPS[cause](shell)
    for event in (*inside, outside):
        shell.runner.post(event)


def held(shell: Shell) -> tuple[Cause, ...]:
    return causes_of(shell.memory.trading)


def resume(shell: Shell, subject: str) -> None:
    asked = OperatorAsked(at=shell.clock.now(), action=Action.RESUME, subject=subject)
    shell.runner.post(asked)


Scene = Callable[[Cause], Coroutine[Any, Any, None]]


def of_every_breaker(scene: Scene) -> Callable[[Cause], None]:
    """Play a scene once for each breaker, in virtual time."""

    @pytest.mark.parametrize("cause", CAUSES)
    def test(cause: Cause) -> None:
        in_virtual_time(lambda: scene(cause))()

    return test


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda breaker: breaker.cause)
def test_every_breaker_has_limits_in_the_settings(breaker: Breaker) -> None:
    assert breaker.gauges
    assert all(gauge.setting in KEYS for gauge in breaker.gauges)


def test_every_breaker_can_be_tripped_here() -> None:
    assert list(TRIPS) == CAUSES


def test_what_is_no_persons_doing_is_a_breaker() -> None:
    by_hand = {Cause.OPERATOR_HALT, Cause.OPERATOR_REDUCE, Cause.FLATTEN}
    others = {Cause.DISTRUST, Cause.ACCOUNT_BLOCKED, Cause.REPEATED_DAILY_LOSS}
    assert {*CAUSES} == {*Cause} - by_hand - others


def test_all_but_a_daily_loss_must_be_named() -> None:
    assert [c for c in CAUSES if not LATCHES[c].must_be_named] == [Cause.DAILY_LOSS]


# --- at once -------------------------------------------------------------------------------------


@of_every_breaker
async def test_at_its_limit_it_holds_and_one_event_beyond_it_trips(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    inside, outside = TRIPS[cause](shell)
    if inside:
        for event in inside:
            shell.runner.post(event)
        assert held(shell) == ()
    shell.runner.post(outside)
    assert held(shell) == (cause,)
    assert shell.memory.trading.state is LATCHES[cause].state


@in_virtual_time
async def test_a_slow_fsync_trips_the_disks_breaker_too() -> None:
    shell = await a_shell_with_an_entry_at_work()
    inside, outside = SLOW_FSYNC(shell)
    shell.runner.post(inside[0])
    assert held(shell) == ()
    shell.runner.post(outside)
    assert held(shell) == (Cause.DISK,)


@of_every_breaker
async def test_a_person_is_told_what_was_measured_and_what_to_do(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    trip(shell, cause)
    (said,) = [n for n in shell.notices if n.key.startswith("trading:")]
    assert "limit" in said.message
    assert said.fields["action"] == LATCHES[cause].action


# --- at the wire ---------------------------------------------------------------------------------


@of_every_breaker
async def test_no_entry_approved_before_leaves_after(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    sent = len(shell.broker.submitted)
    shell.venue.end(next(iter(shell.memory.working)), OrderStatus.EXPIRED)
    await shell.feeds.reconcile()
    shell.writer.is_stuck = True
    await shell.until(SLOT + minutes(15))
    shell.show()
    shell.runner.post(polled(shell.clock.now()))
    shell.runner.post(bars_closed(SLOT + minutes(15), settle_s=0.0))
    approved = [o for o in shell.memory.working.values() if o.status is OrderStatus.APPROVED]
    assert len(approved) == 1
    trip(shell, cause)
    shell.writer.let_go()
    await asyncio.sleep(5)
    assert len(shell.broker.submitted) == sent
    identity = approved[0].client_order_id
    assert shell.memory.orders[identity].status is OrderStatus.WITHHELD


@in_virtual_time
async def test_the_order_that_is_one_too_many_does_not_leave_itself() -> None:
    limits = replace(TIGHT, orders_sent_per_minute_max=2)
    strategy = Scripted(strengths=(1.0, 1.0, 1.0))
    shell = Shell({"one": entry(strategy=strategy)}, now=START, breakers=limits)
    await shell.recorder.save(shell.engine.snapshot(START))
    await shell.feeds.reconcile()
    shell.runner.post(SessionOpened(at=START, session=MONDAY))
    await shell.until(SLOT)
    await decide(shell, 0)
    assert held(shell) == (Cause.ORDER_RATE,)
    assert len(shell.broker.submitted) == 2
    statuses = [o.status for o in shell.memory.orders.values()]
    assert statuses.count(OrderStatus.WITHHELD) == 1


@of_every_breaker
async def test_no_entry_is_approved_after(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    trip(shell, cause)
    await asyncio.sleep(CANCELED_WITHIN_S)
    sent = len(shell.broker.submitted)
    await shell.until(SLOT + minutes(15))
    await decide(shell, 1)
    assert len(shell.broker.submitted) == sent


@of_every_breaker
async def test_entries_at_work_are_canceled_within_seconds(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    (order,) = shell.memory.working.values()
    trip(shell, cause)
    await asyncio.sleep(CANCELED_WITHIN_S)
    assert shell.broker.cancelled == [order.venue_order_id]
    assert shell.venue.open_orders() == []


# --- until a person ------------------------------------------------------------------------------


@of_every_breaker
async def test_it_stays_tripped_over_a_kill(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    trip(shell, cause)
    await asyncio.sleep(0.01)
    later = shell.restarted()
    assert held(later) == (cause,)
    assert later.memory.trading == shell.memory.trading


@of_every_breaker
async def test_only_its_name_lifts_it(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    trip(shell, cause)
    resume(shell, "")
    is_named = LATCHES[cause].must_be_named
    assert (held(shell) == (cause,)) is is_named
    resume(shell, cause)
    assert held(shell) == ()
    assert shell.memory.trading.state is TradingState.ACTIVE


@of_every_breaker
async def test_what_is_past_does_not_trip_it_again(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    trip(shell, cause)
    resume(shell, cause)
    shell.show()
    shell.runner.post(polled(shell.engine.core.now))
    inside, _ = TRIPS[Cause.LOOP_LAG](shell)
    for event in inside:
        shell.runner.post(event)
    assert held(shell) == ()


@of_every_breaker
async def test_it_shows_that_it_has_tripped(cause: Cause) -> None:
    shell = await a_shell_with_an_entry_at_work()
    assert not any(level.is_tripped for level in shell.engine.breakers())
    trip(shell, cause)
    tripped = {level.cause for level in shell.engine.breakers() if level.is_tripped}
    assert tripped == {cause}

"""The shell around the engine in virtual time: what is durable, withheld, halted, settled."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from daemon import runner as runner_module
from daemon.asking import Asker
from daemon.engine.commands import Ask, Save
from daemon.runner import SAVE_EVERY_S, SETTLE_S_MAX, Runner
from domain.events import (
    Action,
    DecisionDue,
    OperatorAsked,
    OperatorOrder,
    OpinionGiven,
    SessionOpened,
    StateDistrusted,
    StoppingBegan,
    SubmitStarted,
    SubmitWithheld,
)
from domain.orders import OrderStatus, Side
from domain.snapshot import TradingState
from tests.support.engines import DAY, MONDAY, NAN, A, Scripted, bars_closed, entry, polled, signals
from tests.support.orders import FixedClock
from tests.support.shells import DIRECTORY, NoNote, Shell, minutes
from tests.support.virtual_loop import current_loop, in_virtual_time

START = MONDAY.opens_at + timedelta(hours=1)
SLOT = START + minutes(15)
WANTS_A = Scripted(strengths=(1.0, NAN, NAN))


async def a_shell(strategy: Scripted = WANTS_A, **rules: object) -> Shell:
    """Return a shell that was reconciled, in session, with quotes; no loop runs."""
    shell = Shell({"one": entry(strategy=strategy)}, now=START, **rules)
    await shell.recorder.save(shell.engine.snapshot(START))
    await shell.feeds.reconcile()
    shell.runner.post(SessionOpened(at=START, session=MONDAY))
    shell.show()
    return shell


async def slot(shell: Shell, number: int = 0) -> None:
    """Let a slot close, on fresh quotes, and whatever follows at once follow."""
    await shell.until(SLOT + number * minutes(15))
    shell.show()
    now = shell.clock.now()
    shell.runner.post(polled(now))
    shell.fs.log.clear()
    shell.runner.post(bars_closed(SLOT + number * minutes(15), settle_s=0.0))
    await asyncio.sleep(0.01)


def ask(shell: Shell, action: Action) -> None:
    shell.runner.post(OperatorAsked(at=shell.clock.now(), action=action))


def statuses(shell: Shell) -> list[OrderStatus]:
    return [order.status for order in shell.memory.orders.values()]


# --- durable before the first byte ---------------------------------------------------------------


@in_virtual_time
async def test_a_decision_is_on_disk_before_the_first_byte_of_its_orders() -> None:
    shell = await a_shell(Scripted(strengths=(1.0, 1.0, 1.0)))
    await slot(shell)
    assert shell.broker.were_durable == [True, True, True]


@in_virtual_time
async def test_nothing_is_sent_while_the_disk_is_slow() -> None:
    shell = await a_shell()
    shell.writer.is_stuck = True
    await slot(shell)
    await asyncio.sleep(20)
    assert shell.broker.submitted == []
    shell.writer.let_go()
    await asyncio.sleep(0.01)
    assert len(shell.broker.submitted) == 1


@in_virtual_time
async def test_all_orders_of_a_slot_wait_for_one_record() -> None:
    shell = await a_shell(Scripted(strengths=(1.0, 1.0, 1.0)))
    await slot(shell)
    log = shell.fs.log
    submits = [i for i, what in enumerate(log) if what.startswith("submit")]
    assert len(submits) == 3
    assert log[: submits[0]].count("sync") == 1


# --- the last check ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.HALT, Action.REDUCE, Action.FLATTEN])
def test_an_approval_from_before_a_change_of_state_is_withheld(action: Action) -> None:
    @in_virtual_time
    async def scene() -> None:
        shell = await a_shell()
        shell.writer.is_stuck = True
        await slot(shell)
        ask(shell, action)
        shell.writer.let_go()
        await asyncio.sleep(5)
        assert shell.broker.submitted == []
        assert statuses(shell) == [OrderStatus.WITHHELD]
        assert not shell.memory.working

    scene()


@in_virtual_time
async def test_an_approval_is_withheld_even_when_the_state_came_back_meanwhile() -> None:
    shell = await a_shell()
    shell.writer.is_stuck = True
    await slot(shell)
    # A quarantine of another symbol changes neither this order nor the state, but the epoch.
    shell.memory.trading = replace(shell.memory.trading, epoch=shell.memory.trading.epoch + 1)
    shell.writer.let_go()
    await asyncio.sleep(1)
    assert shell.broker.submitted == []
    assert statuses(shell) == [OrderStatus.WITHHELD]


@in_virtual_time
async def test_an_expired_approval_is_withheld() -> None:
    shell = await a_shell()
    shell.writer.is_stuck = True
    await slot(shell)
    await asyncio.sleep(31)
    shell.writer.let_go()
    await asyncio.sleep(0.01)
    assert shell.broker.submitted == []
    (withheld,) = [e for e in shell.events if isinstance(e, SubmitWithheld)]
    assert "expired" in withheld.reason


@in_virtual_time
async def test_an_approval_that_just_holds_is_sent() -> None:
    shell = await a_shell()
    shell.writer.is_stuck = True
    await slot(shell)
    await asyncio.sleep(29.9)
    shell.writer.let_go()
    await asyncio.sleep(0.01)
    assert len(shell.broker.submitted) == 1


@in_virtual_time
async def test_an_order_canceled_before_it_was_sent_is_not_sent() -> None:
    shell = await a_shell()
    shell.writer.is_stuck = True
    await slot(shell)
    ask(shell, Action.CANCEL_ALL)
    shell.writer.let_go()
    await asyncio.sleep(30)
    assert shell.broker.submitted == []
    assert statuses(shell) == [OrderStatus.WITHHELD]


@in_virtual_time
async def test_a_dry_run_decides_records_and_sends_nothing() -> None:
    shell = await a_shell()
    shell.runner.is_sending = False
    await slot(shell)
    assert shell.broker.submitted == []
    assert shell.memory.last_decision is not None
    assert statuses(shell) == [OrderStatus.WITHHELD]


# --- a disk that fails ---------------------------------------------------------------------------


@in_virtual_time
async def test_a_journal_that_fails_halts_and_nothing_is_sent_any_more() -> None:
    shell = await a_shell()
    shell.fs.fail_from(shell.fs.operations + 1)
    await slot(shell)
    await asyncio.sleep(5)
    assert shell.broker.submitted == []
    assert shell.memory.trading.state is TradingState.HALTED
    assert "distrust" in shell.memory.trading.cause
    shell.fs.mend()
    for number in (1, 2):
        await slot(shell, number)
    assert shell.broker.submitted == []


@in_virtual_time
async def test_an_operator_cannot_flatten_past_a_dead_disk() -> None:
    shell = await a_shell()
    await slot(shell)
    shell.venue.fill(next(iter(shell.venue.orders)), 100, 100)
    await shell.feeds.reconcile()
    assert shell.memory.portfolio.shares(A) == 100
    shell.fs.fail_from(shell.fs.operations + 1)
    ask(shell, Action.FLATTEN)
    await asyncio.sleep(5)
    # What cannot be recorded is not sent: `tradewind flatten` works with the daemon down.
    assert len(shell.broker.submitted) == 1
    assert shell.memory.trading.state is TradingState.HALTED


@in_virtual_time
async def test_a_failed_snapshot_halts() -> None:
    shell = await a_shell()
    shell.runner._carry_out(Save())
    shell.fs.fail_from(shell.fs.operations + 1)
    await asyncio.sleep(SAVE_EVERY_S + 0.1)
    assert [type(e) for e in shell.events][-1] is StateDistrusted
    assert shell.memory.trading.state is TradingState.HALTED


# --- saving --------------------------------------------------------------------------------------


@in_virtual_time
async def test_many_wishes_to_save_are_one_save() -> None:
    shell = await a_shell()
    await asyncio.sleep(2 * SAVE_EVERY_S)
    shell.fs.log.clear()
    for _ in range(5):
        shell.runner._carry_out(Save())
    await asyncio.sleep(2 * SAVE_EVERY_S)
    assert sum("portfolio.json.tmp portfolio.json" in what for what in shell.fs.log) == 1


@in_virtual_time
async def test_a_saved_book_is_what_the_next_process_begins_with() -> None:
    shell = await a_shell()
    await slot(shell)
    shell.venue.fill(next(iter(shell.venue.orders)), 100, 100)
    await shell.feeds.reconcile()
    await asyncio.sleep(SAVE_EVERY_S + 0.1)
    later = shell.restarted()
    assert later.memory.portfolio == shell.memory.portfolio


# --- the inbox and jobs --------------------------------------------------------------------------


@in_virtual_time
async def test_an_event_posted_while_one_is_handled_is_handled_after_it() -> None:
    shell = await a_shell()
    order: list[str] = []
    inner = shell.runner._observers.on_event

    def watch(event: object, commands: object, took_s: float) -> None:
        order.append(f"{type(event).__name__} begins")
        inner(event, commands, took_s)  # type: ignore[arg-type]

    object.__setattr__(shell.runner._observers, "on_event", watch)
    await slot(shell)
    assert order[:3] == ["QuotesPolled begins", "BarsClosed begins", "OpinionGiven begins"]


@in_virtual_time
async def test_an_engine_that_feeds_itself_is_stopped() -> None:
    shell = await a_shell()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner_module, "INBOX_EVENTS_MAX", 3)
        shell.runner._is_draining = True
        event = DecisionDue(at=START, slot_at=START)
        for _ in range(3):
            shell.runner.post(event)
        with pytest.raises(RuntimeError, match="feeds itself"):
            shell.runner.post(event)


@in_virtual_time
async def test_jobs_are_bounded() -> None:
    shell = await a_shell()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner_module, "JOBS_MAX", 2)
        for _ in range(2):
            shell.runner.spawn(asyncio.sleep(100), "sleep")
        with pytest.raises(RuntimeError, match="something does not end"):
            shell.runner.spawn(asyncio.sleep(100), "sleep")
    for task in list(shell.runner._jobs):
        task.cancel()


@in_virtual_time
async def test_what_a_job_raises_ends_the_program() -> None:
    shell = await a_shell()
    watching = asyncio.get_running_loop().create_task(shell.runner.watch_jobs())
    await asyncio.sleep(0)

    async def broken() -> None:
        raise ZeroDivisionError("nobody foresaw this")

    shell.runner.spawn(broken(), "broken")
    with pytest.raises(ZeroDivisionError):
        await watching


@in_virtual_time
async def test_a_decision_comes_due_when_it_was_scheduled() -> None:
    shell = Shell(
        {"daily": entry(strategy=Scripted(timeframe=DAY, strengths=(1.0, NAN, NAN)))},
        now=MONDAY.opens_at,
    )
    shell.memory.due_at_open = [MONDAY.opens_at - timedelta(hours=17)]
    await shell.recorder.save(shell.engine.snapshot(MONDAY.opens_at))
    await shell.feeds.reconcile()
    shell.runner.post(SessionOpened(at=shell.clock.now(), session=MONDAY))
    await asyncio.sleep(299)
    assert not [e for e in shell.events if isinstance(e, DecisionDue)]
    await asyncio.sleep(2)
    assert [e.slot_at for e in shell.events if isinstance(e, DecisionDue)] == [
        MONDAY.opens_at - timedelta(hours=17)
    ]


async def test_a_heavy_strategy_is_asked_off_the_loop() -> None:
    """In real time: a thread takes part."""
    names: list[str] = []

    class Heavy:
        heavy = True

        def decide(self, market: object) -> object:
            names.append(threading.current_thread().name)
            return signals(0.0, 0.0, 0.0)

    got: list[object] = []
    runner = Runner.__new__(Runner)
    runner._asker = Asker(
        {"heavy": Heavy()},  # type: ignore[dict-item]
        note=NoNote(),
        clock=FixedClock(),
        stopwatch_s=lambda: 0.0,
        budget_s=1.0,
    )
    runner.post = got.append  # type: ignore[method-assign]
    ask_command = Ask(strategy="heavy", slot_at=START, market=None)  # type: ignore[arg-type]
    await runner._ask_in_thread(ask_command)
    assert isinstance(got[0], OpinionGiven)
    assert names[0] != threading.main_thread().name


# --- stopping ------------------------------------------------------------------------------------


async def stopped(shell: Shell) -> float:
    """Stop in stages; return how long settling took."""
    shell.runner.post(StoppingBegan(at=shell.clock.now()))
    began_s = current_loop().time()
    await shell.runner.settle()
    took_s = current_loop().time() - began_s
    await shell.runner.final_save()
    return took_s


@in_virtual_time
async def test_a_stop_waits_until_cancels_have_arrived() -> None:
    shell = await a_shell()
    news = asyncio.get_running_loop().create_task(shell.feeds.order_news(lambda again: None))
    await slot(shell)
    assert statuses(shell) == [OrderStatus.WORKING]
    assert await stopped(shell) < 1.0
    news.cancel()
    assert statuses(shell) == [OrderStatus.CANCELED]
    assert [o.status for o in shell.venue.orders.values()] == [OrderStatus.CANCELED]


@in_virtual_time
async def test_a_stop_does_not_wait_for_ever() -> None:
    shell = await a_shell()
    await slot(shell)
    # Nobody tells of the cancel.
    assert SETTLE_S_MAX <= await stopped(shell) < SETTLE_S_MAX + 1


@in_virtual_time
async def test_a_stop_leaves_orders_working_when_told_to() -> None:
    shell = await a_shell(cancels_at_stop=False)
    await slot(shell)
    assert await stopped(shell) == 0.0
    assert [o.status for o in shell.venue.orders.values()] == [OrderStatus.WORKING]


@pytest.mark.parametrize("cancels_at_stop", [True, False])
def test_a_stop_withholds_what_was_not_sent_yet(cancels_at_stop: bool) -> None:
    in_virtual_time(stopping_before_the_first_byte)(cancels_at_stop)


async def stopping_before_the_first_byte(cancels_at_stop: bool) -> None:
    shell = await a_shell(cancels_at_stop=cancels_at_stop)
    shell.writer.is_stuck = True
    await slot(shell)
    shell.runner.post(StoppingBegan(at=shell.clock.now()))
    shell.writer.let_go()
    await asyncio.sleep(0.1)
    assert shell.broker.submitted == []
    assert statuses(shell) == [OrderStatus.WITHHELD]


@in_virtual_time
async def test_the_last_save_holds_everything() -> None:
    shell = await a_shell(cancels_at_stop=False)
    await slot(shell)
    shell.venue.fill(next(iter(shell.venue.orders)), 60, 100)
    await shell.feeds.reconcile()
    await stopped(shell)
    later = shell.restarted()
    assert later.memory.portfolio.shares(A) == 60
    assert [o.filled_shares for o in later.memory.orders.values()] == [60]
    assert DIRECTORY / "portfolio.json" in shell.fs._seen


@in_virtual_time
async def test_the_last_save_does_not_hang_on_a_dead_disk() -> None:
    shell = await a_shell()
    shell.fs.fail_from(shell.fs.operations + 1)
    shell.runner._save()
    await asyncio.sleep(0.1)
    async with asyncio.timeout(30):
        await shell.runner.final_save()


@in_virtual_time
async def test_an_operators_order_goes_the_whole_way() -> None:
    shell = await a_shell(Scripted())
    wish = OperatorOrder(symbol=A, side=Side.BUY, quantity_shares=Decimal(7))
    shell.show()
    shell.runner.post(polled(shell.clock.now()))
    shell.runner.post(OperatorAsked(at=shell.clock.now(), action=Action.ORDER, order=wish))
    await asyncio.sleep(0.1)
    assert [o.intent.quantity_shares for o in shell.broker.submitted] == [7]
    started = [e for e in shell.events if isinstance(e, SubmitStarted)]
    assert len(started) == 1

"""An account that the venue blocks: halted with its cause until the venue and a person lift it.

Once the refusal of an order of a blocked account was taken for a refusal of the keys: the daemon
ended with exit code 4, which its service manager does not start again, whatever it held.
"""

from domain.errors import AccountBlocked
from domain.orders import OrderStatus, Severity
from domain.snapshot import TradingState
from risk.halts import Cause
from tests.simulation.test_breakers import (
    SLOT,
    a_shell_with_an_entry_at_work,
    decide,
    held,
    resume,
)
from tests.support.shells import Shell, minutes
from tests.support.virtual_loop import in_virtual_time

BLOCKED = "account is not authorized to trade"


async def blocked() -> Shell:
    """Return a shell whose account was blocked, and compared since, while an entry worked."""
    shell = await a_shell_with_an_entry_at_work()
    shell.venue.is_blocked = True
    await shell.feeds.reconcile()
    return shell


async def refused() -> Shell:
    """Return a shell whose last order was refused for the account's sake."""
    shell = await a_shell_with_an_entry_at_work()
    shell.venue.end(next(iter(shell.memory.working)), OrderStatus.EXPIRED)
    await shell.feeds.reconcile()
    shell.venue.refusals.append(AccountBlocked(BLOCKED, http_status=403, code=40310000))
    await shell.until(SLOT + minutes(15))
    await decide(shell, 1)
    return shell


@in_virtual_time
async def test_a_blocked_account_halts_with_its_cause_and_cancels_entries() -> None:
    shell = await blocked()
    assert held(shell) == (Cause.ACCOUNT_BLOCKED,)
    assert shell.memory.trading.state is TradingState.HALTED
    assert all(o.cancel_requested_at for o in shell.memory.working.values())


@in_virtual_time
async def test_a_person_is_told_once_that_the_account_is_blocked() -> None:
    shell = await blocked()
    await shell.feeds.reconcile()
    (said,) = [n for n in shell.notices if n.key.startswith("trading:")]
    assert said.severity is Severity.CRITICAL
    assert "sign in" in str(said.fields["action"])


@in_virtual_time
async def test_an_order_refused_for_the_accounts_sake_halts_and_the_program_goes_on() -> None:
    shell = await refused()
    assert held(shell) == (Cause.ACCOUNT_BLOCKED,)
    assert BLOCKED in shell.memory.trading.evidence
    assert [o for o in shell.memory.orders.values() if o.status is OrderStatus.REJECTED]
    assert not shell.memory.working


@in_virtual_time
async def test_after_the_first_refusal_nothing_more_is_sent() -> None:
    shell = await refused()
    sent = len(shell.broker.submitted)
    await shell.until(SLOT + minutes(30))
    await decide(shell, 2)
    assert len(shell.broker.submitted) == sent


@in_virtual_time
async def test_a_block_is_still_known_after_a_kill() -> None:
    shell = await blocked()
    assert held(shell.restarted()) == (Cause.ACCOUNT_BLOCKED,)


@in_virtual_time
async def test_a_resume_that_does_not_name_the_block_lifts_nothing() -> None:
    shell = await blocked()
    shell.venue.is_blocked = False
    resume(shell, "")
    assert held(shell) == (Cause.ACCOUNT_BLOCKED,)


@in_virtual_time
async def test_resumed_while_the_venue_still_blocks_it_is_halted_again() -> None:
    shell = await blocked()
    resume(shell, "account_blocked")
    assert held(shell) == ()
    await shell.feeds.reconcile()
    assert held(shell) == (Cause.ACCOUNT_BLOCKED,)


@in_virtual_time
async def test_once_lifted_by_the_venue_and_a_person_it_trades_again() -> None:
    shell = await blocked()
    shell.venue.is_blocked = False
    resume(shell, "account_blocked")
    await shell.feeds.reconcile()
    assert shell.memory.trading.state is TradingState.ACTIVE

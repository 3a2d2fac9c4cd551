"""The request budget: lanes, limits, hints and pauses."""

import asyncio

import pytest

from daemon.backoff import seeded_jitter
from daemon.budget import WINDOW_S, BudgetExhausted, BudgetLimits, Lane, RequestBudget
from daemon.clock import ClockPace, SystemClock
from domain.errors import RequestNotSent
from tests.support.virtual_loop import current_loop, in_virtual_time


def a_budget(per_minute: int, *, cancel_share: float = 0.0) -> RequestBudget:
    pace = ClockPace(SystemClock(current_loop().wall))
    limits = BudgetLimits(per_minute=per_minute, cancel_share=cancel_share)
    return RequestBudget(limits, pace=pace, jitter=seeded_jitter(1))


async def spend(budget: RequestBudget, count: int, lane: Lane = Lane.QUOTES) -> None:
    for _ in range(count):
        await budget.acquire(lane, wait_limit_s=1_000.0)


@in_virtual_time
async def test_requests_within_the_budget_do_not_wait() -> None:
    budget = a_budget(10)
    await spend(budget, 10)
    assert current_loop().time() == 0.0
    assert budget.counts.used == 10
    assert budget.counts.by_lane[Lane.QUOTES] == 10
    assert budget.counts.waited_s == 0.0


@in_virtual_time
async def test_one_request_too_many_waits_until_the_window_has_passed() -> None:
    budget = a_budget(10)
    await spend(budget, 10)
    await spend(budget, 1)
    assert WINDOW_S < current_loop().time() < WINDOW_S + 0.1
    assert budget.counts.waited_s == pytest.approx(WINDOW_S, abs=0.1)


@in_virtual_time
async def test_waiters_go_by_lane_then_by_arrival() -> None:
    budget = a_budget(1)
    await spend(budget, 1)
    order: list[str] = []

    async def ask(name: str, lane: Lane) -> None:
        await budget.acquire(lane, wait_limit_s=1_000.0)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name, lane in [
            ("history", Lane.HISTORY),
            ("quotes", Lane.QUOTES),
            ("submit 1", Lane.SUBMIT),
            ("submit 2", Lane.SUBMIT),
            ("cancel", Lane.CANCEL),
            ("reconcile", Lane.RECONCILE),
        ]:
            tasks.create_task(ask(name, lane))
    assert order == ["cancel", "submit 1", "submit 2", "reconcile", "quotes", "history"]


@in_virtual_time
async def test_a_share_is_kept_for_cancels() -> None:
    budget = a_budget(10, cancel_share=0.2)
    await spend(budget, 8, Lane.SUBMIT)
    with pytest.raises(BudgetExhausted):
        await budget.acquire(Lane.SUBMIT, wait_limit_s=1.0)
    await budget.acquire(Lane.CANCEL, wait_limit_s=0.01)
    await budget.acquire(Lane.CANCEL, wait_limit_s=0.01)
    with pytest.raises(BudgetExhausted):
        await budget.acquire(Lane.CANCEL, wait_limit_s=0.01)


@in_virtual_time
async def test_who_waits_too_long_is_told_that_nothing_was_sent() -> None:
    budget = a_budget(1)
    await spend(budget, 1)
    with pytest.raises(RequestNotSent, match="lane QUOTES could leave within 2 s"):
        await budget.acquire(Lane.QUOTES, wait_limit_s=2.0)
    assert current_loop().time() == pytest.approx(2.0)
    assert budget.counts.exhausted == 1
    assert budget.counts.used == 1


@in_virtual_time
async def test_a_head_that_gives_up_lets_the_next_one_pass() -> None:
    budget = a_budget(10, cancel_share=0.5)
    await spend(budget, 5, Lane.QUOTES)
    waiting = asyncio.create_task(budget.acquire(Lane.SUBMIT, wait_limit_s=1_000.0))
    await asyncio.sleep(1.0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    await asyncio.wait_for(spend(budget, 1), 120.0)
    assert budget.counts.used == 6


@in_virtual_time
async def test_a_429_pauses_every_lane_for_a_moment_only() -> None:
    budget = a_budget(100)
    budget.limited()
    await spend(budget, 1, Lane.CANCEL)
    assert 0.3 <= current_loop().time() <= 1.0
    assert budget.counts.limited == 1


@in_virtual_time
async def test_429s_in_a_row_pause_longer_and_a_burst_counts_once() -> None:
    budget = a_budget(100)
    pauses = []
    for _ in range(6):
        began_s = current_loop().time()
        budget.limited()
        budget.limited()
        await spend(budget, 1)
        pauses.append(current_loop().time() - began_s)
    assert max(pauses) > 1.0
    assert max(pauses) <= 8.0
    budget.answered()
    began_s = current_loop().time()
    for _ in range(20):
        budget.limited()
    await spend(budget, 1)
    assert current_loop().time() - began_s <= 1.0


@in_virtual_time
async def test_a_hint_tightens_and_refills() -> None:
    budget = a_budget(180)
    budget.hint(remaining=2, limit=200)
    await spend(budget, 2)
    assert current_loop().time() == 0.0
    await spend(budget, 10)
    # The venue's bucket refills 200 a minute: ten more take three seconds.
    assert current_loop().time() == pytest.approx(3.0, abs=0.1)


@in_virtual_time
async def test_a_generous_hint_changes_nothing() -> None:
    budget = a_budget(3)
    budget.hint(remaining=199, limit=200)
    await spend(budget, 4)
    assert current_loop().time() > WINDOW_S


@in_virtual_time
async def test_a_crowd_is_refused_at_once() -> None:
    budget = a_budget(1)
    await spend(budget, 1)
    crowd = [
        asyncio.create_task(budget.acquire(Lane.QUOTES, wait_limit_s=9.0)) for _ in range(1_000)
    ]
    await asyncio.sleep(0)
    with pytest.raises(BudgetExhausted, match="already wait"):
        await budget.acquire(Lane.CANCEL, wait_limit_s=9.0)
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(outcome, BudgetExhausted) for outcome in outcomes)
    await budget.acquire(Lane.CANCEL, wait_limit_s=99.0)


@in_virtual_time
async def test_the_window_runs_in_market_time() -> None:
    loop = current_loop()
    clock = SystemClock(lambda: loop.time() * 600.0)
    budget = RequestBudget(
        BudgetLimits(per_minute=10), pace=ClockPace(clock, speed=600.0), jitter=seeded_jitter(1)
    )
    await spend(budget, 11)
    assert loop.time() == pytest.approx(WINDOW_S / 600.0, abs=0.01)


def test_limits_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="not a request budget"):
        BudgetLimits(per_minute=0)
    with pytest.raises(ValueError, match="not a request budget"):
        BudgetLimits(cancel_share=1.0)

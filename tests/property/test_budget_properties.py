"""Laws of the request budget, in virtual time."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.backoff import seeded_jitter
from daemon.budget import WINDOW_S, BudgetExhausted, BudgetLimits, Lane, RequestBudget
from daemon.clock import ClockPace, SystemClock
from tests.support.virtual_loop import current_loop, run_virtually

Arrival = tuple[float, Lane, float]
arrivals = st.lists(
    st.tuples(
        st.floats(0.0, 30.0).map(lambda gap_s: round(gap_s, 2)),
        st.sampled_from(list(Lane)),
        st.sampled_from([0.5, 20.0, 1_000.0]),
    ),
    max_size=60,
)
limits = st.builds(
    BudgetLimits, per_minute=st.integers(1, 12), cancel_share=st.sampled_from([0.0, 0.2, 0.5])
)
Grant = tuple[float, Lane, float]
"""When, for what, and since when it had waited."""


async def _play(script: list[Arrival], rules: BudgetLimits, limited_every: int) -> list[Grant]:
    loop = current_loop()
    pace = ClockPace(SystemClock(loop.wall))
    budget = RequestBudget(rules, pace=pace, jitter=seeded_jitter(3))
    grants: list[Grant] = []

    async def ask(lane: Lane, wait_limit_s: float) -> None:
        since_s = loop.time()
        try:
            await budget.acquire(lane, wait_limit_s=wait_limit_s)
        except BudgetExhausted:
            assert loop.time() - since_s >= wait_limit_s - 1e-6
            return
        grants.append((loop.time(), lane, since_s))
        if limited_every and len(grants) % limited_every == 0:
            budget.limited()

    async with asyncio.TaskGroup() as tasks:
        for gap_s, lane, wait_limit_s in script:
            await asyncio.sleep(gap_s)
            tasks.create_task(ask(lane, wait_limit_s))
    assert budget.counts.used == len(grants)
    return grants


def _most_in_a_window(times: list[float]) -> int:
    return max((sum(t <= u <= t + WINDOW_S for u in times) for t in times), default=0)


@given(arrivals, limits, st.sampled_from([0, 3]))
@settings(max_examples=60, deadline=None)
def test_no_window_holds_more_than_the_budget(
    script: list[Arrival], rules: BudgetLimits, limited_every: int
) -> None:
    grants = run_virtually(_play(script, rules, limited_every))
    assert _most_in_a_window([at for at, _, _ in grants]) <= rules.per_minute


@given(arrivals, limits)
@settings(max_examples=60, deadline=None)
def test_nobody_passes_a_waiter_of_a_higher_lane(
    script: list[Arrival], rules: BudgetLimits
) -> None:
    grants = run_virtually(_play(script, rules, 0))
    for at, lane, _ in grants:
        for other_at, other_lane, since_s in grants:
            waited_then = since_s < at < other_at - 1e-9
            assert not (waited_then and other_lane < lane)


@given(arrivals, limits)
@settings(max_examples=60, deadline=None)
def test_only_cancels_use_the_share_kept_for_them(
    script: list[Arrival], rules: BudgetLimits
) -> None:
    grants = run_virtually(_play(script, rules, 0))
    for at, lane, _ in grants:
        if lane is not Lane.CANCEL:
            window = [t for t, _, _ in grants if at - WINDOW_S <= t < at]
            assert len(window) < rules.room_for(lane)


@given(arrivals, limits)
@settings(max_examples=60, deadline=None)
def test_whoever_is_patient_is_served(script: list[Arrival], rules: BudgetLimits) -> None:
    patient = [(gap_s, lane, 1e6) for gap_s, lane, _ in script]
    assert len(run_virtually(_play(patient, rules, 0))) == len(patient)

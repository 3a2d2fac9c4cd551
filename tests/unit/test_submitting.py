"""Every row of what a submission may meet, in virtual time, at a venue that records what it got."""

import asyncio
from collections import deque
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from daemon.backoff import seeded_jitter
from daemon.engine.commands import CancelOrder
from daemon.submitting import (
    CANCEL_ATTEMPTS_MAX,
    GIVE_UP_QUIET_S,
    QUIET_S,
    RESOLVE_S_MAX,
    Submitter,
)
from domain.errors import (
    NotAuthorized,
    RequestNotSent,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from domain.events import (
    Event,
    OrderChanged,
    SubmitRejected,
    SubmitStarted,
    SubmitUnresolved,
    SubmitWithheld,
)
from domain.orders import ApprovedOrder, OrderReport, OrderStatus
from tests.support.fake_venue import FakeBroker, FakeVenue
from tests.support.orders import NOON, FixedClock, an_intent
from tests.support.virtual_loop import current_loop, in_virtual_time

ID = "tw1-a"
DOWN = VenueUnavailable("time-out")
POOR = VenueRejected("insufficient buying power", http_status=403, code=40310000)
UNSENT = RequestNotSent("no budget")
Step = VenueError | None
"""What one request meets: a fault, or None for what the venue itself says."""


class Wire:
    """A broker that notes when each request came; `submits`, `looks` and `cancels` are the faults
    of the next ones, and `lost` of the submissions are carried out and answered with nothing."""

    def __init__(self) -> None:
        self.venue = FakeVenue(FixedClock())
        self._broker = FakeBroker(self.venue)
        self.submits: deque[Step] = deque()
        self.looks: deque[Step] = deque()
        self.cancels: deque[Step] = deque()
        self.lost = 0
        self.takes_s = 0.0
        self.log: list[tuple[str, float]] = []

    async def submit(self, order: ApprovedOrder) -> OrderReport:
        await self._met("submit", self.submits)
        report = await self._broker.submit(order)
        if self.lost:
            self.lost -= 1
            raise VenueUnavailable("the answer was lost")
        return report

    async def order(self, client_order_id: str) -> OrderReport | None:
        await self._met("look", self.looks)
        return await self._broker.order(client_order_id)

    async def cancel(self, venue_order_id: str) -> None:
        await self._met(f"cancel {venue_order_id[-1:]}", self.cancels)
        await self._broker.cancel(venue_order_id)

    async def _met(self, what: str, steps: "deque[Step]") -> None:
        self.log.append((what, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.takes_s)
        fault = steps.popleft() if steps else None
        if fault is not None:
            raise fault

    def times(self, what: str) -> list[float]:
        return [at_s for name, at_s in self.log if name.startswith(what)]


class Scene:
    """A submitter on a wire, with everything it posted."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.events: list[Event] = []
        self.objection = ""
        self.submitter = Submitter(
            self.wire,  # type: ignore[arg-type]
            clock=FixedClock(),
            post=self.events.append,
            objection=lambda order: self.objection,
            jitter=seeded_jitter(1),
        )

    async def submit(self) -> list[str]:
        """Send the order; return the kinds of the events that came of it."""
        await self.submitter.submit(an_order(), None)
        return self.kinds()

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def last(self) -> Event:
        return self.events[-1]


def an_order() -> ApprovedOrder:
    return ApprovedOrder(
        intent=an_intent(), approved_at=NOON, expires_at=NOON + timedelta(seconds=30), epoch=0
    )


async def forever(scene: Scene, *, seconds: float) -> asyncio.Task[None]:
    """Begin to submit and let so much time pass."""
    task = asyncio.get_running_loop().create_task(scene.submitter.submit(an_order(), None))
    await asyncio.sleep(seconds)
    return task


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


STARTED, LANDED = SubmitStarted.__name__, OrderChanged.__name__
WITHHELD, REJECTED = SubmitWithheld.__name__, SubmitRejected.__name__
UNRESOLVED = SubmitUnresolved.__name__

# --- the first attempt ---------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_is_answered_has_landed() -> None:
    scene = Scene()
    assert await scene.submit() == [STARTED, LANDED]
    assert isinstance(scene.last, OrderChanged)
    assert scene.last.update.report.client_order_id == ID
    assert scene.wire.log == [("submit", 0.0)]


@in_virtual_time
async def test_an_order_that_never_left_is_withheld() -> None:
    scene = Scene()
    scene.wire.submits.append(UNSENT)
    assert await scene.submit() == [STARTED, WITHHELD]
    assert len(scene.wire.log) == 1


@in_virtual_time
async def test_a_definite_refusal_of_the_first_attempt_is_a_rejection() -> None:
    scene = Scene()
    scene.wire.submits.append(POOR)
    assert await scene.submit() == [STARTED, REJECTED]
    assert isinstance(scene.last, SubmitRejected)
    assert (scene.last.code, scene.last.reason) == (40310000, "insufficient buying power")


@in_virtual_time
async def test_keys_that_are_not_accepted_withhold_and_end_the_program() -> None:
    scene = Scene()
    scene.wire.submits.append(NotAuthorized("unauthorized", http_status=401, code=None))
    with pytest.raises(NotAuthorized):
        await scene.submit()
    assert scene.kinds() == [STARTED, WITHHELD]
    assert not scene.submitter.in_flight


@in_virtual_time
async def test_an_order_whose_answer_was_lost_is_found_and_not_sent_again() -> None:
    scene = Scene()
    scene.wire.lost = 1
    assert await scene.submit() == [STARTED, LANDED]
    assert [what for what, _ in scene.wire.log] == ["submit", "look"]
    assert len(scene.wire.venue.orders) == 1


# --- later attempts ------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_did_not_arrive_is_sent_again_under_the_same_id_once_it_is_quiet() -> (
    None
):
    scene = Scene()
    scene.wire.submits.append(DOWN)
    assert await scene.submit() == [STARTED, LANDED]
    first, second = scene.wire.times("submit")
    assert second - first >= QUIET_S
    assert list(scene.wire.venue.orders) == [ID]


@in_virtual_time
async def test_looking_goes_on_while_looking_fails() -> None:
    scene = Scene()
    scene.wire.lost = 1
    scene.wire.looks.extend([DOWN, POOR, DOWN])
    assert await scene.submit() == [STARTED, LANDED]
    assert len(scene.wire.times("look")) == 4
    assert len(scene.wire.times("submit")) == 1


@in_virtual_time
async def test_each_attempt_in_doubt_starts_the_quiet_time_anew() -> None:
    scene = Scene()
    scene.wire.submits.extend([DOWN, DOWN, DOWN])
    await scene.submit()
    attempts = scene.wire.times("submit")
    assert len(attempts) == 4
    assert all(b - a >= QUIET_S for a, b in pairwise(attempts))


@in_virtual_time
async def test_a_refusal_of_a_later_attempt_proves_nothing_while_the_first_may_have_landed() -> (
    None
):
    scene = Scene()
    scene.wire.submits.extend([DOWN, POOR])
    task = await forever(scene, seconds=QUIET_S + 5)
    # The first copy turns up after all: it held the buying power that the second was refused for.
    intent = an_intent()
    scene.wire.venue.accept(ID, "AAPL", intent.side, Decimal(10), terms=intent.terms)
    await asyncio.wait_for(task, 60)
    assert scene.kinds() == [STARTED, LANDED]


@in_virtual_time
async def test_a_refusal_is_believed_when_nothing_can_bring_the_order_any_more() -> None:
    scene = Scene()
    scene.wire.submits.extend([DOWN, POOR])
    assert await scene.submit() == [STARTED, REJECTED]
    attempts = scene.wire.times("submit")
    assert len(attempts) == 2
    assert current_loop().time() - attempts[-1] >= GIVE_UP_QUIET_S


@in_virtual_time
async def test_a_later_attempt_that_never_left_is_tried_again() -> None:
    scene = Scene()
    scene.wire.submits.extend([DOWN, UNSENT])
    assert await scene.submit() == [STARTED, LANDED]
    assert len(scene.wire.times("submit")) == 3


@in_virtual_time
async def test_a_later_answer_that_it_exists_already_means_it_landed() -> None:
    scene = Scene()
    duplicate = VenueRejected("client_order_id must be unique", http_status=422, code=40010001)
    scene.wire.submits.extend([DOWN, duplicate])
    scene.wire.takes_s = 0.01
    task = await forever(scene, seconds=QUIET_S + 1)
    intent = an_intent()
    if ID not in scene.wire.venue.orders:
        scene.wire.venue.accept(ID, "AAPL", intent.side, Decimal(10), terms=intent.terms)
    await asyncio.wait_for(task, 60)
    assert scene.kinds() == [STARTED, LANDED]


@in_virtual_time
async def test_an_order_whose_approval_lapsed_meanwhile_is_not_sent_again() -> None:
    scene = Scene()
    scene.wire.submits.append(DOWN)
    task = await forever(scene, seconds=1)
    scene.objection = "the approval has expired"
    await asyncio.wait_for(task, 200)
    assert scene.kinds() == [STARTED, WITHHELD]
    assert isinstance(scene.last, SubmitWithheld)
    assert "never arrived; the approval has expired" in scene.last.reason
    assert len(scene.wire.times("submit")) == 1


@in_virtual_time
async def test_an_order_is_given_up_only_when_it_cannot_arrive_any_more() -> None:
    scene = Scene()
    scene.wire.submits.append(DOWN)
    task = await forever(scene, seconds=1)
    scene.objection = "the approval has expired"
    await asyncio.sleep(GIVE_UP_QUIET_S - 10)
    assert not task.done()
    intent = an_intent()
    scene.wire.venue.accept(ID, "AAPL", intent.side, Decimal(10), terms=intent.terms)
    await asyncio.wait_for(task, 60)
    assert scene.kinds() == [STARTED, LANDED]


# --- bounds --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_venue_that_stays_silent_is_told_of_once_and_in_bounded_time() -> None:
    scene = Scene()
    scene.wire.submits.append(DOWN)
    scene.wire.looks.extend([DOWN] * 1_000)
    task = await forever(scene, seconds=RESOLVE_S_MAX + 10)
    assert scene.kinds() == [STARTED, UNRESOLVED]
    assert isinstance(scene.last, SubmitUnresolved)
    assert scene.last.client_order_id == ID
    await asyncio.sleep(1_000)
    assert scene.kinds() == [STARTED, UNRESOLVED]
    await ended(task)


@in_virtual_time
async def test_a_silent_venue_is_asked_ever_more_rarely() -> None:
    scene = Scene()
    scene.wire.submits.append(DOWN)
    scene.wire.looks.extend([DOWN] * 1_000)
    task = await forever(scene, seconds=RESOLVE_S_MAX)
    assert len(scene.wire.times("look")) <= 100
    before = len(scene.wire.log)
    await asyncio.sleep(600)
    assert len(scene.wire.log) - before <= 60
    await ended(task)


@in_virtual_time
async def test_an_order_in_doubt_is_still_found_after_it_was_told_of() -> None:
    scene = Scene()
    scene.wire.lost = 1
    scene.wire.looks.extend([DOWN] * 200)
    task = await forever(scene, seconds=RESOLVE_S_MAX + 10)
    assert scene.kinds() == [STARTED, UNRESOLVED]
    scene.wire.looks.clear()
    await asyncio.wait_for(task, 120)
    assert scene.kinds() == [STARTED, UNRESOLVED, LANDED]


# --- single flight -------------------------------------------------------------------------------


@in_virtual_time
async def test_one_id_is_sent_once_at_a_time() -> None:
    scene = Scene()
    scene.wire.takes_s = 1.0
    await asyncio.gather(*(scene.submitter.submit(an_order(), None) for _ in range(3)))
    assert len(scene.wire.times("submit")) == 1
    assert scene.kinds() == [STARTED, LANDED]


@in_virtual_time
async def test_nobody_looks_for_an_order_that_is_being_sent() -> None:
    scene = Scene()
    scene.wire.takes_s = 1.0
    task = await forever(scene, seconds=0.5)
    assert scene.submitter.is_in_flight(ID)
    assert (scene.submitter.sending, scene.submitter.in_flight) == (1, 1)
    await scene.submitter.resolve(None, ID)
    assert not scene.wire.times("look")
    await task
    assert not scene.submitter.is_in_flight(ID)
    assert (scene.submitter.sending, scene.submitter.in_flight) == (0, 0)


@in_virtual_time
async def test_an_order_only_looked_for_is_in_flight_but_not_being_sent() -> None:
    scene = Scene()
    scene.wire.submits.append(DOWN)
    scene.wire.looks.extend([DOWN] * 10)
    task = await forever(scene, seconds=1)
    assert (scene.submitter.sending, scene.submitter.in_flight) == (0, 1)
    await ended(task)
    assert scene.submitter.in_flight == 0


# --- the last check ------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_is_objected_to_is_withheld_without_a_byte() -> None:
    scene = Scene()
    scene.objection = "trading is HALTED"
    assert await scene.submit() == [WITHHELD]
    assert scene.wire.log == []


@in_virtual_time
async def test_nothing_is_sent_before_its_record_is_durable() -> None:
    scene = Scene()
    durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.get_running_loop().create_task(scene.submitter.submit(an_order(), durable))
    await asyncio.sleep(30)
    assert (scene.wire.log, scene.events) == ([], [])
    durable.set_result(7)
    await task
    assert scene.kinds() == [STARTED, LANDED]


@in_virtual_time
async def test_an_order_whose_record_failed_is_withheld() -> None:
    scene = Scene()
    durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    durable.set_exception(OSError("no space left"))
    await scene.submitter.submit(an_order(), durable)
    assert scene.kinds() == [WITHHELD]
    assert isinstance(scene.last, SubmitWithheld)
    assert "no space left" in scene.last.reason
    assert scene.wire.log == []


@in_virtual_time
async def test_the_objection_is_asked_for_after_the_record_is_durable() -> None:
    scene = Scene()
    durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.get_running_loop().create_task(scene.submitter.submit(an_order(), durable))
    await asyncio.sleep(1)
    scene.objection = "trading is REDUCING since the approval"
    durable.set_result(7)
    await task
    assert scene.kinds() == [WITHHELD]


@in_virtual_time
async def test_cancelling_a_submission_does_not_cancel_the_record_that_others_wait_for() -> None:
    scene = Scene()
    durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.get_running_loop().create_task(scene.submitter.submit(an_order(), durable))
    await asyncio.sleep(1)
    await ended(task)
    assert not durable.cancelled()


# --- after a restart -----------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_of_an_earlier_process_is_found() -> None:
    scene = Scene()
    intent = an_intent()
    scene.wire.venue.accept(ID, "AAPL", intent.side, Decimal(10), terms=intent.terms)
    await scene.submitter.resolve(None, ID)
    assert scene.kinds() == [LANDED]
    assert not scene.wire.times("submit")


@in_virtual_time
async def test_an_order_of_an_earlier_process_is_never_sent_again() -> None:
    scene = Scene()
    await scene.submitter.resolve(None, ID)
    assert scene.kinds() == [WITHHELD]
    assert not scene.wire.times("submit")
    assert current_loop().time() >= GIVE_UP_QUIET_S


# --- cancels -------------------------------------------------------------------------------------


def cancel_of(scene: Scene, venue_order_id: str) -> CancelOrder:
    return CancelOrder(client_order_id=ID, venue_order_id=venue_order_id, reason="because")


@in_virtual_time
async def test_a_cancel_asks_the_venue_once() -> None:
    scene = Scene()
    await scene.submit()
    identity = scene.wire.venue.orders[ID].venue_order_id
    await scene.submitter.cancel(cancel_of(scene, identity))
    assert scene.wire.venue.orders[ID].status is OrderStatus.CANCELED
    assert len(scene.wire.times("cancel")) == 1


@in_virtual_time
async def test_a_cancel_without_the_venues_id_looks_it_up_first() -> None:
    scene = Scene()
    await scene.submit()
    await scene.submitter.cancel(cancel_of(scene, ""))
    assert scene.wire.venue.orders[ID].status is OrderStatus.CANCELED


@in_virtual_time
async def test_a_cancel_before_the_order_arrived_waits_for_it() -> None:
    scene = Scene()
    task = asyncio.get_running_loop().create_task(scene.submitter.cancel(cancel_of(scene, "")))
    await asyncio.sleep(0.3)
    await scene.submit()
    await task
    assert scene.wire.venue.orders[ID].status is OrderStatus.CANCELED


@in_virtual_time
async def test_a_cancel_is_tried_again_while_the_venue_is_away() -> None:
    scene = Scene()
    await scene.submit()
    scene.wire.cancels.extend([DOWN, UNSENT, DOWN])
    await scene.submitter.cancel(cancel_of(scene, scene.wire.venue.orders[ID].venue_order_id))
    assert len(scene.wire.times("cancel")) == 4
    assert scene.wire.venue.orders[ID].status is OrderStatus.CANCELED


@in_virtual_time
async def test_a_cancel_is_tried_so_often_and_no_more() -> None:
    scene = Scene()
    await scene.submit()
    scene.wire.cancels.extend([DOWN] * 100)
    await scene.submitter.cancel(cancel_of(scene, scene.wire.venue.orders[ID].venue_order_id))
    assert len(scene.wire.times("cancel")) == CANCEL_ATTEMPTS_MAX


def test_the_quiet_times_are_those_of_the_table() -> None:
    assert QUIET_S < GIVE_UP_QUIET_S < RESOLVE_S_MAX

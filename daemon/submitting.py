"""Sending orders and cancels, and finding out what became of those whose answer was lost.

What follows from each answer stands in `daemon.outcome_table`; here are the waits between.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from daemon.alpaca.client import LAST_CHECK
from daemon.backoff import Backoff, Jitter
from daemon.engine.commands import CancelOrder
from daemon.outcome_table import OUTCOMES, Request, Step, answer_of
from domain.errors import AccountBlocked, VenueError, VenueRejected, VenueUnavailable
from domain.events import (
    Event,
    OrderChanged,
    SubmitRejected,
    SubmitStarted,
    SubmitUnresolved,
    SubmitWithheld,
)
from domain.orders import ApprovedOrder, OrderReport, OrderUpdate
from domain.ports import Broker, Clock

QUIET_S = 3.0
"""Loop time without an attempt in doubt before the same id is sent again, which does no harm…"""
GIVE_UP_QUIET_S = 60.0
"""…and before "no such order" is believed for good: twice the longest a gateway was seen to sit on
a request that it then carried out."""
RESOLVE_S_MAX = 150.0
"""Loop time spent on finding out before the symbol is quarantined; the id is watched on."""
LOOK_BACKOFF = Backoff(first_s=0.2, longest_s=5.0, least_s=0.05)
WATCH_BACKOFF = Backoff(first_s=30.0, longest_s=30.0, least_s=10.0)
CANCEL_ATTEMPTS_MAX = 5

Post = Callable[[Event], None]
Objection = Callable[[ApprovedOrder], str]
"""Returns why an approval is void now, "" when it still holds."""


@dataclass(slots=True)
class _Doubt:
    """An order whose outcome is not known."""

    last_attempt_s: float
    refusal: VenueRejected | None = None


class Submitter:
    """Sends each order at most once at a time; every way out is an event."""

    def __init__(
        self, broker: Broker, *, clock: Clock, post: Post, objection: Objection, jitter: Jitter
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._post = post
        self._objection = objection
        self._jitter = jitter
        self._in_flight: set[str] = set()
        self._sending = 0

    def is_in_flight(self, client_order_id: str) -> bool:
        """Return whether an order is being sent or looked for: reconciling must leave it alone."""
        return client_order_id in self._in_flight

    @property
    def sending(self) -> int:
        """How many orders are on their way for the first time: their outcome is a matter of
        moments. Orders only looked for may take minutes."""
        return self._sending

    @property
    def in_flight(self) -> int:
        """How many orders are being sent or looked for."""
        return len(self._in_flight)

    async def submit(self, order: ApprovedOrder, durable: "asyncio.Future[int] | None") -> None:
        """Send an order once its record is durable and while its approval holds."""
        identity = order.intent.client_order_id
        if identity in self._in_flight:
            return
        self._in_flight.add(identity)
        try:
            objection = await self._last_check(order, durable)
            if objection:
                self._withhold(identity, objection)
                return
            self._post(SubmitStarted(at=self._clock.now(), client_order_id=identity))
            doubt = await self._send(order)
            if doubt is not None:
                await self._resolve(identity, order, doubt)
        finally:
            self._in_flight.discard(identity)

    async def resolve(self, order: ApprovedOrder | None, client_order_id: str) -> None:
        """Find out what became of an order an earlier process may have sent."""
        if client_order_id in self._in_flight:
            return
        self._in_flight.add(client_order_id)
        try:
            doubt = _Doubt(last_attempt_s=asyncio.get_running_loop().time())
            await self._resolve(client_order_id, order, doubt)
        finally:
            self._in_flight.discard(client_order_id)

    async def cancel(self, command: CancelOrder) -> None:
        """Ask for a cancel until the venue has heard it; what comes of it arrives as news."""
        for attempt in range(1, CANCEL_ATTEMPTS_MAX + 1):
            try:
                venue_order_id = command.venue_order_id
                if not venue_order_id:
                    report = await self._broker.order(command.client_order_id)
                    venue_order_id = report.venue_order_id if report else ""
                if venue_order_id:
                    await self._broker.cancel(venue_order_id)
                    return
            except (VenueUnavailable, VenueRejected):
                pass  # reconciling finds a cancel that never arrived
            await asyncio.sleep(LOOK_BACKOFF.delay_s(attempt, self._jitter))

    async def _last_check(self, order: ApprovedOrder, durable: "asyncio.Future[int] | None") -> str:
        if durable is not None:
            try:
                await asyncio.shield(durable)
            except OSError as fault:
                return f"its record is not on disk: {fault}"
        return self._objection(order)

    async def _send(self, order: ApprovedOrder) -> _Doubt | None:
        """Send an order for the first time; return the doubt that is left, if any is."""
        identity = order.intent.client_order_id
        self._sending += 1
        try:
            came = await self._tried(order)
        finally:
            self._sending -= 1
        match OUTCOMES[Request.SUBMIT, answer_of(came)], came:
            case Step.LANDED, OrderReport():
                self._landed(came)
            case Step.REJECT, VenueRejected():
                self._reject(identity, came)
            case Step.STOP, VenueError():
                self._withhold(identity, "the venue does not accept our keys")
                raise came
            case Step.LOOK, _:
                return _Doubt(last_attempt_s=asyncio.get_running_loop().time())
            case _:
                self._withhold(identity, str(came))
        return None

    async def _tried(self, order: ApprovedOrder) -> OrderReport | VenueError:
        try:
            return await self._post_order(order)
        except VenueError as fault:
            return fault

    async def _resolve(self, identity: str, order: ApprovedOrder | None, doubt: _Doubt) -> None:
        """Find out what became of an order; say so once when it takes long, and go on watching."""
        loop = asyncio.get_running_loop()
        due_s, looks, told = loop.time() + RESOLVE_S_MAX, 0, False
        while not await self._is_settled(identity, order, doubt):
            looks += 1
            if not told and loop.time() >= due_s:
                told = True
                reason = f"no word of the order from the venue in {RESOLVE_S_MAX:.0f} s"
                at = self._clock.now()
                self._post(SubmitUnresolved(at=at, client_order_id=identity, reason=reason))
            backoff = WATCH_BACKOFF if told else LOOK_BACKOFF
            await asyncio.sleep(backoff.delay_s(looks, self._jitter))

    async def _is_settled(self, identity: str, order: ApprovedOrder | None, doubt: _Doubt) -> bool:
        """Look the order up once, and act on what comes of it; return whether that was the end."""
        came = await self._looked_up(identity)
        match OUTCOMES[Request.LOOK_UP, answer_of(came)], came:
            case Step.LANDED, OrderReport():
                self._landed(came)
                return True
            case Step.SEND_OR_END, _:
                quiet_s = asyncio.get_running_loop().time() - doubt.last_attempt_s
                return quiet_s >= QUIET_S and await self._end_or_resend(identity, order, doubt)
            case _:
                return False

    async def _looked_up(self, identity: str) -> OrderReport | VenueError | None:
        try:
            return await self._broker.order(identity)
        except VenueError as fault:
            return fault

    async def _end_or_resend(
        self, identity: str, order: ApprovedOrder | None, doubt: _Doubt
    ) -> bool:
        """The venue has no such order and has had time: end it, or send it again. True = ended."""
        objection = self._objection(order) if order else "not at the venue after a restart"
        if doubt.refusal is not None or objection or order is None:
            return self._end(identity, doubt, objection)
        came = await self._tried(order)
        step = OUTCOMES[Request.SUBMIT_AGAIN, answer_of(came)]
        if step is Step.LANDED and isinstance(came, OrderReport):
            self._landed(came)
            return True
        if isinstance(came, VenueRejected):
            # Our own first copy may be holding the buying power: not believed until it is quiet.
            doubt.refusal = came
        doubt.last_attempt_s = asyncio.get_running_loop().time()
        return False

    async def _post_order(self, order: ApprovedOrder) -> OrderReport:
        """Send the order, judged once more in the instant its first byte leaves."""
        token = LAST_CHECK.set(lambda: self._objection(order))
        try:
            return await self._broker.submit(order)
        finally:
            LAST_CHECK.reset(token)

    def _end(self, identity: str, doubt: _Doubt, objection: str) -> bool:
        """End an order that the venue does not have, once no earlier attempt can arrive any more;
        return whether that is so."""
        if asyncio.get_running_loop().time() - doubt.last_attempt_s < GIVE_UP_QUIET_S:
            return False
        if doubt.refusal is not None:
            self._reject(identity, doubt.refusal)
        else:
            self._withhold(identity, f"never arrived; {objection}")
        return True

    def _landed(self, report: OrderReport) -> None:
        at = self._clock.now()
        self._post(OrderChanged(at=at, update=OrderUpdate(report=report, at=at)))

    def _reject(self, identity: str, refusal: VenueRejected) -> None:
        self._post(
            SubmitRejected(
                at=self._clock.now(),
                client_order_id=identity,
                reason=str(refusal),
                code=refusal.code,
                is_account_blocked=isinstance(refusal, AccountBlocked),
                why=refusal.why,
            )
        )

    def _withhold(self, identity: str, reason: str) -> None:
        self._post(SubmitWithheld(at=self._clock.now(), client_order_id=identity, reason=reason))

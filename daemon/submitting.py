"""Sending orders and cancels, and finding out what became of those whose answer was lost.

| what the venue answers          | first attempt  | later attempt                             |
|---------------------------------|----------------|-------------------------------------------|
| the order                       | it landed      | it landed                                 |
| nothing left us                 | withheld       | ask again later                           |
| a definite refusal              | rejected       | proves nothing: look the id up            |
| time-out, reset, 5xx, gibberish | look the id up | look the id up                            |
| looked up: found                | it landed      | it landed                                 |
| looked up: no such order        | wait QUIET_S from the last attempt in doubt; then the same |
|                                 | id again while approved, else withheld or rejected         |
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from daemon.backoff import Backoff, Jitter
from daemon.engine.commands import CancelOrder
from domain.errors import NotAuthorized, RequestNotSent, VenueRejected, VenueUnavailable
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
"""Loop time without an attempt in doubt before "no such order" is believed."""
RESOLVE_S_MAX = 60.0
"""Loop time spent on finding out before the symbol is quarantined."""
LOOK_BACKOFF = Backoff(first_s=0.2, longest_s=5.0)
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

    def is_in_flight(self, client_order_id: str) -> bool:
        """Return whether an order is being sent or looked for: reconciling must leave it alone."""
        return client_order_id in self._in_flight

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
            await self._send(order)
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

    async def _send(self, order: ApprovedOrder) -> None:
        identity = order.intent.client_order_id
        try:
            self._landed(await self._broker.submit(order))
        except NotAuthorized:
            self._withhold(identity, "the venue does not accept our keys")
            raise
        except VenueRejected as refusal:
            self._reject(identity, refusal)
        except RequestNotSent as fault:
            self._withhold(identity, str(fault))
        except VenueUnavailable:
            doubt = _Doubt(last_attempt_s=asyncio.get_running_loop().time())
            await self._resolve(identity, order, doubt)

    async def _resolve(self, identity: str, order: ApprovedOrder | None, doubt: _Doubt) -> None:
        loop = asyncio.get_running_loop()
        due_s, looks = loop.time() + RESOLVE_S_MAX, 0
        while loop.time() < due_s:
            looks += 1
            try:
                report = await self._broker.order(identity)
            except (VenueUnavailable, VenueRejected):
                await asyncio.sleep(LOOK_BACKOFF.delay_s(looks, self._jitter))
                continue
            if report is not None:
                self._landed(report)
                return
            quiet_s = loop.time() - doubt.last_attempt_s
            if quiet_s < QUIET_S:
                await asyncio.sleep(
                    min(QUIET_S - quiet_s, LOOK_BACKOFF.delay_s(looks, self._jitter))
                )
                continue
            if await self._end_or_resend(identity, order, doubt):
                return
        self._post(
            SubmitUnresolved(
                at=self._clock.now(),
                client_order_id=identity,
                reason=f"no word of the order from the venue in {RESOLVE_S_MAX:.0f} s",
            )
        )

    async def _end_or_resend(
        self, identity: str, order: ApprovedOrder | None, doubt: _Doubt
    ) -> bool:
        """The venue has no such order and has had time: end it, or send it again. True = ended."""
        if doubt.refusal is not None:
            self._reject(identity, doubt.refusal)
            return True
        objection = self._objection(order) if order else "not at the venue after a restart"
        if objection or order is None:
            self._withhold(identity, f"never arrived; {objection}")
            return True
        try:
            self._landed(await self._broker.submit(order))
        except VenueRejected as refusal:
            # Our own first copy may be holding the buying power: not believed until it is quiet.
            doubt.refusal = refusal
        except VenueUnavailable:
            pass
        else:
            return True
        doubt.last_attempt_s = asyncio.get_running_loop().time()
        return False

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
            )
        )

    def _withhold(self, identity: str, reason: str) -> None:
        self._post(SubmitWithheld(at=self._clock.now(), client_order_id=identity, reason=reason))

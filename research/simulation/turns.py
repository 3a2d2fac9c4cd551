"""What becomes of orders and executions after they were told: rejected, taken back, put right."""

import contextvars
from collections.abc import Callable, Sequence

from exchange.fates import REASON, Fate
from exchange.faults.kinds import Kind
from exchange.records import EventKind, VenueEvent
from research.simulation.gateway import Count
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.loop import VirtualLoop
from research.simulation.swarm import OtherFaults
from research.simulation.venue import SimulatedVenue

WITHIN_S = (0.01, 1.0, 60.0, 600.0, 3_600.0)
"""Market seconds within which it happens; what is to be rejected fills too soon for the longer."""
FACTORS = (0.95, 0.99, 1.01, 1.05)
"""What a price that is put right is times the old one."""
REJECTED, BUSTED, CORRECTED = (
    f"{Kind.TURNED}.{how}" for how in ("rejected", "trade_bust", "trade_correct")
)
_FILLED = (EventKind.FILL, EventKind.PARTIAL_FILL)
_TOLD = {EventKind.TRADE_BUST: BUSTED, EventKind.TRADE_CORRECT: CORRECTED}


class Turns:
    """Lets some of what the exchange tells become something else a while later."""

    def __init__(
        self,
        loop: VirtualLoop,
        others: OtherFaults,
        venue: SimulatedVenue,
        chance: Chance,
        count: Count,
    ) -> None:
        self._loop = loop
        self._others = others
        self._venue = venue
        self._chance = chance
        self._count = count
        self._outside = contextvars.copy_context()
        self.is_over = False
        venue.watchers.append(self._happened)

    def _happened(self, events: list[VenueEvent]) -> None:
        for event in events:
            order, execution = event.order, event.execution
            if event.kind in _TOLD:
                self._count(_TOLD[event.kind])
            elif event.kind is EventKind.REJECTED and order is not None:
                self._count(REJECTED if order.reason == REASON else "venue.refused_late")
            elif event.kind is EventKind.NEW and order is not None:
                self._reject_perhaps(order.id)
            elif event.kind in _FILLED and execution is not None:
                self._take_back_perhaps(execution.id)

    def _reject_perhaps(self, order_id: str) -> None:
        if self._chance.hits(self._others.rejected):
            self._soon(lambda: self._venue.turn(order_id, Fate.REJECTED), WITHIN_S[:3])

    def _take_back_perhaps(self, execution_id: str) -> None:
        if self._chance.hits(self._others.busted):
            self._soon(lambda: self._venue.bust(execution_id))
        if self._chance.hits(self._others.corrected):
            factor = self._chance.pick(FACTORS)
            self._soon(lambda: self._venue.correct(execution_id, factor))

    def _soon(self, act: Callable[[], None], within: Sequence[float] = WITHIN_S) -> None:
        within_s = self._chance.pick(within) * self._chance.share()

        def do() -> None:
            if not self.is_over and self._venue.is_up:
                act()

        # It is not part of the exchange's process, which may be gone by then.
        self._loop.call_later(within_s / self._venue.speed, do, context=self._outside.copy())

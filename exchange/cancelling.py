"""Cancels that take a while: the order is `pending_cancel` meanwhile, and may still fill."""

from dataclasses import replace

from exchange.agenda import NEVER_NS
from exchange.instants import SECOND_NS
from exchange.knobs import Knobs
from exchange.orders import Status, VenueOrder
from exchange.records import EventKind
from exchange.register import Register
from exchange.trading import Trading

_CAN_FILL = (Status.NEW, Status.PARTIALLY_FILLED)


class Cancelling:
    """Takes cancels, and carries them out when they are due: at once unless a knob says when."""

    def __init__(self, register: Register, trading: Trading, knobs: Knobs) -> None:
        self._register = register
        self._trading = trading
        self._delay_ns = round(knobs.cancel_delay_s * SECOND_NS)

    def next_ns(self) -> int:
        """Return when a cancel is due next, NEVER_NS without one."""
        pending = self._register.pending_cancels
        return min(pending.values()) if pending else NEVER_NS

    def request(self, order: VenueOrder) -> VenueOrder:
        """Cancel an order that has not finished; return it as it stands now."""
        if order.status is Status.PENDING_CANCEL:
            return order
        if not self._delay_ns or order.status not in _CAN_FILL:
            return self._trading.finish(order, Status.CANCELED)
        now_ns = self._register.now_ns
        pending = replace(
            order,
            status=Status.PENDING_CANCEL,
            cancel_due_ns=now_ns + self._delay_ns,
            updated_ns=now_ns,
        )
        return self._register.record(EventKind.PENDING_CANCEL, pending)

    def run(self) -> None:
        """Carry out what is due now."""
        now_ns, pending = self._register.now_ns, self._register.pending_cancels
        for order_id in [known for known, due_ns in pending.items() if due_ns <= now_ns]:
            order = self._register.book.by_id[order_id]
            if not order.status.is_terminal:
                self._trading.finish(order, Status.CANCELED)

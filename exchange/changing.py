"""Cancels and replacements that take a while: meanwhile the order works on, and may fill."""

from dataclasses import replace
from decimal import Decimal

from domain.money import ZERO
from exchange.agenda import NEVER_NS
from exchange.instants import SECOND_NS
from exchange.intake import with_trail
from exchange.knobs import Knobs
from exchange.orders import Status, VenueOrder, Wait
from exchange.records import EventKind
from exchange.register import Register
from exchange.trading import Trading

_CAN_FILL = (Status.NEW, Status.PARTIALLY_FILLED)
TOO_LATE = "order was filled or ended before it could be replaced"


class Changing:
    """Takes cancels and replacements, and carries them out when they are due: at once unless a
    knob says when."""

    def __init__(self, register: Register, trading: Trading, knobs: Knobs) -> None:
        self._register = register
        self._trading = trading
        self._cancel_ns = round(knobs.cancel_delay_s * SECOND_NS)
        self._replace_ns = round(knobs.replace_delay_s * SECOND_NS)

    def next_ns(self) -> int:
        """Return when a change is due next, NEVER_NS without one."""
        pending = self._register.pending_changes
        return min(pending.values()) if pending else NEVER_NS

    def cancel(self, order: VenueOrder) -> VenueOrder:
        """Cancel an order that has not finished; return it as it stands now."""
        if order.status is Status.PENDING_CANCEL:
            return order
        now_ns = self._register.now_ns
        order = replace(order, cancel_asked_ns=now_ns)
        if not self._cancel_ns or order.status not in _CAN_FILL:
            return self._trading.finish(order, Status.CANCELED)
        pending = replace(
            order,
            status=Status.PENDING_CANCEL,
            cancel_due_ns=now_ns + self._cancel_ns,
            updated_ns=now_ns,
        )
        return self._register.record(EventKind.PENDING_CANCEL, pending)

    def replace(self, old: VenueOrder, new: VenueOrder) -> VenueOrder:
        """Put a new order in an open one's place; return the new one as the client is told it.

        One that takes a while ties up what it needs beyond the old one, and nothing else.
        """
        if not self._replace_ns or old.status not in _CAN_FILL:
            return self._trading.replace_order(old, new)
        now_ns = self._register.now_ns
        pending = replace(old, status=Status.PENDING_REPLACE, updated_ns=now_ns)
        self._register.record(EventKind.PENDING_REPLACE, pending)
        wait = Wait(
            due_ns=now_ns + self._replace_ns,
            filled_qty=old.filled_qty,
            excess_usd=max(ZERO, new.reserved_usd - old.reserved_usd),
            excess_qty=max(ZERO, new.held_qty - old.held_qty),
        )
        return self._register.record(EventKind.QUIET, replace(new, leg_ids=(), wait=wait))

    def run(self) -> None:
        """Carry out what is due now."""
        now_ns, pending = self._register.now_ns, self._register.pending_changes
        for order_id in [known for known, due_ns in pending.items() if due_ns <= now_ns]:
            order = self._register.book.by_id[order_id]
            if order.waits:
                self._carry_out(order)
            elif not order.status.is_terminal:
                self._trading.finish(order, Status.CANCELED)

    def _carry_out(self, new: VenueOrder) -> None:
        """Replace, for what has not filled meanwhile; or refuse when nothing is left."""
        assert new.replaces is not None
        assert new.wait is not None
        old = self._register.book.by_id[new.replaces]
        left = _left(new, old.filled_qty - new.wait.filled_qty)
        if old.status is not Status.PENDING_REPLACE or left <= 0:
            self._trading.finish(replace(new, reason=TOO_LATE), Status.REJECTED)
            return
        new = replace(new, qty=left, leg_ids=old.leg_ids, is_armed=old.is_armed)
        if old.hwm is not None:
            new = with_trail(new, old.hwm)
        self._trading.replace_order(old, new)


def _left(new: VenueOrder, filled_since: Decimal) -> Decimal:
    assert new.qty is not None, "orders in dollars are not replaced"
    return new.qty - filled_since

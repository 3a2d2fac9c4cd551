"""Orders that hang together: bracket, one-cancels-other, one-triggers-other.

The head of a bracket or OTO is its entry and its legs are the exits; the head of an OCO is itself
an exit, its single leg the stop. Of two exits the profit-taker works and ties up the shares; the
stop stays held, watching the tape, until it is triggered.
"""

from dataclasses import replace
from decimal import Decimal

from domain.money import ZERO
from exchange.knobs import Knobs
from exchange.order_book import OrderBook
from exchange.orders import OrderClass, OrderType, Status, VenueOrder
from exchange.records import EventKind
from exchange.register import Register


class Groups:
    """What happens to the other members when something happens to one."""

    def __init__(self, register: Register, knobs: Knobs) -> None:
        self._register = register
        self._knobs = knobs

    @property
    def _book(self) -> OrderBook:
        return self._register.book

    def after_fill(self, order: VenueOrder) -> None:
        """Activate the exits of a filled entry; shrink or end the other exit of a filled one."""
        if order.order_class is OrderClass.SIMPLE:
            return
        if _is_entry(order):
            if order.status is Status.FILLED:
                self._activate(order)
            return
        for other in self._other_exits(order):
            if order.status is Status.FILLED:
                self._end(other, quiet=self._knobs.quiet_leg_cancel)
            elif other.status is Status.HELD and other.qty is not None:
                left = replace(other, qty=order.remaining_qty, updated_ns=self._register.now_ns)
                self._register.record(EventKind.QUIET, left)

    def after_end(self, order: VenueOrder) -> None:
        """End the rest of the group of a member that was cancelled, expired or rejected."""
        if order.order_class is OrderClass.SIMPLE:
            return
        for other in self._book.group_of(order):
            if not other.status.is_terminal and other.id != order.id:
                self._end(other, quiet=False)

    def before_election(self, order: VenueOrder) -> None:
        """Free the shares a triggered stop needs: end the profit-taker."""
        if order.order_class is OrderClass.SIMPLE:
            return
        for other in self._other_exits(order):
            if self._knobs.taken_leg_is_replaced:
                now_ns = self._register.now_ns
                gone = replace(
                    other,
                    status=Status.REPLACED,
                    replaced_by=order.id,
                    finished_ns=now_ns,
                    updated_ns=now_ns,
                )
                self._register.record(EventKind.REPLACED, gone)
            else:
                self._end(other, quiet=False)

    def after_replace(self, old: VenueOrder, new: VenueOrder) -> None:
        """Let a group's other members point at the replacement."""
        if old.order_class is OrderClass.SIMPLE:
            return
        if old.parent_id is not None:
            head = self._book.by_id[old.parent_id]
            legs = tuple(new.id if i == old.id else i for i in head.leg_ids)
            self._register.record(EventKind.QUIET, replace(head, leg_ids=legs))
            return
        for leg_id in old.leg_ids:
            leg = self._book.by_id[leg_id]
            self._register.record(EventKind.QUIET, replace(leg, parent_id=new.id))

    def _activate(self, entry: VenueOrder) -> None:
        """Let the exits work, for the shares that are still there: some may have been sold."""
        now_ns = self._register.now_ns
        free = self._closable(entry)
        for leg_id in entry.leg_ids:
            leg = self._book.by_id[leg_id]
            if leg.status is not Status.HELD or leg.qty is None:
                continue
            if free <= 0:
                self._end(leg, quiet=False)
                continue
            leg = replace(leg, qty=min(leg.qty, free), updated_ns=now_ns, is_armed=True)
            if leg.type is OrderType.LIMIT or len(entry.leg_ids) == 1:
                leg = replace(leg, status=Status.NEW, submitted_ns=now_ns)
                self._register.record(EventKind.NEW, leg)
            else:
                self._register.record(EventKind.QUIET, leg)

    def _closable(self, entry: VenueOrder) -> Decimal:
        account = self._register.account
        if account.qty(entry.symbol) * entry.side.sign <= 0:
            return ZERO
        return account.available_qty(entry.symbol)

    def _other_exits(self, order: VenueOrder) -> list[VenueOrder]:
        others = self._book.group_of(order)
        return [o for o in others if not _is_entry(o) and not o.status.is_terminal]

    def _end(self, order: VenueOrder, *, quiet: bool) -> None:
        now_ns = self._register.now_ns
        ended = replace(order, status=Status.CANCELED, finished_ns=now_ns, updated_ns=now_ns)
        self._register.record(EventKind.QUIET if quiet else EventKind.CANCELED, ended)


def _is_entry(order: VenueOrder) -> bool:
    is_head = order.parent_id is None
    return is_head and order.order_class in (OrderClass.BRACKET, OrderClass.OTO)

"""What becomes of orders and executions on rare occasions, when somebody has it so.

Suspended, stopped, done for the day, rejected though it had been taken; trades that are undone or
get another price. The market brings none of it about by itself.
"""

from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

from domain.money import ZERO
from domain.orders import Side
from exchange.account import to_cents
from exchange.ids import uuid_text
from exchange.instants import new_york_day
from exchange.orders import Execution, Status, VenueOrder
from exchange.records import EventKind
from exchange.register import Register
from exchange.trading import Trading

_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
REASON = "rejected by the execution venue"


class Fate(StrEnum):
    """What may become of an order, in the wire's words."""

    REJECTED = "rejected"
    DONE_FOR_DAY = "done_for_day"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"
    PENDING_REVIEW = "pending_review"
    RESTATED = "restated"


_TOLD = {
    Status.DONE_FOR_DAY: EventKind.DONE_FOR_DAY,
    Status.STOPPED: EventKind.STOPPED,
    Status.SUSPENDED: EventKind.SUSPENDED,
    Status.CALCULATED: EventKind.CALCULATED,
}
"""Statuses with an event of their name; the others are seen over REST alone."""
RARE = frozenset({*_TOLD, Status.ACCEPTED_FOR_BIDDING, Status.PENDING_REVIEW})
"""What an order leaves when the next day begins, if nothing has ended it before."""
_TURNED = RARE | {Status.NEW, Status.PARTIALLY_FILLED, Status.ACCEPTED}


class Fates:
    """Lets what is asked for happen to orders and executions."""

    def __init__(self, register: Register, trading: Trading) -> None:
        self._register = register
        self._trading = trading

    def turn(self, order_id: str, fate: Fate) -> None:
        """Let a fate befall an order; one that has finished or is being changed has none."""
        order = self._register.book.by_id[order_id]
        if fate is Fate.REJECTED:
            if order.status.is_listed_open:
                self._trading.finish(replace(order, reason=REASON), Status.REJECTED)
        elif order.status in _TURNED:
            now_ns = self._register.now_ns
            if fate is Fate.RESTATED:
                self._register.record(EventKind.RESTATED, replace(order, updated_ns=now_ns))
                return
            status = Status(fate.value)
            turned = replace(order, status=status, updated_ns=now_ns)
            self._register.record(_TOLD.get(status, EventKind.QUIET), turned)

    def done_for_day(self, order: VenueOrder) -> None:
        """Let an order that works be done for the day."""
        if order.status in (Status.NEW, Status.PARTIALLY_FILLED):
            self.turn(order.id, Fate.DONE_FOR_DAY)

    def resume(self, order_id: str, fate: Fate) -> None:
        """Let an order work again, if it is what a fate has made of it."""
        order = self._register.book.by_id[order_id]
        if order.status.value == fate.value and order.status in RARE:
            self._trading.start(order)

    def bust(self, execution_id: str) -> None:
        """Undo an execution of today that stands: shares and money go back, the order's status
        stays. Nothing where shares would have to go back that are sold, or offered."""
        found = self._standing(execution_id)
        if found is None:
            return
        register, symbol = self._register, found.symbol
        opened = register.book.by_id[found.order_id].intent.opens
        ahead = register.account.qty(symbol) * found.side.sign
        is_there = ahead > 0 and register.account.available_qty(symbol) >= found.qty
        if not is_there if opened else ahead > 0:
            return
        other = _OTHER[found.side]
        position = register.account.apply_fill(symbol, other, found.qty, found.price_usd)
        order = self._less(found, found.qty, ZERO)
        register.record_execution(
            EventKind.TRADE_BUST, order, self._undoing(found, order, position)
        )

    def correct(self, execution_id: str, factor: float) -> None:
        """Give an execution of today that stands another price: it is undone and made again."""
        found = self._standing(execution_id)
        if found is None:
            return
        price_usd = max(to_cents(found.price_usd * Decimal(str(factor))), Decimal("0.01"))
        register, sign = self._register, found.side.sign
        register.account.reprice(found.symbol, sign * found.qty, price_usd - found.price_usd)
        position = register.account.qty(found.symbol)
        order = self._less(found, ZERO, found.qty * price_usd)
        without = position - sign * found.qty
        register.record_execution(EventKind.QUIET, order, self._undoing(found, order, without))
        again = replace(
            found,
            id=self._next_id(),
            ordinal=len(register.executions) + 1,
            price_usd=price_usd,
            position_qty=position,
            at_ns=register.now_ns,
            corrects=found.id,
        )
        register.record_execution(EventKind.TRADE_CORRECT, order, again)

    def _standing(self, execution_id: str) -> Execution | None:
        today = new_york_day(self._register.now_ns)
        for execution in reversed(self._register.standing()):
            if execution.id == execution_id:
                return execution if new_york_day(execution.at_ns) == today else None
        return None

    def _less(self, execution: Execution, qty: Decimal, value_usd: Decimal) -> VenueOrder:
        """Return the order without `qty` of an execution's shares, worth `value_usd` now."""
        order = self._register.book.by_id[execution.order_id]
        was_usd = execution.qty * execution.price_usd
        return replace(
            order,
            filled_qty=order.filled_qty - qty,
            filled_value_usd=order.filled_value_usd - was_usd + value_usd,
            updated_ns=self._register.now_ns,
        )

    def _undoing(self, found: Execution, order: VenueOrder, position: Decimal) -> Execution:
        return replace(
            found,
            id=self._next_id(),
            ordinal=len(self._register.executions) + 1,
            side=_OTHER[found.side],
            cum_qty=order.filled_qty,
            leaves_qty=order.remaining_qty,
            position_qty=position,
            at_ns=self._register.now_ns,
            completes=False,
            undoes=found.id,
        )

    def _next_id(self) -> str:
        return uuid_text(self._register.seed, "execution", len(self._register.executions) + 1)

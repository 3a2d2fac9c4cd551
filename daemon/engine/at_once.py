"""Orders sent, and orders filled, where nothing has to be waited for: many taken in together.

For histories. Nothing is booked otherwise here: what the news of each order would have left behind,
one after the other, is left behind of all of them. Where anything else might follow from one of
them (a breaker, a new price, a part of an order) nothing is done, and the news go through the
engine's events as they do live.
"""

from collections.abc import Sequence
from datetime import datetime

from daemon.engine.breaking import Breaking
from daemon.engine.core import Core
from daemon.engine.ordering import is_its, note_entry
from domain.orders import ApprovedOrder, Fill, Order, OrderStatus
from execution import order_states
from state import ledger

_FILLED = OrderStatus.FILLED


class AtOnce:
    """Takes in what became of a slot's orders."""

    def __init__(self, core: Core, breaking: Breaking) -> None:
        self._core, self._breaking = core, breaking

    def submit(self, orders: Sequence[ApprovedOrder]) -> bool:
        """Take in that orders just approved begin to leave now, as SubmitStarted of each does;
        False, and nothing done, where a breaker would have to be asked."""
        memory, now = self._core.memory, self._core.now
        if not self._breaking.submitted_together([order.intent for order in orders]):
            return False
        for approved in orders:
            order = memory.orders[approved.intent.client_order_id]
            memory.remember(order_states.begin_submit(order, now))
        memory.count("orders_submitted", len(orders))
        return True

    def fill(self, fills: Sequence[Fill], at: datetime) -> list[Order] | None:
        """Book fills at an instant, as OrderFilled of each does, and return the orders as they
        ended; None, and nothing done, unless each is the whole of an order of ours."""
        core, memory, before = self._core, self._core.memory, self._core.memory.portfolio
        orders = self._ended_by(fills)
        if orders is None:
            return None
        worth = core.equity_after(fills)
        core.now, then = max(core.now, at), core.now
        if worth is None or not self._breaking.filled_together(fills):
            core.now = then
            return None
        filled = list(zip(fills, orders, strict=True))
        deals = [ledger.Deal(fill, order.intent.deltas) for fill, order in filled]
        after = memory.portfolio = ledger.book_all(before, deals)
        core.held.follow(before.positions, after.positions, [fill.symbol for fill in fills])
        core.carry_on(worth)
        ended = []
        for fill, order in filled:
            memory.note_booked(fill)
            order = order_states.apply_fill(order, fill)
            memory.remember(order)
            ended.append(order)
            note_entry(core, fill.symbol, before, after)
        memory.count("fills", len(fills))
        return ended

    def _ended_by(self, fills: Sequence[Fill]) -> list[Order] | None:
        """Return the orders that end with these fills, each of another symbol; None where one of
        them is not known, does not end, or would be followed by more than its record."""
        core, memory = self._core, self._core.memory
        if len(fills) > 1 and len({fill.symbol for fill in fills}) < len(fills):
            return None
        found = []
        for fill in fills:
            identity = fill.client_order_id
            order = memory.orders.get(identity)
            if order is None or identity in core.to_reprice or memory.is_booked(fill.fill_id):
                return None
            is_whole = fill.quantity_shares == order.intent.quantity_shares
            if not is_whole or order.filled_shares or not is_its(fill, order):
                return None
            if _FILLED not in order_states.TRANSITIONS[order.status]:
                return None
            found.append(order)
        return found

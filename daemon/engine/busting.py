"""Executions that the venue takes back: the book is put right, and the symbol left to a person."""

from decimal import Decimal

from daemon.engine.commands import Command, Record, RecordDurably
from daemon.engine.core import Core
from daemon.engine.deciding import cancel
from daemon.engine.ordering import Ordering, is_its, note_entry
from domain.calendar import day_in_new_york
from domain.events import OrderFilled, TradeBusted
from domain.money import ZERO
from domain.orders import Bust, Fill, Order
from domain.values import replace
from state import busts
from state.records import Busted, Noted


class Busting:
    """Books what is taken back, once, and quarantines its symbol."""

    def __init__(self, core: Core, ordering: Ordering) -> None:
        self._core = core
        self._ordering = ordering

    def busted(self, event: TradeBusted) -> list[Command]:
        """Take in that an execution never was, or had another price."""
        memory, bust = self._core.memory, event.bust
        if bust.corrected is not None and memory.is_booked(bust.corrected.fill_id):
            # Comparing has found it, and has not known that it stands in another's place.
            bust = replace(bust, corrected=None)
        fill = next((f for f in memory.fills if f.fill_id == bust.fill_id), None)
        if fill is not None:
            return self._taken_back(bust, fill)
        if bust.fill_id and memory.is_booked(bust.fill_id):
            return []  # heard before; or booked so long ago that comparing has to settle it
        return self._never_booked(bust)

    def _taken_back(self, bust: Bust, fill: Fill) -> list[Command]:
        core = self._core
        memory, before = core.memory, core.memory.portfolio
        worth_usd = core.equity_usd()
        order = self._order_of(bust, fill)
        memory.portfolio = busts.carry_out(before, fill, bust.corrected, order)
        memory.note_busted(fill, bust.corrected)
        if order is not None:
            memory.remember(order.restated(fill, bust.corrected))
        note_entry(core, fill.symbol, before, memory.portfolio)
        self._take_out_of_losses(fill, worth_usd - core.equity_usd())
        core.refresh_marks()
        named = replace(bust, client_order_id=order.client_order_id if order else "")
        noted = Noted(
            at=core.now, day_start=memory.day_start, equity_peak_usd=memory.equity_peak_usd
        )
        return [
            RecordDurably(fact=Busted(at=core.now, bust=named, fill=fill)),
            Record(fact=noted),
            *self._leave_alone(bust, _told(fill, bust.corrected)),
        ]

    def _never_booked(self, bust: Bust) -> list[Command]:
        """Take in a bust that overtook its execution: that one must not be booked any more. One
        that names nothing we know is found by comparing with the venue's list."""
        core = self._core
        memory = core.memory
        order = memory.orders.get(bust.client_order_id)
        if bust.fill_id:
            memory.booked_fill_ids[bust.fill_id] = None
        if order is not None and bust.corrected is None:
            memory.remember(order.restated(None, None))
        named = (
            f"execution {bust.fill_id}" if bust.fill_id else "an execution that it does not name"
        )
        what = f"{named} of order {bust.client_order_id or 'unknown'}, which was not booked"
        commands: list[Command] = [
            RecordDurably(fact=Busted(at=core.now, bust=bust, fill=None)),
            *self._leave_alone(bust, what),
        ]
        if bust.corrected is not None:
            commands += self._ordering.filled(OrderFilled(at=core.now, fill=bust.corrected))
        return commands

    def _order_of(self, bust: Bust, fill: Fill) -> Order | None:
        """Return the order to whose books a fill was booked."""
        order = self._core.memory.orders.get(fill.client_order_id)
        return order if order is not None and is_its(fill, order) else None

    def _take_out_of_losses(self, fill: Fill, gone_usd: Decimal) -> None:
        """Let neither the drawdown nor today's loss take what was never ours for lost."""
        memory, start = self._core.memory, self._core.memory.day_start
        if start is None:
            return
        if day_in_new_york(fill.filled_at) < start.day:
            start = memory.day_start = replace(start, equity_usd=start.equity_usd - gone_usd)
        if memory.equity_peak_usd is not None and gone_usd > ZERO:
            # The day's start was no lower than the truth, if the execution is of today.
            floor_usd = start.equity_usd - start.flows_usd
            lower_usd = max(memory.equity_peak_usd - gone_usd, floor_usd)
            memory.equity_peak_usd = min(memory.equity_peak_usd, lower_usd)

    def _leave_alone(self, bust: Bust, what: str) -> list[Command]:
        core = self._core
        core.memory.count("busts")
        commands: list[Command] = []
        for order in list(core.memory.working.values()):
            if order.intent.symbol == bust.symbol:
                commands += cancel(core, order, "an execution of its symbol was taken back")
        why = (
            f"the venue took back {what}; read what it says of it, and compare with `tradewind "
            "state diff`: until a resume nothing of it is ordered, its stops neither"
        )
        return [*commands, *self._ordering.quarantine(bust.symbol, why)]


def _told(fill: Fill, corrected: Fill | None) -> str:
    what = (
        f"execution {fill.fill_id} of order {fill.client_order_id or 'unknown'} ({fill.side.value} "
        f"{fill.quantity_shares} {fill.symbol} at {fill.price_usd} USD)"
    )
    if corrected is None:
        return f"{what}: it never was"
    return f"{what}: it was {corrected.quantity_shares} at {corrected.price_usd} USD"

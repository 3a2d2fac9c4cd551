"""The one place where the venue changes: order, money and event move together.

Every event is complete enough to be redone onto an earlier state, which is how a killed exchange
comes back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypedDict, Unpack

from exchange.account import Account, Holding
from exchange.activities import Activity, DividendDue
from exchange.admission import Configuration
from exchange.halts import Halt
from exchange.ids import uuid_text
from exchange.matching import Fill
from exchange.order_book import OrderBook
from exchange.orders import Execution, Status, VenueOrder
from exchange.records import DayClose, EventKind, VenueEvent, VenueState
from exchange.watchlists import Watchlists

_CHANGING = (Status.PENDING_CANCEL, Status.PENDING_REPLACE)


class _Parts(TypedDict, total=False):
    """What an event may carry beside its kind."""

    order: VenueOrder
    legs: tuple[VenueOrder, ...]
    execution: Execution
    close: DayClose
    configuration: Configuration
    activities: tuple[Activity, ...]
    due: DividendDue
    halt: Halt
    watchlists: Watchlists


class Register:
    """Account, orders, executions and the event sequence."""

    def __init__(self, state: VenueState, seed: int) -> None:
        self.seed = seed
        self.now_ns = state.now_ns
        self.seq = state.seq
        self.orders_made = state.orders_made
        self.begun = state.begun
        self.configuration = state.configuration
        self.executions: list[Execution] = []
        self._undone: set[str] = set()
        for execution in state.executions:
            self._note_execution(execution)
        self.closes: list[DayClose] = list(state.closes)
        self.activities: list[Activity] = list(state.activities)
        self.dues: list[DividendDue] = list(state.dues)
        self.activities_made = len(self.activities)
        self.halts: list[Halt] = list(state.halts)
        self.running_halts: list[Halt] = list(state.halted)
        """The halts whose end has not been told; read only."""
        self.watchlists: Watchlists = state.watchlists
        self.watchlists_made = state.watchlists_made
        self.book = OrderBook(state.orders)
        self.account = Account(
            id=state.account_id,
            created_ns=state.created_ns,
            cash=state.cash,
            last_equity=state.last_equity,
            last_maintenance_margin=state.last_maintenance_margin,
            holdings=dict(state.holdings),
        )
        self.account.reclaim(self.book.by_id)
        self.pending_changes: dict[str, int] = {}
        """When cancels and replacements that were asked for take effect, by order; read only."""
        for order in self.book.open_orders():
            self._note_change(order)
        self._events: list[VenueEvent] = []

    def take_events(self) -> list[VenueEvent]:
        """Return the events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def next_order_id(self) -> tuple[str, int]:
        """Return the id and ordinal of the next order, and count it."""
        self.orders_made += 1
        return uuid_text(self.seed, "order", self.orders_made), self.orders_made

    def client_id_for(self, ordinal: int) -> str:
        """Return the client order id of an order that came without one."""
        return uuid_text(self.seed, "client", ordinal)

    def next_activity_id(self) -> tuple[str, int]:
        """Return the id and ordinal of the next activity, and count it."""
        self.activities_made += 1
        return uuid_text(self.seed, "activity", self.activities_made), self.activities_made

    def next_watchlist_id(self) -> str:
        """Return the id of the next watchlist; it counts once the list is recorded."""
        return uuid_text(self.seed, "watchlist", self.watchlists_made + 1)

    def record(
        self, kind: EventKind, order: VenueOrder, new_legs: Sequence[VenueOrder] = ()
    ) -> VenueOrder:
        """Store an order's new version and say so; its legs, too, if they are not known yet."""
        self._store(order)
        self._emit(kind, order=order, legs=tuple(new_legs) or self._legs_of(order))
        return order

    def _legs_of(self, order: VenueOrder) -> tuple[VenueOrder, ...]:
        return tuple(self.book.by_id[leg_id] for leg_id in order.leg_ids) if order.leg_ids else ()

    def record_fill(self, order: VenueOrder, fill: Fill) -> VenueOrder:
        """Book an execution: shares, cash, order and event together; return the order after."""
        position = self.account.apply_fill(order.symbol, order.side, fill.qty, fill.price_usd)
        after = _filled(order, fill, self.now_ns)
        ordinal = len(self.executions) + 1
        execution = Execution(
            id=uuid_text(self.seed, "execution", ordinal),
            ordinal=ordinal,
            order_id=order.id,
            symbol=order.symbol,
            side=order.side,
            qty=fill.qty,
            price_usd=fill.price_usd,
            cum_qty=after.filled_qty,
            leaves_qty=after.remaining_qty,
            position_qty=position,
            at_ns=self.now_ns,
            completes=after.status is Status.FILLED,
        )
        kind = EventKind.FILL if execution.completes else EventKind.PARTIAL_FILL
        self.record_execution(kind, after, execution)
        return after

    def record_execution(self, kind: EventKind, order: VenueOrder, execution: Execution) -> None:
        """Store what has been booked on the account: an execution, and the order after it."""
        self._note_execution(execution)
        self._store(order)
        self._emit(kind, order=order, legs=self._legs_of(order), execution=execution)

    def _note_execution(self, execution: Execution) -> None:
        self.executions.append(execution)
        if execution.undoes is not None:
            self._undone |= {execution.undoes, execution.id}

    def stands(self, execution: Execution) -> bool:
        """Whether an execution has not been taken back, nor takes one back."""
        return not self._undone or execution.id not in self._undone

    def standing(self) -> list[Execution]:
        """Return the executions that stand, oldest first."""
        return [e for e in self.executions if self.stands(e)] if self._undone else self.executions

    def has_filled_since(self, symbol: str, after_ns: int) -> bool:
        """Whether a symbol's shares have changed hands after an instant, and by now."""
        for execution in reversed(self.executions):
            if execution.at_ns <= after_ns:
                return False
            if execution.symbol == symbol:
                return True
        return False

    def record_due(self, due: DividendDue) -> None:
        """Remember a dividend that a position is entitled to."""
        self.dues.append(due)
        self._emit(EventKind.DIVIDEND_OWED, due=due)

    def record_payment(self, due: DividendDue, activity: Activity) -> None:
        """Book a dividend that was due."""
        self.dues.remove(due)
        self._book(activity)
        self._emit(EventKind.DIVIDEND_PAID, due=due, activities=(activity,))

    def record_charge(self, activity: Activity) -> None:
        """Book a fee, interest, or money that the account's owner brings or takes."""
        self._book(activity)
        self._emit(EventKind.CHARGED, activities=(activity,))

    def record_reorganized(
        self, symbol: str, holding: Holding | None, activities: tuple[Activity, ...]
    ) -> None:
        """Put what a split made of a holding in its place, with the entries that say so."""
        self.account.put_holding(symbol, holding)
        for activity in activities:
            self._book(activity)
        self._emit(EventKind.REORGANIZED, activities=activities)

    def is_halted(self, symbol: str) -> bool:
        """Whether a symbol is halted now."""
        running = self.running_halts
        return bool(running) and any(halt.symbol == symbol for halt in running)

    def record_halt(self, halt: Halt) -> None:
        """Begin a halt."""
        self.halts.append(halt)
        self.running_halts.append(halt)
        self._emit(EventKind.HALTED, halt=halt)

    def record_resumption(self, halt: Halt) -> None:
        """End a halt now."""
        ended = replace(halt, until_ns=self.now_ns)
        self.halts[self.halts.index(halt)] = ended
        self.running_halts.remove(halt)
        self._emit(EventKind.RESUMED, halt=ended)

    def _book(self, activity: Activity) -> None:
        self.activities.append(activity)
        self.account.cash += activity.net_amount

    def record_close(self, close: DayClose) -> None:
        """Remember the account as it stood at a close."""
        self.closes.append(close)
        self._emit(EventKind.DAY_CLOSED, close=close)

    def record_begin(self) -> None:
        """Make the last close the one the new day is measured against."""
        if self.closes:
            last = self.closes[-1]
            self.begun = last.day
            self.account.close_day(last.equity, last.maintenance_margin)
        self._emit(EventKind.DAY_BEGUN)

    def record_configuration(self, configuration: Configuration) -> None:
        """Switch what the account's owner may switch."""
        self.configuration = configuration
        self._emit(EventKind.CONFIGURED, configuration=configuration)

    def record_watchlists(self, watchlists: Watchlists) -> None:
        """Put lists in the place of all."""
        self._keep_watchlists(watchlists)
        self._emit(EventKind.WATCHLISTS, watchlists=watchlists)

    def _keep_watchlists(self, watchlists: Watchlists) -> None:
        self.watchlists_made += len(watchlists) > len(self.watchlists)
        self.watchlists = watchlists

    def state(self) -> VenueState:
        """Return everything worth remembering."""
        account = self.account
        return VenueState(
            now_ns=self.now_ns,
            seq=self.seq,
            orders_made=self.orders_made,
            account_id=account.id,
            created_ns=account.created_ns,
            cash=account.cash,
            last_equity=account.last_equity,
            last_maintenance_margin=account.last_maintenance_margin,
            holdings=dict(account.holdings),
            orders=list(self.book.by_id.values()),
            executions=list(self.executions),
            closes=list(self.closes),
            begun=self.begun,
            configuration=self.configuration,
            activities=list(self.activities),
            dues=list(self.dues),
            halts=list(self.halts),
            halted=list(self.running_halts),
            watchlists=self.watchlists,
            watchlists_made=self.watchlists_made,
        )

    def redo(self, events: Iterable[VenueEvent]) -> None:
        """Apply recorded events that follow this state. Raises ValueError on a gap."""
        for event in events:
            if event.seq != self.seq + 1:
                raise ValueError(f"event {event.seq} follows event {self.seq}")
            self._redo_one(event)
            self.seq = event.seq
            self.now_ns = max(self.now_ns, event.at_ns)
        self.account.reclaim(self.book.by_id)

    def _redo_one(self, event: VenueEvent) -> None:
        if event.order is not None:
            self.book.put(event.order)
            self._note_change(event.order)
            self.orders_made = max(self.orders_made, event.order.ordinal)
        if event.execution is not None:
            self._note_execution(event.execution)
            self.account.put_holding(event.execution.symbol, event.holding)
        if event.close is not None:
            self.closes.append(event.close)
        if event.configuration is not None:
            self.configuration = event.configuration
        self._redo_activities(event)
        if event.halt is not None:
            self._redo_halt(event.halt, event.kind)
        if event.watchlists is not None:
            self._keep_watchlists(event.watchlists)
        self.account.cash = event.cash
        if event.kind is EventKind.DAY_BEGUN and self.closes:
            self.begun = self.closes[-1].day
            last = self.closes[-1]
            self.account.close_day(last.equity, last.maintenance_margin)

    def _redo_activities(self, event: VenueEvent) -> None:
        self.activities += event.activities
        self.activities_made = len(self.activities)
        if event.kind is EventKind.REORGANIZED:
            assert event.activities[0].symbol is not None
            self.account.put_holding(event.activities[0].symbol, event.holding)
        if event.kind is EventKind.DIVIDEND_OWED and event.due is not None:
            self.dues.append(event.due)
        if event.kind is EventKind.DIVIDEND_PAID and event.due is not None:
            self.dues.remove(event.due)

    def _redo_halt(self, halt: Halt, kind: EventKind) -> None:
        if kind is EventKind.HALTED:
            self.halts.append(halt)
            self.running_halts.append(halt)
            return
        running = next(h for h in self.running_halts if h.symbol == halt.symbol)
        self.halts[self.halts.index(running)] = halt
        self.running_halts.remove(running)

    def _store(self, order: VenueOrder) -> None:
        self.account.claim(self.book.put(order), order)
        if order.cancel_due_ns is not None or order.wait is not None:
            self._note_change(order)

    def _note_change(self, order: VenueOrder) -> None:
        if order.status is Status.PENDING_CANCEL and order.cancel_due_ns is not None:
            self.pending_changes[order.id] = order.cancel_due_ns
        elif order.waits and order.wait is not None:
            self.pending_changes[order.id] = order.wait.due_ns
        else:
            self.pending_changes.pop(order.id, None)

    def _emit(self, kind: EventKind, **parts: Unpack[_Parts]) -> None:
        self.seq += 1
        holding = None
        if "execution" in parts:
            holding = self.account.holdings.get(parts["execution"].symbol)
        elif "activities" in parts:
            holding = self.account.holdings.get(parts["activities"][0].symbol or "")
        event = VenueEvent(
            seq=self.seq,
            at_ns=self.now_ns,
            kind=kind,
            cash=self.account.cash,
            holding=holding,
            **parts,
        )
        self._events.append(event)


def _filled(order: VenueOrder, fill: Fill, at_ns: int) -> VenueOrder:
    filled_qty = order.filled_qty + fill.qty
    value = order.filled_value_usd + fill.qty * fill.price_usd
    done = _is_done(order, filled_qty, value, fill.price_usd)
    going = order.status if order.status in _CHANGING else Status.PARTIALLY_FILLED
    return replace(
        order,
        filled_qty=filled_qty,
        filled_value_usd=value,
        status=Status.FILLED if done else going,
        updated_ns=at_ns,
        last_fill_ns=at_ns,
        finished_ns=at_ns if done else None,
    )


def _is_done(order: VenueOrder, filled_qty: Decimal, value: Decimal, price: Decimal) -> bool:
    if order.qty is not None:
        return filled_qty == order.qty
    assert order.notional is not None
    if filled_qty == order.cap_qty:
        return True
    # An order in dollars is done when what is left buys less than the smallest part of a share.
    return (order.notional - value) / price < Decimal("1e-9")

"""Orders meet the tape: acceptance, working, elections, fills, cancellation."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from domain.money import ZERO
from exchange.agenda import NEVER_NS
from exchange.due_ticks import DueTicks
from exchange.groups import Groups
from exchange.ids import hex_text
from exchange.knobs import Knobs
from exchange.matching import (
    Fill,
    auction,
    capacity,
    election_limit,
    exact_usd,
    next_tick,
    ratcheted,
    reopening,
    rest,
    take,
    trailing_stop_price,
    waits_for_election,
)
from exchange.orders import OrderClass, OrderType, Status, TimeInForce, VenueOrder
from exchange.records import EventKind
from exchange.register import Register
from exchange.tape_view import TapeView
from exchange.tape_views import TapeViews

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_WORKING = (
    Status.NEW,
    Status.PARTIALLY_FILLED,
    Status.PENDING_CANCEL,
    Status.PENDING_REPLACE,
    Status.ACCEPTED_FOR_BIDDING,
    Status.STOPPED,
)
_AUCTIONS = (TimeInForce.OPG, TimeInForce.CLS)


class Trading:
    """The open session's tape and the orders that work on it.

    For each symbol with working orders it knows the next tick at which anything can happen, so
    that time passes at the cost of what happens, not of what does not.
    """

    def __init__(self, register: Register, views: TapeViews, knobs: Knobs) -> None:
        self._register = register
        self._book = register.book
        self._views = views
        self._knobs = knobs
        self._groups = Groups(register, knobs)
        self._view: TapeView | None = None
        self._floor = -1
        self._cursor: dict[str, int] = {}
        self._due = DueTicks()
        self._taken: dict[str, tuple[int, Decimal]] = {}
        self._reopens: dict[str, int] = {}
        self._is_extended = False

    @property
    def is_open(self) -> bool:
        """Whether orders meet a tape now."""
        return self._view is not None

    def open_session(self, view: TapeView, *, is_extended: bool = False) -> None:
        """Begin matching on a session's tape, from its first tick after now.

        Beside the regular session only orders that ask for it work.
        """
        self._view = view
        self._is_extended = is_extended
        self._cursor, self._due, self._taken = {}, DueTicks(), {}
        self._reopens = {}
        self._floor = view.tick_at(self._register.now_ns)
        for symbol in self._book.symbols_with_open():
            self.look_again(symbol)

    def close_session(self) -> None:
        """Stop matching."""
        self._view = None
        self._due = DueTicks()

    def play(self, view: TapeView | None, symbol: str, *, reopens: bool) -> None:
        """Go on with a session's tape as a symbol's halt or its end has left it.

        The first trade after a halt is an auction.
        """
        if self._view is None or view is None or view.session != self._view.session:
            return  # Halts beside the regular session are looked at order by order.
        self._view = view
        row = self._views.column_of[symbol]
        if reopens:
            start = view.tick_at(self._register.now_ns) + 1
            later = view.shares[row, start:] > 0
            if later.any():
                self._reopens[symbol] = start + int(later.argmax())
        self.look_again(symbol)

    def next_ns(self) -> int:
        """Return the instant of the next tick that may change an order, NEVER_NS without one."""
        due = self._due.first()
        if self._view is None or due is None:
            return NEVER_NS
        return int(self._view.at_ns[due[0]])

    def run_tick(self) -> None:
        """Let the tick at `next_ns` happen to the first symbol it is due for."""
        due = self._due.first()
        assert due is not None
        tick, symbol = due
        self._cursor[symbol] = tick
        for order in self._working(symbol):
            self._meet(order.id, tick)
        self.look_again(symbol)

    def accept(
        self, order: VenueOrder, legs: Sequence[VenueOrder], *, works_now: bool
    ) -> VenueOrder:
        """Take an order and its legs into the book; return it as the client is told it.

        Working at once it is `pending_new`, then `new`, and may fill before this returns;
        otherwise it is `accepted` and waits for `wake`.
        """
        first, kind = Status.PENDING_NEW, EventKind.PENDING_NEW
        if not works_now:
            first, kind = Status.ACCEPTED, EventKind.ACCEPTED
        told = replace(order, status=first)
        if works_now and not self._knobs.emits_pending_new:
            kind = EventKind.QUIET
        self._register.record(kind, told, legs)
        for leg in legs:
            self._register.record(EventKind.HELD, leg)
        if works_now:
            self.start(told)
        elif order.time_in_force in _AT_ONCE:
            self.finish(told, Status.CANCELED)
        return told

    def wake(self, order: VenueOrder) -> None:
        """Let an order that waited begin to work; its submission moves to now."""
        self.start(replace(order, submitted_ns=self._register.now_ns))

    def start(self, order: VenueOrder) -> None:
        """Let an order work from now on; at once it may fill."""
        now_ns = self._register.now_ns
        order = self._register.record(
            EventKind.NEW, replace(order, status=Status.NEW, updated_ns=now_ns)
        )
        view = self._view
        if view is not None and self._may_work(order):
            tick = view.tick_at(now_ns)
            waits = waits_for_election(order) or order.time_in_force in _AUCTIONS
            if tick >= 0 and not waits:
                self._take_now(order, tick)
        order = self._book.by_id[order.id]
        if order.time_in_force in _AT_ONCE and not order.status.is_terminal:
            self.finish(order, Status.CANCELED)
        elif order.order_class is OrderClass.SIMPLE:
            self._look_for(order)
        else:
            self.look_again(order.symbol)

    def finish(self, order: VenueOrder, status: Status) -> VenueOrder:
        """End an order that has not finished, and with it what hangs on it."""
        now_ns = self._register.now_ns
        ended = replace(order, status=status, finished_ns=now_ns, updated_ns=now_ns)
        self._register.record(EventKind(status.value), ended)
        if order.waits:
            self._give_back(ended)
        else:
            self._groups.after_end(ended)
        if not self._book.open_of(order.symbol):
            # With others left a tick that was due for this one does nothing, which is harmless.
            self._due.drop(order.symbol)
        return ended

    def _give_back(self, new: VenueOrder) -> None:
        """Let the order that is not going to be replaced stand as it stood, and say so."""
        assert new.replaces is not None
        old = self._book.by_id[new.replaces]
        if old.status is Status.PENDING_REPLACE:
            status = Status.PARTIALLY_FILLED if old.filled_qty else Status.NEW
            old = replace(old, status=status, updated_ns=self._register.now_ns)
        self._register.record(EventKind.REPLACE_REJECTED, old)

    def fill_at_auction(self, order: VenueOrder, price_usd: Decimal) -> None:
        """Fill an auction order in full, or end it when its limit is worse."""
        fill = auction(order, price_usd)
        if fill is None:
            self.finish(order, Status.EXPIRED)
        else:
            self._groups.after_fill(self._register.record_fill(order, fill))

    def replace_order(self, old: VenueOrder, new: VenueOrder) -> VenueOrder:
        """Put a new order in the place of a working one; return it as the client is told it."""
        now_ns = self._register.now_ns
        gone = replace(
            old,
            status=Status.REPLACED,
            replaced_by=new.id,
            finished_ns=now_ns,
            updated_ns=now_ns,
        )
        self._register.record(EventKind.REPLACED, gone)
        self._groups.after_replace(gone, new)
        if old.status is Status.HELD:
            return self._register.record(EventKind.HELD, replace(new, status=Status.HELD))
        told = replace(new, status=Status.PENDING_NEW)
        self._register.record(EventKind.QUIET, told)
        self.start(told)
        return told

    def look_again(self, symbol: str) -> None:
        """Find out anew when a symbol's orders may next trade."""
        view = self._view
        if view is None:
            return
        row = self._views.column_of[symbol]
        after = self._cursor.get(symbol, self._floor)
        after = max(after, view.tick_at(self._register.now_ns))
        hits = [next_tick(order, view, row, after) for order in self._working(symbol)]
        known = [tick for tick in hits if tick is not None]
        if known:
            self._due.put(symbol, min(known))
        else:
            self._due.drop(symbol)

    def _look_for(self, order: VenueOrder) -> None:
        """Find out when one more order may trade, and wake no later than that."""
        view = self._view
        if view is None or not self._may_work(order):
            return
        row = self._views.column_of[order.symbol]
        tick = next_tick(order, view, row, view.tick_at(self._register.now_ns))
        if tick is not None:
            self._due.advance(order.symbol, tick)

    def ratchet(self, symbol: str) -> None:
        """Bring a symbol's trailing stops up to now."""
        view = self._view
        if view is None:
            return
        tick = view.tick_at(self._register.now_ns)
        for order in self._working(symbol):
            if waits_for_election(order):
                self._ratcheted(order, view, tick)

    def _working(self, symbol: str) -> list[VenueOrder]:
        return [o for o in self._book.open_of(symbol) if self._may_work(o)]

    def _may_work(self, order: VenueOrder) -> bool:
        return works(order) and (order.extended_hours or not self._is_extended)

    def _available(self, symbol: str, tick: int) -> Decimal:
        view = self._view
        assert view is not None
        row = self._views.column_of[symbol]
        taken_tick, taken = self._taken.get(symbol, (-1, ZERO))
        whole = capacity(view, row, tick, self._knobs.fills)
        return whole - taken if taken_tick == tick else whole

    def _take_now(self, order: VenueOrder, tick: int) -> None:
        view = self._view
        assert view is not None
        if self._register.is_halted(order.symbol):
            return
        available = self._available(order.symbol, tick)
        too_little = order.time_in_force is TimeInForce.FOK and available < order.remaining_qty
        if available <= 0 or too_little:
            return
        row = self._views.column_of[order.symbol]
        self._fill(order, tick, take(order, view, row, tick, (self._knobs.fills, available)))

    def _meet(self, order_id: str, tick: int) -> None:
        """Let one order meet one tick: election first, then what it may fill."""
        view, order = self._view, self._book.by_id[order_id]
        if view is None or not self._may_work(order) or self._register.is_halted(order.symbol):
            return
        if waits_for_election(order):
            elected = self._elected(order, view, tick)
            if elected is None:
                return
            order = elected
        row = self._views.column_of[order.symbol]
        if order.time_in_force is TimeInForce.OPG:
            self.fill_at_auction(order, exact_usd(float(view.last[row, tick])))
            return
        available = self._available(order.symbol, tick)
        if available > 0:
            terms = (self._knobs.fills, available)
            if self._reopens.get(order.symbol) == tick:
                price_usd = exact_usd(float(view.last[row, tick]))
                self._fill(order, tick, reopening(order, price_usd, available))
                return
            self._fill(order, tick, rest(order, view, row, tick, terms))

    def _fill(self, order: VenueOrder, tick: int, fill: Fill | None) -> None:
        if fill is None or fill.qty <= 0:
            return
        fill = self._cut(order, tick, fill)
        taken_tick, taken = self._taken.get(order.symbol, (-1, ZERO))
        before = taken if taken_tick == tick else ZERO
        self._taken[order.symbol] = (tick, before + fill.qty)
        self._groups.after_fill(self._register.record_fill(order, fill))

    def _cut(self, order: VenueOrder, tick: int, fill: Fill) -> Fill:
        """Return a fill, or by chance a part of its whole shares; fok gets all or nothing."""
        share, whole = self._knobs.fills.partial_share, int(fill.qty)
        if share <= 0 or whole < 2 or order.time_in_force is TimeInForce.FOK:
            return fill
        drawn = hex_text(self._register.seed, "partial", order.ordinal, self._register.now_ns, tick)
        if int(drawn[:8], 16) >= share * (1 << 32):
            return fill
        return replace(fill, qty=Decimal(1 + int(drawn[8:16], 16) % (whole - 1)))

    def _elected(self, order: VenueOrder, view: TapeView, tick: int) -> VenueOrder | None:
        order = self._ratcheted(order, view, tick)
        row = self._views.column_of[order.symbol]
        if order.stop_price is None or view.shares[row, tick] <= 0:
            return None
        last = exact_usd(float(view.last[row, tick]))
        if (last - order.stop_price) * order.side.sign < 0:
            return None
        self._groups.before_election(order)
        knobs = self._knobs
        was_held = order.status is Status.HELD
        elected = replace(
            order,
            is_elected=True,
            collar_price=election_limit(
                order, knobs.buy_stop_collar_low, knobs.buy_stop_collar_high
            ),
            status=Status.NEW if was_held else order.status,
            updated_ns=self._register.now_ns,
        )
        return self._register.record(EventKind.NEW if was_held else EventKind.QUIET, elected)

    def _ratcheted(self, order: VenueOrder, view: TapeView, tick: int) -> VenueOrder:
        if order.type is not OrderType.TRAILING_STOP:
            return order
        row = self._views.column_of[order.symbol]
        first = view.tick_at(order.updated_ns) + 1
        hwm = ratcheted(order, view, row, range(first, tick + 1))
        if hwm == order.hwm:
            return order
        stop = trailing_stop_price(order, hwm)
        moved = replace(order, hwm=hwm, stop_price=stop, updated_ns=self._register.now_ns)
        return self._register.record(EventKind.QUIET, moved)


def works(order: VenueOrder) -> bool:
    """Return whether an order watches the tape: working, or a held stop that is armed."""
    if order.status in _WORKING:
        return True
    return order.status is Status.HELD and order.is_armed and waits_for_election(order)

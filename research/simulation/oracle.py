"""What must hold at every instant of a world, judged by the exchange's own books and the disk."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

from daemon.assembly import Assembly
from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import OrderStatus, Side
from domain.snapshot import TradingState
from exchange.orders import Execution, Status, VenueOrder
from exchange.records import VenueEvent
from exchange.venue import Venue
from execution.identity import PREFIX
from research.simulation.journaled import Journaled, Meant, Report
from research.simulation.kernel.network import Wire

CENT = Decimal("0.01")
DRIFT = Decimal("1.25")
"""How far above its limit a position may stand by prices alone, and the gate's by late news."""
NO_ENTRY_FIRST, NO_ENTRY_LAST = timedelta(minutes=5), timedelta(minutes=10)
"""What the daemon's settings say by default."""
WIRE_DELAY = timedelta(minutes=3)
"""Market time between the last check and the first byte: waiting for budget and a connection."""


class Oracle:
    """Watches wire, disk, exchange and daemon; tells every breach once."""

    def __init__(
        self, venue: Callable[[], Venue], *, report: Report, position_max: Decimal
    ) -> None:
        self._venue_now = venue
        self.is_alone = True
        """Whether nobody else trades on the account."""
        self._report = report
        self._position_max = position_max
        self.assembly_of: Callable[[], Assembly | None] = lambda: None
        self.durable = Journaled(report)
        self._seen: dict[str, None] = {}
        self._adoptions = 0

    @property
    def _venue(self) -> Venue:
        return self._venue_now()

    # --- the wire -----------------------------------------------------------------------------

    def sent(self, wire: Wire, data: bytes) -> None:
        """Judge an order at the instant its first byte leaves."""
        if not wire.is_client:
            return
        _, found, rest = data.partition(b'"client_order_id":"')
        if not found:
            return
        identity = rest.partition(b'"')[0].decode()
        meant = self.durable.journaled.get(identity)
        if meant is None:
            self._report("sent before its record was durable", identity)
            return
        assembly = self.assembly_of()
        if assembly is None:
            self._report("sent before the daemon was ready", identity)
            return
        memory = assembly.engine.memory
        if memory.trading.state is TradingState.HALTED and meant.leg != "flatten":
            self._report("sent while halted", f"{identity}: {memory.trading.cause}")
        # Nothing is sold short here, unless by others: what a person sells leads toward zero.
        is_entry = meant.leg == "open" and meant.side is Side.BUY and self.is_alone
        if memory.trading.state is TradingState.REDUCING and is_entry:
            self._report("entered while only reducing", f"{identity}: {memory.trading.cause}")
        if memory.trading.epoch != meant.epoch:
            self._report("sent though trading has changed since", identity)
        if assembly.clock.now() > meant.expires_at + WIRE_DELAY:
            self._report("sent after its approval had expired", identity)
        if not memory.is_reconciled and meant.leg == "open":
            self._report("sent before the book was compared with the venue", identity)

    # --- the exchange -------------------------------------------------------------------------

    def happened(self, events: list[VenueEvent]) -> None:
        """Judge what the exchange did."""
        for event in events:
            order = event.order
            if order is None or not order.client_order_id.startswith(PREFIX):
                continue
            if order.id not in self._seen:
                self._seen[order.id] = None
                self._judge_new(order)
            if event.execution is not None:
                self._judge_fill(order)

    def _judge_new(self, order: VenueOrder) -> None:
        meant = self.durable.journaled.get(order.client_order_id)
        if meant is None:
            self._report("an order without a decision", f"{order.client_order_id} {order.symbol}")
            return
        if (order.symbol, order.side, order.qty) != (
            meant.symbol,
            meant.side,
            meant.quantity_shares,
        ):
            self._report("not the order that was decided", f"{order} is not {meant}")
        if meant.leg == "open":
            self._judge_size(order)
            if order.side is Side.BUY and self.is_alone:
                self._judge_hours(meant)

    def _judge_size(self, order: VenueOrder) -> None:
        """Held and working shares of a symbol, with this order, stay inside the position limit."""
        venue = self._venue
        if venue.account.qty(order.symbol) * order.side.sign < 0 or not self.is_alone:
            return  # it leads toward zero, or others' shares come unheard
        if self._is_undone(Symbol(order.symbol), order.side):
            return  # shares that came back with a sale taken back may be unheard of, too
        working = [o for o in venue.book.open_of(order.symbol) if o.side is order.side]
        price_usd = venue.prices.at(venue.now_ns)(order.symbol)
        held = abs(venue.account.qty(order.symbol))
        value_usd = held * price_usd + sum((_left_usd(o, price_usd) for o in working), ZERO)
        equity_usd = venue.totals().equity
        if value_usd > self._position_max * equity_usd * DRIFT:
            self._report(
                "beyond the position limit",
                f"{order.symbol}: {value_usd:.2f} of {equity_usd} USD, {held} held, "
                f"{len(working)} working",
            )

    def _judge_hours(self, meant: Meant) -> None:
        """Entries are decided inside the session, less its first and last minutes. Nothing is sold
        short here, unless by others: what a person sells leads toward zero, and may be sold at any
        time."""
        session = self._venue.market.calendar.session_at(meant.intended_at)
        if (
            session is None
            or meant.intended_at < session.opens_at + NO_ENTRY_FIRST
            or meant.intended_at >= session.closes_at - NO_ENTRY_LAST
        ):
            self._report(
                "entered outside the hours for it", f"{meant.identity} {meant.intended_at}"
            )

    def _judge_fill(self, order: VenueOrder) -> None:
        meant = self.durable.journaled.get(order.client_order_id)
        is_short = self._venue.account.qty(order.symbol) < 0
        if is_short and self.is_alone and not self._is_undone(Symbol(order.symbol), Side.SELL):
            self._report("sold what is not held", f"{order.client_order_id} {order.symbol}")
        if meant is None:
            return
        alike = [self._venue.book.by_client(i) for i in self.durable.alike[meant.slot_and_leg]]
        filled = sum((o.filled_qty for o in alike if o is not None), ZERO)
        if filled > self.durable.first_of[meant.slot_and_leg]:
            self._report(
                "more executed than intended",
                f"{meant.slot_and_leg}: {filled} of {self.durable.first_of[meant.slot_and_leg]}",
            )

    # --- the daemon ---------------------------------------------------------------------------

    def look(self) -> None:
        """Judge the daemon's own book, at any instant between two events."""
        assembly = self.assembly_of()
        if assembly is None:
            return
        memory = assembly.engine.memory
        portfolio = memory.portfolio
        symbols = {s: None for book in portfolio.books.values() for s in book.positions}
        for symbol in sorted({**symbols, **dict.fromkeys(portfolio.positions)}):
            booked = sum((b.shares(symbol) for b in portfolio.books.values()), ZERO)
            if booked != portfolio.shares(symbol):
                self._report(
                    "the books are not the account",
                    f"{symbol}: {booked} in books, {portfolio.shares(symbol)} held",
                )
        for identity, order in memory.working.items():
            if order.filled_shares > order.intent.quantity_shares:
                self._report("overfilled", f"{identity}: {order.filled_shares}")
        adoptions = memory.counters.get("adoptions", 0)
        if adoptions > max(self._adoptions, self._learnt()) and self.is_alone:
            self._report("the book was wrong and adopted the venue's", str(memory.portfolio.books))
        self._adoptions = max(self._adoptions, adoptions)
        if memory.counters.get("averages_adopted") and self.is_alone and not self.has_busts():
            self._report("an average was wrong", str(memory.portfolio.books))

    def has_busts(self) -> bool:
        """Return whether an execution was taken back: what shares cost on average then depends on
        the order in which one hears of it and of others."""
        return any(e.undoes is not None for e in self._executions())

    def _is_undone(self, symbol: Symbol, side: Side) -> bool:
        """Return whether shares came to the account, or left it, as a trade was taken back."""
        return any(
            e.undoes is not None and e.symbol == symbol and e.side is side
            for e in self._executions()
        )

    def _executions(self) -> Sequence[Execution]:
        return self._venue.register.executions

    def _learnt(self) -> int:
        """Return how often something happened that only the account can tell: money that came or
        went without an order, and half cents for the fractions that splits leave."""
        register = self._venue.register
        moved = sum(bool(a.net_amount) for a in register.activities)
        return moved + sum(e.qty % 1 != 0 for e in register.executions)

    def differences(self) -> list[str]:
        """Return in what daemon and exchange differ; nothing may be in flight."""
        assembly = self.assembly_of()
        if assembly is None:
            return ["no daemon"]
        memory, account = assembly.engine.memory, self._venue.account
        found = []
        if not memory.is_reconciled:
            found.append("not reconciled")
        held = {s: h.qty for s, h in account.holdings.items()}
        booked = {s: p.quantity_shares for s, p in memory.portfolio.positions.items()}
        if held != booked:
            found.append(f"positions: {booked} booked, {held} held")
        # Fractions of shares leave parts of cents, which the wire does not show.
        parts = (account.cash, memory.portfolio.cash_usd, memory.portfolio.flows_usd)
        room_usd = CENT * (3 if any(amount % CENT for amount in parts) else 1) / 2
        if abs(account.cash - memory.portfolio.cash_usd) >= room_usd:
            found.append(f"cash: {memory.portfolio.cash_usd} booked, {account.cash} held")
        found += [f"{i} is {o.status.value}" for i, o in memory.working.items()]
        found += [
            f"{o.client_order_id} is open at the exchange" for o in self._venue.book.open_orders()
        ]
        return found + self._ends_differently(assembly)

    def _ends_differently(self, assembly: Assembly) -> list[str]:
        orders = assembly.engine.memory.orders
        found = []
        for identity in self.durable.journaled:
            ours, theirs = orders.get(identity), self._venue.book.by_client(identity)
            if ours is None:
                continue
            if theirs is None:
                if ours.status not in (OrderStatus.WITHHELD, OrderStatus.REJECTED):
                    found.append(f"{identity}: {ours.status.value}, never at the exchange")
            elif _END_OF.get(theirs.status) is not ours.status and not ours.is_restated:
                # Restated, it may have seemed filled for a price put right before that was told.
                found.append(f"{identity}: {ours.status.value}, there {theirs.status.value}")
            elif ours.filled_shares != theirs.filled_qty:
                found.append(f"{identity}: {ours.filled_shares} filled, there {theirs.filled_qty}")
        return found

    def identity_of_money(self) -> None:
        """Judge the exchange's own sums: cash is what it began with less what was bought, and what
        companies, brokers and its owner brought or took."""
        spent = sum(
            (e.side.sign * e.qty * e.price_usd for e in self._venue.register.executions), ZERO
        )
        came = sum((a.net_amount for a in self._venue.register.activities), ZERO)
        if self._venue.account.cash != self._venue.config.cash_usd - spent + came:
            self._report("cash is not what was traded", f"{self._venue.account.cash} after {spent}")


_END_OF = {
    Status.FILLED: OrderStatus.FILLED,
    Status.CANCELED: OrderStatus.CANCELED,
    Status.EXPIRED: OrderStatus.EXPIRED,
    Status.REJECTED: OrderStatus.REJECTED,
}


def _left_usd(order: VenueOrder, price_usd: Decimal) -> Decimal:
    """Return the most that what is left of an order may come to at a price: a purchase pays no more
    than its limit, however late it was carried out."""
    limit_usd = order.working_limit if order.side is Side.BUY else None
    worst_usd = price_usd if limit_usd is None else min(price_usd, limit_usd)
    return ((order.qty or ZERO) - order.filled_qty) * worst_usd

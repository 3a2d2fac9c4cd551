"""What is known after a stop, however it came: the snapshot with the journal folded onto it.

Nothing is decided here, and nothing booked twice: a fill counts once by its id, a record once by
its number, and folding the same records again changes nothing. A snapshot is to be taken when
every command given before it has been carried out: what it holds and what `journal_seq` covers
are then the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from datetime import datetime

from domain.corporate import ACTIONS_KEPT_MAX
from domain.errors import StateCorrupt, VenueError
from domain.money import ZERO
from domain.orders import Fill, Order, OrderStatus
from domain.snapshot import FINISHED_ORDERS_MAX, RECENT_FILLS_MAX, Snapshot
from domain.values import replace as replace_value
from state import busts, corporate, ledger, records
from state.journal import JournalRecord

ApplyFill = Callable[[Order, Fill], Order]
"""`execution.order_states.apply_fill`, handed in because state and execution do not know each
other."""

UNSETTLED_REASON = "the daemon stopped before the venue answered: to be looked up"


def fold(
    snapshot: Snapshot | None, journal: Iterable[JournalRecord], apply_fill: ApplyFill
) -> Snapshot | None:
    """Return the snapshot as it stood when the last record was written.

    `journal` holds records in order; those the snapshot covers are skipped. None comes of no
    snapshot and no record. Raises StateCorrupt for records without a snapshot to fold them on, for
    a gap between them, and for a record that cannot be read or contradicts what it follows.
    """
    folding = Folding(snapshot, apply_fill)
    for record in journal:
        folding.take(record)
    return folding.snapshot()


class Folding:
    """`fold` for records that come one at a time, so that a long journal is never held whole."""

    def __init__(self, snapshot: Snapshot | None, apply_fill: ApplyFill) -> None:
        self._folded = None if snapshot is None else _Folded(snapshot, apply_fill)

    def take(self, record: JournalRecord) -> None:
        """Fold the next record onto what is known. Raises StateCorrupt as `fold` does."""
        if self._folded is None:
            raise StateCorrupt(
                f"the journal begins at record {record.seq}, but no snapshot is there to fold it "
                "on: run `tradewind state verify`, then `tradewind state repair --from-broker`"
            )
        self._folded.take(record)

    def snapshot(self) -> Snapshot | None:
        """Return the snapshot as it stood when the last record was written."""
        return None if self._folded is None else self._folded.snapshot()

    def recovered(self) -> Snapshot | None:
        """Return what a starting daemon knows before it asks the venue."""
        folded = self.snapshot()
        return None if folded is None else unsettled(folded)


def unsettled(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with every order whose sending is in doubt marked UNRESOLVED.

    That is those approved, too: our note that one was being sent may be lost with the power.
    """
    doubtful = (OrderStatus.APPROVED, OrderStatus.SUBMITTING)
    orders = tuple(
        replace_value(order, status=OrderStatus.UNRESOLVED, reason=UNSETTLED_REASON)
        if order.status in doubtful
        else order
        for order in snapshot.orders
    )
    return replace(snapshot, orders=orders)


class _Folded:
    """A snapshot being brought forward; private to one call of `fold`."""

    def __init__(self, snapshot: Snapshot, apply_fill: ApplyFill) -> None:
        self._snapshot = snapshot
        self._apply_fill = apply_fill
        self._orders = {order.client_order_id: order for order in snapshot.orders}
        self._fills = list(snapshot.fills)
        self._fill_ids = {fill.fill_id for fill in snapshot.fills}
        # What most records change is kept beside the snapshot: making one anew for each of them
        # would be most of a start on a long journal.
        self._portfolio = snapshot.portfolio
        self._decided_slots = dict(snapshot.decided_slots)
        self._last_decided: JournalRecord | None = None
        self._seq: int = snapshot.journal_seq
        self._at: datetime = snapshot.saved_at

    def snapshot(self) -> Snapshot:
        last = None if self._last_decided is None else records.decode(self._last_decided)
        decision = last.decision if isinstance(last, records.Decided) else None
        return replace(
            self._snapshot,
            portfolio=self._portfolio,
            decided_slots=self._decided_slots,
            last_decision=decision or self._snapshot.last_decision,
            journal_seq=self._seq,
            saved_at=self._at,
            orders=trimmed_orders(self._orders.values()),
            fills=tuple(self._fills[-RECENT_FILLS_MAX:]),
        )

    def take(self, record: JournalRecord) -> None:
        covered = self._seq
        if record.seq <= covered:
            return
        if record.seq != covered + 1:
            raise StateCorrupt(
                f"journal record {record.seq} follows {covered}: records between are missing; "
                "run `tradewind state verify`, then `tradewind state repair`"
            )
        fact = records.decode_in_brief(record)
        try:
            self._apply(fact)
        except (ValueError, LookupError, VenueError) as fault:
            raise StateCorrupt(
                f"journal record {record.seq} ({record.kind}) contradicts what came before: "
                f"{fault}; run `tradewind state verify`, then `tradewind state repair`"
            ) from fault
        if isinstance(fact, records.DecidedInBrief):
            self._decided_slots |= dict.fromkeys(fact.timeframes, fact.slot_at)
            self._last_decided = record
        self._seq, self._at = record.seq, record.at

    def _apply(self, fact: records.Fact | records.DecidedInBrief) -> None:
        match fact:
            case records.DecidedInBrief() | records.Decided() | records.Ordered():
                self._apply_orders(fact.orders)
            case records.Submitting():
                order = self._order(fact.client_order_id)
                submitted_at = order.submitted_at or fact.at
                self._put(
                    replace_value(order, status=OrderStatus.SUBMITTING, submitted_at=submitted_at)
                )
            case records.OrderMoved():
                self._apply_move(fact)
            case records.Filled() | records.Busted():
                self._apply_execution(fact)
            case records.StatusChanged():
                self._snapshot = replace(self._snapshot, trading=fact.trading)
            case records.Noted():
                self._apply_note(fact)
            case records.OpinionKept():
                kept = {**self._snapshot.opinions, fact.strategy: fact.opinion}
                self._snapshot = replace(self._snapshot, opinions=kept)
            case records.RunBegan():
                self._check_account(fact)
            case records.Acted() | records.ActionSettled():
                self._apply_action(fact)
            case _:
                self._apply_money(fact)

    def _apply_orders(self, orders: Iterable[records.ApprovedIntent]) -> None:
        for approved in orders:
            order = Order(
                intent=approved.intent,
                status=OrderStatus.APPROVED,
                repricings=approved.repricings,
            )
            known = self._orders.setdefault(order.client_order_id, order)
            if known.intent != order.intent:
                raise ValueError(f"order {order.client_order_id} was decided twice")

    def _apply_move(self, fact: records.OrderMoved) -> None:
        order = self._order(fact.client_order_id)
        moved = replace_value(
            order,
            status=fact.status,
            venue_order_id=fact.venue_order_id,
            reported_shares=max(fact.reported_shares, order.filled_shares),
            repricings=fact.repricings,
            submitted_at=fact.submitted_at,
            cancel_requested_at=fact.cancel_requested_at,
            finished_at=fact.finished_at,
            reason=fact.reason,
        )
        self._put(moved)

    def _apply_execution(self, fact: records.Filled | records.Busted) -> None:
        if isinstance(fact, records.Busted):
            self._apply_bust(fact)
        else:
            self._apply_filled(fact.fill)

    def _apply_filled(self, fill: Fill) -> None:
        if fill.fill_id in self._fill_ids:
            return
        order = self._orders.get(fill.client_order_id)
        deltas = order.intent.deltas if order else None
        filled_before = order.filled_shares if order else ZERO
        portfolio = ledger.book(self._portfolio, fill, deltas, filled_before)
        if order:
            self._put(self._apply_fill(order, fill))
        self._portfolio = portfolio
        self._fills.append(fill)
        self._fill_ids.add(fill.fill_id)

    def _apply_bust(self, fact: records.Busted) -> None:
        fill, corrected = fact.fill, fact.bust.corrected
        order = self._orders.get(fact.bust.client_order_id)
        if fill is not None:
            if fill not in self._fills:
                return
            self._portfolio = busts.carry_out(self._portfolio, fill, corrected, order)
            self._fills.remove(fill)
            if corrected is not None:
                self._fills.append(corrected)
                self._fill_ids.add(corrected.fill_id)
        if order is not None and (fill is not None or corrected is None):
            self._put(order.restated(fill, corrected))

    def _apply_money(
        self, fact: records.Crossed | records.Flowed | records.Earned | records.Adopted
    ) -> None:
        portfolio = self._portfolio
        match fact:
            case records.Crossed():
                portfolio = ledger.cross(portfolio, fact.symbol, fact.moves, fact.price_usd)
            case records.Flowed():
                portfolio = ledger.flow(portfolio, fact.amount_usd)
            case records.Earned():
                portfolio = ledger.earn(portfolio, fact.amount_usd, fact.book)
            case records.Adopted():
                portfolio = ledger.adopt(portfolio, fact.account, fact.marks)
        self._portfolio = portfolio

    def _apply_action(self, fact: records.Acted | records.ActionSettled) -> None:
        portfolio, marks = self._portfolio, self._snapshot.marks
        if isinstance(fact, records.Acted):
            portfolio = corporate.carry_out(portfolio, fact.action, fact.shares)
            marks = corporate.marks_after(marks, fact.action, fact.mark_usd)
        elif fact.is_lost:
            portfolio = corporate.take_back(portfolio, fact.done)
        others = (d for d in self._snapshot.actions if d.action_id != fact.done.action_id)
        actions = (*others, fact.done)[-ACTIONS_KEPT_MAX:]
        self._portfolio = portfolio
        self._snapshot = replace(self._snapshot, marks=marks, actions=actions)

    def _apply_note(self, fact: records.Noted) -> None:
        told = {f.name: getattr(fact, f.name) for f in fields(fact) if f.name != "at"}
        self._snapshot = replace(
            self._snapshot, **{name: value for name, value in told.items() if value is not None}
        )

    def _check_account(self, fact: records.RunBegan) -> None:
        ours = (self._snapshot.venue, self._snapshot.account_id)
        if (fact.venue, fact.account_id) != ours:
            raise ValueError(f"it belongs to {fact.venue}-{fact.account_id}, not {'-'.join(ours)}")

    def _put(self, order: Order) -> None:
        """Keep the latest version of an order. One that ends, or whose last fills come after that,
        stands where it ended, not where it began: the last to end are kept."""
        identity = order.client_order_id
        if _is_over(order) and not _is_over(self._orders[identity]):
            del self._orders[identity]
        self._orders[identity] = order

    def _order(self, client_order_id: str) -> Order:
        if client_order_id not in self._orders:
            raise LookupError(f"no order {client_order_id} was decided before")
        return self._orders[client_order_id]


def trimmed_orders(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Return every order of which more may come, then the latest of the others
    (FINISHED_ORDERS_MAX)."""
    known = tuple(orders)
    finished = [order for order in known if _is_over(order)]
    unfinished = [order for order in known if not _is_over(order)]
    return (*unfinished, *finished[-FINISHED_ORDERS_MAX:])


def _is_over(order: Order) -> bool:
    """Return whether nothing more may come of an order: it has ended, and its fills are booked."""
    return order.status.is_terminal and not order.unbooked_shares

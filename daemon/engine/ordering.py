"""What happens to our orders after the gate: news, fills, re-pricing, and outcomes unknown."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from daemon.engine import refusing
from daemon.engine.board import tick_of
from daemon.engine.commands import Command, Notify, Record, RecordDurably, Save
from daemon.engine.core import Core
from daemon.engine.deciding import cancel
from daemon.engine.rules import OrderStyle
from domain.events import (
    OrderChanged,
    OrderFilled,
    SubmitRejected,
    SubmitStarted,
    SubmitUnresolved,
    SubmitWithheld,
)
from domain.instruments import Symbol
from domain.money import ZERO
from domain.orders import (
    OPERATOR,
    AtLimit,
    AtMarket,
    Fill,
    Leg,
    Order,
    OrderStatus,
    Severity,
    Terms,
    Verdict,
)
from domain.portfolio import Portfolio
from domain.snapshot import Decision, Outcome, SymbolOutcome
from execution import order_states, pricing
from execution.order_states import ImpossibleUpdate
from state import ledger
from state.apportion import apportion
from state.records import Filled, Noted, OrderMoved, StatusChanged, Submitting

REPRICED = "re-priced"
_AT_THE_VENUE = frozenset({OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED})
_NOT_BEGUN = frozenset({OrderStatus.APPROVED, OrderStatus.UNRESOLVED})
_SAVE = Save()


class Ordering:
    """Keeps every order's record true, and books what fills."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- submission ------------------------------------------------------------------------------

    def started(self, event: SubmitStarted) -> list[Command]:
        """The first byte may be on the wire."""
        memory = self._core.memory
        order = memory.orders[event.client_order_id]
        if order.status in _NOT_BEGUN:
            memory.remember(order_states.begin_submit(order, event.at))
        memory.count("orders_submitted")
        return [Record(fact=Submitting(at=event.at, client_order_id=event.client_order_id))]

    def withheld(self, event: SubmitWithheld) -> list[Command]:
        """The last check before the wire failed, or the order never arrived."""
        order = self._core.memory.orders[event.client_order_id]
        if order.status.is_terminal:
            return []
        if order.status in _AT_THE_VENUE:
            return self.quarantine(order.intent.symbol, f"its order is gone: {event.reason}")
        if order.status in (OrderStatus.SUBMITTING, OrderStatus.CANCELING):
            order = order_states.leave_unresolved(order, event.reason)
        after = order_states.withhold(order, event.at, event.reason)
        self._core.memory.remember(after)
        self._core.memory.count("orders_withheld")
        return [_noted(after), Save()]

    def rejected(self, event: SubmitRejected) -> list[Command]:
        """The venue refused."""
        core = self._core
        order = core.memory.orders[event.client_order_id]
        if order.status.is_terminal or order.status is OrderStatus.PARTIALLY_FILLED:
            return []
        after = order_states.reject(order, event.at, event.reason)
        core.memory.remember(after)
        core.memory.count("orders_rejected")
        return [
            _noted(after),
            refusing.refused(core, order, event),
            Save(),
        ]

    def unresolved(self, event: SubmitUnresolved) -> list[Command]:
        """Nobody can say whether the order exists: leave the symbol alone until somebody can."""
        core = self._core
        order = core.memory.orders[event.client_order_id]
        if order.status.is_terminal or order.status in _AT_THE_VENUE:
            return []
        if order.status is not OrderStatus.UNRESOLVED:
            core.memory.remember(order_states.leave_unresolved(order, event.reason))
        return self.quarantine(order.intent.symbol, event.reason)

    def quarantine(self, symbol: Symbol, reason: str) -> list[Command]:
        """Leave a symbol alone; approvals of before are void."""
        core = self._core
        core.memory.quarantined[symbol] = reason
        status = replace(core.memory.trading, epoch=core.memory.trading.epoch + 1)
        core.memory.trading = status
        return [
            RecordDurably(fact=StatusChanged(at=core.now, trading=status)),
            RecordDurably(fact=Noted(at=core.now, quarantined=dict(core.memory.quarantined))),
            Notify(
                key=f"quarantined:{symbol}",
                severity=Severity.CRITICAL,
                message=f"{symbol} is quarantined: {reason}",
                fields={"symbol": symbol, "action": "compare with the venue, then: resume"},
            ),
            Save(),
        ]

    # --- news ------------------------------------------------------------------------------------

    def changed(self, event: OrderChanged) -> list[Command]:
        """Take in what the venue says of an order, ours or not."""
        core, report = self._core, event.update.report
        order = core.memory.orders.get(report.client_order_id)
        if order is None:
            core.memory.count("external_order_news")
            return []
        try:
            after = order_states.advance(order, report)
        except ImpossibleUpdate as fault:
            return self.quarantine(order.intent.symbol, str(fault))
        if after == order:
            return []
        core.memory.remember(after)
        if after.status is order.status:
            return []
        if not after.status.is_terminal:
            return [_noted(after)]
        is_rejected = after.status is OrderStatus.REJECTED
        told = [_rejected_late(after, report.reason)] if is_rejected else []
        return [_noted(after), *told, *self._reprice(after), Save()]

    def filled(self, event: OrderFilled) -> list[Command]:
        """Book an execution, once."""
        core, fill = self._core, event.fill
        memory = core.memory
        if memory.is_booked(fill.fill_id):
            return []
        order = memory.orders.get(fill.client_order_id)
        odd = ""
        if order is not None and not is_its(fill, order):
            order, odd = None, f"fill {fill.fill_id} cannot be of the order it names"
        before = memory.portfolio
        deltas = order.intent.deltas if order else None
        filled_before = order.filled_shares if order else ZERO
        memory.portfolio = ledger.book(before, fill, deltas, filled_before)
        is_carried = core.carry_equity(before, fill)
        memory.note_booked(fill)
        memory.count("fills")
        commands: list[Command] = [Record(fact=Filled(fill=fill))]
        if order is None:
            memory.count("external_fills")
        else:
            after = order_states.apply_fill(order, fill)
            memory.remember(after)
            if after.status is OrderStatus.PARTIALLY_FILLED:
                memory.count("partial_fills")
            elif after.status.is_terminal:
                if after.status is not order.status:
                    commands.append(_noted(after))
                commands += self._reprice(after)
        symbol = fill.symbol
        note_entry(core, symbol, before, memory.portfolio)
        if is_carried:
            core.raise_peak()
        else:
            core.refresh_marks()
        if odd:
            commands += self.quarantine(memory.orders[fill.client_order_id].intent.symbol, odd)
        commands.append(_SAVE)
        return commands

    # --- re-pricing ------------------------------------------------------------------------------

    def chase(self) -> list[Command]:
        """Cancel marketable orders that did not fill in time, to price what is left anew."""
        core, commands = self._core, list[Command]()
        patience = timedelta(seconds=core.rules.reprice_after_s)
        for order in list(core.memory.working.values()):
            if not _is_marketable(order, core) or order.submitted_at is None:
                continue
            if core.now - order.submitted_at < patience or not order.venue_order_id:
                continue
            asked = cancel(core, order, REPRICED)
            if asked:
                core.to_reprice[order.client_order_id] = None
                commands += asked
        return commands

    def _reprice(self, ended: Order) -> list[Command]:
        """Send what an order we canceled for it has left, at a new price; or give it up."""
        core, identity = self._core, ended.client_order_id
        if identity not in core.to_reprice or ended.unbooked_shares > 0:
            return []
        del core.to_reprice[identity]
        left = ended.intent.quantity_shares - ended.filled_shares
        if ended.status is not OrderStatus.CANCELED or left <= 0:
            return []
        terms = self._new_terms(ended)
        if terms is None:
            core.memory.count("orders_given_up")
            return []
        intent = replace(
            ended.intent,
            client_order_id=core.identity(
                ended.intent.symbol, ended.intent.slot_at, ended.intent.leg
            ),
            quantity_shares=left,
            terms=terms,
            intended_at=core.now,
            deltas=_deltas_left(ended),
            reason=f"{ended.intent.reason}; re-priced, {left} left",
        )
        return core.commit(
            [intent],
            lambda verdicts: decision_on(core, verdicts),
            repricings=ended.repricings + 1,
        )

    def _new_terms(self, ended: Order) -> Terms | None:
        core, intent = self._core, ended.intent
        is_protective = intent.leg in (Leg.EXIT, Leg.FLATTEN)
        quote = core.board.quotes.get(intent.symbol)
        if quote is None:
            # Not of the universe: what only closes goes to the market then.
            return AtMarket() if is_protective else None
        tick_usd = tick_of(quote)
        if is_protective:
            return pricing.exit_terms(
                intent.side,
                quote,
                tick_usd,
                core.rules.exit_collar_bps,
                repricings=ended.repricings + 1,
            )
        return pricing.reprice(ended, quote, tick_usd, core.rules.collar_bps)


def decision_on(core: Core, verdicts: Sequence[Verdict]) -> Decision:
    """Return the record of orders that no slot's allocation made: exits, re-prices, a person's."""
    outcomes = {}
    for verdict in verdicts:
        intent, approved = verdict.intent, verdict.approved
        outcomes[intent.symbol] = SymbolOutcome(
            symbol=intent.symbol,
            outcome=Outcome.DENIED if approved is None else Outcome.ORDERED,
            target_weight=float("nan"),
            held_shares=core.memory.portfolio.shares(intent.symbol),
            wanted_shares=intent.signed_shares,
            client_order_id=approved.intent.client_order_id if approved else "",
            reasons=(intent.reason, *verdict.notes),
            denials=verdict.denials,
        )
    return Decision(
        slot_at=verdicts[0].intent.slot_at,
        decided_at=core.now,
        timeframes=(),
        equity_usd=core.equity_usd(),
        outcomes=outcomes,
    )


def _deltas_left(ended: Order) -> dict[str, Decimal]:
    """Return what each book still wants of an order; zero entries are left out."""
    deltas = ended.intent.deltas
    if ended.filled_shares <= 0:
        return dict(deltas)
    got = apportion(deltas, ended.filled_shares)
    left = {name: delta - got.get(name, ZERO) for name, delta in deltas.items()}
    return {name: delta for name, delta in left.items() if delta}


def _is_marketable(order: Order, core: Core) -> bool:
    """Return whether an order is to be priced anew. A person's is left as they gave it."""
    if order.intent.leg in (Leg.EXIT, Leg.FLATTEN):
        return isinstance(order.intent.terms, AtLimit)
    if OPERATOR in order.intent.deltas:
        return False
    marketable = core.rules.order_style is OrderStyle.MARKETABLE_LIMIT
    return marketable and isinstance(order.intent.terms, AtLimit)


def note_entry(core: Core, symbol: Symbol, before: Portfolio, after: Portfolio) -> None:
    """Remember since when a symbol is held, of the portfolios before and after a fill of it."""
    memory, had, has = core.memory, before.positions.get(symbol), after.positions.get(symbol)
    if has is None:
        memory.entered_at.pop(symbol, None)
        memory.marks.pop(symbol, None)
    elif had is None or (had.quantity_shares > ZERO) != (has.quantity_shares > ZERO):
        memory.entered_at[symbol] = core.now


def is_its(fill: Fill, order: Order) -> bool:
    """Return whether a fill can be of the order it names."""
    return fill.side is order.intent.side and fill.symbol == order.intent.symbol


def _rejected_late(order: Order, reason: str) -> Notify:
    return Notify(
        key=f"rejected:{order.intent.symbol}",
        severity=Severity.WARNING,
        message=f"the venue rejected an order for {order.intent.symbol} that it had taken: "
        f"{reason or 'no reason given'}",
        fields={"client_order_id": order.client_order_id},
    )


def _noted(order: Order) -> Record:
    return Record(fact=OrderMoved.of(order))

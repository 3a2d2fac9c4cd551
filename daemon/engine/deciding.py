"""One slot's decision: opinions → allocation → intents → gate → orders, in one pass."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from allocation.allocate import Allocator
from allocation.plan import Allocation, AllocationInputs, Ints, PlannedOrder
from daemon.engine.board import tick_of
from daemon.engine.commands import CancelOrder, Command, Record
from daemon.engine.core import Core
from daemon.engine.opinions import Opinions
from daemon.engine.outcomes import SlotOutcomes
from daemon.engine.rules import OrderStyle
from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.market import Flags, Floats, Quote
from domain.money import Rounding, to_price
from domain.orders import (
    EXTERNAL,
    OPERATOR,
    AtLimit,
    AtMarket,
    BookName,
    Leg,
    Order,
    OrderIntent,
    Side,
    Terms,
    Verdict,
)
from domain.portfolio import Portfolio, Position
from domain.signals import StrategyName
from domain.snapshot import Decision
from execution import pricing
from execution.order_states import request_cancel
from risk.exits import lift_cooldowns
from state import ledger
from state.records import Crossed

NEVER = datetime.min.replace(tzinfo=UTC)
AT_MARKET = AtMarket()
REFERENCE_TICK_USD = Decimal("0.0001")
"""The grid of the mid that a decision was taken on."""
BARS_HELD_UNKNOWN = 1_000_000
"""Long enough for any minimum hold: entered before anything we remember."""


@dataclass(slots=True)
class _Holdings:
    """The portfolio as arrays `[n]`, remade only when it has changed.

    `bars_held` counts up to and with the slot `counted_at`; `entered_at` is the latest entry.
    """

    portfolio: Portfolio
    account: Floats
    books: dict[BookName, Floats]
    bars_held: Ints
    counted_at: datetime | None
    entered_at: datetime


class Deciding:
    """Turns the latest opinions into orders, once a slot."""

    def __init__(
        self, core: Core, opinions: Opinions, allocator: Allocator, *, hold_bars_min: int
    ) -> None:
        self._core = core
        self._opinions = opinions
        self._allocator = allocator
        self._hold_bars_min = hold_bars_min
        self._base = core.panels.panels[core.rules.base_timeframe]
        self._column_of = core.universe.column_of()
        self._weights = {n: e.weight for n, e in core.rules.strategies.items() if e.weight > 0}
        self._holdings: _Holdings | None = None
        count = len(core.universe)
        self._nothing = np.zeros(count)
        self._nowhere = np.zeros(count, dtype=np.bool_)
        self._all_old = np.full(count, BARS_HELD_UNKNOWN, dtype=np.int64)
        for unchanging in (self._nothing, self._nowhere, self._all_old):
            unchanging.flags.writeable = False

    def decide(self, slot_at: datetime, timeframes: Sequence[Timeframe]) -> list[Command]:
        """Return everything that follows from a slot: one record, its orders, its cancels."""
        core = self._core
        inputs = self._inputs()
        allocation = self._allocator.allocate(inputs)
        self._lift_cooldowns(allocation)
        commands = self._cancels(allocation)
        commands += self._cross(allocation)
        intents = [self._intent(planned, slot_at) for planned in allocation.planned]
        account = inputs.account_shares
        opinions = dict(core.memory.opinions)

        def record(verdicts: Sequence[Verdict]) -> Decision:
            return Decision(
                slot_at=slot_at,
                decided_at=core.now,
                timeframes=tuple(timeframes),
                equity_usd=core.equity_usd(),
                outcomes=SlotOutcomes(
                    universe=core.universe,
                    column_of=self._column_of,
                    allocation=allocation,
                    held_shares=account,
                    opinions=opinions,
                    verdicts={v.intent.symbol: v for v in verdicts},
                ),
            )

        commands += core.commit(intents, record)
        core.memory.count("slots_decided")
        for timeframe in timeframes:
            core.memory.decided_slots[timeframe] = slot_at
        return commands

    # --- what allocation is given ----------------------------------------------------------------

    def _inputs(self) -> AllocationInputs:
        core, memory = self._core, self._core.memory
        held = self._holdings_now()
        equity_usd = float(core.sizing_equity_usd())
        statistics = core.panels.statistics()
        turnover_max_usd = core.rules.turnover_of_equity_per_day * equity_usd
        working, locked = self._working()
        mids_usd, marks_usd = core.board.mids_usd(core.now, max_age_s=core.rules.quote_max_age_s)
        return AllocationInputs(
            universe=core.universe,
            equity_usd=equity_usd,
            mids_usd=mids_usd,
            marks_usd=marks_usd,
            strengths=self._opinions.strengths(),
            weights=self._weights,
            book_shares=held.books,
            account_shares=held.account,
            working_shares=working,
            locked=locked,
            volatility=statistics.volatility,
            cluster_of=statistics.find_clusters,
            bars_held=held.bars_held,
            blocked=self._blocked(),
            turnover_left_usd=max(
                0.0, turnover_max_usd - float(memory.turnover_on(core.now.date()))
            ),
        )

    def inputs_ahead(
        self, mids_usd: Floats, strengths: Mapping[StrategyName, Floats]
    ) -> AllocationInputs:
        """Return what allocation would be given at the slots to come, rows `[t, n]`, if nothing
        were traded meanwhile; for a history, and while no order works and nothing is blocked.

        Equity is not known here; strategies that are not among the strengths keep their opinions.
        """
        held = self._holdings_now()
        statistics = self._core.panels.statistics()
        shape = mids_usd.shape
        kept = {
            name: np.broadcast_to(said, shape)
            for name, said in self._opinions.strengths().items()
            if name not in strengths
        }
        closed = np.arange(1, mids_usd.shape[0] + 1)[:, None]
        return AllocationInputs(
            universe=self._core.universe,
            equity_usd=np.nan,
            mids_usd=mids_usd,
            strengths={**kept, **strengths},
            weights=self._weights,
            book_shares=held.books,
            account_shares=held.account,
            working_shares=self._nothing,
            volatility=statistics.volatility,
            cluster_of=statistics.find_clusters,
            bars_held=held.bars_held + closed,
            blocked=self._nowhere,
            turnover_left_usd=np.nan,
        )

    def _holdings_now(self) -> _Holdings:
        portfolio = self._core.memory.portfolio
        if self._holdings is None or self._holdings.portfolio is not portfolio:
            before = self._holdings
            books = before.portfolio.books if before else {}
            self._holdings = _Holdings(
                portfolio=portfolio,
                account=self._shares_of(
                    portfolio.positions,
                    before.portfolio.positions if before else {},
                    before.account if before else self._nothing,
                ),
                books={
                    name: self._shares_of(
                        book.positions,
                        books[name].positions if before and name in books else {},
                        before.books[name] if before and name in books else self._nothing,
                    )
                    for name, book in portfolio.books.items()
                },
                bars_held=self._bars_held(),
                counted_at=self._base.last_slot_at,
                entered_at=max(self._core.memory.entered_at.values(), default=NEVER),
            )
        elif self._holdings.counted_at != self._base.last_slot_at:
            if self._holdings.entered_at >= self._oldest_at():
                self._holdings.bars_held = self._bars_held()
            else:
                self._holdings.bars_held = self._all_old
            self._holdings.counted_at = self._base.last_slot_at
        return self._holdings

    def _shares_of(
        self,
        positions: Mapping[Symbol, Position],
        before: Mapping[Symbol, Position],
        shares_before: Floats,
    ) -> Floats:
        """Return signed shares `[n]`; a position that has not changed is the same object."""
        if positions is before:
            return shares_before
        shares = shares_before.copy()
        for symbol in before.keys() - positions.keys():
            column = self._column_of.get(symbol)
            if column is not None:
                shares[column] = 0.0
        for symbol, position in positions.items():
            if before.get(symbol) is not position:
                column = self._column_of.get(symbol)
                if column is not None:
                    shares[column] = float(position.quantity_shares)
        return shares

    def _working(self) -> tuple[Floats, Flags]:
        """Return shares still to fill `[n]`, and where they are not allocation's to cancel."""
        if not self._core.memory.working:
            return self._nothing, self._nowhere
        shares = np.zeros(len(self._core.universe))
        locked = np.zeros(len(self._core.universe), dtype=np.bool_)
        for order in self._core.memory.working.values():
            column = self._column_of.get(order.intent.symbol)
            if column is not None:
                shares[column] += float(order.remaining_signed_shares)
                locked[column] |= not _is_allocations(order)
        return shares, locked

    def _bars_held(self) -> Ints:
        """Return the base slots closed since each symbol was entered; many for older ones than
        the panel tells of."""
        held = self._all_old.copy()
        slots = self._base.latest_slots(1 + self._hold_bars_min)
        oldest_at = self._oldest_at()
        entered_at = self._core.memory.entered_at
        for symbol, at in [(s, at) for s, at in entered_at.items() if at >= oldest_at]:
            column = self._column_of.get(symbol)
            if column is not None:
                held[column] = len(slots) - bisect_right(slots, at)
        return held

    def _oldest_at(self) -> datetime:
        """Return the slot before which an entry is old enough for any minimum hold."""
        slots = self._base.latest_slots(1 + self._hold_bars_min)
        return slots[0] if slots else self._core.now

    def _blocked(self) -> Flags:
        memory = self._core.memory
        if not memory.quarantined and not memory.cooldowns:
            return self._nowhere
        blocked = np.zeros(len(self._core.universe), dtype=np.bool_)
        for symbol in (*memory.quarantined, *memory.cooldowns):
            column = self._column_of.get(symbol)
            if column is not None:
                blocked[column] = True
        return blocked

    def _lift_cooldowns(self, allocation: Allocation) -> None:
        """Let symbols be entered again whose time is over and whose signal has reset."""
        memory = self._core.memory
        if not memory.cooldowns:
            return
        combined = {
            symbol: float(allocation.combined_strength[self._column_of[symbol]])
            for symbol in memory.cooldowns
            if symbol in self._column_of
        }
        memory.cooldowns = lift_cooldowns(
            memory.cooldowns, self._core.now, combined, self._core.rules.exit_strength
        )

    # --- what becomes of the answer --------------------------------------------------------------

    def _cancels(self, allocation: Allocation) -> list[Command]:
        wanted = {self._core.universe.symbols[column] for column in allocation.cancel}
        commands: list[Command] = []
        for order in list(self._core.memory.working.values()):
            if order.intent.symbol in wanted and _is_allocations(order):
                commands += cancel(self._core, order, "the wish has changed")
        return commands

    def _cross(self, allocation: Allocation) -> list[Command]:
        """Let books trade with each other at the slot's mid where no order is needed."""
        commands: list[Command] = []
        memory = self._core.memory
        for crossing in allocation.crossings:
            price_usd = self._core.board.mark_usd(crossing.symbol)
            if price_usd is None:
                continue
            memory.portfolio = ledger.cross(
                memory.portfolio, crossing.symbol, crossing.deltas, price_usd
            )
            commands.append(
                Record(
                    fact=Crossed(
                        at=self._core.now,
                        symbol=crossing.symbol,
                        moves=crossing.deltas,
                        price_usd=price_usd,
                    )
                )
            )
        return commands

    def _intent(self, planned: PlannedOrder, slot_at: datetime) -> OrderIntent:
        core = self._core
        symbol, leg = planned.symbol, planned.leg
        quote = core.board.quotes[symbol]
        return OrderIntent(
            client_order_id=core.identity(symbol, slot_at, leg),
            symbol=symbol,
            side=planned.side,
            quantity_shares=planned.quantity_shares,
            terms=self._terms(planned.side, quote),
            time_in_force=core.rules.time_in_force,
            leg=leg,
            slot_at=slot_at,
            intended_at=core.now,
            deltas=planned.deltas,
            reference_usd=to_price(quote.mid_usd, REFERENCE_TICK_USD, Rounding.NEAREST),
            reason=planned.reason,
        )

    def _terms(self, side: Side, quote: Quote) -> Terms:
        style = self._core.rules.order_style
        if style is OrderStyle.MARKET:
            return AT_MARKET
        tick_usd = tick_of(quote)
        if style is OrderStyle.MARKETABLE_LIMIT:
            return pricing.entry_terms(side, quote, tick_usd, self._core.rules.collar_bps)
        # Join the near side and wait: cheaper when it fills, and it may not.
        near_usd = quote.bid_usd if side is Side.BUY else quote.ask_usd
        rounding = Rounding.DOWN if side is Side.BUY else Rounding.UP
        return AtLimit(to_price(near_usd, tick_usd, rounding))


def cancel(core: Core, order: Order, reason: str) -> list[Command]:
    """Mark an order as being canceled and return the command; none for one already on its way.

    Whatever the reason, the order is not priced anew unless `chase` says so after this.
    """
    core.to_reprice.pop(order.client_order_id, None)
    if order.status.is_terminal or order.cancel_requested_at is not None:
        return []
    core.memory.remember(request_cancel(order, core.now))
    core.memory.count("cancels")
    return [
        CancelOrder(
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            reason=reason,
        )
    ]


def _is_allocations(order: Order) -> bool:
    intent = order.intent
    return intent.leg in (Leg.OPEN, Leg.CLOSE) and not intent.deltas.keys() & {EXTERNAL, OPERATOR}

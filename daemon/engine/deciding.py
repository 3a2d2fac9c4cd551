"""One slot's decision: opinions → allocation → intents → gate → orders, in one pass."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import numpy as np

from allocation.allocate import Allocator
from allocation.outlook import Outlook
from allocation.plan import Allocation, AllocationInputs, Ints, PlannedOrder
from allocation.stacked import StackedAllocator
from allocation.weighing import Weighed
from daemon.engine.board import tick_of
from daemon.engine.commands import CancelOrder, Command, Record
from daemon.engine.core import Core
from daemon.engine.holdings import Holdings
from daemon.engine.opinions import Opinions
from daemon.engine.outcomes import SlotOutcomes
from daemon.engine.panels import DailyStatistics
from daemon.engine.rules import OrderStyle
from domain.calendar import Timeframe
from domain.market import Flags, Floats, Quote
from domain.money import Rounding, to_price
from domain.orders import (
    EXTERNAL,
    OPERATOR,
    AtLimit,
    AtMarket,
    Leg,
    Order,
    OrderIntent,
    Side,
    Terms,
    Verdict,
)
from domain.signals import StrategyName
from domain.snapshot import Decision
from domain.values import replace as changed
from execution import pricing
from execution.order_states import request_cancel
from risk.exits import lift_cooldowns
from state import ledger
from state.records import Crossed

AT_MARKET = AtMarket()
_MARKET, _NEAREST = OrderStyle.MARKET, Rounding.NEAREST
REFERENCE_TICK_USD = Decimal("0.0001")
"""The grid of the mid that a decision was taken on."""


class Deciding:
    """Turns the latest opinions into orders, once a slot."""

    def __init__(
        self, core: Core, opinions: Opinions, allocator: Allocator, *, hold_bars_min: int
    ) -> None:
        self._core = core
        self._opinions = opinions
        self._allocator = allocator
        self._column_of = core.universe.column_of()
        self._weights = {n: e.weight for n, e in core.rules.strategies.items() if e.weight > 0}
        self._holdings = Holdings(core, hold_bars_min=hold_bars_min)
        count = len(core.universe)
        self._nothing = np.zeros(count)
        self._nowhere = np.zeros(count, dtype=np.bool_)
        for unchanging in (self._nothing, self._nowhere):
            unchanging.flags.writeable = False

    def decide(self, slot_at: datetime, timeframes: Sequence[Timeframe]) -> list[Command]:
        """Return everything that follows from a slot: one record, its orders, its cancels."""
        inputs = self._inputs()
        return self._concluded(slot_at, timeframes, inputs, self._allocator.allocate(inputs))

    def conclude(
        self, slot_at: datetime, timeframes: Sequence[Timeframe], weighed: Weighed
    ) -> list[Command]:
        """Return what `decide` would at a slot that was weighed beforehand, under these books."""
        left_usd = self._turnover_left_usd(weighed.inputs.equity_usd)
        inputs = changed(weighed.inputs, turnover_left_usd=left_usd)
        allocation = self._allocator.conclude(changed(weighed, inputs=inputs))
        return self._concluded(slot_at, timeframes, inputs, allocation)

    def _concluded(
        self,
        slot_at: datetime,
        timeframes: Sequence[Timeframe],
        inputs: AllocationInputs,
        allocation: Allocation,
    ) -> list[Command]:
        core, memory = self._core, self._core.memory
        if memory.cooldowns:
            self._lift_cooldowns(allocation)
        commands = self._cancels(allocation) if allocation.cancel else []
        if allocation.crossings:
            commands += self._cross(allocation)
        intents = [self._intent(planned, slot_at) for planned in allocation.planned]
        account, opinions = inputs.account_shares, memory.opinions.copy()

        def record(verdicts: Sequence[Verdict]) -> Decision:
            return Decision(
                slot_at=slot_at,
                decided_at=core.now,
                timeframes=tuple(timeframes),
                equity_usd=core.equity_usd(),
                outcomes=SlotOutcomes(
                    column_of=self._column_of,
                    allocation=allocation,
                    held_shares=account,
                    opinions=opinions,
                    verdicts={v.intent.symbol: v for v in verdicts},
                ),
            )

        commands += core.commit(intents, record)
        memory.count("slots_decided")
        for timeframe in timeframes:
            memory.decided_slots[timeframe] = slot_at
        return commands

    # --- what allocation is given ----------------------------------------------------------------

    def _inputs(self) -> AllocationInputs:
        core = self._core
        held = self._holdings.now()
        equity_usd = float(core.sizing_equity_usd())
        statistics = core.panels.statistics()
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
            turnover_left_usd=self._turnover_left_usd(equity_usd),
        )

    def _turnover_left_usd(self, equity_usd: float) -> float:
        core = self._core
        most_usd = core.rules.turnover_of_equity_per_day * equity_usd
        return max(0.0, most_usd - float(core.memory.turnover_on(core.now.date())))

    def inputs_ahead(
        self, mids_usd: Floats, *, closed_first: int, equity_usd: float = np.nan
    ) -> AllocationInputs:
        """Return what a look at the slots to come is given, rows `[t, n]`, or at the first alone
        `[n]`, if nothing were traded meanwhile; for a history, and while no order works and nothing
        is blocked.

        `closed_first`: how many bars will have closed between now and the first of the slots.
        Opinions, sizes and clusters are the outlook's; of many slots, equity is told beside it.
        """
        held = self._holdings.now()
        slots = 1 if mids_usd.ndim == 1 else len(mids_usd)
        return AllocationInputs(
            universe=self._core.universe,
            equity_usd=equity_usd,
            mids_usd=mids_usd,
            strengths={},
            weights=self._weights,
            book_shares=held.books,
            account_shares=held.account,
            working_shares=self._nothing,
            volatility=self._nothing,
            cluster_of=_no_clusters,
            bars_held=self._holdings.bars_held_ahead(closed_first, slots),
            blocked=self._nowhere,
            turnover_left_usd=np.nan,
        )

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

    def _blocked(self) -> Flags:
        memory = self._core.memory
        left_alone = (*self._core.left_alone(), *memory.cooldowns, *memory.refused)
        if not left_alone:
            return self._nowhere
        blocked = np.zeros(len(self._core.universe), dtype=np.bool_)
        for symbol in left_alone:
            column = self._column_of.get(symbol)
            if column is not None:
                blocked[column] = True
        return blocked

    def _lift_cooldowns(self, allocation: Allocation) -> None:
        """Let symbols be entered again whose time is over and whose signal has reset."""
        memory, strengths = self._core.memory, allocation.combined_strength
        combined = {
            symbol: float(strengths[self._column_of[symbol]])
            for symbol in memory.cooldowns
            if symbol in self._column_of
        }
        memory.cooldowns = lift_cooldowns(
            memory.cooldowns, self._core.now, combined, self._core.rules.exit_strength
        )

    # --- what becomes of the answer --------------------------------------------------------------

    def outlook(
        self,
        allocator: StackedAllocator,
        strengths: Mapping[StrategyName, Floats],
        statistics: Sequence[DailyStatistics],
        priced: Flags,
        mids_usd: Floats,
    ) -> Outlook:
        """Return what strengths `[t, n]` to come amount to, whatever is held; those that are not
        given stay as they are. statistics: of each slot, or one for all. mids_usd `[t, n]`: any
        positive number where nothing is priced."""
        kept = {
            name: np.broadcast_to(said, priced.shape)
            for name, said in self._opinions.strengths().items()
            if name not in strengths
        }
        sizes = allocator.sizes(np.array([known.volatility for known in statistics]))
        clusters = tuple(known.find_clusters for known in statistics)
        size = np.broadcast_to(sizes, priced.shape)
        said = {**kept, **strengths}
        return allocator.outlook(self._weights, said, size, clusters, priced, mids_usd)

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
            reference_usd=to_price(quote.mid_usd, REFERENCE_TICK_USD, _NEAREST),
            reason=planned.reason,
        )

    def _terms(self, side: Side, quote: Quote) -> Terms:
        style = self._core.rules.order_style
        if style is _MARKET:
            return AT_MARKET
        tick_usd = tick_of(quote)
        if style is OrderStyle.MARKETABLE_LIMIT:
            return pricing.entry_terms(side, quote, tick_usd, self._core.rules.collar_bps)
        # Join the near side and wait: cheaper when it fills, and it may not.
        near_usd = quote.bid_usd if side is Side.BUY else quote.ask_usd
        rounding = Rounding.DOWN if side is Side.BUY else Rounding.UP
        return AtLimit(to_price(near_usd, tick_usd, rounding))


def _no_clusters() -> Ints:
    return np.zeros(0, dtype=np.int64)


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

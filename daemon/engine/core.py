"""What the engine's parts share: universe, rules, memory, bars, quotes, and how intents commit."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from daemon.engine.board import Board
from daemon.engine.commands import Command, RecordDurably, SubmitOrder
from daemon.engine.daily_maps import DailyMaps, daily_maps
from daemon.engine.held import Held
from daemon.engine.panels import Panels
from daemon.engine.rules import EngineRules
from daemon.memory import Memory
from domain.calendar import Calendar
from domain.instruments import AssetRights, Instrument, Symbol, Universe
from domain.money import ZERO, to_usd
from domain.orders import ApprovedOrder, Fill, Leg, Order, OrderIntent, OrderStatus, Verdict
from domain.portfolio import Portfolio
from domain.snapshot import DayStart, Decision
from domain.values import replace as changed
from execution.identity import client_order_id
from risk.exposure import Totals
from risk.gate import RiskGate
from risk.limits import RiskLimits
from risk.losses import LossBases
from risk.view import RiskView
from state import ledger
from state.records import Decided, approved_intents

NET_BOOK = "net"
"""What stands for the book in a net order's identity: it belongs to all of them."""
_APPROVED, _OPEN = OrderStatus.APPROVED, Leg.OPEN
ORDER_RATE_WINDOW = timedelta(minutes=1)
LEAPT = "its price has leapt, and the account has not been compared since"


@dataclass(frozen=True, slots=True)
class _HeldSums:
    """`risk.exposure.HeldSums` of the account, at the board's last good mids."""

    core: "Core"

    def gross_usd(self) -> float | None:
        """Return the sum of all."""
        core = self.core
        core.held.take(core.memory.portfolio.positions)
        return core.held.gross_usd(core.board.good_mids_usd())

    def totals(self) -> Totals | None:
        """Return all sums but those of clusters."""
        core = self.core
        core.held.take(core.memory.portfolio.positions)
        return core.held.totals(core.board.good_mids_usd())

    def by_cluster_usd(self) -> dict[str, float] | None:
        """Return the sum of each cluster."""
        core = self.core
        core.held.take(core.memory.portfolio.positions)
        numbers = core.panels.statistics().cluster_of
        return core.held.by_cluster_usd(core.board.good_mids_usd(), numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leap:
    """A price of what is held that leapt: when first and last, the mark before, and for how many
    polls of quotes the account has been waited for."""

    seen_at: datetime
    last_at: datetime
    mark_usd: Decimal
    polls: int = 0


@dataclass(slots=True, kw_only=True)
class Core:
    """The engine's shared state. Its parts read and change it; nobody else does."""

    universe: Universe
    rules: EngineRules
    limits: RiskLimits
    memory: Memory
    panels: Panels
    board: Board
    gate: RiskGate
    calendar: Calendar
    now: datetime
    buying_power_usd: Decimal | None = None
    differing_usd: Decimal | None = None
    """The venue's equity, from a report that differs from our book and was not adopted."""
    to_reprice: dict[str, None] = field(default_factory=dict)
    """Orders that are being canceled for no other reason than to be sent at another price."""
    leapt: dict[Symbol, Leap] = field(default_factory=dict)
    """What is held, its price has leapt, and the account has not been compared since."""
    instruments: Mapping[Symbol, Instrument] = field(init=False)
    held: Held = field(init=False)
    rights: Mapping[Symbol, AssetRights] = field(init=False)
    """What the venue allows; `rules.rights` are those of the start."""
    _column_of: Mapping[Symbol, int] = field(init=False)
    _held_sums: _HeldSums = field(init=False)
    _daily: DailyMaps | None = None
    _equity: tuple[Portfolio, Decimal] | None = None
    _marked: tuple[Board, int] | None = None
    _kept_view: RiskView | None = None
    _bases: tuple[tuple[DayStart, Decimal, Decimal], LossBases] | None = None

    def __post_init__(self) -> None:
        self.rights = self.rules.rights
        self.instruments = {i.symbol: i for i in self.universe.instruments}
        self._column_of = self.universe.column_of()
        self.held = Held(self.universe)
        self._held_sums = _HeldSums(self)

    # --- what we are worth -----------------------------------------------------------------------

    def equity_usd(self) -> Decimal:
        """Return cash plus positions at their marks."""
        portfolio = self.memory.portfolio
        # Portfolios never change, and `refresh_marks` is the only one who changes marks.
        if self._equity is None or self._equity[0] is not portfolio:
            self._equity = portfolio, self.board.equity_usd(portfolio, self.memory.marks)
        return self._equity[1]

    def sizing_equity_usd(self) -> Decimal:
        """Return what positions are sized by: equity, on paper at most the cap plus our profit;
        while our book is not the venue's, no more than the account is worth there."""
        equity = self.equity_usd()
        if self.differing_usd is not None:
            equity = min(equity, self.differing_usd)
        cap = self.rules.capital_cap_usd
        if cap is None:
            return equity
        profit = ledger.account_profit_usd(self.memory.portfolio, self.memory.marks)
        return min(equity, to_usd(cap) + profit)

    def refresh_marks(self) -> None:
        """Take the last good mid of every held symbol as its mark, and raise the peak."""
        memory, board = self.memory, self.board
        held = memory.portfolio.positions
        marked = self._marked
        if marked is None or marked[0] is not board or marked[1] != board.version:
            board.mark(held, memory.marks)
            memory.marks.update((s, leap.mark_usd) for s, leap in self.leapt.items())
            self._equity = None
        elif board.mark_new(held, memory.marks):
            # No price has changed: only what was bought since had still to be marked.
            self._equity = None
        self._marked = board, board.version
        self.raise_peak()

    def take_worth(self, equity_usd: Decimal) -> None:
        """Take in what the account is known to be worth at the board's new prices, as
        `refresh_marks` does where the board makes the marks and no price has leapt."""
        self._marked = self.board, self.board.version
        self._equity = self.memory.portfolio, equity_usd
        self.raise_peak_to(equity_usd)

    def believe(self, symbol: Symbol) -> None:
        """Mark a symbol whose price had leapt by that price from now on."""
        if self.leapt.pop(symbol, None) is not None:
            self._marked = None

    def left_alone(self) -> Mapping[Symbol, str]:
        """Return what is not to be traded now, and why."""
        quarantined = self.memory.quarantined
        if not self.leapt:
            return quarantined
        return {**dict.fromkeys(self.leapt, LEAPT), **quarantined}

    def raise_peak(self) -> None:
        """Remember the equity, flows left out, where it is higher than ever."""
        self.raise_peak_to(self.equity_usd())

    def raise_peak_to(self, equity_usd: Decimal) -> None:
        """Remember an equity, as `raise_peak` does that of now."""
        memory = self.memory
        adjusted = equity_usd - memory.portfolio.flows_usd
        if memory.equity_peak_usd is None or adjusted > memory.equity_peak_usd:
            memory.equity_peak_usd = adjusted

    def carry_equity(self, before: Portfolio, fill: Fill) -> bool:
        """Carry the equity over a fill just booked, and return whether that could be done; the
        same, to the last digit, as marking and adding up all positions anew, which it spares while
        no price has changed."""
        if self._equity is None or self._equity[0] is not before:
            return False
        worth = self._after(self._equity[1], (fill,))
        if worth is None:
            return False
        self._equity = self.memory.portfolio, worth[0]
        return True

    def equity_after(self, fills: Sequence[Fill]) -> list[Decimal] | None:
        """Return the equity after each of some fills that are still to be booked, None where it
        cannot be carried over them; their marks are noted."""
        portfolio = self.memory.portfolio
        if self._equity is None or self._equity[0] is not portfolio:
            return None
        return self._after(self._equity[1], fills)

    def carry_on(self, worth: Sequence[Decimal]) -> None:
        """Take what `equity_after` has said of fills just booked; the peak is raised at each."""
        self._equity = self.memory.portfolio, worth[-1]
        self.raise_peak_to(max(worth))

    def _after(self, equity_usd: Decimal, fills: Iterable[Fill]) -> list[Decimal] | None:
        board, marks, marked = self.board, self.memory.marks, self._marked
        if marked is None or marked[0] is not board or marked[1] != board.version:
            return None
        worth = []
        for fill in fills:
            mark = board.mark_usd(fill.symbol)
            if mark is None or fill.symbol in self.leapt:
                return None
            equity_usd += fill.signed_shares * (mark - fill.price_usd) - fill.fee_usd
            worth.append(equity_usd)
            marks[fill.symbol] = mark
        return worth

    # --- what the gate sees ----------------------------------------------------------------------

    def daily(self) -> DailyMaps:
        """Return the daily statistics by symbol."""
        statistics = self.panels.statistics()
        if self._daily is None or self._daily.source is not statistics:
            self._daily = daily_maps(statistics, self._column_of)
        return self._daily

    def view(self) -> RiskView:
        """Return the account, the market and the day as the gate's rules see them."""
        memory, now = self.memory, self.now
        sent, portfolio, day = memory.submitted_at, memory.portfolio, now.date()
        while sent and now - sent[0] > ORDER_RATE_WINDOW:
            sent.popleft()
        return changed(
            self._lasting(),
            as_of=now,
            trading=memory.trading,
            session=memory.session,
            portfolio=portfolio,
            equity_usd=self.sizing_equity_usd(),
            account_equity_usd=self.equity_usd(),
            loss_bases=self.loss_bases(),
            settled_cash_usd=portfolio.cash_usd,
            buying_power_usd=self.buying_power_usd,
            quarantined=self.left_alone(),
            working=tuple(memory.working.values()),
            turnover_today_usd=memory.turnover_on(day),
            order_times=tuple(sent),
            orders_today=memory.entries_on(day),
        )

    def _lasting(self) -> RiskView:
        """Return a view that is right in what seldom changes; of all else it says nothing."""
        memory, board, daily, kept = self.memory, self.board, self.daily(), self._kept_view
        if (
            kept is None
            or kept.quotes is not board.quotes
            or kept.assets is not self.rights
            or kept.cooldown_until is not memory.cooldowns
            or kept.average_volume_shares is not daily.volume_shares
        ):
            kept = self._kept_view = RiskView(
                as_of=self.now,
                trading=memory.trading,
                session=None,
                instruments=self.instruments,
                assets=self.rights,
                quotes=board.quotes,
                portfolio=memory.portfolio,
                equity_usd=None,
                loss_bases=None,
                settled_cash_usd=None,
                buying_power_usd=None,
                last_good_usd=board.last_good_usd,
                reference_close_usd=daily.previous_close_usd,
                average_volume_shares=daily.volume_shares,
                cluster_of=daily.cluster_of,
                cooldown_until=memory.cooldowns,
                held_sums=self._held_sums,
            )
        return kept

    def loss_bases(self) -> LossBases | None:
        """Return what losses are measured from, None before the first day's start is known."""
        memory = self.memory
        start, peak_usd = memory.day_start, memory.equity_peak_usd
        flows_usd, known = memory.portfolio.flows_usd, self._bases
        if known is not None and known[0] == (start, peak_usd, flows_usd):
            return known[1]
        if start is None or peak_usd is None or start.equity_usd <= 0 or peak_usd <= 0:
            return None
        bases = LossBases(
            day_start_usd=start.equity_usd,
            peak_usd=peak_usd,
            flows_today_usd=flows_usd - start.flows_usd,
            flows_usd=flows_usd,
        )
        self._bases = (start, peak_usd, flows_usd), bases
        return bases

    # --- how intents become orders ---------------------------------------------------------------

    def identity(self, symbol: Symbol, slot_at: datetime, leg: Leg, book: str = NET_BOOK) -> str:
        """Return the next order's id: its ordinal counts the finished ones of this slot and leg."""
        ordinal = self.memory.finished_on(symbol, slot_at, leg)
        return client_order_id(self.memory.account_id, book, symbol, slot_at, leg, ordinal)

    def commit(
        self,
        intents: Sequence[OrderIntent],
        decide: Callable[[Sequence[Verdict]], Decision],
        *,
        repricings: int = 0,
    ) -> list[Command]:
        """Judge intents together and return one record of them all, then the orders to send.

        An order is remembered as APPROVED before it is sent, so that it counts as working from
        this instant on.
        """
        verdicts = self.gate.judge_all(intents, self.view()) if intents else []
        memory = self.memory
        approved: list[ApprovedOrder] = []
        for verdict in verdicts:
            order = verdict.approved
            if order is None or verdict.denials:
                self._count(verdict)
            if order is not None:
                intent = order.intent
                approved.append(order)
                memory.remember(Order(intent=intent, status=_APPROVED, repricings=repricings))
                if intent.leg is _OPEN:
                    memory.note_entry(self.now)
        decision = decide(verdicts)
        memory.last_decision = merge(memory.last_decision, decision)
        kept = approved_intents(approved, repricings=repricings)
        return [
            RecordDurably(fact=Decided(decision=decision, orders=kept)),
            *[SubmitOrder(order=order) for order in approved],
        ]

    def _count(self, verdict: Verdict) -> None:
        if verdict.approved is None:
            self.memory.count("orders_denied")
        for denial in verdict.denials:
            self.memory.count(f"denials.{denial.rule}")

    def has_working(self, symbol: Symbol) -> bool:
        """Return whether an order of ours may still fill."""
        return any(o.intent.symbol == symbol for o in self.memory.working.values())

    def reference_usd(self, symbol: Symbol) -> Decimal:
        """Return the last good mid of a symbol, else its mark, else what it cost.

        Raises LookupError for a symbol neither quoted nor held.
        """
        mark = self.board.mark_usd(symbol) or self.memory.marks.get(symbol)
        if mark is not None:
            return mark
        position = self.memory.portfolio.positions.get(symbol)
        if position is None:
            raise LookupError(f"no price of {symbol} is known")
        return position.average_entry_usd

    def own_positions(self) -> dict[Symbol, Decimal]:
        """Return the signed shares that we opened, by symbol."""
        portfolio = self.memory.portfolio
        own = {s: ledger.own_shares(portfolio, s) for s in portfolio.positions}
        return {symbol: shares for symbol, shares in own.items() if shares != ZERO}


def merge(before: Decision | None, latest: Decision) -> Decision:
    """Return a decision that still says, for symbols it did not look at, what was said before."""
    if before is None or len(latest.outcomes) >= len(before.outcomes):
        return latest
    said, older = dict(latest.outcomes), before.outcomes
    if isinstance(older, ChainMap):
        said, older = {**older.maps[0], **said}, older.maps[1]
    # Not spelled out: a slot's outcomes are many, and an exit's is one.
    return replace(latest, outcomes=ChainMap(said, cast(MutableMapping[Symbol, Any], older)))

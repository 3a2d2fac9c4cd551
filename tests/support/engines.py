"""An engine on three symbols, and a desk that plays shell, strategies and venue around it.

Round numbers: $100,000, prices around $100, targets of 10 % of equity: 100 shares a symbol.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from allocation.rules import AllocationRules
from daemon.engine import Engine, EngineParts, EngineRules, StrategyEntry
from daemon.engine.commands import (
    Ask,
    CancelOrder,
    Command,
    Compare,
    Notify,
    Record,
    RecordDurably,
    ScheduleDecision,
    SubmitOrder,
)
from daemon.memory import Memory
from daemon.startup import memory_of
from domain.calendar import Session, Timeframe
from domain.events import (
    AccountReported,
    Action,
    BarsClosed,
    DecisionDue,
    Event,
    OperatorAsked,
    OpinionFailed,
    OpinionGiven,
    OrderChanged,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    SubmitStarted,
)
from domain.instruments import Sector, Symbol, Universe
from domain.market import Bar, BarRow, Market, Quote, Reads
from domain.orders import ApprovedOrder, Fill, Order, OrderReport, OrderStatus, OrderUpdate
from domain.portfolio import AccountReport, Position
from domain.signals import OpinionFault, Signals
from domain.snapshot import Decision, Snapshot
from risk.gate import RiskGate
from risk.limits import RiskLimits
from risk.rules import all_rules
from risk.view import AssetRights
from state import ledger
from state.json_store import JsonStateStore
from state.memory_filesystem import MemoryFileSystem
from state.records import Fact
from tests.support.allocations import instrument
from tests.support.sessions import weekdays

NAN = math.nan
A, B, C = Symbol("AAA"), Symbol("BBB"), Symbol("CCC")
UNIVERSE = Universe(
    (
        instrument("AAA"),
        instrument("BBB", sector=Sector.FINANCIALS),
        instrument("CCC", sector=Sector.HEALTH_CARE),
    )
)
CALENDAR = weekdays("2026-04-20", 60, half_days=("2026-06-03",))
"""June 3rd, a Wednesday, is a half-day; June 6th and 7th are a weekend."""
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (
    s for s in CALENDAR.sessions if "2026-06-01" <= s.day.isoformat() <= "2026-06-05"
)
NEXT_MONDAY = CALENDAR.next_open(FRIDAY.closes_at)
FIFTEEN, FIVE, DAY = Timeframe.FIFTEEN_MINUTES, Timeframe.FIVE_MINUTES, Timeframe.DAY
HALF_SPREAD_USD = 0.01
LATE_MORNING = timedelta(hours=1)
WIDE_LIMITS = RiskLimits(
    max_position_size=Decimal("0.25"),
    sector_caps=dict.fromkeys(Sector, Decimal(1)),
    daily_turnover_max=Decimal(10),
    orders_per_minute_max=1_000,
    orders_per_day_max=10_000,
)
WIDE_ALLOCATION = AllocationRules(
    sector_caps={},
    tier_budgets={},
    etf_cap=99.0,
    target_position=0.10,
    max_position=0.25,
    hold_bars_min=0,
    turnover_of_equity_per_day=10.0,
    volatility_reference=0.20,
)
FactT = TypeVar("FactT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """A strategy that always says the same."""

    strengths: tuple[float, ...] = (NAN, NAN, NAN)
    timeframe: Timeframe = FIFTEEN
    lookback_bars: int = 2
    heavy: bool = False
    reads: frozenset[Reads] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False

    def decide(self, market: Market) -> Signals:
        return signals(*self.strengths)


def signals(*strengths: float) -> Signals:
    return Signals(strength=np.array(strengths, dtype=np.float64))


def entry(timeframe: Timeframe = FIFTEEN, **changes: Any) -> StrategyEntry:
    """An entry of weight 1."""
    heavy = changes.pop("heavy", False)
    strategy = changes.pop("strategy", Scripted(timeframe=timeframe, heavy=heavy))
    return StrategyEntry(**{"strategy": strategy, "weight": 1.0, **changes})


def rules_of(strategies: Mapping[str, StrategyEntry], **changes: Any) -> EngineRules:
    fields: dict[str, Any] = {
        "strategies": strategies,
        "base_timeframe": FIFTEEN,
        "rights": {
            s: AssetRights(tradable=True, shortable=True, fractionable=True)
            for s in UNIVERSE.symbols
        },
        "turnover_of_equity_per_day": 10.0,
        "cluster_days": 20,
        "history_days": 22,
    }
    return EngineRules(**{**fields, **changes})


def parts_of(
    rules: EngineRules,
    limits: RiskLimits = WIDE_LIMITS,
    allocation: AllocationRules = WIDE_ALLOCATION,
) -> EngineParts:
    return EngineParts(
        universe=UNIVERSE,
        rules=rules,
        limits=limits,
        allocation=allocation,
        gate=RiskGate(rules=all_rules(limits), approval_ttl_s=30.0),
        calendar=CALENDAR,
    )


def an_engine(
    rules: EngineRules,
    memory: Memory | None = None,
    *,
    now: datetime,
    limits: RiskLimits = WIDE_LIMITS,
    allocation: AllocationRules = WIDE_ALLOCATION,
) -> Engine:
    """Return an engine warmed with the daily bars of the sessions before `now`, all at $100."""
    known = memory or a_memory(now)
    engine = Engine(parts_of(rules, limits, allocation), known, now=now)
    past = CALENDAR.before(now, rules.history_days)
    history = {s: [daily_bar(s, session) for session in past] for s in UNIVERSE.symbols}
    engine.warm(DAY, history, [session.closes_at for session in past])
    return engine


def a_memory(now: datetime, account: AccountReport | None = None) -> Memory:
    """Return what is known of an account never seen before."""
    return memory_of(
        None,
        account or account_of(now),
        venue="embedded",
        symbols=UNIVERSE.symbols,
        now=now,
    )


def account_of(
    now: datetime, cash: Decimal | int = 100_000, held: Mapping[Symbol, Position] | None = None
) -> AccountReport:
    """Return the account as the venue shows it; it holds nothing unless told."""
    own = dict(held or {})
    value = sum((p.quantity_shares * p.average_entry_usd for p in own.values()), Decimal(0))
    return AccountReport(
        account_id="PA1",
        cash_usd=Decimal(cash),
        equity_usd=Decimal(cash) + value,
        last_equity_usd=Decimal(cash) + value,
        buying_power_usd=Decimal(4) * Decimal(cash),
        positions=own,
        is_blocked=False,
        shorting_enabled=True,
        reported_at=now,
    )


def a_position(shares: int, entry_usd: float = 100) -> Position:
    return Position(quantity_shares=Decimal(shares), average_entry_usd=Decimal(str(entry_usd)))


def daily_bar(symbol: Symbol, session: Session) -> Bar:
    """Return a session's bar at $100, dated as the venue dates it: midnight in New York."""
    return Bar(
        symbol=symbol,
        opened_at=session.opens_at.replace(hour=4, minute=0),
        open_usd=100.0,
        high_usd=100.0,
        low_usd=100.0,
        close_usd=100.0,
        volume_shares=1e7,
    )


def a_row(price: float = 100.0) -> BarRow:
    full = np.full(len(UNIVERSE), price)
    return BarRow(open=full, high=full, low=full, close=full, volume=np.full(len(UNIVERSE), 1e5))


def bars_closed(slot_at: datetime, *timeframes: Timeframe, settle_s: float = 1.0) -> BarsClosed:
    """Return the bars of a slot, one second after it."""
    rows = {timeframe: a_row() for timeframe in timeframes or (FIFTEEN,)}
    return BarsClosed(at=slot_at + timedelta(seconds=settle_s), slot_at=slot_at, rows=rows)


def quote_of(symbol: Symbol, mid_usd: float, quoted_at: datetime) -> Quote:
    return Quote(
        symbol=symbol,
        bid_usd=round(mid_usd - HALF_SPREAD_USD, 4),
        ask_usd=round(mid_usd + HALF_SPREAD_USD, 4),
        quoted_at=quoted_at,
    )


def polled(now: datetime, mids_usd: Mapping[Symbol, float] | None = None) -> QuotesPolled:
    """Return fresh quotes of all symbols, $100 where nothing else is said."""
    mids = {**dict.fromkeys(UNIVERSE.symbols, 100.0), **(mids_usd or {})}
    return QuotesPolled(at=now, quotes={s: quote_of(s, m, now) for s, m in mids.items()})


class Desk:
    """Plays everything around an engine; `says` are the strategies' answers, by name.

    A name that is not in `says` does not answer; `now` only moves by what is called.
    """

    def __init__(
        self,
        strategies: Mapping[str, StrategyEntry] | None = None,
        *,
        says: Mapping[str, Sequence[float]] | None = None,
        now: datetime = MONDAY.opens_at + LATE_MORNING,
        memory: Memory | None = None,
        limits: RiskLimits = WIDE_LIMITS,
        allocation: AllocationRules = WIDE_ALLOCATION,
        **rules: Any,
    ) -> None:
        self.says: dict[str, Sequence[float]] = dict(says or {})
        self.rules = rules_of(strategies or {"one": entry()}, **rules)
        self.limits, self.allocation = limits, allocation
        self.now = now
        self.engine = self._an_engine(memory)
        self.asks: list[Ask] = []
        self.sent: list[ApprovedOrder] = []
        self.cancels: list[CancelOrder] = []
        self.scheduled: list[ScheduleDecision] = []
        self.notices: list[Notify] = []
        self.commands: list[Command] = []
        self.compares = True
        """Whether the account is read at once when the engine asks for it, and is as our book."""
        self._numbers = 0
        self._polled_at = now - timedelta(seconds=1)

    def _an_engine(self, memory: Memory | None) -> Engine:
        return an_engine(
            self.rules, memory, now=self.now, limits=self.limits, allocation=self.allocation
        )

    # --- events ----------------------------------------------------------------------------------

    def post(self, event: Event) -> list[Command]:
        """Have an event handled, and what it asks of strategies answered; return all commands."""
        self.now = max(self.now, event.at)
        commands = self.engine.handle(event)
        self.commands += commands
        self.sent += [c.order for c in commands if isinstance(c, SubmitOrder)]
        self.cancels += [c for c in commands if isinstance(c, CancelOrder)]
        self.scheduled += [c for c in commands if isinstance(c, ScheduleDecision)]
        self.notices += [c for c in commands if isinstance(c, Notify)]
        asks = [c for c in commands if isinstance(c, Ask)]
        self.asks += asks
        for ask in asks:
            if ask.strategy in self.says:
                commands = commands + self.answer(ask)
        if self.compares and any(isinstance(c, Compare) for c in commands):
            commands = commands + self.report()
        return commands

    def answer(self, ask: Ask) -> list[Command]:
        """Give the scripted answer to one ask."""
        return self.opinion(ask.strategy, ask.slot_at, *self.says[ask.strategy])

    def opinion(self, name: str, slot_at: datetime, *strengths: float) -> list[Command]:
        return self.post(
            OpinionGiven(at=self.now, strategy=name, slot_at=slot_at, signals=signals(*strengths))
        )

    def failure(
        self, name: str, slot_at: datetime, fault: OpinionFault = OpinionFault.RAISED
    ) -> list[Command]:
        return self.post(
            OpinionFailed(
                at=self.now, strategy=name, slot_at=slot_at, fault=fault, detail="because"
            )
        )

    def wait(self, seconds: float) -> "Desk":
        self.now += timedelta(seconds=seconds)
        return self

    def open(self, session: Session = MONDAY, *, at: datetime | None = None) -> list[Command]:
        """Begin a session, or start inside it; the account is reported first, as at start-up."""
        self.now = max(self.now, at or session.opens_at)
        return self.post(SessionOpened(at=self.now, session=session))

    def close(self, session: Session = MONDAY) -> list[Command]:
        self.now = max(self.now, session.closes_at)
        return self.post(SessionClosed(at=self.now, session=session))

    def poll(self, **mids_usd: float) -> list[Command]:
        """Show fresh quotes: `poll(AAA=95)`; at least a second after the last ones."""
        self.now = self._polled_at = max(self.now, self._polled_at + timedelta(seconds=1))
        return self.post(polled(self.now, {Symbol(s): m for s, m in mids_usd.items()}))

    def slot(self, slot_at: datetime, *timeframes: Timeframe) -> list[Command]:
        """Close a slot's bars, on fresh quotes; return the commands of the bars alone."""
        self.now = max(self.now, slot_at + timedelta(seconds=1))
        self.poll(**self.mids())
        closed = bars_closed(slot_at, *timeframes)
        return self.post(replace(closed, at=self.now))

    def mids(self) -> dict[str, float]:
        """The mids shown last, so that a slot does not move prices."""
        return {str(s): q.mid_usd for s, q in self.engine.core.board.quotes.items()}

    def next_slot(self) -> datetime:
        """Return the first quarter of an hour after now."""
        session = CALENDAR.current_or_next(self.now)
        return next(s for s in session.slots(FIFTEEN) if s > self.now)

    def due(self) -> list[Command]:
        """Let the decision scheduled last become due."""
        wanted = self.scheduled[-1]
        self.now = max(self.now, wanted.due_at)
        self.poll(**self.mids())
        return self.post(DecisionDue(at=self.now, slot_at=wanted.slot_at))

    def ask(self, action: Action, **fields: Any) -> list[Command]:
        return self.post(OperatorAsked(at=self.now, action=action, **fields))

    # --- the venue -------------------------------------------------------------------------------

    def start(self, order: ApprovedOrder) -> list[Command]:
        """Put the first byte on the wire."""
        return self.post(SubmitStarted(at=self.now, client_order_id=order.intent.client_order_id))

    def tell(
        self, order: ApprovedOrder, status: OrderStatus, filled: Decimal | int = 0
    ) -> list[Command]:
        """Let the venue say where an order stands."""
        intent = order.intent
        report = OrderReport(
            client_order_id=intent.client_order_id,
            venue_order_id=f"v-{intent.client_order_id}",
            symbol=intent.symbol,
            side=intent.side,
            status=status,
            quantity_shares=intent.quantity_shares,
            filled_shares=Decimal(filled),
            terms=intent.terms,
            time_in_force=intent.time_in_force,
            submitted_at=self.now,
            updated_at=self.now,
        )
        return self.post(OrderChanged(at=self.now, update=OrderUpdate(report=report, at=self.now)))

    def work(self, order: ApprovedOrder) -> ApprovedOrder:
        """Let an order reach the venue and work there."""
        self.start(order)
        self.tell(order, OrderStatus.WORKING)
        return order

    def a_fill(
        self, order: ApprovedOrder, shares: Decimal | int | None = None, price: float = 100
    ) -> Fill:
        """Return an execution of an order, with an id of its own."""
        intent = order.intent
        self._numbers += 1
        return Fill(
            fill_id=f"f{self._numbers}",
            client_order_id=intent.client_order_id,
            venue_order_id=f"v-{intent.client_order_id}",
            symbol=intent.symbol,
            side=intent.side,
            quantity_shares=Decimal(shares) if shares is not None else intent.quantity_shares,
            price_usd=Decimal(str(price)),
            fee_usd=Decimal(0),
            filled_at=self.now,
        )

    def book(self, fill: Fill) -> list[Command]:
        return self.post(OrderFilled(at=self.now, fill=fill))

    def fill(
        self, order: ApprovedOrder, shares: Decimal | int | None = None, price: float = 100
    ) -> Fill:
        """Let the venue execute some of an order, all unless told."""
        made = self.a_fill(order, shares, price)
        self.book(made)
        return made

    def fill_all(self, price: float = 100) -> None:
        """Let everything sent and unfinished reach the venue and fill."""
        for order in list(self.sent):
            if order.intent.client_order_id in self.memory.working:
                self.work(order)
                left = self.order(order).remaining_shares
                self.fill(order, left, price)
                self.tell(order, OrderStatus.FILLED, order.intent.quantity_shares)

    def report(self, account: AccountReport | None = None, *orders: OrderReport) -> list[Command]:
        """Report the account: as we book it, unless told otherwise."""
        shown = account or self.account()
        return self.post(
            AccountReported(at=self.now, account=shown, open_orders=orders or self.open_orders())
        )

    def account(self) -> AccountReport:
        """Return the account as the venue would show it if it agreed with us."""
        portfolio = self.memory.portfolio
        return account_of(self.now, portfolio.cash_usd, portfolio.positions)

    def open_orders(self) -> tuple[OrderReport, ...]:
        """Return what the venue would show as open if it agreed with us."""
        return tuple(
            OrderReport(
                client_order_id=order.client_order_id,
                venue_order_id=order.venue_order_id,
                symbol=order.intent.symbol,
                side=order.intent.side,
                status=order.status,
                quantity_shares=order.intent.quantity_shares,
                filled_shares=order.filled_shares,
                terms=order.intent.terms,
                time_in_force=order.intent.time_in_force,
                submitted_at=order.submitted_at,
                updated_at=self.now,
            )
            for order in self.memory.working.values()
            if order.venue_order_id and order.submitted_at is not None
        )

    # --- looking ---------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        return self.engine.memory

    def order(self, order: ApprovedOrder) -> Order:
        """Return an order as the engine knows it."""
        return self.memory.orders[order.intent.client_order_id]

    def held(self, symbol: Symbol = A) -> Decimal:
        return self.memory.portfolio.shares(symbol)

    def sent_for(self, symbol: Symbol) -> list[ApprovedOrder]:
        return [o for o in self.sent if o.intent.symbol == symbol]

    def facts(self, kind: type[FactT]) -> list[FactT]:
        """Return what was to be recorded of one kind, in order."""
        return [f for f in recorded(self.commands) if isinstance(f, kind)]

    @property
    def decision(self) -> Decision:
        assert self.memory.last_decision is not None
        return self.memory.last_decision

    def books_match(self) -> bool:
        """Return whether the books sum to the account, symbol by symbol, and in profit."""
        portfolio = self.memory.portfolio
        marks = {s: Decimal(100) for s in portfolio.positions}
        profits = sum(
            (ledger.book_profit_usd(b, marks) for b in portfolio.books.values()), Decimal(0)
        )
        same_shares = all(
            sum((b.shares(s) for b in portfolio.books.values()), Decimal(0)) == portfolio.shares(s)
            for s in {
                *portfolio.positions,
                *(s for b in portfolio.books.values() for s in b.positions),
            }
        )
        return same_shares and profits == ledger.account_profit_usd(portfolio, marks)

    def restarted(self, *, after_s: float = 60.0) -> "Desk":
        """Return a new process's desk: it knows what a saved snapshot can tell, and no more."""
        return self.recovered(through_a_file(self.engine.snapshot(self.now)), after_s=after_s)

    def recovered(self, snapshot: Snapshot, *, after_s: float = 60.0) -> "Desk":
        """Return a new process's desk on a snapshot."""
        fresh = Desk(
            self.rules.strategies,
            says=self.says,
            now=self.now + timedelta(seconds=after_s),
            limits=self.limits,
            allocation=self.allocation,
        )
        fresh.rules = self.rules
        fresh.engine = fresh._an_engine(Memory.of(snapshot, UNIVERSE.symbols))
        return fresh


def a_desk(**says: Sequence[float]) -> Desk:
    """Return a desk an hour into Monday, reconciled and with quotes; keywords are strategies."""
    desk = Desk({name: entry() for name in says} or None, says=says)
    return ready(desk)


def ready(desk: Desk, session: Session = MONDAY) -> Desk:
    """Reconcile, begin the session and show quotes."""
    desk.report()
    desk.open(session)
    desk.poll()
    return desk


def through_a_file(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as it is read back after being saved."""
    store = JsonStateStore(MemoryFileSystem(), Path("/state"))
    store.save(snapshot)
    loaded = store.load()
    assert loaded is not None
    return loaded


def recorded(commands: Sequence[Command]) -> list[Fact]:
    return [c.fact for c in commands if isinstance(c, Record | RecordDurably)]


def kinds(commands: Sequence[Command]) -> list[str]:
    """Return the names of the commands' types, for asserting their order."""
    return [type(c).__name__ for c in commands]

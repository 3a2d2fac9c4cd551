"""A venue in memory that a test moves by hand, and the two ports over it.

`FakeVenue` is the world: quotes, bars, orders, executions, an account. `FakeBroker` and
`FakePriceSource` show it through `domain.ports`; `tests/support/fake_alpaca.py` shows the same
world over HTTP. Nothing happens by itself, except where `fills_marketable_orders` asks for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from domain.calendar import Calendar, Session, Timeframe
from domain.errors import VenueError, VenueRejected, VenueUnavailable
from domain.instruments import Symbol
from domain.market import Bar, Quote
from domain.money import ZERO
from domain.orders import (
    ApprovedOrder,
    AtLimit,
    AtMarket,
    Bust,
    Fill,
    OrderReport,
    OrderStatus,
    OrderUpdate,
    Side,
    Terms,
    TimeInForce,
)
from domain.portfolio import AccountReport, Position
from domain.ports import Clock, StreamConnected

VenueEvent = OrderUpdate | Fill | Bust
DUPLICATE_CODE = 40010001
OrderKey = str
"""A client order id."""


class FakeVenue:
    """Prices, orders and an account; a test reads and moves everything directly."""

    def __init__(self, clock: Clock, *, cash_usd: Decimal = Decimal(100_000)) -> None:
        self.clock = clock
        self.cash_usd = cash_usd
        self.account_id = "PA0001"
        self.is_blocked = False
        self.quotes: dict[Symbol, Quote] = {}
        self.bars: dict[tuple[Symbol, Timeframe], list[Bar]] = {}
        self.orders: dict[OrderKey, OrderReport] = {}
        self.fills: list[Fill] = []
        self.positions: dict[Symbol, Position] = {}
        self.sessions: list[Session] = []
        self.fills_marketable_orders = False
        self.refusals: deque[VenueRejected] = deque()
        """Answers to the next submissions, in order."""
        self._subscribers: list[asyncio.Queue[VenueEvent | None]] = []
        self._numbers = 0

    # --- prices -------------------------------------------------------------------------------

    def quote(self, symbol: str, bid: float, ask: float, *, at: datetime | None = None) -> Quote:
        """Show a bid and an ask from now on."""
        made = Quote(
            symbol=Symbol(symbol),
            bid_usd=bid,
            ask_usd=ask,
            quoted_at=at or self.clock.now(),
            bid_size_shares=100.0,
            ask_size_shares=200.0,
        )
        self.quotes[made.symbol] = made
        return made

    def bar(self, symbol: str, timeframe: Timeframe, opened_at: datetime, price: float) -> Bar:
        """Add a bar that stands at one price."""
        made = Bar(
            symbol=Symbol(symbol),
            opened_at=opened_at,
            open_usd=price,
            high_usd=price,
            low_usd=price,
            close_usd=price,
            volume_shares=1_000.0,
        )
        self.bars.setdefault((made.symbol, timeframe), []).append(made)
        return made

    # --- orders -------------------------------------------------------------------------------

    def accept(
        self,
        client_order_id: str,
        symbol: str,
        side: Side,
        quantity: Decimal,
        *,
        terms: Terms,
        time_in_force: TimeInForce = TimeInForce.DAY,
    ) -> OrderReport:
        """Take an order and tell about it. Raises VenueRejected: as told, or for a known id."""
        if self.refusals:
            raise self.refusals.popleft()
        if client_order_id in self.orders:
            raise VenueRejected(
                "client_order_id must be unique", http_status=422, code=DUPLICATE_CODE
            )
        now = self.clock.now()
        report = OrderReport(
            client_order_id=client_order_id,
            venue_order_id=self.new_id(),
            symbol=Symbol(symbol),
            side=side,
            status=OrderStatus.WORKING,
            quantity_shares=quantity,
            filled_shares=ZERO,
            terms=terms,
            time_in_force=time_in_force,
            submitted_at=now,
            updated_at=now,
        )
        self._change(report)
        if self.fills_marketable_orders and (touch := self._touch(report)) is not None:
            self.fill(client_order_id, quantity, touch)
        return report

    def fill(self, client_order_id: str, quantity: Decimal | int, price: Decimal | int) -> Fill:
        """Execute some of an order: the fill is told first, then the order."""
        report = self.orders[client_order_id]
        fill = Fill(
            fill_id=self.new_id(),
            client_order_id=client_order_id,
            venue_order_id=report.venue_order_id,
            symbol=report.symbol,
            side=report.side,
            quantity_shares=Decimal(quantity),
            price_usd=Decimal(price),
            fee_usd=ZERO,
            filled_at=self.clock.now(),
        )
        self._book(fill)
        self.fills.append(fill)
        self._tell(fill)
        filled = report.filled_shares + fill.quantity_shares
        is_done = filled >= report.quantity_shares
        status = OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED
        self._change(replace(report, status=status, filled_shares=filled))
        return fill

    def bust(self, fill: Fill, corrected: Fill | None = None, *, is_told: bool = True) -> Bust:
        """Take an execution back, or put another in its place, as if it had been so from the
        beginning."""
        self.fills = [corrected if f == fill else f for f in self.fills if corrected or f != fill]
        self._book(replace(fill, side=Side.SELL if fill.side is Side.BUY else Side.BUY))
        report = self.orders[fill.client_order_id]
        filled = report.filled_shares - fill.quantity_shares
        if corrected is not None:
            self._book(corrected)
            filled += corrected.quantity_shares
        bust = Bust(
            fill_id=fill.fill_id,
            client_order_id=fill.client_order_id,
            symbol=fill.symbol,
            corrected=corrected,
        )
        self.orders[fill.client_order_id] = replace(report, filled_shares=filled)
        if is_told:
            self._tell(bust)
        return bust

    def end(self, client_order_id: str, status: OrderStatus, reason: str = "") -> OrderReport:
        """Finish an order unfilled: cancelled, expired or rejected."""
        report = replace(self.orders[client_order_id], status=status, reason=reason)
        return self._change(report)

    def cancel(self, venue_order_id: str) -> None:
        """Cancel at a trader's request. Raises VenueRejected when it is finished or unknown."""
        report = self.by_venue_id(venue_order_id)
        if report is None:
            raise VenueRejected(
                f"order not found for {venue_order_id}", http_status=404, code=40410000
            )
        if report.status.is_terminal:
            text = f'order is already in "{report.status.value}" state'
            raise VenueRejected(text, http_status=422, code=42210000)
        self.end(report.client_order_id, OrderStatus.CANCELED)

    def by_venue_id(self, venue_order_id: str) -> OrderReport | None:
        """Return an order by the venue's id."""
        return next((o for o in self.orders.values() if o.venue_order_id == venue_order_id), None)

    def open_orders(self) -> list[OrderReport]:
        """Return what can still fill, oldest first."""
        working = (o for o in self.orders.values() if not o.status.is_terminal)
        return sorted(working, key=lambda o: (o.submitted_at, o.venue_order_id))

    def account(self) -> AccountReport:
        """Return the account; equity values positions at their entry."""
        held = sum((p.quantity_shares * p.average_entry_usd for p in self.positions.values()), ZERO)
        return AccountReport(
            account_id=self.account_id,
            cash_usd=self.cash_usd,
            equity_usd=self.cash_usd + held,
            last_equity_usd=self.cash_usd + held,
            buying_power_usd=2 * self.cash_usd,
            positions=dict(self.positions),
            is_blocked=self.is_blocked,
            shorting_enabled=True,
            reported_at=self.clock.now(),
        )

    # --- who listens --------------------------------------------------------------------------

    def subscribe(self) -> "asyncio.Queue[VenueEvent | None]":
        """Return a queue of everything that happens from now on; None is the end of the line."""
        events: asyncio.Queue[VenueEvent | None] = asyncio.Queue()
        self._subscribers.append(events)
        return events

    def break_streams(self) -> None:
        """Cut every stream; what happens until a new one stands is told to nobody."""
        for subscriber in self._subscribers:
            subscriber.put_nowait(None)
        self._subscribers.clear()

    @property
    def listeners(self) -> int:
        """How many streams stand."""
        return len(self._subscribers)

    def new_id(self) -> str:
        """Return a fresh id in the form of a UUID."""
        self._numbers += 1
        return f"00000000-0000-4000-8000-{self._numbers:012d}"

    def _tell(self, event: VenueEvent) -> None:
        for subscriber in self._subscribers:
            subscriber.put_nowait(event)

    def _change(self, report: OrderReport) -> OrderReport:
        changed = replace(report, updated_at=self.clock.now())
        self.orders[report.client_order_id] = changed
        self._tell(OrderUpdate(report=changed, at=self.clock.now()))
        return changed

    def _touch(self, report: OrderReport) -> Decimal | None:
        quote = self.quotes.get(report.symbol)
        if quote is None:
            return None
        touch = Decimal(str(quote.ask_usd if report.side is Side.BUY else quote.bid_usd))
        match report.terms:
            case AtMarket():
                return touch
            case AtLimit(limit_usd=limit):
                return touch if (limit - touch) * report.side.sign >= 0 else None
        return None

    def _book(self, fill: Fill) -> None:
        self.cash_usd -= fill.signed_shares * fill.price_usd
        held = self.positions.pop(fill.symbol, None)
        before = held.quantity_shares if held else ZERO
        after = before + fill.signed_shares
        if after == 0:
            return
        entry = fill.price_usd
        if held and before * fill.signed_shares > 0:
            cost = before * held.average_entry_usd + fill.signed_shares * fill.price_usd
            entry = cost / after
        elif held and before * after > 0:
            entry = held.average_entry_usd
        self.positions[fill.symbol] = Position(quantity_shares=after, average_entry_usd=entry)


class FakeBroker:
    """`domain.ports.Broker` on a FakeVenue. `faults` are raised by the next calls, in order."""

    def __init__(self, venue: FakeVenue) -> None:
        self.venue = venue
        self.faults: deque[VenueError] = deque()
        self.lost_answers = 0
        """So many submissions are accepted and then answered with VenueUnavailable."""
        self.submitted: list[ApprovedOrder] = []
        self.cancelled: list[str] = []

    async def submit(self, order: ApprovedOrder) -> OrderReport:
        """Place the order. Raises VenueRejected (definite) or VenueUnavailable (ambiguous)."""
        self._fail()
        self.submitted.append(order)
        intent = order.intent
        if intent.client_order_id in self.venue.orders:
            return self.venue.orders[intent.client_order_id]
        report = self.venue.accept(
            intent.client_order_id,
            intent.symbol,
            intent.side,
            intent.quantity_shares,
            terms=intent.terms,
            time_in_force=intent.time_in_force,
        )
        if self.lost_answers > 0:
            self.lost_answers -= 1
            raise VenueUnavailable("the answer was lost")
        return report

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for cancellation; done or already finished both return."""
        if not venue_order_id:
            raise ValueError("an order without a venue id cannot be cancelled")
        self._fail()
        self.cancelled.append(venue_order_id)
        try:
            self.venue.cancel(venue_order_id)
        except VenueRejected:
            return

    async def order(self, client_order_id: str) -> OrderReport | None:
        """Return the venue's view of an order, None when it definitely has none."""
        self._fail()
        return self.venue.orders.get(client_order_id)

    async def open_orders(self) -> list[OrderReport]:
        """Return every order that can still fill."""
        self._fail()
        return self.venue.open_orders()

    async def fills_since(self, since_at: datetime) -> list[Fill]:
        """Return executions at or after `since_at`, oldest first."""
        self._fail()
        found = (fill for fill in self.venue.fills if fill.filled_at >= since_at)
        return sorted(found, key=lambda fill: (fill.filled_at, fill.fill_id))

    async def account(self) -> AccountReport:
        """Return the account as the venue sees it."""
        self._fail()
        return self.venue.account()

    async def calendar(self, start: date, end: date) -> Calendar:
        """Return the venue's sessions between two dates, both included."""
        self._fail()
        return Calendar.of(s for s in self.venue.sessions if start <= s.day <= end)

    async def updates(self) -> AsyncGenerator[OrderUpdate | Fill | StreamConnected, None]:
        """Yield what happens; a cut stream is back one second later."""
        is_reconnect = False
        while True:
            events = self.venue.subscribe()
            yield StreamConnected(at=self.venue.clock.now(), is_reconnect=is_reconnect)
            while (event := await events.get()) is not None:
                yield event
            is_reconnect = True
            await asyncio.sleep(1.0)

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.popleft()


class FakePriceSource:
    """`domain.ports.PriceSource` on a FakeVenue: takes `latency_s`, keeps no cache.

    `fault` (None: healthy) makes bars fail and quotes go missing, NotAuthorized as itself.
    """

    def __init__(self, venue: FakeVenue, *, latency_s: float = 0.05) -> None:
        self.venue = venue
        self.latency_s = latency_s
        self.fault: VenueError | None = None
        self.requests = 0
        self._under_way: dict[Symbol, asyncio.Future[None]] = {}

    async def fetch(self, symbols: Sequence[Symbol], *, max_age_s: float) -> dict[Symbol, Quote]:
        """Return the latest quotes; symbols that cannot be had are missing."""
        own = [s for s in dict.fromkeys(symbols) if s not in self._under_way]
        shared = dict.fromkeys(self._under_way[s] for s in symbols if s in self._under_way)
        if own:
            self.requests += 1
            flight = asyncio.get_running_loop().create_future()
            self._under_way.update(dict.fromkeys(own, flight))
            try:
                await asyncio.sleep(self.latency_s)
            finally:
                for symbol in own:
                    del self._under_way[symbol]
                flight.cancel()
        for flight in shared:
            await asyncio.wait((flight,))
        if isinstance(self.fault, VenueRejected):
            raise self.fault
        known = {} if self.fault else self.venue.quotes
        return {s: known[s] for s in symbols if s in known}

    async def fetch_bars(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        *,
        start_at: datetime,
        end_at: datetime,
    ) -> dict[Symbol, list[Bar]]:
        """Return every bar with start_at ≤ opened_at ≤ end_at, oldest first."""
        await asyncio.sleep(self.latency_s)
        if self.fault is not None:
            raise self.fault
        found: dict[Symbol, list[Bar]] = {}
        for symbol in symbols:
            rows = self.venue.bars.get((symbol, timeframe), [])
            kept = [bar for bar in rows if start_at <= bar.opened_at <= end_at]
            if kept:
                found[symbol] = sorted(kept, key=lambda bar: bar.opened_at)
        return found


class WallClock:
    """Market time of a running virtual loop: its real time, which only the loop moves."""

    def __init__(self, wall: Callable[[], float], since: datetime) -> None:
        self._wall = wall
        self._began_s = wall()
        self._since = since

    def now(self) -> datetime:
        """Return the instant."""
        return self._since + timedelta(seconds=self._wall() - self._began_s)

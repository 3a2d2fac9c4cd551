"""Whatever is ordered, whatever the tape does: nothing is created, nothing is lost."""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.orders import Side
from exchange.account import to_cents
from exchange.corporate_actions import ActionTable
from exchange.errors import Refusal
from exchange.fates import RARE as RARE_STATUSES
from exchange.fates import Fate
from exchange.knobs import FillModel
from exchange.orders import (
    OrderClass,
    OrderRequest,
    OrderType,
    Status,
    TimeInForce,
    VenueOrder,
)
from exchange.records import EventKind, VenueEvent
from exchange.replacing import Replacement
from exchange.venue import Venue
from tests.support.exchanges import DAYS, EXACT, close_ns, make_venue, open_ns, random_market
from tests.unit.test_exchange_corporate_actions import dividend, split

CASH_USD = Decimal(50_000)
SYMBOLS = ("AAA", "BBB")
ACTIONS = ActionTable(
    [
        split("3", "2", symbol="AAA", day=DAYS[1]),
        split("1", "2", symbol="BBB", day=DAYS[2]),
        replace(dividend("0.75", pays=DAYS[4]), ex_date=DAYS[2]),
        replace(dividend("1.10", pays=DAYS[3], symbol="BBB"), ex_date=DAYS[1]),
    ]
)
BESIDE_NS = 40 * 60 * 10**9
"""From a session's edge into the hours beside it."""
cents = st.integers(9_850, 10_150).map(lambda c: Decimal(c) / 100)
edges = st.integers(1, 80).map(lambda c: Decimal(c) / 100)
whole = st.integers(1, 300).map(Decimal)
tifs = st.sampled_from([TimeInForce.DAY, TimeInForce.GTC] * 4 + list(TimeInForce))
RARE = set(RARE_STATUSES)
"""What fates make of orders that rest, and what those leave in the morning."""
RESTING = {Status.ACCEPTED, Status.NEW, Status.PARTIALLY_FILLED, *RARE}
LEGAL = {
    Status.PENDING_NEW: {Status.NEW, Status.REJECTED, Status.CANCELED, Status.EXPIRED},
    Status.ACCEPTED: {Status.NEW, Status.CANCELED, Status.EXPIRED},
    Status.HELD: {Status.NEW, Status.CANCELED, Status.EXPIRED, Status.HELD, Status.REPLACED},
    Status.NEW: {
        Status.PENDING_CANCEL,
        Status.PENDING_REPLACE,
        Status.PARTIALLY_FILLED,
        Status.FILLED,
        Status.CANCELED,
        Status.EXPIRED,
        Status.REPLACED,
        Status.NEW,
    },
    Status.PENDING_CANCEL: {Status.FILLED, Status.CANCELED, Status.EXPIRED},
    Status.PENDING_REPLACE: {
        Status.NEW,
        Status.PARTIALLY_FILLED,
        Status.REPLACED,
        Status.FILLED,
        Status.CANCELED,
        Status.EXPIRED,
    },
    Status.PARTIALLY_FILLED: {
        Status.PENDING_CANCEL,
        Status.PENDING_REPLACE,
        Status.PARTIALLY_FILLED,
        Status.FILLED,
        Status.CANCELED,
        Status.EXPIRED,
        Status.REPLACED,
    },
}


@st.composite
def requests(draw: st.DrawFn) -> OrderRequest:
    """Orders of every type, time and class; many of them refused, which is part of the point."""
    kind = draw(st.sampled_from(list(OrderType)))
    order_class = draw(st.sampled_from([OrderClass.SIMPLE] * 6 + list(OrderClass)))
    if order_class is OrderClass.OCO:
        kind = OrderType.LIMIT
    side = draw(st.sampled_from(list(Side)))
    request = OrderRequest(
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=side,
        type=kind,
        time_in_force=draw(tifs),
        qty=draw(whole),
        limit_price=draw(cents) if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        stop_price=draw(cents) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        trail_price=Decimal("0.25") if kind is OrderType.TRAILING_STOP else None,
        order_class=order_class,
    )
    if order_class is not OrderClass.SIMPLE:
        away = side.sign if order_class is not OrderClass.OCO else -side.sign
        profit, loss = (Decimal(100) + away * draw(edges) for away in (away, -away))
        keeps = draw(st.sampled_from(("both", "both", "profit", "loss")))
        request = replace(
            request,
            time_in_force=TimeInForce.GTC,
            take_profit_limit=profit if keeps != "loss" else None,
            stop_loss_stop=loss if keeps != "profit" else None,
        )
    if kind is OrderType.LIMIT and order_class is OrderClass.SIMPLE:
        asks = draw(st.booleans()) and request.time_in_force in (TimeInForce.DAY, TimeInForce.GTC)
        request = replace(request, extended_hours=asks)
    odd = draw(st.integers(0, 19))
    if odd == 0:
        dollars = draw(st.integers(1, 5_000).map(Decimal))
        request = replace(request, qty=None, notional=dollars, time_in_force=TimeInForce.DAY)
    if odd == 1:
        request = replace(request, qty=Decimal("7.123456789"), time_in_force=TimeInForce.DAY)
    return request


def is_legal(before: Status, after: Status) -> bool:
    """Whether an order may go from one status to another."""
    if after in RARE:
        return before in RESTING
    if after is Status.REJECTED:
        return not before.is_terminal and before is not Status.HELD
    if before in RARE:
        return after in LEGAL[Status.NEW] | {Status.NEW}
    return after in LEGAL.get(before, set())


class ExchangeMachine(RuleBasedStateMachine):
    """Random traffic over random sessions."""

    @initialize(seed=st.integers(0, 10_000), share=st.sampled_from([0.05, 0.5, 1e6]))
    def begin(self, seed: int, share: float) -> None:
        knobs = replace(
            EXACT,
            fills=FillModel(volume_share_max=share, partial_share=0.3 if seed % 4 == 0 else 0.0),
            cancel_delay_s=40.0 if seed % 3 == 0 else 0.0,
            replace_delay_s=40.0 if seed % 5 < 2 else 0.0,
            done_for_day_at_close=seed % 7 < 2,
            judges_waiting_orders=seed % 2 == 0,
            cash_in_lieu=seed % 2 == 1,
            borrow_rate=Decimal("0.07"),
            margin_interest_rate=Decimal("0.06"),
        )
        market = random_market(seed, actions=ACTIONS)
        self.venue = make_venue(market, knobs=knobs, cash_usd=CASH_USD)
        self.restated: set[str] = set()
        self.halted: set[str] = set()
        self.taken_back: set[str] = set()
        self.events: list[VenueEvent] = []
        self.statuses: dict[str, Status] = {}
        self.paid = Decimal(0)
        self.moved: dict[str, Decimal] = {}
        self._take(self.venue.advance(open_ns() + 60 * 10**9))
        self.marks = sorted(
            at
            for day in DAYS
            for at in (
                open_ns(day) - BESIDE_NS,
                *range(open_ns(day), close_ns(day), 25 * 10**9),
                close_ns(day) + BESIDE_NS,
            )
        )

    @rule(step=st.sampled_from([1, 1, 2, 3, 9, 30]))
    def time_passes(self, step: int) -> None:
        later = [at for at in self.marks if at > self.venue.now_ns]
        if later:
            self._take(self.venue.advance(later[min(step, len(later)) - 1]))

    @rule(request=requests())
    def an_order_is_placed(self, request: OrderRequest) -> None:
        with suppress(Refusal):
            self.venue.submit(request)
        self._take(self.venue.take_events())

    @precondition(lambda self: self.statuses)
    @rule(data=st.data())
    def an_order_is_cancelled(self, data: st.DataObject) -> None:
        with suppress(Refusal):
            self.venue.cancel(data.draw(st.sampled_from(sorted(self.statuses))))
        self._take(self.venue.take_events())

    @precondition(lambda self: self.statuses)
    @rule(data=st.data(), qty=st.none() | whole, limit=cents)
    def an_order_is_replaced(
        self, data: st.DataObject, qty: Decimal | None, limit: Decimal
    ) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.statuses)))
        with suppress(Refusal):
            self.venue.replace(order_id, Replacement(qty=qty, limit_price=limit))
        self._take(self.venue.take_events())

    @rule(cancel_orders=st.booleans())
    def everything_is_closed(self, cancel_orders: bool) -> None:
        self.venue.close_all(cancel_orders=cancel_orders)
        self._take(self.venue.take_events())

    @rule(symbol=st.sampled_from(SYMBOLS), minutes=st.none() | st.integers(1, 4))
    def a_symbol_is_halted(self, symbol: str, minutes: int | None) -> None:
        now_ns = self.venue.now_ns
        until_ns = None if minutes is None else now_ns + minutes * 60 * 10**9
        self.venue.halt(symbol, "T1", until_ns)
        self._take(self.venue.take_events())

    @rule(symbol=st.sampled_from(SYMBOLS))
    def a_symbol_trades_again(self, symbol: str) -> None:
        self.venue.resume(symbol)
        self._take(self.venue.take_events())

    @precondition(lambda self: self.statuses)
    @rule(data=st.data(), fate=st.sampled_from(list(Fate)))
    def an_order_has_its_fate(self, data: st.DataObject, fate: Fate) -> None:
        self.venue.fates.turn(data.draw(st.sampled_from(sorted(self.statuses))), fate)
        self._take(self.venue.take_events())

    @precondition(lambda self: self.venue.register.executions)
    @rule(data=st.data(), factor=st.none() | st.sampled_from([0.5, 1.01, 3.0]))
    def a_trade_is_taken_back(self, data: st.DataObject, factor: float | None) -> None:
        trade = data.draw(st.sampled_from(self.venue.register.executions[-5:]))
        if factor is None:
            self.venue.fates.bust(trade.id)
        else:
            self.venue.fates.correct(trade.id, factor)
        self._take(self.venue.take_events())

    def _take(self, events: list[VenueEvent]) -> None:
        for event in events:
            assert event.seq == len(self.events) + 1
            assert not self.events or event.at_ns >= self.events[-1].at_ns
            self.events.append(event)
            if event.halt is not None:
                change = self.halted.add if event.kind is EventKind.HALTED else self.halted.discard
                change(event.halt.symbol)
            if event.order is not None:
                self._follow(event.order)
            if event.kind in (EventKind.RESTATED, EventKind.QUIET) and event.order is not None:
                self.restated.add(event.order.id)
            for activity in event.activities:
                self.paid -= activity.net_amount
                if activity.symbol is not None:
                    before = self.moved.get(activity.symbol, Decimal(0))
                    self.moved[activity.symbol] = before + activity.moved_qty
            if event.execution is not None:
                is_fate = event.execution.undoes or event.execution.corrects
                if is_fate:
                    self.taken_back.add(event.execution.order_id)
                assert is_fate or event.execution.symbol not in self.halted
                signed = event.execution.side.sign * event.execution.qty
                symbol = event.execution.symbol
                self.paid += signed * event.execution.price_usd
                self.moved[symbol] = self.moved.get(symbol, Decimal(0)) + signed
                assert event.execution.position_qty == self.moved[symbol]

    def _follow(self, order: VenueOrder) -> None:
        before = self.statuses.get(order.id)
        if before is not None and before is not order.status:
            assert is_legal(before, order.status), (before, order.status)
        if before is not None and before.is_terminal:
            assert order.status is before
        self.statuses[order.id] = order.status

    @invariant()
    def no_money_and_no_share_is_created_or_lost(self) -> None:
        account = self.venue.account
        assert account.cash == CASH_USD - self.paid
        held = {s: h.qty for s, h in account.holdings.items()}
        assert held == {s: q for s, q in self.moved.items() if q}

    @invariant()
    def equity_is_cash_and_positions_to_the_cent(self) -> None:
        totals = self.venue.totals()
        price_of = self.venue.prices.at(self.venue.now_ns)
        values = [to_cents(h.qty * price_of(s)) for s, h in self.venue.account.holdings.items()]
        assert totals.equity == to_cents(self.venue.account.cash) + sum(values, Decimal(0))

    @invariant()
    def reservations_are_those_of_the_open_orders(self) -> None:
        account, book = self.venue.account, self.venue.book
        live = [o for o in book.open_orders() if o.status is not Status.HELD]
        assert account.reserved_usd == sum((o.reserved_usd for o in live), Decimal(0))
        for symbol in SYMBOLS:
            held = sum((o.held_qty for o in live if o.symbol == symbol), Decimal(0))
            assert account.held.get(symbol, Decimal(0)) == held
            assert held <= abs(account.qty(symbol))

    @invariant()
    def every_order_is_possible(self) -> None:
        executed: dict[str, Decimal] = {}
        for execution in self.venue.register.executions:
            sign = -1 if execution.undoes else 1
            before = executed.get(execution.order_id, Decimal(0))
            executed[execution.order_id] = before + sign * execution.qty
        for order in self.venue.book.by_id.values():
            assert order.filled_qty == executed.get(order.id, Decimal(0))
            if order.qty is not None:
                assert order.filled_qty <= order.qty
                is_whole = order.filled_qty == order.qty
                is_undone = order.id in self.taken_back and not is_whole
                assert is_undone or is_whole == (order.status is Status.FILLED)
            if order.notional is not None:
                is_dearer = order.id in self.taken_back
                assert is_dearer or order.filled_value_usd <= order.notional
            assert order.status.is_terminal == (order.finished_ns is not None)
            if order.id in self.restated | self.taken_back:
                continue
            if order.limit_price is not None and order.filled_avg_price is not None:
                worse = (order.filled_avg_price - order.limit_price) * order.side.sign
                assert worse <= Decimal("1e-18")

    def teardown(self) -> None:
        if not hasattr(self, "venue"):
            return
        self._take(self.venue.advance(close_ns(DAYS[-1])))
        self.venue.cancel_all()
        for order in self.venue.book.open_orders():
            if not self.venue.book.by_id[order.id].status.is_terminal:
                self.venue.cancel(order.id)
        self._take(self.venue.take_events())
        self._take(self.venue.advance(self.venue.now_ns + 60 * 10**9))
        assert self.venue.account.reserved_usd == 0
        assert self.venue.account.held == {}
        again = redone(self.venue, self.events)
        assert again.state() == self.venue.state()


def redone(venue: Venue, events: list[VenueEvent]) -> Venue:
    """A venue of the same beginnings that only reads the events."""
    again = make_venue(venue.market, knobs=venue.config.knobs, cash_usd=CASH_USD)  # type: ignore[arg-type]
    again.redo(events)
    again.advance(venue.now_ns)
    return again


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(
    max_examples=60,
    stateful_step_count=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

actions = st.lists(
    st.one_of(requests(), st.integers(1, 90), st.integers(1, 40).map(lambda h: 3600 * h)),
    min_size=1,
    max_size=25,
)


def traffic(seed: int, script: list[object]) -> list[VenueEvent]:
    venue = make_venue(random_market(seed, actions=ACTIONS), cash_usd=CASH_USD)
    events: list[VenueEvent] = venue.advance(open_ns())
    for action in script:
        if isinstance(action, OrderRequest):
            try:
                venue.submit(action)
            except Refusal:
                continue
        elif isinstance(action, int):
            events += venue.advance(venue.now_ns + action * 10**9)
    return events + venue.advance(close_ns(DAYS[-1]))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), script=actions)
def test_the_same_inputs_give_identical_events(seed: int, script: list[object]) -> None:
    assert traffic(seed, script) == traffic(seed, script)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), script=actions, cuts=st.lists(st.integers(1, 50), max_size=5))
def test_it_does_not_matter_in_how_many_steps_time_passes(
    seed: int, script: list[object], cuts: list[int]
) -> None:
    split: list[object] = []
    for action in script:
        if isinstance(action, int):
            pieces = [c for c in cuts if c < action]
            left = action
            for piece in pieces:
                if piece < left:
                    split.append(piece)
                    left -= piece
            split.append(left)
        else:
            split.append(action)
    assert traffic(seed, script) == traffic(seed, split)


def test_a_quiet_venue_closes_and_begins_its_days() -> None:
    venue = make_venue(random_market(3), cash_usd=CASH_USD)
    events = venue.advance(close_ns(DAYS[2]))
    assert [e.kind for e in events] == [
        EventKind.DAY_CLOSED,
        EventKind.DAY_BEGUN,
    ] * 2 + [EventKind.DAY_CLOSED]

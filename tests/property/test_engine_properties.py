"""What holds of the engine whatever happens in whatever order."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.engine.commands import Command, SubmitOrder
from domain.events import (
    Action,
    Event,
    OrderFilled,
    SubmitRejected,
    SubmitUnresolved,
    SubmitWithheld,
)
from domain.orders import ApprovedOrder, Fill, Leg, OrderStatus, Side
from domain.snapshot import TradingState
from tests.support.engines import MONDAY, NAN, Desk, entry, ready

STRENGTHS = st.tuples(*[st.sampled_from([NAN, -1.0, 0.0, 0.6, 1.0])] * 3)
PRICES = st.tuples(*[st.sampled_from([93.0, 97.0, 99.9, 100.0, 100.1, 104.0, 111.0])] * 3)
ACTIONS = st.sampled_from(
    [
        Action.HALT,
        Action.REDUCE,
        Action.RESUME,
        Action.FLATTEN,
        Action.CANCEL_ALL,
    ]
)


# --- news of one order, in any order, any number of times ----------------------------------------


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[int], OrderStatus | None, list[int]]:
    """Draw the sizes of an order's fills, how it ended, and the order in which all is heard."""
    sizes = draw(st.lists(st.integers(1, 40), max_size=4).filter(lambda s: sum(s) <= 100))
    ends = [OrderStatus.FILLED] if sum(sizes) == 100 else [OrderStatus.CANCELED, None]
    end = draw(st.sampled_from(ends))
    pieces = list(range(2 * len(sizes) + 2))
    heard = draw(st.permutations(pieces + draw(st.lists(st.sampled_from(pieces), max_size=4))))
    return sizes, end, list(heard)


@settings(max_examples=60, deadline=None)
@given(stories())
def test_whatever_the_order_of_news_the_book_ends_the_same(
    story: tuple[list[int], OrderStatus | None, list[int]],
) -> None:
    sizes, end, heard = story
    desk = ready(Desk({"one": entry(), "two": entry(weight=2.0)}))
    desk.says = {"one": (1.0, NAN, NAN), "two": (1.0, NAN, NAN)}
    desk.slot(desk.next_slot())
    order = desk.sent[0]
    desk.start(order)
    fills = [desk.a_fill(order, size) for size in sizes]
    for piece in heard:
        hear(desk, order, (fills, end), piece)
        assert desk.books_match()
    assert desk.held() == sum(sizes)
    assert desk.memory.portfolio.cash_usd == 100_000 - 100 * sum(sizes)
    assert desk.memory.counters.get("fills", 0) == len(fills)
    assert desk.order(order).filled_shares == sum(sizes)
    if end is not None:
        assert desk.order(order).status is end
        assert not desk.memory.working


def hear(
    desk: Desk, order: ApprovedOrder, told: tuple[list[Fill], OrderStatus | None], piece: int
) -> None:
    """Tell one piece of an order's story: its start, its end, a fill, or the update of a fill."""
    fills, end = told
    total = sum((f.quantity_shares for f in fills), Decimal(0))
    if piece == 0:
        desk.tell(order, OrderStatus.WORKING)
    elif piece == 1:
        if end is not None:
            desk.tell(order, end, total)
    elif piece % 2 == 0:
        desk.book(fills[piece // 2 - 1])
    else:
        known = sum((f.quantity_shares for f in fills[: piece // 2]), Decimal(0))
        desk.tell(order, OrderStatus.PARTIALLY_FILLED, known)


# --- anything, for a while -----------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """A desk to which anything may happen, and what must be true of it afterwards."""

    desk: Desk
    fills: dict[str, Fill] = field(default_factory=dict)
    sent: list[ApprovedOrder] = field(default_factory=list)
    epoch: int = 0

    def happen(self, what: tuple[str, Any]) -> None:
        kind, drawn = what
        getattr(self, f"_{kind}")(drawn)
        self.sent += self.desk.sent[len(self.sent) :]
        self.check()

    def check(self) -> None:
        desk, memory = self.desk, self.desk.memory
        assert desk.books_match()
        spent = sum((f.signed_shares * f.price_usd for f in self.fills.values()), Decimal(0))
        assert memory.portfolio.cash_usd == 100_000 - spent
        live = [o.intent.symbol for o in memory.orders.values() if not o.status.is_terminal]
        assert len(live) == len(set(live)), "two orders of one symbol work at once"
        assert all(shares >= 0 for shares in map(desk.held, self.symbols())), "sold too much"
        assert memory.trading.epoch >= self.epoch
        self.epoch = memory.trading.epoch
        ids = [o.intent.client_order_id for o in self.sent]
        assert len(ids) == len(set(ids)), "an id was used twice"

    def symbols(self) -> list[Any]:
        return list(self.desk.memory.portfolio.positions)

    def _slot(self, strengths: tuple[float, ...]) -> None:
        if self.desk.now < MONDAY.closes_at:
            self.desk.says["one"] = strengths
            self.desk.says["two"] = tuple(reversed(strengths))
            state = self.desk.memory.trading.state
            commands = self.desk.slot(self.desk.next_slot())
            if state is not TradingState.ACTIVE:
                assert not opens(commands)

    def _poll(self, prices: tuple[float, ...]) -> None:
        commands = self.desk.poll(**dict(zip(("AAA", "BBB", "CCC"), prices, strict=True)))
        assert not [o for o in opens(commands) if o.intent.slot_at == self.desk.now]

    def _pick(self, number: int) -> ApprovedOrder | None:
        live = [
            order
            for order in self.desk.sent
            if (known := self.desk.memory.orders.get(order.intent.client_order_id))
            and not known.status.is_terminal
        ]
        return live[number % len(live)] if live else None

    def _work(self, number: int) -> None:
        order = self._pick(number)
        if order is not None:
            self.desk.work(order)

    def _fill(self, drawn: tuple[int, int]) -> None:
        order = self._pick(drawn[0])
        if order is None:
            return
        left = self.desk.order(order).remaining_shares
        shares = min(left, Decimal(drawn[1]))
        fill = self.desk.a_fill(order, shares, price=100)
        fill = self._named(fill)
        self.fills[fill.fill_id] = fill
        self.desk.book(fill)

    def _named(self, fill: Fill) -> Fill:
        """Give a fill an id that no restart repeats."""
        return replace(fill, fill_id=f"fill-{len(self.fills)}")

    def _again(self, number: int) -> None:
        if self.fills:
            known = list(self.fills.values())[number % len(self.fills)]
            self.desk.post(OrderFilled(at=self.desk.now, fill=known))

    def _end(self, drawn: tuple[int, OrderStatus]) -> None:
        order = self._pick(drawn[0])
        if order is not None and self.desk.order(order).venue_order_id:
            known = self.desk.order(order)
            self.desk.tell(order, drawn[1], known.filled_shares)

    def _refuse(self, drawn: tuple[int, str]) -> None:
        order = self._pick(drawn[0])
        if order is None or self.desk.order(order).filled_shares > 0:
            return
        at, identity = self.desk.now, order.intent.client_order_id
        events: dict[str, Event] = {
            "withheld": SubmitWithheld(at=at, client_order_id=identity, reason="because"),
            "rejected": SubmitRejected(at=at, client_order_id=identity, reason="no", code=1),
            "unresolved": SubmitUnresolved(at=at, client_order_id=identity, reason="?"),
        }
        self.desk.post(events[drawn[1]])

    def _ask(self, action: Action) -> None:
        self.desk.ask(action)

    def _report(self, _: None) -> None:
        self.desk.report()

    def _restart(self, _: None) -> None:
        asked = self.desk.sent
        self.desk = self.desk.restarted(after_s=1.0)
        self.desk.report()
        self.desk.open()
        # What an earlier process sent may still fill, be refused, or end.
        self.desk.sent[:0] = asked


def opens(commands: list[Command]) -> list[ApprovedOrder]:
    orders = [c.order for c in commands if isinstance(c, SubmitOrder)]
    return [o for o in orders if o.intent.leg is Leg.OPEN and o.intent.side is Side.BUY]


NUMBERS = st.integers(0, 20)
HAPPENINGS = st.one_of(
    st.tuples(st.just("slot"), STRENGTHS),
    st.tuples(st.just("slot"), STRENGTHS),
    st.tuples(st.just("poll"), PRICES),
    st.tuples(st.just("work"), NUMBERS),
    st.tuples(st.just("fill"), st.tuples(NUMBERS, st.sampled_from([1, 7, 60, 1_000]))),
    st.tuples(st.just("fill"), st.tuples(NUMBERS, st.just(1_000))),
    st.tuples(st.just("again"), NUMBERS),
    st.tuples(
        st.just("end"),
        st.tuples(NUMBERS, st.sampled_from([OrderStatus.CANCELED, OrderStatus.EXPIRED])),
    ),
    st.tuples(
        st.just("refuse"),
        st.tuples(NUMBERS, st.sampled_from(["withheld", "rejected", "unresolved"])),
    ),
    st.tuples(st.just("ask"), ACTIONS),
    st.tuples(st.just("report"), st.none()),
    st.tuples(st.just("restart"), st.none()),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(HAPPENINGS, min_size=5, max_size=25))
def test_whatever_happens_the_books_are_the_account_and_nothing_is_ordered_twice(
    happenings: list[tuple[str, Any]],
) -> None:
    desk = Desk({"one": entry(), "two": entry(weight=2.0, takes_profit=True)})
    run = Run(ready(desk))
    for what in happenings:
        run.happen(what)


@settings(max_examples=15, deadline=None)
@given(st.lists(STRENGTHS, min_size=1, max_size=5), st.lists(PRICES, min_size=5, max_size=5))
def test_the_same_events_give_the_same_commands(
    said: list[tuple[float, ...]], prices: list[tuple[float, ...]]
) -> None:
    def play() -> list[str]:
        desk = ready(Desk(says={"one": (NAN, NAN, NAN)}))
        for strengths, seen in zip(said, prices, strict=False):
            desk.says["one"] = strengths
            desk.slot(desk.next_slot())
            desk.fill_all()
            desk.poll(**dict(zip(("AAA", "BBB", "CCC"), seen, strict=True)))
        return [repr(c.order) for c in desk.commands if isinstance(c, SubmitOrder)]

    assert play() == play()

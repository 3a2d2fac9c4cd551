"""What happens at instants of market time: waits that end, accounts blocked, orders by hand."""

import heapq
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from domain.orders import Side
from exchange.errors import Refusal
from exchange.faults import outcomes
from exchange.faults.kinds import DEEDS, Kind
from exchange.faults.plan import Hit, Plan
from exchange.faults.rules import Rule
from exchange.instants import SECOND_NS
from exchange.orders import OrderRequest, OrderType, TimeInForce
from exchange.records import VenueEvent
from exchange.service import Exchange

Act = Callable[[], None]
Cut = Callable[[str], None]


class Deeds:
    """An agenda of acts; market time stops at each of them on its way."""

    def __init__(self, exchange: Exchange, plan: Plan, cut: Cut) -> None:
        self._exchange = exchange
        self._plan = plan
        self._cut = cut
        self._agenda: list[tuple[int, int, Act]] = []
        self._made = 0

    @property
    def now_ns(self) -> int:
        """Market time now."""
        return self._exchange.venue.now_ns

    def begin(self) -> None:
        """Put every rule of the plan that the clock brings about on the agenda."""
        for rule in self._plan.rules:
            self.enter(rule)

    def enter(self, rule: Rule) -> None:
        """Put a rule on the agenda if the clock brings it about: now, if its window has begun."""
        if rule.kind not in DEEDS or rule.is_tied:
            return
        now_ns = self._exchange.venue.now_ns
        if rule.window.holds(now_ns):
            self.at(now_ns, lambda: self._start(rule))
        self._enter_next(rule, now_ns)

    def _enter_next(self, rule: Rule, after_ns: int) -> None:
        start_ns = rule.window.next_start(after_ns)
        if start_ns is not None:
            self.at(start_ns, lambda: self._start_and_go_on(rule, start_ns))

    def _start_and_go_on(self, rule: Rule, at_ns: int) -> None:
        self._start(rule)
        self._enter_next(rule, at_ns)

    def _start(self, rule: Rule) -> None:
        if rule not in self._plan.rules:
            return
        hit = self._plan.strike(rule, self._exchange.venue.now_ns)
        if hit is not None:
            self.do(hit)

    def at(self, at_ns: int, act: Act) -> None:
        """Do something at an instant, or at the next step when it has passed."""
        self._made += 1
        heapq.heappush(self._agenda, (at_ns, self._made, act))

    def next_ns(self) -> int | None:
        """Return the next instant with something to do, None without."""
        return self._agenda[0][0] if self._agenda else None

    def run(self, until_ns: int) -> None:
        """Do everything due by an instant, market time standing at each."""
        exchange = self._exchange
        while self._agenda and self._agenda[0][0] <= until_ns:
            at_ns, _, act = heapq.heappop(self._agenda)
            exchange.go_to(at_ns)
            act()

    def do(self, hit: Hit) -> None:
        """Carry out a deed; other kinds are nothing to do here."""
        if hit.kind is Kind.HALTED:
            self._halt(hit.rule)
        elif hit.kind is Kind.BLOCKED:
            self._block(hit.rule)
        elif hit.kind is Kind.BY_HAND:
            self._order(hit.rule)
        elif hit.kind is Kind.STREAM_DROPPED:
            self._cut(hit.rule.stream)
        elif hit.kind is Kind.TURNED:
            outcomes.turn_all(self._exchange, hit.rule)
            self._turn_back_in_time(hit.rule)

    def turn(self, hit: Hit, event: VenueEvent) -> None:
        """Turn what an event is about, when the rule has it so."""
        wait_s = outcomes.SOON_S if hit.delay_market_s is None else hit.delay_market_s
        at_ns = event.at_ns + round(max(outcomes.SOON_S, wait_s) * SECOND_NS)
        self.at(at_ns, lambda: outcomes.turn(self._exchange, hit.rule, event))
        self._turn_back_in_time(hit.rule)

    def _turn_back_in_time(self, rule: Rule) -> None:
        end_ns = rule.window.next_end(self._exchange.venue.now_ns)
        if end_ns is not None:
            self.at(end_ns, lambda: outcomes.turn_back(self._exchange, rule))

    def undo(self, rule: Rule) -> None:
        """Lift what a rule now out of force has brought about."""
        if rule.kind is Kind.BLOCKED:
            self._set_blocked(is_blocked=False)
        elif rule.kind is Kind.TURNED:
            outcomes.turn_back(self._exchange, rule)
        elif rule.kind is Kind.HALTED and rule.symbol in self._exchange.venue.assets:
            self._exchange.venue.resume(rule.symbol)
            self._exchange.settle()

    def _halt(self, rule: Rule) -> None:
        """Halt a symbol; one the market does not list is no symbol to halt."""
        venue = self._exchange.venue
        if rule.symbol in venue.assets:
            end_ns = rule.window.next_end(venue.now_ns)
            venue.halt(rule.symbol, until_ns=end_ns)
            self._exchange.settle()

    def _block(self, rule: Rule) -> None:
        self._set_blocked(is_blocked=True)
        end_ns = rule.window.next_end(self._exchange.venue.now_ns)
        if end_ns is not None:
            self.at(end_ns, lambda: self._set_blocked(is_blocked=False))

    def _set_blocked(self, *, is_blocked: bool) -> None:
        venue = self._exchange.venue
        venue.configure(replace(venue.register.configuration, is_blocked=is_blocked))
        self._exchange.settle()

    def _order(self, rule: Rule) -> None:
        """Place an order as its owner would by hand; one the venue refuses changes nothing."""
        venue = self._exchange.venue
        if rule.symbol not in venue.assets:
            return
        request = OrderRequest(
            symbol=rule.symbol,
            side=Side(rule.side),
            type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            qty=Decimal(rule.qty),
        )
        try:
            venue.submit(request)
        except Refusal:
            return
        self._exchange.settle()

"""The venue: one account, its orders and the tape, as a single-writer state machine.

Pure: market time comes in by `advance`, events go out by `take_events`. Whoever drives it first
advances to now, then acts: fills, openings and expiries up to that instant have then happened.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.money import ZERO
from exchange import errors
from exchange.account import Account, Totals
from exchange.admission import Configuration, Touch
from exchange.agenda import NEVER_NS, Agenda, Appointment, Moment, trading_day
from exchange.assets import Asset
from exchange.changing import Changing
from exchange.closing import closing_request
from exchange.corporate_days import CorporateDays
from exchange.days import DayRules
from exchange.fates import Fates
from exchange.halting import Halting
from exchange.halts import Halt
from exchange.ids import uuid_text
from exchange.intake import Desk, head_request, with_trail, write_legs, write_order
from exchange.judging import Judge
from exchange.knobs import DEFAULT_KNOBS, Knobs
from exchange.markets.base import Market
from exchange.order_book import OrderBook
from exchange.orders import (
    OrderRequest,
    OrderType,
    Status,
    VenueOrder,
)
from exchange.prices import Prices
from exchange.records import EventKind, VenueEvent, VenueState
from exchange.register import Register
from exchange.replacing import Replacement, judge_chain, replacement_request
from exchange.tape_views import TapeViews
from exchange.trading import Trading
from exchange.windows import evening_session, judge_auction


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """What makes one venue: the seed of its ids, the money it starts with, when, and its rules."""

    seed: int
    cash_usd: Decimal
    start_ns: int
    knobs: Knobs = DEFAULT_KNOBS
    halts: tuple[Halt, ...] = ()
    """Halts that will happen, whoever trades."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one part of a request about many: an order, or the refusal."""

    subject: str
    order: VenueOrder | None = None
    refusal: errors.Refusal | None = None


class Venue:
    """One account on one market. Call from one task only."""

    def __init__(
        self,
        market: Market,
        assets: Mapping[str, Asset],
        config: VenueConfig,
        state: VenueState | None = None,
    ) -> None:
        self.config = config
        self.market = market
        self.assets = dict(assets)
        told = config.knobs.extended_hours and config.knobs.extended_data
        self.views = TapeViews(market, config.seed if told else None)
        self._register = Register(state or first_state(market, config), config.seed)
        self.prices = Prices(self.views, self._register.account)
        self._trading = Trading(self._register, self.views, config.knobs)
        corporate = CorporateDays(
            self._register, self._trading, self.prices, self.assets, (market.actions, config.knobs)
        )
        terms = (market.calendar, config.knobs)
        self._judge = Judge(self._register, self.prices, self.assets, terms)
        self._days = DayRules(
            self._register,
            self.prices,
            self._trading,
            corporate,
            (self.views, config.knobs),
            self._judge,
        )
        self.fates = Fates(self._register, self._trading)
        self._agenda = Agenda(market.calendar, self.now_ns)
        self._changing = Changing(self._register, self._trading, config.knobs)
        self._halting = self._halting_anew()
        self._take_up()

    def _halting_anew(self) -> Halting:
        terms = (self.config.halts, self.config.knobs)
        return Halting(self._register, self.views, self._trading, terms)

    def _take_up(self) -> None:
        self._days.resume()
        view = self.views.latest(self.now_ns)
        if view is not None:
            self._halting.plan_session(view)

    @property
    def now_ns(self) -> int:
        """Market time: everything up to it has happened."""
        return self._register.now_ns

    @property
    def account(self) -> Account:
        """The account; read only."""
        return self._register.account

    @property
    def book(self) -> OrderBook:
        """Its orders; read only."""
        return self._register.book

    @property
    def register(self) -> Register:
        """Executions, closes and configuration; read only."""
        return self._register

    def take_events(self) -> list[VenueEvent]:
        """Return the events since the last call, in order."""
        return self._register.take_events()

    def state(self) -> VenueState:
        """Return everything the venue must remember, as of now."""
        return self._register.state()

    def next_event_ns(self) -> int:
        """Return when something may next happen by itself, NEVER_NS when nothing will."""
        own_ns = min(self._halting.next_ns(), self._changing.next_ns())
        return min(self._agenda.next_ns, self._trading.next_ns(), own_ns)

    def advance(self, to_ns: int) -> list[VenueEvent]:
        """Let market time pass; return what happened since the last taking of events.

        Market time never goes back: an earlier instant is ignored.
        """
        while True:
            tick_ns, appointment_ns = self._trading.next_ns(), self._agenda.next_ns
            halting_ns, change_ns = self._halting.next_ns(), self._changing.next_ns()
            at_ns = min(tick_ns, appointment_ns, halting_ns, change_ns)
            if at_ns > to_ns or at_ns == NEVER_NS:
                break
            self._register.now_ns = max(self.now_ns, at_ns)
            if halting_ns == at_ns:
                self._halting.run()
            elif tick_ns == at_ns:
                self._trading.run_tick()
            elif change_ns == at_ns:
                self._changing.run()
            else:
                self._keep(self._agenda.take())
        self._register.now_ns = max(self.now_ns, to_ns)
        return self.take_events()

    def _keep(self, appointment: Appointment) -> None:
        self._days.keep(appointment)
        if appointment.moment is Moment.OPEN:
            view = self.views.latest(appointment.at_ns)
            if view is not None and view.session == appointment.session:
                self._halting.plan_session(view)

    def halt(self, symbol: str, reason: str = "T1", until_ns: int | None = None) -> None:
        """Halt a symbol now, until an instant or until it is resumed; nothing if it is halted.

        Raises Refusal for a symbol that is not listed, ValueError for a reason that is none.
        """
        self._listed(symbol)
        self._halting.halt(symbol, reason, until_ns)

    def resume(self, symbol: str) -> None:
        """Let a halted symbol trade again, in an auction first; nothing if it trades. Raises
        Refusal for a symbol that is not listed."""
        self._listed(symbol)
        self._halting.resume(symbol)

    def _listed(self, symbol: str) -> None:
        if symbol not in self.assets:
            raise errors.not_found(f"asset not found for {symbol}")

    def totals(self) -> Totals:
        """Return the account's sums now."""
        return self._judge.totals()

    def touch(self, symbol: str) -> Touch | None:
        """Return best bid and ask now, None while nothing is known of the symbol."""
        return self._judge.touch(symbol)

    def available_qty(self, symbol: str) -> Decimal:
        """Return the shares (≥ 0) of a position that can be closed now."""
        return self._judge.available_qty(symbol)

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Take an order now; return it as accepted, whatever has become of it since.

        Raises Refusal, having changed nothing.
        """
        client_id = request.client_order_id
        if client_id is not None and self.book.by_client(client_id) is not None:
            raise errors.invalid("client_order_id must be unique")
        self._judge.judge_halt(request.symbol)
        touch = self.touch(request.symbol)
        if touch is not None:
            request = head_request(request, touch)
        judge_auction(request, self.now_ns, self.market.calendar, self.config.knobs)
        admission = self._judge.admit(request, touch)
        desk, works_now = self._desk(touch, request)
        head, legs = write_legs(request, write_order(request, admission, desk), desk)
        last_usd = self.prices.at(self.now_ns)(request.symbol)
        told = self._trading.accept(with_trail(head, last_usd), legs, works_now=works_now)
        if request.extended_hours:
            self._days.open_extended()
        return told

    def order(self, order_id: str) -> VenueOrder:
        """Return an order as it stands now. Raises Refusal for an unknown id."""
        found = self.book.by_id.get(order_id)
        if found is None:
            raise errors.unknown_order(order_id)
        if found.type is OrderType.TRAILING_STOP:
            self.refresh(found.symbol)
        return self.book.by_id[order_id]

    def refresh(self, symbol: str) -> None:
        """Bring a symbol's trailing stops up to now."""
        self._trading.ratchet(symbol)

    def cancel(self, order_id: str) -> VenueOrder:
        """Cancel an order. Raises Refusal when it is unknown, finished or about to be replaced."""
        order = self.order(order_id)
        if order.status.is_terminal or order.status is Status.PENDING_REPLACE:
            if order.status is Status.CANCELED and self.config.knobs.recancel_accepted:
                return order
            self._tell_refused(EventKind.CANCEL_REJECTED, order)
            raise errors.not_cancelable(order.status.value)
        return self._changing.cancel(order)

    def cancel_all(self) -> list[Outcome]:
        """Cancel every open order, replacements that have yet to take a place before the others:
        an order that is about to be replaced cannot be cancelled."""
        outcomes = []
        for seen in sorted(self.book.open_orders(), key=lambda order: not order.waits):
            if self.book.by_id[seen.id].status.is_listed_open:
                outcomes.append(Outcome(subject=seen.id, order=self.cancel(seen.id)))
        return outcomes

    def _tell_refused(self, kind: EventKind, order: VenueOrder) -> None:
        if self.config.knobs.tells_refused_changes:
            self._register.record(kind, order)

    def replace(self, order_id: str, change: Replacement) -> VenueOrder:
        """Put a changed order in an open one's place. Raises Refusal."""
        old = self.order(order_id)
        try:
            return self._replace(old, change)
        except errors.Refusal:
            self._tell_refused(EventKind.REPLACE_REJECTED, old)
            raise

    def _replace(self, old: VenueOrder, change: Replacement) -> VenueOrder:
        if (
            change.client_order_id is not None
            and self.book.by_client(change.client_order_id) is not None
        ):
            raise errors.invalid("client_order_id must be unique")
        request = replacement_request(old, change)
        judge_chain(old, self.now_ns, self.config.knobs.replace_chain_s)
        admission = self._judge.admit_change(old, request)
        desk, _ = self._desk(self.touch(old.symbol), request)
        new = replace(
            write_order(request, admission, desk),
            replaces=old.id,
            parent_id=old.parent_id,
            leg_ids=old.leg_ids,
            is_armed=old.is_armed,
        )
        if old.hwm is not None:
            new = with_trail(new, old.hwm)
        return self._changing.replace(old, new)

    def close_position(
        self, symbol: str, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> VenueOrder:
        """Close a position, all of it or a part, at market. Raises Refusal."""
        held = self.account.qty(symbol)
        return self.submit(closing_request(symbol, held, qty, percentage))

    def close_all(self, *, cancel_orders: bool) -> list[Outcome]:
        """Close every position, after cancelling every order if asked to."""
        if cancel_orders:
            self.cancel_all()
        outcomes = []
        for symbol in sorted(self.account.holdings):
            try:
                order = self.close_position(symbol)
                outcomes.append(Outcome(subject=symbol, order=order))
            except errors.Refusal as refusal:
                outcomes.append(Outcome(subject=symbol, refusal=refusal))
        return outcomes

    def configure(self, configuration: Configuration) -> None:
        """Switch what the account's owner may switch."""
        self._register.record_configuration(configuration)

    def redo(self, events: Iterable[VenueEvent]) -> None:
        """Apply recorded events after the state given at construction, before anything else."""
        self._register.redo(events)
        self._agenda = Agenda(self.market.calendar, self.now_ns)
        self.views.forget(self.now_ns)
        self._halting = self._halting_anew()
        self._take_up()

    def day_trade_count(self) -> int:
        """Return the day trades of the last five sessions, today's among them."""
        return self._judge.day_trade_count()

    def _desk(self, touch: Touch | None, request: OrderRequest) -> tuple[Desk, bool]:
        calendar = self.market.calendar
        evening = evening_session(request, self.now_ns, calendar)
        session, works_now = (evening, True) if evening else trading_day(calendar, self.now_ns)
        desk = Desk(
            now_ns=self.now_ns,
            session=session,
            gtc_days=self.config.knobs.gtc_days,
            next_id=self._register.next_order_id,
            client_id_for=self._register.client_id_for,
            touch=touch,
        )
        return desk, works_now


def first_state(market: Market, config: VenueConfig) -> VenueState:
    """Return the state of a venue that has never run."""
    return VenueState(
        now_ns=config.start_ns,
        seq=0,
        orders_made=0,
        account_id=uuid_text(config.seed, "account", market.name, config.start_ns, config.cash_usd),
        created_ns=config.start_ns,
        cash=config.cash_usd,
        last_equity=config.cash_usd,
        last_maintenance_margin=ZERO,
    )

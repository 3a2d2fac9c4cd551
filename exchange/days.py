"""What a trading day does by itself: wakes orders, opens, closes, expires."""

import math
from dataclasses import replace
from datetime import date

from exchange.activities import Activity
from exchange.agenda import Appointment, Moment
from exchange.carrying import nights_between, overnight_charges
from exchange.corporate_days import CorporateDays
from exchange.errors import Refusal
from exchange.extended import extended_view, part_of
from exchange.fates import RARE, Fates
from exchange.instants import new_york_day, to_ns
from exchange.judging import Judge
from exchange.knobs import Knobs
from exchange.matching import exact_usd
from exchange.orders import Status, TimeInForce, VenueOrder
from exchange.prices import Prices
from exchange.records import DayClose
from exchange.register import Register
from exchange.tape_view import TapeView
from exchange.tape_views import TapeViews
from exchange.trading import Trading, works

_ENDS_WITH_DAY = (TimeInForce.DAY, TimeInForce.OPG, TimeInForce.CLS)


class DayRules:
    """Keeps the agenda's appointments."""

    def __init__(
        self,
        register: Register,
        prices: Prices,
        trading: Trading,
        corporate: CorporateDays,
        terms: tuple[TapeViews, Knobs],
        judge: Judge,
    ) -> None:
        self._judge = judge
        self._fates = Fates(register, trading)
        self._register = register
        self._corporate = corporate
        self._prices = prices
        self._trading = trading
        self._views, self._knobs = terms

    def keep(self, appointment: Appointment) -> None:
        """Do what is due."""
        match appointment.moment:
            case Moment.WAKE:
                self._wake(appointment)
            case Moment.OPEN:
                self.open(appointment)
            case Moment.CLOSE:
                self._close(appointment)
            case Moment.SWEEP:
                self._expire(appointment.at_ns)
            case Moment.LATE:
                self._trading.close_session()
                self._expire(appointment.at_ns)
                self._end_day(are_extended=True)

    def resume(self) -> None:
        """Take up the open session's tape, after a start in the middle of one."""
        view = self._views.latest(self._register.now_ns)
        if view is not None and self._register.now_ns < to_ns(view.session.closes_at):
            self._trading.open_session(view)
        else:
            self.open_extended()

    def open_extended(self) -> None:
        """Begin trading beside the regular session, if it is time and an order asks for it."""
        now_ns = self._register.now_ns
        session = self._views.market.calendar.session_of(new_york_day(now_ns))
        if not self._knobs.extended_hours or session is None or self._trading.is_open:
            return
        part = part_of(session, now_ns)
        asked = any(order.extended_hours for order in self._register.book.open_orders())
        if part is None or not asked or not self._views.has(session.day):
            return
        tape = self._views.tape(session.day)
        view = extended_view(tape, part, self._register.seed)
        self._trading.open_session(view, is_extended=True)

    def open(self, appointment: Appointment) -> None:
        """Begin trading if the market has a tape for the session."""
        view = self._views.latest(appointment.at_ns)
        if view is not None and view.session.day == appointment.session.day:
            self._trading.open_session(view)

    def _wake(self, appointment: Appointment) -> None:
        self._corporate.begin(appointment.session.day)
        self._charge(appointment.session.day)
        self._register.record_begin()
        for seen in self._register.book.open_orders():
            order = self._register.book.by_id[seen.id]
            if order.status is Status.ACCEPTED:
                self._begin(order)
            elif order.status in RARE:
                self._trading.wake(order)
        self.open_extended()

    def _begin(self, order: VenueOrder) -> None:
        """Let an order that has waited work, if it may still."""
        try:
            if self._knobs.judges_waiting_orders:
                self._judge.admit_again(order)
        except Refusal as refusal:
            rejected = replace(order, reason=refusal.message)
            self._trading.finish(rejected, Status.REJECTED)
        else:
            self._trading.wake(order)

    def _charge(self, day: date) -> None:
        if not self._register.closes:
            return
        nights = nights_between(self._register.closes[-1].day, day)
        price_of = self._prices.at(self._register.now_ns)
        account = self._register.account
        for charge in list(overnight_charges(account, price_of, nights, self._knobs)):
            activity_id, ordinal = self._register.next_activity_id()
            entry = Activity(
                id=activity_id,
                ordinal=ordinal,
                kind=charge.kind,
                at_ns=self._register.now_ns,
                day=day,
                net_amount=-charge.amount_usd,
                description=charge.description,
                symbol=charge.symbol,
            )
            self._register.record_charge(entry)

    def _close(self, appointment: Appointment) -> None:
        view = self._views.latest(appointment.at_ns)
        if view is not None and view.session.day == appointment.session.day:
            self._closing_auction(view)
        self._trading.close_session()
        self._expire(appointment.at_ns)
        self._end_day(are_extended=False)
        price_of = self._prices.at(appointment.at_ns)
        totals = self._register.account.totals(price_of, self._knobs)
        close = DayClose(
            day=appointment.session.day,
            at_ns=appointment.at_ns,
            equity=totals.equity,
            maintenance_margin=totals.maintenance_margin,
            cash=totals.cash,
        )
        self._register.record_close(close)
        self.open_extended()

    def _end_day(self, *, are_extended: bool) -> None:
        """Let the orders that go on tomorrow be done for today, where that is wished."""
        if not self._knobs.done_for_day_at_close:
            return
        for order in self._register.book.open_orders():
            if order.extended_hours is are_extended:
                self._fates.done_for_day(order)

    def _closing_auction(self, view: TapeView) -> None:
        for order in self._register.book.open_orders():
            row = self._views.column_of[order.symbol]
            price = float(view.tape.official_close_usd[row])
            is_halted = view.is_halted(row, len(view.at_ns) - 1)
            is_there = order.time_in_force is TimeInForce.CLS and works(order)
            if is_there and math.isfinite(price) and not is_halted:
                self._trading.fill_at_auction(order, exact_usd(price))

    def _expire(self, at_ns: int) -> None:
        for seen in self._register.book.open_orders():
            order = self._register.book.by_id[seen.id]
            if order.status.is_terminal or order.expires_ns > at_ns:
                continue
            is_day = order.time_in_force in _ENDS_WITH_DAY
            self._trading.finish(order, Status.EXPIRED if is_day else Status.CANCELED)

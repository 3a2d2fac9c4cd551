"""What a trading day does by itself: wakes orders, opens, closes, expires."""

import math

from exchange.agenda import Appointment, Moment
from exchange.corporate_days import CorporateDays
from exchange.instants import to_ns
from exchange.knobs import Knobs
from exchange.matching import exact_usd
from exchange.orders import Status, TimeInForce
from exchange.prices import Prices
from exchange.records import DayClose
from exchange.register import Register
from exchange.tape_view import TapeView
from exchange.tape_views import TapeViews
from exchange.trading import Trading

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
    ) -> None:
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
            case Moment.SWEEP | Moment.LATE:
                self._expire(appointment.at_ns)

    def resume(self) -> None:
        """Take up the open session's tape, after a start in the middle of one."""
        view = self._views.latest(self._register.now_ns)
        if view is not None and self._register.now_ns < to_ns(view.session.closes_at):
            self._trading.open_session(view)

    def open(self, appointment: Appointment) -> None:
        """Begin trading if the market has a tape for the session."""
        view = self._views.latest(appointment.at_ns)
        if view is not None and view.session.day == appointment.session.day:
            self._trading.open_session(view)

    def _wake(self, appointment: Appointment) -> None:
        self._corporate.begin(appointment.session.day)
        self._register.record_begin()
        for order in self._register.book.open_orders():
            if order.status is Status.ACCEPTED:
                self._trading.wake(order)

    def _close(self, appointment: Appointment) -> None:
        view = self._views.latest(appointment.at_ns)
        if view is not None and view.session.day == appointment.session.day:
            self._closing_auction(view)
        self._trading.close_session()
        self._expire(appointment.at_ns)
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

    def _closing_auction(self, view: TapeView) -> None:
        for order in self._register.book.open_orders():
            row = self._views.column_of[order.symbol]
            price = float(view.tape.official_close_usd[row])
            is_halted = view.is_halted(row, len(view.at_ns) - 1)
            if order.time_in_force is TimeInForce.CLS and math.isfinite(price) and not is_halted:
                self._trading.fill_at_auction(order, exact_usd(price))

    def _expire(self, at_ns: int) -> None:
        for seen in self._register.book.open_orders():
            order = self._register.book.by_id[seen.id]
            if order.status.is_terminal or order.expires_ns > at_ns:
                continue
            is_day = order.time_in_force in _ENDS_WITH_DAY
            self._trading.finish(order, Status.EXPIRED if is_day else Status.CANCELED)

"""What an order is judged against: the account, its own orders and the touch, as they stand now."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from domain.calendar import Calendar
from domain.money import ZERO
from exchange import errors
from exchange.account import Totals
from exchange.admission import Admission, Surroundings, Touch, admit
from exchange.assets import Asset
from exchange.day_trades import (
    DAY_TRADES_MAX,
    EQUITY_MIN_USD,
    SESSIONS,
    day_trades,
    opened_today,
)
from exchange.instants import SECOND_NS, new_york_day
from exchange.knobs import Knobs
from exchange.orders import OrderClass, OrderRequest, Status, VenueOrder
from exchange.prices import Prices
from exchange.register import Register


class Judge:
    """Judges requests, changes of open orders, and orders that have waited over a night."""

    def __init__(
        self,
        register: Register,
        prices: Prices,
        assets: Mapping[str, Asset],
        terms: tuple[Calendar, Knobs],
    ) -> None:
        self._register = register
        self._prices = prices
        self._assets = assets
        self._calendar, self._knobs = terms

    def totals(self, freed_usd: Decimal = ZERO) -> Totals:
        """Return the account's sums now, as if `freed_usd` of buying power were not reserved."""
        wanted = self._register.configuration.max_margin_multiplier
        knobs = self._knobs
        if wanted < knobs.multiplier_max:
            knobs = replace(knobs, multiplier_max=wanted)
        price_of = self._prices.at(self._register.now_ns)
        return self._register.account.totals(price_of, knobs, freed_usd)

    def touch(self, symbol: str) -> Touch | None:
        """Return best bid and ask now, None while nothing is known of the symbol."""
        return self._prices.touch(symbol, self._register.now_ns)

    def available_qty(self, symbol: str) -> Decimal:
        """Return the shares (≥ 0) that no closing order ties up, nor has tied up a moment ago."""
        return self._register.account.available_qty(symbol) - self._unreleased_qty(symbol)

    def _unreleased_qty(self, symbol: str) -> Decimal:
        """Return the shares that orders held which have ended, and which are not free yet."""
        lag_ns = round(self._knobs.release_lag_s * SECOND_NS)
        if not lag_ns:
            return ZERO
        since_ns = self._register.now_ns - lag_ns
        kept = sum(
            (
                _held_at_end(o)
                for o in self._register.book.by_id.values()
                if o.symbol == symbol and o.finished_ns is not None and o.finished_ns > since_ns
            ),
            ZERO,
        )
        return min(kept, self._register.account.available_qty(symbol))

    def judge_halt(self, symbol: str) -> None:
        """Raise the Refusal of an order in a halted symbol, where a knob has it refused."""
        if not self._knobs.accepts_orders_when_halted and self._register.is_halted(symbol):
            raise errors.against_rule(f'asset "{symbol}" is halted')

    def admit(self, request: OrderRequest, touch: Touch | None) -> Admission:
        """Return what the venue makes of a request. Raises Refusal."""
        admission = admit(request, self._around(request.symbol, touch))
        self._judge_day_trade(request.symbol, admission)
        return admission

    def admit_change(self, old: VenueOrder, request: OrderRequest) -> Admission:
        """Return what the venue makes of a request in an open order's place. Raises Refusal."""
        if old.order_class is not OrderClass.SIMPLE and not old.intent.opens:
            # Exits of a group were admitted with it; their shares may not be there yet.
            return Admission(intent=old.intent, reserve_usd=ZERO)
        return admit(request, self._around(old.symbol, self.touch(old.symbol), without=old))

    def admit_again(self, order: VenueOrder) -> Admission:
        """Return what the venue makes of an order that it took earlier. Raises Refusal."""
        return self.admit_change(order, _request_of(order))

    def day_trade_count(self) -> int:
        """Return the day trades of the last five sessions, today's among them."""
        today = new_york_day(self._register.now_ns)
        days = [s.day for s in self._calendar.sessions if s.day <= today][-SESSIONS:]
        return sum(day_trades(self._register.standing(), days[0]).values()) if days else 0

    def _judge_day_trade(self, symbol: str, admission: Admission) -> None:
        if not self._knobs.pdt_protection or admission.intent.opens:
            return
        register = self._register
        is_poor = register.account.last_equity < EQUITY_MIN_USD
        is_one = opened_today(register.standing(), symbol, new_york_day(register.now_ns))
        if is_poor and is_one and self.day_trade_count() >= DAY_TRADES_MAX:
            raise errors.day_trade_denied()

    def _around(
        self, symbol: str, touch: Touch | None, without: VenueOrder | None = None
    ) -> Surroundings:
        register, lag_s = self._register, self._knobs.bookkeeping_lag_s
        own = [o for o in register.book.open_of(symbol) if without is None or o.id != without.id]
        return Surroundings(
            asset=self._assets[symbol],
            account=register.account,
            own_orders=own,
            touch=touch,
            buying_power=self.totals(without.reserved_usd if without else ZERO).buying_power,
            freed_qty=without.held_qty if without else ZERO,
            configuration=register.configuration,
            knobs=self._knobs,
            is_change=without is not None,
            unreleased_qty=self._unreleased_qty(symbol),
            is_settling=register.has_filled_since(
                symbol, register.now_ns - round(lag_s * SECOND_NS)
            ),
        )


def _held_at_end(order: VenueOrder) -> Decimal:
    """Return the shares that a finished order held when it ended without a successor."""
    most = order.qty if order.qty is not None else order.cap_qty
    if order.intent.opens or order.status is Status.REPLACED or most is None:
        return ZERO
    return most - order.filled_qty


def _request_of(order: VenueOrder) -> OrderRequest:
    return OrderRequest(
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        time_in_force=order.time_in_force,
        qty=order.qty,
        notional=order.notional,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        trail_price=order.trail_price,
        trail_percent=order.trail_percent,
        extended_hours=order.extended_hours,
        order_class=order.order_class,
        position_intent=order.intent,
    )

"""Orders as the venue holds them: requests, states, executions."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from domain.money import ZERO
from domain.orders import Side

QUANTITY_STEP = Decimal("0.000000001")


class OrderType(StrEnum):
    """How an order finds its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long an order works."""

    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    CLS = "cls"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    """How orders hang together; a simple order's class is empty on the wire."""

    SIMPLE = ""
    BRACKET = "bracket"
    OCO = "oco"
    OTO = "oto"


class PositionIntent(StrEnum):
    """What an order does to the position."""

    BUY_TO_OPEN = "buy_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_OPEN = "sell_to_open"
    SELL_TO_CLOSE = "sell_to_close"

    @property
    def opens(self) -> bool:
        """Whether it enlarges a position."""
        return self in (PositionIntent.BUY_TO_OPEN, PositionIntent.SELL_TO_OPEN)


class Status(StrEnum):
    """Where an order stands, in the wire's words."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    HELD = "held"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"
    PENDING_REVIEW = "pending_review"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    DONE_FOR_DAY = "done_for_day"
    CALCULATED = "calculated"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in _TERMINAL

    @property
    def is_listed_open(self) -> bool:
        """Whether `status=open` lists it; held legs are not."""
        return not self.is_listed_closed and self is not Status.HELD

    @property
    def is_listed_closed(self) -> bool:
        """Whether `status=closed` lists it."""
        return self in _TERMINAL or self is Status.CALCULATED


_TERMINAL = frozenset(
    {Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.REPLACED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a client asks for, well-formed but not yet judged against account and market."""

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    client_order_id: str | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit_limit: Decimal | None = None
    stop_loss_stop: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    position_intent: PositionIntent | None = None

    @property
    def is_fractional(self) -> bool:
        """Whether it is for dollars or for part of a share."""
        return self.notional is not None or (self.qty is not None and self.qty % 1 != 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A replacement that has been asked for: when it is due, what the order it would replace had
    filled then, and what it ties up beyond that order, so that the larger of both counts."""

    due_ns: int
    filled_qty: Decimal
    excess_usd: Decimal
    excess_qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """One order of the account. `filled_value_usd` is Σ quantity × price of its executions.

    `reserve_usd` is the buying power one open share ties up; 0 for closing orders.
    `ordinal` is the order's place among all ever accepted; `finished_ns` the instant its terminal
    status was reached. `is_elected`: a stop that has been triggered; `collar_price` is the limit
    the venue gives an elected buy stop; `is_armed`: a held stop that already watches the tape;
    `cap_qty`: the most shares an order in dollars may close.
    """

    id: str
    ordinal: int
    client_order_id: str
    symbol: str
    side: Side
    intent: PositionIntent
    type: OrderType
    time_in_force: TimeInForce
    order_class: OrderClass
    status: Status
    created_ns: int
    submitted_ns: int
    updated_ns: int
    expires_ns: int
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    hwm: Decimal | None = None
    extended_hours: bool = False
    is_elected: bool = False
    is_armed: bool = True
    collar_price: Decimal | None = None
    cap_qty: Decimal | None = None
    filled_qty: Decimal = ZERO
    filled_value_usd: Decimal = ZERO
    reserve_usd: Decimal = ZERO
    finished_ns: int | None = None
    cancel_due_ns: int | None = None
    """When a cancel that was asked for takes effect; it may fill until then."""
    cancel_asked_ns: int | None = None
    wait: Wait | None = None
    """Of an order that replaces another, but not at once."""
    last_fill_ns: int | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    parent_id: str | None = None
    leg_ids: tuple[str, ...] = ()
    reason: str = ""

    @property
    def waits(self) -> bool:
        """Whether it has yet to take the place of the order it replaces."""
        return self.wait is not None and self.status is Status.PENDING_NEW

    @property
    def working_limit(self) -> Decimal | None:
        """The worst price it may fill at, None at market."""
        return self.limit_price if self.limit_price is not None else self.collar_price

    @property
    def remaining_qty(self) -> Decimal:
        """Shares that may still fill; zero once finished, and for dollars spent on opening."""
        most = self.qty if self.qty is not None else self.cap_qty
        if self.status.is_terminal or most is None:
            return ZERO
        return most - self.filled_qty

    @property
    def remaining_notional(self) -> Decimal:
        """Dollars that may still be spent by an order in dollars."""
        if self.status.is_terminal or self.notional is None:
            return ZERO
        return max(ZERO, self.notional - self.filled_value_usd)

    @property
    def reserved_usd(self) -> Decimal:
        """Buying power tied up now."""
        if not self.intent.opens:
            return ZERO
        if self.wait is not None and self.waits:
            return self.wait.excess_usd
        if self.notional is not None:
            return self.remaining_notional
        return self.reserve_usd * self.remaining_qty

    @property
    def held_qty(self) -> Decimal:
        """Shares of the position tied up now by closing."""
        if self.wait is not None and self.waits:
            return self.wait.excess_qty
        return ZERO if self.intent.opens else self.remaining_qty

    @property
    def filled_avg_price(self) -> Decimal | None:
        """Average price of what filled, None before the first execution."""
        return self.filled_value_usd / self.filled_qty if self.filled_qty else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Shares that changed hands. `position_qty` is signed, after the fill."""

    id: str
    ordinal: int
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price_usd: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    position_qty: Decimal
    at_ns: int
    completes: bool
    undoes: str | None = None
    """The execution that this one takes back, by trading the other way at its price."""
    corrects: str | None = None
    """The execution, taken back, in whose place it stands at another price."""

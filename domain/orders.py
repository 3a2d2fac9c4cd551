"""An order's life in values: intended, approved or denied by us, accepted or rejected there."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.instruments import Symbol
from domain.money import ZERO
from domain.values import Value, replace

BookName = str
"""A strategy's name, or one of the two below."""
EXTERNAL = "external"
"""The book of what we did not order: positions found, manual trades, corporate actions."""
OPERATOR = "operator"
"""The book of orders a person gave us."""


class Side(StrEnum):
    """Which way shares move."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, −1 for a sell."""
        return 1 if self is _BUY else -1


_BUY = Side.BUY
"""Looked up once: a member of an enumeration is found through its class, and orders are many."""


class Leg(StrEnum):
    """What an order is for; part of its identity. A flip is CLOSE, then OPEN once it filled."""

    OPEN = "open"
    CLOSE = "close"
    EXIT = "exit"
    FLATTEN = "flatten"


class TimeInForce(StrEnum):
    """How long an order works."""

    DAY = "day"
    GTC = "gtc"


class AtMarket(Value, frozen=True):
    """Fill now at whatever the market gives."""


class AtLimit(Value, frozen=True):
    """Fill at this price or better."""

    limit_usd: Decimal


class AtStop(Value, frozen=True):
    """Become a market order once the price trades through the stop."""

    stop_usd: Decimal


class AtStopLimit(Value, frozen=True):
    """Become a limit order once the price trades through the stop."""

    stop_usd: Decimal
    limit_usd: Decimal


Terms = AtMarket | AtLimit | AtStop | AtStopLimit


class OrderStatus(StrEnum):
    """Where an order stands; `execution.order_states` says what may follow what."""

    APPROVED = "approved"
    SUBMITTING = "submitting"
    UNRESOLVED = "unresolved"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    CANCELING = "canceling"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    WITHHELD = "withheld"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in TERMINAL


TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.WITHHELD,
    }
)
"""Statuses after which nothing more can happen."""


class OrderIntent(Value, frozen=True, kw_only=True):
    """What we would like to trade, before the gate was asked.

    `deltas` are the signed shares each book wants of it; they sum to the signed quantity.
    `reference_usd` is the mid the decision was taken on; `reason` says why in one line.
    """

    client_order_id: str
    symbol: Symbol
    side: Side
    quantity_shares: Decimal
    terms: Terms
    time_in_force: TimeInForce
    leg: Leg
    slot_at: datetime
    intended_at: datetime
    deltas: Mapping[BookName, Decimal]
    reference_usd: Decimal
    reason: str

    def __post_init__(self) -> None:
        quantity_shares = self.quantity_shares
        if quantity_shares <= ZERO or self.reference_usd <= ZERO:
            raise ValueError(f"an intent for nothing: {self!r}")
        if len(self.client_order_id) > 48:
            raise ValueError(f"client order id is longer than 48: {self.client_order_id}")
        signed_shares = quantity_shares if self.side is _BUY else -quantity_shares
        if sum(self.deltas.values(), ZERO) != signed_shares:
            raise ValueError(f"the books' deltas do not sum to the order: {self!r}")

    @property
    def signed_shares(self) -> Decimal:
        """The change of position asked for; negative for a sell."""
        return self.quantity_shares if self.side is _BUY else -self.quantity_shares


class Severity(StrEnum):
    """How much a person should care."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Denial(Value, frozen=True, kw_only=True):
    """One rule's objection: how much it would allow, and what a person needs to understand it.

    `setting` is the key in `.env` that holds the limit; `limit`, `value` and `headroom` are
    readable, with their unit.
    """

    rule: str
    setting: str
    limit: str
    value: str
    headroom: str
    allowed_shares: Decimal
    severity: Severity
    action: str

    def __post_init__(self) -> None:
        if self.allowed_shares < 0:
            raise ValueError(f"a rule allows less than nothing: {self!r}")


class ApprovedOrder(Value, frozen=True, kw_only=True):
    """An intent that passed the gate, perhaps reduced. Made in `risk/gate.py` and nowhere else.

    It is void after `expires_at` and once the trading epoch has moved on from `epoch`.
    """

    intent: OrderIntent
    approved_at: datetime
    expires_at: datetime
    epoch: int


class Verdict(Value, frozen=True, kw_only=True):
    """The gate's answer: an order (perhaps reduced) or none, and every objection raised.

    `notes` say what is odd about an exit that passed all the same (a stale price, a wide collar).
    """

    intent: OrderIntent
    approved: ApprovedOrder | None
    denials: tuple[Denial, ...]
    notes: tuple[str, ...] = ()


class OrderReport(Value, frozen=True, kw_only=True):
    """The venue's view of one order. `status` is in our words; `filled_shares` only ever grows."""

    client_order_id: str
    venue_order_id: str
    symbol: Symbol
    side: Side
    status: OrderStatus
    quantity_shares: Decimal
    filled_shares: Decimal
    terms: Terms
    time_in_force: TimeInForce
    submitted_at: datetime
    updated_at: datetime
    reason: str = ""


class OrderUpdate(Value, frozen=True, kw_only=True):
    """Something happened to an order of the account, ours or not."""

    report: OrderReport
    at: datetime


class Fill(Value, frozen=True, kw_only=True):
    """Shares that changed hands. Booked once per `fill_id`, however often it arrives."""

    fill_id: str
    client_order_id: str
    venue_order_id: str
    symbol: Symbol
    side: Side
    quantity_shares: Decimal
    price_usd: Decimal
    fee_usd: Decimal
    filled_at: datetime

    def __post_init__(self) -> None:
        if self.quantity_shares <= ZERO or self.price_usd <= ZERO or self.fee_usd < ZERO:
            raise ValueError(f"not a fill: {self!r}")

    @property
    def signed_shares(self) -> Decimal:
        """The change of position; negative for a sell."""
        return self.quantity_shares if self.side is _BUY else -self.quantity_shares


class Bust(Value, frozen=True, kw_only=True):
    """The venue takes an execution back: it never was, or, with `corrected`, was another one.

    `fill_id` is the execution's, "" when the venue did not say which. May arrive more than once,
    and before the execution itself.
    """

    fill_id: str
    client_order_id: str
    symbol: Symbol
    corrected: Fill | None = None


class Order(Value, frozen=True, kw_only=True):
    """Our record of an order we decided: what was meant, and how far it has got.

    `filled_shares` and `filled_value_usd` come from booked fills alone; `reported_shares` is the
    most the venue has said was filled. Where it is ahead, fills are still to come and their shares
    count as working, even after the end.
    """

    intent: OrderIntent
    status: OrderStatus
    venue_order_id: str = ""
    filled_shares: Decimal = ZERO
    filled_value_usd: Decimal = ZERO
    reported_shares: Decimal = ZERO
    repricings: int = 0
    submitted_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str = ""
    is_restated: bool = False
    """Whether the venue took an execution of it back: from then on its booked fills alone say how
    much was filled, as reports still under way may tell of more."""

    @property
    def client_order_id(self) -> str:
        """Its identity at the venue."""
        return self.intent.client_order_id

    @property
    def unbooked_shares(self) -> Decimal:
        """Shares that the venue said were filled and whose fills have not been booked yet."""
        return max(self.reported_shares - self.filled_shares, ZERO)

    @property
    def remaining_shares(self) -> Decimal:
        """Shares that may still be booked: once finished, only those already reported filled."""
        if self.status in TERMINAL:
            return self.unbooked_shares
        return max(self.intent.quantity_shares - self.filled_shares, ZERO)

    @property
    def remaining_signed_shares(self) -> Decimal:
        """The change of position that may still come; negative for a sell."""
        remaining_shares = self.remaining_shares
        return remaining_shares if self.intent.side is _BUY else -remaining_shares

    def restated(self, taken_back: Fill | None, corrected: Fill | None) -> "Order":
        """Return the order after a fill of it was taken back (None: one that was never booked), and
        put right; its status stays, as it does at the venue."""
        filled_shares, value_usd = self.filled_shares, self.filled_value_usd
        for fill, sign in ((taken_back, -1), (corrected, 1)):
            if fill is not None:
                filled_shares += sign * fill.quantity_shares
                value_usd += sign * fill.quantity_shares * fill.price_usd
        if filled_shares == self.filled_shares and corrected is not None:
            # Another price alone: what is reported, and not booked yet, is waited for as before.
            return replace(self, filled_value_usd=value_usd)
        return replace(
            self,
            filled_shares=filled_shares,
            filled_value_usd=value_usd,
            reported_shares=filled_shares,
            is_restated=True,
        )

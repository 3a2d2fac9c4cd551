"""What the venue says happened, and what of it survives: events, closes of day, saved state."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from exchange.account import Holding
from exchange.activities import Activity, DividendDue
from exchange.admission import DEFAULT_CONFIGURATION, Configuration
from exchange.halts import Halt
from exchange.orders import Execution, VenueOrder
from exchange.watchlists import Watchlists


class EventKind(StrEnum):
    """Names of events; those of orders are the stream's."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    NEW = "new"
    HELD = "held"
    PARTIAL_FILL = "partial_fill"
    FILL = "fill"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    DONE_FOR_DAY = "done_for_day"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    TRADE_BUST = "trade_bust"
    TRADE_CORRECT = "trade_correct"
    RESTATED = "restated"
    """A split or dividend changed an order's quantity or prices."""
    CANCEL_REJECTED = "order_cancel_rejected"
    REPLACE_REJECTED = "order_replace_rejected"
    QUIET = "quiet"
    """An order changed without a word on the stream."""
    DAY_CLOSED = "day_closed"
    DAY_BEGUN = "day_begun"
    CONFIGURED = "configured"
    DIVIDEND_OWED = "dividend_owed"
    DIVIDEND_PAID = "dividend_paid"
    CHARGED = "charged"
    REORGANIZED = "reorganized"
    """A split changed a position."""
    HALTED = "halted"
    RESUMED = "resumed"
    WATCHLISTS = "watchlists"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayClose:
    """The account at a session's close."""

    day: date
    at_ns: int
    equity: Decimal
    maintenance_margin: Decimal
    cash: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueEvent:
    """One mutation, complete enough to redo it: the order's new version, the execution or the
    activities, and the cash and holding they left behind. `seq` counts from 1 without gaps."""

    seq: int
    at_ns: int
    kind: EventKind
    cash: Decimal
    order: VenueOrder | None = None
    legs: tuple[VenueOrder, ...] = ()
    """The order's legs, as they stood then."""
    execution: Execution | None = None
    holding: Holding | None = None
    close: DayClose | None = None
    configuration: Configuration | None = None
    activities: tuple[Activity, ...] = ()
    due: DividendDue | None = None
    halt: Halt | None = None
    watchlists: Watchlists | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueState:
    """Everything the venue must remember, as of event `seq`."""

    now_ns: int
    seq: int
    orders_made: int
    account_id: str
    created_ns: int
    cash: Decimal
    last_equity: Decimal
    last_maintenance_margin: Decimal
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: list[VenueOrder] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    closes: list[DayClose] = field(default_factory=list)
    begun: date | None = None
    configuration: Configuration = DEFAULT_CONFIGURATION
    activities: list[Activity] = field(default_factory=list)
    dues: list[DividendDue] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)
    """Every halt there has been; of those that run, also in `halted`."""
    halted: list[Halt] = field(default_factory=list)
    watchlists: Watchlists = ()
    watchlists_made: int = 0

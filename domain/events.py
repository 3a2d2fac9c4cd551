"""What the engine hears and what it asks for: the two unions everything passes through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.calendar import Session, Timeframe
from domain.instruments import Symbol
from domain.market import BarRow, Market, Quote
from domain.orders import ApprovedOrder, Fill, OrderReport, OrderUpdate, Severity, Side
from domain.portfolio import AccountReport
from domain.signals import OpinionFault, Signals, StrategyName
from domain.snapshot import Decision, TradingStatus

# --- events: what happened -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """The regular session began, or the daemon started inside it."""

    at: datetime
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed:
    """The regular session ended."""

    at: datetime
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsClosed:
    """The venue's bars that closed at one slot, by timeframe; the first event of a decision.

    `late` holds rows of earlier slots that have changed since: they amend, and reopen nothing.
    """

    at: datetime
    slot_at: datetime
    rows: Mapping[Timeframe, BarRow]
    late: tuple[tuple[Timeframe, datetime, BarRow], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotesPolled:
    """The latest quotes of the universe; symbols that could not be had are missing.

    `invalid` counts, by reason, what the border threw away.
    """

    at: datetime
    quotes: Mapping[Symbol, Quote]
    invalid: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpinionGiven:
    """A strategy answered an Ask; not yet validated."""

    at: datetime
    strategy: StrategyName
    slot_at: datetime
    signals: Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class OpinionFailed:
    """A strategy did not answer an Ask as it must."""

    at: datetime
    strategy: StrategyName
    slot_at: datetime
    fault: OpinionFault
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionDue:
    """The slot is to be decided now with what opinions are there."""

    at: datetime
    slot_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """The venue said something about an order of the account, ours or not."""

    at: datetime
    update: OrderUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled:
    """Shares changed hands. May arrive more than once."""

    at: datetime
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitStarted:
    """The first byte of a submission may be on the wire."""

    at: datetime
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitWithheld:
    """The last check before the wire failed: the order was not sent and is terminal."""

    at: datetime
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRejected:
    """The venue definitely refused a submission. `code` is the venue's."""

    at: datetime
    client_order_id: str
    reason: str
    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitUnresolved:
    """A submission's outcome could not be learnt within its limits: quarantine the symbol."""

    at: datetime
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReported:
    """The account as the venue sees it, for reconciling; taken when nothing was in flight."""

    at: datetime
    account: AccountReport
    open_orders: tuple[OrderReport, ...]


class Action(StrEnum):
    """What an operator may ask for."""

    HALT = "halt"
    REDUCE = "reduce"
    RESUME = "resume"
    FLATTEN = "flatten"
    CANCEL_ALL = "cancel-all"
    ORDER = "order"
    UNBENCH = "unbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOrder:
    """An order a person gave; it passes the same gate."""

    symbol: Symbol
    side: Side
    quantity_shares: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAsked:
    """A person asked for something. `subject` is the strategy to unbench, or what a resume
    acknowledges."""

    at: datetime
    action: Action
    reason: str = ""
    subject: str = ""
    order: OperatorOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDistrusted:
    """The disk or the venue cannot be trusted (failed fsync, mismatch): HALTED follows."""

    at: datetime
    cause: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyHung:
    """The last run ended while this strategy was being asked."""

    at: datetime
    strategy: StrategyName


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingBegan:
    """The daemon is shutting down: nothing new is decided."""

    at: datetime


Event = (
    SessionOpened
    | SessionClosed
    | BarsClosed
    | QuotesPolled
    | OpinionGiven
    | OpinionFailed
    | DecisionDue
    | OrderChanged
    | OrderFilled
    | SubmitStarted
    | SubmitWithheld
    | SubmitRejected
    | SubmitUnresolved
    | AccountReported
    | OperatorAsked
    | StateDistrusted
    | StrategyHung
    | StoppingBegan
)

# --- commands: what is to be done ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Have a strategy decide on this market and post its answer."""

    strategy: StrategyName
    slot_at: datetime
    market: Market


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDecision:
    """Post DecisionDue(slot_at) at `due_at`."""

    slot_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDecision:
    """Make the decision durable; its SubmitOrders follow in the same batch and wait for it."""

    decision: Decision
    orders: tuple[ApprovedOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOrder:
    """Send the order, if it is still valid when the first byte would leave."""

    order: ApprovedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Ask the venue to cancel. `venue_order_id` may be empty for an order not yet acknowledged."""

    client_order_id: str
    venue_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStatus:
    """Make a change of trading state, bench or quarantine durable before acting on it."""

    at: datetime
    trading: TradingStatus
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Write a fact to the journal; it can be rebuilt from the venue, so no fsync is waited for."""

    kind: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Save a snapshot soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell a person. `key` names the edge, so that one edge is told once."""

    key: str
    severity: Severity
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)


Command = (
    Ask
    | ScheduleDecision
    | RecordDecision
    | SubmitOrder
    | CancelOrder
    | RecordStatus
    | Record
    | Save
    | Notify
)

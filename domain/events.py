"""What the engine hears: everything that happened reaches it as one of these."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from domain.calendar import Session, Timeframe
from domain.corporate import CorporateAction
from domain.errors import WhyRefused
from domain.instruments import AssetRights, Symbol
from domain.market import BarRow, Quote
from domain.orders import Bust, Fill, OrderReport, OrderUpdate, Side, Terms, TimeInForce
from domain.portfolio import AccountReport
from domain.signals import OpinionFault, Signals, StrategyName
from domain.values import Value, field


class SessionOpened(Value, frozen=True, kw_only=True):
    """The regular session began, or the daemon started inside it."""

    at: datetime
    session: Session


class SessionClosed(Value, frozen=True, kw_only=True):
    """The regular session ended."""

    at: datetime
    session: Session


class BarsClosed(Value, frozen=True, kw_only=True):
    """The venue's bars that closed at one slot, by timeframe; the first event of a decision.

    `late` holds rows of earlier slots that have changed since: they amend, and reopen nothing.
    """

    at: datetime
    slot_at: datetime
    rows: Mapping[Timeframe, BarRow]
    late: tuple[tuple[Timeframe, datetime, BarRow], ...] = ()


class QuotesPolled(Value, frozen=True, kw_only=True):
    """The latest quotes of the universe; symbols that could not be had are missing.

    `invalid` counts, by reason, what the border threw away.
    """

    at: datetime
    quotes: Mapping[Symbol, Quote]
    invalid: Mapping[str, int] = field(default_factory=dict)


class OpinionGiven(Value, frozen=True, kw_only=True):
    """A strategy answered an Ask; not yet validated."""

    at: datetime
    strategy: StrategyName
    slot_at: datetime
    signals: Signals


class OpinionFailed(Value, frozen=True, kw_only=True):
    """A strategy did not answer an Ask as it must."""

    at: datetime
    strategy: StrategyName
    slot_at: datetime
    fault: OpinionFault
    detail: str


class DecisionDue(Value, frozen=True, kw_only=True):
    """The slot is to be decided now with what opinions are there."""

    at: datetime
    slot_at: datetime


class OrderChanged(Value, frozen=True, kw_only=True):
    """The venue said something about an order of the account, ours or not."""

    at: datetime
    update: OrderUpdate


class OrderFilled(Value, frozen=True, kw_only=True):
    """Shares changed hands. May arrive more than once."""

    at: datetime
    fill: Fill


class TradeBusted(Value, frozen=True, kw_only=True):
    """The venue took an execution back, wholly or for another price. May arrive more than once."""

    at: datetime
    bust: Bust


class SubmitStarted(Value, frozen=True, kw_only=True):
    """The first byte of a submission may be on the wire."""

    at: datetime
    client_order_id: str


class SubmitWithheld(Value, frozen=True, kw_only=True):
    """The last check before the wire failed: the order was not sent and is terminal."""

    at: datetime
    client_order_id: str
    reason: str


class SubmitRejected(Value, frozen=True, kw_only=True):
    """The venue definitely refused a submission. `code` is the venue's; `is_account_blocked` when
    it would refuse any other order, too; `why` says whether it would refuse the same again."""

    at: datetime
    client_order_id: str
    reason: str
    code: int | None
    is_account_blocked: bool = False
    why: WhyRefused = WhyRefused.MOMENT


class SubmitUnresolved(Value, frozen=True, kw_only=True):
    """A submission's outcome could not be learnt within its limits: quarantine the symbol."""

    at: datetime
    client_order_id: str
    reason: str


class AccountReported(Value, frozen=True, kw_only=True):
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


class OperatorOrder(Value, frozen=True, kw_only=True):
    """An order a person gave; it passes the same gate."""

    symbol: Symbol
    side: Side
    quantity_shares: Decimal
    terms: Terms | None = None
    """None takes the default policy, a marketable limit inside the collar."""
    time_in_force: TimeInForce = TimeInForce.DAY


class OperatorAsked(Value, frozen=True, kw_only=True):
    """A person asked for something. `subject` is the strategy to unbench, or what a resume
    acknowledges."""

    at: datetime
    action: Action
    reason: str = ""
    subject: str = ""
    order: OperatorOrder | None = None


class StateDistrusted(Value, frozen=True, kw_only=True):
    """The disk or the venue cannot be trusted (failed fsync, mismatch): HALTED follows."""

    at: datetime
    cause: str
    evidence: str


class VitalsMeasured(Value, frozen=True, kw_only=True):
    """How the daemon and its machine are, every few seconds; None = could not be measured.

    `loop_lag_s` is the longest the loop stood still and `fsync_s` the longest a durable write took
    since the last of these, in real seconds; `clock_skew_s` the venue's clock less ours.
    """

    at: datetime
    loop_lag_s: float
    fsync_s: float
    disk_free_mb: float | None = None
    clock_skew_s: float | None = None


class ActionsRead(Value, frozen=True, kw_only=True):
    """What the companies of the universe, and of what is held, do until `day` and on it; read
    before its session. Actions read before, and those carried out, may be among them."""

    at: datetime
    day: date
    actions: tuple[CorporateAction, ...]


class AssetsRead(Value, frozen=True, kw_only=True):
    """What the venue allows to be done with some symbols from now on; others stay as they were."""

    at: datetime
    rights: Mapping[Symbol, AssetRights]


class StrategyHung(Value, frozen=True, kw_only=True):
    """The last run ended while this strategy was being asked."""

    at: datetime
    strategy: StrategyName


class StoppingBegan(Value, frozen=True, kw_only=True):
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
    | TradeBusted
    | SubmitStarted
    | SubmitWithheld
    | SubmitRejected
    | SubmitUnresolved
    | AccountReported
    | OperatorAsked
    | StateDistrusted
    | VitalsMeasured
    | ActionsRead
    | AssetsRead
    | StrategyHung
    | StoppingBegan
)

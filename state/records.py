"""What the journal remembers: one dataclass for each kind of record, and how it is written.

Every fact is absolute (what is so now, not what to do), so that applying it twice changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from domain.calendar import Timeframe
from domain.corporate import ActionDone, CorporateAction
from domain.errors import StateCorrupt
from domain.instruments import Symbol
from domain.orders import ApprovedOrder, BookName, Bust, Fill, Order, OrderIntent, OrderStatus
from domain.portfolio import AccountReport
from domain.signals import StrategyName
from domain.snapshot import Benching, DayStart, Decision, SavedOpinion, TradingStatus
from domain.values import Value, field
from state.journal import JournalRecord
from state.wire import WireFault, codec


class RunBegan(Value, frozen=True, kw_only=True):
    """A process took over this journal."""

    at: datetime
    venue: str
    account_id: str
    build: str
    settings_hash: str


class ApprovedIntent(Value, frozen=True, kw_only=True):
    """An order the gate approved, in full: what is sent again is what stands here."""

    intent: OrderIntent
    approved_at: datetime
    expires_at: datetime
    epoch: int
    repricings: int = 0


class Decided(Value, frozen=True, kw_only=True):
    """One slot's decision with all its orders, or none: the slot is never decided again."""

    decision: Decision
    orders: tuple[ApprovedIntent, ...]


class DecidedInBrief(Value, frozen=True, kw_only=True):
    """What of a slot's decision still counts once a later one was taken."""

    slot_at: datetime
    timeframes: tuple[Timeframe, ...]
    orders: tuple[ApprovedIntent, ...]


class Ordered(Value, frozen=True, kw_only=True):
    """Orders approved outside a slot's decision: re-pricings, exits, the operator's."""

    orders: tuple[ApprovedIntent, ...]


class Submitting(Value, frozen=True, kw_only=True):
    """The first byte of an order may be on the wire."""

    at: datetime
    client_order_id: str


class OrderMoved(Value, frozen=True, kw_only=True):
    """Where an order of ours stands now, but for what its fills say."""

    client_order_id: str
    status: OrderStatus
    venue_order_id: str
    reported_shares: Decimal
    repricings: int
    submitted_at: datetime | None
    cancel_requested_at: datetime | None
    finished_at: datetime | None
    reason: str

    @staticmethod
    def of(order: Order) -> "OrderMoved":
        """Return what is to be remembered of an order as it stands."""
        return OrderMoved(
            client_order_id=order.client_order_id,
            status=order.status,
            venue_order_id=order.venue_order_id,
            reported_shares=order.reported_shares,
            repricings=order.repricings,
            submitted_at=order.submitted_at,
            cancel_requested_at=order.cancel_requested_at,
            finished_at=order.finished_at,
            reason=order.reason,
        )


class Filled(Value, frozen=True, kw_only=True):
    """A fill was booked."""

    fill: Fill


class Busted(Value, frozen=True, kw_only=True):
    """An execution was taken back: `fill` as it was booked, None for one that never was."""

    at: datetime
    bust: Bust
    fill: Fill | None


class Crossed(Value, frozen=True, kw_only=True):
    """Books traded with each other; nothing was ordered."""

    at: datetime
    symbol: Symbol
    moves: Mapping[BookName, Decimal]
    price_usd: Decimal


class Flowed(Value, frozen=True, kw_only=True):
    """Money came (> 0) or went without being earned or lost."""

    at: datetime
    amount_usd: Decimal
    reason: str


class Earned(Value, frozen=True, kw_only=True):
    """A dividend, interest, or (< 0) a charge."""

    at: datetime
    amount_usd: Decimal
    book: BookName
    reason: str


class Adopted(Value, frozen=True, kw_only=True):
    """The venue's positions and cash replaced ours; what differed is EXTERNAL's."""

    account: AccountReport
    marks: Mapping[Symbol, Decimal]
    reason: str


class Acted(Value, frozen=True, kw_only=True):
    """A corporate action was carried out on what is held: `shares` are the account's after it, and
    `mark_usd` a price that had been seen of them by then."""

    at: datetime
    action: CorporateAction
    shares: Decimal
    done: ActionDone
    mark_usd: Decimal | None = None


class ActionSettled(Value, frozen=True, kw_only=True):
    """Money of a corporate action came, or (`is_lost`) will not come any more."""

    at: datetime
    done: ActionDone
    is_lost: bool = False


class StatusChanged(Value, frozen=True, kw_only=True):
    """The trading state as it is from now on."""

    at: datetime
    trading: TradingStatus
    detail: Mapping[str, str] = field(default_factory=dict)


class Noted(Value, frozen=True, kw_only=True):
    """Other parts of the state as they are from now on, each whole; None = as it was."""

    at: datetime
    benched: Mapping[StrategyName, Benching] | None = None
    quarantined: Mapping[Symbol, str] | None = None
    cooldowns: Mapping[Symbol, datetime] | None = None
    entered_at: Mapping[Symbol, datetime] | None = None
    due_at_open: tuple[datetime, ...] | None = None
    day_start: DayStart | None = None
    equity_peak_usd: Decimal | None = None
    daily_loss_days: tuple[date, ...] | None = None


class OpinionKept(Value, frozen=True, kw_only=True):
    """The latest accepted opinion of a strategy."""

    strategy: StrategyName
    opinion: SavedOpinion


Fact = (
    RunBegan
    | Decided
    | Ordered
    | Submitting
    | OrderMoved
    | Filled
    | Busted
    | Crossed
    | Flowed
    | Earned
    | Adopted
    | Acted
    | ActionSettled
    | StatusChanged
    | Noted
    | OpinionKept
)

KINDS: Mapping[str, type[Fact]] = {
    "RUN": RunBegan,
    "DECISION": Decided,
    "ORDERED": Ordered,
    "SUBMITTING": Submitting,
    "ORDER": OrderMoved,
    "FILL": Filled,
    "BUST": Busted,
    "CROSSING": Crossed,
    "FLOW": Flowed,
    "INCOME": Earned,
    "ADOPTION": Adopted,
    "ACTION": Acted,
    "SETTLED": ActionSettled,
    "STATUS": StatusChanged,
    "NOTE": Noted,
    "OPINION": OpinionKept,
}
_KIND_OF: Mapping[type[Fact], str] = {fact: kind for kind, fact in KINDS.items()}


def encode(fact: Fact) -> tuple[str, dict[str, Any]]:
    """Return the kind and the fields under which a Journal appends a fact."""
    form: Any = type(fact)
    return _KIND_OF[form], codec(form).encode(fact)


def decode(record: JournalRecord) -> Fact:
    """Return the fact in a record. Raises StateCorrupt naming record and fault."""
    form: Any = KINDS.get(record.kind)
    if form is None:
        raise StateCorrupt(
            f"journal record {record.seq}: of unknown kind {record.kind!r}, perhaps written by a "
            "newer Tradewind: update it, or name another directory with --state-dir"
        )
    try:
        fact: Fact = codec(form).decode(dict(record.fields))
    except WireFault as fault:
        raise StateCorrupt(
            f"journal record {record.seq} ({record.kind}): {fault}; nothing was changed: run "
            "`tradewind state verify`, then `tradewind state repair`"
        ) from fault
    return fact


def decode_in_brief(record: JournalRecord) -> Fact | DecidedInBrief:
    """Return the fact in a record, of a decision only what outlives the next one: why each symbol
    was or was not ordered is most of a journal, and read for the last decision alone.

    Raises StateCorrupt naming record and fault.
    """
    decision = record.fields.get("decision")
    if record.kind != "DECISION" or not isinstance(decision, dict):
        return decode(record)
    brief = {
        "slot_at": decision.get("slot_at"),
        "timeframes": decision.get("timeframes"),
        "orders": record.fields.get("orders"),
    }
    try:
        found: DecidedInBrief = codec(DecidedInBrief).decode(brief)
    except WireFault:
        return decode(record)  # which says what is wrong with it
    return found


def approved_intents(
    orders: Sequence[ApprovedOrder], *, repricings: int = 0
) -> tuple[ApprovedIntent, ...]:
    """Return what is to be remembered of orders the gate approved; `repricings` of each so far."""
    return tuple(
        [
            ApprovedIntent(
                intent=order.intent,
                approved_at=order.approved_at,
                expires_at=order.expires_at,
                epoch=order.epoch,
                repricings=repricings,
            )
            for order in orders
        ]
    )

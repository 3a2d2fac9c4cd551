"""What the engine asks for: everything that is to be done leaves it as one of these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.market import Market
from domain.orders import ApprovedOrder, Severity
from domain.signals import StrategyName
from state.records import Fact


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
class Record:
    """Write a fact to the journal; the venue could tell it again, so no fsync is waited for."""

    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDurably:
    """Write a fact to the journal; what follows in the same answer waits until it is durable."""

    fact: Fact


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
    Ask | ScheduleDecision | Record | RecordDurably | SubmitOrder | CancelOrder | Save | Notify
)

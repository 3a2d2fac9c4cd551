"""What the engine asks for: everything that is to be done leaves it as one of these."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from domain.calendar import Session
from domain.market import Market
from domain.orders import ApprovedOrder, Severity
from domain.signals import StrategyName
from domain.snapshot import TradingState
from domain.values import Value, field
from state.records import Fact


class Ask(Value, frozen=True, kw_only=True):
    """Have a strategy decide on this market and post its answer."""

    strategy: StrategyName
    slot_at: datetime
    market: Market


class ScheduleDecision(Value, frozen=True, kw_only=True):
    """Post DecisionDue(slot_at) at `due_at`."""

    slot_at: datetime
    due_at: datetime


class Record(Value, frozen=True, kw_only=True):
    """Write a fact to the journal; the venue could tell it again, so no fsync is waited for."""

    fact: Fact


class RecordDurably(Value, frozen=True, kw_only=True):
    """Write a fact to the journal; what follows in the same answer waits until it is durable."""

    fact: Fact


class SubmitOrder(Value, frozen=True, kw_only=True):
    """Send the order, if it is still valid when the first byte would leave."""

    order: ApprovedOrder


class CancelOrder(Value, frozen=True, kw_only=True):
    """Ask the venue to cancel. `venue_order_id` may be empty for an order not yet acknowledged."""

    client_order_id: str
    venue_order_id: str
    reason: str


class Save(Value, frozen=True, kw_only=True):
    """Save a snapshot soon."""


class Compare(Value, frozen=True, kw_only=True):
    """Have the account read and compared now."""


class Notify(Value, frozen=True, kw_only=True):
    """Tell a person. `key` names the edge, so that one edge is told once."""

    key: str
    severity: Severity
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)


def closed_with(
    session: Session, *, made_usd: Decimal, equity_usd: Decimal, state: TradingState
) -> Notify:
    """Return what a person is told at a session's close."""
    return Notify(
        key=f"closed:{session.day}",
        severity=Severity.INFO,
        message=f"{session.day} closed: {made_usd:+,.2f} USD",
        fields={"equity_usd": f"{equity_usd:.2f}", "trading_state": state.value},
    )


Command = (
    Ask
    | ScheduleDecision
    | Record
    | RecordDurably
    | SubmitOrder
    | CancelOrder
    | Save
    | Compare
    | Notify
)

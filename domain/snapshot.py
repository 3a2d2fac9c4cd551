"""Everything the engine must not forget, as one value: what is saved, shown, and started from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from domain.calendar import Timeframe
from domain.corporate import ActionDone
from domain.instruments import Symbol
from domain.orders import Denial, Fill, Order, Severity
from domain.portfolio import Portfolio
from domain.signals import StrategyName
from domain.values import Value


class TradingState(StrEnum):
    """What may be ordered: anything, only toward zero, nothing."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStatus:
    """The latched trading state with its cause. `epoch` grows with every change of state or
    quarantine; an approval of an older epoch is void."""

    state: TradingState
    since_at: datetime
    cause: str = ""
    evidence: str = ""
    severity: Severity = Severity.INFO
    action: str = ""
    resumes: str = ""
    epoch: int = 0


class Outcome(StrEnum):
    """What became of one symbol at one decision."""

    NO_SIGNAL = "no_signal"
    HOLDING = "holding"
    IN_BAND = "in_band"
    ZERO_SHARES = "zero_shares"
    MIN_HOLD = "min_hold"
    TURNOVER = "turnover"
    WORKING = "working"
    NO_PRICE = "no_price"
    DENIED = "denied"
    ORDERED = "ordered"
    CANCELED_FIRST = "canceled_first"
    WAITING_FOR_OPEN = "waiting_for_open"
    BUDGET = "budget"
    SECTOR_CAP = "sector_cap"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolOutcome:
    """Why one symbol was or was not ordered, with all reasons that stood in the way."""

    symbol: Symbol
    outcome: Outcome
    target_weight: float
    held_shares: Decimal
    wanted_shares: Decimal
    client_order_id: str = ""
    reasons: tuple[str, ...] = ()
    denials: tuple[Denial, ...] = ()
    strengths: Mapping[StrategyName, float] = field(default_factory=dict)
    evidence: Mapping[str, float] = field(default_factory=dict)


class Decision(Value, frozen=True, kw_only=True):
    """All outcomes of one slot: one record in the journal, judged once."""

    slot_at: datetime
    decided_at: datetime
    timeframes: tuple[Timeframe, ...]
    equity_usd: Decimal
    outcomes: Mapping[Symbol, SymbolOutcome]

    def counts(self) -> dict[Outcome, int]:
        """Return how many symbols met each outcome."""
        counted: dict[Outcome, int] = {}
        for outcome in self.outcomes.values():
            counted[outcome.outcome] = counted.get(outcome.outcome, 0) + 1
        return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Benching:
    """A strategy that is not asked until a person says `unbench`, and why."""

    since_at: datetime
    fault: str
    detail: str


class SavedOpinion(Value, frozen=True, kw_only=True):
    """The latest accepted opinion of a strategy, by symbol (so that universes may change)."""

    slot_at: datetime
    timeframe: Timeframe
    strengths: Mapping[Symbol, float]
    evidence: Mapping[str, Mapping[Symbol, float]]


class DayStart(Value, frozen=True, kw_only=True):
    """What the day's losses are measured from: equity at the previous close, and flows since."""

    day: date
    equity_usd: Decimal
    flows_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole saved state of one account at one venue."""

    venue: str
    account_id: str
    saved_at: datetime
    journal_seq: int
    portfolio: Portfolio
    trading: TradingStatus
    orders: tuple[Order, ...] = ()
    """Every unfinished order, then the latest finished ones (FINISHED_ORDERS_MAX)."""
    fills: tuple[Fill, ...] = ()
    """The latest fills, oldest first (RECENT_FILLS_MAX); the journal has them all."""
    opinions: Mapping[StrategyName, SavedOpinion] = field(default_factory=dict)
    benched: Mapping[StrategyName, Benching] = field(default_factory=dict)
    quarantined: Mapping[Symbol, str] = field(default_factory=dict)
    cooldowns: Mapping[Symbol, datetime] = field(default_factory=dict)
    entered_at: Mapping[Symbol, datetime] = field(default_factory=dict)
    decided_slots: Mapping[Timeframe, datetime] = field(default_factory=dict)
    due_at_open: tuple[datetime, ...] = ()
    """Slots whose targets wait for the next open."""
    last_decision: Decision | None = None
    marks: Mapping[Symbol, Decimal] = field(default_factory=dict)
    """Last mid of every held symbol, for showing a stopped daemon's equity."""
    day_start: DayStart | None = None
    equity_peak_usd: Decimal | None = None
    daily_loss_days: tuple[date, ...] = ()
    """Days on which the daily-loss limit tripped (twice within five sessions needs a person)."""
    actions: tuple[ActionDone, ...] = ()
    """Corporate actions that were booked, the oldest first (ACTIONS_KEPT_MAX)."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Running totals for the closing report: fills, slots_decided, slots_missed, denials…"""


FINISHED_ORDERS_MAX = 500
RECENT_FILLS_MAX = 1_000

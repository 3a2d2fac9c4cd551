"""What strategies say and what allocation makes of it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from domain.calendar import Timeframe
from domain.market import Floats
from domain.values import Value, field

StrategyName = str


class Signals(Value, frozen=True, kw_only=True, eq=False):
    """A strategy's answer: `strength` `[n]` in [−1, +1], NaN = no opinion; `evidence` arrays `[n]`
    say what it was based on (names end in their unit)."""

    strength: Floats
    evidence: Mapping[str, Floats] = field(default_factory=dict)


class Opinion(Value, frozen=True, kw_only=True, eq=False):
    """The latest accepted Signals of one strategy, and the slot they were formed on."""

    strategy: StrategyName
    slot_at: datetime
    timeframe: Timeframe
    signals: Signals


class OpinionFault(StrEnum):
    """Why an opinion did not count."""

    RAISED = "raised"
    INVALID = "invalid"
    LATE = "late"

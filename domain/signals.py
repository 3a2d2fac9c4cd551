"""What strategies say and what allocation makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.calendar import Timeframe
from domain.market import Floats

StrategyName = str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signals:
    """A strategy's answer: `strength` `[n]` in [−1, +1], NaN = no opinion; `evidence` arrays `[n]`
    say what it was based on (names end in their unit)."""

    strength: Floats
    evidence: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opinion:
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

"""Slots at which nothing can happen, passed over several at a time: for histories, whose bars and
opinions are known beforehand.

Nothing is decided here. A slot is passed over only where every rule that might act at it is known
to stand far from acting; every other slot goes through the engine as it does live.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import numpy as np

from allocation.plan import Codes
from allocation.rules import AllocationRules
from allocation.stacked import StackedAllocator
from daemon.engine.core import Core
from daemon.engine.deciding import Deciding
from daemon.engine.guarding import Guarding
from domain.market import Floats
from domain.signals import StrategyName
from domain.snapshot import TradingState
from domain.values import Value

LOSS_HAIR = 1.0 - 1e-6
"""Losses are told exactly by the engine; what comes this near their limits is left to it."""


class SlotsAhead(Value, frozen=True, kw_only=True, eq=False):
    """Slots of the base grid that follow each other inside a session; rows `[t, n]` or `[t]`.

    mids_usd: at each slot, all known. equity_usd: of what is held now, at those mids.
    strengths: of the strategies that answer at every one of them.
    """

    slots: tuple[datetime, ...]
    mids_usd: Floats
    equity_usd: Floats
    strengths: Mapping[StrategyName, Floats]


class Skipping:
    """Passes over quiet slots."""

    def __init__(
        self, core: Core, deciding: Deciding, guarding: Guarding, rules: AllocationRules
    ) -> None:
        self._core, self._deciding, self._guarding = core, deciding, guarding
        self._allocator = StackedAllocator(core.universe, rules)
        settings = core.rules
        self._never = (
            settings.flatten_at_close_s is not None or settings.capital_cap_usd is not None
        )

    def may_skip(self) -> bool:
        """Return whether nothing is under way that every slot has to look at."""
        memory = self._core.memory
        return not (
            self._never
            or memory.working
            or memory.cooldowns
            or memory.quarantined
            or memory.due_at_open
            or self._guarding.is_watching
            or memory.session is None
            or not memory.is_reconciled
            or memory.trading.state is not TradingState.ACTIVE
        )

    def look(self, ahead: SlotsAhead) -> Codes:
        """Return the outcomes `[count, n]` of the slots, from the first on, that are quiet."""
        safe = self._safe_from_losses(ahead.equity_usd)
        if not safe:
            return np.empty((0, ahead.mids_usd.shape[1]), dtype=np.int8)
        said = {name: strengths[:safe] for name, strengths in ahead.strengths.items()}
        inputs = self._deciding.inputs_ahead(ahead.mids_usd[:safe], said)
        return self._allocator.quiet_slots(inputs, ahead.equity_usd[:safe]).outcomes

    def skip(self, ahead: SlotsAhead, count: int, highest_usd: Decimal) -> None:
        """Pass over the first `count` slots, during which equity was `highest_usd` at most."""
        memory, base = self._core.memory, self._core.rules.base_timeframe
        memory.count("slots_decided", count)
        memory.count("opinions", count * len(ahead.strengths))
        memory.decided_slots[base] = ahead.slots[count - 1]
        self._core.now = ahead.slots[count - 1]
        adjusted = highest_usd - memory.portfolio.flows_usd
        if memory.equity_peak_usd is None or adjusted > memory.equity_peak_usd:
            memory.equity_peak_usd = adjusted

    def _safe_from_losses(self, equity_usd: Floats) -> int:
        """Return how many slots, from the first on, lie clear of the loss limits."""
        bases, limits = self._core.loss_bases(), self._core.limits
        if bases is None:
            return 0
        own = equity_usd - float(bases.flows_usd)
        peak = np.maximum(np.maximum.accumulate(own), float(bases.peak_usd))
        start = float(bases.day_start_usd)
        today = (start - (equity_usd - float(bases.flows_today_usd))) / start
        near = today >= float(limits.max_daily_loss_percent) * LOSS_HAIR
        near |= (peak - own) / peak >= float(limits.max_drawdown_percent) * LOSS_HAIR
        return near.shape[0] if not near.any() else int(np.argmax(near))

"""Slots known beforehand: for histories, whose bars and opinions are.

Nothing is decided otherwise here. A slot is passed over only where every rule that might act at it
is known to stand far from acting, and decided from what was weighed beforehand only where
allocation alone acts. Both leave behind what the events of such a slot would have left; every other
slot goes through the engine's events as it does live.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import numpy as np

from allocation.outlook import Look, Outlook
from allocation.rules import AllocationRules
from allocation.stacked import StackedAllocator
from allocation.weighing import Weighed
from daemon.engine.commands import Command
from daemon.engine.core import Core
from daemon.engine.deciding import Deciding
from daemon.engine.guarding import Guarding
from daemon.engine.panels import DailyStatistics
from domain.calendar import Session, Timeframe
from domain.events import SessionClosed
from domain.market import Flags, Floats
from domain.signals import Opinion, StrategyName
from domain.snapshot import DayStart, TradingState
from domain.values import Value
from domain.values import replace as changed
from risk.losses import LossBases

_ACTIVE = TradingState.ACTIVE
LOSS_HAIR = 1.0 - 1e-6
"""Losses are told exactly by the engine; what comes this near their limits is left to it."""
TEN_THOUSANDTH_USD = Decimal("0.0001")


class SlotsAhead(Value, frozen=True, kw_only=True, eq=False):
    """Slots to come.

    mids_usd `[t, n]`: at each decision, any positive number where the outlook has no price.
    closed_first: how many bars of the base grid will have closed between now and the first decision
    that is looked at.
    """

    mids_usd: Floats
    outlook: Outlook
    closed_first: int


class Skipping:
    """Passes over quiet slots, and decides those at which allocation alone acts."""

    def __init__(
        self, core: Core, deciding: Deciding, guarding: Guarding, rules: AllocationRules
    ) -> None:
        self._core, self._deciding, self._guarding = core, deciding, guarding
        self._allocator = StackedAllocator(core.universe, rules)
        settings, limits = core.rules, core.limits
        self._never = (
            settings.flatten_at_close_s is not None or settings.capital_cap_usd is not None
        )
        self._daily_loss = float(limits.max_daily_loss_percent) * LOSS_HAIR
        self._drawdown = float(limits.max_drawdown_percent) * LOSS_HAIR
        self._timeframes = settings.timeframes()
        self._bases_of: LossBases | None = None
        self._bases = (0.0, 0.0, 0.0, 0.0)

    def is_calm(self) -> bool:
        """Return whether nothing is under way that would act at a slot beside allocation."""
        memory = self._core.memory
        return not (
            self._never
            or memory.working
            or memory.quarantined
            or self._guarding.is_watching
            or not memory.is_reconciled
            or memory.trading.state is not _ACTIVE
        )

    def may_look(self) -> bool:
        """Return whether a look can tell what allocation does: no symbol is kept from entries."""
        return not (self._core.memory.cooldowns or self._core.memory.refused)

    # --- what is to come -------------------------------------------------------------------------

    def outlook(
        self,
        strengths: Mapping[StrategyName, Floats],
        statistics: Sequence[DailyStatistics],
        priced: Flags,
        mids_usd: Floats,
    ) -> Outlook:
        """Return what strengths to come amount to, whatever is held (see `Deciding.outlook`)."""
        return self._deciding.outlook(self._allocator, strengths, statistics, priced, mids_usd)

    def look(self, ahead: SlotsAhead, first: int, worth: Sequence[int]) -> Look:
        """Return which of the slots, from number `first` on, allocation leaves quiet, and how the
        next one weighs. worth: of what is held now, at their mids, in ten-thousandths of a
        dollar."""
        rows = slice(first, first + len(worth))
        inputs = self._deciding.inputs_ahead(ahead.mids_usd[rows], closed_first=ahead.closed_first)
        equity_usd = [units / 1e4 for units in worth]
        found = self._allocator.follow(ahead.outlook, first, inputs, equity_usd)
        if found is None and len(worth) == 1:
            slot = changed(inputs, mids_usd=ahead.mids_usd[first], equity_usd=equity_usd[0])
            found = self._allocator.look_at(ahead.outlook, first, slot)
        if found is not None:
            return found
        return self._allocator.look(ahead.outlook.rows(rows), inputs, _in_usd(worth))

    def safe_from_losses(self, worth: Sequence[int]) -> int:
        """Return how many slots of this session, from the first on, lie clear of the loss limits;
        worth: equity in ten-thousandths of a dollar, positive."""
        bases = self._loss_bases()
        if bases is None:
            return 0
        start, level, peak, flows = bases
        lowest, highest = min(worth) / 1e4, max(worth) / 1e4 - flows
        if highest < peak:
            highest = peak
        lost_at_most, fell_at_most = level - lowest, highest - (lowest - flows)
        if fell_at_most / highest < self._drawdown and lost_at_most / start < self._daily_loss:
            return len(worth)
        equity_usd = _in_usd(worth)
        own = equity_usd - flows
        peaks = np.maximum(np.maximum.accumulate(own), peak)
        near = (level - equity_usd) / start >= self._daily_loss
        near |= (peaks - own) / peaks >= self._drawdown
        return near.shape[0] if not near.any() else int(np.argmax(near))

    def is_safe_from_losses(self, equity_usd: float) -> bool:
        """Return whether an equity lies clear of the loss limits."""
        bases = self._loss_bases()
        if bases is None:
            return False
        start, level, peak, flows = bases
        fallen = peak - (equity_usd - flows)
        return self._are_small((level - equity_usd) / start, fallen / peak)

    def _loss_bases(self) -> tuple[float, float, float, float] | None:
        """Return what losses are measured from: the day's start, the same with what was paid in
        since, the peak, and all that was paid in."""
        bases = self._core.loss_bases()
        if bases is None:
            return None
        if bases is not self._bases_of:
            self._bases_of, start = bases, float(bases.day_start_usd)
            level = start + float(bases.flows_today_usd)
            self._bases = start, level, float(bases.peak_usd), float(bases.flows_usd)
        return self._bases

    def opens_safely(self, equity_usd: float) -> bool:
        """Return whether a session may begin at an equity clear of the loss limits: its losses are
        measured from now on."""
        memory, start = self._core.memory, float(self._core.equity_usd())
        if memory.equity_peak_usd is None or start <= 0 or memory.equity_peak_usd <= 0:
            return False
        peak = float(memory.equity_peak_usd)
        own = equity_usd - float(memory.portfolio.flows_usd)
        return self._are_small((start - equity_usd) / start, (peak - own) / peak)

    def safe_sessions(self, opens: Sequence[int], closes: Sequence[int]) -> int:
        """Return how many sessions to come, from the first on, begin and end clear of the loss
        limits; worth at their opens and closes, in ten-thousandths of a dollar, positive."""
        memory, begin = self._core.memory, float(self._core.equity_usd())
        if memory.equity_peak_usd is None or begin <= 0 or memory.equity_peak_usd <= 0:
            return 0
        both = _in_usd(closes), _in_usd(opens)
        starts = np.concatenate(([begin], both[0][:-1]))
        near = (starts - np.minimum(*both)) / starts >= self._daily_loss
        own = np.column_stack(both[::-1]).ravel() - float(memory.portfolio.flows_usd)
        peaks = np.maximum(np.maximum.accumulate(own), float(memory.equity_peak_usd))
        fallen = (peaks - own) / peaks >= self._drawdown
        near |= np.logical_or.reduce(fallen.reshape(-1, 2), 1)
        return len(closes) if not near.any() else int(np.argmax(near))

    def _are_small(self, lost: float, fallen: float) -> bool:
        """Return whether a day's loss and a drawdown, as shares, lie clear of their limits."""
        return fallen < self._drawdown and lost < self._daily_loss

    # --- what the events would have left behind --------------------------------------------------

    def pass_over(self, slots: Sequence[datetime], answering: int, highest: int) -> None:
        """Pass over quiet slots of a session, at each of which `answering` strategies answered and
        during which equity was at most so many ten-thousandths of a dollar."""
        memory, base = self._core.memory, self._core.rules.base_timeframe
        memory.count("slots_decided", len(slots))
        memory.count("opinions", len(slots) * answering)
        memory.decided_slots[base] = slots[-1]
        self._core.now = slots[-1]
        self._core.raise_peak_to(highest * TEN_THOUSANDTH_USD)

    def take_opinions(self, opinions: Sequence[Opinion]) -> None:
        """Take in what strategies said of a slot, known to be sound."""
        memory = self._core.memory
        for opinion in opinions:
            memory.opinions[opinion.strategy] = opinion
        memory.count("opinions", len(opinions))

    def decide(
        self, slot_at: datetime, timeframes: Sequence[Timeframe], weighed: Weighed | None
    ) -> list[Command]:
        """Return what follows from a slot at which allocation alone acts, as it was weighed
        beforehand if it was; the board has its prices."""
        if weighed is None:
            return self._deciding.decide(slot_at, timeframes)
        return self._deciding.conclude(slot_at, timeframes, weighed)

    def open_session(self, session: Session) -> None:
        """Begin a session, as SessionOpened does while trading is active."""
        core, memory = self._core, self._core.memory
        core.now = max(core.now, session.opens_at)
        memory.session = session
        memory.day_start = DayStart(
            day=session.day,
            equity_usd=core.equity_usd(),
            flows_usd=memory.portfolio.flows_usd,
        )

    def leave_quiet(self, slot_at: datetime) -> None:
        """Leave the slot that waited for the open as one at which nothing happens."""
        memory = self._core.memory
        memory.count("slots_decided")
        for timeframe in self._timeframes:
            memory.decided_slots[timeframe] = slot_at

    def pass_sessions(
        self, last: DayStart, slots: Sequence[datetime], answering: int, highest: int
    ) -> None:
        """Pass over sessions at whose opens and closes nothing happens, the last of which began
        so. slots: the one that waited for the first open, and those of their closes; at each but
        the last, `answering` strategies answered that are counted here. highest: as in
        `pass_over`."""
        core, memory, count = self._core, self._core.memory, len(slots) - 1
        memory.day_start, memory.session = last, None
        memory.due_at_open, core.now = [slots[-1]], slots[-1]
        for timeframe in self._timeframes:
            memory.decided_slots[timeframe] = slots[-2]
        for what in ("slots_decided", "slots_awaiting_open", "sessions"):
            memory.count(what, count)
        memory.count("opinions", (count - 1) * answering)
        core.raise_peak_to(highest * TEN_THOUSANDTH_USD)

    def close_session(self, slot_at: datetime) -> None:
        """End the session, whose last slot waits for the next open."""
        core, memory = self._core, self._core.memory
        core.now = slot_at
        memory.due_at_open = [slot_at]
        memory.count("slots_awaiting_open")
        memory.session = None
        memory.count("sessions")

    def told_at_close(self, session: Session) -> list[Command]:
        """Return what a person is told of the session that has just ended."""
        return self._guarding.session_closed(SessionClosed(at=self._core.now, session=session))


def _in_usd(worth: Sequence[int]) -> Floats:
    """Return ten-thousandths as dollars `[t]`, each the float nearest to it."""
    exact: Floats = np.array(worth, dtype=np.int64) / 1e4
    return exact

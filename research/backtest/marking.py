"""Writing down how a session ended, whether it was visited or passed over."""

from datetime import datetime
from decimal import Decimal

from allocation.plan import Codes
from daemon.engine.commands import closed_with
from domain.calendar import Session
from domain.market import Floats
from research.backtest.record import DayMark, SlotMark
from research.backtest.running import Runner


class Marking:
    """Marks the sessions of one run."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._engine, self._recording = runner, runner.engine, runner.recording

    def counts(self) -> tuple[int, int]:
        """Return how many fills and orders there are so far."""
        return len(self._recording.fills), len(self._recording.orders)

    def visited(self, session: Session, before: tuple[int, int]) -> None:
        """Mark the session that has just ended, before which there were so many fills and
        orders."""
        fills, orders = self.counts()
        counts = fills - before[0], orders - before[1]
        self._mark(session, self._engine.core.equity_usd(), counts)

    def quiet(
        self,
        session: Session,
        decided: tuple[datetime, datetime, Codes],
        worth_usd: tuple[Decimal, Decimal],
    ) -> None:
        """Mark a session at which nothing happened: the slot that its open decided, when, and to
        what outcomes; what the account was worth at the close before and at its own."""
        slot_at, decided_at, outcomes = decided
        recording, state = self._recording, self._engine.memory.trading.state
        mark = SlotMark(slot_at=slot_at, decided_at=decided_at, outcomes=outcomes)
        recording.decisions.append(mark)
        before_usd, equity_usd = worth_usd
        made_usd = equity_usd - before_usd
        recording.told_of(
            lambda: [closed_with(session, made_usd=made_usd, equity_usd=equity_usd, state=state)]
        )
        self._mark(session, equity_usd, (0, 0))

    def _mark(self, session: Session, equity_usd: Decimal, counts: tuple[int, int]) -> None:
        memory = self._engine.memory
        self._recording.days.append(
            DayMark(
                day=session.day,
                equity_usd=equity_usd,
                cash_usd=memory.portfolio.cash_usd,
                shares=self._shares_held(),
                trading_state=memory.trading.state.value,
                fills=counts[0],
                orders=counts[1],
            )
        )

    def _shares_held(self) -> Floats:
        """Return the shares of now; while they are as they were, the same array."""
        held = self._engine.core.held
        shares = held.frozen(self._engine.memory.portfolio.positions)
        return self._runner.shares.copy() if held.outside else shares

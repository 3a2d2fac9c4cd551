"""What reaches a daemon from outside its market: its account, its history, its operator."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from daemon.engine import Engine
from domain.calendar import Session
from domain.events import Action, Event, OperatorAsked
from domain.market import Floats
from domain.money import to_usd
from domain.portfolio import AccountReport
from domain.snapshot import TradingState
from risk.halts import causes_of

BEFORE_OPEN = timedelta(milliseconds=1)
ACCOUNT_ID = "backtest"


def opening_account(cash_usd: Decimal, at: datetime) -> AccountReport:
    """Return the account a backtest begins with: cash, and nothing else."""
    return AccountReport(
        account_id=ACCOUNT_ID,
        cash_usd=cash_usd,
        equity_usd=cash_usd,
        last_equity_usd=cash_usd,
        buying_power_usd=2 * cash_usd,
        positions={},
        is_blocked=False,
        shorting_enabled=True,
        reported_at=at,
    )


class Outside:
    """The venue's word on buying power, and a simulated operator who may resume."""

    def __init__(self, engine: Engine, *, resumes_after: int | None) -> None:
        self._core = engine.core
        self._resumes_after = resumes_after
        self._latched_sessions = 0

    def before_open(
        self,
        session: Session,
        shares: Floats,
        last_usd: Floats,
        post: Callable[[Event], None],
    ) -> None:
        """Refresh the buying power; resume once a state has been latched for long enough."""
        core = self._core
        equity_usd = float(core.equity_usd())
        held_usd = np.abs(shares) * last_usd
        gross_usd = float(np.add.reduce(held_usd))
        if gross_usd != gross_usd:
            # Some never had a price: nobody holds those.
            gross_usd = float(np.add.reduce(np.where(held_usd == held_usd, held_usd, 0.0)))
        # Regulation T: twice what is not pledged as initial margin (half of what is held).
        core.buying_power_usd = to_usd(max(0.0, 2.0 * equity_usd - gross_usd))
        trading = core.memory.trading
        if trading.state is TradingState.ACTIVE:
            self._latched_sessions = 0
            return
        self._latched_sessions += 1
        if self._resumes_after is None or self._latched_sessions <= self._resumes_after:
            return
        post(
            OperatorAsked(
                at=session.opens_at - BEFORE_OPEN,
                action=Action.RESUME,
                subject=",".join(cause.value for cause in causes_of(trading)),
                reason=f"simulated, after {self._latched_sessions - 1} sessions",
            )
        )

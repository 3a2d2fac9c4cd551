"""A backtest is a trial too: whoever looks at one and runs another has chosen."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec
from domain.market import Floats
from research import metrics
from research.backtest.costs import Spread
from research.backtest.preparing import Prepared, Request
from research.backtest.record import BacktestResult
from research.baselines import next_open
from research.baselines.holding import held_frame
from research.baselines.weights import equal_weight
from research.evaluation.curves import Curve, played
from research.evaluation.ledger import FILE, Ledger, conditions_hash, trial_line

PURPOSE = "backtest"


def count_backtest(
    prepared: Prepared,
    request: Request,
    settings: Settings,
    result: BacktestResult,
    at: datetime,
) -> None:
    """Add a backtest to the ledger of trials; one that played no session is none."""
    days = result.recording.days
    if len(days) < 2:
        return
    capital = float(prepared.plan.capital_usd)
    equity = np.array([capital, *(float(d.equity_usd) for d in days)])
    curve = Curve(
        first=days[0].day,
        last=days[-1].day,
        returns=metrics.returns_of(equity),
        traded_usd=sum(
            float(f.quantity_shares) * float(f.price_usd) for f in result.recording.fills
        ),
        capital_usd=capital,
    )
    trial = played(together(request.specs), curve, _equal_weight(prepared, len(days)))
    conditions = conditions_hash(settings, request)
    line = trial_line(trial, prepared.history.content_hash, conditions, PURPOSE, at)
    Ledger(settings.state_dir / "research" / FILE).add([line])


def together(specs: Sequence[StrategySpec]) -> StrategySpec:
    """Return several strategies traded together as the one configuration they are."""
    if len(specs) == 1:
        return specs[0]
    return replace(
        specs[0],
        kind="+".join(s.kind for s in specs),
        parameters={
            f"{s.name}.{key}": value
            for s in specs
            for key, value in {**s.parameters, "weight": s.weight}.items()
        },
    )


def _equal_weight(prepared: Prepared, count: int) -> Floats:
    frame, plan = held_frame(prepared.history), prepared.plan
    rows = range(plan.sessions.start, plan.sessions.start + count)
    before = range(max(0, rows.start - 1), rows.stop - 1)
    played = next_open.play(
        frame,
        equal_weight(frame.close, before),
        rows,
        costs=plan.costs,
        spread=Spread(frame, plan.costs, open_delay_s=prepared.parts.rules.open_delay_s),
        capital_usd=float(plan.capital_usd),
    )
    return metrics.returns_of(played.equity)

"""A saved backtest beside what anyone could have held over the same sessions, and its verdict.

The bars are read again from the file the backtest names, and only believed when their fingerprint
is the same.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.market import Floats
from research import metrics
from research.backtest.actions import with_actions
from research.backtest.costs import Costs, FillAt, Spread
from research.backtest.history import History, load_history
from research.backtest.results import SavedBacktest
from research.baselines import next_open, weights
from research.baselines.holding import held_frame
from research.evaluation.ledger import Ledger
from research.evaluation.results import verdicts_document
from research.evaluation.verdicts import SESSIONS_MIN, judge
from research.reports.figures import Beside

BASELINES = {
    "equal_weight": weights.equal_weight,
    "buy_and_hold": weights.buy_and_hold,
    "min_variance": weights.min_variance,
}
OPEN_DELAY_S = 300.0
SUBJECT = "this backtest"
MODEL = "the exchange's model"


def beside(saved: SavedBacktest, returns: Floats, ledger: Ledger) -> Beside:
    """Return the comparison of a backtest's returns `[t]`; never raises for bars that are gone."""
    try:
        history = _history(saved)
    except ConfigurationFault as fault:
        return Beside(returns={}, verdicts=None, trials=0, missing=str(fault))
    rows = _rows(saved, history)
    if rows is None:
        return Beside(
            returns={}, verdicts=None, trials=0, missing="its sessions are not those of its file"
        )
    found = {name: _played(saved, history, name, rows) for name in BASELINES}
    count = ledger.count(str(saved.manifest["data"]["sha256"]), len(returns))
    judged = None
    if len(returns) >= SESSIONS_MIN:
        judged = verdicts_document(judge({SUBJECT: returns}, found, count))
    return Beside(returns=found, verdicts=judged, trials=count.trials)


def _history(saved: SavedBacktest) -> History:
    data = saved.manifest["data"]
    base = Timeframe(data["base"])
    path = Path(data["source"])
    if not path.exists():
        raise ConfigurationFault(f"{path} is not there any more, so nothing can be set beside it")
    history = with_actions(load_history(path, data["symbols"], {base, Timeframe.DAY}), path)
    if history.content_hash != data["sha256"]:
        raise ConfigurationFault(f"{path} holds other bars than the backtest was made of")
    return history


def _rows(saved: SavedBacktest, history: History) -> range | None:
    days = [session.day for session in history.sessions]
    played = saved.tables["equity"]["day"]
    if not played or played[0] not in days:
        return None
    start = days.index(played[0])
    rows = range(start, start + len(played))
    return rows if days[start : rows.stop] == list(played) else None


def _played(saved: SavedBacktest, history: History, name: str, rows: range) -> Floats:
    frame = held_frame(history)
    costs = costs_of(saved.manifest["costs"])
    # Decided at the close before the first session, when there is one.
    before = range(max(0, rows.start - 1), rows.stop - 1)
    played = next_open.play(
        frame,
        BASELINES[name](frame.close, before),
        rows,
        costs=costs,
        spread=Spread(frame, costs, open_delay_s=OPEN_DELAY_S),
        capital_usd=float(saved.manifest["capital_usd"]),
    )
    return metrics.returns_of(played.equity)


def costs_of(document: Mapping[str, Any]) -> Costs:
    """Return the costs a manifest names."""
    half = document["half_spread_bps"]
    return Costs(
        half_spread_bps=None if half == MODEL else float(half),
        impact_bps=float(document["impact_bps"]),
        commission_per_share_usd=Decimal(str(document["commission_per_share_usd"])),
        commission_bps=float(document["commission_bps"]),
        volume_share_max=float(document["volume_share_max"]),
        fill_at=FillAt(document["fill_at"]),
    )

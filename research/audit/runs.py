"""The runs that the audit plays: the backtest as its command makes it, on bars it can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec, parse_specs
from domain.calendar import Timeframe
from domain.ports import Strategy
from exchange.sessions import xnys_calendar
from research.audit.bars import (
    BarRows,
    made_up,
    made_up_sessions,
    read_rows,
    staircase,
)
from research.audit.findings import Checked
from research.audit.pipeline import Play, Played, audit_fills, audit_future
from research.backtest.costs import Costs
from research.backtest.preparing import Request, prepare

BUSY_DAILY = "mean_reversion(name=busy_reversion,timeframe=1Day,window_bars=5,entry_z=1.0)"
BUSY_MINUTES = "mean_reversion(name=busy_reversion,window_bars=5,entry_z=1.0)"
"""Plays along in every run, so that there are orders to look at."""
SESSIONS_AFTER = 12
"""Sessions of a run after every strategy has its look-back."""
MINUTE_SESSIONS_MAX = 60
"""Strategies that need more history are audited in daily runs, and by their answers, alone."""
STAIR_SESSIONS = 20
CUTS = (0.6, 0.85)
"""Where runs are cut, as shares of their bars."""
COSTS = Costs(impact_bps=0.0)
FREE_OF_COSTS = Costs(half_spread_bps=0.0, impact_bps=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One kind of run, played on bars with others after a cut, and on a staircase."""

    name: str
    play: Play
    play_free: Play
    bars: BarRows
    stairs: BarRows
    base: Timeframe
    """The bars that orders fill on."""

    def audited(self, folder: Path) -> list[Checked]:
        """Return what the probes of the pipeline say; `folder` takes the files of bars."""
        cuts = cuts_of(self.bars, self.base)
        found = audit_future(self.play, self.bars, cuts, folder=folder, subject=self.name)
        return [*found, audit_fills(self.play_free, self.stairs, folder=folder, subject=self.name)]


def runs_of(
    strategies: Sequence[tuple[StrategySpec, Strategy]],
    settings: Settings,
    data: Path | None,
    span: tuple[date | None, date | None],
    seed: int,
) -> list[Run]:
    """Return the runs that take in these strategies: on the file's bars, else on made-up daily and
    minute ones."""
    if data is not None:
        rows = read_rows(data, *span)
        return [_run(strategies, settings, rows, is_daily=rows.is_daily)]
    daily = [(spec, s) for spec, s in strategies if not s.timeframe.is_intraday]
    longest = max((s.lookback_bars for _, s in daily), default=5)
    sessions = made_up_sessions(longest + SESSIONS_AFTER)
    runs = [_run(daily, settings, made_up(sessions, is_daily=True, seed=seed), is_daily=True)]
    brief = [(spec, s) for spec, s in strategies if _sessions_needed(s) <= MINUTE_SESSIONS_MAX]
    if any(s.timeframe.is_intraday for _, s in brief):
        count = max(_sessions_needed(s) for _, s in brief) + SESSIONS_AFTER
        rows = made_up(made_up_sessions(count), is_daily=False, seed=seed)
        runs.append(_run(brief, settings, rows, is_daily=False))
    return runs


def play_of(specs: Sequence[StrategySpec], settings: Settings, costs: Costs) -> Play:
    """Return how the backtest command plays a file of bars with these strategies."""

    def play(data: Path) -> Played:
        prepared = prepare(Request(data=data, specs=tuple(specs), costs=costs), settings)
        result = prepared.player().run(progress=lambda _done, _of: None, stop=lambda: False)
        return Played(history=prepared.history, result=result)

    return play


def cuts_of(bars: BarRows, timeframe: Timeframe) -> list[datetime]:
    """Return instants some way into a run at which bars of a timeframe end.

    Not inside a bar: stops act there, are stamped with its middle, and may have met its last price.
    """
    begin, end = (datetime.fromtimestamp(int(ms) / 1000, UTC) for ms in _reach(bars))
    sessions = xnys_calendar(begin.date(), end.date()).sessions
    slots = [slot for s in sessions for slot in s.slots(timeframe) if begin <= slot <= end]
    return [slots[int(share * (len(slots) - 1))] for share in CUTS]


def _reach(bars: BarRows) -> tuple[int, int]:
    return int(bars.closes_ms.min()), int(bars.closes_ms.max())


def _run(
    strategies: Sequence[tuple[StrategySpec, Strategy]],
    settings: Settings,
    bars: BarRows,
    *,
    is_daily: bool,
) -> Run:
    busy = parse_specs(BUSY_DAILY if is_daily else BUSY_MINUTES)
    at_market = settings.model_copy(update={"order_style": "market"})
    slot_minutes = int(settings.bar_timeframe.length.total_seconds()) // 60
    stairs = staircase(
        made_up_sessions(STAIR_SESSIONS), is_daily=is_daily, slot_minutes=slot_minutes
    )
    return Run(
        name=f"the backtest on {'daily' if is_daily else 'minute'} bars",
        play=play_of([*(spec for spec, _ in strategies), *busy], settings, COSTS),
        play_free=play_of(busy, at_market, FREE_OF_COSTS),
        bars=bars,
        stairs=stairs,
        base=Timeframe.DAY if is_daily else settings.bar_timeframe,
    )


def _sessions_needed(strategy: Strategy) -> int:
    """Return how many sessions hold a strategy's look-back; 390 minutes each."""
    if not strategy.timeframe.is_intraday:
        return strategy.lookback_bars
    minutes = int(strategy.timeframe.length.total_seconds()) // 60
    per_session = -(-390 // minutes)
    return -(-strategy.lookback_bars // per_session)

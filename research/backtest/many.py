"""Many sets of parameters over one history: what they share is loaded, settled and measured once.

Two ways to try a set. `play` is the whole backtest: engine, gate, ledger, costs. `screen` asks the
strategies about all instants at once and holds what they and allocation's own functions say, with
no account, no caps, no gate, no lots and no costs: quick, rough, and labelled so. Screen many, play
the best.

Each process makes one `ManyRuns` and keeps it; what it returns depends on the set alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from allocation.combination import COMBINATIONS
from allocation.sizing import base_weights
from daemon.engine import EngineParts
from daemon.engine.rules import EngineRules
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.market import Flags, Floats
from domain.ports import Strategy
from domain.signals import StrategyName
from research.backtest.answers import strengths_of
from research.backtest.history import History
from research.backtest.playing import Plan, Player, Progress
from research.backtest.record import BacktestResult
from research.backtest.stored import StoredHistory

SIGNALS_ONLY = "signals only: no account, caps, gate, lots or costs"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Screened:
    """What a set's signals alone would have made.

    `returns` `[sessions]`: of each session's close against the close before, simple, unlevered;
    positions are taken at the open after the signal. `turnover`: shares of equity bought and sold
    on an average session. `label` says what this is not.
    """

    returns: Floats
    turnover: float
    label: str = SIGNALS_ONLY

    def sharpe(self, sessions_a_year: float = 252.0) -> float:
        """Return the annualised ratio of mean to deviation, −inf for no deviation at all."""
        spread = float(np.std(self.returns, ddof=1)) if len(self.returns) > 1 else 0.0
        if spread == 0.0:
            return float("-inf")
        return float(np.mean(self.returns)) / spread * float(np.sqrt(sessions_a_year))


class ManyRuns:
    """Runs over one history, one after the other."""

    def __init__(self, history: History, parts: EngineParts, plan: Plan) -> None:
        """`parts` and `plan` are every run's, but for the strategies' parameters."""
        self._history, self._parts, self._plan = history, parts, plan
        self._stored = StoredHistory(history)

    def play(
        self,
        strategies: Mapping[StrategyName, Strategy],
        *,
        progress: Progress = lambda _done, _total: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> BacktestResult:
        """Return the backtest with these strategies in the places of those of the same names."""
        parts = replace(self._parts, rules=self._rules(strategies))
        player = Player(self._history, parts, self._plan, self._stored)
        return player.run(progress=progress, stop=stop)

    def screen(self, strategies: Mapping[StrategyName, Strategy]) -> Screened:
        """Return what the signals alone come to; strategies on daily bars that can be stacked.

        Raises ConfigurationFault for any other.
        """
        rules = self._rules(strategies)
        held = self._weights(rules)
        frame = self._stored.frame(Timeframe.DAY, stale_bars_max=rules.stale_bars_max)
        opens, closes = frame.open, frame.close
        before = np.vstack([np.zeros((1, held.shape[1])), held[:-1]])
        earlier = np.vstack([closes[:1], closes[:-1]])
        with np.errstate(invalid="ignore", divide="ignore"):
            over_night = np.nan_to_num(before * (opens / earlier - 1.0))
            by_day = np.nan_to_num(held * (closes / opens - 1.0))
        rows = slice(self._plan.sessions.start, self._plan.sessions.stop)
        return Screened(
            returns=np.add.reduce(over_night + by_day, 1)[rows],
            turnover=float(np.mean(np.add.reduce(np.abs(held - before), 1)[rows])),
        )

    def _weights(self, rules: EngineRules) -> Floats:
        """Return the weights held from each open on `[t, n]`, decided the close before."""
        allocation = self._parts.allocation
        entries = {n: e for n, e in rules.strategies.items() if e.weight > 0 and not e.abstains}
        if not entries or any(e.strategy.timeframe is not Timeframe.DAY for e in entries.values()):
            raise ConfigurationFault("strategies on daily bars can be screened: play others")
        frame = self._stored.frame(Timeframe.DAY, stale_bars_max=rules.stale_bars_max)
        stances, votes = [], []
        for name in sorted(entries):
            strength = strengths_of(entries[name], frame, self._history.symbols)
            if strength is None:
                raise ConfigurationFault(f"{name} cannot be asked about many instants: play it")
            opined = strength == strength
            inside = _inside(strength, enter=allocation.enter, exit_=allocation.exit)
            stances.append(np.where(inside, strength, 0.0))
            votes.append(entries[name].weight * opined)
        combined = np.add.reduce(
            COMBINATIONS[allocation.method](np.array(stances), np.array(votes)), 0
        )
        volatility = self._stored.daily(rules).volatility()
        own = np.array([i.volatility for i in self._parts.universe.instruments])
        volatility = np.where(volatility > 0, volatility, own)
        sizes = base_weights(
            volatility,
            reference=allocation.volatility_reference
            or np.median(volatility, axis=-1, keepdims=True),
            target_position=allocation.target_position,
            max_position=allocation.max_position,
        )
        decided = combined * sizes
        held: Floats = np.vstack([np.zeros((1, decided.shape[1])), decided[:-1]])
        return held

    def _rules(self, strategies: Mapping[StrategyName, Strategy]) -> EngineRules:
        entries = dict(self._parts.rules.strategies)
        unknown = sorted(set(strategies) - set(entries))
        if unknown:
            raise ConfigurationFault(f"no strategy is named {', '.join(unknown)} in these runs")
        for name, strategy in strategies.items():
            entries[name] = replace(entries[name], strategy=strategy)
        return replace(self._parts.rules, strategies=entries)


def _inside(strength: Floats, *, enter: float, exit_: float) -> Flags:
    """Return where a book that follows its signal is long `[t, n]`: in from `enter`, out at `exit_`
    or below, in between and without an opinion as before (`hysteresis.long_stances`, unrolled)."""
    rows = np.arange(strength.shape[0])[:, None]
    with np.errstate(invalid="ignore"):
        turns = (strength >= enter) | (strength <= exit_)
    last = np.maximum.accumulate(np.where(turns, rows, -1), axis=0)
    said = np.take_along_axis(strength, np.maximum(last, 0), axis=0)
    with np.errstate(invalid="ignore"):
        inside: Flags = (last >= 0) & (said >= enter)
    inside &= strength == strength
    return inside

"""The bench on which every candidate of an evaluation is played: same bars, rules, costs, capital.

Loaded once a process. Each play is a backtest of its own: a fresh account, panels warmed with the
bars before its first session, the whole engine, fills at the next open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from daemon import settings_rules
from daemon.engine.rules import StrategyEntry
from daemon.fingerprint import settings_hash
from daemon.registry import Discovery, enlist
from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from domain.market import Floats
from domain.signals import StrategyName
from research import metrics
from research.backtest.costs import Spread
from research.backtest.history import Frame, History
from research.backtest.playing import Player
from research.backtest.preparing import Prepared, Request, prepare
from research.backtest.stored import StoredHistory
from research.baselines import next_open
from research.baselines.holding import held_frame
from research.baselines.naive import AlwaysLong
from research.baselines.weights import Schedule, equal_weight
from research.evaluation.curves import Curve
from research.evaluation.ledger import conditions_hash

ALWAYS_LONG = "always_long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What all candidates of an evaluation have in common; small, so that it travels to workers."""

    request: Request
    settings: Settings

    def bench(self) -> "Bench":
        """Return the bench, loaded at the first call in a process and kept for the next."""
        # By what is written, not by how it lies in memory: every job brings a copy of its own.
        key = f"{self.request!r} {settings_hash(self.settings)}"
        if key not in _LOADED:
            _LOADED.clear()
            _LOADED[key] = Bench(self)
        return _LOADED[key]

    def conditions_hash(self) -> str:
        """Return the fingerprint of settings and costs."""
        return conditions_hash(self.settings, self.request)


class Bench:
    """A loaded history, and the means to play anything on it."""

    def __init__(self, subject: Subject) -> None:
        self.prepared: Prepared = prepare(subject.request, subject.settings)
        self._settings = subject.settings
        self._entries = self.prepared.parts.rules.strategies

    @property
    def history(self) -> History:
        """The bars."""
        return self.prepared.history

    @property
    def sessions(self) -> range:
        """The sessions the evaluation is about."""
        return self.prepared.plan.sessions

    @property
    def instruments(self) -> int:
        """How many symbols there are."""
        return len(self.history.symbols)

    @cached_property
    def data_hash(self) -> str:
        """The fingerprint of the bars."""
        return self.history.content_hash

    @cached_property
    def discovery(self) -> Discovery:
        """The strategies there are."""
        return settings_rules.discover_strategies(self._settings)

    @property
    def base(self) -> Timeframe:
        """The timeframe of the bars that fill orders."""
        return self.history.base

    @cached_property
    def closes(self) -> Floats:
        """Daily closes `[t, n]` as a holder lives them, one row a session of the history."""
        return self._held.close

    @cached_property
    def _held(self) -> Frame:
        return held_frame(self.history)

    def days(self, rows: range) -> list[date]:
        """Return the days of sessions."""
        return [self.history.sessions[row].day for row in rows]

    def play(self, specs: Sequence[StrategySpec], rows: range) -> Curve:
        """Return the curve of strategies traded together over sessions, from a fresh account."""
        parts = self.prepared.parts
        rules = replace(parts.rules, strategies=self._entries_of(specs))
        plan = replace(self.prepared.plan, sessions=rows)
        player = Player(self.history, replace(parts, rules=rules), plan, self._stored)
        result = player.run(progress=lambda _done, _total: None, stop=lambda: False)
        capital = float(plan.capital_usd)
        equity = np.array([capital, *(float(d.equity_usd) for d in result.recording.days)])
        fills = result.recording.fills
        return Curve(
            first=result.recording.days[0].day,
            last=result.recording.days[-1].day,
            returns=metrics.returns_of(equity),
            traded_usd=sum(float(f.quantity_shares) * float(f.price_usd) for f in fills),
            capital_usd=capital,
        )

    @cached_property
    def _stored(self) -> StoredHistory:
        # What runs over the same bars share: settled and measured once.
        return StoredHistory(self.history)

    def _entries_of(self, specs: Sequence[StrategySpec]) -> Mapping[StrategyName, StrategyEntry]:
        naive = {
            s.name: StrategyEntry(strategy=AlwaysLong(), weight=s.weight)
            for s in specs
            if s.kind == ALWAYS_LONG
        }
        rest = [s for s in specs if s.kind != ALWAYS_LONG]
        if not rest:
            return naive
        enlisted = enlist(rest, self.discovery, bar_timeframe=self.base)
        chosen = {e.name: e for e in enlisted if not e.in_shadow}
        return {**naive, **settings_rules.engine_rules(self._settings, chosen, {}).strategies}

    def play_weights(self, schedule: Schedule, rows: range) -> Curve:
        """Return the curve of target weights over sessions, filled at the next open."""
        plan = self.prepared.plan
        capital = float(plan.capital_usd)
        played = next_open.play(
            self._held, schedule, rows, costs=plan.costs, spread=self._spread, capital_usd=capital
        )
        days = self.days(rows)
        return Curve(
            first=days[0],
            last=days[-1],
            returns=metrics.returns_of(played.equity),
            traded_usd=played.traded_usd,
            capital_usd=capital,
        )

    @cached_property
    def _spread(self) -> Spread:
        rules = self.prepared.parts.rules
        return Spread(self._held, self.prepared.plan.costs, open_delay_s=rules.open_delay_s)

    @cached_property
    def _equal(self) -> Floats:
        rows = self.sessions
        before = range(max(0, rows.start - 1), rows.stop - 1)
        return self.play_weights(equal_weight(self.closes, before), rows).returns

    def equal_weight_returns(self, rows: range) -> Floats:
        """Return what equal weights made of sessions within the evaluation's."""
        start = self.sessions.start
        return self._equal[rows.start - start : rows.stop - start]


_LOADED: dict[str, Bench] = {}


def written(spec: StrategySpec) -> dict[str, Any]:
    """Return a spec as plain data."""
    return {"strategy": spec.kind, "name": spec.name, "parameters": dict(spec.parameters)}

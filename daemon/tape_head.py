"""What a replay begins with: the engine's parts and its memory, as they stood before it heard
anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allocation.rules import AllocationRules
from daemon.engine import Engine, EngineParts
from daemon.engine.rules import EngineRules, StrategyEntry
from daemon.memory import Memory
from domain.calendar import Calendar, Session, Timeframe
from domain.instruments import Instrument, Universe
from domain.market import Market, Reads
from domain.ports import Strategy
from domain.signals import Signals, StrategyName
from domain.snapshot import Snapshot
from risk.gate import RiskGate
from risk.limits import RiskLimits
from risk.prices import ExitPricing
from risk.rules import all_rules
from state.wire import Codec, WireFault, dataclass_codec

FORMAT = 1
"""The form of all records of a run; a reader of another one must not guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStrategy:
    """A strategy as the engine sees it, without its code: what it answered is on the tape."""

    timeframe: Timeframe
    lookback_bars: int
    reads: frozenset[Reads]
    cross_sectional: bool
    heavy: bool

    def decide(self, market: Market) -> Signals:
        """Raise LookupError: a replay takes answers from the tape."""
        raise LookupError("a recorded strategy has no code: its answers are on the tape")


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeHead:
    """The first record of a run. `settings` are key → text, secrets masked, for reading only."""

    form: int
    at: datetime
    venue: str
    account_id: str
    build: str
    settings_hash: str
    settings: Mapping[str, str]
    universe: tuple[Instrument, ...]
    sessions: tuple[Session, ...]
    rules: EngineRules
    limits: RiskLimits
    allocation: AllocationRules
    approval_ttl_s: float
    exits: ExitPricing
    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Which program began the run, with which settings."""

    build: str
    settings_hash: str
    settings: Mapping[str, str]


def head_of(parts: EngineParts, snapshot: Snapshot, facts: RunFacts, *, at: datetime) -> TapeHead:
    """Return what a replay of an engine made of these parts begins with; `at` is its `now`."""
    return TapeHead(
        form=FORMAT,
        at=at,
        venue=snapshot.venue,
        account_id=snapshot.account_id,
        build=facts.build,
        settings_hash=facts.settings_hash,
        settings=facts.settings,
        universe=parts.universe.instruments,
        sessions=parts.calendar.sessions,
        rules=parts.rules,
        limits=parts.limits,
        allocation=parts.allocation,
        approval_ttl_s=parts.gate.approval_ttl_s,
        exits=parts.gate.exits,
        snapshot=snapshot,
    )


def engine_of(head: TapeHead) -> Engine:
    """Return an engine as it stood when the run began: warm it, then let it hear the events."""
    universe = Universe(head.universe)
    gate = RiskGate(
        rules=all_rules(head.limits), approval_ttl_s=head.approval_ttl_s, exits=head.exits
    )
    parts = EngineParts(
        universe=universe,
        rules=head.rules,
        limits=head.limits,
        allocation=head.allocation,
        gate=gate,
        calendar=Calendar(head.sessions),
    )
    return Engine(parts, Memory.of(head.snapshot, universe.symbols), now=head.at)


def write_head(head: TapeHead) -> dict[str, Any]:
    """Return the fields of the record."""
    fields: dict[str, Any] = _HEAD.encode(head)
    return fields


def read_head(fields: Mapping[str, Any]) -> TapeHead:
    """Return the head in a record. Raises WireFault, also for the form of another version."""
    if fields.get("form") != FORMAT:
        raise WireFault(f"a tape of form {fields.get('form')!r}: this version reads form {FORMAT}")
    head: TapeHead = _HEAD.decode(dict(fields))
    return head


def _write_strategies(entries: Mapping[StrategyName, StrategyEntry]) -> dict[str, Any]:
    return {
        name: {
            "timeframe": e.strategy.timeframe.value,
            "lookback_bars": e.strategy.lookback_bars,
            "reads": sorted(r.value for r in e.strategy.reads),
            "cross_sectional": e.strategy.cross_sectional,
            "heavy": _is_heavy(e.strategy),
            "weight": e.weight,
            "takes_profit": e.takes_profit,
            "abstains": e.abstains,
        }
        for name, e in entries.items()
    }


def _is_heavy(strategy: Strategy) -> bool:
    return bool(getattr(strategy, "heavy", False))


def _read_strategies(data: Any) -> dict[StrategyName, StrategyEntry]:
    try:
        return {name: _entry(written) for name, written in data.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise WireFault(f"not strategies: {fault!r}") from fault


def _entry(written: Mapping[str, Any]) -> StrategyEntry:
    return StrategyEntry(
        strategy=RecordedStrategy(
            timeframe=Timeframe(written["timeframe"]),
            lookback_bars=written["lookback_bars"],
            reads=frozenset(Reads(r) for r in written["reads"]),
            cross_sectional=written["cross_sectional"],
            heavy=written["heavy"],
        ),
        weight=written["weight"],
        takes_profit=written["takes_profit"],
        abstains=written["abstains"],
    )


_RULES = dataclass_codec(EngineRules, {"strategies": Codec(_write_strategies, _read_strategies)})
_HEAD: Codec[Any] = dataclass_codec(TapeHead, {"rules": _RULES})

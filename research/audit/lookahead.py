"""The look-ahead audit from end to end: strategies, their artefacts, and the run around them."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import strategies
from daemon import settings_rules
from daemon.registry import SHIPPED_FOLDER, Discovery, StrategyFile, load_file, make
from daemon.settings import Settings
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.ports import Strategy
from exchange.markets.bar_files import read_bar_files
from research.audit.artefacts import Evaluated, audit_artefacts, manifest_path
from research.audit.findings import Checked
from research.audit.outside import audit_outside
from research.audit.probes import Subject
from research.audit.runs import runs_of
from research.audit.worlds import INSTANTS, drawn_series, history_series
from research.backtest.history import History, load_history

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What is audited: strategies, on made-up bars or on a file's, over a span of days."""

    specs: tuple[StrategySpec, ...]
    data: Path | None = None
    first: date | None = None
    last: date | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlisted:
    """A strategy to audit: how it is written, its file, and one made of it."""

    spec: StrategySpec
    file: StrategyFile
    strategy: Strategy


def audit_lookahead(audit: Audit, settings: Settings, *, told: Told) -> list[Checked]:
    """Return every probe's result. Raises ConfigurationFault for what cannot be audited."""
    enlisted = _enlisted(audit, settings)
    history = _history(audit, enlisted)
    checked: list[Checked] = []
    for one in enlisted:
        told(f"asking {one.spec.name}")
        checked += _audit_one(one, audit, history, settings.bar_timeframe)
    speaking = [one for one in enlisted if not one.file.abstains]
    if not speaking:
        return checked
    playing = [(one.spec, one.strategy) for one in speaking]
    for run in runs_of(playing, settings, audit.data, (audit.first, audit.last), audit.seed):
        told(f"playing {run.name}")
        with tempfile.TemporaryDirectory() as folder:
            checked += run.audited(Path(folder))
    return checked


def _enlisted(audit: Audit, settings: Settings) -> list[Enlisted]:
    discovery = settings_rules.discover_strategies(settings)
    return [
        Enlisted(
            spec=spec,
            strategy=make(spec, discovery, bar_timeframe=settings.bar_timeframe),
            file=discovery.files[spec.kind],
        )
        for spec in audit.specs
    ]


def _history(audit: Audit, enlisted: list[Enlisted]) -> History | None:
    """Return the bars of the file; None when bars are made up."""
    if audit.data is None:
        return None
    symbols = sorted({s for file in read_bar_files(audit.data) for s in file.symbols})
    return load_history(audit.data, symbols, {one.strategy.timeframe for one in enlisted})


def _audit_one(
    one: Enlisted, audit: Audit, history: History | None, bar_timeframe: Timeframe
) -> list[Checked]:
    artefacts = tuple(Path(path) for path in getattr(one.strategy, "artefacts", ()))
    evaluated = _evaluated(audit, history, one.strategy.timeframe)
    fitted = audit_artefacts(one.spec.name, artefacts, evaluated)
    if one.file.abstains:
        return [fitted]
    subject = subject_of(one, audit, history, bar_timeframe)
    allowed = [*artefacts, *(manifest_path(path) for path in artefacts)]
    outside, answers = audit_outside(subject, one.file.path, allowed)
    return [*answers, outside, fitted]


def subject_of(
    one: Enlisted, audit: Audit, history: History | None, bar_timeframe: Timeframe
) -> Subject:
    """Return a strategy with the bars it is asked about: the last of the span, or made-up ones."""
    timeframe, needed = one.strategy.timeframe, one.strategy.lookback_bars
    if history is None:
        series = drawn_series(one.strategy, seed=audit.seed)
    else:
        days = history.session_range(audit.first, audit.last)
        last_row = history.frames[timeframe].first[days.stop] - 1
        rows = needed + INSTANTS
        series = history_series(history, timeframe, last_row=last_row, rows=rows)
    begin = min(needed - 1, len(series.slots) - 1)
    return Subject(
        name=one.spec.name,
        fresh=lambda: fresh(one.spec, one.file, bar_timeframe=bar_timeframe),
        series=series,
        instants=tuple(range(begin, len(series.slots))),
    )


def fresh(spec: StrategySpec, file: StrategyFile, *, bar_timeframe: Timeframe) -> Strategy:
    """Return the strategy from its file, run anew. Raises whatever the file raises."""
    with _forgotten(file.path):
        loaded = load_file(file.path)
    if not isinstance(loaded, StrategyFile):
        raise ConfigurationFault(f"{file.path} is no strategy when it is loaded again: {loaded}")
    return make(spec, Discovery(files={spec.kind: loaded}), bar_timeframe=bar_timeframe)


@contextmanager
def _forgotten(path: Path) -> Iterator[None]:
    """Let a shipped strategy's module be made anew, and put the old one back: the program holds
    classes of it."""
    name = f"strategies.{path.stem}"
    old = sys.modules.pop(name, None) if path.parent == SHIPPED_FOLDER else None
    try:
        yield
    finally:
        if old is not None:
            sys.modules[name] = old
            setattr(strategies, path.stem, old)


def _evaluated(audit: Audit, history: History | None, timeframe: Timeframe) -> Evaluated | None:
    """Return the span judged: of the file, or the days asked for; None when neither is given."""
    if history is not None:
        frame, days = history.frames[timeframe], history.session_range(audit.first, audit.last)
        first, last = frame.slots[frame.first[days.start]], frame.slots[frame.first[days.stop] - 1]
        return Evaluated(first=first, last=last, slots=frame.slots)
    if audit.first is None:
        return None
    first = datetime.combine(audit.first, time(), UTC)
    last = datetime.combine(audit.last or audit.first, time(), UTC)
    return Evaluated(first=first, last=last)

"""Asking one strategy the same questions in worlds that differ only in what comes later."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.registry import Raised, attempt
from daemon.strategy_sample import Series, market_of
from domain.instruments import Symbol
from domain.market import Bars, Floats, Reads
from domain.panel import Panel
from domain.ports import Strategy
from domain.signals import Signals
from research.audit.findings import Checked, Finding, Probe, difference
from research.audit.worlds import append, changed, copied, panel_of

Answer = Signals | Raised
Fresh = Callable[[], Strategy]
"""Makes the strategy from its file, run anew: nothing it kept from being asked before is there."""

STACKED_INSTANTS = 24
"""Instants side by side in one call."""
POISON_CUTS = 3
BEFORE_CUT, AFTER_CUT = 16, 8
"""Instants asked about on both sides of a cut."""
POISONS = ("noise", "nothing", "thousandfold")
FINDINGS_MAX = 3
"""Findings a probe spells out; one is enough to act on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A strategy to audit, on the bars to audit it on; `instants` are rows of the series."""

    name: str
    fresh: Fresh
    series: Series
    instants: tuple[int, ...]


def audit_strategy(subject: Subject) -> list[Checked]:
    """Return what every probe found of a strategy's answers; see the module's other functions."""
    with warnings.catch_warnings():
        # What it warns of is not this audit's matter, and its contract's check says so.
        warnings.simplefilter("ignore")
        honest = _alone(subject, subject.instants)
        return [
            _prefix(subject, honest),
            _poison(subject, honest),
            _order(subject, honest),
            _stacked(subject, honest),
            _warm_up(subject, honest),
        ]


# --- ways of asking ------------------------------------------------------------------------------


def _ask(subject: Subject, strategy: Strategy, row: int, bars: Bars) -> Answer:
    slot_at = subject.series.slots[row]
    market = market_of(strategy, subject.series.symbols, slot_at, bars)
    return attempt(lambda: strategy.decide(market))


def _alone(subject: Subject, rows: Sequence[int]) -> dict[int, Answer]:
    """Return the answers to data that ends at each instant: nothing later exists anywhere."""
    strategy = subject.fresh()
    return {
        row: _ask(subject, strategy, row, bars)
        for row, bars in _windows(subject, strategy.lookback_bars, rows)
    }


def _windows(
    subject: Subject, lookback_bars: int, rows: Sequence[int]
) -> Iterator[tuple[int, Bars]]:
    series = subject.series
    panel = Panel(series.symbols, series.timeframe, len(series.slots))
    fed = 0
    for row in sorted(rows):
        while fed <= row:
            append(panel, series, fed)
            fed += 1
        yield row, copied(panel.window(lookback_bars))


def _behind(panel: Panel, series: Series, row: int, lookback_bars: int) -> Bars:
    """Return the window of an instant, cut from memory in which later bars lie behind it."""
    return panel.stack(series.slots[row], 1, lookback_bars)


# --- the probes ----------------------------------------------------------------------------------


def _prefix(subject: Subject, honest: dict[int, Answer]) -> Checked:
    """Decision on data up to t = decision at t in a run that holds everything."""
    strategy, panel = subject.fresh(), panel_of(subject.series)
    found = []
    for row, known in honest.items():
        bars = _behind(panel, subject.series, row, strategy.lookback_bars)
        fault = difference(known, _ask(subject, strategy, row, bars), subject.series.symbols)
        if fault:
            found.append(_at(subject, row, f"{fault} once later bars exist"))
    return _checked(subject, Probe.PREFIX, f"{len(honest)} instants", found)


def _order(subject: Subject, honest: dict[int, Answer]) -> Checked:
    """Asked from the last instant to the first, the answers stay what they were."""
    strategy = subject.fresh()
    found = []
    windows = list(_windows(subject, strategy.lookback_bars, list(honest)))
    for row, bars in reversed(windows):
        fault = difference(honest[row], _ask(subject, strategy, row, bars), subject.series.symbols)
        if fault:
            found.append(_at(subject, row, f"{fault} when later instants were asked about before"))
    return _checked(subject, Probe.ORDER, f"{len(honest)} instants, backwards", found)


def _stacked(subject: Subject, honest: dict[int, Answer]) -> Checked:
    """Many instants side by side, as a backtest asks, give the bits of each asked alone."""
    strategy = subject.fresh()
    if strategy.cross_sectional or strategy.reads != frozenset({Reads.BARS}):
        return _checked(subject, Probe.STACKED, "never asked so: it compares symbols", [])
    panel, found = panel_of(subject.series), []
    rows = sorted(honest)
    for first, count in _runs(rows):
        together = _side_by_side(subject, strategy, panel, first, count)
        for offset in range(count):
            row = first + offset
            fault = difference(honest[row], together[offset], subject.series.symbols)
            if fault:
                words = f"{fault} asked together with {count - 1 - offset} later instants"
                found.append(_at(subject, row, words))
    return _checked(subject, Probe.STACKED, f"{len(rows)} instants in blocks", found)


def _side_by_side(
    subject: Subject, strategy: Strategy, panel: Panel, first: int, count: int
) -> list[Answer]:
    series, width = subject.series, len(subject.series.symbols)
    bars = panel.stack(series.slots[first], count, strategy.lookback_bars)
    symbols: tuple[Symbol, ...] = series.symbols * count
    market = market_of(strategy, symbols, series.slots[first + count - 1], bars)
    answer = attempt(lambda: strategy.decide(market))
    if isinstance(answer, Raised):
        return [answer] * count
    return [_columns(answer, slice(k * width, (k + 1) * width)) for k in range(count)]


def _poison(subject: Subject, honest: dict[int, Answer]) -> Checked:
    """Noise, nothing or absurd prices after t change no answer up to t."""
    rows = sorted(honest)
    cuts = [rows[int(k)] for k in np.linspace(len(rows) // 4, len(rows) - 2, POISON_CUTS)]
    found = []
    for cut in cuts:
        for kind in POISONS:
            found += _poisoned(subject, honest, cut, kind)
    looked_at = f"{len(cuts)} instants × {', '.join(POISONS)}"
    return _checked(subject, Probe.POISON, looked_at, found)


def _poisoned(
    subject: Subject, honest: dict[int, Answer], cut: int, kind: str
) -> list[tuple[int, str]]:
    strategy, world = subject.fresh(), changed(subject.series, _poison_after(cut, kind))
    panel, needed = panel_of(world), strategy.lookback_bars
    later = [row for row in honest if cut < row <= cut + AFTER_CUT]
    before = [row for row in honest if cut - BEFORE_CUT < row <= cut]
    for row in sorted(later, reverse=True):
        # Whatever it keeps of these must not come back in the answers below.
        _ask(subject, strategy, row, _behind(panel, world, row, needed))
    found = []
    for row in sorted(before, reverse=True):
        answer = _ask(subject, strategy, row, _behind(panel, world, row, needed))
        fault = difference(honest[row], answer, world.symbols)
        if fault:
            after = world.slots[cut]
            words = f"{fault} with {kind} in place of the bars after {after:%Y-%m-%d %H:%M} UTC"
            found.append(_at(subject, row, words))
    return found


def _poison_after(cut: int, kind: str) -> Callable[[str, Floats], None]:
    rng = np.random.default_rng(cut)

    def change(name: str, values: Floats) -> None:
        match kind:
            case "nothing":
                values[cut + 1 :] = np.nan
            case "thousandfold":
                values[cut + 1 :] *= 1000.0
            case _:
                values[cut + 1 :] *= rng.uniform(0.5, 1.5, values[cut + 1 :].shape)

    return change


def _warm_up(subject: Subject, honest: dict[int, Answer]) -> Checked:
    """More bars in front of its look-back change nothing; fewer than it give no opinion."""
    strategy, panel = subject.fresh(), panel_of(subject.series)
    needed, found, looked_at = strategy.lookback_bars, [], 0
    for row, known in honest.items():
        longer = min(row + 1, 2 * needed)
        if longer <= needed:
            continue
        looked_at += 1
        bars = copied(_behind(panel, subject.series, row, longer))
        fault = difference(known, _ask(subject, strategy, row, bars), subject.series.symbols)
        if fault:
            found.append(_at(subject, row, f"{fault} with {longer} bars instead of {needed}"))
    return _checked(subject, Probe.WARM_UP, f"{looked_at} instants, longer histories", found)


# --- small parts ---------------------------------------------------------------------------------


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, count) of consecutive rows, at most a block's instants each."""
    start = 0
    for index in range(1, len(rows) + 1):
        is_over = index == len(rows) or rows[index] != rows[index - 1] + 1
        if is_over or index - start == STACKED_INSTANTS:
            yield rows[start], index - start
            start = index


def _columns(signals: Signals, part: slice) -> Signals:
    def cut(values: Floats) -> Floats:
        return values[part] if np.ndim(values) == 1 else values

    return Signals(
        strength=cut(signals.strength),
        evidence={name: cut(values) for name, values in signals.evidence.items()},
    )


def _at(subject: Subject, row: int, words: str) -> tuple[int, str]:
    return row, f"at {subject.series.slots[row]:%Y-%m-%d %H:%M} UTC: {words}"


def _checked(
    subject: Subject, probe: Probe, looked_at: str, found: list[tuple[int, str]]
) -> Checked:
    """Return a probe's result: the earliest findings spelled out, the others counted."""
    told = [words for _, words in sorted(found)[:FINDINGS_MAX]]
    if len(found) > len(told) > 0:
        told[-1] += f" (and {len(found) - len(told)} more like it)"
    findings = tuple(Finding(subject=subject.name, probe=probe, detail=words) for words in told)
    return Checked(subject=subject.name, probe=probe, looked_at=looked_at, findings=findings)

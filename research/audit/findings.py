"""What an audit says: which probe looked at what, and what it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from daemon.registry import Raised
from domain.market import Floats
from domain.signals import Signals


class Probe(StrEnum):
    """What is looked for."""

    PREFIX = "prefix invariance"
    POISON = "future poisoning"
    ORDER = "order of asking"
    STACKED = "many instants in one call"
    WARM_UP = "warm-up sensitivity"
    OUTSIDE = "reading from outside"
    ARTEFACTS = "fit range of artefacts"
    FILLS = "fills after decisions"


REMEDIES: Mapping[Probe, str] = {
    Probe.PREFIX: (
        "use only the rows of market.bars, never the memory behind them (.base), and the last row "
        "for now: a centred window, shift(-1), a back-fill or two-sided smoothing needs later bars"
    ),
    Probe.POISON: (
        "compute from rows up to the instant alone; scale and fit by what was known then, not by "
        "the whole sample"
    ),
    Probe.ORDER: (
        "keep nothing between calls: no module-level list, cache or attribute; everything comes "
        "from market"
    ),
    Probe.STACKED: (
        "give every numpy call its axis=0, so that a column is judged by itself; if symbols must "
        "be compared, or as_of is read, set cross_sectional = True"
    ),
    Probe.WARM_UP: (
        "cut what is given to [-self.lookback_bars:], and make lookback_bars long enough that the "
        "start of a recursion is forgotten"
    ),
    Probe.OUTSIDE: (
        "take everything from market; a fitted file is declared in `artefacts`, with a manifest "
        "that says up to when it was fitted"
    ),
    Probe.ARTEFACTS: "fit on data that ends before the evaluated span, and say so in the manifest",
    Probe.FILLS: "let an order meet the bar after the one it was decided on, never the same",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One leak: what was seen where, with both values, and what to do about it."""

    subject: str
    probe: Probe
    detail: str

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDIES[self.probe]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One probe of one subject; `looked_at` says how much of it was seen."""

    subject: str
    probe: Probe
    looked_at: str
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def difference(one: Signals | Raised, other: Signals | Raised, symbols: Sequence[str]) -> str:
    """Return where two answers differ in a bit, both values named; "" when they do not."""
    if isinstance(one, Raised) or isinstance(other, Raised):
        return "" if one == other else f"{_said(one)} against {_said(other)}"
    if one.evidence.keys() != other.evidence.keys():
        return f"evidence {sorted(one.evidence)} against {sorted(other.evidence)}"
    pairs = [("strength", one.strength, other.strength)]
    pairs += [(name, values, other.evidence[name]) for name, values in one.evidence.items()]
    for name, left, right in pairs:
        where = first_difference(left, right)
        if where is None:
            continue
        if where < 0:
            return f"{name} of shape {np.shape(left)} against {np.shape(right)}"
        return f"{symbols[where]}, {name}: {left[where]:.10g} against {right[where]:.10g}"
    return ""


def first_difference(one: Floats, other: Floats) -> int | None:
    """Return the first index at which two vectors differ, NaN equal to NaN; −1 for shapes, None
    when they are the same."""
    left, right = np.asarray(one), np.asarray(other)
    if left.shape != right.shape or left.ndim != 1:
        return -1
    differs = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    return int(np.flatnonzero(differs)[0]) if differs.any() else None


def _said(answer: Signals | Raised) -> str:
    return f"raised {answer}" if isinstance(answer, Raised) else "an answer"

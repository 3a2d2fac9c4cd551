"""Bars of two split bases in one series: prices that jump by a split's ratio and nothing else.

A crash may halve a price too. What tells them apart is the rest of the day: a crash has a range
and a turnover several times the usual, the day after a split is a day like any other.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from domain.market import Flags, Floats
from research.catalogue.findings import BarFinding, Kind, Severity

if TYPE_CHECKING:
    from research.catalogue.checking import Bars

RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
"""Splits that companies make; reverse ones are their inverses."""
TOLERANCE = 0.04
"""How far a night's move may take the jump from the ratio itself."""
CALM = 2.5
"""The day's range and dollars traded, in usual ones, up to which a jump is no crash."""
CRASH_MAX = 2.5
"""Few nights take more than three fifths of a price; those that do have a range of their own."""
USUAL_BARS = 20
MIXED_TOLERANCE = 0.03
MIXED_ROWS_MIN = 3
"""Rows whose close lies a ratio away from their own range, before it is called a pattern."""


def split_findings(bars: "Bars") -> Iterator[BarFinding]:
    """Yield the jumps between bars, and the rows whose close is on another basis than the rest."""
    mixed = list(_within(bars))
    yield from mixed
    # Where every bar is torn in itself, jumps between them say nothing more.
    torn = {finding.symbol for finding in mixed}
    yield from (finding for finding in _between(bars) if finding.symbol not in torn)


def _between(bars: "Bars") -> Iterator[BarFinding]:
    opened, _, _, close = bars.price_usd
    with np.errstate(divide="ignore", invalid="ignore"):
        jump = close[:-1] / opened[1:]
    nights = (np.diff(bars.code) == 0) & (np.diff(bars.day) > 0) & np.isfinite(jump) & (jump > 0)
    places = np.flatnonzero(nights & ((jump > 1.4) | (jump < 1 / 1.4)))
    for at, times in zip(places.tolist(), _nearest(jump[places]).tolist(), strict=True):
        if not times or not _is_calm(bars, at, times):
            continue
        words = f"{times:g} for 1" if times >= 1 else f"1 for {1 / times:g}"
        yield bars.finding(
            at + 1,
            Kind.SPLIT,
            Severity.FAULT,
            f"opens at {opened[at + 1]:g} after a close of {close[at]:g}, and goes on quietly: a "
            f"split of {words} that earlier bars are not adjusted for",
        )


def _is_calm(bars: "Bars", at: int, times: float) -> bool:
    """Return whether the session after a jump has the range of those before it and, where a crash
    could have jumped as far, their turnover."""
    first = max(0, at + 1 - USUAL_BARS)
    before = slice(first, at + 1)
    same = bars.code[before] == bars.code[at]
    after = slice(at + 1, at + 2 if bars.is_daily else at + 1 + USUAL_BARS)
    there = (bars.code[after] == bars.code[at]) & (bars.day[after] == bars.day[at + 1])
    could_be_a_crash = 1.0 < times <= CRASH_MAX
    measures = [(_spread, 1e-4), (_turnover, 1.0)] if could_be_a_crash else [(_spread, 1e-4)]
    for measure, least in measures:
        usual = float(np.nanmedian(measure(bars, before)[same]))
        if not float(np.nanmedian(measure(bars, after)[there])) <= CALM * max(usual, least):
            return False
    return True


def _spread(bars: "Bars", part: slice) -> Floats:
    _, high, low, close = bars.price_usd[:, part]
    spread: Floats = (high - low) / close
    return spread


def _turnover(bars: "Bars", part: slice) -> Floats:
    turnover: Floats = bars.price_usd[3, part] * bars.volume_shares[part]
    return turnover


def _within(bars: "Bars") -> Iterator[BarFinding]:
    """Rows whose close lies a split's ratio from the middle of their own range."""
    _, high, low, close = bars.price_usd
    with np.errstate(divide="ignore", invalid="ignore"):
        away = close / ((high + low) / 2)
        outside: Flags = (close > high) | (close < low)
    places = np.flatnonzero(outside & np.isfinite(away) & (away > 0))
    ratio = _nearest(away[places], MIXED_TOLERANCE)
    places, ratio = places[ratio > 0], ratio[ratio > 0]
    for code in np.unique(bars.code[places]).tolist():
        own = bars.code[places] == code
        rows = places[own]
        if len(rows) < MIXED_ROWS_MIN:
            continue
        times = float(np.median(ratio[own]))
        yield bars.finding(
            int(rows[0]),
            Kind.SPLIT,
            Severity.FAULT,
            f"{len(rows)} bars close {times:g} times beyond their own range, from here on: close "
            "is on another split basis than open, high and low",
        )


def _nearest(jump: Floats, tolerance: float = TOLERANCE) -> Floats:
    """Return the split ratio each jump is near, 0 for none."""
    ratios = np.array([*RATIOS, *(1.0 / r for r in RATIOS)])
    distance = np.abs(jump[:, None] / ratios[None, :] - 1.0)
    best = distance.argmin(axis=1)
    near = distance[np.arange(len(jump)), best] <= tolerance
    found: Floats = np.where(near, ratios[best], 0.0)
    return found

"""Limit up, limit down: the price bands of a session, and the pauses that crossing them causes.

Source: the National Market System plan to address extraordinary market volatility, sections V to
VII. The reference is the opening price, then the mean of the last five minutes' trades, looked at
every half minute and taken when it has moved by 1 %. Bands are 5 % wide from $3 up (20 % from
$0.75, below that the lesser of $0.15 and 75 %), twice that in the last 25 minutes. All symbols are
taken for the plan's first tier. A trade beyond a band does not happen: the symbol is paused for
five minutes and reopens in an auction, whose price is the next reference. The plan's fifteen
seconds at the limit are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from domain.market import Floats
from exchange.instants import MINUTE_NS, to_ns
from exchange.tape_view import TapeView

PAUSE_MINUTES = 5
REFERENCE_MINUTES = 5
REFERENCE_MOVE = 0.01
DOUBLED_MINUTES = 25
OPENING, WITHIN, REOPENING = "A", "B", "E"
"""The tape's indicators: bands at the opening, during the day, after a pause or halt."""
QUIET_RANGE = 1.04
"""A day whose high is less than this over its low cannot cross a band of 5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The bands in force from a tick on."""

    tick: int
    up_usd: float
    down_usd: float
    indicator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What a walk along the tape comes to: new bands, or a trade beyond those in force."""

    band: Band | None = None
    crossed_tick: int | None = None


def bands(view: TapeView, row: int) -> list[Band]:
    """Return a symbol's bands of a session in order, as its ticks are played."""
    return [step.band for step in _walk(view, row, pausing=False) if step.band is not None]


def pauses(view: TapeView, row: int) -> list[int]:
    """Return the ticks at which a symbol's prices would cross a band: each begins a pause."""
    known = view.last[row][np.isfinite(view.last[row])]
    if known.size == 0 or known.max() < known.min() * QUIET_RANGE:
        return []
    steps = _walk(view, row, pausing=True)
    return [step.crossed_tick for step in steps if step.crossed_tick is not None]


def _walk(view: TapeView, row: int, *, pausing: bool) -> Iterator[_Step]:
    per_minute = view.tape.ticks_per_minute
    step, memory = max(1, per_minute // 2), REFERENCE_MINUTES * per_minute
    last, traded = view.last[row], view.shares[row] > 0
    doubled_ns = to_ns(view.session.closes_at) - DOUBLED_MINUTES * MINUTE_NS
    base_usd = float(view.tape.previous_close_usd[row])
    band: Band | None = None
    reference, indicator, since = np.nan, OPENING, 0
    is_doubled = int(view.at_ns[0]) >= doubled_ns
    start, count = 0, last.shape[0]
    while start < count:
        end = min(start + step, count)
        part = np.flatnonzero(traded[start:end]) + start
        if view.halted is not None and view.halted[row, start]:
            band, reference, indicator, since = None, np.nan, REOPENING, end
        elif part.size:
            if band is None:
                reference = float(last[part[0]])
                band = _band(int(part[0]), reference, (base_usd, is_doubled), indicator)
                indicator = WITHIN
                yield _Step(band=band)
            crossed = part[(last[part] > band.up_usd) | (last[part] < band.down_usd)]
            if pausing and crossed.size:
                yield _Step(crossed_tick=int(crossed[0]))
                band, reference, indicator = None, np.nan, REOPENING
                start = since = int(crossed[0]) + PAUSE_MINUTES * per_minute
                continue
        start = end
        doubles = end < count and int(view.at_ns[end]) >= doubled_ns
        mean = _mean(last, traded, slice(max(since, end - memory), end))
        moved = band is not None and abs(mean / reference - 1.0) >= REFERENCE_MOVE
        if band is not None and (moved or (doubles and not is_doubled)):
            reference = mean if moved else reference
            band = _band(min(end, count - 1), reference, (base_usd, doubles), WITHIN)
            yield _Step(band=band)
        is_doubled = doubles


def _mean(last: Floats, traded: Floats, part: slice) -> float:
    played = last[part][traded[part] > 0]
    return float(played.mean()) if played.size else float("nan")


def _band(tick: int, reference: float, terms: tuple[float, bool], indicator: str) -> Band:
    base_usd, is_doubled = terms
    width = _width(reference, base_usd if np.isfinite(base_usd) else reference)
    width *= 2.0 if is_doubled else 1.0
    return Band(
        tick=tick,
        up_usd=round(reference + width, 2),
        down_usd=round(max(reference - width, 0.01), 2),
        indicator=indicator,
    )


def _width(reference: float, base_usd: float) -> float:
    if base_usd >= 3.0:
        return 0.05 * reference
    if base_usd >= 0.75:
        return 0.20 * reference
    return min(0.15, 0.75 * reference)

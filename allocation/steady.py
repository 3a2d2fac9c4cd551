"""Columns that rest: whose holding is certain to stay inside its band over slots to come.

Between two turns of an opinion a holding drifts from what is wanted of it by the price and by the
account's worth alone. How far at most, the extremes of both tell: a column that stays inside the
band even so needs no look until its opinion turns. Of any other nothing is said: it is weighed.
"""

from bisect import bisect_right

import numpy as np

from allocation.rules import AllocationRules
from domain.market import Floats
from domain.values import Value

EQUITY_RANGE = 0.01
"""By what share equity may move before all columns are looked at anew."""
_LOAD_MIN = 1e-100
"""Below it a wish might come to no share at all in floating point."""
_HAIR = 1e-9
"""So that rounding cannot put a column inside the band that lies outside."""


class Tracks(Value, frozen=True, kw_only=True, eq=False):
    """What one book's opinions want of each column over slots in a row, and the prices there.

    load: signed share of equity wanted `[t, n]`. The others are extremes from each slot on to the
    last, of the mids and of |load| where anything is wanted. turns: of each column, the slots at
    which another side is wanted than at the slot before.
    """

    load: Floats
    mid_high: Floats
    mid_low: Floats
    load_high: Floats
    load_low: Floats
    turns: tuple[list[int], ...]

    @staticmethod
    def of(load: Floats, mids_usd: Floats) -> "Tracks | None":
        """Return the tracks of loads and mids `[t, n]`, None where some load is next to nothing."""
        size = np.abs(load)
        wanted = size > 0.0
        if np.count_nonzero(wanted & (size < _LOAD_MIN)):
            return None
        sides = np.sign(load)
        turned = (sides[1:] != sides[:-1]).T
        return Tracks(
            load=load,
            mid_high=np.maximum.accumulate(mids_usd[::-1])[::-1],
            mid_low=np.minimum.accumulate(mids_usd[::-1])[::-1],
            load_high=np.maximum.accumulate(size[::-1])[::-1],
            load_low=np.minimum.accumulate(np.where(wanted, size, np.inf)[::-1])[::-1],
            turns=tuple((np.flatnonzero(column) + 1).tolist() for column in turned),
        )


class Steady:
    """Says until when columns rest, and remembers it of those whose holding has not changed."""

    def __init__(self, rules: AllocationRules) -> None:
        band = rules.band_of_target * (1.0 - _HAIR)
        self._most, self._least = 1.0 + band, 1.0 - band
        self._tracks: Tracks | None = None
        self._held: Floats = np.zeros(0)
        self._until: list[int] = []
        self._low_usd = self._high_usd = 0.0

    def until(
        self, tracks: Tracks, row: int, held: Floats, lowest_usd: float, highest_usd: float
    ) -> list[int]:
        """Return, of each column, before which slot it is certain to rest, from one on, while the
        book holds `held` `[n]` and equity lies between two amounts; `row` where it is not."""
        until = self._until
        is_known = tracks is self._tracks and self._low_usd <= lowest_usd
        if not is_known or highest_usd > self._high_usd:
            self._tracks, self._held = tracks, held
            self._low_usd = lowest_usd * (1.0 - EQUITY_RANGE)
            self._high_usd = highest_usd * (1.0 + EQUITY_RANGE)
            until = [self._rests(tracks, row, c, h) for c, h in enumerate(held.tolist())]
            self._until = until
        elif held is not self._held:
            for column in (held != self._held).nonzero()[0].tolist():
                until[column] = self._rests(tracks, row, column, held.item(column))
            self._held = held
        if min(until) < row:
            for column in [column for column, known in enumerate(until) if known < row]:
                until[column] = self._rests(tracks, row, column, held.item(column))
        return until

    def _rests(self, tracks: Tracks, row: int, column: int, held: float) -> int:
        load = tracks.load.item(row, column)
        if held * load <= 0.0:
            if held or load:
                return row
        else:
            size = abs(held)
            high_usd = size * tracks.mid_high.item(row, column)
            low_usd = size * tracks.mid_low.item(row, column)
            if (
                high_usd > self._most * tracks.load_low.item(row, column) * self._low_usd
                or low_usd < self._least * tracks.load_high.item(row, column) * self._high_usd
            ):
                return row
        turns = tracks.turns[column]
        at = bisect_right(turns, row)
        return turns[at] if at < len(turns) else len(tracks.load)

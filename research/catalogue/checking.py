"""Checking bars: what cannot be true, what does not fit the calendar, and what looks unmended.

Every finding names file, symbol and day. Nothing is changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from domain.market import Flags, Floats
from exchange.sessions import xnys_calendar
from research.catalogue.findings import BarFinding, Kind, Severity
from research.catalogue.rows import NO_TIME, FileRows, Integers
from research.catalogue.splits import split_findings

STALE_DAYS, STALE_MINUTES = 5, 60
"""So many bars in a row that stand at one price are no market."""
HOLE_MINUTES = 30
"""Minutes without a bar inside a session that are worth a notice."""
_EPOCH = date(1970, 1, 1)
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """All rows `[r]` of files that belong together, by symbol and time; `file` is a row's file,
    `row` its place there. Only rows with a time and a symbol."""

    files: Sequence[FileRows]
    symbols: tuple[str, ...]
    is_daily: bool
    file: Integers
    row: Integers
    code: Integers
    at_ms: Integers
    day: Integers
    price_usd: Floats
    volume_shares: Floats

    def finding(
        self, at: int, kind: Kind, severity: Severity, detail: str, *, has_day: bool = True
    ) -> BarFinding:
        """Return a finding at one row."""
        return BarFinding(
            kind=kind,
            severity=severity,
            path=self.files[int(self.file[at])].path,
            symbol=self.symbols[int(self.code[at])],
            day=day_of(int(self.day[at])) if has_day else None,
            detail=detail,
        )


def check(files: Sequence[FileRows]) -> list[BarFinding]:
    """Return what is wrong with files of one kind, daily or minute, read together."""
    found = [finding for file in files for finding in _unplaced(file)]
    bars = gathered(files)
    if len(bars.at_ms) == 0:
        return found
    found += [*_orders(files), *_numbers(bars), *_duplicates(bars), *_stale(bars)]
    found += [*_calendar(bars), *split_findings(bars)]
    return found


def gathered(files: Sequence[FileRows]) -> Bars:
    """Return the rows of all files with a time and a symbol, by symbol and time."""
    names = sorted({symbol for file in files for symbol in file.symbols})
    number = {name: k for k, name in enumerate(names)}
    parts = []
    for index, file in enumerate(files):
        place = np.array([number[s] for s in file.symbols] or [0], dtype=np.int64)
        kept = np.flatnonzero((file.at_ms != NO_TIME) & (file.code >= 0))
        parts.append((np.full(len(kept), index), kept, place[file.code[kept]], file))
    file_of, row, code = (np.concatenate([p[k] for p in parts]) for k in range(3))
    at_ms = np.concatenate([p[3].at_ms[p[1]] for p in parts])
    order = np.lexsort((row, file_of, at_ms, code))
    return Bars(
        files=files,
        symbols=tuple(names),
        is_daily=files[0].is_daily,
        file=file_of[order],
        row=row[order],
        code=code[order],
        at_ms=at_ms[order],
        day=np.concatenate([p[3].day[p[1]] for p in parts])[order],
        price_usd=np.concatenate([p[3].price_usd[:, p[1]] for p in parts], axis=1)[:, order],
        volume_shares=np.concatenate([p[3].volume_shares[p[1]] for p in parts])[order],
    )


def day_of(days_since_1970: int) -> date:
    """Return the day of a number."""
    return _EPOCH + timedelta(days=days_since_1970)


# --- one row at a time ---------------------------------------------------------------------------


def _unplaced(file: FileRows) -> Iterator[BarFinding]:
    for row in np.flatnonzero((file.at_ms == NO_TIME) | (file.code < 0)).tolist():
        what = "no symbol" if file.code[row] < 0 else "a time that is none"
        symbol = file.symbols[file.code[row]] if file.code[row] >= 0 else ""
        yield BarFinding(
            kind=Kind.TIME,
            severity=Severity.FAULT,
            path=file.path,
            symbol=symbol,
            day=None,
            detail=f"row {row}: {what}",
        )


def _orders(files: Sequence[FileRows]) -> Iterator[BarFinding]:
    for file in files:
        order = np.argsort(file.code, kind="stable")
        code, at_ms = file.code[order], file.at_ms[order]
        back = (code[1:] == code[:-1]) & (at_ms[1:] < at_ms[:-1]) & (at_ms[1:] != NO_TIME)
        for place in np.flatnonzero(back).tolist():
            row = int(order[place + 1])
            yield BarFinding(
                kind=Kind.ORDER,
                severity=Severity.FAULT,
                path=file.path,
                symbol=file.symbols[int(file.code[row])],
                day=day_of(int(file.day[row])),
                detail=f"row {row} lies after a later bar",
            )


def _numbers(bars: Bars) -> Iterator[BarFinding]:
    opened, high, low, close = bars.price_usd
    volume = bars.volume_shares
    unknown = ~(np.isfinite(bars.price_usd).all(axis=0) & np.isfinite(volume))
    for at in np.flatnonzero(unknown).tolist():
        yield bars.finding(
            at, Kind.NUMBER, Severity.FAULT, f"a price or the volume is {_shown(bars, at)}"
        )
    with np.errstate(invalid="ignore"):
        no_price = ~unknown & ((bars.price_usd <= 0).any(axis=0) | (volume < 0))
        torn = ~unknown & ~no_price & (high < low)
        outside = ~unknown & ~no_price & ~torn
        outside &= (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
        empty = ~unknown & ~no_price & (volume == 0)
    for at in np.flatnonzero(no_price).tolist():
        words = f"not above zero: {_shown(bars, at)}"
        yield bars.finding(at, Kind.ZERO, Severity.FAULT, words)
    for at in np.flatnonzero(torn).tolist():
        yield bars.finding(at, Kind.RANGE, Severity.FAULT, f"high below low: {_shown(bars, at)}")
    for at in np.flatnonzero(outside).tolist():
        words = f"open or close outside high and low: {_shown(bars, at)}"
        yield bars.finding(at, Kind.RANGE, Severity.FAULT, words)
    for at, count in _by_day(bars, empty):
        words = f"{count} without volume, at {close[at]:g}: a backtest takes it for no bar"
        yield bars.finding(at, Kind.ZERO, Severity.NOTICE, words)


def _shown(bars: Bars, at: int) -> str:
    opened, high, low, close = bars.price_usd[:, at]
    return f"o {opened:g} h {high:g} l {low:g} c {close:g} v {bars.volume_shares[at]:g}"


# --- neighbours ----------------------------------------------------------------------------------


def _duplicates(bars: Bars) -> Iterator[BarFinding]:
    same = (np.diff(bars.code) == 0) & (np.diff(bars.at_ms) == 0)
    for at in np.flatnonzero(same).tolist():
        before = bars.files[int(bars.file[at])].path.name
        alike = np.array_equal(bars.price_usd[:, at], bars.price_usd[:, at + 1], equal_nan=True)
        how = "the same bar" if alike else "another bar of the same instant"
        words = f"{how} is in {before} too (row {bars.row[at]} and row {bars.row[at + 1]})"
        yield bars.finding(at + 1, Kind.DUPLICATE, Severity.FAULT, words)


def _stale(bars: Bars) -> Iterator[BarFinding]:
    """Runs of bars that stand at one price, from open to close."""
    opened, high, low, close = bars.price_usd
    still = (opened == high) & (high == low) & (low == close)
    goes_on = (np.diff(bars.code) == 0) & (close[1:] == close[:-1]) & still[1:] & still[:-1]
    least = STALE_DAYS if bars.is_daily else STALE_MINUTES
    for start, end in runs(goes_on):
        count = end - start + 1
        if count >= least:
            last = day_of(int(bars.day[end]))
            words = f"{count} bars in a row stand at {close[start]:g}, to {last}"
            yield bars.finding(start, Kind.STALE, Severity.FAULT, words)


def runs(flags: Flags) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of True; for flags between neighbours, end is the last one's
    second neighbour."""
    padded = np.concatenate([[False], flags, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


# --- the calendar --------------------------------------------------------------------------------


def _calendar(bars: Bars) -> Iterator[BarFinding]:
    sessions = xnys_calendar(day_of(int(bars.day.min())), day_of(int(bars.day.max()))).sessions
    known = np.array([(s.day - _EPOCH).days for s in sessions], dtype=np.int64)
    index = np.minimum(np.searchsorted(known, bars.day), max(len(known) - 1, 0))
    strange = known[index] != bars.day if len(known) else np.ones(len(bars.day), dtype=np.bool_)
    for at, count in _by_day(bars, strange):
        words = f"{count} on a day on which New York has no session"
        yield bars.finding(at, Kind.CALENDAR, Severity.FAULT, words)
    if len(known) == 0:
        return
    yield from _missing_sessions(bars, known, strange)
    if bars.is_daily:
        return
    opens_ms = np.array([int(s.opens_at.timestamp()) * 1000 for s in sessions])[index]
    closes_ms = np.array([int(s.closes_at.timestamp()) * 1000 for s in sessions])[index]
    # A bar that starts at the close holds the closing print.
    outside = ~strange & ((bars.at_ms < opens_ms) | (bars.at_ms > closes_ms))
    for at, count in _by_day(bars, outside):
        words = f"{count} bars outside the session: a backtest leaves them out"
        yield bars.finding(at, Kind.CALENDAR, Severity.NOTICE, words)
    yield from _holes(bars, ~strange & ~outside)


def _by_day(bars: Bars, rows: Flags) -> list[tuple[int, int]]:
    """Return the first of the marked rows on each day of each symbol, and how many there are."""
    at = np.flatnonzero(rows)
    if len(at) == 0:
        return []
    new = np.ones(len(at), dtype=np.bool_)
    new[1:] = (np.diff(bars.code[at]) != 0) | (np.diff(bars.day[at]) != 0)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(at)))
    return list(zip(at[starts].tolist(), counts.tolist(), strict=True))


def _missing_sessions(bars: Bars, known: Integers, strange: Flags) -> Iterator[BarFinding]:
    """Sessions between a symbol's first bar and its last on which it has none."""
    at = np.flatnonzero(~strange)
    session = np.searchsorted(known, bars.day[at])
    step = np.diff(session)
    far = (np.diff(bars.code[at]) == 0) & (step > 1)
    for place in np.flatnonzero(far).tolist():
        first, last = int(session[place]) + 1, int(session[place + 1]) - 1
        count = last - first + 1
        span = f"{day_of(int(known[first]))}" + (
            f" to {day_of(int(known[last]))}" if count > 1 else ""
        )
        finding = bars.finding(
            int(at[place]), Kind.GAP, Severity.FAULT, f"{count} sessions without a bar: {span}"
        )
        yield BarFinding(
            kind=finding.kind,
            severity=finding.severity,
            path=finding.path,
            symbol=finding.symbol,
            day=day_of(int(known[first])),
            detail=finding.detail,
        )


def _holes(bars: Bars, inside: Flags) -> Iterator[BarFinding]:
    """Long stretches of a session without a bar: a halt, a thin symbol, or bars that are lost."""
    at = np.flatnonzero(inside)
    same = (np.diff(bars.code[at]) == 0) & (np.diff(bars.day[at]) == 0)
    minutes = np.diff(bars.at_ms[at]) // _MINUTE_MS - 1
    for place in np.flatnonzero(same & (minutes >= HOLE_MINUTES)).tolist():
        words = f"{int(minutes[place])} minutes of the session without a bar"
        yield bars.finding(int(at[place]), Kind.GAP, Severity.NOTICE, words)

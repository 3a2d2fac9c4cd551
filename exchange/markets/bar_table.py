"""The bars of all files on the sessions of the calendar, packed for playing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from domain.calendar import Calendar
from domain.errors import ConfigurationFault
from domain.market import Floats
from exchange.markets.bar_files import BarFile, Integers, read_bar_files
from exchange.sessions import xnys_calendar

CALENDAR_TAIL = timedelta(days=400)
"""How far the calendar goes on after a file's last bar: orders and clocks look ahead."""
STEPS_JUDGED_MIN = 10
"""Fewer distances between bars than this are no proof of bars longer than a minute."""
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarTable:
    """Bars of `symbols` on `sessions`, sorted by session, symbol and minute.

    `start` `[d + 1]`: rows start[s] to start[s+1] belong to session s. Per row `[r]`: `symbol_row`,
    `minute` (0 at the open; the session's length marks the closing print; 0 for daily bars),
    `price_usd` `[4, r]`, `volume_shares`. Rows without volume are no bars and are left out, as
    are those outside the regular session (`outside_session_count` of them).
    """

    symbols: tuple[str, ...]
    symbols_all: tuple[str, ...]
    is_daily: bool
    calendar: Calendar
    days: tuple[date, ...]
    start: Integers
    symbol_row: Integers
    minute: Integers
    price_usd: Floats
    volume_shares: Floats
    outside_session_count: int


def load_bars(path: Path, wanted: Sequence[str] | None = None) -> BarTable:
    """Return the bars at `path`, a file or a folder, of the symbols in `wanted` that it holds, or
    of all that it holds.

    Raises ConfigurationFault for what cannot be played (see `read_bar_file`), for a day that is no
    session, for two files that hold the same bar, and when no wanted symbol is there.
    """
    files = read_bar_files(path)
    is_daily = files[0].is_daily
    for file in files:
        if file.is_daily != is_daily:
            raise ConfigurationFault(
                f"{file.path}: {_kind(file.is_daily)} bars beside {_kind(is_daily)} ones of"
                f" {files[0].path}; accepted: one kind in a folder"
            )
    present = {s for file in files for s in file.symbols}
    asked = sorted(present) if wanted is None else wanted
    symbols = tuple(s for s in asked if s in present)
    if not symbols:
        raise ConfigurationFault(
            f"{path}: none of the {len(asked)} symbols of the universe is in it;"
            f" it holds {', '.join(sorted(present)[:10])}"
        )
    last_day = _day(max(int(f.day.max()) for f in files))
    calendar = xnys_calendar(_day(min(int(f.day.min()) for f in files)), last_day + CALENDAR_TAIL)
    return _packed(files, symbols, tuple(sorted(present)), calendar)


def _kind(is_daily: bool) -> str:
    return "daily" if is_daily else "minute"


def _day(days_since_1970: int) -> date:
    return _EPOCH + timedelta(days=days_since_1970)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Bars on their sessions `[r]`; `file` and `origin` say where each was read."""

    session: Integers
    symbol_row: Integers
    minute: Integers
    price_usd: Floats
    volume_shares: Floats
    file: Integers
    origin: Integers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sessions:
    """The calendar as arrays: days since 1970, and epoch seconds of open and close."""

    day: Integers
    opens_s: Integers
    closes_s: Integers


def _packed(
    files: Sequence[BarFile],
    symbols: tuple[str, ...],
    symbols_all: tuple[str, ...],
    calendar: Calendar,
) -> BarTable:
    sessions = _Sessions(
        day=np.array([(s.day - _EPOCH).days for s in calendar.sessions], dtype=np.int64),
        opens_s=np.array([int(s.opens_at.timestamp()) for s in calendar.sessions]),
        closes_s=np.array([int(s.closes_at.timestamp()) for s in calendar.sessions]),
    )
    placed = [_placed(n, file, symbols, sessions) for n, file in enumerate(files)]
    rows = _sorted([rows for rows, _ in placed])
    if len(rows.session) == 0:
        raise ConfigurationFault(
            f"{files[0].path}: no bar with volume in a regular session for"
            f" {', '.join(symbols[:10])}; accepted: at least one"
        )
    _check_steps(files, rows)
    count = int(rows.session[-1]) + 1
    return BarTable(
        symbols=symbols,
        symbols_all=symbols_all,
        is_daily=files[0].is_daily,
        calendar=calendar,
        days=tuple(s.day for s in calendar.sessions[:count]),
        start=np.searchsorted(rows.session, np.arange(count + 1)),
        symbol_row=rows.symbol_row,
        minute=rows.minute,
        price_usd=rows.price_usd,
        volume_shares=rows.volume_shares,
        outside_session_count=sum(outside for _, outside in placed),
    )


def _placed(
    number: int, file: BarFile, symbols: tuple[str, ...], sessions: _Sessions
) -> tuple[_Rows, int]:
    """Return the file's bars of `symbols` on their sessions, and how many lay outside one."""
    session = _session_of(file, sessions.day)
    minute = np.zeros_like(session)
    length = (sessions.closes_s - sessions.opens_s)[session] // 60
    if not file.is_daily:
        minute = (file.at_ms // 1000 - sessions.opens_s[session]) // 60
    row_of = {symbol: row for row, symbol in enumerate(symbols)}
    symbol_row = np.array([row_of.get(s, -1) for s in file.symbols], dtype=np.int64)[file.code]
    inside = (minute >= 0) & (minute <= length)
    kept = np.flatnonzero(inside & (symbol_row >= 0) & (file.volume_shares > 0))
    rows = _Rows(
        session=session[kept],
        symbol_row=symbol_row[kept],
        minute=minute[kept],
        price_usd=file.price_usd[:, kept],
        volume_shares=file.volume_shares[kept],
        file=np.full(len(kept), number, dtype=np.int64),
        origin=kept.astype(np.int64),
    )
    return rows, int((~inside).sum())


def _session_of(file: BarFile, known: Integers) -> Integers:
    session = np.minimum(np.searchsorted(known, file.day), max(len(known) - 1, 0))
    strange = known[session] != file.day
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise file.fault(
            row, file.time_column, _day(int(file.day[row])), "days on which XNYS has a session"
        )
    return session.astype(np.int64)


def _sorted(parts: Sequence[_Rows]) -> _Rows:
    session, symbol_row, minute = (
        np.concatenate([getattr(p, name) for p in parts])
        for name in ("session", "symbol_row", "minute")
    )
    order = np.lexsort((minute, symbol_row, session))
    return _Rows(
        session=session[order],
        symbol_row=symbol_row[order],
        minute=minute[order],
        price_usd=np.concatenate([p.price_usd for p in parts], axis=1)[:, order],
        volume_shares=np.concatenate([p.volume_shares for p in parts])[order],
        file=np.concatenate([p.file for p in parts])[order],
        origin=np.concatenate([p.origin for p in parts])[order],
    )


def _check_steps(files: Sequence[BarFile], rows: _Rows) -> None:
    """Refuse a bar that two files hold, and bars longer than a minute."""
    same = (np.diff(rows.session) == 0) & (np.diff(rows.symbol_row) == 0)
    step = np.diff(rows.minute)[same]
    if (step == 0).any():
        at = int(np.flatnonzero(same)[int(np.flatnonzero(step == 0)[0])])
        first, second = sorted((at, at + 1), key=lambda k: int(rows.file[k]))
        file = files[int(rows.file[second])]
        raise file.fault(
            int(rows.origin[second]),
            file.time_column,
            f"a bar of {file.symbols[int(file.code[int(rows.origin[second])])]}"
            f" that {files[int(rows.file[first])].path.name} holds too",
            "each bar in one file only",
        )
    minutes = int(np.gcd.reduce(step)) if len(step) >= STEPS_JUDGED_MIN else 1
    if minutes > 1:
        raise ConfigurationFault(
            f"{files[0].path}, column {files[0].time_column}: found bars {minutes} minutes apart;"
            " accepted: bars of one minute or of one day"
        )

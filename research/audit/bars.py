"""Rows of bars that a backtest reads from a file, in variants: ended early, poisoned, a staircase.

One row a bar, as in the files themselves, so that reading and summing up are audited too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from domain.calendar import Session
from domain.market import Flags, Floats
from exchange.markets.bar_files import read_bar_files
from exchange.sessions import xnys_calendar

Integers = NDArray[np.int64]
POISONS = ("noise", "halved away")
MADE_UP_FROM = date(2019, 1, 2)
MADE_UP_SYMBOLS = ("AAPL", "JNJ", "JPM", "XOM", "WMT", "CAT", "NEE", "DIS")
"""Of eight sectors of the shipped universe, so that no cap silences the run."""
LISTED_LATE = "DIS"
STAIRS = (0, 3, 1, 4, 2, 5)
"""Levels of the staircase in turn: no two bars within six overlap."""
STAIR = 0.006
MINUTE_MS, DAY_MS = 60_000, 86_400_000
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarRows:
    """Bars `[r]` as a file holds them. `starts_ms`: a bar's first instant, epoch milliseconds;
    `closes_ms`: the instant it is known at; `price_usd` `[4, r]`: open, high, low, close."""

    symbol: NDArray[np.str_]
    starts_ms: Integers
    closes_ms: Integers
    is_daily: bool
    price_usd: Floats
    volume_shares: Floats

    def write(self, path: Path) -> Path:
        """Write the file that a backtest reads, and return where."""
        at = self.starts_ms.astype("datetime64[ms]")
        columns = {"symbol": pa.array(self.symbol.tolist(), pa.string())}
        if self.is_daily:
            columns["date"] = pa.array(at.astype("datetime64[D]"), pa.date32())
        else:
            columns["timestamp"] = pa.array(at, pa.timestamp("ms", "UTC"))
        for row, name in enumerate(_PRICES):
            columns[name] = pa.array(self.price_usd[row])
        columns["volume"] = pa.array(self.volume_shares)
        pq.write_table(pa.table(columns), path)
        return path

    def kept(self, rows: Flags) -> "BarRows":
        """Return some of the bars."""
        return replace(
            self,
            symbol=self.symbol[rows],
            starts_ms=self.starts_ms[rows],
            closes_ms=self.closes_ms[rows],
            price_usd=self.price_usd[:, rows],
            volume_shares=self.volume_shares[rows],
        )

    def until(self, cut: datetime) -> "BarRows":
        """Return the bars that are known by an instant."""
        return self.kept(self.closes_ms <= _ms(cut))

    def poisoned(self, cut: datetime, kind: str) -> "BarRows":
        """Return all bars, those not known by an instant replaced by noise, or half the symbols'
        gone."""
        later = self.closes_ms > _ms(cut)
        rng = np.random.default_rng(_ms(cut) % 2**32)
        if kind == "halved away":
            symbols = np.unique(self.symbol)
            gone = np.isin(self.symbol, rng.permutation(symbols)[: len(symbols) // 2])
            return self.kept(~(later & gone))
        count = int(later.sum())
        price, volume = self.price_usd.copy(), self.volume_shares.copy()
        price[:, later] = _on_cents(price[:, later] * rng.uniform(0.7, 1.4, count))
        volume[later] = np.maximum(1.0, np.rint(volume[later] * rng.uniform(0.2, 5.0, count)))
        return replace(self, price_usd=price, volume_shares=volume)


def made_up(sessions: Sequence[Session], *, is_daily: bool, seed: int) -> BarRows:
    """Return bars of MADE_UP_SYMBOLS, drawn: one lists in the middle of the sessions."""
    rng = np.random.default_rng(seed)
    starts_ms, closes_ms, _ = _grid(sessions, is_daily=is_daily, slot_minutes=1)
    count = len(starts_ms)
    sigma = 0.02 if is_daily else 0.0015
    parts = []
    for symbol in MADE_UP_SYMBOLS:
        steps = sigma * rng.standard_normal(count)
        close = rng.uniform(40.0, 160.0) * np.exp(np.cumsum(steps))
        opened = np.concatenate([close[:1], close[:-1]]) * np.exp(
            0.2 * sigma * rng.standard_normal(count)
        )
        part = _rows(symbol, starts_ms, closes_ms, opened, close, is_daily=is_daily)
        volume = np.rint(rng.lognormal(13.0 if is_daily else 8.0, 0.5, count))
        part = replace(part, volume_shares=volume)
        parts.append(part.kept(np.arange(count) >= count // 2) if symbol == LISTED_LATE else part)
    return _joined(parts)


def staircase(sessions: Sequence[Session], *, is_daily: bool, slot_minutes: int) -> BarRows:
    """Return bars whose ranges do not overlap within six slots: a price says which slot it is of.

    Slots are `slot_minutes` long; a daily bar is one slot.
    """
    starts_ms, closes_ms, slot = _grid(sessions, is_daily=is_daily, slot_minutes=slot_minutes)
    parts = []
    for number, symbol in enumerate(MADE_UP_SYMBOLS):
        level = np.array([STAIRS[(k + number) % len(STAIRS)] for k in slot.tolist()])
        middle = (50.0 + 10.0 * number) * (1.0 + STAIR * level)
        parts.append(
            _rows(symbol, starts_ms, closes_ms, middle * 0.999, middle * 1.001, is_daily=is_daily)
        )
    return _joined(parts)


def made_up_sessions(count: int) -> tuple[Session, ...]:
    """Return the first `count` sessions of the made-up worlds."""
    last = MADE_UP_FROM + timedelta(days=2 * count + 14)
    return xnys_calendar(MADE_UP_FROM, last).sessions[:count]


def read_rows(path: Path, first: date | None, last: date | None) -> BarRows:
    """Return the bars of a file or folder on the days asked for. Raises ConfigurationFault."""
    files = read_bar_files(path)
    day = np.concatenate([file.day for file in files])
    sessions = xnys_calendar(_date(int(day.min())), _date(int(day.max()))).sessions
    known = np.array([(s.day - date(1970, 1, 1)).days for s in sessions])
    closes = np.array([_ms(s.closes_at) for s in sessions], dtype=np.int64)
    closes_of = closes[np.minimum(np.searchsorted(known, day), len(known) - 1)]
    is_daily = files[0].is_daily
    starts_ms = np.concatenate([file.at_ms for file in files])
    rows = BarRows(
        symbol=np.concatenate([np.array(f.symbols)[f.code] for f in files]),
        starts_ms=day * DAY_MS if is_daily else starts_ms,
        closes_ms=closes_of if is_daily else np.minimum(starts_ms + MINUTE_MS, closes_of),
        is_daily=is_daily,
        price_usd=np.concatenate([file.price_usd for file in files], axis=1),
        volume_shares=np.concatenate([file.volume_shares for file in files]),
    )
    days = day.astype("datetime64[D]")
    wanted = np.ones(len(days), dtype=np.bool_)
    if first is not None:
        wanted &= days >= np.datetime64(first)
    if last is not None:
        wanted &= days <= np.datetime64(last)
    return rows.kept(wanted)


def _grid(
    sessions: Sequence[Session], *, is_daily: bool, slot_minutes: int
) -> tuple[Integers, Integers, Integers]:
    """Return the starts and ends of bars, and which slot each belongs to."""
    starts: list[int] = []
    closes: list[int] = []
    slots: list[int] = []
    slot = 0
    for session in sessions:
        if is_daily:
            starts.append((session.day - date(1970, 1, 1)).days * DAY_MS)
            closes.append(_ms(session.closes_at))
            slots.append(slot)
            slot += 1
            continue
        minutes = int((session.closes_at - session.opens_at).total_seconds()) // 60
        opens_ms = _ms(session.opens_at)
        starts += [opens_ms + k * MINUTE_MS for k in range(minutes)]
        closes += [opens_ms + (k + 1) * MINUTE_MS for k in range(minutes)]
        slots += [slot + k // slot_minutes for k in range(minutes)]
        slot += -(-minutes // slot_minutes)
    return np.array(starts), np.array(closes), np.array(slots)


def _rows(
    symbol: str,
    starts_ms: Integers,
    closes_ms: Integers,
    opened: Floats,
    close: Floats,
    *,
    is_daily: bool,
) -> BarRows:
    opened, close = _on_cents(opened), _on_cents(close)
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return BarRows(
        symbol=np.full(len(starts_ms), symbol),
        starts_ms=starts_ms,
        closes_ms=closes_ms,
        is_daily=is_daily,
        price_usd=np.stack([opened, high, low, close]),
        volume_shares=np.full(len(starts_ms), 1e7),
    )


def _joined(parts: Sequence[BarRows]) -> BarRows:
    return BarRows(
        symbol=np.concatenate([part.symbol for part in parts]),
        starts_ms=np.concatenate([part.starts_ms for part in parts]),
        closes_ms=np.concatenate([part.closes_ms for part in parts]),
        is_daily=parts[0].is_daily,
        price_usd=np.concatenate([part.price_usd for part in parts], axis=1),
        volume_shares=np.concatenate([part.volume_shares for part in parts]),
    )


def _date(days_since_1970: int) -> date:
    return date(1970, 1, 1) + timedelta(days=days_since_1970)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _on_cents(price: Floats) -> Floats:
    rounded: Floats = np.maximum(np.round(price, 2), 0.01)
    return rounded

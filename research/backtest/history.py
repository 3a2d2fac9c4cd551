"""Bars of the whole universe on every timeframe that is asked for, as arrays, and where from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.calendar import Calendar, Session, Timeframe
from domain.errors import ConfigurationFault
from domain.instruments import Symbol
from domain.market import BarRow, Floats
from exchange.corporate_actions import NO_ACTIONS, ActionTable
from exchange.markets.bar_table import BarTable, load_bars

Integers = NDArray[np.int64]
_MINUTES = {timeframe: int(timeframe.length.total_seconds()) // 60 for timeframe in Timeframe}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """The bars of one timeframe: arrays `[t, n]`, NaN where a symbol has none, read-only.

    `slots` are closing instants, oldest first; session k holds the rows `first[k]` to `first[k+1]`
    (`first` has one entry more than there are sessions).
    """

    timeframe: Timeframe
    slots: tuple[datetime, ...]
    first: tuple[int, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def starts(self) -> frozenset[datetime]:
        """The first slot of every session: where panels begin to count empty slots anew."""
        return frozenset(self.slots[row] for row in self.first[:-1])

    def row(self, index: int) -> BarRow:
        """Return one slot of bars."""
        return BarRow(
            open=self.open[index],
            high=self.high[index],
            low=self.low[index],
            close=self.close[index],
            volume=self.volume[index],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """What a backtest plays: the sessions it knows, and a frame for each timeframe asked for.

    `base` is the finest of them, the grid that orders fill on. `content_hash` is a sha256 of the
    base bars, their instants and symbols, and of the actions: equal bars, equal hash, wherever they
    were read from.
    """

    source: str
    symbols: tuple[Symbol, ...]
    calendar: Calendar
    sessions: tuple[Session, ...]
    base: Timeframe
    frames: Mapping[Timeframe, Frame]
    actions: ActionTable = NO_ACTIONS
    """Splits and dividends to be carried out; bars are as traded then."""

    @property
    def content_hash(self) -> str:
        """The fingerprint of the base bars."""
        frame = self.frames[self.base]
        digest = hashlib.sha256()
        digest.update("\n".join(self.symbols).encode())
        digest.update("\n".join(slot.isoformat() for slot in frame.slots).encode())
        for values in (frame.open, frame.high, frame.low, frame.close, frame.volume):
            digest.update(np.ascontiguousarray(values).tobytes())
        for action in self.actions.actions:
            what = f"{action.symbol} {action.ex_date} {action.ratio} {action.cash_usd}\n"
            digest.update(what.encode())
        return digest.hexdigest()

    def session_range(self, first: date | None, last: date | None) -> range:
        """Return the indices of the sessions in [first, last]. Raises ConfigurationFault if none
        is."""
        days = [session.day for session in self.sessions]
        chosen = [
            index
            for index, day in enumerate(days)
            if (first is None or day >= first) and (last is None or day <= last)
        ]
        if not chosen:
            raise ConfigurationFault(
                f"{self.source} has no session from {first or 'its first'} to {last or 'its last'}:"
                f" it holds {len(days)} from {days[0]} to {days[-1]}"
            )
        return range(chosen[0], chosen[-1] + 1)


def load_history(path: Path, symbols: Sequence[str], timeframes: Iterable[Timeframe]) -> History:
    """Return the bars of a file or folder (Parquet or CSV, daily or minute) on the timeframes.

    Daily bars serve 1Day alone. Raises ConfigurationFault for what cannot be played: see
    `exchange.markets.bar_files`, which reads for the exchange too.
    """
    table = load_bars(path, symbols)
    wanted = [timeframe for timeframe in Timeframe if timeframe in {*timeframes, Timeframe.DAY}]
    if table.is_daily and wanted != [Timeframe.DAY]:
        raise ConfigurationFault(
            f"{path} holds daily bars: there is no {wanted[0].value} in them; "
            "use strategies on 1Day, or minute bars"
        )
    return history_of_table(table, wanted, source=str(path))


def history_of_table(table: BarTable, timeframes: Sequence[Timeframe], *, source: str) -> History:
    """Return a table's bars on the timeframes, minutes summed up where they are longer."""
    sessions = table.calendar.sessions[: len(table.days)]
    return History(
        source=source,
        symbols=tuple(Symbol(s) for s in table.symbols),
        calendar=table.calendar,
        sessions=sessions,
        base=timeframes[0],
        frames={t: _summed(table, sessions, t) for t in timeframes},
    )


def daily_history(
    bars: Mapping[str, Floats],
    symbols: Sequence[str],
    sessions: Sequence[Session],
    *,
    calendar: Calendar,
    source: str,
) -> History:
    """Return a history of daily bars given as arrays `[sessions, n]` by open, high, low, close and
    volume."""
    shape = (len(sessions), len(symbols))
    if any(bars[name].shape != shape for name in ("open", "high", "low", "close", "volume")):
        raise ValueError(f"daily bars of {source} are not all of shape {shape}")
    frame = _frame(
        Timeframe.DAY,
        [[session.closes_at] for session in sessions],
        {name: _taken(bars[name]) for name in bars},
    )
    return History(
        source=source,
        symbols=tuple(Symbol(s) for s in symbols),
        calendar=calendar,
        sessions=tuple(sessions),
        base=Timeframe.DAY,
        frames={Timeframe.DAY: frame},
    )


def minute_history(
    bars: Mapping[str, Floats],
    symbols: Sequence[str],
    sessions: Sequence[Session],
    *,
    calendar: Calendar,
    source: str,
) -> History:
    """Return a history of one-minute bars given as arrays `[minutes, n]`, all sessions' minutes one
    after the other without a gap, and the daily bars they make."""
    slots = [session.slots(Timeframe.MINUTE) for session in sessions]
    minutes = {name: _taken(bars[name]) for name in bars}
    shape = (sum(map(len, slots)), len(symbols))
    if any(minutes[name].shape != shape for name in ("open", "high", "low", "close", "volume")):
        raise ValueError(f"minute bars of {source} are not all of shape {shape}")
    starts = np.cumsum([0, *map(len, slots)])[:-1]
    ends = np.append(starts[1:], shape[0]) - 1
    days = {
        "open": minutes["open"][starts],
        "high": np.maximum.reduceat(minutes["high"], starts),
        "low": np.minimum.reduceat(minutes["low"], starts),
        "close": minutes["close"][ends],
        "volume": np.add.reduceat(minutes["volume"], starts),
    }
    closes = [[session.closes_at] for session in sessions]
    return History(
        source=source,
        symbols=tuple(Symbol(s) for s in symbols),
        calendar=calendar,
        sessions=tuple(sessions),
        base=Timeframe.MINUTE,
        frames={
            Timeframe.MINUTE: _frame(Timeframe.MINUTE, slots, minutes),
            Timeframe.DAY: _frame(Timeframe.DAY, closes, days),
        },
    )


def _taken(values: Floats) -> Floats:
    """Return a view that may be made read-only, without a copy: whoever gave the array must not
    write to it any more."""
    return np.asarray(values, dtype=np.float64).view()


def _frame(
    timeframe: Timeframe, slots: Sequence[Sequence[datetime]], bars: Mapping[str, Floats]
) -> Frame:
    for values in bars.values():
        values.flags.writeable = False
    first = np.cumsum([0, *(len(of_session) for of_session in slots)]).tolist()
    return Frame(
        timeframe=timeframe,
        slots=tuple(slot for of_session in slots for slot in of_session),
        first=tuple(first),
        open=bars["open"],
        high=bars["high"],
        low=bars["low"],
        close=bars["close"],
        volume=bars["volume"],
    )


def _summed(table: BarTable, sessions: Sequence[Session], timeframe: Timeframe) -> Frame:
    """Return the frame of a timeframe; rows stand by session, symbol and minute."""
    slots = [session.slots(timeframe) for session in sessions]
    counts = np.array([len(of_session) for of_session in slots], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(counts)])
    session = np.repeat(np.arange(len(sessions)), np.diff(table.start))
    if timeframe is Timeframe.DAY:
        within = np.zeros_like(table.minute)
    else:
        # The closing print is labelled with the closing minute: it belongs to the last bar.
        within = np.minimum(table.minute // _MINUTES[timeframe], counts[session] - 1)
    slot = first[session] + within
    group = slot * len(table.symbols) + table.symbol_row
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(group)) - 1
    where = (slot[starts], table.symbol_row[starts])
    shape = (int(first[-1]), len(table.symbols))
    bars = {name: np.full(shape, np.nan) for name in ("open", "high", "low", "close", "volume")}
    if len(starts):
        bars["open"][where] = table.price_usd[0, starts]
        bars["high"][where] = np.maximum.reduceat(table.price_usd[1], starts)
        bars["low"][where] = np.minimum.reduceat(table.price_usd[2], starts)
        bars["close"][where] = table.price_usd[3, ends]
        bars["volume"][where] = np.add.reduceat(table.volume_shares, starts)
    return _frame(timeframe, slots, bars)

"""How a catalogue lies on disk: parts of bars by timeframe and period, and an index of them.

    ROOT/catalogue.json            what is held, of which symbols and days, with each part's hash
    ROOT/1Day/2019.parquet         daily bars by year
    ROOT/1Min/2019-01.parquet      minute bars by month

`ROOT/1Day` and `ROOT/1Min` are folders of bars as every command takes them. A part is written
whole under another name and then renamed, and counts once the index says so: what is killed half
way is fetched again and nothing is ever half a part.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from domain.calendar import Timeframe
from domain.errors import ConfigurationFault, Refused
from research.audit.artefacts import file_sha256

FORMAT, VERSION = "tradewind-catalogue", 1
INDEX = "catalogue.json"
TIMEFRAMES = (Timeframe.DAY, Timeframe.MINUTE)
"""What backtests and the exchange read; longer bars are summed up from minutes."""
PARTS_MAX = 10_000
_PRICES = ("open", "high", "low", "close")


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: the days asked for of each symbol, first and last, whether they had bars or not."""

    timeframe: Timeframe
    period: str
    sha256: str
    bars: int
    bytes: int
    asked: dict[str, tuple[date, date]]
    bars_from: date | None
    bars_to: date | None

    @property
    def key(self) -> tuple[Timeframe, str]:
        """What it is known by."""
        return self.timeframe, self.period

    def covers(self, symbol: str, first: date, last: date) -> bool:
        """Return whether these days of a symbol were asked for already."""
        asked = self.asked.get(symbol)
        return asked is not None and asked[0] <= first and last <= asked[1]


class Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a catalogue holds. One feed and one adjustment: bars of two are not comparable."""

    format: str
    version: int
    source: str
    feed: str
    adjustment: str
    parts: tuple[Part, ...] = ()

    def part(self, timeframe: Timeframe, period: str) -> Part | None:
        """Return a part, None when there is none."""
        return next((p for p in self.parts if p.key == (timeframe, period)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The days of one period that are wanted."""

    period: str
    first: date
    last: date


def spans(timeframe: Timeframe, first: date, last: date) -> list[Span]:
    """Return the periods from one day to another: years of daily bars, months of minutes."""
    found: list[Span] = []
    day = first
    while day <= last:
        period = f"{day:%Y-%m}" if timeframe.is_intraday else f"{day:%Y}"
        end = _period_end(timeframe, day)
        found.append(Span(period=period, first=day, last=min(end, last)))
        day = end + timedelta(days=1)
    if len(found) > PARTS_MAX:
        raise ConfigurationFault(f"{len(found)} parts from {first} to {last}; at most {PARTS_MAX}")
    return found


def _period_end(timeframe: Timeframe, day: date) -> date:
    if not timeframe.is_intraday:
        return date(day.year, 12, 31)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


class Catalogue:
    """A catalogue on disk."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self.index = index

    @staticmethod
    def open(root: Path) -> "Catalogue":
        """Return the catalogue at a place. Raises ConfigurationFault where there is none, Refused
        for another version's."""
        path = root / INDEX
        try:
            index = msgspec.json.decode(path.read_bytes(), type=Index)
        except OSError as fault:
            raise ConfigurationFault(f"{root} is no catalogue of bars: {fault}") from fault
        except msgspec.MsgspecError as fault:
            raise _unreadable(path, fault) from fault
        if index.format != FORMAT or index.version != VERSION:
            raise Refused(
                f"{path} is {index.format} version {index.version}; this program reads {FORMAT} "
                f"version {VERSION}; nothing was changed"
            )
        return Catalogue(root, index)

    @staticmethod
    def begin(root: Path, *, source: str, feed: str, adjustment: str) -> "Catalogue":
        """Return the catalogue at a place, made when there is none. Raises Refused for one of
        another source, feed or adjustment."""
        if (root / INDEX).exists():
            held = Catalogue.open(root)
            pairs = {
                "source": (held.index.source, source),
                "feed": (held.index.feed, feed),
                "adjustment": (held.index.adjustment, adjustment),
            }
            wrong = [f"{k} {old}, asked for {new}" for k, (old, new) in pairs.items() if old != new]
            if wrong:
                raise Refused(
                    f"{root} holds bars with {'; '.join(wrong)}: they do not mix; name another "
                    "folder with --catalogue"
                )
            return held
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise ConfigurationFault(f"{root} cannot be made: {fault}") from fault
        index = Index(
            format=FORMAT, version=VERSION, source=source, feed=feed, adjustment=adjustment
        )
        return Catalogue(root, index)

    def path(self, timeframe: Timeframe, period: str) -> Path:
        """Return where a part lies."""
        return self.root / timeframe.value / f"{period}.parquet"

    def missing(self, timeframe: Timeframe, span: Span, symbols: Iterable[str]) -> list[str]:
        """Return the symbols of which a span is not wholly held."""
        part = self.index.part(timeframe, span.period)
        if part is None or not self.path(timeframe, span.period).exists():
            return list(symbols)
        return [s for s in symbols if not part.covers(s, span.first, span.last)]

    def put(self, timeframe: Timeframe, span: Span, table: pa.Table, asked: Iterable[str]) -> Part:
        """Add what was asked for to a part, in place of what it held of these symbols' days."""
        path, names = self.path(timeframe, span.period), list(asked)
        part = self.index.part(timeframe, span.period)
        spans_asked = {s: (span.first, span.last) for s in names}
        known: dict[str, tuple[date, date]] = {}
        if part is not None and path.exists():
            known = dict(part.asked)
            table = pa.concat_tables([_without(pq.read_table(path), names, span), table])
            spans_asked = {s: _joined(known.get(s), spans_asked[s]) for s in names}
        table = table.sort_by([("symbol", "ascending"), (_time_column(table), "ascending")])
        _write_whole(path, table)
        days = _days(table)
        written = Part(
            timeframe=timeframe,
            period=span.period,
            sha256=file_sha256(path),
            bars=table.num_rows,
            bytes=path.stat().st_size,
            asked={**known, **spans_asked},
            bars_from=_date(days.min()) if len(days) else None,
            bars_to=_date(days.max()) if len(days) else None,
        )
        others = [p for p in self.index.parts if p.key != written.key]
        parts = sorted([*others, written], key=lambda p: (p.timeframe.value, p.period))
        self._save(msgspec.structs.replace(self.index, parts=tuple(parts)))
        return written

    def _save(self, index: Index) -> None:
        text = msgspec.json.format(msgspec.json.encode(index))
        whole = self.root / f".{INDEX}.new"
        with whole.open("wb") as stream:
            stream.write(text + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        whole.replace(self.root / INDEX)
        self.index = index


def table_of(timeframe: Timeframe, columns: Mapping[str, list[object]]) -> pa.Table:
    """Return bars as a part holds them: symbol, date or timestamp, prices, volume."""
    at = np.array(columns["at_ms"], dtype=np.int64)
    arrays = {"symbol": pa.array(columns["symbol"], pa.string())}
    if timeframe.is_intraday:
        arrays["timestamp"] = pa.array(at.astype("datetime64[ms]"), pa.timestamp("ms", "UTC"))
    else:
        days = at.astype("datetime64[ms]").astype("datetime64[D]")
        arrays["date"] = pa.array(days, pa.date32())
    for name in (*_PRICES, "volume"):
        arrays[name] = pa.array(columns[name], pa.float64())
    return pa.table(arrays)


def _without(held: pa.Table, symbols: list[str], span: Span) -> pa.Table:
    """Return what a part holds, less the days of these symbols that were asked for anew."""
    days = _days(held)
    again = np.isin(np.array(held["symbol"].to_pylist(), dtype=object), symbols)
    again &= (days >= np.datetime64(span.first)) & (days <= np.datetime64(span.last))
    return held.filter(pa.array(~again))


def _joined(old: tuple[date, date] | None, new: tuple[date, date]) -> tuple[date, date]:
    """Return the span that two cover when they touch; the new one when they do not."""
    if old is None:
        return new
    touching = old[0] <= new[1] + timedelta(days=1) and new[0] <= old[1] + timedelta(days=1)
    return (min(old[0], new[0]), max(old[1], new[1])) if touching else new


def _time_column(table: pa.Table) -> str:
    return "timestamp" if "timestamp" in table.column_names else "date"


def _days(table: pa.Table) -> "np.ndarray[tuple[int], np.dtype[np.datetime64]]":
    values = table[_time_column(table)].to_numpy()
    return np.asarray(values).astype("datetime64[D]")


def _date(day: np.datetime64) -> date:
    return date.fromisoformat(str(day))


def _write_whole(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.new")
    pq.write_table(table, whole)
    with whole.open("rb") as stream:
        os.fsync(stream.fileno())
    whole.replace(path)


def _unreadable(path: Path, fault: Exception) -> ConfigurationFault:
    return ConfigurationFault(f"{path} cannot be read: {fault}; move it away and download anew")

"""Events as the tape holds them and back, exactly: what the engine heard, it can hear again.

An event is a record of its type's name and its fields, written as `state.wire` writes the journal.
Three kinds that are mostly numbers have a form of their own: bars and signals are lists, and of a
poll only the quotes that are news are spelled out.
"""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np

from domain.calendar import Timeframe
from domain.events import BarsClosed, Event, OpinionGiven, QuotesPolled
from domain.instruments import Symbol
from domain.market import Bar, BarRow, Quote
from domain.signals import Signals
from state.wire import Codec, WireFault, codec, dataclass_codec

EVENTS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBERS = "fiub"
"""Kinds of numpy's types that have a written form."""
_ROW_ARRAYS = tuple(f.name for f in dataclasses.fields(BarRow))


class Unwritable(ValueError):
    """An event holds what has no written form: the replay ends before it."""


def microseconds(at: datetime) -> int:
    """Return an instant as whole microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def instant(since_1970_us: int) -> datetime:
    """Return the instant of `microseconds`."""
    return _EPOCH + since_1970_us * _MICROSECOND


# --- arrays --------------------------------------------------------------------------------------


def write_array(values: Any) -> Any:
    """Return an array of numbers as a list, with its type and shape unless it is float64 `[n]`.

    Raises Unwritable for anything else.
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind not in _NUMBERS:
        raise Unwritable(f"not an array of numbers: {type(values).__name__}")
    flat = [_WRITE_FLOAT(v) if isinstance(v, float) else v for v in values.ravel().tolist()]
    if values.dtype == np.float64 and values.ndim == 1:
        return flat
    return {"dtype": values.dtype.str, "shape": list(values.shape), "values": flat}


def read_array(data: Any) -> Any:
    """Return the array of `write_array`. Raises WireFault."""
    form = data if isinstance(data, dict) else {"dtype": "<f8", "values": data}
    try:
        flat = [_READ_FLOAT(v) if v is None or isinstance(v, str) else v for v in form["values"]]
        array = np.array(flat, dtype=form["dtype"])
        return array.reshape(form["shape"]) if "shape" in form else array
    except (KeyError, TypeError, ValueError) as fault:
        raise WireFault(f"not an array: {fault!r}") from fault


_WRITE_FLOAT: Callable[[float], Any] = codec(float).encode
_READ_FLOAT: Callable[[Any], float] = codec(float).decode
_ARRAY: Codec[Any] = Codec(write_array, read_array)
_ROW: Codec[BarRow] = dataclass_codec(BarRow, dict.fromkeys(_ROW_ARRAYS, _ARRAY))


def _write_signals(signals: Any) -> dict[str, Any]:
    if not isinstance(signals, Signals) or not isinstance(signals.evidence, Mapping):
        raise Unwritable(f"not Signals with evidence by name: {type(signals).__name__}")
    if not all(isinstance(name, str) for name in signals.evidence):
        raise Unwritable("evidence is named by something that is no text")
    evidence = {name: write_array(values) for name, values in signals.evidence.items()}
    return {"strength": write_array(signals.strength), "evidence": evidence}


def _read_signals(data: Any) -> Signals:
    evidence = {name: read_array(values) for name, values in data["evidence"].items()}
    return Signals(strength=read_array(data["strength"]), evidence=evidence)


def _write_rows(rows: Mapping[Timeframe, BarRow]) -> dict[str, Any]:
    return {timeframe.value: _ROW.encode(row) for timeframe, row in rows.items()}


def _read_rows(data: Any) -> dict[Timeframe, BarRow]:
    return {Timeframe(name): _ROW.decode(row) for name, row in data.items()}


def _write_late(late: tuple[tuple[Timeframe, datetime, BarRow], ...]) -> list[Any]:
    return [[t.value, microseconds(at), _ROW.encode(row)] for t, at, row in late]


def _read_late(data: Any) -> tuple[tuple[Timeframe, datetime, BarRow], ...]:
    return tuple((Timeframe(name), instant(us), _ROW.decode(row)) for name, us, row in data)


# --- history -------------------------------------------------------------------------------------


def write_bars(history: Mapping[Symbol, Any]) -> dict[str, Any]:
    """Return bars by symbol as rows of an instant and five numbers."""
    return {
        symbol: [
            [
                microseconds(b.opened_at),
                b.open_usd,
                b.high_usd,
                b.low_usd,
                b.close_usd,
                b.volume_shares,
            ]
            for b in bars
        ]
        for symbol, bars in history.items()
    }


def read_bars(data: Mapping[str, Any]) -> dict[Symbol, list[Bar]]:
    """Return the bars of `write_bars`."""
    return {Symbol(name): [_bar(Symbol(name), row) for row in rows] for name, rows in data.items()}


def _bar(symbol: Symbol, row: Any) -> Bar:
    opened_us, opened, high, low, close, volume = row
    return Bar(
        symbol=symbol,
        opened_at=instant(opened_us),
        open_usd=opened,
        high_usd=high,
        low_usd=low,
        close_usd=close,
        volume_shares=volume,
    )


# --- quotes --------------------------------------------------------------------------------------


class _QuoteMemory:
    """The last quote of each symbol that was written or read: one seen again is only named."""

    def __init__(self) -> None:
        self._known: dict[Symbol, Quote] = {}

    def forget(self) -> None:
        self._known.clear()

    def write(self, quotes: Mapping[Symbol, Quote]) -> list[Any]:
        written: list[Any] = []
        for symbol, quote in quotes.items():
            if self._known.get(symbol) == quote:
                written.append(symbol)
                continue
            self._known[symbol] = quote
            row = [symbol, microseconds(quote.quoted_at), quote.bid_usd, quote.ask_usd]
            written.append([*row, quote.bid_size_shares, quote.ask_size_shares])
        return written

    def read(self, data: Any) -> dict[Symbol, Quote]:
        return dict(self._quote(item) for item in data)

    def _quote(self, item: Any) -> tuple[Symbol, Quote]:
        if isinstance(item, str):
            return Symbol(item), self._known[Symbol(item)]
        symbol, quoted_us, bid_usd, ask_usd, bid_size_shares, ask_size_shares = item
        quote = Quote(
            symbol=Symbol(symbol),
            quoted_at=instant(quoted_us),
            bid_usd=bid_usd,
            ask_usd=ask_usd,
            bid_size_shares=bid_size_shares,
            ask_size_shares=ask_size_shares,
        )
        self._known[quote.symbol] = quote
        return quote.symbol, quote


class EventCodec:
    """Writes the events of one run in order, or reads them in order."""

    def __init__(self) -> None:
        self._quotes = _QuoteMemory()
        given: Mapping[type[Any], Mapping[str, Codec[Any]]] = {
            QuotesPolled: {"quotes": Codec(self._quotes.write, self._quotes.read)},
            OpinionGiven: {"signals": Codec(_write_signals, _read_signals)},
            BarsClosed: {
                "rows": Codec(_write_rows, _read_rows),
                "late": Codec(_write_late, _read_late),
            },
        }
        self._codecs: dict[str, Codec[Any]] = {
            name: dataclass_codec(kind, given.get(kind, {})) for name, kind in EVENTS.items()
        }

    def begin_part(self) -> None:
        """Spell everything out again: what came before may be dropped."""
        self._quotes.forget()

    def encode(self, event: Event) -> tuple[str, dict[str, Any]]:
        """Return the kind and the fields of an event. Raises Unwritable."""
        name = type(event).__name__
        return name, self._codecs[name].encode(event)

    def decode(self, kind: str, fields: Mapping[str, Any]) -> Event:
        """Return the event in a record. Raises WireFault."""
        if kind not in self._codecs:
            raise WireFault(f"not an event: {kind!r}")
        try:
            event: Event = self._codecs[kind].decode(dict(fields))
        except WireFault as fault:
            raise fault.under(kind) from fault
        except (KeyError, TypeError, ValueError) as fault:
            raise WireFault(f"{kind}: {fault!r}") from fault
        return event

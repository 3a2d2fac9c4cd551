"""Every event comes back from the tape exactly as it was heard, in any order and mixture."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daemon.tape_codec import EVENTS, EventCodec, instant, microseconds, read_array, write_array
from domain.calendar import Session
from domain.corporate import ActionKind, CorporateAction
from domain.events import BarsClosed, OpinionGiven, QuotesPolled, SessionClosed, SessionOpened
from domain.instruments import Symbol
from domain.market import BarRow, Quote
from domain.orders import Fill
from domain.signals import Signals
from state.memory_filesystem import MemoryFileSystem
from state.tape import TapeReader, TapeWriter
from state.wire import WireFault
from tests.support.snapshots import (
    a_few,
    counts,
    days,
    fills,
    floats,
    instants,
    names,
    positive,
    some,
    symbols,
    texts,
    timeframes,
)

TAPE = Path("/tape")
ARRAYS = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4),
)
COLUMNS = hnp.arrays(np.float64, st.integers(0, 4))
ROWS = st.builds(BarRow, open=COLUMNS, high=COLUMNS, low=COLUMNS, close=COLUMNS, volume=COLUMNS)
PRICES = st.floats(0.01, 1e6)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    low, high = sorted((draw(PRICES), draw(PRICES)))
    return Quote(
        symbol=draw(symbols),
        bid_usd=low,
        ask_usd=high,
        quoted_at=draw(instants),
        bid_size_shares=draw(st.floats(0, 1e9)),
        ask_size_shares=draw(st.floats(0, 1e9)),
    )


QUOTED = st.lists(quotes(), max_size=3).map(lambda found: {q.symbol: q for q in found})
SIGNALS = st.builds(Signals, strength=ARRAYS, evidence=st.dictionaries(names, ARRAYS, max_size=2))
SESSIONS = st.builds(
    lambda at, hours: Session(day=at.date(), opens_at=at, closes_at=at + timedelta(hours=hours)),
    instants,
    st.integers(1, 8),
)
LATE = st.lists(st.tuples(timeframes, instants, ROWS), max_size=2).map(tuple)
WITH_ARRAYS: dict[type[Any], st.SearchStrategy[Any]] = {
    BarsClosed: st.builds(
        BarsClosed,
        at=instants,
        slot_at=instants,
        rows=st.dictionaries(timeframes, ROWS, max_size=2),
        late=LATE,
    ),
    OpinionGiven: st.builds(
        OpinionGiven, at=instants, strategy=names, slot_at=instants, signals=SIGNALS
    ),
    QuotesPolled: st.builds(
        QuotesPolled,
        at=instants,
        quotes=QUOTED,
        invalid=st.dictionaries(names, st.integers(0, 99), max_size=2),
    ),
    SessionOpened: st.builds(SessionOpened, at=instants, session=SESSIONS),
    SessionClosed: st.builds(SessionClosed, at=instants, session=SESSIONS),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Draw a value of a type by what its annotation says."""
    known = WITH_ARRAYS.get(kind, PLAIN.get(kind))
    if known is not None:
        return known
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*(any_of(part) for part in arguments))
    if origin is tuple:
        return a_few(any_of(arguments[0]))
    if origin is Mapping:
        return some(any_of(arguments[0]), any_of(arguments[1]))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    hints = get_type_hints(kind)
    return st.builds(kind, **{f.name: any_of(hints[f.name]) for f in dataclasses.fields(kind)})


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: counts,
    float: floats,
    bool: st.booleans(),
    NoneType: st.none(),
    Decimal: positive,
    Symbol: symbols,
    datetime: instants,
    date: days,
    Fill: fills,
    CorporateAction: st.builds(
        CorporateAction,
        action_id=texts,
        kind=st.sampled_from(ActionKind),
        symbol=symbols,
        ex_day=days,
        pay_day=days,
        ratio=positive,
        cash_usd=positive,
        new_symbol=symbols,
        detail=texts,
    ),
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last bit; arrays have no such ==."""
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        pairs = zip(one, other, strict=True)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if dataclasses.is_dataclass(one) and type(one) is type(other):
        fields = dataclasses.fields(one)
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields)
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize("name", EVENTS)
@settings(max_examples=25)
@given(data=st.data())
def test_every_event_comes_back_exactly(name: str, data: st.DataObject) -> None:
    event = data.draw(any_of(EVENTS[name]))
    disk = MemoryFileSystem()
    writer = TapeWriter(disk, TAPE, parts_max=2)
    writer.append(*EventCodec().encode(event))
    (record,) = TapeReader(disk, TAPE, 1)
    assert same(EventCodec().decode(record.kind, record.fields), event)


@settings(max_examples=40)
@given(st.lists(QUOTED, min_size=2, max_size=8), st.integers(1, 7))
def test_polls_come_back_though_only_news_is_spelled_out(
    polls: list[dict[Symbol, Quote]], part_after: int
) -> None:
    writing, reading = EventCodec(), EventCodec()
    at = datetime(2026, 3, 2, 15, tzinfo=UTC)
    for number, quoted in enumerate([*polls, *polls]):
        if number == part_after:
            writing.begin_part()
        event = QuotesPolled(at=at, quotes=quoted)
        assert same(reading.decode(*writing.encode(event)), event)


@given(QUOTED)
def test_a_quote_seen_again_is_only_named(quoted: dict[Symbol, Quote]) -> None:
    codec = EventCodec()
    event = QuotesPolled(at=datetime(2026, 3, 2, 15, tzinfo=UTC), quotes=quoted)
    codec.encode(event)
    assert codec.encode(event)[1]["quotes"] == list(quoted)


@given(QUOTED)
def test_a_part_is_read_without_the_ones_before_it(quoted: dict[Symbol, Quote]) -> None:
    codec = EventCodec()
    event = QuotesPolled(at=datetime(2026, 3, 2, 15, tzinfo=UTC), quotes=quoted)
    codec.encode(event)
    codec.begin_part()
    assert same(EventCodec().decode(*codec.encode(event)), event)


@given(ARRAYS)
def test_arrays_come_back_with_type_and_shape(array: Any) -> None:
    assert same(read_array(write_array(array)), array)


@given(instants)
def test_instants_come_back_to_the_microsecond(at: datetime) -> None:
    assert instant(microseconds(at)) == at


@pytest.mark.parametrize("signals", [None, 0.5, Signals(strength="up")])  # type: ignore[arg-type]
def test_what_is_no_answer_has_no_written_form(signals: Any) -> None:
    at = datetime(2026, 3, 2, 15, tzinfo=UTC)
    with pytest.raises((TypeError, ValueError)):
        EventCodec().encode(OpinionGiven(at=at, strategy="s", slot_at=at, signals=signals))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("Unheard", {}), ("DecisionDue", {}), ("QuotesPolled", {"at": "2026-03-02T15:00:00Z"})],
)
def test_what_is_no_event_is_a_fault(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(WireFault):
        EventCodec().decode(kind, fields)

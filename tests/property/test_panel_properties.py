"""Laws of panels, whatever came in whatever order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendar import Timeframe
from domain.market import Bars, Floats
from domain.panel import Panel
from tests.support.markets import NAN, a_row, slot_at, symbols_of

COLUMNS = 3
# Few prices, so that a late bar may well repeat the close that stood in for it.
prices = st.sampled_from([NAN, NAN, 1.0, 2.0, 3.0])
rows_of_closes = st.lists(
    st.lists(prices, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=25
)
flags = st.lists(st.booleans(), min_size=COLUMNS, max_size=COLUMNS)


def fresh(capacity: int, stale: int) -> Panel:
    return Panel(symbols_of(COLUMNS), Timeframe.FIFTEEN_MINUTES, capacity, stale_bars_max=stale)


def same(one: Bars, other: Bars) -> bool:
    names = ("open", "high", "low", "close", "volume", "traded")
    return all(
        np.array_equal(
            getattr(one, name).astype(float), getattr(other, name).astype(float), equal_nan=True
        )
        for name in names
    )


def reference(rows: list[list[float]], stale: int, starts: list[bool]) -> Floats:
    """Return the closes as the contract has them, one number at a time."""
    closes = np.full((len(rows), COLUMNS), NAN)
    for column in range(COLUMNS):
        empty, last = 0, NAN
        for index, row in enumerate(rows):
            empty = 0 if starts[index] else empty
            if np.isnan(row[column]):
                empty += 1
                last = NAN if empty > stale else last
            else:
                empty, last = 0, row[column]
            closes[index, column] = last
    return closes


@given(rows=rows_of_closes, stale=st.integers(0, 4), data=st.data())
def test_a_panel_is_what_its_contract_says_number_by_number(
    rows: list[list[float]], stale: int, data: st.DataObject
) -> None:
    starts = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    panel = fresh(30, stale)
    for number, closes in enumerate(rows):
        panel.append(slot_at(number), a_row(*closes), starts[number])

    shown = panel.window(len(rows))
    expected = reference(rows, stale, starts)
    assert np.array_equal(shown.close, expected, equal_nan=True)
    assert np.array_equal(shown.traded, ~np.isnan(np.array(rows)))
    assert np.array_equal(np.isnan(shown.volume), np.isnan(expected))


@given(rows=rows_of_closes, stale=st.integers(0, 3), capacity=st.integers(1, 9))
def test_a_small_buffer_shows_what_a_large_one_shows(
    rows: list[list[float]], stale: int, capacity: int
) -> None:
    small, large = fresh(capacity, stale), fresh(40, stale)
    for number, closes in enumerate(rows):
        small.append(slot_at(number), a_row(*closes))
        large.append(slot_at(number), a_row(*closes))

        assert same(small.window(capacity), large.window(capacity))


@settings(max_examples=300)
@given(rows=rows_of_closes, stale=st.integers(0, 3), capacity=st.integers(3, 9), data=st.data())
def test_bars_that_came_late_leave_the_panel_as_if_they_had_come_in_time(
    rows: list[list[float]], stale: int, capacity: int, data: st.DataObject
) -> None:
    starts = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    halts = data.draw(st.lists(flags, min_size=len(rows), max_size=len(rows)))
    lags = data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    whole, late = fresh(capacity, stale), fresh(capacity, stale)
    for number, closes in enumerate(rows):
        halted = np.array(halts[number])
        in_time = np.where(data.draw(flags), closes, NAN)
        whole.append(slot_at(number), a_row(*closes), starts[number], halted=halted)
        late.append(slot_at(number), a_row(*in_time), starts[number], halted=halted)
        for earlier in range(max(0, number - 2), number + 1):
            if earlier + lags[earlier] == number or number == len(rows) - 1:
                late.amend(slot_at(earlier), a_row(*rows[earlier]))

    assert same(late.window(capacity), whole.window(capacity))


@given(rows=rows_of_closes, count=st.integers(1, 10), lookback=st.integers(1, 6))
def test_every_stacked_instant_is_the_window_of_its_time(
    rows: list[list[float]], count: int, lookback: int
) -> None:
    count = min(count, len(rows))
    first = len(rows) - count
    panel, windows = fresh(30, 2), []
    for number, closes in enumerate(rows):
        panel.append(slot_at(number), a_row(*closes))
        windows.append(panel.closes(lookback).copy())

    stacked = panel.stack(slot_at(first), count, lookback).close
    assert np.array_equal(stacked, np.hstack(windows[first:]), equal_nan=True)

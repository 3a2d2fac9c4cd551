"""Bars panels: what a slot without a trade is, what late bars change, what a window is."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from domain.calendar import Session, Timeframe
from domain.instruments import Symbol
from domain.market import Bars
from domain.panel import Panel, bar_row, empty_row, slot_of
from tests.support.markets import NAN, a_bar, a_panel, a_row, slot_at, symbols_of, walk
from tests.support.sessions import a_session, at

QUARTER = Timeframe.FIFTEEN_MINUTES


def closes(panel: Panel, lookback: int, column: int = 0) -> list[float]:
    return panel.window(lookback).close[:, column].tolist()


def same(left: list[float], right: list[float]) -> bool:
    return np.array_equal(left, right, equal_nan=True)


# --- appending -----------------------------------------------------------------------------------


def test_a_window_shows_the_last_slots_oldest_first() -> None:
    assert closes(a_panel([1.0], [2.0], [3.0]), 2) == [2.0, 3.0]


def test_a_window_longer_than_the_history_is_padded_with_nan_in_front() -> None:
    assert same(closes(a_panel([1.0], [2.0]), 4), [NAN, NAN, 1.0, 2.0])


def test_a_slot_without_trades_stands_still_at_the_previous_close() -> None:
    panel = a_panel([10.0, 20.0], [NAN, 21.0])
    bars = panel.window(1)
    still = [float(field[0, 0]) for field in (bars.open, bars.high, bars.low, bars.close)]

    assert still == [10.0, 10.0, 10.0, 10.0]


def test_a_slot_without_trades_has_no_volume() -> None:
    assert a_panel([10.0], [NAN]).window(1).volume[0, 0] == 0.0


def test_a_slot_without_trades_says_that_it_did_not_trade() -> None:
    assert a_panel([10.0, 20.0], [NAN, 21.0]).window(2).traded.tolist() == [
        [True, True],
        [False, True],
    ]


def test_a_column_is_unknown_before_its_first_bar_ever() -> None:
    bars = a_panel([NAN, 1.0], [5.0, 1.0]).window(2)
    first = [float(f[0, 0]) for f in (bars.open, bars.high, bars.low, bars.close, bars.volume)]

    assert same(first, [NAN] * 5)


def test_a_carried_close_becomes_unknown_after_too_many_empty_slots() -> None:
    panel = a_panel([10.0], [NAN], [NAN], [NAN], stale_bars_max=2)

    assert same(closes(panel, 4), [10.0, 10.0, 10.0, NAN])


def test_a_stale_column_is_known_again_with_its_next_bar() -> None:
    panel = a_panel([10.0], [NAN], [NAN], [11.0], [NAN], stale_bars_max=1)

    assert same(closes(panel, 5), [10.0, 10.0, NAN, 11.0, 11.0])


def test_a_bar_ends_the_count_of_empty_slots() -> None:
    panel = a_panel([10.0], [NAN], [11.0], [NAN], stale_bars_max=1)

    assert closes(panel, 4) == [10.0, 10.0, 11.0, 11.0]


def test_a_symbol_not_traded_yet_today_carries_yesterdays_close() -> None:
    panel = a_panel([10.0])
    panel.append(slot_at(100), a_row(NAN), True)

    assert closes(panel, 2) == [10.0, 10.0]


def test_a_new_session_counts_empty_slots_anew() -> None:
    panel = a_panel([10.0], [NAN], stale_bars_max=1)
    panel.append(slot_at(100), a_row(NAN), True)

    assert closes(panel, 1) == [10.0]


def test_a_daily_panel_goes_on_counting_from_session_to_session() -> None:
    panel = a_panel([10.0], stale_bars_max=1, timeframe=Timeframe.DAY)
    panel.append(slot_at(100), a_row(NAN), True)
    panel.append(slot_at(200), a_row(NAN), True)

    assert same(closes(panel, 2), [10.0, NAN])


def test_a_halted_column_is_unknown_even_with_a_bar() -> None:
    panel = a_panel([10.0, 20.0])
    panel.append(slot_at(1), a_row(11.0, 21.0), halted=np.array([True, False]))

    assert same(panel.window(1).close[0].tolist(), [NAN, 21.0])


def test_after_a_halt_a_column_stays_unknown_until_it_trades() -> None:
    panel = a_panel([10.0])
    panel.append(slot_at(1), a_row(NAN), halted=np.array([True]))
    panel.append(slot_at(2), a_row(NAN))
    panel.append(slot_at(3), a_row(12.0))

    assert same(closes(panel, 4), [10.0, NAN, NAN, 12.0])


def test_a_bar_with_one_field_missing_is_no_bar() -> None:
    panel = a_panel([10.0])
    row = a_row(11.0)
    row.low[0] = NAN
    panel.append(slot_at(1), row)

    assert closes(panel, 1) == [10.0]


def test_a_slot_that_comes_twice_is_ignored_and_counted() -> None:
    panel = a_panel([1.0], [2.0])
    panel.append(slot_at(1), a_row(99.0))
    panel.append(slot_at(0), a_row(99.0))

    assert (closes(panel, 2), panel.duplicates) == ([1.0, 2.0], 2)


def test_a_slot_out_of_order_is_refused() -> None:
    panel = a_panel([1.0], [2.0])

    with pytest.raises(ValueError, match="in order"):
        panel.append(slot_at(0) + timedelta(minutes=1), a_row(9.0))


def test_the_panel_goes_on_when_its_buffer_is_full() -> None:
    panel = a_panel(*[[float(n)] for n in range(1, 101)], capacity_slots=7)

    assert (closes(panel, 7), len(panel)) == ([94.0, 95.0, 96.0, 97.0, 98.0, 99.0, 100.0], 7)


def test_carrying_goes_on_across_the_end_of_the_buffer() -> None:
    for count in range(1, 12):
        panel = a_panel(*[[5.0]] * count, [NAN], [NAN], capacity_slots=3, stale_bars_max=1)

        assert same(closes(panel, 3)[1:], [5.0, NAN])


def test_the_last_slot_is_known() -> None:
    assert a_panel([1.0], [2.0]).last_slot_at == slot_at(1)


def test_an_empty_panel_has_no_last_slot() -> None:
    assert Panel(symbols_of(1), QUARTER, 3).last_slot_at is None


# --- windows -------------------------------------------------------------------------------------


def fields(bars: Bars) -> list[np.ndarray]:
    return [bars.open, bars.high, bars.low, bars.close, bars.volume, bars.traded]


def test_a_window_cannot_be_written_to() -> None:
    assert not any(field.flags.writeable for field in fields(a_panel([1.0]).window(2)))


def test_a_window_is_contiguous_and_shares_the_panels_memory() -> None:
    panel = a_panel([1.0, 2.0], [3.0, 4.0])
    one, other = panel.window(2), panel.window(3)

    assert all(field.flags.c_contiguous for field in fields(one))
    assert np.shares_memory(one.close, other.close)


def test_a_window_given_out_does_not_change_by_appending() -> None:
    panel = a_panel([1.0], [2.0], [3.0], capacity_slots=3)
    given = panel.window(3)
    for number in range(3, 20):
        panel.append(slot_at(number), a_row(99.0))

    assert given.close[:, 0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("lookback", [0, -1, 9])
def test_a_window_beyond_the_capacity_is_refused(lookback: int) -> None:
    with pytest.raises(ValueError, match="1…8"):
        a_panel([1.0]).window(lookback)


def test_closes_are_the_windows_closes() -> None:
    panel = a_panel([1.0], [2.0], [3.0])

    assert panel.closes(2).tolist() == panel.window(2).close.tolist()


# --- late bars -----------------------------------------------------------------------------------


def test_a_late_bar_shows_in_the_next_window() -> None:
    panel = a_panel([10.0], [NAN])
    panel.amend(slot_at(1), a_row(11.0))

    assert closes(panel, 2) == [10.0, 11.0]


def test_a_late_bar_leaves_windows_given_out_as_they_were() -> None:
    panel = a_panel([10.0], [NAN])
    given = panel.window(2)
    panel.amend(slot_at(1), a_row(11.0))

    assert given.close[:, 0].tolist() == [10.0, 10.0]


def test_what_was_carried_from_a_late_bars_slot_is_carried_from_the_bar() -> None:
    panel = a_panel([10.0], [NAN], [NAN], [13.0], [NAN])
    panel.amend(slot_at(1), a_row(11.0))

    assert closes(panel, 5) == [10.0, 11.0, 11.0, 13.0, 13.0]


def test_a_late_bar_brings_a_stale_column_back() -> None:
    panel = a_panel([10.0], [NAN], [NAN], stale_bars_max=1)
    panel.amend(slot_at(1), a_row(11.0))

    assert closes(panel, 3) == [10.0, 11.0, 11.0]


def test_a_late_bar_that_repeats_the_price_still_ends_the_count_of_empty_slots() -> None:
    panel = a_panel([10.0], [NAN], [NAN], [NAN], stale_bars_max=3)
    panel.amend(slot_at(1), a_row(10.0))
    panel.append(slot_at(4), a_row(NAN))

    assert closes(panel, 1) == [10.0]


def test_a_session_start_is_remembered_across_the_end_of_the_buffer() -> None:
    panel = a_panel([10.0], [NAN], capacity_slots=3, stale_bars_max=1)
    panel.append(slot_at(100), a_row(NAN), True)
    panel.append(slot_at(101), a_row(NAN))
    panel.amend(slot_at(0), a_row(11.0))

    assert same(closes(panel, 3), [11.0, 11.0, NAN])


def test_a_late_bar_touches_no_other_column() -> None:
    panel = a_panel([10.0, 20.0], [NAN, NAN], [NAN, NAN], stale_bars_max=1)
    panel.amend(slot_at(1), a_row(11.0, NAN))

    assert same(closes(panel, 3, column=1), [20.0, 20.0, NAN])


def test_a_late_bar_of_a_halted_slot_stays_out() -> None:
    panel = a_panel([10.0])
    panel.append(slot_at(1), a_row(NAN), halted=np.array([True]))
    panel.amend(slot_at(1), a_row(11.0))

    assert same(closes(panel, 2), [10.0, NAN])


def test_a_late_bar_in_the_oldest_row_held_keeps_the_other_columns() -> None:
    panel = a_panel([1.0, 2.0], [NAN, NAN], [NAN, NAN], [5.0, 6.0], capacity_slots=2)
    panel.append(slot_at(4), a_row(7.0, 8.0))
    panel.amend(panel.slots[0], a_row(3.0, NAN))

    assert panel.slots[0] == slot_at(2)
    assert panel.stack(slot_at(3), 1, 2).close.tolist() == [[3.0, 2.0], [5.0, 6.0]]


def test_a_late_row_for_a_slot_that_is_not_held_is_counted() -> None:
    panel = a_panel([1.0], [2.0])
    panel.amend(slot_at(0) - timedelta(days=1), a_row(9.0))

    assert panel.late_ignored == 1


def test_a_late_row_for_a_slot_to_come_is_refused() -> None:
    with pytest.raises(ValueError, match="not appended yet"):
        a_panel([1.0]).amend(slot_at(1), a_row(9.0))


def test_a_late_row_without_bars_changes_nothing() -> None:
    panel = a_panel([10.0], [NAN])
    panel.amend(slot_at(1), empty_row(1))

    assert panel.window(1).traded.tolist() == [[False]]


# --- stacking ------------------------------------------------------------------------------------


def walked_panel(rows: int, columns: int, capacity: int) -> Panel:
    return a_panel(*walk(rows, columns).tolist(), capacity_slots=capacity)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_stacked_instants_are_the_windows_side_by_side(columns: int) -> None:
    panel, lookback = walked_panel(12, columns, capacity=20), 4
    stacked = panel.stack(slot_at(5), 6, lookback)
    for instant in range(6):
        then = walk(12, columns)[: 5 + instant + 1][-lookback:]
        part = stacked.close[:, instant * columns : (instant + 1) * columns]

        assert np.array_equal(part, then)


def test_stacked_instants_share_the_panels_memory() -> None:
    panel = walked_panel(12, 3, capacity=20)

    assert np.shares_memory(panel.stack(slot_at(5), 6, 4).close, panel.window(12).close)


def test_stacked_bars_cannot_be_written_to() -> None:
    stacked = walked_panel(12, 3, capacity=20).stack(slot_at(5), 6, 4)

    assert not any(field.flags.writeable for field in fields(stacked))


def test_the_first_instants_are_padded_as_their_windows_were() -> None:
    stacked = a_panel([1.0], [2.0]).stack(slot_at(0), 2, 2).close

    assert np.array_equal(stacked, [[NAN, 1.0], [1.0, 2.0]], equal_nan=True)


@pytest.mark.parametrize(("first", "count"), [(50, 1), (10, 3), (5, 0)])
def test_instants_that_are_not_held_cannot_be_stacked(first: int, count: int) -> None:
    with pytest.raises(LookupError, match="not held"):
        walked_panel(12, 2, capacity=20).stack(slot_at(first), count, 4)


def test_instants_whose_look_back_is_no_longer_held_cannot_be_stacked() -> None:
    panel = walked_panel(9, 2, capacity=4)

    with pytest.raises(LookupError, match="not held"):
        panel.stack(panel.slots[0], 1, 4)


# --- rows and slots ------------------------------------------------------------------------------


def test_a_row_has_a_column_for_every_symbol() -> None:
    row = bar_row(
        (Symbol("A"), Symbol("B")), {Symbol("B"): a_bar("B", at("2026-06-01T13:30"), 7.0)}
    )

    assert same(row.close.tolist(), [NAN, 7.0])


def slots_of(timeframe: Timeframe, *days: str) -> list[datetime]:
    return [slot for day in days for slot in a_session(day).slots(timeframe)]


@pytest.mark.parametrize(
    ("timeframe", "opened", "slot"),
    [
        (Timeframe.FIFTEEN_MINUTES, "2026-06-01T13:30", "2026-06-01T13:45"),
        (Timeframe.FIFTEEN_MINUTES, "2026-06-01T19:45", "2026-06-01T20:00"),
        (Timeframe.FIFTEEN_MINUTES, "2026-06-01T13:15", None),
        (Timeframe.FIFTEEN_MINUTES, "2026-06-01T20:00", None),
        (Timeframe.FIFTEEN_MINUTES, "2026-06-02T19:45", "2026-06-02T20:00"),
        (Timeframe.HOUR, "2026-06-01T13:30", "2026-06-01T14:30"),
        (Timeframe.HOUR, "2026-06-01T19:30", "2026-06-01T20:00"),
        (Timeframe.HOUR, "2026-06-01T14:00", "2026-06-01T15:30"),
        (Timeframe.HOUR, "2026-06-01T12:00", None),
        (Timeframe.DAY, "2026-06-02T04:00", "2026-06-02T20:00"),
        (Timeframe.DAY, "2026-06-02T13:30", "2026-06-02T20:00"),
        (Timeframe.DAY, "2026-05-31T04:00", None),
        (Timeframe.DAY, "2026-06-03T04:00", None),
    ],
)
def test_a_bar_belongs_to_the_first_slot_at_which_it_was_complete(
    timeframe: Timeframe, opened: str, slot: str | None
) -> None:
    slots = slots_of(timeframe, "2026-06-01", "2026-06-02")

    assert slot_of(at(opened), timeframe, slots) == (at(slot) if slot else None)


# --- warm-up -------------------------------------------------------------------------------------


def test_history_is_loaded_into_its_slots() -> None:
    slots = slots_of(QUARTER, "2026-06-01")
    history = {Symbol("S1"): [a_bar("S1", slot - QUARTER.length, 5.0) for slot in slots[1:]]}
    panel = Panel(symbols_of(2), QUARTER, 50)
    panel.load(history, slots)

    assert same(panel.window(26).close[:2, 1].tolist(), [NAN, 5.0])
    assert len(panel) == 26


def test_bars_of_foreign_symbols_are_left_out() -> None:
    slots = slots_of(QUARTER, "2026-06-01")
    panel = Panel(symbols_of(1), QUARTER, 50)
    panel.load({Symbol("ELSE"): [a_bar("ELSE", slots[0], 5.0)]}, slots)

    assert np.isnan(panel.window(26).close).all()


def test_a_loaded_session_counts_empty_slots_anew() -> None:
    slots = slots_of(Timeframe.HOUR, "2026-06-01", "2026-06-02")
    panel = Panel(symbols_of(1), Timeframe.HOUR, 50, stale_bars_max=7)
    panel.load({Symbol("S0"): [a_bar("S0", slots[0] - timedelta(hours=1), 5.0)]}, slots)

    assert panel.window(14).close[:, 0].tolist() == [5.0] * 14


def test_slots_to_load_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="in order"):
        Panel(symbols_of(1), QUARTER, 9).load({}, [slot_at(1), slot_at(0)])


def test_a_half_days_last_bar_is_loaded() -> None:
    opens_at = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
    half = Session(
        day=opens_at.date(), opens_at=opens_at, closes_at=opens_at + timedelta(hours=3.5)
    )
    slots = half.slots(Timeframe.HOUR)

    assert slot_of(slots[-1] - timedelta(minutes=30), Timeframe.HOUR, slots) == slots[-1]


def test_a_panel_without_symbols_is_refused() -> None:
    with pytest.raises(ValueError, match="needs symbols"):
        Panel((), QUARTER, 3)

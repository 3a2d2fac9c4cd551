"""Slots that never came: the panel keeps its grid, and late bars find their place."""

from datetime import timedelta

import numpy as np

from domain.events import BarsClosed, QuotesPolled
from tests.support.engines import FIFTEEN, MONDAY, TUESDAY, a_desk, a_row, bars_closed, ready

SLOTS = MONDAY.slots(FIFTEEN)


def test_a_slot_whose_bars_never_came_stays_in_the_window_as_a_quiet_one() -> None:
    # A window once closed up over a failed fetch: fifteen bars spanned an hour more than they said.
    desk = ready(a_desk(one=(0.0, 0.0, 0.0)))
    panels = desk.engine.core.panels
    desk.post(bars_closed(SLOTS[0], FIFTEEN))
    desk.post(bars_closed(SLOTS[3], FIFTEEN))

    assert panels.panels[FIFTEEN].slots[-4:] == tuple(SLOTS[:4])
    assert not panels.window(FIFTEEN, 2).traded[0].any()


def test_bars_that_come_late_for_a_missed_slot_are_put_into_it() -> None:
    desk = ready(a_desk(one=(0.0, 0.0, 0.0)))
    desk.post(bars_closed(SLOTS[0], FIFTEEN))
    desk.post(
        BarsClosed(
            at=SLOTS[2] + timedelta(seconds=1),
            slot_at=SLOTS[2],
            rows={FIFTEEN: a_row(103.0)},
            late=((FIFTEEN, SLOTS[1], a_row(101.0)),),
        )
    )

    closes = desk.engine.core.panels.window(FIFTEEN, 3).close
    np.testing.assert_array_equal(closes[:, 0], [100.0, 101.0, 103.0])


def test_the_night_between_two_sessions_is_no_gap() -> None:
    desk = ready(a_desk(one=(0.0, 0.0, 0.0)))
    desk.post(bars_closed(SLOTS[-1], FIFTEEN))
    desk.close()
    desk.open(TUESDAY)
    first = TUESDAY.slots(FIFTEEN)[0]
    desk.post(bars_closed(first, FIFTEEN))

    assert desk.engine.core.panels.panels[FIFTEEN].slots[-2:] == (SLOTS[-1], first)


def test_what_the_border_threw_away_is_counted_by_reason() -> None:
    desk = ready(a_desk(one=(0.0, 0.0, 0.0)))
    desk.post(QuotesPolled(at=desk.engine.core.now, quotes={}, invalid={"crossed": 2, "zero": 1}))

    counters = desk.memory.counters
    assert (counters["quotes_invalid.crossed"], counters["quotes_invalid.zero"]) == (2, 1)

"""Two real sessions of April 2018, replayed minute by minute, and one in lockstep for every day."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Run, Site, site, until
from tests.support.tapes import real_file

pytestmark = [pytest.mark.acceptance, pytest.mark.real_data]

PROVOKING = {
    # Limits that wait are canceled at the next slot, fill in parts, and live over the night.
    "ORDER_STYLE": "limit",
    "TIME_IN_FORCE": "gtc",
    "SHUTDOWN_ORDERS": "leave",
    "DAILY_TURNOVER_MAX": "1000%",
    "ORDERS_PER_DAY_MAX": "100000",
    "ORDERS_PER_MINUTE_MAX": "1000",
}
OPEN = {"new", "accepted", "partially_filled", "pending_cancel"}
MISSED_SHARE_MAX = 0.01


def provoked(folder: Path, **settings: str) -> Any:
    return site(folder, **PROVOKING, **settings)


def has_traded(report: dict[str, Any]) -> None:
    assert report["book_matches_venue"] is True, report["book_mismatch"]
    assert report["fills"] >= 200
    assert report["partial_fills"] >= 1
    assert report["cancels"] >= 1
    assert report["orders"]["canceled"] >= 1
    assert report["trading_state"] == "ACTIVE"


def test_a_real_session_in_lockstep_misses_no_slot_and_ends_with_the_venues_book(
    tmp_path: Path,
) -> None:
    market = real_file("minute.parquet")
    with provoked(tmp_path, BAR_TIMEFRAME="5Min", POLL_SECONDS="30") as place:
        run = place.daemon("--market", str(market), "--lockstep", "--sessions", "1", "--json")
        assert run.await_end(110) == 0, run.last_words()
        report = run.report()
    assert (report["sessions"], report["slots_missed"]) == (1, 0)
    assert report["symbols"] >= 50
    has_traded(report)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with provoked(tmp_path_factory.mktemp("real"), BAR_TIMEFRAME="1Min") as place:
        yield place


@pytest.fixture(scope="module")
def over_night(place: Site) -> list[dict[str, Any]]:
    """The orders that worked when the first of two sessions at 600× had closed, as they stood a
    while into the second."""
    market = real_file("minute.parquet")
    run = place.daemon(
        *("--venue", "embedded", "--market", str(market), "--speed", "600"),
        *("--sessions", "2", "--json"),
    )
    run.await_line('"event":"session_closed"', 90)
    left = place.venue("/v2/orders?status=open")
    run.await_line('"event":"session_opened"', 20, count=2)
    run.await_line('"event":"decision"', 20)
    decided = len(run.events("decision"))
    assert until(lambda: len(run.events("decision")) > decided + 5, 20)
    today = place.venue("/v2/clock")["timestamp"][:10]
    assert run.events("session_opened")[1]["day"] == today
    return [{**place.venue(f"/v2/orders/{order['id']}"), "seen_on": today} for order in left]


@pytest.fixture(scope="module")
def run(place: Site, over_night: object) -> Run:
    run = place.started[0]
    assert run.await_end(90) == 0, run.last_words()
    return run


@pytest.mark.long
@pytest.mark.timeout(240)
def test_two_real_sessions_at_600_times_miss_hardly_a_slot(run: Run) -> None:
    report = run.report()
    assert report["sessions"] == 2
    slots = report["slots_decided"] + report["slots_missed"]
    assert slots >= 750
    assert report["slots_missed"] <= MISSED_SHARE_MAX * slots


@pytest.mark.long
def test_two_real_sessions_end_with_the_venues_book_after_all_kinds_of_orders(run: Run) -> None:
    has_traded(run.report())


@pytest.mark.long
def test_an_order_good_till_canceled_lives_over_the_night(
    over_night: list[dict[str, Any]],
) -> None:
    lived = [
        order
        for order in over_night
        if order["time_in_force"] == "gtc"
        and order["submitted_at"][:10] < order["seen_on"]
        # It still works the next day, or ended on that day and not before.
        and (order["status"] in OPEN or order["updated_at"][:10] == order["seen_on"])
    ]
    assert lived, over_night

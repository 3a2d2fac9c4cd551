"""Stopping in an orderly way, going on where it was left, and being forced."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from domain.orders import OrderStatus
from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

PACE = ("--demo", "--speed", "300")
FILL = '"event":"fill"'
FINISHED = {status.value for status in OrderStatus if status.is_terminal}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Limit orders that wait: something works when the stop comes.
    with site(
        tmp_path_factory.mktemp("stopping"), ORDER_STYLE="limit", TIME_IN_FORCE="gtc"
    ) as place:
        yield place


@pytest.fixture(scope="module")
def stopped(place: Site) -> Run:
    """A daemon that traded and was told to stop by SIGTERM, with orders working."""
    run = place.daemon(*PACE, "--json")
    run.await_line(FILL, count=5)
    assert until(lambda: place.venue("/v2/orders?status=open"), 20), run.last_words()
    assert run.stop() == 0, run.last_words()
    return run


def saved(place: Site, name: str) -> Any:
    reading = place.tradewind(name, "--json", STATE_DIR=str(place.state_dir))
    assert reading.await_end() == 0, reading.last_words()
    return json.loads(reading.output())


def test_each_stage_of_the_stop_is_said_in_turn(stopped: Run) -> None:
    said = stopped.said()
    stages = [said.index(f"Stopping: {what}") for what in ("no new", "settling", "saving")]
    assert stages == sorted(stages)


def test_no_order_is_sent_once_the_stop_began(stopped: Run) -> None:
    after = stopped.said().split("Stopping: no new decisions")[1]
    assert '"event":"order"' not in after


def test_a_stopped_daemon_reports_and_its_book_is_the_venues(stopped: Run) -> None:
    report = stopped.report()
    assert report["book_matches_venue"] is True, report["book_mismatch"]
    assert report["fills"] >= 5


def test_the_exchange_it_started_is_gone(stopped: Run, place: Site) -> None:
    assert place.exchange_process() is None


def test_no_order_of_ours_is_left_working(stopped: Run, place: Site) -> None:
    assert stopped.report()["orders"].get("canceled", 0) >= 1
    working = [o for o in saved(place, "orders")["orders"] if o["status"] not in FINISHED]
    assert working == []


def test_starting_again_continues_the_saved_book(stopped: Run, place: Site) -> None:
    before, cash_usd = saved(place, "positions"), saved(place, "status")["cash_usd"]
    # A dry run changes nothing, so that what it shows is what it took over.
    run = place.daemon(*PACE, "--dry-run", "--json")
    run.await_ready()
    after, status = place.document("positions"), place.document("status")
    assert run.stop(signal.SIGINT) == 0, run.last_words()
    assert "Continuing the saved book" in run.said()
    assert held(after) == held(before) != {}
    assert status["cash_usd"] == cash_usd
    assert status["counters"].get("adoptions", 0) == 0
    assert run.report()["book_matches_venue"] is True


def held(document: Any) -> dict[str, tuple[str, str]]:
    return {
        p["symbol"]: (p["quantity_shares"], p["average_entry_usd"]) for p in document["positions"]
    }


def test_a_second_signal_ends_at_once(stopped: Run, place: Site) -> None:
    run = place.daemon(*PACE)
    run.await_line('"event":"decision"')
    exchange = place.exchange_process()
    assert exchange is not None
    # The venue does not answer, so the orderly stop would take its time.
    os.kill(exchange, signal.SIGSTOP)
    try:
        run.terminate()
        run.await_line("Stopping: no new decisions")
        run.terminate(signal.SIGINT)
        assert run.await_end(5) not in (0, None), run.last_words()
    finally:
        os.kill(exchange, signal.SIGCONT)
    assert run.events("forced_stop")


def test_a_stop_during_the_start_leaves_nothing_behind(place: Site, tmp_path: Any) -> None:
    with site(tmp_path) as fresh:
        run = fresh.daemon(*PACE)
        run.await_line("Looking for the embedded exchange")
        assert until(lambda: fresh.exchange_process() is not None, 20)
        assert run.stop() == 0, run.last_words()
        fresh.await_exchange_gone()
        assert "Traceback" not in run.said()

"""A synthetic session from nothing: what the program promises a newcomer, seen from outside."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.processes import Run, Site, site

pytestmark = pytest.mark.acceptance

REPORT_FIELDS = frozenset(
    {
        "sessions",
        "symbols",
        "slots_decided",
        "slots_missed",
        "fills",
        "orders",
        "denials",
        "decisions",
        "equity_usd",
        "pnl_usd",
        "cache_hit_ratio",
        "requests",
        "trading_state",
        "book_matches_venue",
        "uptime_s",
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("first")) as place:
        yield place


@pytest.fixture(scope="module")
def session(place: Site) -> Run:
    run = place.daemon("--demo", "--lockstep", "--sessions", "1", "--json")
    assert run.await_end(100) == 0, run.last_words()
    return run


@pytest.fixture(scope="module")
def report(session: Run) -> dict[str, Any]:
    return session.report()


def test_a_session_fills_orders_in_many_sectors_for_several_strategies(
    report: dict[str, Any],
) -> None:
    assert report["fills"] >= 20
    assert len(report["fills_by_sector"]) >= 8
    traders = {name for name, fills in report["fills_by_strategy"].items() if fills}
    assert len(traders & {"sma_crossover", "rsi_reversion", "mean_reversion"}) >= 2


def test_a_session_has_an_exit(report: dict[str, Any]) -> None:
    assert sum(report["exits"].values()) >= 1


def test_a_denial_is_counted_by_its_rule_and_shown_with_its_reason(
    session: Run, report: dict[str, Any]
) -> None:
    assert sum(report["denials"].values()) >= 1
    for shown in (report["denials_shown"], session.events("denied")):
        assert shown, "no denial was shown"
        assert all(denial[field] for denial in shown for field in ("symbol", "rule", "limit"))
        assert all(denial[field] for denial in shown for field in ("value", "setting", "action"))


def test_the_book_is_the_venues_to_the_cent(report: dict[str, Any]) -> None:
    assert report["book_matches_venue"] is True, report["book_mismatch"]


def test_no_slot_is_missed(report: dict[str, Any]) -> None:
    assert (report["sessions"], report["slots_missed"]) == (1, 0)
    assert report["slots_decided"] >= 70


def test_the_report_has_every_field_that_others_read(report: dict[str, Any]) -> None:
    assert REPORT_FIELDS - report.keys() == set()
    assert report["symbols"] >= 66
    assert report["trading_state"] == "ACTIVE"
    assert set(report["orders"]) <= {
        "filled",
        "canceled",
        "expired",
        "rejected",
        "partially_filled",
        "withheld",
    }
    assert {"trading", "data"} == report["requests"].keys()
    assert report["requests"]["trading"]["submit"] >= 20
    assert report["uptime_s"] > 0


def test_money_in_the_report_is_exact_text(report: dict[str, Any]) -> None:
    assert isinstance(report["equity_usd"], str)
    assert isinstance(report["pnl_usd"], str)
    assert float(report["equity_usd"]) == pytest.approx(100_000 + float(report["pnl_usd"]))


def test_most_used_prices_come_from_the_cache(report: dict[str, Any]) -> None:
    assert report["cache_hit_ratio"] >= 0.8


def test_standard_output_holds_the_report_and_nothing_else(session: Run) -> None:
    assert session.output().count("\n") == 1
    assert isinstance(json.loads(session.output()), dict)


def test_every_step_of_the_start_is_said_on_standard_error(session: Run) -> None:
    said = session.said()
    for step in ("Looking for the embedded exchange", "Loading history", "Serving", "Ready"):
        assert step in said


def test_a_clean_end_takes_the_exchange_along(session: Run, place: Site) -> None:
    assert place.exchange_process() is None


def test_the_saved_state_tells_the_same_as_the_report(
    session: Run, report: dict[str, Any], place: Site
) -> None:
    reading = place.tradewind("status", "--json", STATE_DIR=str(place.state_dir))
    assert reading.await_end() == 0, reading.last_words()
    status = json.loads(reading.output())
    assert status["running"] is False
    assert status["equity_usd"] == report["equity_usd"]
    assert status["counters"]["fills"] == report["fills"]

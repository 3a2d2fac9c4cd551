"""Killed at any instant, with positions and working orders: nothing twice, lost or forgotten."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from domain.orders import OrderStatus
from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

PACE = ("--demo", "--speed", "300")
FINISHED = {status.value for status in OrderStatus if status.is_terminal}
POSITION_SHARE_MAX = Decimal("0.02")
DRIFT = Decimal("1.1")
"""What a position may have grown since it was bought; a second entry would double it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Limit orders that wait: some work whenever the end comes.
    with site(
        tmp_path_factory.mktemp("crashes"),
        ORDER_STYLE="limit",
        TIME_IN_FORCE="gtc",
        SHUTDOWN_ORDERS="leave",
    ) as place:
        yield place


@pytest.fixture(scope="module")
def account(place: Site) -> str:
    """The account of a daemon that was killed while it held positions and orders worked."""
    run = place.daemon(*PACE)
    run.await_line('"event":"fill"', count=3)
    assert until(lambda: open_orders(place), 20), run.last_words()
    run.kill()
    found: str = place.venue("/v2/account")["account_number"]
    return found


@pytest.fixture(scope="module")
def survivor(place: Site, account: str) -> Iterator[Run]:
    """A daemon that trades after three more of its kind were killed, each at another instant."""
    for last_words in ("Reading the account", "Comparing the book", '"event":"order"'):
        run = place.daemon(*PACE)
        run.await_line(last_words)
        run.kill()
    run = place.daemon(*PACE, "--json")
    run.await_ready()
    run.await_line('"event":"fill"')
    yield run
    run.kill()


@pytest.fixture(scope="module")
def quiet(place: Site, survivor: Run) -> Run:
    """The same daemon, told to order nothing more, once nothing works any more."""
    assert place.control("halt", reason="to compare").status == 200
    assert place.control("cancel-all").status == 200
    assert until(lambda: not open_orders(place), 20), survivor.last_words()
    assert until(lambda: not working(place), 20), survivor.last_words()
    return survivor


def open_orders(place: Site) -> Any:
    return place.venue("/v2/orders?status=open")


def working(place: Site) -> list[Any]:
    """Return what the daemon believes to work at the venue.

    Not orders that a kill kept from being sent: a minute long they are looked for, for the venue
    may be slow to show them, and hold their symbols meanwhile.
    """
    orders = place.document("orders")["orders"]
    return [o for o in orders if o["status"] not in FINISHED and o["venue_order_id"]]


def booked(place: Site) -> dict[str, str]:
    return {p["symbol"]: p["quantity_shares"] for p in place.document("positions")["positions"]}


def test_after_every_kill_it_continues_the_same_account(
    place: Site, account: str, survivor: Run
) -> None:
    assert place.venue("/v2/account")["account_number"] == account
    assert place.document("status")["account_id"] == account
    assert "Continuing the saved book" in survivor.said()


def test_after_every_kill_it_is_ready_again(place: Site, survivor: Run) -> None:
    assert place.ask("/readyz").status == 200
    assert place.document("status")["trading_state"] == "ACTIVE"


def test_the_book_is_the_venues_without_anything_adopted(place: Site, quiet: Run) -> None:
    assert booked(place) == place.venue_shares() != {}
    status = place.document("status")
    assert Decimal(status["cash_usd"]) == Decimal(place.venue("/v2/account")["cash"])
    assert status["counters"].get("adoptions", 0) == 0


def test_no_order_reached_the_venue_twice(place: Site, quiet: Run) -> None:
    ids = Counter(order["client_order_id"] for order in place.venue_orders())
    assert [name for name, count in ids.items() if count > 1] == []
    assert all(name.startswith("tw1-") for name in ids)


def test_what_the_venue_executed_is_what_is_held(place: Site, quiet: Run) -> None:
    executed: Counter[str] = Counter()
    for order in place.venue_orders():
        sign = 1 if order["side"] == "buy" else -1
        executed[order["symbol"]] += sign * int(order["filled_qty"])
    assert {s: str(n) for s, n in executed.items() if n} == booked(place)


def test_nothing_was_entered_a_second_time(place: Site, quiet: Run) -> None:
    equity_usd = Decimal(place.venue("/v2/account")["equity"])
    largest_usd = max(Decimal(p["market_value"]) for p in place.venue("/v2/positions"))
    assert largest_usd <= POSITION_SHARE_MAX * DRIFT * equity_usd


def test_a_killed_exchange_comes_back_with_the_same_account(
    place: Site, account: str, quiet: Run
) -> None:
    before = booked(place)
    place.kill_exchange()
    quiet.await_line('"event":"exchange_ended"')
    quiet.await_line('"event":"stream_reconnected"')
    assert place.control("resume", subject="operator").status == 200
    fills = len(quiet.events("fill"))
    assert until(lambda: len(quiet.events("fill")) > fills, 30), quiet.last_words()
    assert place.venue("/v2/account")["account_number"] == account
    assert before.keys() <= set(booked(place)) | {f["symbol"] for f in quiet.events("fill")}


def test_both_killed_together_come_back_with_the_same_account_and_book(
    place: Site, account: str, quiet: Run
) -> None:
    quiet.kill()
    place.kill_exchange()
    run = place.daemon(*PACE, "--json")
    run.await_ready()
    assert place.document("status")["account_id"] == account
    assert run.stop() == 0, run.last_words()
    report = run.report()
    assert report["book_matches_venue"] is True, report["book_mismatch"]
    place.await_exchange_gone()


def test_the_end_is_clean_although_an_earlier_life_had_started_the_exchange(
    tmp_path: Any,
) -> None:
    with site(tmp_path) as place:
        place.daemon(*PACE).await_ready()
        place.started[0].kill()
        run = place.daemon(*PACE)
        run.await_ready()
        assert run.stop() == 0, run.last_words()
        assert place.exchange_process() is None

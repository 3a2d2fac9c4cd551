"""A machine that slept: the daemon stands still while the venue and other people go on."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import KEYS, Run, Site, request, site, until

pytestmark = pytest.mark.acceptance

ASLEEP_S = 2.0
LAG_S_MAX = 1.0
"""What counts as having stood still: less than it sleeps, more than a busy machine takes."""
HEARD_S_MAX = 30.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("asleep")
    with site(folder, LOOP_LAG_SECONDS_MAX=str(LAG_S_MAX)) as place:
        yield place


@pytest.fixture(scope="module")
def woken(place: Site) -> Run:
    """A daemon that slept for minutes of the market while somebody sold what it held."""
    run = place.daemon("--demo", "--speed", "60", "--json")
    run.await_ready()
    assert until(lambda: place.document("status")["positions"] > 0, HEARD_S_MAX), run.last_words()
    run.terminate(signal.SIGSTOP)
    request(f"{place.exchange_url}/v2/positions", method="DELETE", headers=KEYS)
    time.sleep(ASLEEP_S)
    run.terminate(signal.SIGCONT)
    return run


def test_having_slept_it_opens_nothing_until_a_person_has_looked(place: Site, woken: Run) -> None:
    def is_reducing() -> bool:
        return bool(place.document("status")["trading_state"] == "REDUCING")

    assert until(is_reducing, HEARD_S_MAX), woken.last_words()
    assert "loop_lag" in place.document("status")["cause"]


def test_what_was_sold_while_it_slept_is_known_and_its_book_is_the_venues(
    place: Site, woken: Run
) -> None:
    assert until(lambda: place.document("status")["positions"] == 0, HEARD_S_MAX)
    assert woken.stop() == 0, woken.last_words()
    assert woken.report()["book_matches_venue"]

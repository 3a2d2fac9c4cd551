"""A state directory put back from a backup of yesterday: the venue's account is newer than it."""

import shutil
from pathlib import Path

import pytest

from tests.support.processes import Run, Site, site

pytestmark = pytest.mark.acceptance

PACE = ("--demo", "--speed", "300", "--json")
TRADED_S_MAX = 30.0


def traded(place: Site, fills: int) -> Run:
    """Run the demo until it was told of so many fills, and end it."""
    run = place.daemon(*PACE)
    run.await_line('"event":"fill"', TRADED_S_MAX, count=fills)
    assert run.stop() == 0, run.last_words()
    return run


def test_an_old_state_is_brought_forward_to_the_account_and_orders_nothing(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as place:
        traded(place, fills=3)
        (folder,) = place.state_dir.glob("embedded-*")
        backup = shutil.copytree(folder, tmp_path / "backup")
        traded(place, fills=6)
        shutil.rmtree(folder)
        shutil.copytree(backup, folder)

        run = place.daemon(*PACE)
        run.await_ready()
        status = place.document("status")
        assert (status["trading_state"], status["cause"]) == ("HALTED", "distrust")
        assert run.stop() == 0, run.last_words()
        assert run.report()["book_matches_venue"]

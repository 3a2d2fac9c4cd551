"""A damaged state directory put right by the commands that the refusal names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.saved_state import folder_of, state_folders
from domain.portfolio import Portfolio
from tests.support.processes import Site, site, until

pytestmark = pytest.mark.acceptance

REFUSED = 5
HOLDS_S_MAX = 60.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as place:
        yield place


def trade(place: Site) -> Path:
    """Run the demo until it holds something, stop it, and return its folder."""
    run = place.daemon("--demo", "--speed", "60")
    run.await_ready()
    assert until(lambda: place.document("status")["positions"] > 0, HOLDS_S_MAX), run.last_words()
    assert run.stop() == 0, run.last_words()
    return next(place.state_dir.glob("embedded-*"))


def state(place: Site, *arguments: str, code: int = 0) -> Any:
    """Run `tradewind state …` and return the JSON it printed."""
    run = place.tradewind("state", *arguments, "--json", "--state-dir", str(place.state_dir))
    assert run.await_end() == code, run.last_words()
    return json.loads(run.output())


def book(folder: Path) -> Portfolio:
    venue, _, account_id = folder.name.partition("-")
    loaded = folder_of(folder.parent, venue, account_id).load()
    assert loaded is not None
    return loaded.portfolio


def test_a_corrupt_snapshot_is_found_repaired_and_traded_on_with_the_same_book(
    place: Site,
) -> None:
    folder = trade(place)
    before = book(folder)
    assert before.positions
    path = folder / "portfolio.json"
    path.write_bytes(path.read_bytes()[:-100])

    refused = place.daemon("--demo", "--speed", "60")
    assert refused.await_end() == REFUSED, refused.last_words()
    assert "tradewind state verify" in refused.said()

    found = state(place, "verify", code=REFUSED)["states"][0]
    assert str(path) in found["start_fault"]

    assert state(place, "repair", "--yes")["done"]
    assert book(folder) == before
    assert state(place, "verify")["ok"]

    again = place.daemon("--demo", "--speed", "60")
    again.await_ready()
    assert place.document("status")["trading_state"] == "ACTIVE", again.last_words()
    assert again.stop() == 0, again.last_words()


def test_with_every_snapshot_lost_a_book_begins_from_the_venue_and_is_halted(place: Site) -> None:
    exchange = place.exchange("--speed", "60", "--market", "synthetic:1")
    exchange.await_line("exchange on")
    run = place.daemon()
    run.await_ready()
    assert run.stop() == 0, run.last_words()
    assert state(place, "diff")["same"]
    (folder,) = state_folders(place.state_dir, "embedded")
    for path in folder.path.glob("portfolio*.json"):
        path.write_bytes(b"lost")

    state(place, "verify", code=REFUSED)
    assert not state(place, "repair", "--from-broker")["done"]
    assert state(place, "repair", "--from-broker", "--yes")["done"]
    assert state(place, "diff")["same"]

    again = place.daemon()
    again.await_ready()
    assert place.document("status")["trading_state"] == "HALTED"
    assert again.stop() == 0, again.last_words()

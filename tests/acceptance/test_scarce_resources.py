"""A real daemon that may write no further, or whose memory is eaten: nothing lost, and said."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_faulty_strategies import write_strategies
from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

HEARD_S_MAX = 30.0
DECIDED = '"event":"decision"'
SYMBOLS = "AAPL,MSFT,JPM,XOM,JNJ,KO,CAT,HD,NEE,SPY"
ROOM_BYTES = 2_000
"""What may still be written to any file: less than a decision of ten symbols takes."""
ROOM_FOR_MEMORY_BYTES = 256_000_000
EATS = """        eaten = []
        while True:
            eaten.append(bytearray(50_000_000))
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TRADING_SYMBOLS=SYMBOLS) as place:
        yield place


def trading(place: Site) -> Run:
    """A daemon that holds something."""
    run = place.daemon("--demo", "--speed", "60", "--json")
    run.await_ready()
    assert until(lambda: place.document("status")["positions"] > 0, HEARD_S_MAX), run.last_words()
    return run


def limit(run: Run, what: int, most: int) -> None:
    """Let a process have no more of something from now on; it could be let have it again."""
    _, hard = resource.prlimit(run.process.pid, what)
    resource.prlimit(run.process.pid, what, (most, hard))


def book(place: Site) -> dict[str, str]:
    rows = place.document("positions")["positions"]
    return {row["symbol"]: row["quantity_shares"] for row in rows}


def test_a_disk_without_room_halts_in_words_and_loses_nothing(place: Site) -> None:
    run = trading(place)
    journals = place.state_dir.rglob("journal*.jsonl")
    longest = max(path.stat().st_size for path in journals)
    limit(run, resource.RLIMIT_FSIZE, longest + ROOM_BYTES)

    def is_halted() -> bool:
        return bool(place.document("status")["trading_state"] == "HALTED")

    assert until(is_halted, HEARD_S_MAX), run.last_words()
    status = place.document("status")
    assert "File too large" in str(status), status
    run.stop()
    again = place.daemon("--demo", "--speed", "60", "--json")
    again.await_ready()
    assert until(lambda: book(place) == place.venue_shares(), HEARD_S_MAX), again.last_words()
    assert again.stop() == 0
    assert again.report()["book_matches_venue"]


def test_a_strategy_that_eats_all_memory_is_benched_and_nothing_is_lost(place: Site) -> None:
    mine = write_strategies(place.folder / "mine", c_glutton=EATS)
    place.settings |= {"STRATEGIES": "sma_crossover,c_glutton", "STRATEGIES_DIR": str(mine)}
    place.settings["STRATEGY_BUDGET_MS"] = "5000"
    run = place.daemon("--demo", "--speed", "60", "--json")
    run.await_ready()
    limit(run, resource.RLIMIT_AS, _memory_bytes(run) + ROOM_FOR_MEMORY_BYTES)
    assert until(lambda: "c_glutton" in place.document("status")["benched"], HEARD_S_MAX)
    assert "MemoryError" in place.document("status")["benched"]["c_glutton"]
    decided = run.said().count(DECIDED)
    assert until(lambda: run.said().count(DECIDED) > decided, HEARD_S_MAX), run.last_words()
    assert run.stop() == 0, run.last_words()
    assert run.report()["book_matches_venue"]


def _memory_bytes(run: Run) -> int:
    """Return how much address space a process has."""
    pages = int(Path(f"/proc/{run.process.pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()

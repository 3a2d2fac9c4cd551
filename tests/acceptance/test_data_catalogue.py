"""Bars downloaded from a real embedded exchange, interrupted, gone on with, checked and traded."""

import json
import signal
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.processes import Run, Site, request, site, until

pytestmark = [pytest.mark.acceptance, pytest.mark.long]
NEW_YORK = ZoneInfo("America/New_York")
SYMBOLS = "AAPL,XOM"
MINUTES = ("--timeframe", "1Min", "--from", "2024-04-01", "--to", "2024-06-28")
PARTS = ["2024-04", "2024-05", "2024-06"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("data")) as place:
        exchange = place.exchange("--start", "2024-07-01", "--lockstep")
        assert until(lambda: '"ready"' in exchange.output() + exchange.said(), 30.0)
        yield place


def download(place: Site, folder: str, *more: str) -> Run:
    where = ("--catalogue", str(place.folder / folder), "--url", place.exchange_url)
    return place.tradewind("data", "download", "--symbols", SYMBOLS, *where, *more)


def done(run: Run) -> Any:
    """Return the JSON a command printed, once it ended well."""
    assert run.await_end() == 0, run.last_words()
    return json.loads(run.output())


def parts(place: Site, folder: str) -> dict[str, Any]:
    folder_of = place.folder / folder / "1Min"
    return {path.stem: pq.read_table(path) for path in sorted(folder_of.glob("*.parquet"))}


def regular(table: pa.Table) -> int:
    """Return how many of a part's minutes lie between half past nine and four in New York."""
    starts = [at.astimezone(NEW_YORK).time() for at in table["timestamp"].to_pylist()]
    return sum(time(9, 30) <= start < time(16) for start in starts)


@pytest.fixture(scope="module")
def whole(place: Site) -> dict[str, Any]:
    """Return the parts of a download that nothing disturbed."""
    told = done(download(place, "whole", *MINUTES, "--json"))
    assert (told["parts_downloaded"], told["parts_held"]) == (len(PARTS), 0)
    assert told["requests"] > len(PARTS)
    return parts(place, "whole")


def test_every_page_of_every_part_arrives(whole: dict[str, Any]) -> None:
    assert list(whole) == PARTS
    sessions = {"2024-04": 22, "2024-05": 22, "2024-06": 19}
    assert {p: regular(t) for p, t in whole.items()} == {
        period: count * 390 * 2 for period, count in sessions.items()
    }


def test_the_hours_beside_the_session_arrive_too(whole: dict[str, Any]) -> None:
    assert all(t.num_rows > 1.3 * regular(t) for t in whole.values())


def test_a_download_that_was_ended_twice_goes_on_and_ends_the_same(
    place: Site, whole: dict[str, Any]
) -> None:
    for part, end in zip(PARTS, (signal.SIGINT, signal.SIGKILL), strict=False):
        run = download(place, "ended", *MINUTES)
        run.await_line(f"1Min {part}: ")
        run.terminate(end)
        assert run.await_end() != 0
    assert not (place.folder / "ended" / "1Min" / f"{PARTS[-1]}.parquet").exists()

    told = done(download(place, "ended", *MINUTES, "--json"))

    assert told["parts_held"] >= 1
    assert told["parts_held"] + told["parts_downloaded"] == len(PARTS)
    again = parts(place, "ended")
    assert list(again) == PARTS
    assert all(again[period].equals(table) for period, table in whole.items())


def test_what_was_downloaded_is_listed_checked_and_traded(place: Site, tmp_path: Path) -> None:
    daily = ("--from", "2022-01-01", "--to", "2024-06-28")
    done(download(place, "daily", *daily, "--json"))
    folder = place.folder / "daily"

    held = done(place.tradewind("data", "list", "--catalogue", str(folder), "--json"))
    checked = done(place.tradewind("data", "check", str(folder), "--json"))
    played = done(
        place.tradewind(
            *("backtest", "--data", str(folder / "1Day"), "--json"),
            *("--strategies", "sma_crossover(fast_bars=5,slow_bars=20)"),
            *("--out", str(tmp_path / "result")),
        )
    )

    assert [part["period"] for part in held["parts"]] == ["2022", "2023", "2024"]
    assert held["adjustment"] == "split"
    assert (checked["faults"], checked["symbols"]) == (0, 2)
    assert checked["bars"] == sum(part["bars"] for part in held["parts"])
    assert played["sessions"]["played"] == checked["bars"] // 2
    assert played["fills"] > 10


def test_a_part_that_was_changed_is_found(place: Site) -> None:
    path = place.folder / "whole" / "1Min" / "2024-05.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(390 * 2), path)

    run = place.tradewind("data", "check", str(place.folder / "whole"), "--json")

    assert run.await_end() == 1
    kinds = {finding["kind"] for finding in json.loads(run.output())["findings"]}
    assert kinds == {"altered part", "gap", "calendar misfit"}


def test_a_day_that_is_not_over_is_refused(place: Site) -> None:
    run = download(place, "early", "--from", "2024-06-24", "--to", "2024-07-01")

    assert run.await_end() == 4
    assert "--to 2024-07-01 is not over at the venue" in run.said()


def test_no_exchange_is_an_error_that_says_so(place: Site) -> None:
    run = place.tradewind(
        *("data", "download", "--symbols", SYMBOLS, "--from", "2024-06-03", "--to", "2024-06-07"),
        *("--catalogue", str(place.folder / "nobody"), "--url", "http://127.0.0.1:9"),
    )

    assert run.await_end() == 1
    assert "no connection to http://127.0.0.1:9" in run.said()


def test_the_exchange_itself_is_unharmed(place: Site) -> None:
    assert request(f"{place.exchange_url}/_exchange/clock").status == 200

"""The real daemon trades a session with an exchange that is slow, silent, wrong and forgetful."""

import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Run, Site, request, site

pytestmark = pytest.mark.acceptance

SCRIPT = """
seed = 11

[[fault]]
name = "storm"
kind = "api.limited"
from = "10:00"
until = "10:02"
share = 0.2

[[fault]]
name = "accepted, unheard"      # the client's own time-out has to pass: real seconds
kind = "api.lost"
method = "POST"
path = "/v2/orders"
nth = 3
delay_s = 8

[[fault]]
name = "accepted, 504"
kind = "api.lost"
how = "504"
method = "POST"
path = "/v2/orders"
every = 6

[[fault]]
name = "accepted, reset"
kind = "api.reset"
method = "POST"
path = "/v2/orders"
every = 9

[[fault]]
name = "twice"
kind = "stream.doubled"
share = 0.5

[[fault]]
name = "missing"
kind = "stream.lost"
event = "*fill"
every = 7

[[fault]]
name = "swapped"
kind = "stream.swapped"
share = 0.1

[[fault]]
name = "dropped"
kind = "stream.dropped"
event = "fill"
every = 9
times = 3

[[fault]]
name = "unknown words"
kind = "api.unknown"
path = "/v2/orders*"
every = 9

[[fault]]
name = "unknown events"
kind = "stream.unknown"
how = "event"
every = 11

[[fault]]
name = "unknown statuses"
kind = "stream.unknown"
how = "status"
every = 13

[[fault]]
name = "unknown keys"
kind = "api.unknown"
how = "key"
every = 10

[[fault]]
name = "trades taken back"
kind = "order.turned"
how = "trade_bust"
every = 13
delay_market_s = 20

[[fault]]
name = "trades put right"
kind = "order.turned"
how = "trade_correct"
every = 14
delay_market_s = 40

[[fault]]
name = "garbled"
kind = "api.garbled"
method = "GET"
every = 150
"""
SYMBOLS = "AAPL,MSFT,NVDA,AMZN,JPM,BAC,XOM,CVX,JNJ,PFE,KO,PG,CAT,GS,HD,NEE,DIS,T,SPY,QQQ,GLD,TLT"
END_S = 110.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("faulty"), TRADING_SYMBOLS=SYMBOLS) as place:
        yield place


@pytest.fixture(scope="module")
def control_url(place: Site) -> str:
    script = Path(place.folder) / "faults.toml"
    place.folder.mkdir(parents=True, exist_ok=True)
    script.write_text(SCRIPT)
    run = place.exchange("--lockstep", "--faults", str(script), "--control-port", "0")
    line = run.await_line(r"faults +http")
    return line.split()[-1]


@pytest.fixture(scope="module")
def run(place: Site, control_url: str) -> Run:
    """A daemon that has traded one session and left."""
    run = place.daemon("--lockstep", "--demo", "--sessions", "1", "--json")
    assert run.await_end(END_S) == 0, run.last_words()
    return run


@pytest.fixture(scope="module")
def happened(control_url: str, run: Run) -> dict[str, int]:
    """How often each fault befell it. From here on there are none: we read the exchange, too."""
    listed: Any = request(control_url).json()
    urllib.request.urlopen(urllib.request.Request(control_url, method="DELETE")).close()
    return {fault["name"]: fault["happened"] for fault in listed["faults"]}


def test_every_fault_has_befallen_it(happened: dict[str, int]) -> None:
    assert [name for name, times in happened.items() if times == 0] == []
    assert happened["accepted, 504"] >= 5


def test_the_books_match_at_the_end(run: Run, happened: dict[str, int]) -> None:
    report = run.report()
    assert report["book_matches_venue"] is True, report["book_mismatch"]
    assert report["fills"] >= 20


@pytest.mark.usefixtures("happened")
def test_nothing_was_ordered_twice(place: Site) -> None:
    orders = place.venue_orders()
    ids = Counter(order["client_order_id"] for order in orders)
    assert max(ids.values()) == 1
    filled = [o for o in orders if o["filled_qty"] != "0"]
    # One entry a symbol and slot: a second one would have the same symbol, side and instant.
    entries = Counter((o["symbol"], o["side"], o["submitted_at"][:16]) for o in filled)
    assert max(entries.values()) == 1


def test_what_was_taken_back_is_told_and_left_alone(run: Run, happened: dict[str, int]) -> None:
    told = run.said().count("is quarantined: the venue took back execution")
    assert 2 <= told <= 2 * (happened["trades taken back"] + happened["trades put right"])


def test_it_still_trades(run: Run) -> None:
    assert run.report()["trading_state"] == "ACTIVE"

"""Clock and calendar by market, the dates clients write, and markets made of anyone's bars."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.assembly import Wishes
from exchange.instants import wall_ns
from exchange.testing import UNHURRIED, serve_exchange
from tests.support.exchanges import (
    DAYS,
    MONDAY,
    Served,
    close_ns,
    make_exchange,
    make_venue,
    open_ns,
    served,
)
from tests.support.tapes import bars_csv, minute_label
from tests.support.wire_client import RestClient, WireError


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(make_exchange(make_venue())) as running:
        yield running


@pytest.fixture
def client(exchange: Served) -> Iterator[RestClient]:
    client = RestClient(exchange.url)
    yield client
    client.close()


@pytest.mark.wire("GET /v3/clock")
def test_the_clock_tells_the_phase_of_the_day(exchange: Served, client: RestClient) -> None:
    phases = []
    for at_ns in (open_ns() - 1, open_ns(), close_ns(), wall_ns(MONDAY, 20), wall_ns(DAYS[5], 3)):
        exchange.advance(at_ns)
        (clock,) = client.call("GET", "/v3/clock")["clocks"]
        phases.append((clock["phase"], clock["phase_until"], clock["is_market_day"]))
    assert phases == [
        ("pre", "2026-01-05T09:30:00-05:00", True),
        ("core", "2026-01-05T09:40:00-05:00", True),
        ("post", "2026-01-05T20:00:00-05:00", True),
        ("closed", "2026-01-06T04:00:00-05:00", True),
        ("closed", "2026-01-12T04:00:00-05:00", True),
    ]
    assert clock["market"] == {
        "acronym": "NYSE",
        "mic": "XNYS",
        "name": "New York Stock Exchange",
        "timezone": "America/New_York",
    }


def test_the_clocks_of_several_markets_come_in_order(client: RestClient) -> None:
    clocks = client.call("GET", "/v3/clock", {"markets": "XNAS,NYSE"})["clocks"]
    assert [c["market"]["acronym"] for c in clocks] == ["NASDAQ", "NYSE"]


@pytest.mark.wire("GET /v3/calendar/{market}")
def test_the_calendar_tells_the_parts_of_a_day_in_a_zone(client: RestClient) -> None:
    query = {"start": "2026-01-05", "end": "2026-01-06", "timezone": "UTC"}
    reply = client.call("GET", "/v3/calendar/NYSE", query)
    assert [d["date"] for d in reply["calendar"]] == ["2026-01-05", "2026-01-06"]
    assert reply["calendar"][0] == {
        "date": "2026-01-05",
        "pre_start": "2026-01-05T09:00:00+00:00",
        "pre_end": "2026-01-05T14:30:00+00:00",
        "core_start": "2026-01-05T14:30:00+00:00",
        "core_end": "2026-01-05T14:40:00+00:00",
        "post_start": "2026-01-05T14:40:00+00:00",
        "post_end": "2026-01-06T01:00:00+00:00",
        "settlement_date": "2026-01-06",
    }


@pytest.mark.parametrize(
    "path", ["/v3/calendar/MOON", "/v3/calendar/NYSE?timezone=Mars/Base", "/v3/clock?markets=MOON"]
)
def test_an_unknown_market_or_zone_is_named(client: RestClient, path: str) -> None:
    with pytest.raises(WireError) as refused:
        client.call("GET", path)
    assert refused.value.status == 422
    assert refused.value.message.startswith("invalid ")


@pytest.mark.parametrize("text", ["2026-01-06", "2026-01-06T00:00:00.000Z"])
def test_a_day_is_the_date_that_is_written(client: RestClient, text: str) -> None:
    # The JavaScript client writes a date as its midnight in UTC, which in New York is the eve.
    days = client.calendar(start="2026-01-05T00:00:00.000Z", end=text)
    assert [d["date"] for d in days] == ["2026-01-05", "2026-01-06"]


def test_a_bot_trades_symbols_that_only_its_own_bars_know(tmp_path: Path) -> None:
    names = [f"OWN{n:03d}" for n in range(120)]
    rows = [
        f"{name},{minute_label(MONDAY, minute)},10,11,9,10,60000"
        for name in names
        for minute in range(3)
    ]
    (tmp_path / "bars.csv").write_text(bars_csv(rows), encoding="utf-8")
    wishes = Wishes(market=str(tmp_path), limits=UNHURRIED)
    with serve_exchange(wishes) as own:
        client = RestClient(own.url)
        assert [asset["symbol"] for asset in client.assets()] == names
        own.advance(wall_ns(MONDAY, 9, 31))
        client.place("OWN119", "buy", qty="3")
        assert client.position("OWN119")["qty"] == "3"
        assert set(client.latest("quotes", names)) == set(names)
        client.close()

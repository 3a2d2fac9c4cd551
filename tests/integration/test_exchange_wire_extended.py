"""Market data of the hours beside the session, over REST: what is told then, and what is not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from domain.instruments import Universe
from exchange.assets import list_assets, shipped_instruments
from exchange.halts import Halt
from exchange.instants import MINUTE_NS, midnight_ns, rfc3339_short, to_ns, wall_ns
from exchange.knobs import Knobs
from exchange.markets.synthetic import SyntheticMarket
from exchange.venue import Venue, VenueConfig
from tests.support.exchanges import make_exchange, served
from tests.support.tapes import shipped_universe
from tests.support.wire_client import RestClient

KNOWN = Universe(shipped_universe().instruments[:4])
SYMBOL, OTHER = (str(i.symbol) for i in KNOWN.instruments[:2])
At = Callable[..., RestClient]


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(seed=5, universe=KNOWN)


@pytest.fixture
def at(market: SyntheticMarket) -> Iterator[At]:
    """Begin an exchange at an hour and minute of the market's first day, in New York."""
    day = market.default_start_day()
    open_ones = []

    def begin(
        hour: int, minute: int = 0, knobs: Knobs | None = None, halts: tuple[Halt, ...] = ()
    ) -> RestClient:
        config = VenueConfig(
            seed=1,
            cash_usd=Decimal(100_000),
            start_ns=midnight_ns(day),
            knobs=knobs or Knobs(),
            halts=halts,
        )
        venue = Venue(market, list_assets(market, shipped_instruments()), config)
        venue.advance(wall_ns(day, hour, minute))
        running = served(make_exchange(venue))
        client = RestClient(running.__enter__().url)
        open_ones.append((running, client))
        return client

    yield begin
    for running, client in open_ones:
        client.close()
        running.__exit__(None, None, None)


def edges(market: SyntheticMarket) -> tuple[int, int]:
    """Return the open and the close of the market's first day."""
    session = market.calendar.session_of(market.default_start_day())
    assert session is not None
    return to_ns(session.opens_at), to_ns(session.closes_at)


def page(client: RestClient, what: str, **query: Any) -> dict[str, Any]:
    """Return one page of history, by symbol."""
    asked = {"symbols": f"{SYMBOL},{OTHER}", **query}
    return dict(client.call("GET", f"/v2/stocks/{what}", asked)[what])


def minutes(client: RestClient, start: str, end: str, timeframe: str = "1Min") -> list[Any]:
    query = {"start": start, "end": end, "timeframe": timeframe, "limit": 10_000}
    return client.history("bars", [SYMBOL], **query).get(SYMBOL, [])


@pytest.mark.wire("rest.inclusive")
def test_a_day_named_by_its_date_has_the_hours_beside_its_session(
    at: At, market: SyntheticMarket
) -> None:
    client, day = at(22), market.default_start_day().isoformat()
    opens_ns, closes_ns = edges(market)
    opens, closes = rfc3339_short(opens_ns), rfc3339_short(closes_ns)
    bars = minutes(client, day, day)
    regular = minutes(client, opens, rfc3339_short(closes_ns - MINUTE_NS))
    inside = [bar for bar in bars if opens <= bar["t"] < closes]
    assert inside == regular
    assert len(regular) == 390
    assert 1.3 < len(bars) / 390 < 2.3
    assert bars[0]["t"] < opens and bars[-1]["t"] > closes
    assert all(bar["v"] > 0 and bar["l"] <= bar["vw"] <= bar["h"] for bar in bars)


@pytest.mark.wire("rest.inclusive")
def test_a_range_that_ends_with_the_close_has_one_more_bar_at_the_official_price(
    at: At, market: SyntheticMarket
) -> None:
    client = at(22)
    opens_ns, closes_ns = edges(market)
    closes = rfc3339_short(closes_ns)
    bars = minutes(client, rfc3339_short(opens_ns), closes)
    day = market.default_start_day().isoformat()
    (daily,) = minutes(client, day, day, "1Day")
    assert (len(bars), bars[-1]["t"], bars[-1]["o"]) == (391, closes, daily["c"])


def test_a_regular_range_is_what_it_is_without_those_hours(at: At, market: SyntheticMarket) -> None:
    without = replace(Knobs(), extended_data=False)
    opens_ns, closes_ns = edges(market)
    span = rfc3339_short(opens_ns), rfc3339_short(closes_ns - 1)
    one, other = at(22), at(22, knobs=without)
    for timeframe in ("1Min", "15Min", "1Hour", "1Day"):
        assert minutes(one, *span, timeframe) == minutes(other, *span, timeframe)


def test_without_the_knob_a_date_is_its_session(at: At, market: SyntheticMarket) -> None:
    day = market.default_start_day().isoformat()
    client = at(22, knobs=replace(Knobs(), extended_data=False))
    assert len(minutes(client, day, day)) == 390


def test_the_hour_of_the_open_is_made_of_both_its_halves(at: At, market: SyntheticMarket) -> None:
    day = market.default_start_day()
    client = at(22)
    span = rfc3339_short(wall_ns(day, 9)), rfc3339_short(wall_ns(day, 10) - 1)
    (hour,) = minutes(client, *span, "1Hour")
    parts = minutes(client, *span)
    assert hour["v"] == sum(bar["v"] for bar in parts)
    assert (hour["o"], hour["c"]) == (parts[0]["o"], parts[-1]["c"])
    assert hour["h"] == max(bar["h"] for bar in parts)


@pytest.mark.parametrize("hour", [7, 18])
def test_the_latest_is_the_last_of_history(at: At, market: SyntheticMarket, hour: int) -> None:
    client, day = at(hour), market.default_start_day()
    now = rfc3339_short(wall_ns(day, hour))
    shot = client.snapshots([SYMBOL])[SYMBOL]
    span = {"start": day.isoformat(), "end": now, "sort": "desc", "limit": 1}
    span["symbols"] = SYMBOL
    (trade,) = page(client, "trades", **span)[SYMBOL]
    (quote,) = page(client, "quotes", **span)[SYMBOL]
    (bar,) = page(client, "bars", timeframe="1Min", **span)[SYMBOL]
    assert shot["latestTrade"] == trade
    assert (shot["latestQuote"]["bp"], shot["latestQuote"]["ap"]) == (quote["bp"], quote["ap"])
    assert shot["minuteBar"] == bar
    assert trade["c"] == ["@", "T"]
    assert client.latest("bars", [SYMBOL])[SYMBOL] == bar
    assert client.latest("trades", [SYMBOL])[SYMBOL] == trade


def test_daily_bars_know_the_session_alone(at: At, market: SyntheticMarket) -> None:
    day = market.default_start_day()
    client, daily = at(18), market.daily(day, day)
    row = market.symbols.index(SYMBOL)
    shot = client.snapshots([SYMBOL])[SYMBOL]
    assert shot["dailyBar"]["v"] == int(daily.volume[row, 0])
    early = at(7).snapshots([SYMBOL])[SYMBOL]
    assert early["dailyBar"]["t"] < shot["dailyBar"]["t"]


def test_nothing_of_the_early_hours_is_told_before_its_instant(
    at: At, market: SyntheticMarket
) -> None:
    client, day = at(7, 30), market.default_start_day().isoformat()
    whole = at(22)
    bars = minutes(client, day, day)
    later = minutes(whole, day, day)
    assert bars == later[: len(bars)]
    last_ns = wall_ns(market.default_start_day(), 7, 30) - MINUTE_NS
    assert bars[-1]["t"] <= rfc3339_short(last_ns) < later[len(bars)]["t"]


def test_a_halted_symbol_is_silent_then_too(at: At, market: SyntheticMarket) -> None:
    day = market.default_start_day()
    halt = Halt(symbol=SYMBOL, reason="T1", from_ns=wall_ns(day, 5), until_ns=wall_ns(day, 6))
    client = at(8, halts=(halt,))
    span = {"start": rfc3339_short(halt.from_ns + 1), "end": rfc3339_short(wall_ns(day, 6))}
    assert page(client, "trades", **span).keys() == {OTHER}
    assert page(client, "quotes", **span).keys() == {OTHER}


def test_quotes_of_those_hours_are_wide(at: At, market: SyntheticMarket) -> None:
    client, day = at(22), market.default_start_day()

    def spread(hour: int) -> float:
        start = rfc3339_short(wall_ns(day, hour))
        quotes = page(client, "quotes", symbols=SYMBOL, start=start, limit=200)[SYMBOL]
        return float(np.mean([quote["ap"] - quote["bp"] for quote in quotes]))

    assert spread(6) > 1.5 * spread(12) < spread(18)

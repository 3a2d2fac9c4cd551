"""The data stream before the open and after the close: what REST knows, as it happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer

from exchange.app import DATA_STREAM
from exchange.assets import list_assets, shipped_instruments
from exchange.clock import RunningTime
from exchange.halts import Halt
from exchange.instants import midnight_ns, new_york_day, rfc3339_short, to_ns, wall_ns
from exchange.knobs import Knobs
from exchange.venue import Venue, VenueConfig
from tests.support.exchanges import KEYS, make_exchange, make_served_app
from tests.support.tapes import synthetic_market

MARKET = synthetic_market(5, 4)
SYMBOL, OTHER = MARKET.symbols[:2]
DAY = MARKET.default_start_day()
SESSION = MARKET.calendar.session_of(DAY)
assert SESSION is not None
OPENS, CLOSES = (rfc3339_short(to_ns(at)) for at in (SESSION.opens_at, SESSION.closes_at))
ENCODINGS = ("", "application/msgpack")
Json = dict[str, Any]


def at(hour: int, minute: int = 0, day: date = DAY) -> str:
    """A New York wall time as the wire writes it."""
    return rfc3339_short(wall_ns(day, hour, minute))


class Listener:
    """One socket of the data stream, in either encoding, on an exchange in lockstep."""

    def __init__(self, client: TestClient[Any, Any], socket: ClientWebSocketResponse) -> None:
        self.client = client
        self._socket = socket

    async def hear(self) -> list[Json]:
        message = await self._socket.receive(timeout=5)
        if isinstance(message.data, str):
            found: list[Json] = orjson.loads(message.data)
            return found
        found = msgspec.msgpack.decode(message.data)
        # A timestamp of MessagePack is read as an aware instant, to the microsecond.
        return [{**m, "t": rfc3339_short(to_ns(m["t"]))} if "t" in m else m for m in found]

    async def subscribe(self, **wanted: list[str]) -> None:
        await self._socket.send_bytes(orjson.dumps({"action": "subscribe", **wanted}))
        assert (await self.hear())[0]["T"] == "subscription"

    async def until(self, to: str) -> list[Json]:
        """Let market time pass; return all that was said meanwhile, in order."""
        async with self.client.post("/_exchange/advance", json={"to": to}) as reply:
            assert reply.status == 200
        # The answer to a subscription that changes nothing stands behind all that was said.
        await self._socket.send_bytes(orjson.dumps({"action": "subscribe"}))
        said: list[Json] = []
        while True:
            frame = await self.hear()
            if frame[0]["T"] == "subscription":
                return said
            said += frame

    async def read(self, what: str, start: str, end: str, **query: str) -> list[Json]:
        """Return what REST tells of `SYMBOL` in a range."""
        asked = {"symbols": SYMBOL, "start": start, "end": end, "limit": "10000", **query}
        async with self.client.get(f"/v2/stocks/{what}", params=asked, headers=KEYS) as reply:
            found: list[Json] = (await reply.json())[what].get(SYMBOL, [])
            return found


def make(hour: int, minute: int = 0, knobs: Knobs | None = None, **config: Any) -> Venue:
    terms = VenueConfig(
        seed=1,
        cash_usd=Decimal(100_000),
        start_ns=midnight_ns(DAY),
        knobs=knobs or Knobs(),
        **config,
    )
    venue = Venue(MARKET, list_assets(MARKET, shipped_instruments()), terms)
    venue.advance(wall_ns(DAY, hour, minute))
    return venue


@asynccontextmanager
async def listening(venue: Venue, encoding: str = "") -> AsyncIterator[Listener]:
    headers = {"Content-Type": encoding} if encoding else {}
    app = make_served_app(make_exchange(venue))
    async with (
        TestClient(TestServer(app)) as client,
        client.ws_connect("/v2/iex", headers={**KEYS, **headers}) as socket,
    ):
        listener = Listener(client, socket)
        assert [(await listener.hear())[0]["msg"] for _ in range(2)] == [
            "connected",
            "authenticated",
        ]
        yield listener


def of_kind(said: list[Json], kind: str) -> list[Json]:
    """Return messages without what the stream adds to a point of REST."""
    return [{k: v for k, v in m.items() if k not in "TS"} for m in said if m["T"] == kind]


@pytest.mark.wire("data.extended")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("begins", "ends"), [((5, 0), (6, 0)), ((17, 0), (18, 0))])
async def test_the_stream_says_what_history_knows(
    encoding: str, begins: tuple[int, int], ends: tuple[int, int]
) -> None:
    async with listening(make(*begins), encoding) as listener:
        await listener.subscribe(trades=[SYMBOL], quotes=[SYMBOL], bars=[SYMBOL])
        said = await listener.until(at(*ends))
        span = at(*begins), at(*ends)
        trades, quotes = await listener.read("trades", *span), await listener.read("quotes", *span)
        bars = await listener.read("bars", *span, timeframe="1Min")
    assert of_kind(said, "t") == trades
    assert of_kind(said, "q") == quotes
    assert of_kind(said, "b") == bars
    assert 10 < len(bars) < 60
    assert all(trade["c"] == ["@", "T"] for trade in trades)


@pytest.mark.wire("data.minutes")
async def test_only_minutes_with_trades_have_a_bar_then() -> None:
    async with listening(make(4)) as listener:
        await listener.subscribe(bars=["*"])
        said = await listener.until(at(9, 30))
        later = await listener.until(at(9, 40))
    early = {symbol: [m["t"] for m in said if m["S"] == symbol] for symbol in MARKET.symbols}
    assert all(100 < len(set(times)) == len(times) < 330 for times in early.values())
    assert all(m["v"] > 0 and m["t"] < OPENS for m in said)
    assert len(later) == 10 * len(MARKET.symbols)


async def test_a_day_is_told_without_gap_or_double() -> None:
    async with listening(make(4)) as listener:
        await listener.subscribe(trades=[SYMBOL], dailyBars=[SYMBOL], lulds=[SYMBOL])
        said = []
        for hour in (7, 9, 12, 16, 19, 23):
            said += await listener.until(at(hour))
        trades = await listener.read("trades", at(4), at(23), limit="10000")
    assert of_kind(said, "t") == trades
    regular = [m["t"] for m in said if m["T"] in "dl"]
    assert {m["T"] for m in said} == {"t", "d", "l"}
    assert {t for t in regular if t < OPENS or t > CLOSES} == {rfc3339_short(midnight_ns(DAY))}


async def test_night_is_silent() -> None:
    async with listening(make(20, 0)) as listener:
        await listener.subscribe(trades=["*"], quotes=["*"], bars=["*"])
        assert await listener.until(at(3, 59, DAY + timedelta(days=1))) == []


async def test_without_the_knob_the_stream_knows_the_session_alone() -> None:
    venue = make(5, knobs=replace(Knobs(), extended_data=False))
    async with listening(venue) as listener:
        await listener.subscribe(trades=["*"], quotes=["*"], bars=["*"])
        assert await listener.until(OPENS) == []
        await listener.until(CLOSES)
        assert await listener.until(at(20)) == []


async def test_a_halted_symbol_is_silent_then_too() -> None:
    halt = Halt(symbol=SYMBOL, reason="T1", from_ns=wall_ns(DAY, 5), until_ns=wall_ns(DAY, 6))
    async with listening(make(4, 59, halts=(halt,))) as listener:
        await listener.subscribe(trades=["*"], quotes=["*"], statuses=["*"])
        said = await listener.until(at(7))
    about = [m for m in said if m["S"] == SYMBOL and at(5) < m["t"] <= at(6)]
    assert [m["sc"] for m in said if m["T"] == "s"] == ["H", "T"]
    assert {m["T"] for m in about} == {"s"}
    assert [m for m in said if m["S"] == OTHER and at(5) < m["t"] <= at(6)]


@pytest.mark.wire("rules.extended-hours")
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_an_order_fills_at_a_trade_that_the_stream_tells(encoding: str) -> None:
    async with listening(make(7), encoding) as listener:
        await listener.subscribe(trades=[SYMBOL])
        quote = (await listener.read("quotes", at(6, 59), at(7)))[-1]
        wish = {"symbol": SYMBOL, "qty": "1", "side": "buy", "type": "limit"}
        wish |= {"time_in_force": "day", "limit_price": str(quote["bp"]), "extended_hours": True}
        async with listener.client.post("/v2/orders", json=wish, headers=KEYS) as reply:
            order = await reply.json()
        said = await listener.until(at(9, 29))
        path = f"/v2/orders/{order['id']}"
        async with listener.client.get(path, headers=KEYS) as reply:
            order = await reply.json()
    through = [m for m in said if m["p"] <= quote["bp"]]
    assert order["status"] == "filled"
    assert order["filled_at"][:19] == through[0]["t"][:19]
    assert Decimal(order["filled_avg_price"]) <= Decimal(str(quote["bp"]))


async def test_hours_that_are_jumped_over_are_not_told() -> None:
    machine = [0.0]
    exchange = make_exchange(make(9, 29))
    exchange.time = RunningTime(
        MARKET.calendar,
        exchange.venue.now_ns,
        speed=60.0,
        skip_closed=True,
        machine_s=lambda: machine[0],
    )
    app = make_served_app(exchange)
    said: list[Json] = []

    def heard(batch: list[Any]) -> list[Any]:
        said.extend({"t": rfc3339_short(m.at_ns), "T": m.channel.value} for m in batch)
        return []

    app[DATA_STREAM].spoil = heard
    async with (
        TestClient(TestServer(app)) as client,
        client.ws_connect("/v2/iex", headers=KEYS) as socket,
    ):
        listener = Listener(client, socket)
        assert [await listener.hear() for _ in range(2)]
        await listener.subscribe(trades=["*"], bars=["*"])
        # 09:29 to 16:01, and on at once to the next day's 09:29 and the minute after its open.
        machine[0] = 392.0 + 2.0
        exchange.step()
    assert new_york_day(exchange.venue.now_ns) == DAY + timedelta(days=1)
    tomorrow = DAY + timedelta(days=1)
    times = sorted({m["t"] for m in said})
    assert any(CLOSES < t < at(16, 1) for t in times)
    assert any(at(9, 29, tomorrow) < t < at(9, 30, tomorrow) for t in times)
    assert not [t for t in times if at(16, 1) < t <= at(9, 28, tomorrow)]

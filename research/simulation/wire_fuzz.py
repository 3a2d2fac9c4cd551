"""Spoilt answers and messages read by the real client: refused in its own words, or true.

The payloads are those of a simulated day, mutated in their bytes and in their values. Nothing but a
`VenueError` may come out of reading one, and no number that is not one may come through.
"""

import contextlib
import gzip
import json
import logging
import math
import zlib
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog

from daemon.alpaca import account_codec, codec, price_codec, stream
from daemon.alpaca.errors import FailedAnswer
from domain.errors import VenueError
from domain.market import Bar, Quote
from domain.orders import Fill, OrderReport, OrderUpdate
from domain.portfolio import AccountReport
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.network import Wire
from research.simulation.swarm import CALM
from research.simulation.world import Wish, World

NOW = datetime(2027, 1, 4, 15, 0, tzinfo=UTC)
SEED, SPEED = 11, 240.0
KEPT_OF_A_KIND = 40
FAILURES_MAX = 20
STATUSES = (200, 400, 401, 403, 404, 422, 429, 500, 502, 301)
ODD_VALUES = (
    b"null", b"NaN", b"1e999", b"-1e999", b"-1", b"0", b'""', b'"NaN"', b'"-0.01"', b"true", b"[]",
    b"{}", b'"Infinity"', b"1e-400", b"99999999999999999999999999", b'"9999-99-99T00:00:00Z"',
    b'"0001-01-01T00:00:00Z"', b'"\\ud800"', b'"\\u0000"', b'"buy"', b"[[[[[[[[[[1]]]]]]]]]]",
)  # fmt: skip
Read = Callable[[bytes], Iterable[object]]


@dataclass(slots=True)
class WireFuzz:
    """How many payloads were read, and what escaped."""

    tried: int = 0
    refused: int = 0
    read: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def fuzz_wire(count: int, *, seed: int = 1) -> WireFuzz:
    """Read so many mutated payloads, every kind in turn."""
    muted, configured = logging.root.manager.disable, structlog.get_config()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        return _fuzz(count, seed)
    finally:
        structlog.configure(**configured)
        logging.disable(muted)


def _fuzz(count: int, seed: int) -> WireFuzz:
    corpus, chance, found = _corpus(), Chance(seed).fork("wire"), WireFuzz()
    kinds = [kind for kind in READERS if corpus.get(kind)]
    found.kinds = {kind: len(corpus[kind]) for kind in kinds}
    every = [payload for kind in kinds for payload in corpus[kind]]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        payload = _mutated(chance.pick(corpus[kind]), every, chance)
        found.tried += 1
        fault = ""
        try:
            for value in READERS[kind](payload):
                fault = fault or _untrue(value)
            found.read += 1
        except VenueError:
            found.refused += 1
        except Exception as crash:  # noqa: BLE001 - whatever escapes is what is looked for
            fault = f"{type(crash).__name__}: {crash}"
        if fault and len(found.failed) < FAILURES_MAX:
            found.failed.append(f"{kind} {number} (seed {seed}): {fault}: {payload[:300]!r}")
    return found


# --- reading as the client does -------------------------------------------------------------------


def _orders(body: bytes) -> Iterable[object]:
    return [codec.to_report(row) for row in codec.decode_order_rows(body)]


def _fills(body: bytes) -> Iterable[object]:
    return [codec.to_fill(row, client_order_id="tw1-x") for row in codec.decode_activities(body)]


def _account(body: bytes) -> Iterable[object]:
    return [account_codec.decode_account(body, b"[]", reported_at=NOW)]


_SOME_ACCOUNT = (
    b'{"id":"a","account_number":"PA1","status":"ACTIVE","cash":"1","equity":"1",'
    b'"last_equity":"1","buying_power":"1"}'
)


def _positions(body: bytes) -> Iterable[object]:
    return [account_codec.decode_account(_SOME_ACCOUNT, body, reported_at=NOW)]


def _quotes(body: bytes) -> Iterable[object]:
    invalid = price_codec.InvalidCounts()
    return price_codec.decode_quotes(body, now=NOW, invalid=invalid).values()


def _bars(body: bytes) -> Iterable[object]:
    return price_codec.decode_bars(body, now=NOW, invalid=price_codec.InvalidCounts())[0]


def _data_stream(body: bytes) -> Iterable[object]:
    return price_codec.decode_data_stream(body, now=NOW, invalid=price_codec.InvalidCounts())


class _Now:
    def now(self) -> datetime:
        return NOW


async def _nothing(client_order_id: str) -> None:
    return None


_ENDPOINT = stream.StreamEndpoint(url="ws://nobody", credentials=None)  # type: ignore[arg-type]
_STREAM = stream.TradeStream(
    None,  # type: ignore[arg-type]
    _ENDPOINT,
    clock=_Now(),
    jitter=lambda low, high: low,
    reread=_nothing,
)


def _trade_updates(body: bytes) -> Iterable[object]:
    envelope = codec.decode(stream._envelope, body)
    if envelope.stream != "trade_updates":
        return []
    return _run(_STREAM._translate(codec.decode(stream._update, envelope.data)))


def _run(job: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    """Return what a coroutine that waits for nothing returns."""
    try:
        job.send(None)
    except StopIteration as end:
        found: list[Any] = end.value
        return found
    raise AssertionError("reading a message waits for nothing")


def _refusals(body: bytes) -> Iterable[object]:
    for status in STATUSES[1:]:
        answer = FailedAnswer(method="POST", asked="POST /orders", status=status, body=body)
        fault: object = answer.fault()
        assert isinstance(fault, VenueError)
    return []


READERS: Mapping[str, Read] = {
    "/v2/account": _account,
    "/v2/positions": _positions,
    "/v2/orders": _orders,
    "/v2/orders:by_client_order_id": lambda body: [codec.decode_order(body)],
    "/v2/account/activities": _fills,
    "/v2/assets": lambda body: account_codec.decode_assets(body).values(),
    "/v2/calendar": lambda body: account_codec.decode_calendar(body).sessions,
    "/v2/clock": lambda body: [account_codec.decode_clock(body)],
    "/v2/stocks/quotes/latest": _quotes,
    "/v2/stocks/bars": _bars,
    "/v2/iex": _data_stream,
    "/stream": _trade_updates,
    "refusals": _refusals,
}


# --- what may come through ------------------------------------------------------------------------


def _untrue(value: object) -> str:
    """Return what of a value that was read cannot be true, "" when nothing."""
    match value:
        case Quote(bid_usd=bid, ask_usd=ask):
            good = math.isfinite(bid) and math.isfinite(ask) and 0 < bid <= ask
        case Bar(open_usd=o, high_usd=h, low_usd=low, close_usd=c, volume_shares=v):
            good = all(map(math.isfinite, (o, h, low, c, v))) and 0 < low <= min(o, c) and v >= 0
            good = good and max(o, c) <= h
        case Fill(quantity_shares=quantity, price_usd=price):
            good = _is_owed(quantity, price) and quantity > 0 and price > 0
        case OrderReport(quantity_shares=quantity, filled_shares=filled):
            good = _is_owed(quantity, filled)
        case OrderUpdate(report=report):
            return _untrue(report)
        case AccountReport(cash_usd=cash, equity_usd=equity, positions=positions):
            held = [p.quantity_shares for p in positions.values()]
            good = _is_owed(cash, equity, *held)
        case _:
            good = True
    return "" if good else f"came through: {value!r}"[:300]


def _is_owed(*numbers: Decimal) -> bool:
    return all(number.is_finite() for number in numbers)


# --- spoiling -------------------------------------------------------------------------------------


def _mutated(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    for _ in range(1 + chance.below(3)):
        payload = chance.pick(_MUTATIONS)(payload, every, chance)
    return payload


def _flip(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    if not payload:
        return payload
    at = chance.below(len(payload))
    return payload[:at] + bytes([payload[at] ^ 1 << chance.below(8)]) + payload[at + 1 :]


def _cut(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    return payload[: chance.below(len(payload) + 1)]


def _drop(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    at = chance.below(len(payload) + 1)
    return payload[:at] + payload[at + 1 + chance.below(20) :]


def _repeat(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    at = chance.below(len(payload) + 1)
    return payload[:at] + payload[max(0, at - chance.below(60)) :]


def _splice(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    other = chance.pick(every)
    return payload[: chance.below(len(payload) + 1)] + other[chance.below(len(other) + 1) :]


def _odd_value(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    """Put something else in the place of a value: after one of the colons."""
    colons = payload.count(b":")
    if not colons:
        return chance.pick(ODD_VALUES)
    at = -1
    for _ in range(1 + chance.below(min(colons, 60))):
        at = payload.find(b":", at + 1)
    ends = [e for e in (payload.find(b",", at), payload.find(b"}", at)) if e > 0]
    return payload[: at + 1] + chance.pick(ODD_VALUES) + payload[min(ends, default=len(payload)) :]


def _odd_node(payload: bytes, every: list[bytes], chance: Chance) -> bytes:
    """Put something else in the place of any part of a document that is still one."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return _flip(payload, every, chance)
    part, place = document, None
    for _ in range(chance.below(6)):
        inner = document if place is None else part[place]
        places = list(inner) if isinstance(inner, dict) else range(_length(inner))
        if not places:
            break
        part, place = inner, chance.pick(places)
    odd = chance.pick(ODD_NODES)
    if place is None:
        document = odd
    else:
        part[place] = odd
    return json.dumps(document).encode()


def _length(part: object) -> int:
    return len(part) if isinstance(part, list) else 0


ODD_NODES: tuple[object, ...] = (
    None, math.nan, math.inf, -1, 0, "", "NaN", "-0.01", True, [], {}, "1e400", 10**30, "\ud800",
    "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z", "sell_short", [None], {"": None},
)  # fmt: skip
_MUTATIONS = (_flip, _cut, _drop, _repeat, _splice, _odd_value, *(4 * (_odd_node,)))


# --- what a day's client reads --------------------------------------------------------------------


def _corpus() -> dict[str, list[bytes]]:
    """Return payloads that the exchange sent in a simulated day, by what asked for them."""
    world = World(Wish(seed=SEED, days=1, swarm=CALM, wide=False, speed=SPEED))
    found: dict[str, list[bytes]] = {kind: [] for kind in READERS}
    asked: dict[int, str] = {}
    judge = world.loop.network.watch

    def watch(wire: Wire, data: bytes) -> None:
        judge(wire, data)
        if wire.is_client:
            if data[:4] in (b"GET ", b"POST"):
                asked[id(wire._peer)] = data.split(b" ", 2)[1].partition(b"?")[0].decode()
            return
        kind = asked.get(id(wire), "")
        body = _of_reply(data) if data[:4] == b"HTTP" else _of_frame(data)
        if body and kind in found and len(found[kind]) < KEPT_OF_A_KIND:
            known = [*found[kind], body]
            # The shortest say as much, and are read faster.
            found[kind] = sorted(dict.fromkeys(known), key=len)
        elif body and kind in found and len(body) > len(found[kind][0]):
            found[kind] = sorted({*found[kind][1:], body}, key=len)[:KEPT_OF_A_KIND]

    world.loop.network.watch = watch
    outcome = world.run()
    if outcome.violations:
        raise RuntimeError(f"the day whose answers were to be spoilt: {outcome.violations[0]}")
    posted = [b for b in found["/v2/orders"] if b[:1] == b"{"]
    found["/v2/orders:by_client_order_id"] += posted
    found["/v2/orders"] = [b for b in found["/v2/orders"] if b[:1] == b"["]
    found["/v2/iex"] = _stream_frames(found["/v2/stocks/bars"])
    found["refusals"] = [b'{"code":40310000,"message":"insufficient buying power"}', b"<html>"]
    return found


def _of_reply(data: bytes) -> bytes:
    """Return the body of a whole reply, unpacked."""
    body = data.partition(b"\r\n\r\n")[2]
    with contextlib.suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(body)
    with contextlib.suppress(zlib.error):
        return zlib.decompress(body)
    return body


def _of_frame(data: bytes) -> bytes:
    """Return the payload of a whole, unmasked websocket frame."""
    if len(data) < 4 or data[0] not in (0x81, 0x82):
        return b""
    begin = {126: 4, 127: 10}.get(data[1], 2)
    return data[begin:]


def _stream_frames(pages: list[bytes]) -> list[bytes]:
    frames = []
    for page in pages[:KEPT_OF_A_KIND]:
        bars = json.loads(page).get("bars") or {}
        rows = [{"T": "b", "S": symbol, **row} for symbol in bars for row in bars[symbol][:2]]
        frames.append(json.dumps(rows[:6]).encode())
    return frames

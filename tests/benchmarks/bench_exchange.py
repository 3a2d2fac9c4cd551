"""How fast the exchange is: `python -m tests.benchmarks.bench_exchange`.

The server runs as a process of its own on the default synthetic market; the client is raw sockets
with keep-alive, so that what is measured is the server. Times are medians over many requests.
"""

import json
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median
from typing import Any

from websockets.sync.client import connect

from domain.instruments import Universe
from domain.orders import Side
from exchange.assets import list_assets, shipped_instruments
from exchange.instants import to_ns
from exchange.knobs import Knobs
from exchange.markets.base import Market
from exchange.markets.catalogue import open_market
from exchange.markets.files import FileMarket
from exchange.memory import spare_collections
from exchange.orders import OrderRequest, OrderType, TimeInForce
from exchange.venue import Venue, VenueConfig

ORDERS = 3_000
READS = 300
CLIENTS = 10
OPTIONS = ("--lockstep", "--start", "2026-01-05", "--rate-limit", "900000000")
KEYS = b"APCA-API-KEY-ID: k\r\nAPCA-API-SECRET-KEY: s\r\n"
REAL_MINUTES = Path(__file__).resolve().parents[3] / "shared" / "data" / "minute.parquet"


class Wire:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return a reply's body."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
        self._socket.sendall(head + KEYS + b"\r\n" + body)
        status = int(self._file.readline().split()[1])
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        content = self._file.read(length)
        if status >= 400:
            raise RuntimeError(content.decode())
        return content


@contextmanager
def server(*options: str) -> Iterator[tuple[int, int]]:
    """Run an exchange; yield its port and process id."""
    command = [sys.executable, "-m", "exchange", "--port", "0", *OPTIONS, *options]
    process = subprocess.Popen(
        [*command, "--data-rate-limit", "900000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        yield int(url.rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(30)


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / 100


def measure_wire() -> Iterator[tuple[str, str]]:
    """Yield what the server does a second, and how long its replies take."""
    with server() as (port, pid):
        wire = Wire(port)
        wire.call("POST", "/_exchange/advance", b'{"to": "2026-01-05T16:00:00Z"}')
        symbols = ",".join(a["symbol"] for a in json.loads(wire.call("GET", "/v2/assets")))
        order: dict[str, Any] = {"qty": "1", "side": "buy", "type": "limit", "limit_price": "1"}
        bodies = [
            json.dumps({**order, "symbol": s, "time_in_force": "day"}).encode()
            for s in symbols.split(",")
        ]
        began, used = time.perf_counter(), cpu_s(pid)
        for number in range(ORDERS):
            wire.call("POST", "/v2/orders", bodies[number % len(bodies)])
        took = time.perf_counter() - began
        yield "orders/s, resting limits (>= 1000)", f"{ORDERS / took:,.0f}"
        yield "server CPU per order, us", f"{(cpu_s(pid) - used) / ORDERS * 1e6:,.0f}"
        for path in ("quotes/latest", "trades/latest", "bars/latest", "snapshots"):
            times, used = [], cpu_s(pid)
            for _ in range(READS):
                began = time.perf_counter()
                wire.call("GET", f"/v2/stocks/{path}?symbols={symbols}")
                times.append((time.perf_counter() - began) * 1e3)
            used = (cpu_s(pid) - used) / READS * 1e3
            yield f"66-symbol {path}, ms (<= 2)", f"{median(times):.2f} ({used:.2f} of CPU)"
        yield from measure_stall(port, symbols)
        for length, days in (("1Day", 250), ("15Min", 30)):
            start = "2025-01-05" if days > 100 else "2025-11-20"
            query = f"symbols={symbols}&timeframe={length}&start={start}&limit=10000"
            for state in ("cold", "warm"):
                began = time.perf_counter()
                size = len(wire.call("GET", f"/v2/stocks/bars?{query}"))
                took_ms = (time.perf_counter() - began) * 1e3
                yield f"{length} page, {state}, ms", f"{took_ms:.0f} ({size / 1e6:.1f} MB)"


def measure_stall(port: int, symbols: str) -> Iterator[tuple[str, str]]:
    """Yield how long others wait while thirty sessions of history are made for the first time."""
    query = f"symbols={symbols}&timeframe=30Min&start=2025-11-20&limit=10000"
    reader = threading.Thread(
        target=lambda: Wire(port).call("GET", f"/v2/stocks/bars?{query}"), daemon=True
    )
    other, times = Wire(port), []
    reader.start()
    while reader.is_alive():
        began = time.perf_counter()
        other.call("GET", "/_exchange/clock")
        times.append((time.perf_counter() - began) * 1e3)
    yield "longest wait of another client meanwhile, ms (<= 100)", f"{max(times):.0f}"
    yield "median wait of another client meanwhile, ms", f"{median(times):.1f}"


def listen(port: int, ready: "Synchronized[int]", heard: "Queue[tuple[int, float]]") -> None:
    """Be one client of the data stream; report messages heard and when the last one came."""
    count, last_s = 0, 0.0
    with connect(f"ws://127.0.0.1:{port}/v2/iex", compression=None, max_size=None) as line:
        line.recv()
        line.send('{"action":"auth","key":"k","secret":"s"}')
        line.recv()
        line.send('{"action":"subscribe","trades":["*"],"quotes":["*"],"bars":["*"]}')
        line.recv()
        with ready.get_lock():
            ready.value += 1
        try:
            while True:
                frame = line.recv(timeout=20 if count == 0 else 3)
                assert isinstance(frame, str)
                count += frame.count('"T":')
                last_s = time.monotonic()
        except TimeoutError:
            heard.put((count, last_s))


def measure_streams() -> Iterator[tuple[str, str]]:
    """Yield how many messages a second ten clients hear together, each all of them."""
    with server("--data-connections", str(CLIENTS)) as (port, pid):
        wire = Wire(port)
        wire.call("POST", "/_exchange/advance", b'{"to": "2026-01-05T15:00:00Z"}')
        context = multiprocessing.get_context("fork")
        ready: Synchronized[int] = context.Value("i", 0)
        heard: Queue[tuple[int, float]] = context.Queue()
        clients = [
            context.Process(target=listen, args=(port, ready, heard)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while ready.value < CLIENTS:
            time.sleep(0.05)
        began, used = time.monotonic(), cpu_s(pid)
        wire.call("POST", "/_exchange/advance", b'{"to": "2026-01-05T15:10:00Z"}')
        told_s = time.monotonic() - began
        used = cpu_s(pid) - used
        reports = [heard.get() for _ in clients]
        for client in clients:
            client.join()
    counts = {count for count, _ in reports}
    total = sum(count for count, _ in reports)
    took = max(last_s for _, last_s in reports) - began
    drops = "none dropped" if len(counts) == 1 else f"DROPS: {sorted(counts)}"
    yield f"messages/s to {CLIENTS} clients (>= 20000)", f"{total / took:,.0f} ({total:,}, {drops})"
    yield "messages a second of the server's CPU", f"{total / used:,.0f} (sent in {told_s:.1f} s)"


def measure_core() -> Iterator[tuple[str, str]]:
    """Yield how fast time passes without a wire: working orders in every symbol all session."""
    known = Universe(tuple(shipped_instruments().values()))
    markets: list[tuple[str, Market]] = [
        ("synthetic", open_market("synthetic:1", seed=1, universe=known))
    ]
    if REAL_MINUTES.exists():
        held = FileMarket(REAL_MINUTES, wanted=known.symbols, seed=1).symbols_all
        markets.append(("real minutes", FileMarket(REAL_MINUTES, wanted=held, seed=1)))
    for name, market in markets:
        session = market.calendar.session_of(market.default_start_day())
        assert session is not None
        start_ns = to_ns(session.opens_at)
        config = VenueConfig(seed=1, cash_usd=Decimal(10**9), start_ns=start_ns, knobs=Knobs())
        venue = Venue(market, list_assets(market, {}), config)
        market.tape(session.day)
        venue.advance(start_ns + 60 * 10**9)
        for symbol in market.symbols:
            touch = venue.touch(symbol)
            if touch is None:
                continue
            request = OrderRequest(
                symbol=symbol,
                side=Side.BUY,
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.DAY,
                qty=Decimal(100_000),
                limit_price=touch.bid_usd.quantize(Decimal("0.01")),
            )
            venue.submit(request)
        spare_collections()  # as the exchange's own process does
        began, used = time.perf_counter(), time.process_time()
        events = venue.advance(to_ns(session.closes_at))
        took, used = time.perf_counter() - began, time.process_time() - used
        label = f"{name}: one session, {len(market.symbols)} symbols with a working order, s (<= 3)"
        yield label, f"{took:.2f} ({used:.2f} of CPU, {len(events):,} events)"


def main() -> None:
    """Print the measurements."""
    for label, value in (*measure_wire(), *measure_streams(), *measure_core()):
        print(f"{label:<75} {value}")


if __name__ == "__main__":
    main()

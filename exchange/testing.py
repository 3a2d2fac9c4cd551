"""Exchanges for the tests of a trading bot: in a thread, on a free port, stepped by the test.

With pytest, put `pytest_plugins = ["exchange.testing"]` into the `conftest.py` at the root of your
tests and take the fixtures `lockstep_exchange` or `faulty_exchange`; without it, `serve_exchange`
is a context manager.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from aiohttp import web

from exchange.app import make_app
from exchange.assembly import Wishes, assemble
from exchange.clock import SteppedTime
from exchange.data_stream import DATA_STREAM, DataStream
from exchange.faults.gateway import Gateway
from exchange.faults.plan import Plan
from exchange.faults.script import Script, parse_script
from exchange.instants import to_ns
from exchange.knobs import WireLimits
from exchange.service import Exchange
from exchange.stream import TRADE_STREAM, TradeStream

ANSWER_S = 10.0
"""How long a step may take before a test is told that it hangs."""
CLOSE_S = 0.2
UNHURRIED = WireLimits(trading_per_minute=1_000_000, data_per_minute=1_000_000)
"""Budgets no test exhausts, for market time that stands still."""
HEADERS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
"""Keys that are let in."""


@dataclass(kw_only=True)
class ServedExchange:
    """A running exchange: where it answers, and how to let its market time pass."""

    url: str
    exchange: Exchange
    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    trade_stream: TradeStream
    data_stream: DataStream

    @property
    def stream_url(self) -> str:
        """Where the trading stream is."""
        return self.url.replace("http://", "ws://") + "/stream"

    @property
    def data_stream_url(self) -> str:
        """Where the data stream of the free plan is."""
        return self.url.replace("http://", "ws://") + "/v2/iex"

    @property
    def now_at(self) -> datetime:
        """Market time."""
        return datetime.fromtimestamp(self.exchange.venue.now_ns / 1e9, tz=UTC)

    def advance(self, to: datetime | int) -> None:
        """Let market time go on to an instant (nanoseconds or aware), and the streams be told."""
        to_ns_ = to if isinstance(to, int) else to_ns(to)

        async def step() -> None:
            assert isinstance(self.exchange.time, SteppedTime), "it does not run in lockstep"
            self.exchange.time.step_to(to_ns_)
            self.exchange.step()
            await self.exchange.flush()

        self._wait_for(step)

    def script_faults(self, text: str) -> None:
        """Put the faults of a TOML script in force, besides those that are. Raises BadScript."""
        script = parse_script(text)

        async def add() -> None:
            for rule in script.rules:
                self.gateway.plan.add(rule)
                self.gateway.deeds.enter(rule)
            self.gateway.go_on()

        self._wait_for(add)

    def happened(self) -> list[str]:
        """Return the names of the faults that have happened so far, in order."""
        return [hit.rule.name for hit in list(self.gateway.plan.log)]

    def _wait_for(self, work: Callable[[], object]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self.loop).result(ANSWER_S)  # type: ignore[arg-type]


@contextmanager
def serve(exchange: Exchange, script: Script | None = None) -> Iterator[ServedExchange]:
    """Serve an exchange on a free loopback port while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exchange", daemon=True)
    thread.start()
    app = make_app(exchange)
    script = script or Script()
    gateway = Gateway(exchange, Plan(script.rules, seed=script.seed))
    gateway.stand_before(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        return port

    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(ANSWER_S)
        yield ServedExchange(
            url=f"http://127.0.0.1:{port}",
            exchange=exchange,
            gateway=gateway,
            loop=loop,
            trade_stream=app[TRADE_STREAM],
            data_stream=app[DATA_STREAM],
        )
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(ANSWER_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(ANSWER_S)
        loop.close()


@contextmanager
def serve_exchange(wishes: Wishes | None = None, *, faults: str = "") -> Iterator[ServedExchange]:
    """Make an exchange and serve it while the block runs.

    Without wishes: the synthetic market in lockstep, budgets no test exhausts. `faults` is a
    script in TOML. Raises ConfigurationFault for wishes or a script that cannot be met.
    """
    wishes = wishes or Wishes(limits=UNHURRIED)
    exchange, store = assemble(replace(wishes, lockstep=True))
    try:
        with serve(exchange, parse_script(faults)) as served:
            yield served
    finally:
        if store is not None:
            store.close()


@pytest.fixture
def lockstep_exchange() -> Iterator[ServedExchange]:
    """An exchange on the synthetic market, thirty minutes before its first open."""
    with serve_exchange() as served:
        yield served


@pytest.fixture
def faulty_exchange() -> Iterator[Callable[[str], ServedExchange]]:
    """Call it with a fault script in TOML: an exchange on which those faults are in force."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(serve_exchange(faults=script))

"""An asyncio loop on virtual time with a simulated network: aiohttp runs on it unmodified.

Nothing is waited for: when no callback is ready, time jumps to the next timer. Connections between
clients and servers of the same loop are pairs of in-memory transports whose wires keep their order.
Same program, same run: no thread, no socket traffic, no machine clock takes part. A program that
can never go on raises Deadlock instead of hanging. Processes are contexts (`node.Life`): what
belongs to a dead one never runs again.
"""

import asyncio
import contextvars
import errno
import functools
import heapq
import socket
from asyncio import base_events
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from research.simulation.kernel.chance import Chance
from research.simulation.kernel.network import (
    LATENCY_S,
    Address,
    Network,
    VirtualServer,
    Wire,
)
from research.simulation.kernel.node import NODE, Killed, Life

P = ParamSpec("P")
T = TypeVar("T")

EPOCH_S = 1_760_000_000.0
"""Real time at the start of every run: 2025-10-09 08:53:20 UTC."""
HORIZON_S = 7 * 86_400.0
"""A run that gets this far in virtual time waits for something that never comes."""
CANCELLED_TIMERS_MAX = 100
CONNECT_HANG_S = 3_600.0

__all__ = [
    "EPOCH_S",
    "HORIZON_S",
    "LATENCY_S",
    "Deadlock",
    "Network",
    "VirtualLoop",
    "VirtualServer",
    "Wire",
    "current_loop",
    "in_virtual_time",
    "run_virtually",
]


class Deadlock(RuntimeError):
    """Every task waits and no timer is set: the program can never go on."""


class _NoSelector:
    """There are no file descriptors to close."""

    def close(self) -> None:
        """Nothing is held."""


class VirtualLoop(base_events.BaseEventLoop):
    """The event loop. `time()` starts at 0; `wall()` is what a clock on the wall shows."""

    # BaseEventLoop's own machinery, which its type stubs do not show.
    _scheduled: list[asyncio.TimerHandle]
    _ready: deque[asyncio.Handle]
    _timer_cancelled_count: int

    def __init__(self, *, horizon_s: float = HORIZON_S) -> None:
        super().__init__()
        self._now_s = 0.0
        self._horizon_s = horizon_s
        self._selector = _NoSelector()
        self._clock_resolution = 1e-9
        self.network = Network(self)
        self.steps = 0
        """Callbacks run so far."""
        self.shuffle: Chance | None = None
        """Has tasks that are woken in one turn run in any order; what arrives keeps its own."""
        self.shuffled = 0
        """Turns in which there was an order to change."""
        self._dialled: dict[int, Address] = {}
        self._signal_handlers: dict[tuple[int, int], Callable[[], object]] = {}

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._now_s

    # Like the loop's own, less what guards against other threads: there are none.

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Have something called in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have something called at an instant."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def wall(self) -> float:
        """Return real time in epoch seconds."""
        return EPOCH_S + self._now_s

    # --- turning ------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run what is ready, or move time on to the earliest timer and run that."""
        ready = self._ready
        self._drop_cancelled_timers()
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._jump_to_next_timer()
        scheduled, end_s = self._scheduled, self._now_s + self._clock_resolution
        while scheduled and scheduled[0]._when < end_s:  # type: ignore[attr-defined]
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        if self.shuffle is not None and len(ready) > 1:
            self._shuffle(self.shuffle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                self._run_handle(handle)

    def _shuffle(self, chance: Chance) -> None:
        ready = self._ready
        places = [
            place
            for place, handle in enumerate(ready)
            if isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]
        ]
        self.shuffled += len(places) > 1
        for last in range(len(places) - 1, 0, -1):
            one, other = places[last], places[chance.below(last + 1)]
            ready[one], ready[other] = ready[other], ready[one]

    def _run_handle(self, handle: asyncio.Handle) -> None:
        life = handle._context.get(NODE)  # type: ignore[attr-defined]
        if life is not None:
            if life.is_dead:
                life.graveyard.append(handle)
                return
            life.steps += 1
            if life.steps == life.dies_at_step:
                life.on_death()
                if life.is_dead:
                    life.graveyard.append(handle)
                    return
        self.steps += 1
        handle._run()

    def _drop_cancelled_timers(self) -> None:
        scheduled = self._scheduled
        if (
            self._timer_cancelled_count > CANCELLED_TIMERS_MAX
            and self._timer_cancelled_count * 2 > len(scheduled)
        ):
            kept = []
            for timer in scheduled:
                if timer._cancelled:
                    timer._scheduled = False  # type: ignore[attr-defined]
                else:
                    kept.append(timer)
            heapq.heapify(kept)
            self._scheduled = kept
            self._timer_cancelled_count = 0
            return
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]

    def _jump_to_next_timer(self) -> None:
        if not self._scheduled:
            raise Deadlock(f"every task waits and no timer is set, at {self._now_s:.3f} s")
        self._now_s = max(self._now_s, self._scheduled[0].when())
        if self._now_s > self._horizon_s:
            raise Deadlock(f"{self._horizon_s:.0f} s of virtual time passed: only timers run")

    def _process_events(self, event_list: list[Any]) -> None:
        """No descriptors, no events."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector that would have to be woken."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Refuse: threads take real time."""
        raise RuntimeError(f"threads take real time; {func!r} has no place on a virtual loop")

    # --- processes ----------------------------------------------------------------------------

    def start(self, life: Life, job: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run a coroutine as a process."""
        task = self.create_task(job, name=name, context=life.context)
        life.graveyard.append(task)
        return task

    def kill(self, life: Life, *, silently: bool = False) -> None:
        """End a process now, as kill -9 or, `silently`, a power cut does; nothing of it goes on."""
        if life.is_dead:
            return
        life.is_dead = True
        self.network.bury(life, silently=silently)
        for key in [k for k in self._signal_handlers if k[0] == id(life)]:
            del self._signal_handlers[key]

    def signal(self, life: Life, number: int) -> bool:
        """Send a signal to a process; return whether it handles it."""
        handler = self._signal_handlers.get((id(life), number))
        if handler is not None and not life.is_dead:
            self.call_soon(handler, context=life.context.copy())
        return handler is not None

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Have a signal to the present process handled."""
        self._signal_handlers[(id(NODE.get()), sig)] = functools.partial(callback, *args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Handle a signal no longer."""
        return self._signal_handlers.pop((id(NODE.get()), sig), None) is not None

    # --- the network --------------------------------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """Return the address a name stands for, which is the name."""
        address = "127.0.0.1" if host in ("localhost", None) else str(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port or 0)))]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Dial: aiohttp connects a socket first and wraps it in a transport afterwards."""
        host, port = str(address[0]), int(address[1])
        await self._dial((host, port))
        self._dialled[sock.fileno()] = (host, port)

    async def _dial(self, address: Address) -> None:
        network = self.network
        await asyncio.sleep(network.latency_s())
        if network.chance.hits(network.faults.hang):
            network.count("network.hang")
            await asyncio.sleep(CONNECT_HANG_S)
        refused = network.chance.hits(network.faults.refuse)
        if refused:
            network.count("network.refuse")
        if refused or network.listener_at(*address) is None:
            text = f"nobody listens at {address[0]}:{address[1]}"
            raise ConnectionRefusedError(errno.ECONNREFUSED, text)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **_: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to a listening address of this loop."""
        if sock is not None:
            address = self._dialled.pop(sock.fileno())
            sock.close()
        else:
            address = (str(host), int(port or 0))
            await self._dial(address)
        server = self.network.listener_at(*address)
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {address}")
        protocol = protocol_factory()
        return self.network.join(server, protocol, address), protocol

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **_: Any,
    ) -> VirtualServer:
        """Listen at an address."""
        address = (host or "0.0.0.0", port or self.network.free_port())
        if address in self.network.listeners:
            raise OSError(errno.EADDRINUSE, f"address already in use: {address}")
        server = VirtualServer(self.network, address, protocol_factory, self)
        self.network.listeners[address] = server
        return server

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error, but not the end of a process that was killed in the midst of it."""
        if not isinstance(context.get("exception"), Killed):
            super().call_exception_handler(context)


def current_loop() -> VirtualLoop:
    """Return the running loop, which is a virtual one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns, run to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Make a plain test of an asynchronous one: it runs on a fresh virtual loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtually(cast(Coroutine[Any, Any, None], test(*args, **kwargs)))

    return run

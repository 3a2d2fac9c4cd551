"""An asyncio loop on virtual time with a simulated network: aiohttp runs on it unmodified.

Nothing is waited for: when no callback is ready, time jumps to the next timer. Connections between
clients and servers of the same loop are pairs of in-memory transports whose wires keep their order
and take `Network.latency_s`. Same program, same run: no thread, no socket traffic, no machine
clock takes part. A program that can never go on raises Deadlock instead of hanging.
"""

import asyncio
import contextvars
import errno
import functools
import selectors
import socket
from asyncio import base_events
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")
Address = tuple[str, int]

EPOCH_S = 1_760_000_000.0
"""Real time at the start of every run: 2025-10-09 08:53:20 UTC."""
HORIZON_S = 7 * 86_400.0
"""A run that gets this far in virtual time waits for something that never comes."""
LATENCY_S = 0.0005
FIRST_PORT = 40_000


class Deadlock(RuntimeError):
    """Every task waits and no timer is set: the program can never go on."""


class _NoSelector:
    """There are no file descriptors: to select is to move virtual time on."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout_s is None:
            raise Deadlock(f"every task waits and no timer is set, at {self._loop.time():.3f} s")
        if timeout_s > 0:
            self._loop.jump_to_next_timer()
        return []

    def close(self) -> None:
        """Nothing is held."""


class Wire(asyncio.Transport):
    """One end of a connection. What is written arrives at the other end in order, later."""

    def __init__(
        self, network: "Network", protocol: asyncio.BaseProtocol, local: Address, remote: Address
    ) -> None:
        super().__init__({"peername": remote, "sockname": local})
        self._network = network
        self._protocol = protocol
        # The peer's callbacks run in the context its owner had, not in the writer's.
        self._context = contextvars.copy_context()
        self._peer: Wire | None = None
        self._closing = False
        self._lost = False
        self._paused = False
        self.is_mute = False
        """Whatever is written vanishes, as behind a router that forgot the connection."""
        self._on_the_way: deque[tuple[str, bytes]] = deque()
        self._unread: deque[tuple[str, bytes]] = deque()
        self._arrival_s = 0.0

    def connect(self, peer: "Wire") -> None:
        """Join two ends."""
        self._peer, peer._peer = peer, self

    # --- what asyncio asks of a transport -----------------------------------------------------

    def is_closing(self) -> bool:
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        while self._unread and not self._paused:
            self._deliver(*self._unread.popleft())

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Writes are never held back."""

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._closing:
            self._network.bytes_written += len(data)
            self._send("data", bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._send("eof", b"")

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._send("fin", b"")
            self._network.loop.call_soon(self._lose, None, context=self._context)

    def abort(self) -> None:
        """Reset the connection: both ends lose it, what is on the way is not delivered."""
        if self._lost:
            return
        self._closing = True
        self._on_the_way.clear()
        self._send("rst", b"")
        reset = ConnectionResetError(errno.ECONNRESET, "connection reset (simulated)")
        self._network.loop.call_soon(self._lose, reset, context=self._context)

    # --- the wire -----------------------------------------------------------------------------

    def _send(self, kind: str, data: bytes) -> None:
        peer, network = self._peer, self._network
        if peer is None or self._lost or self.is_mute:
            return
        # Timers due at the same instant fire in no fixed order: the queue keeps the order of what
        # was written, the timer only says that one more item has arrived.
        arrival_s = max(self._arrival_s, network.loop.time() + network.latency_s())
        self._arrival_s = arrival_s
        self._on_the_way.append((kind, data))
        network.loop.call_at(arrival_s, self._arrive, context=peer._context)

    def _arrive(self) -> None:
        if self._on_the_way and self._peer is not None:
            self._peer._receive(*self._on_the_way.popleft())

    def _receive(self, kind: str, data: bytes) -> None:
        if self._lost:
            return
        if (self._paused or self._unread) and kind != "rst":
            self._unread.append((kind, data))
        else:
            self._deliver(kind, data)

    def _deliver(self, kind: str, data: bytes) -> None:
        protocol = cast(asyncio.Protocol, self._protocol)
        if kind == "data":
            protocol.data_received(data)
        elif kind == "eof":
            if not protocol.eof_received():
                self.close()
        elif kind == "fin":
            protocol.eof_received()
            self._lose(None)
        else:
            self._lose(ConnectionResetError(errno.ECONNRESET, "connection reset (simulated)"))

    def _lose(self, cause: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._network.wires.pop(id(self), None)
        self._protocol.connection_lost(cause)


class Network:
    """Who listens where, and every live wire."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self.loop = loop
        self.listeners: dict[Address, VirtualServer] = {}
        self.wires: dict[int, Wire] = {}
        self.bytes_written = 0
        self.connections_opened = 0
        self.latency_s: Callable[[], float] = lambda: LATENCY_S
        """Called for every write, in order; may draw from a seeded generator."""
        self._next_port = FIRST_PORT

    def free_port(self) -> int:
        """Return a port that nobody was given before."""
        self._next_port += 1
        return self._next_port

    def listener_at(self, host: str, port: int) -> "VirtualServer | None":
        """Return the server that answers at an address, one on all interfaces included."""
        return self.listeners.get((host, port)) or self.listeners.get(("0.0.0.0", port))

    def reset_all(self) -> None:
        """Reset every live connection, as a router that restarts does."""
        for wire in list(self.wires.values()):
            wire.abort()

    def mute_all(self) -> None:
        """Let every live connection stand and carry nothing any more."""
        for wire in self.wires.values():
            wire.is_mute = True

    def join(
        self, server: "VirtualServer", protocol: asyncio.BaseProtocol, remote: Address
    ) -> Wire:
        """Connect a client's protocol to a listening server and return the client's end."""
        self.connections_opened += 1
        local = ("127.0.0.1", self.free_port())
        # The server's side lives in the server's context, whoever connects.
        server_protocol = server.context.run(server.protocol_factory)
        server_end = server.context.run(Wire, self, server_protocol, remote, local)
        client_end = Wire(self, protocol, local, remote)
        client_end.connect(server_end)
        for end in (client_end, server_end):
            self.wires[id(end)] = end
        server.context.run(server_protocol.connection_made, server_end)
        protocol.connection_made(client_end)
        return client_end


class _BoundAddress:
    """As much of a listening socket as servers ask for."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        return self._address


class VirtualServer(asyncio.AbstractServer):
    """A listening address."""

    def __init__(
        self,
        network: Network,
        address: Address,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._network = network
        self._address = address
        self.protocol_factory = protocol_factory
        self.context = contextvars.copy_context()
        self.sockets = (_BoundAddress(address),)

    def close(self) -> None:
        self._network.listeners.pop(self._address, None)

    async def wait_closed(self) -> None:
        """Nothing is pending."""

    async def start_serving(self) -> None:
        """It serves from the start."""

    async def serve_forever(self) -> None:
        """Serve until cancelled."""
        await self._network.loop.create_future()

    def is_serving(self) -> bool:
        return self._address in self._network.listeners

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop


class VirtualLoop(base_events.BaseEventLoop):
    """The event loop. `time()` starts at 0; `wall()` is what a clock on the wall shows."""

    # BaseEventLoop's own machinery, which its type stubs do not show.
    _scheduled: list[asyncio.TimerHandle]
    _selector: _NoSelector
    _clock_resolution: float

    def __init__(self, *, horizon_s: float = HORIZON_S) -> None:
        super().__init__()
        self._now_s = 0.0
        self._horizon_s = horizon_s
        self._selector = _NoSelector(self)
        self._clock_resolution = 1e-9
        self.network = Network(self)
        self._dialled: dict[int, Address] = {}

    def time(self) -> float:
        return self._now_s

    def wall(self) -> float:
        """Return real time in epoch seconds."""
        return EPOCH_S + self._now_s

    def jump_to_next_timer(self) -> None:
        """Move time on to the earliest timer."""
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
        raise RuntimeError(f"threads take real time; {func!r} has no place on a virtual loop")

    # --- the network --------------------------------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        address = "127.0.0.1" if host in ("localhost", None) else str(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port or 0)))]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Dial: aiohttp connects a socket first and wraps it in a transport afterwards."""
        host, port = str(address[0]), int(address[1])
        await asyncio.sleep(self.network.latency_s())
        if self.network.listener_at(host, port) is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host}:{port}")
        self._dialled[sock.fileno()] = (host, port)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **_: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        if sock is not None:
            address = self._dialled.pop(sock.fileno())
            sock.close()
        else:
            address = (str(host), int(port or 0))
            await asyncio.sleep(self.network.latency_s())
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
        address = (host or "0.0.0.0", port or self.network.free_port())
        if address in self.network.listeners:
            raise OSError(errno.EADDRINUSE, f"address already in use: {address}")
        server = VirtualServer(self.network, address, protocol_factory)
        self.network.listeners[address] = server
        return server


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

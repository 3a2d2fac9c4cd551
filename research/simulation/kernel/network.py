"""A network in memory: connections whose wires keep their order, and what can befall them."""

import asyncio
import contextvars
import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from research.simulation.kernel.chance import Chance
from research.simulation.kernel.node import Life, is_of

Address = tuple[str, int]
LATENCY_S = 0.0005
FIRST_PORT = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFaults:
    """How often what befalls: shares of connections (refuse, hang) and of segments written."""

    refuse: float = 0.0
    hang: float = 0.0
    split: float = 0.0
    reset: float = 0.0
    black_hole: float = 0.0
    latency_s: tuple[float, float] = (0.0003, 0.003)
    slow: float = 0.0
    slow_s: tuple[float, float] = (0.2, 8.0)


NO_FAULTS = LinkFaults()
Count = Callable[[str], None]
Watch = Callable[["Wire", bytes], None]
Trace = Callable[[float, str, bytes], None]


class Turning(Protocol):
    """As much of an event loop as wires need."""

    def time(self) -> float:
        """Return the loop's seconds."""
        ...

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = ...) -> Any:
        """Have something called in this turn or the next."""
        ...

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = ...
    ) -> Any:
        """Have something called at an instant."""
        ...


class Wire(asyncio.Transport):
    """One end of a connection. What is written arrives at the other end in order, later."""

    def __init__(
        self, network: "Network", protocol: asyncio.BaseProtocol, local: Address, remote: Address
    ) -> None:
        super().__init__({"peername": remote, "sockname": local})
        self._network = network
        self._protocol = protocol
        # The peer's callbacks run in the context its owner had, not in the writer's.
        self.context = contextvars.copy_context()
        self._peer: Wire | None = None
        self._closing = False
        self._lost = False
        self._paused = False
        self.is_mute = False
        """Whatever is written vanishes, as behind a router that forgot the connection."""
        self.is_client = False
        self._on_the_way: deque[tuple[str, bytes]] = deque()
        self._unread: deque[tuple[str, bytes]] = deque()
        self._arrival_s = 0.0

    def connect(self, peer: "Wire") -> None:
        """Join two ends."""
        self._peer, peer._peer = peer, self

    # --- what asyncio asks of a transport -----------------------------------------------------

    def is_closing(self) -> bool:
        """Return whether it closes or is closed."""
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what arrives to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who is handed what arrives."""
        return self._protocol

    def is_reading(self) -> bool:
        """Return whether what arrives is handed on."""
        return not self._paused

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume_reading(self) -> None:
        """Hand on what was kept, and what arrives."""
        self._paused = False
        while self._unread and not self._paused:
            self._deliver(*self._unread.popleft())

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Writes are never held back."""

    def get_write_buffer_size(self) -> int:
        """Return 0."""
        return 0

    def can_write_eof(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, if the network lets them."""
        if not data or self._closing:
            return
        network, sent = self._network, bytes(data)
        network.bytes_written += len(sent)
        network.watch(self, sent)
        network.trace(network.loop.time(), "c" if self.is_client else "s", sent)
        if network.faults is NO_FAULTS or self.is_mute:
            self._send("data", sent)
        else:
            self._send_with_faults(sent, network.faults)

    def _send_with_faults(self, data: bytes, faults: LinkFaults) -> None:
        chance, count = self._network.chance, self._network.count
        if chance.hits(faults.black_hole):
            count("network.black_hole")
            self.is_mute = True
            if self._peer is not None:
                self._peer.is_mute = True
        elif chance.hits(faults.reset):
            count("network.reset")
            self._send("data", data[: chance.below(len(data))])
            self._send("rst", b"")
            self._closing = True
            self._network.loop.call_soon(self._lose, _reset(), context=self.context)
        elif len(data) > 1 and chance.hits(faults.split):
            count("network.split")
            cut = 1 + chance.below(len(data) - 1)
            self._send("data", data[:cut])
            self._send("data", data[cut:])
        else:
            self._send("data", data)

    def writelines(self, list_of_data: Any) -> None:
        """Send bytes."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Say that nothing more is sent."""
        self._send("eof", b"")

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        if not self._closing:
            self._closing = True
            self._send("fin", b"")
            self._network.loop.call_soon(self._lose, None, context=self.context)

    def abort(self) -> None:
        """Reset the connection: both ends lose it, what is on the way is not delivered."""
        if self._lost:
            return
        self._closing = True
        self._on_the_way.clear()
        self._send("rst", b"")
        self._network.loop.call_soon(self._lose, _reset(), context=self.context)

    def die(self, *, silently: bool) -> None:
        """End with the process that held this end; the peer hears of it unless `silently`."""
        if self._lost:
            return
        if not silently:
            self._send("rst", b"")
        self._lost = self._closing = True
        self.is_mute = True
        self._network.wires.pop(id(self), None)
        self._network.buried.append(self)

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
        network.loop.call_at(arrival_s, self._arrive, context=peer.context)

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
            if data:
                protocol.data_received(data)
        elif kind == "eof":
            if not protocol.eof_received():
                self.close()
        elif kind == "fin":
            protocol.eof_received()
            self._lose(None)
        else:
            self._lose(_reset())

    def _lose(self, cause: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._network.wires.pop(id(self), None)
        self._protocol.connection_lost(cause)


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "connection reset (simulated)")


@dataclass(slots=True, eq=False)
class Network:
    """Who listens where, every live wire, and what befalls them."""

    loop: Turning
    listeners: "dict[Address, VirtualServer]" = field(default_factory=dict)
    wires: dict[int, Wire] = field(default_factory=dict)
    buried: list[Wire] = field(default_factory=list)
    bytes_written: int = 0
    connections_opened: int = 0
    faults: LinkFaults = NO_FAULTS
    chance: Chance = field(default_factory=lambda: Chance(0))
    count: Count = lambda what: None
    watch: Watch = lambda wire, data: None
    """Sees every segment at the instant its owner writes it, before anything befalls it."""
    trace: Trace = lambda at_s, side, data: None
    latency_s: Callable[[], float] = lambda: LATENCY_S
    """Called for every write, in order; may draw from a seeded generator."""
    _next_port: int = FIRST_PORT

    def free_port(self) -> int:
        """Return a port that nobody was given before."""
        self._next_port += 1
        return self._next_port

    def listener_at(self, host: str, port: int) -> "VirtualServer | None":
        """Return the server that answers at an address, one on all interfaces included."""
        return self.listeners.get((host, port)) or self.listeners.get(("0.0.0.0", port))

    def use_faults(self, faults: LinkFaults, chance: Chance, count: Count) -> None:
        """Let this befall connections from now on."""
        self.faults, self.chance, self.count = faults, chance, count
        self.latency_s = self._drawn_latency_s

    def _drawn_latency_s(self) -> float:
        if self.chance.hits(self.faults.slow):
            self.count("network.slow")
            return self.chance.between(*self.faults.slow_s)
        return self.chance.between(*self.faults.latency_s)

    def reset_all(self) -> None:
        """Reset every live connection, as a router that restarts does."""
        for wire in list(self.wires.values()):
            wire.abort()

    def mute_all(self) -> None:
        """Let every live connection stand and carry nothing any more."""
        for wire in self.wires.values():
            wire.is_mute = True

    def bury(self, life: Life, *, silently: bool) -> None:
        """End every connection and listener of a process."""
        for wire in list(self.wires.values()):
            if is_of(wire.context, life):
                wire.die(silently=silently)
        for address, server in list(self.listeners.items()):
            if is_of(server.context, life):
                del self.listeners[address]

    def join(
        self, server: "VirtualServer", protocol: asyncio.BaseProtocol, remote: Address
    ) -> Wire:
        """Connect a client's protocol to a listening server and return the client's end."""
        self.connections_opened += 1
        local = ("127.0.0.1", self.free_port())
        # The server's side lives in the server's context, whoever connects.
        server_protocol = server.context.copy().run(server.protocol_factory)
        server_end = server.context.copy().run(Wire, self, server_protocol, remote, local)
        client_end = Wire(self, protocol, local, remote)
        client_end.is_client = True
        client_end.connect(server_end)
        for end in (client_end, server_end):
            self.wires[id(end)] = end
        server.context.copy().run(server_protocol.connection_made, server_end)
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
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._network = network
        self._address = address
        self._loop = loop
        self.protocol_factory = protocol_factory
        self.context = contextvars.copy_context()
        self.sockets = (_BoundAddress(address),)

    def close(self) -> None:
        """Listen no longer."""
        if self._network.listeners.get(self._address) is self:
            del self._network.listeners[self._address]

    async def wait_closed(self) -> None:
        """Nothing is pending."""

    async def start_serving(self) -> None:
        """It serves from the start."""

    async def serve_forever(self) -> None:
        """Serve until cancelled."""
        await self._loop.create_future()

    def is_serving(self) -> bool:
        """Return whether it listens."""
        return self._network.listeners.get(self._address) is self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop it listens on."""
        return self._loop

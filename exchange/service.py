"""The running exchange: venue, market time, budgets, log and streams in one place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from exchange.auth import Credentials
from exchange.clock import MarketTime
from exchange.coverage import Coverage
from exchange.ids import hex_text
from exchange.knobs import WireLimits
from exchange.limits import TokenBucket, full_bucket
from exchange.market_data import MarketData
from exchange.records import VenueEvent, VenueState
from exchange.venue import Venue

Listener = Callable[[list[VenueEvent]], None]
Follower = Callable[[int], None]
Alarm = Callable[[], int | None]
Flush = Callable[[], Awaitable[None]]


class EventLog(Protocol):
    """Where the venue's events survive the process."""

    def append(self, events: list[VenueEvent], now_ns: int) -> None:
        """Keep the events, and that market time has come to `now_ns`."""
        ...

    def wants_saving(self, events: list[VenueEvent]) -> bool:
        """Whether after these events the state should be saved."""
        ...

    def save(self, state: VenueState) -> None:
        """Replace the saved state, so that earlier events need not be redone."""
        ...


class NoLog:
    """Keeps nothing: an exchange without a state directory."""

    def append(self, events: list[VenueEvent], now_ns: int) -> None:
        """Forget the events."""

    def wants_saving(self, events: list[VenueEvent]) -> bool:
        """Never."""
        return False

    def save(self, state: VenueState) -> None:
        """Forget the state."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One venue being served."""

    venue: Venue
    time: MarketTime
    log: EventLog
    credentials: Credentials
    limits: WireLimits
    identity: dict[str, object]
    data: MarketData = field(init=False)
    iex_data: MarketData = field(init=False)
    trading_bucket: TokenBucket = field(init=False)
    data_bucket: TokenBucket = field(init=False)
    listeners: list[Listener] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    flushes: list[Flush] = field(default_factory=list)
    interrupts: list[Follower] = field(default_factory=list)
    """What must happen at instants of its own: each is told how far market time is about to go,
    and may bring the venue up to an earlier instant and act there."""
    requests: int = 0
    wake: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        self.data = MarketData(self.venue.views)
        config = self.venue.config
        seen = Coverage(seed=config.seed, share=config.knobs.iex_bar_share)
        self.iex_data = self.data.covering(seen)
        now_ns = self.venue.now_ns
        self.trading_bucket = full_bucket(self.limits.trading_per_minute, now_ns)
        self.data_bucket = full_bucket(self.limits.data_per_minute, now_ns)

    def step(self) -> int:
        """Bring the venue up to market time, tell everybody, and return that time."""
        now_ns = self.time.now_ns()
        self._interrupt(now_ns)
        self.go_to(now_ns)
        # What the passing of time has put on the agenda may be due by now.
        self._interrupt(now_ns)
        return self.venue.now_ns

    def go_to(self, at_ns: int) -> None:
        """Bring the venue up to an instant and tell everybody what has happened."""
        self.publish(self.venue.advance(at_ns))
        for follower in self.followers:
            follower(self.venue.now_ns)

    def _interrupt(self, now_ns: int) -> None:
        for interrupt in self.interrupts:
            interrupt(now_ns)

    def next_ns(self) -> int:
        """Return when there is something to do or to say next, if nobody asks for anything."""
        rung = (alarm() for alarm in self.alarms)
        return min([self.venue.next_event_ns(), *(at_ns for at_ns in rung if at_ns is not None)])

    def settle(self) -> None:
        """Tell everybody what the request just carried out has caused."""
        self.publish(self.venue.take_events())

    def publish(self, events: list[VenueEvent]) -> None:
        """Log and broadcast events."""
        self.log.append(events, self.venue.now_ns)
        if self.log.wants_saving(events):
            self.log.save(self.venue.state())
        if events:
            for listener in self.listeners:
                listener(events)
            self.wake()

    async def flush(self) -> None:
        """Return once every stream has sent what it was given."""
        for flush in self.flushes:
            await flush()

    def request_id(self) -> str:
        """Return the id of the next reply: a function of seed and count."""
        self.requests += 1
        return hex_text(self.venue.config.seed, "request", self.requests)

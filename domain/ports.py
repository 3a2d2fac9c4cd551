"""The seams between deciding and doing. Each docstring is the contract its tests check."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from domain.calendar import Calendar, Timeframe
from domain.instruments import Symbol
from domain.market import Bar, Market, Quote, Reads
from domain.orders import ApprovedOrder, Bust, Fill, OrderReport, OrderUpdate
from domain.portfolio import AccountReport
from domain.signals import Signals
from domain.snapshot import Snapshot


class Clock(Protocol):
    """Market time. Never goes backwards."""

    def now(self) -> datetime:
        """Return the market instant, aware UTC."""
        ...


class PriceSource(Protocol):
    """Prices of many symbols at once; a symbol that cannot be had is left out, never invented."""

    async def fetch(self, symbols: Sequence[Symbol], *, max_age_s: float) -> dict[Symbol, Quote]:
        """Return the latest quotes; none was received from the venue more than `max_age_s` ago.

        Callers that ask for the same symbol at the same time share one request. A failed part
        never takes the others down. Staleness is to be judged by `Quote.quoted_at`. Raises
        NotAuthorized and nothing else.
        """
        ...

    async def fetch_bars(
        self,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        *,
        start_at: datetime,
        end_at: datetime,
    ) -> dict[Symbol, list[Bar]]:
        """Return every bar with start_at ≤ opened_at ≤ end_at, oldest first, all pages.

        Symbols without bars are missing. Raises VenueUnavailable when the answer is not complete.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConnected:
    """Updates flow from here on; earlier ones may be missing: read the account again first.

    Also yielded when the venue took something back (a busted or corrected trade).
    """

    at: datetime
    is_reconnect: bool


class Broker(Protocol):
    """The account at the venue.

    `submit` is idempotent by client_order_id; updates arrive at least once, in any order.
    """

    async def submit(self, order: ApprovedOrder) -> OrderReport:
        """Place the order. Raises VenueRejected (definite) or VenueUnavailable (ambiguous)."""
        ...

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for cancellation; done or already finished both return. Raises VenueUnavailable."""
        ...

    async def order(self, client_order_id: str) -> OrderReport | None:
        """Return the venue's view of an order, None when it definitely has none."""
        ...

    async def open_orders(self) -> list[OrderReport]:
        """Return every order that can still fill, all pages."""
        ...

    async def fills_since(self, since_at: datetime) -> list[Fill]:
        """Return executions at or after `since_at`, oldest first, all pages."""
        ...

    async def account(self) -> AccountReport:
        """Return cash, equity, buying power and positions as the venue sees them."""
        ...

    async def calendar(self, start: date, end: date) -> Calendar:
        """Return the venue's sessions between two dates, both included."""
        ...

    def updates(self) -> AsyncIterator[OrderUpdate | Fill | Bust | StreamConnected]:
        """Yield what happens to our orders; reconnects by itself, each event at least once.

        Every connection, the first included, starts with StreamConnected. Raises NotAuthorized.
        """
        ...


class StateStore(Protocol):
    """Where a Snapshot survives. `save` is all or nothing, and durable when it returns."""

    def load(self) -> Snapshot | None:
        """Return the last saved snapshot, None before the first. Raises StateCorrupt."""
        ...

    def save(self, snapshot: Snapshot) -> None:
        """Replace the saved snapshot, keeping a few generations. Raises OSError, nothing lost."""
        ...


class Strategy(Protocol):
    """A frozen dataclass of parameters and one pure function: same Market, same Signals.

    Class-level defaults: reads = {bars}, cross_sectional = False, heavy = False.
    """

    @property
    def timeframe(self) -> Timeframe:
        """The bars it decides on."""
        ...

    @property
    def lookback_bars(self) -> int:
        """How many bars it sees, and all it may depend on."""
        ...

    @property
    def reads(self) -> frozenset[Reads]:
        """What it looks at."""
        ...

    @property
    def cross_sectional(self) -> bool:
        """Whether one symbol's opinion depends on other symbols."""
        ...

    def decide(self, market: Market) -> Signals:
        """Return an opinion on every symbol."""
        ...


class Journal(Protocol):
    """The append-only record of what was decided and done.

    A failed write or fsync poisons it: nothing is retried, every later append raises too.
    """

    def append(self, kind: str, fields: Mapping[str, object]) -> int:
        """Write one record and return its sequence number; it may be lost with the power.

        Raises OSError.
        """
        ...

    def append_durable(self, kind: str, fields: Mapping[str, object]) -> int:
        """Write one record; it and all before it are durable when this returns. Raises OSError."""
        ...

"""The real exchange on simulated time, as a process that is killed and comes back with its disk."""

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache

import msgspec
from aiohttp import web

from domain.calendar import OPENING_LEAD
from domain.instruments import Symbol, Universe
from domain.orders import Side
from exchange.__main__ import run_ticker
from exchange.app import make_app
from exchange.assets import list_assets, shipped_instruments
from exchange.auth import Credentials
from exchange.clock import RunningTime
from exchange.errors import Refusal
from exchange.fates import Fate
from exchange.faults.kinds import Kind
from exchange.instants import SECOND_NS, to_ns
from exchange.knobs import FillModel, Knobs, WireLimits
from exchange.markets.synthetic import START_DAY, SyntheticMarket
from exchange.orders import OrderRequest, OrderType, TimeInForce
from exchange.records import EventKind, VenueEvent, VenueState
from exchange.service import Exchange
from exchange.stream import TRADE_STREAM
from exchange.transfers import transfer
from exchange.venue import Venue, VenueConfig, first_state
from research.simulation.eventful import EventfulMarket
from research.simulation.gateway import Count, Gateway
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.loop import VirtualLoop
from research.simulation.kernel.node import Life
from research.simulation.swarm import OtherFaults

HOST, PORT = "127.0.0.1", 8430
URL = f"http://{HOST}:{PORT}"
CASH_USD = Decimal(100_000)
DEPTHS = (0.1, 0.1, 0.01, 0.003)
"""Shares of a tick's volume that may fill: the less, the more orders fill in parts or not."""
MARKETS = 4
"""So many different markets: what a world is worth lies in its faults."""
MARKETS_CACHED_MAX = 64
START_DAYS = 250
SESSION = timedelta(hours=6.5)
LISTENING_S = 0.001


@lru_cache(maxsize=MARKETS_CACHED_MAX)
def _market(seed: int, symbols: tuple[Symbol, ...], *, is_eventful: bool) -> SyntheticMarket:
    known = shipped_instruments()
    universe = Universe(tuple(known[symbol] for symbol in symbols))
    if is_eventful:
        return EventfulMarket(seed=seed, universe=universe, liveliness=1.5)
    return SyntheticMarket(seed=seed, universe=universe, liveliness=1.5)


class DiskLog:
    """What the exchange's own store keeps, in the same writing: its saved state, the events since,
    and how far market time has come. A killed process loses nothing of it."""

    def __init__(self) -> None:
        self._state: bytes | None = None
        self._events: list[bytes] = []
        self._mark_ns = 0

    def append(self, events: list[VenueEvent], now_ns: int) -> None:
        """Keep the events, and that market time has come to `now_ns`."""
        self._events += [msgspec.json.encode(event) for event in events]
        self._mark_ns = max(self._mark_ns, now_ns)

    def wants_saving(self, events: list[VenueEvent]) -> bool:
        """Whether a day has begun."""
        return any(event.kind is EventKind.DAY_BEGUN for event in events)

    def save(self, state: VenueState) -> None:
        """Replace the saved state by one that holds every event so far."""
        self._state = msgspec.json.encode(state)
        self._events = []

    def load(self, first: VenueState) -> tuple[VenueState, list[VenueEvent]]:
        """Return the saved state, or `first`, and the events to redo onto it."""
        state = first if self._state is None else msgspec.json.decode(self._state, type=VenueState)
        events = [msgspec.json.decode(raw, type=VenueEvent) for raw in self._events]
        return replace(state, now_ns=max(state.now_ns, self._mark_ns)), events


class SimulatedVenue:
    """One exchange that serves on the loop, and everything that can be asked of it directly."""

    def __init__(
        self,
        loop: VirtualLoop,
        chance: Chance,
        symbols: Sequence[Symbol],
        *,
        speed: float,
        others: OtherFaults,
    ) -> None:
        self._loop = loop
        self.speed = speed
        self._market = market = _market(
            chance.below(MARKETS), tuple(symbols), is_eventful=others.eventful
        )
        sessions = [s for s in market.calendar.sessions if s.day >= START_DAY]
        session = sessions[chance.below(START_DAYS)]
        self._config = VenueConfig(
            seed=chance.below(1 << 32),
            cash_usd=CASH_USD,
            start_ns=to_ns(session.opens_at - OPENING_LEAD),
            knobs=Knobs(
                fills=FillModel(volume_share_max=chance.fork("depth").pick(DEPTHS)),
                # The daemon looks at regular hours only: making the others would only take time.
                extended_data=False,
                luld_pauses=others.pauses,
            ),
        )
        self._start_day = session.day.isoformat()
        self._log = DiskLog()
        self.days_closed = 0
        self.gateway = Gateway(chance.fork("gateway"))
        self.watchers: list[Callable[[list[VenueEvent]], None]] = [self._note]
        """Hear of everything that happens, whichever process of the exchange it happens in."""
        self._count: Count = lambda what: None
        self._outside = contextvars.copy_context()
        self._starts = 0
        self._life: Life | None = None
        self.dead: list[Life] = []
        self.exchange = self._assemble()

    def _assemble(self) -> Exchange:
        """Return an exchange as of what its disk holds."""
        market, config = self._market, self._config
        state, events = self._log.load(first_state(market, config))
        venue = Venue(market, list_assets(market, shipped_instruments()), config, state)
        venue.redo(events)
        exchange = Exchange(
            venue=venue,
            time=RunningTime(
                market.calendar,
                venue.now_ns,
                speed=self.speed,
                skip_closed=True,
                machine_s=self._loop.wall,
            ),
            log=self._log,
            credentials=Credentials(),
            limits=WireLimits(),
            identity={
                "market": market.name,
                "seed": config.seed,
                "start": self._start_day,
                "cash_usd": str(CASH_USD),
                "corporate_actions": bool(market.actions),
            },
        )
        exchange.listeners.append(self._tell)
        return exchange

    @property
    def venue(self) -> Venue:
        """The matching core: the truth."""
        return self.exchange.venue

    async def serve(self, count: Count) -> None:
        """Listen, and let market time pass, for as long as the process lives."""
        self._count = count
        self._start()
        while (HOST, PORT) not in self._loop.network.listeners:  # noqa: ASYNC110
            await asyncio.sleep(LISTENING_S)

    def _start(self) -> None:
        self._starts += 1
        self._life = life = Life(f"exchange-{self._starts}")
        self._loop.start(life, self._serve(self.exchange), life.name)

    async def _serve(self, exchange: Exchange) -> None:
        app = make_app(exchange)
        stream = app[TRADE_STREAM]
        self.gateway.stand_before(app, self._count, self._loop)
        exchange.listeners.remove(stream.broadcast)
        exchange.listeners.append(self.gateway.broadcaster(stream.broadcast))
        stream.spoil = self.gateway.spoil
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, PORT).start()
        await run_ticker(exchange)

    # --- ends ---------------------------------------------------------------------------------

    def kill(self, delay_s: float) -> None:
        """End the exchange's process now; start another on its disk after a while. Market time
        stands still meanwhile."""
        life = self._life
        if life is None:
            return
        self._count("exchange.kill")
        life.graveyard.append(self.exchange)
        self._loop.kill(life)
        self.dead.append(life)
        self._life = None
        self._loop.call_later(delay_s, self.start_now, context=self._outside.copy())

    def start_now(self) -> None:
        """Start it unless it runs."""
        if self._life is None:
            self.exchange = self._assemble()
            self._start()

    def let_go(self) -> None:
        """Forget every process that was."""
        for life in (*self.dead, *([self._life] if self._life else [])):
            life.is_dead = True
            life.graveyard.clear()
        self.dead.clear()

    # --- others -------------------------------------------------------------------------------

    def order_by_another(self, symbol: Symbol, side: Side, shares: Decimal) -> None:
        """Trade on the account as somebody else would, at market; a refusal changes nothing."""
        if self._life is None:
            return
        request = OrderRequest(
            symbol=symbol,
            side=side,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            qty=shares,
        )
        self.exchange.step()
        try:
            self.venue.submit(request)
        except Refusal:
            return
        self._count(Kind.BY_HAND)
        self.exchange.settle()

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self._life is not None

    def halt(self, symbol: Symbol, reason: str, *, lasts_s: float) -> None:
        """Halt a symbol for so many market seconds."""
        self.exchange.step()
        until_ns = self.venue.now_ns + int(lasts_s) * SECOND_NS
        self.venue.halt(symbol, reason, until_ns)
        self.exchange.settle()

    def turn(self, order_id: str, fate: Fate) -> None:
        """Let a fate befall an order."""
        self.exchange.step()
        self.venue.fates.turn(order_id, fate)
        self.exchange.settle()

    def bust(self, execution_id: str) -> None:
        """Take an execution back, where that can be."""
        self.exchange.step()
        self.venue.fates.bust(execution_id)
        self.exchange.settle()

    def correct(self, execution_id: str, factor: float) -> None:
        """Give an execution another price."""
        self.exchange.step()
        self.venue.fates.correct(execution_id, factor)
        self.exchange.settle()

    def resume(self, symbol: str) -> None:
        """Let a halted symbol trade again."""
        self.exchange.step()
        self.venue.resume(symbol)
        self.exchange.settle()

    def transfer(self, amount_usd: Decimal) -> None:
        """Bring (> 0) or take money; what is not there is not taken."""
        self.exchange.step()
        if self.venue.account.cash + amount_usd >= 0:
            transfer(self.venue.register, amount_usd)
        self.exchange.settle()

    def set_blocked(self, *, is_blocked: bool) -> None:
        """Let the account order nothing, or again."""
        self.exchange.step()
        configuration = self.venue.register.configuration
        self.venue.configure(replace(configuration, is_blocked=is_blocked))
        self.exchange.settle()

    def cancel_of_others(self, is_ours: Callable[[str], bool]) -> None:
        """Cancel what somebody else has working."""
        self.exchange.step()
        for order in self.venue.book.open_orders():
            if not is_ours(order.client_order_id):
                self.venue.cancel(order.id)
        self.exchange.settle()

    # --- what is known of it ------------------------------------------------------------------

    def _tell(self, events: list[VenueEvent]) -> None:
        for watcher in self.watchers:
            watcher(events)

    def _note(self, events: list[VenueEvent]) -> None:
        self.days_closed += sum(e.kind is EventKind.DAY_CLOSED for e in events)

    def days_traded(self) -> float:
        """Return how many sessions have passed, a part of today's included."""
        left = self.until_close()
        return self.days_closed + (0.0 if left is None else 1.0 - left / SESSION)

    def until_close(self) -> timedelta | None:
        """Return how much of today's session is left, None outside it."""
        now = self.exchange.time.clock.market_time(self._loop.wall())
        session = self.venue.market.calendar.session_at(now)
        return None if session is None else session.closes_at - now

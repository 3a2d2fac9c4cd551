"""From what the operator asked for to an exchange ready to be served."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from domain.calendar import OPENING_LEAD, Session
from domain.errors import ConfigurationFault, Refused
from domain.instruments import Universe
from exchange.assets import list_assets, shipped_instruments
from exchange.auth import Credentials
from exchange.clock import MarketTime, RunningTime, SteppedTime, machine_s
from exchange.instants import to_ns
from exchange.knobs import DEFAULT_KNOBS, Knobs, WireLimits
from exchange.markets.base import Market
from exchange.markets.catalogue import open_market
from exchange.service import Exchange, NoLog
from exchange.store import Identity, Store
from exchange.venue import Venue, VenueConfig, first_state

DEFAULT_MARKET = "synthetic"
DEFAULT_SEED = 1
DEFAULT_CASH_USD = Decimal(100_000)
STATE_FOLDER = "exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator asked for; None = nothing said, so what is stored or the default holds."""

    market: str | None = None
    seed: int | None = None
    start: date | None = None
    corporate_actions: bool | None = None
    """None: as the stored state has it, else yes: a file's are those beside its bars."""
    cash_usd: Decimal | None = None
    speed: float = 1.0
    skip_closed: bool | None = None
    lockstep: bool = False
    state_dir: Path | None = None
    credentials: Credentials = field(default_factory=Credentials)
    limits: WireLimits = field(default_factory=WireLimits)
    machine_s: Callable[[], float] = machine_s
    """Where real time comes from; a simulation hands in its loop's."""
    knobs: Knobs = DEFAULT_KNOBS


def assemble(wishes: Wishes) -> tuple[Exchange, Store | None]:
    """Return the exchange and the store it must be closed with.

    Raises ConfigurationFault for wishes that cannot be met, Refused for a state directory that
    belongs to another exchange, StateCorrupt for one that cannot be read.
    """
    if wishes.state_dir is None:
        return _build(wishes, None), None
    store = Store(wishes.state_dir / STATE_FOLDER)
    try:
        return _build(wishes, store), store
    except (ConfigurationFault, Refused):
        store.close()
        raise


def _build(wishes: Wishes, store: Store | None) -> Exchange:
    stored = store.identity() if store else None
    market = _open(wishes, stored)
    identity = _identity(wishes, market, stored)
    if stored is not None and stored != identity:
        assert store is not None
        raise Refused(_difference(store.folder, stored, identity))
    session = _session(market, date.fromisoformat(identity.start))
    config = VenueConfig(
        seed=identity.seed,
        cash_usd=Decimal(identity.cash_usd),
        start_ns=to_ns(session.opens_at - OPENING_LEAD),
        knobs=wishes.knobs,
    )
    venue = _venue(market, config, store)
    if store is not None and stored is None:
        store.write_identity(identity)
    return Exchange(
        venue=venue,
        time=_time(wishes, venue),
        log=store or NoLog(),
        credentials=wishes.credentials,
        limits=wishes.limits,
        identity={
            "market": identity.market,
            "seed": identity.seed,
            "start": identity.start,
            "cash_usd": identity.cash_usd,
            "corporate_actions": identity.corporate_actions,
        },
    )


def _open(wishes: Wishes, stored: Identity | None) -> Market:
    spec = wishes.market or (stored.market if stored else DEFAULT_MARKET)
    seed = wishes.seed if wishes.seed is not None else (stored.seed if stored else DEFAULT_SEED)
    known = Universe(tuple(shipped_instruments().values()))
    wanted = wishes.corporate_actions
    if wanted is None:
        wanted = stored.corporate_actions if stored is not None else True
    return open_market(spec, seed=seed, universe=known, with_actions=wanted)


def _identity(wishes: Wishes, market: Market, stored: Identity | None) -> Identity:
    """Return what the exchange would be: what is wished for, else stored, else the default."""
    if wishes.start is not None:
        start = _session(market, wishes.start).day.isoformat()
    else:
        start = stored.start if stored else market.default_start_day().isoformat()
    cash_usd = wishes.cash_usd or (Decimal(stored.cash_usd) if stored else DEFAULT_CASH_USD)
    seed = wishes.seed if wishes.seed is not None else (stored.seed if stored else DEFAULT_SEED)
    return Identity(
        market=market.name,
        seed=seed,
        start=start,
        cash_usd=str(cash_usd),
        corporate_actions=len(market.actions) > 0,
    )


def _difference(folder: Path, stored: Identity, wished: Identity) -> str:
    parts = [
        f"{name} {getattr(stored, name)} there, {getattr(wished, name)} asked for"
        for name in ("market", "seed", "start", "cash_usd", "corporate_actions")
        if getattr(stored, name) != getattr(wished, name)
    ]
    return (
        f"{folder} holds the state of another exchange: {'; '.join(parts)}. "
        "Ask for what is there, or name another state directory"
    )


def _session(market: Market, day: date) -> Session:
    last = market.last_day or date.max
    for session in market.calendar.sessions:
        if market.first_day <= session.day <= last and session.day >= day:
            return session
    raise ConfigurationFault(
        f"market {market.name} has no session from {day} on; "
        f"it knows {market.first_day} to {market.last_day or 'the end of its calendar'}"
    )


def _venue(market: Market, config: VenueConfig, store: Store | None) -> Venue:
    assets = list_assets(market, shipped_instruments())
    first = first_state(market, config)
    if store is None:
        return Venue(market, assets, config, first)
    state, events = store.load(first)
    venue = Venue(market, assets, config, state)
    venue.redo(events)
    return venue


def _time(wishes: Wishes, venue: Venue) -> MarketTime:
    calendar = venue.market.calendar
    if wishes.lockstep:
        return SteppedTime(calendar, venue.now_ns)
    skip_closed = wishes.skip_closed if wishes.skip_closed is not None else wishes.speed > 1
    return RunningTime(
        calendar,
        venue.now_ns,
        speed=wishes.speed,
        skip_closed=skip_closed,
        machine_s=wishes.machine_s,
    )

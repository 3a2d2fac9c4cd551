"""A small market written by hand, a venue on it, and an exchange served from a thread."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import orjson
from aiohttp import web

from domain.calendar import Calendar, Session
from domain.orders import Side
from exchange.app import make_app
from exchange.assets import Asset, list_assets
from exchange.auth import Credentials
from exchange.clock import SteppedTime
from exchange.corporate_actions import NO_ACTIONS, ActionTable
from exchange.faults.script import parse_script
from exchange.instants import to_ns
from exchange.knobs import FillModel, Knobs, WireLimits
from exchange.markets.base import DailyBars, SessionTape
from exchange.orders import OrderRequest, OrderType, TimeInForce
from exchange.service import Exchange, NoLog
from exchange.testing import ServedExchange, serve
from exchange.venue import Venue, VenueConfig

TICKS_PER_MINUTE = 2
MINUTES = 10
TICKS = TICKS_PER_MINUTE * MINUTES
MONDAY = date(2026, 1, 5)
DAYS = tuple(MONDAY + timedelta(days=n) for n in (0, 1, 2, 3, 4, 7, 8))
HALF_SPREAD_USD = 0.01
EXACT_FILLS = FillModel(volume_share_max=0.1, slippage_bps=0.0, impact_bps=0.0)
EXACT = Knobs(fills=EXACT_FILLS, opg_cutoff_minutes=0, cls_cutoff_minutes=0, extended_data=False)
"""Sessions of ten minutes leave no room for cut-offs, and the rest of the day to nobody."""
PLENTY = replace(EXACT, fills=FillModel(volume_share_max=1e6, slippage_bps=0.0, impact_bps=0.0))


def session_on(day: date) -> Session:
    """A ten-minute session from 14:30 UTC."""
    opens_at = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return Session(day=day, opens_at=opens_at, closes_at=opens_at + timedelta(minutes=MINUTES))


def tick_ns(tick: int, day: date = MONDAY) -> int:
    """The instant of a tick."""
    step_ms = 60_000 // TICKS_PER_MINUTE
    return to_ns(session_on(day).opens_at) + ((tick + 1) * step_ms - 1) * 1_000_000


def open_ns(day: date = MONDAY) -> int:
    return to_ns(session_on(day).opens_at)


def close_ns(day: date = MONDAY) -> int:
    return to_ns(session_on(day).closes_at)


@dataclass(kw_only=True, eq=False)
class HandMarket:
    """Sessions of ten minutes, two ticks a minute; prices as written, else `flat_usd`.

    `ticks[day][symbol]` are the last trade prices, `shares[day][symbol]` what traded at each.
    """

    symbols: tuple[str, ...] = ("AAA", "BBB")
    days: tuple[date, ...] = DAYS
    flat_usd: float = 100.0
    flat_shares: float = 1000.0
    ticks: dict[date, dict[str, Sequence[float]]] = field(default_factory=dict)
    shares: dict[date, dict[str, Sequence[float]]] = field(default_factory=dict)
    name: str = "hand"
    actions: ActionTable = NO_ACTIONS

    def __post_init__(self) -> None:
        after = [self.days[-1] + timedelta(days=n) for n in range(1, 400)]
        self.calendar = Calendar.of(session_on(d) for d in (*self.days, *after) if d.weekday() < 5)
        self.first_day = self.days[0]
        self.last_day = self.days[-1]

    def default_start_day(self, warmup_sessions: int | None = None) -> date:
        return self.days[0]

    def tape(self, day: date) -> SessionTape:
        if day not in self.days:
            raise LookupError(day)
        ticks = np.array([self._row(self.ticks, day, s, self.flat_usd) for s in self.symbols])
        shares = np.array([self._row(self.shares, day, s, self.flat_shares) for s in self.symbols])
        session = session_on(day)
        return _tape(session, self.symbols, ticks, shares, self._closes_before(day))

    def daily(self, first: date, last: date) -> DailyBars:
        days = tuple(d for d in self.days if first <= d <= last)
        tapes = [self.tape(d) for d in days]
        n = len(self.symbols)

        def columns(rows: list[np.ndarray]) -> np.ndarray:
            return np.column_stack(rows) if rows else np.empty((n, 0))

        return DailyBars(
            days=days,
            open=columns([t.tick_usd[:, 0] for t in tapes]),
            high=columns([t.tick_usd.max(axis=1) for t in tapes]),
            low=columns([t.tick_usd.min(axis=1) for t in tapes]),
            close=columns([t.official_close_usd for t in tapes]),
            volume=columns([t.volume.sum(axis=1) for t in tapes]),
        )

    def _closes_before(self, day: date) -> np.ndarray:
        index = self.days.index(day)
        if index == 0:
            return np.full(len(self.symbols), self.flat_usd)
        before = self.days[index - 1]
        closes = [self._row(self.ticks, before, s, self.flat_usd)[-1] for s in self.symbols]
        ratios = [float(self.actions.split_ratio(s, before, day)) for s in self.symbols]
        return np.array(closes) / np.array(ratios)

    def _row(
        self,
        known: Mapping[date, Mapping[str, Sequence[float]]],
        day: date,
        symbol: str,
        flat: float,
    ) -> list[float]:
        row = list(known.get(day, {}).get(symbol, ()))
        last = row[-1] if row else flat
        return row + [last] * (TICKS - len(row))


def _tape(
    session: Session,
    symbols: tuple[str, ...],
    ticks: np.ndarray,
    shares: np.ndarray,
    closes_before: np.ndarray,
) -> SessionTape:
    n = len(symbols)
    by_minute = ticks.reshape(n, MINUTES, TICKS_PER_MINUTE)
    volumes = shares.reshape(n, MINUTES, TICKS_PER_MINUTE)
    opened = int(session.opens_at.timestamp()) + 60 * np.arange(MINUTES, dtype=np.int64)
    return SessionTape(
        session=session,
        symbols=symbols,
        opened_at_s=opened,
        open=by_minute[:, :, 0],
        high=by_minute.max(axis=2),
        low=by_minute.min(axis=2),
        close=by_minute[:, :, -1],
        volume=volumes.sum(axis=2),
        trade_count=np.full((n, MINUTES), 10.0),
        vwap=by_minute.mean(axis=2),
        ticks_per_minute=TICKS_PER_MINUTE,
        tick_usd=ticks,
        tick_shares=shares,
        half_spread_usd=np.full((n, MINUTES), HALF_SPREAD_USD),
        previous_close_usd=closes_before,
        official_close_usd=ticks[:, -1],
    )


def random_market(
    seed: int, symbols: tuple[str, ...] = ("AAA", "BBB"), actions: ActionTable = NO_ACTIONS
) -> HandMarket:
    """A market whose prices wander in cents, split when told to, and whose ticks sometimes trade
    nothing."""
    dice = np.random.default_rng(seed)
    ticks: dict[date, dict[str, Sequence[float]]] = {}
    shares: dict[date, dict[str, Sequence[float]]] = {}
    for day in DAYS:
        ticks[day], shares[day] = {}, {}
        for symbol in symbols:
            steps = dice.integers(-60, 61, TICKS).cumsum()
            base = 100 / float(actions.split_ratio(symbol, DAYS[0], day))
            ticks[day][symbol] = [float(x) for x in np.round(base + steps / 100, 2)]
            traded = dice.integers(0, 400, TICKS) * (dice.random(TICKS) > 0.2)
            shares[day][symbol] = [float(x) for x in traded]
    return HandMarket(symbols=symbols, ticks=ticks, shares=shares, actions=actions)


def make_venue(
    market: HandMarket | None = None,
    *,
    at_ns: int | None = None,
    knobs: Knobs = EXACT,
    cash_usd: Decimal = Decimal(100_000),
    seed: int = 7,
    assets: Mapping[str, Asset] | None = None,
) -> Venue:
    """A venue a minute before the first session's open, advanced to `at_ns` if given."""
    market = market or HandMarket()
    start_ns = open_ns(market.days[0]) - 60_000_000_000
    config = VenueConfig(seed=seed, cash_usd=cash_usd, start_ns=start_ns, knobs=knobs)
    venue = Venue(market, assets or list_assets(market, {}), config)
    if at_ns is not None:
        venue.advance(at_ns)
    return venue


def buy(symbol: str = "AAA", qty: str = "10", **fields: object) -> OrderRequest:
    """A buy, at market for the day unless the fields say otherwise."""
    return ask(Side.BUY, symbol, qty, **fields)


def sell(symbol: str = "AAA", qty: str = "10", **fields: object) -> OrderRequest:
    """A sell, at market for the day unless the fields say otherwise."""
    return ask(Side.SELL, symbol, qty, **fields)


def ask(side: Side, symbol: str, qty: str, **fields: object) -> OrderRequest:
    """A request; `limit`, `stop` set price and type."""
    limit, stop = fields.pop("limit", None), fields.pop("stop", None)
    kind = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }[limit is not None, stop is not None]
    values: dict[str, object] = {
        "symbol": symbol,
        "side": side,
        "type": kind,
        "time_in_force": TimeInForce.DAY,
        "qty": Decimal(qty),
        "limit_price": None if limit is None else Decimal(str(limit)),
        "stop_price": None if stop is None else Decimal(str(stop)),
        **fields,
    }
    return OrderRequest(**values)  # type: ignore[arg-type]


UNLIMITED = WireLimits(trading_per_minute=1_000_000, data_per_minute=1_000_000)


def make_exchange(
    venue: Venue | None = None,
    *,
    limits: WireLimits = UNLIMITED,
    credentials: Credentials | None = None,
) -> Exchange:
    """An exchange in lockstep that keeps nothing."""
    venue = venue or make_venue()
    return Exchange(
        venue=venue,
        time=SteppedTime(venue.market.calendar, venue.now_ns),
        log=NoLog(),
        credentials=credentials or Credentials(),
        limits=limits,
        identity={"market": venue.market.name, "seed": 7, "start": "2026-01-05", "cash_usd": "0"},
    )


def make_served_app(exchange: Exchange | None = None) -> web.Application:
    """The application of an exchange, for aiohttp's own test server."""
    return make_app(exchange or make_exchange())


Served = ServedExchange


@contextmanager
def served(exchange: Exchange | None = None, faults: str = "") -> Iterator[Served]:
    """Serve an exchange while the block runs, the faults of a script in force."""
    with serve(exchange or make_exchange(), parse_script(faults)) as running:
        yield running


KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}


def as_json(body: object) -> bytes:
    """A JSON body."""
    return orjson.dumps(body)

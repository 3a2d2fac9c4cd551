"""From settings to a venue: which one, and what the daemon's connection to it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from daemon.alpaca.bar_stream import BarStream
from daemon.alpaca.client import AlpacaApi, Credentials
from daemon.alpaca.market_data import AlpacaMarketData, DataPlan
from daemon.alpaca.stream import StreamEndpoint
from daemon.alpaca.trading import AlpacaBroker
from daemon.backoff import Jitter
from daemon.budget import BudgetLimits, RequestBudget
from daemon.clock import ClockPace, LockstepClock, LockstepPace, Pace, SystemClock, VenueClock
from daemon.embedded import ExchangeIdentity
from daemon.fetcher import PriceFetcher
from daemon.mornings import Sources as MorningSources
from daemon.settings import Settings
from daemon.settings_rules import rights_of
from daemon.streamed_bars import StreamedBars
from domain.instruments import Symbol
from domain.ports import Clock
from risk.view import AssetRights

PAPER_TRADING_URL = "https://paper-api.alpaca.markets"
PAPER_STREAM_URL = "wss://paper-api.alpaca.markets/stream"
DATA_URL = "https://data.alpaca.markets"
DATA_STREAM_URL = "wss://stream.data.alpaca.markets"
CANCEL_SHARE = 0.2
"""The part of the trading budget that is kept for cancels and closes."""
EMBEDDED_KEYS = ("embedded", "embedded")
"""The embedded exchange takes any pair of keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueUrls:
    """Where a venue's four interfaces are; REST bases without /v2, the data stream's without
    its feed."""

    trading: str
    data: str
    stream: str
    data_stream: str


def urls_of(settings: Settings) -> VenueUrls:
    """Return the venue's addresses."""
    if settings.venue == "paper":
        return VenueUrls(
            trading=PAPER_TRADING_URL,
            data=DATA_URL,
            stream=PAPER_STREAM_URL,
            data_stream=DATA_STREAM_URL,
        )
    base = settings.exchange_url.rstrip("/")
    streams = base.replace("http://", "ws://", 1)
    return VenueUrls(trading=base, data=base, stream=streams + "/stream", data_stream=streams)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The clients of one venue."""

    broker: AlpacaBroker
    prices: PriceFetcher
    trading_budget: RequestBudget
    data_budget: RequestBudget


def venue_time(identity: ExchangeIdentity | None) -> tuple[Clock, Pace]:
    """Return the clock and pace of the exchange, of the real world without one."""
    if identity is None:
        clock = SystemClock()
        return clock, ClockPace(clock)
    if identity.lockstep:
        stepped = LockstepClock(identity.now)
        return stepped, LockstepPace(stepped)
    venue_clock = VenueClock(identity.clock)
    return venue_clock, ClockPace(venue_clock, speed=identity.speed)


def connect(
    settings: Settings, session: aiohttp.ClientSession, *, clock: Clock, pace: Pace, jitter: Jitter
) -> Connection:
    """Return the clients of the venue; nothing is sent yet."""
    urls, credentials = urls_of(settings), _credentials(settings)
    trading = RequestBudget(
        BudgetLimits(per_minute=settings.trading_requests_per_minute, cancel_share=CANCEL_SHARE),
        pace=pace,
        jitter=jitter,
    )
    data = RequestBudget(
        BudgetLimits(per_minute=settings.data_requests_per_minute), pace=pace, jitter=jitter
    )
    plan = DataPlan(feed=settings.data_feed, concurrent_requests=settings.max_concurrent_requests)
    trading_api = AlpacaApi(session, urls.trading, credentials, budget=trading, jitter=jitter)
    data_api = AlpacaApi(session, urls.data, credentials, budget=data, jitter=jitter)
    source = AlpacaMarketData(data_api, plan, clock=clock)
    endpoint = StreamEndpoint(url=urls.stream, credentials=credentials)
    return Connection(
        broker=AlpacaBroker(trading_api, endpoint, clock=clock, jitter=jitter),
        prices=PriceFetcher(source, pace=pace),
        trading_budget=trading,
        data_budget=data,
    )


def streamed_bars(
    settings: Settings,
    connection: Connection,
    session: aiohttp.ClientSession,
    symbols: Sequence[Symbol],
    *,
    clock: Clock,
    jitter: Jitter,
) -> StreamedBars | None:
    """Return the connection's prices with bars from the data stream, None where the settings want
    bars fetched; nothing is sent yet."""
    if settings.bar_source == "rest":
        return None
    url = f"{urls_of(settings).data_stream}/v2/{settings.data_feed}"
    stream = BarStream(
        session,
        StreamEndpoint(url=url, credentials=_credentials(settings)),
        symbols,
        clock=clock,
        jitter=jitter,
        invalid=connection.prices.invalid,
    )
    return StreamedBars(connection.prices, stream)


def _credentials(settings: Settings) -> Credentials:
    key, secret = settings.alpaca_api_key, settings.alpaca_secret_key
    if settings.venue == "embedded" or key is None or secret is None:
        # Real keys are never shown to anyone but Alpaca.
        return Credentials(key_id=EMBEDDED_KEYS[0], secret_key=SecretStr(EMBEDDED_KEYS[1]))
    return Credentials(key_id=key.get_secret_value(), secret_key=secret)


def mornings(connection: Connection) -> MorningSources:
    """Return where what is read before a session comes from."""
    broker = connection.broker

    async def rights() -> Mapping[Symbol, AssetRights]:
        return {symbol: rights_of(facts) for symbol, facts in (await broker.assets()).items()}

    async def one(symbol: Symbol) -> AssetRights:
        return rights_of(await broker.asset(symbol))

    actions = connection.prices.corporate_actions
    return MorningSources(actions=actions, rights=rights, rights_of=one)

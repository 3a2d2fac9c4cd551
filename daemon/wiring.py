"""From settings to parts: the only file that chooses what everything is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from allocation.rules import AllocationRules, Combination
from daemon.alpaca.account_codec import AssetFacts
from daemon.alpaca.bar_stream import BarStream
from daemon.alpaca.client import AlpacaApi, Credentials
from daemon.alpaca.market_data import AlpacaMarketData, DataPlan
from daemon.alpaca.stream import StreamEndpoint
from daemon.alpaca.trading import AlpacaBroker
from daemon.backoff import Jitter
from daemon.budget import BudgetLimits, RequestBudget
from daemon.clock import ClockPace, LockstepClock, LockstepPace, Pace, SystemClock, VenueClock
from daemon.embedded import ExchangeIdentity
from daemon.engine.panels import VOLUME_DAYS
from daemon.engine.rules import EngineRules, OrderStyle, StrategyEntry
from daemon.fetcher import PriceFetcher
from daemon.mornings import Sources as MorningSources
from daemon.registry import SHIPPED_FOLDER, Discovery, EnlistedStrategy, discover, enlist
from daemon.settings import Settings
from daemon.streamed_bars import StreamedBars
from domain.instruments import Symbol, Universe
from domain.money import FRACTIONAL_LOT, WHOLE_SHARE
from domain.orders import TimeInForce
from domain.ports import Clock
from domain.signals import StrategyName
from risk.breakers import BreakerLimits
from risk.gate import RiskGate
from risk.limits import SETTING_OF, RiskLimits
from risk.prices import ExitPricing
from risk.rules import all_rules
from risk.view import AssetRights

PAPER_TRADING_URL = "https://paper-api.alpaca.markets"
PAPER_STREAM_URL = "wss://paper-api.alpaca.markets/stream"
DATA_URL = "https://data.alpaca.markets"
DATA_STREAM_URL = "wss://stream.data.alpaca.markets"
CANCEL_SHARE = 0.2
"""The part of the trading budget that is kept for cancels and closes."""
APPROVAL_TTL_S = 30.0
"""Market time for which a judgement holds: what was true of prices then may not be now."""
EMBEDDED_KEYS = ("embedded", "embedded")
"""The embedded exchange takes any pair of keys."""
REVERSION = frozenset({"rsi_reversion", "mean_reversion"})
"""Strategies that take profits; a trend is left when it turns."""


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


def discover_strategies(settings: Settings) -> Discovery:
    """Return the strategy files of the program and of the user's folder."""
    folders = [SHIPPED_FOLDER]
    if settings.strategies_dir.is_dir():
        folders.append(Path(settings.strategies_dir))
    return discover(folders)


def enlist_strategies(
    settings: Settings, discovery: Discovery
) -> Mapping[StrategyName, EnlistedStrategy]:
    """Return every strategy by name, enabled ones first. Raises ConfigurationFault."""
    enlisted = enlist(settings.strategies, discovery, bar_timeframe=settings.bar_timeframe)
    return {strategy.name: strategy for strategy in enlisted}


def engine_rules(
    settings: Settings,
    enlisted: Mapping[StrategyName, EnlistedStrategy],
    assets: Mapping[Symbol, AssetFacts],
) -> EngineRules:
    """Return the engine's settings."""
    return EngineRules(
        strategies={
            name: StrategyEntry(
                strategy=e.strategy,
                weight=0.0 if e.in_shadow else e.spec.weight,
                takes_profit=e.spec.kind in REVERSION,
                abstains=e.abstains,
            )
            for name, e in enlisted.items()
        },
        base_timeframe=settings.bar_timeframe,
        rights={symbol: rights_of(a) for symbol, a in assets.items()},
        open_delay_s=settings.open_delay_seconds,
        decision_max_age_s=settings.decision_max_age_seconds,
        quote_max_age_s=settings.order_price_max_age_seconds,
        mark_max_age_s=settings.price_ttl_seconds,
        collar_bps=settings.collar_bps,
        exit_collar_bps=settings.exit_collar_bps,
        order_style=OrderStyle(settings.order_style),
        time_in_force=TimeInForce(settings.time_in_force),
        reprice_after_s=settings.reprice_after_seconds,
        turnover_of_equity_per_day=float(settings.daily_turnover_max),
        exit_strength=settings.exit_strength,
        capital_cap_usd=float(settings.initial_capital) if settings.venue == "paper" else None,
        flatten_at_close_s=(settings.no_entry_last_minutes * 60.0)
        if settings.flatten_at_close
        else None,
        cancels_at_stop=settings.shutdown_orders == "cancel",
        stale_bars_max=settings.stale_bars_max,
        cluster_correlation=settings.cluster_correlation,
        cluster_days=settings.cluster_days,
        breakers=breaker_limits(settings),
        # Clusters may be measured over fewer days than volume is averaged over.
        history_days=max(settings.cluster_days, VOLUME_DAYS) + 2,
    )


def rights_of(facts: AssetFacts) -> AssetRights:
    """Return what the gate knows of an asset."""
    return AssetRights(
        tradable=facts.tradable, shortable=facts.shortable, fractionable=facts.fractionable
    )


def mornings(connection: Connection) -> MorningSources:
    """Return where what is read before a session comes from."""
    broker = connection.broker

    async def rights() -> Mapping[Symbol, AssetRights]:
        return {symbol: rights_of(facts) for symbol, facts in (await broker.assets()).items()}

    async def one(symbol: Symbol) -> AssetRights:
        return rights_of(await broker.asset(symbol))

    actions = connection.prices.corporate_actions
    return MorningSources(actions=actions, rights=rights, rights_of=one)


def risk_limits(settings: Settings) -> RiskLimits:
    """Return the limits of gate, halts and exits: each is named as its setting."""
    return RiskLimits(**{name: getattr(settings, name) for name in SETTING_OF})


def breaker_limits(settings: Settings) -> BreakerLimits:
    """Return the limits of the circuit breakers: each is named as its setting."""
    names = [f.name for f in fields(BreakerLimits)]
    return BreakerLimits(**{name: getattr(settings, name) for name in names})


def risk_gate(settings: Settings, limits: RiskLimits) -> RiskGate:
    """Return the gate with every rule armed."""
    return RiskGate(
        rules=all_rules(limits),
        approval_ttl_s=APPROVAL_TTL_S,
        exits=ExitPricing(
            price_max_age_s=settings.order_price_max_age_seconds,
            collar_bps=settings.exit_collar_bps,
        ),
    )


def allocation_rules(settings: Settings) -> AllocationRules:
    """Return allocation's settings."""
    return AllocationRules(
        method=Combination(settings.combination),
        enter=settings.enter_strength,
        exit=settings.exit_strength,
        target_position=float(settings.target_position_size),
        max_position=float(settings.max_position_size),
        max_gross=float(settings.max_gross_exposure),
        sector_caps={s: float(c) for s, c in settings.sector_caps.items()},
        etf_cap=float(settings.etf_cap),
        tier_budgets={t: float(b) for t, b in settings.tier_budgets.items()},
        hold_bars_min=settings.min_hold_bars,
        band_of_target=float(settings.no_trade_band),
        band_usd=float(settings.no_trade_band_usd),
        turnover_of_equity_per_day=float(settings.daily_turnover_max),
        allow_shorts=settings.allow_shorts,
        lot_shares=FRACTIONAL_LOT if settings.fractional_shares else WHOLE_SHARE,
        cluster_names_max=settings.cluster_names_max,
    )


def smallest_position_usd(settings: Settings, equity_usd: Decimal) -> Decimal:
    """Return what one position may cost: shares dearer than this cannot be bought whole."""
    return equity_usd * settings.target_position_size


def lot_sized(universe: Universe, settings: Settings) -> Universe:
    """Return the universe with the lots the settings allow."""
    if not settings.fractional_shares:
        return universe
    return Universe(tuple(replace(i, lot_shares=FRACTIONAL_LOT) for i in universe.instruments))

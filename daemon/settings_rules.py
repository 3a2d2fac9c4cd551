"""From settings to rules: what engine, allocation, gate and strategies are told to do."""

from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path

from allocation.rules import AllocationRules, Combination
from daemon.alpaca.account_codec import AssetFacts
from daemon.engine.panels import VOLUME_DAYS
from daemon.engine.rules import EngineRules, OrderStyle, StrategyEntry
from daemon.registry import SHIPPED_FOLDER, Discovery, EnlistedStrategy, discover, enlist
from daemon.settings import Settings
from domain.instruments import Symbol, Universe
from domain.money import FRACTIONAL_LOT, WHOLE_SHARE
from domain.orders import TimeInForce
from domain.signals import StrategyName
from risk.breakers import BreakerLimits, armed
from risk.gate import RiskGate
from risk.limits import SETTING_OF, RiskLimits
from risk.prices import ExitPricing
from risk.rules import all_rules
from risk.view import AssetRights

APPROVAL_TTL_S = 30.0
"""Market time for which a judgement holds: what was true of prices then may not be now."""
REVERSION = frozenset({"rsi_reversion", "mean_reversion"})
"""Strategies that take profits; a trend is left when it turns."""


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


def risk_limits(settings: Settings) -> RiskLimits:
    """Return the limits of gate, halts and exits: each is named as its setting."""
    return RiskLimits(**{name: getattr(settings, name) for name in SETTING_OF})


def breaker_limits(settings: Settings) -> BreakerLimits:
    """Return the limits of the circuit breakers: each is named as its setting."""
    names = [f.name for f in fields(BreakerLimits)]
    return BreakerLimits(**{name: getattr(settings, name) for name in names})


def armed_limits(settings: Settings) -> dict[str, float]:
    """Return the limit of every circuit breaker by its setting."""
    return armed(breaker_limits(settings), risk_limits(settings))


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

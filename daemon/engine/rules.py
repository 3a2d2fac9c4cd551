"""What the engine is configured with; read once, made by the wiring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.calendar import Timeframe
from domain.instruments import Symbol
from domain.orders import TimeInForce
from domain.ports import Strategy
from domain.signals import StrategyName
from risk.breakers import BreakerLimits
from risk.view import AssetRights


class OrderStyle(StrEnum):
    """How entries are priced."""

    MARKETABLE_LIMIT = "marketable_limit"
    LIMIT = "limit"
    MARKET = "market"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEntry:
    """One strategy as the engine sees it. Weight 0 is shadow: asked and shown, never traded.

    `abstains` says why it is not even asked ("no model yet"), "" when it is.
    """

    strategy: Strategy
    weight: float
    takes_profit: bool = False
    abstains: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRules:
    """Settings of the engine. Durations are market seconds, `…_bps` basis points."""

    strategies: Mapping[StrategyName, StrategyEntry]
    base_timeframe: Timeframe = Timeframe.FIFTEEN_MINUTES
    rights: Mapping[Symbol, AssetRights] = field(default_factory=dict)
    open_delay_s: float = 300.0
    decision_max_age_s: float = 300.0
    opinion_wait_s: float = 10.0
    quote_max_age_s: float = 5.0
    mark_max_age_s: float = 30.0
    collar_bps: float = 10.0
    exit_collar_bps: float = 50.0
    order_style: OrderStyle = OrderStyle.MARKETABLE_LIMIT
    time_in_force: TimeInForce = TimeInForce.DAY
    reprice_after_s: float = 15.0
    turnover_of_equity_per_day: float = 0.20
    exit_strength: float = 0.1
    capital_cap_usd: float | None = None
    """On paper: sizing never uses more equity than this plus our own profit."""
    flatten_at_close_s: float | None = None
    """Seconds before the close at which positions are left; None keeps them overnight."""
    cancels_at_stop: bool = True
    """A clean stop cancels what works; else it is left at the venue and found again."""
    breakers: BreakerLimits = field(default_factory=BreakerLimits)
    stale_bars_max: int = 10
    cluster_correlation: float = 0.8
    cluster_days: int = 60
    history_days: int = 70
    """Daily bars kept at least, for volatility, average volume and clusters."""

    def timeframes(self) -> tuple[Timeframe, ...]:
        """Return the bars needed: the base grid, days, and whatever a strategy decides on."""
        wanted = {self.base_timeframe, Timeframe.DAY}
        wanted |= {e.strategy.timeframe for e in self.strategies.values() if not e.abstains}
        return tuple(t for t in Timeframe if t in wanted)

    def lookback_bars(self, timeframe: Timeframe) -> int:
        """Return how many bars of a timeframe must be kept."""
        entries = self.strategies.values()
        needs = [e.strategy.lookback_bars for e in entries if e.strategy.timeframe is timeframe]
        if timeframe is Timeframe.DAY:
            needs.append(self.history_days)
        return max([2, *needs])

"""The settings of allocation as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from domain.instruments import DEFAULT_SECTOR_CAPS, Sector, Tier
from domain.money import WHOLE_SHARE


class Combination(StrEnum):
    """How the opinions of several strategies become one target."""

    WEIGHTED = "weighted"
    MAJORITY = "majority"
    UNANIMOUS = "unanimous"


DEFAULT_TIER_BUDGETS: Mapping[Tier, float] = MappingProxyType(
    {Tier.SAFE: 0.60, Tier.GROWTH: 0.40, Tier.AGGRESSIVE: 0.20, Tier.ETF: 0.15}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRules:
    """How opinions become orders. Sizes, caps and budgets are shares of equity (0.02 = 2 %).

    `enter`/`exit` bound a strategy's hysteresis in strength. A sector or tier that is missing has
    no cap. `cluster_names_max`: how many names' `target_position` a correlated cluster may share.
    `volatility_reference` (annualised) is sized at `target_position`; None takes the median of
    the universe. `turnover_of_equity_per_day` is what the engine measures
    `AllocationInputs.turnover_left_usd` against. Raises ValueError for values that cannot be.
    """

    method: Combination = Combination.WEIGHTED
    enter: float = 0.5
    exit: float = 0.1
    target_position: float = 0.015
    max_position: float = 0.02
    max_gross: float = 1.0
    sector_caps: Mapping[Sector, float] = field(
        default_factory=lambda: {sector: float(cap) for sector, cap in DEFAULT_SECTOR_CAPS.items()}
    )
    etf_cap: float = 0.15
    tier_budgets: Mapping[Tier, float] = field(default_factory=lambda: DEFAULT_TIER_BUDGETS)
    hold_bars_min: int = 4
    band_of_target: float = 0.25
    band_usd: float = 100.0
    turnover_of_equity_per_day: float = 0.20
    allow_shorts: bool = False
    lot_shares: Decimal = WHOLE_SHARE
    cluster_names_max: int = 2
    volatility_reference: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.exit < self.enter <= 1:
            raise ValueError(f"needs 0 ≤ exit < enter ≤ 1, has {self.exit} and {self.enter}")
        if not 0 < self.target_position <= self.max_position:
            raise ValueError("needs 0 < target_position ≤ max_position")
        shares = [self.max_gross, self.etf_cap, self.band_of_target, self.band_usd]
        shares += [*self.sector_caps.values(), *self.tier_budgets.values()]
        if not all(share >= 0 for share in shares):
            raise ValueError(f"a cap, budget or band is negative or not a number: {self!r}")
        if self.lot_shares <= 0 or self.cluster_names_max < 1 or self.hold_bars_min < 0:
            raise ValueError("needs lot_shares > 0, cluster_names_max ≥ 1, hold_bars_min ≥ 0")
        if self.volatility_reference is not None and not self.volatility_reference > 0:
            raise ValueError("needs volatility_reference > 0")

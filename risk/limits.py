"""Every limit of the gate, of the halts and of the protective exits, and its key in `.env`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from domain.instruments import DEFAULT_SECTOR_CAPS, Sector


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """The limits, each named as its setting. Shares of equity are fractions (0.02 = 2 %).

    A sector missing from `sector_caps` may not be held at all. Raises ValueError for a limit that
    could never be meant (negative, or a gross exposure above 2).
    """

    max_position_size: Decimal = Decimal("0.02")
    max_gross_exposure: Decimal = Decimal("1.0")
    sector_caps: Mapping[Sector, Decimal] = field(default_factory=lambda: DEFAULT_SECTOR_CAPS)
    etf_cap: Decimal = Decimal("0.15")
    cluster_names_max: int = 2
    daily_turnover_max: Decimal = Decimal("0.20")
    fractional_shares: bool = False
    allow_shorts: bool = False
    order_size_max_usd: Decimal = Decimal(25_000)
    order_size_max_shares: int = 10_000
    adv_share_max: Decimal = Decimal("0.01")
    order_price_max_age_seconds: float = 5.0
    price_jump_max: Decimal = Decimal("0.20")
    collar_bps: float = 10.0
    exit_collar_bps: float = 50.0
    no_entry_first_minutes: int = 5
    no_entry_last_minutes: int = 10
    orders_per_minute_max: int = 10
    orders_per_day_max: int = 200
    stop_loss_percent: Decimal = Decimal("0.05")
    take_profit_percent: Decimal = Decimal("0.10")
    max_daily_loss_percent: Decimal = Decimal("0.02")
    max_drawdown_percent: Decimal = Decimal("0.15")
    on_max_drawdown: Literal["reduce", "flatten"] = "reduce"

    def __post_init__(self) -> None:
        for name in SETTING_OF:
            value = getattr(self, name)
            if isinstance(value, Decimal | float | int) and value < 0:
                raise ValueError(f"{SETTING_OF[name]} is negative: {value}")
        if any(cap < 0 for cap in self.sector_caps.values()):
            raise ValueError(f"SECTOR_CAPS holds a negative cap: {self.sector_caps}")
        if self.max_gross_exposure > 2:
            raise ValueError(f"MAX_GROSS_EXPOSURE is above 2: {self.max_gross_exposure}")


SETTING_OF: Mapping[str, str] = {name: name.upper() for name in RiskLimits.__dataclass_fields__}
"""Field of RiskLimits → its key in `.env`."""

"""One rule a file; the gate asks all of them."""

from risk.limits import RiskLimits
from risk.rule import RiskRule
from risk.rules.asset_rights import AssetRightsRule
from risk.rules.buying_power import BuyingPowerRule
from risk.rules.cluster import ClusterRule
from risk.rules.collar import CollarRule
from risk.rules.cooldown import CooldownRule
from risk.rules.daily_loss import DailyLossRule
from risk.rules.drawdown import DrawdownRule
from risk.rules.etf import EtfRule
from risk.rules.gross import GrossRule
from risk.rules.opposite_order import OppositeOrderRule
from risk.rules.order_notional import OrderNotionalRule
from risk.rules.order_rate import OrderRateRule
from risk.rules.order_shares import OrderSharesRule
from risk.rules.orders_per_day import OrdersPerDayRule
from risk.rules.position import PositionRule
from risk.rules.price_sanity import PriceSanityRule
from risk.rules.sector import SectorRule
from risk.rules.session_close import SessionCloseRule
from risk.rules.session_open import SessionOpenRule
from risk.rules.short_sale import ShortSaleRule
from risk.rules.stale_price import StalePriceRule
from risk.rules.trading_state import TradingStateRule
from risk.rules.turnover import TurnoverRule
from risk.rules.volume_share import VolumeShareRule
from risk.rules.whole_shares import WholeSharesRule


def all_rules(limits: RiskLimits) -> tuple[RiskRule, ...]:
    """Return every rule with its limits, those first that a person should read first."""
    return (
        TradingStateRule(),
        DrawdownRule(max_drawdown_percent=limits.max_drawdown_percent),
        DailyLossRule(max_daily_loss_percent=limits.max_daily_loss_percent),
        SessionOpenRule(no_entry_first_minutes=limits.no_entry_first_minutes),
        SessionCloseRule(no_entry_last_minutes=limits.no_entry_last_minutes),
        AssetRightsRule(),
        ShortSaleRule(allow_shorts=limits.allow_shorts),
        WholeSharesRule(fractional_shares=limits.fractional_shares),
        StalePriceRule(order_price_max_age_seconds=limits.order_price_max_age_seconds),
        PriceSanityRule(price_jump_max=limits.price_jump_max),
        CollarRule(collar_bps=limits.collar_bps),
        OppositeOrderRule(),
        CooldownRule(),
        OrderRateRule(orders_per_minute_max=limits.orders_per_minute_max),
        OrdersPerDayRule(orders_per_day_max=limits.orders_per_day_max),
        OrderNotionalRule(order_size_max_usd=limits.order_size_max_usd),
        OrderSharesRule(order_size_max_shares=limits.order_size_max_shares),
        VolumeShareRule(adv_share_max=limits.adv_share_max),
        PositionRule(max_position_size=limits.max_position_size),
        ClusterRule(
            cluster_names_max=limits.cluster_names_max, max_position_size=limits.max_position_size
        ),
        SectorRule(sector_caps=limits.sector_caps),
        EtfRule(etf_cap=limits.etf_cap),
        GrossRule(max_gross_exposure=limits.max_gross_exposure),
        TurnoverRule(daily_turnover_max=limits.daily_turnover_max),
        BuyingPowerRule(max_gross_exposure=limits.max_gross_exposure),
    )

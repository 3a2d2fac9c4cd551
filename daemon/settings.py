"""Everything an operator may choose, read once: each field is the lower-case name of its key.

Shares (of equity, of a day's volume) and dollars are `Decimal`; the text under a field is its
explanation in `.env.example`.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainValidator,
    SecretStr,
    model_serializer,
    model_validator,
)

from allocation.rules import DEFAULT_TIER_BUDGETS
from daemon.settings_conflicts import Disagreement, conflicts
from daemon.settings_values import (
    BarLength,
    Folder,
    PositiveShare,
    Secret,
    SecretUrl,
    Sectors,
    Share,
    Strategies,
    Switch,
    Symbols,
    Tiers,
    Url,
    VenueName,
    number,
    one_of,
    optional,
    parse_host,
    parse_path,
    parse_sector_name,
    parse_tier_name,
    share,
    shares_by,
    usd,
    whole,
    write,
)
from daemon.strategy_specs import StrategySpec
from domain.calendar import Timeframe
from domain.instruments import DEFAULT_SECTOR_CAPS, Sector, Tier

DEFAULT_TIERS: Mapping[Tier, Decimal] = {
    tier: Decimal(str(budget)) for tier, budget in DEFAULT_TIER_BUDGETS.items()
}


class Settings(BaseModel):
    """The operator's choices, valid together. Raises ValidationError; see `load_settings`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    # --- where to trade --------------------------------------------------------------------------
    venue: Annotated[VenueName, PlainValidator(one_of("embedded", "paper"))] = "embedded"
    """embedded (our own paper exchange, needs no keys) or paper (Alpaca's paper API)."""
    alpaca_api_key: Secret = None
    """Paper key id; starts with PK. APCA_API_KEY_ID is read too."""
    alpaca_secret_key: Secret = None
    """The secret shown once when the key was made. APCA_API_SECRET_KEY is read too."""
    exchange_url: Url = "http://127.0.0.1:8430"
    """Where the embedded exchange answers, or is to be started."""
    state_dir: Folder = Path("var")
    """Where the book survives: one folder inside it for each venue and account."""
    initial_capital: Annotated[Decimal, PlainValidator(usd("1", "1e9"))] = Decimal(100_000)
    """Dollars: the embedded account's cash; on paper a cap, sizing never uses more than this
    plus our own profit."""

    # --- what to trade ---------------------------------------------------------------------------
    trading_symbols: Symbols = ()
    """Trade exactly these (AAPL,MSFT,…), not all of the universe; the filters do not apply."""
    excluded_symbols: Symbols = ()
    """Never trade these."""
    universe_file: Annotated[Path | None, PlainValidator(optional(parse_path))] = None
    """A CSV like domain/universe.csv to use instead of it."""
    universe_sectors: Sectors = ()
    """Keep only these sectors (Technology,Energy,…); empty keeps all."""
    universe_tiers: Tiers = ()
    """Keep only these tiers (safe, growth, aggressive, etf); empty keeps all."""
    universe_dollar_volume_min_usd: Annotated[Decimal, PlainValidator(usd("0", "1e12"))] = Decimal(
        0
    )
    """Keep only what trades at least this many dollars a day."""
    universe_count_max: Annotated[int | None, PlainValidator(optional(whole(1, 10_000)))] = None
    """Keep at most this many instruments, the most traded ones; empty keeps all."""

    # --- what decides ----------------------------------------------------------------------------
    strategies: Strategies = (
        StrategySpec(name="sma_crossover", kind="sma_crossover"),
        StrategySpec(name="rsi_reversion", kind="rsi_reversion"),
        StrategySpec(name="mean_reversion", kind="mean_reversion"),
    )
    """Enabled strategies with parameters: sma_crossover(fast_bars=20,slow_bars=100,weight=2),…
    Any other strategy file runs in shadow: heard, shown, never traded."""
    strategies_dir: Folder = Path("my_strategies")
    """Your own strategy files."""
    combination: Annotated[
        Literal["weighted", "majority", "unanimous"],
        PlainValidator(one_of("weighted", "majority", "unanimous")),
    ] = "weighted"
    """How opinions become one: weighted mean, majority vote, or only when all agree."""
    enter_strength: Annotated[float, PlainValidator(number(0, 1))] = 0.5
    """Enter when the combined strength (0 to 1) reaches this…"""
    exit_strength: Annotated[float, PlainValidator(number(0, 1))] = 0.1
    """…and leave only when it falls to this: the gap keeps noise from trading."""
    min_hold_bars: Annotated[int, PlainValidator(whole(0, 10_000))] = 4
    """Hold at least this many bars; protective exits do not wait."""

    # --- prices ----------------------------------------------------------------------------------
    bar_timeframe: BarLength = Timeframe.FIFTEEN_MINUTES
    """Bars that intraday strategies decide on: 1Min, 5Min, 15Min, 30Min, 1Hour. Minute voting
    churns; daily strategies keep their own 1Day."""
    bar_source: Annotated[Literal["rest", "stream"], PlainValidator(one_of("rest", "stream"))] = (
        "rest"
    )
    """rest: one request a slot for the whole universe. stream: the venue's minute bars over its
    data websocket (one connection an account); what it has not sent is fetched. Daily and hourly
    bars are always fetched."""
    bar_settle_seconds: Annotated[float, PlainValidator(number(0, 60, "seconds"))] = 3.0
    """Ask for a slot's bars this long after its close, when late trades are in."""
    decision_max_age_seconds: Annotated[float, PlainValidator(number(1, 3600, "seconds"))] = 300.0
    """A slot missed while we were down is still decided when it is younger than this."""
    open_delay_seconds: Annotated[float, PlainValidator(number(0, 7200, "seconds"))] = 300.0
    """Targets decided while the market was closed are judged this long after the open."""
    stale_bars_max: Annotated[int, PlainValidator(whole(0, 1000))] = 10
    """After this many slots without a trade a symbol's bars are unknown, not repeated."""
    poll_seconds: Annotated[float, PlainValidator(number(0.5, 600, "seconds"))] = 5.0
    """How often the universe's quotes are fetched."""
    price_ttl_seconds: Annotated[float, PlainValidator(number(0, 3600, "seconds"))] = 30.0
    """A cached price may mark a position for this long…"""
    order_price_max_age_seconds: Annotated[float, PlainValidator(number(0.5, 60, "seconds"))] = 5.0
    """…but an order, the gate and stops use none older than this."""
    max_concurrent_requests: Annotated[int, PlainValidator(whole(1, 100))] = 25
    """Requests in flight at once."""
    trading_requests_per_minute: Annotated[int, PlainValidator(whole(1, 10_000))] = 180
    """Our budget for the trading API; Alpaca's free plan refuses above 200."""
    data_requests_per_minute: Annotated[int, PlainValidator(whole(1, 10_000))] = 180
    """Our budget for the market-data API; Alpaca's free plan refuses above 200."""
    data_feed: Annotated[Literal["iex", "sip"], PlainValidator(one_of("iex", "sip"))] = "iex"
    """iex (free: one exchange's prices) or sip (paid: all exchanges')."""

    # --- how much --------------------------------------------------------------------------------
    target_position_size: PositiveShare = Decimal("0.015")
    """What a full-strength position aims for, as a share of equity."""
    max_position_size: PositiveShare = Decimal("0.02")
    """No position above this share of equity; above the target, so that drift is no breach."""
    max_gross_exposure: Annotated[Decimal, PlainValidator(share("0.0001", "2"))] = Decimal("1.0")
    """Longs plus shorts as a share of equity; targets are scaled to fit. At most 2."""
    sector_caps: Annotated[
        Mapping[Sector, Decimal],
        PlainValidator(shares_by(parse_sector_name, DEFAULT_SECTOR_CAPS, "1")),
    ] = DEFAULT_SECTOR_CAPS
    """Most of equity in one sector, ETFs looked through; sectors not named keep their default."""
    etf_cap: Share = Decimal("0.15")
    """Most of equity in ETFs together."""
    tier_budgets: Annotated[
        Mapping[Tier, Decimal],
        PlainValidator(shares_by(parse_tier_name, DEFAULT_TIERS, "2")),
    ] = DEFAULT_TIERS
    """Most of equity in one tier, filled in the order safe, growth, aggressive, etf."""
    no_trade_band: Share = Decimal("0.25")
    """Leave a position alone while it is within this share of its target…"""
    no_trade_band_usd: Annotated[Decimal, PlainValidator(usd("0", "1e6"))] = Decimal(100)
    """…or within this many dollars."""
    daily_turnover_max: Annotated[Decimal, PlainValidator(share("0", "10"))] = Decimal("0.20")
    """Most of equity traded a day (100% for a demo); protective exits do not count."""
    fractional_shares: Switch = False
    """Trade parts of a share; such orders can neither be limit gtc nor shorts."""
    allow_shorts: Switch = False
    """Sell what we do not own."""
    extended_hours: Switch = False
    """Trade before the open and after the close. (To come; only off is accepted.)"""
    flatten_at_close: Switch = False
    """Go home without positions."""

    # --- orders, and the limits on one -----------------------------------------------------------
    order_style: Annotated[
        Literal["marketable_limit", "limit", "market"],
        PlainValidator(one_of("marketable_limit", "limit", "market")),
    ] = "marketable_limit"
    """How entries are priced: marketable_limit (through the touch, inside the collar), limit (join
    the near side and wait), market."""
    time_in_force: Annotated[Literal["day", "gtc"], PlainValidator(one_of("day", "gtc"))] = "day"
    """day orders end at the close; gtc ones live over nights (with ORDER_STYLE=limit)."""
    reprice_after_seconds: Annotated[float, PlainValidator(number(1, 3600, "seconds"))] = 15.0
    """A marketable limit still working after this is canceled and priced anew, once."""
    collar_bps: Annotated[float, PlainValidator(number(0, 1000, "basis points"))] = 10.0
    """How far through the touch an entry may pay, in basis points (10 = 0.1 %)."""
    exit_collar_bps: Annotated[float, PlainValidator(number(0, 2000, "basis points"))] = 50.0
    """The same for protective exits, before they turn into market orders."""
    order_size_max_usd: Annotated[Decimal, PlainValidator(usd("1", "1e9"))] = Decimal(25_000)
    """No order above this many dollars, however large the account."""
    order_size_max_shares: Annotated[int, PlainValidator(whole(1, 10**9))] = 10_000
    """No order above this many shares."""
    adv_share_max: PositiveShare = Decimal("0.01")
    """No order above this share of the symbol's 20-day average volume."""
    price_jump_max: PositiveShare = Decimal("0.20")
    """No entry on a price this far from the last close: more likely a bad print than news."""
    no_entry_first_minutes: Annotated[int, PlainValidator(whole(0, 390))] = 5
    """No entries this soon after the open: spreads."""
    no_entry_last_minutes: Annotated[int, PlainValidator(whole(0, 390))] = 10
    """No entries this close to the close: spreads, and no time to get out."""
    orders_per_minute_max: Annotated[int, PlainValidator(whole(1, 1000))] = 10
    """Entries a minute; more is a fault of ours, not a market."""
    orders_per_day_max: Annotated[int, PlainValidator(whole(1, 100_000))] = 200
    """Entries a day."""

    # --- limits on losing ------------------------------------------------------------------------
    stop_loss_percent: Share = Decimal("0.05")
    """Leave a position that lost this much, seen on the bid of two fresh quotes. 0 = never."""
    take_profit_percent: Share = Decimal("0.10")
    """Leave a reversion position that gained this much. 0 = never."""
    max_daily_loss_percent: PositiveShare = Decimal("0.02")
    """Below yesterday's closing equity by this much: only orders toward zero until tomorrow."""
    max_drawdown_percent: PositiveShare = Decimal("0.15")
    """Below the highest equity by this much: only orders toward zero until a person resumes."""
    on_max_drawdown: Annotated[
        Literal["reduce", "flatten"], PlainValidator(one_of("reduce", "flatten"))
    ] = "reduce"
    """Then keep the positions (reduce) or sell them (flatten)."""
    cluster_correlation: Annotated[float, PlainValidator(number(0, 1))] = 0.8
    """Symbols that move together more than this count as one name…"""
    cluster_days: Annotated[int, PlainValidator(whole(5, 500))] = 60
    """…measured over this many days…"""
    cluster_names_max: Annotated[int, PlainValidator(whole(1, 100))] = 2
    """…and may together hold this many positions' worth."""

    # --- circuit breakers ------------------------------------------------------------------------
    orders_sent_per_minute_max: Annotated[int, PlainValidator(whole(1, 100_000))] = 150
    """Above this many orders sent in a minute, exits not counted, nothing is sent any more."""
    rejects_per_hour_max: Annotated[int, PlainValidator(whole(1, 100_000))] = 20
    """Above this many orders rejected by the venue in an hour: only orders toward zero."""
    stale_data_seconds_max: Annotated[float, PlainValidator(number(1, 86_400, "seconds"))] = 120.0
    """The newest quote of all is older than this in an open market: only orders toward zero."""
    mismatches_in_a_row_max: Annotated[int, PlainValidator(whole(1, 10_000))] = 6
    """Above this many account reports in a row that differ from our book: nothing is sent."""
    repeated_executions_per_hour_max: Annotated[int, PlainValidator(whole(1, 100_000))] = 20
    """One symbol went from buying to selling or back more often in an hour: only toward zero."""
    clock_skew_seconds_max: Annotated[float, PlainValidator(number(0.1, 3600, "seconds"))] = 2.0
    """This machine's clock is further than this from the venue's: only orders toward zero."""
    loop_lag_seconds_max: Annotated[float, PlainValidator(number(0.1, 600, "seconds"))] = 5.0
    """The daemon stood still for longer than this: only orders toward zero."""
    disk_free_mb_min: Annotated[int, PlainValidator(whole(1, 10_000_000))] = 200
    """Less than this is free where the state is: only orders toward zero."""
    fsync_seconds_max: Annotated[float, PlainValidator(number(0.1, 600, "seconds"))] = 5.0
    """Writing a record durably took longer than this: only orders toward zero."""

    # --- running ---------------------------------------------------------------------------------
    strategy_budget_ms: Annotated[float, PlainValidator(number(1, 60_000, "milliseconds"))] = 500.0
    """A strategy that takes longer is benched."""
    watchdog_seconds: Annotated[float, PlainValidator(number(2, 600, "seconds"))] = 30.0
    """No progress for this long: the daemon is restarted."""
    shutdown_orders: Annotated[
        Literal["cancel", "leave"], PlainValidator(one_of("cancel", "leave"))
    ] = "cancel"
    """What a clean stop does with working orders."""
    tape_max_mb: Annotated[int, PlainValidator(whole(0, 1_000_000))] = 512
    """Megabytes that what a replay needs may take in the state directory, oldest dropped first;
    0 records nothing."""
    seed: Annotated[int, PlainValidator(whole(0, 2**31 - 1))] = 1
    """Seed of everything random (back-off jitter, synthetic markets)."""

    # --- watching --------------------------------------------------------------------------------
    http_host: Annotated[str, PlainValidator(parse_host)] = "127.0.0.1"
    """Interface of the HTTP API; keep it on this machine."""
    http_port: Annotated[int, PlainValidator(whole(0, 65_535))] = 8420
    """Port of the HTTP API."""
    http_token: Secret = None
    """Bearer token for control; made and kept in the state directory when empty."""
    http_read_token: Secret = None
    """Bearer token for reading; reading needs none when empty."""
    notify_url: SecretUrl = None
    """Webhook told of halts, crashes and the close of day."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        PlainValidator(one_of("debug", "info", "warning", "error")),
    ] = "info"
    """How much is logged (to standard error)."""
    log_format: Annotated[
        Literal["auto", "json", "console"], PlainValidator(one_of("auto", "json", "console"))
    ] = "auto"
    """auto is console on a terminal and json elsewhere."""

    warnings: tuple[str, ...] = ()
    """What was odd while reading, one sentence each; for the log, not a key."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = tuple(conflicts(self))
        if found:
            raise Disagreement(found)
        return self

    @model_serializer(mode="plain")
    def shown(self) -> dict[str, str]:
        """Return key → text as it stands in `.env`, secrets masked (as `model_dump` does)."""
        names = (name for name in type(self).model_fields if name != "warnings")
        return {name.upper(): write(getattr(self, name)) for name in names}

    def secret_values(self) -> tuple[str, ...]:
        """Return every secret that is set, for scrubbing logs; never show them."""
        fields = (getattr(self, name) for name in type(self).model_fields)
        return tuple(f.get_secret_value() for f in fields if isinstance(f, SecretStr))

"""What `doctor` finds: each fault, oddity and fact in a sentence, from what was looked up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from daemon.registry import Discovery
from daemon.settings import Settings
from daemon.settings_rules import smallest_position_usd
from daemon.universe import reachable_gross
from daemon.words import day_and_time, percent, usd
from domain.instruments import Symbol, Universe
from domain.money import to_usd
from domain.snapshot import Snapshot, TradingState
from risk.breakers import Level as BreakerLevel

SKEW_S_MAX: Final = 2.0
"""A clock further off than this makes quotes look stale, or from the future."""
SYMBOLS_NAMED: Final = 12


class Level(StrEnum):
    """Whether a person must act."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSeen:
    """What the venue answered. `problem` says why it did not; then the rest is empty.

    `skew_s` is the venue's clock less ours; `quotes_usd` the mids that could be had.
    """

    description: str = ""
    problem: str = ""
    is_down: bool = False
    account_id: str = ""
    equity_usd: Decimal | None = None
    is_blocked: bool = False
    skew_s: float | None = None
    is_open: bool = False
    next_open_at: datetime | None = None
    quotes_usd: Mapping[Symbol, float] = field(default_factory=dict)
    data_problem: str = ""


def of_settings(settings: Settings, env_mode: int | None) -> Iterator[Finding]:
    """Yield what the settings say of themselves; `env_mode` is `.env`'s mode, None for none."""
    if not settings.warnings:
        yield Finding(subject="settings", level=Level.OK, text="all understood")
    for warning in settings.warnings:
        yield Finding(subject="settings", level=Level.NOTE, text=warning)
    if env_mode is not None:
        is_private = not env_mode & 0o077
        yield Finding(
            subject=".env",
            level=Level.OK if is_private else Level.NOTE,
            text=f"mode {env_mode:04o}"
            + ("" if is_private else ": others can read it; run chmod 600 .env"),
        )
    yield _keys(settings)


def _keys(settings: Settings) -> Finding:
    present = settings.alpaca_api_key is not None and settings.alpaca_secret_key is not None
    if settings.venue == "embedded":
        text = "not needed on the embedded exchange" + (", and not used" if present else "")
        return Finding(subject="keys", level=Level.OK, text=text)
    # Missing keys, and live ones, never get this far: the settings refuse them.
    key = settings.alpaca_api_key
    looks_right = key is not None and key.get_secret_value().startswith("PK")
    text = "paper keys are there" if looks_right else "the key does not look like a paper key (PK…)"
    level = Level.OK if looks_right else Level.NOTE
    return Finding(subject="keys", level=level, text=text)


def of_venue(settings: Settings, seen: VenueSeen) -> Iterator[Finding]:
    """Yield whether the venue answers, its account, clock, prices and hours."""
    if seen.problem:
        # The embedded exchange is started by `run`: that it is off is no fault.
        level = Level.NOTE if seen.is_down else Level.WRONG
        yield Finding(subject="venue", level=level, text=seen.problem)
        return
    yield Finding(subject="venue", level=Level.OK, text=seen.description)
    if seen.is_blocked:
        text = f"{seen.account_id} is blocked by the venue: sign in there and see why"
        yield Finding(subject="account", level=Level.WRONG, text=text)
    elif seen.equity_usd is not None:
        text = f"{seen.account_id}, equity {usd(seen.equity_usd)}"
        yield Finding(subject="account", level=Level.OK, text=text)
    if seen.skew_s is not None:
        off = abs(seen.skew_s) > SKEW_S_MAX
        text = f"the venue's is {seen.skew_s:+.2f} s from ours"
        yield Finding(
            subject="clock",
            level=Level.WRONG if off else Level.OK,
            text=f"{text}; set this machine's by NTP" if off else text,
        )
    if seen.is_open:
        yield Finding(subject="market", level=Level.OK, text="open now")
    elif seen.next_open_at is not None:
        text = f"closed; opens {day_and_time(seen.next_open_at)}"
        yield Finding(subject="market", level=Level.OK, text=text)


def of_data(settings: Settings, universe: Universe, seen: VenueSeen) -> Iterator[Finding]:
    """Yield whether prices can be had, and what they cost of the request budgets."""
    feed = f"feed {settings.data_feed}"
    if seen.data_problem:
        yield Finding(subject="data", level=Level.WRONG, text=f"{feed}: {seen.data_problem}")
    elif not seen.problem:
        quoted = len(seen.quotes_usd)
        text = f"{feed}: quotes of {quoted} of {len(universe)} symbols"
        level = Level.OK if quoted == len(universe) else Level.NOTE
        yield Finding(subject="data", level=level, text=text)
    polls = 60 / settings.poll_seconds
    fits = polls < settings.data_requests_per_minute
    yield Finding(
        subject="requests",
        level=Level.OK if fits else Level.WRONG,
        text=f"quotes take {polls:.0f} of {settings.data_requests_per_minute} data requests a "
        f"minute; trading may use {settings.trading_requests_per_minute}"
        + ("" if fits else "; raise POLL_SECONDS"),
    )


def of_limits(
    settings: Settings, universe: Universe, equity_usd: Decimal, where_from: str
) -> Iterator[Finding]:
    """Yield the armed limits in dollars at an equity, and the gross exposure they leave."""

    def worth(share: Decimal) -> str:
        return f"{percent(share)} = {usd(equity_usd * share)}"

    caps = settings.sector_caps
    limits = {
        "equity": f"{usd(equity_usd)} ({where_from})",
        "position": f"target {worth(settings.target_position_size)}, at most "
        f"{worth(settings.max_position_size)}",
        "order": f"at most {usd(settings.order_size_max_usd)}, "
        f"{settings.orders_per_minute_max} a minute, {settings.orders_per_day_max} a day",
        "turnover": f"{worth(settings.daily_turnover_max)} a day",
        "gross": f"{worth(settings.max_gross_exposure)}",
        "sectors": ", ".join(f"{sector.value} {percent(cap)}" for sector, cap in caps.items()),
        "stop-loss": f"{percent(settings.stop_loss_percent)} of a position",
        "daily loss": worth(settings.max_daily_loss_percent),
        "drawdown": f"{worth(settings.max_drawdown_percent)}, then {settings.on_max_drawdown}",
    }
    for subject, text in limits.items():
        yield Finding(subject=f"limit: {subject}", level=Level.OK, text=text)
    reach = Decimal(str(round(reachable_gross(settings, universe), 6)))
    yield Finding(
        subject="limit: reachable",
        level=Level.OK,
        text=f"gross {worth(reach)} when all {len(universe)} symbols are wanted",
    )


def of_breakers(found: Sequence[BreakerLevel]) -> Iterator[Finding]:
    """Yield every circuit breaker with its limit, and which of them holds trading back."""
    for level in found:
        text = f"{level.limit} ({level.setting})"
        if level.is_tripped:
            text = f"TRIPPED; {text}; `tradewind resume {level.cause}` once it is settled"
        yield Finding(
            subject=f"breaker: {level.cause}",
            level=Level.NOTE if level.is_tripped else Level.OK,
            text=text,
        )


def of_share_prices(
    settings: Settings, equity_usd: Decimal, quotes_usd: Mapping[Symbol, float]
) -> Iterator[Finding]:
    """Yield which symbols cost more than one position may: whole shares of them cannot be had."""
    if settings.fractional_shares:
        yield Finding(subject="shares", level=Level.OK, text="fractions are bought where needed")
        return
    if not quotes_usd:
        text = "not compared with the position size: no prices are known yet"
        yield Finding(subject="shares", level=Level.NOTE, text=text)
        return
    position_usd = smallest_position_usd(settings, equity_usd)
    dear = {s: to_usd(p) for s, p in quotes_usd.items() if to_usd(p) > position_usd}
    if not dear:
        text = (
            f"one position ({usd(position_usd)}) buys a share of each of {len(quotes_usd)} symbols"
        )
        yield Finding(subject="shares", level=Level.OK, text=text)
        return
    ranked = sorted(dear.items(), key=lambda kv: -kv[1])
    named = ", ".join(f"{symbol} {usd(price)}" for symbol, price in ranked[:SYMBOLS_NAMED])
    more = f" and {len(ranked) - SYMBOLS_NAMED} more" if len(ranked) > SYMBOLS_NAMED else ""
    yield Finding(
        subject="shares",
        level=Level.NOTE,
        text=f"{percent(settings.target_position_size)} of {usd(equity_usd)} is "
        f"{usd(position_usd)}, which buys no share of {named}{more}: they are never bought; set "
        "FRACTIONAL_SHARES=true, a larger TARGET_POSITION_SIZE, or more capital",
    )


def of_strategies(settings: Settings, discovery: Discovery) -> Iterator[Finding]:
    """Yield which strategies are enabled, and the files that do not load."""
    names = ", ".join(spec.name for spec in settings.strategies)
    text = f"{names} (combined by {settings.combination}); {len(discovery.files)} files found"
    yield Finding(subject="strategies", level=Level.OK, text=text)
    for error in discovery.errors:
        text = f"{error.path} does not load: {error.reason}"
        yield Finding(subject="strategies", level=Level.WRONG, text=text)


def of_saved(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what the state itself calls for: halts, benched strategies, quarantines."""
    trading = snapshot.trading
    if trading.state is not TradingState.ACTIVE:
        text = f"{trading.state.value}: {trading.evidence or trading.cause}; {trading.resumes}"
        yield Finding(subject="trading", level=Level.NOTE, text=text)
    for name, benched in snapshot.benched.items():
        text = f"{name} is benched ({benched.fault}: {benched.detail}); `tradewind unbench {name}`"
        yield Finding(subject="strategies", level=Level.NOTE, text=text)
    for symbol, why in snapshot.quarantined.items():
        text = f"{symbol}: {why}; `tradewind resume quarantine` once it is settled"
        yield Finding(subject="quarantine", level=Level.NOTE, text=text)


def saved_prices_usd(snapshot: Snapshot | None) -> dict[Symbol, float]:
    """Return the last prices a saved state knows: of what was traded and of what is held."""
    if snapshot is None:
        return {}
    filled = {fill.symbol: float(fill.price_usd) for fill in snapshot.fills}
    return filled | {symbol: float(mark) for symbol, mark in snapshot.marks.items()}


def worst(findings: Sequence[Finding]) -> Level:
    """Return the gravest level among findings."""
    order = (Level.WRONG, Level.NOTE)
    return next((level for level in order if any(f.level is level for f in findings)), Level.OK)

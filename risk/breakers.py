"""Circuit breakers: what is measured, the limit it is held against, and what trips.

One table, BREAKERS: every breaker latches a `Cause` of `risk.halts`, where it stands what the state
is then, what a person should do, and that only a resume that names it lifts it. Losses stand here
to be shown; when they trip, and how a daily loss clears, is told in `risk.halts`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import lru_cache

from domain.instruments import Symbol
from domain.values import Value
from risk.halts import Cause
from risk.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """The limits, each named as its setting. Rates are in market time; lag and fsync in real
    time. Raises ValueError for one that is not above zero."""

    orders_sent_per_minute_max: int = 150
    rejects_per_hour_max: int = 20
    stale_data_seconds_max: float = 120.0
    mismatches_in_a_row_max: int = 6
    repeated_executions_per_hour_max: int = 20
    clock_skew_seconds_max: float = 2.0
    loop_lag_seconds_max: float = 5.0
    disk_free_mb_min: int = 200
    fsync_seconds_max: float = 5.0

    def __post_init__(self) -> None:
        for name, limit in asdict(self).items():
            if limit <= 0:
                raise ValueError(f"{name.upper()} is not above zero: {limit}")


class Readings(Value, frozen=True, kw_only=True):
    """What was measured; None = not yet. `repeats` are turns from buying to selling or back."""

    orders_sent: int = 0
    rejects: int = 0
    quote_age_s: float | None = None
    mismatches: int = 0
    repeats: int = 0
    repeated_symbol: Symbol | None = None
    clock_skew_s: float | None = None
    loop_lag_s: float | None = None
    disk_free_mb: float | None = None
    fsync_s: float | None = None
    daily_loss: Decimal | None = None
    drawdown: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One measured number and the key of its limit in `.env`; `is_floor` = it must not be below."""

    setting: str
    unit: str
    read: Callable[[Readings], float | None]
    is_floor: bool = False
    is_share: bool = False

    def is_beyond(self, value: float | None, limit: float) -> bool:
        """Return whether a measured value trips; what was not measured does not."""
        if value is None:
            return False
        return value < limit if self.is_floor else not value <= limit

    def headroom(self, value: float, limit: float) -> float:
        """Return what is left to the limit; negative beyond it."""
        return value - limit if self.is_floor else limit - value

    def text(self, number: float) -> str:
        """Return a number with its unit, for people."""
        shown = f"{number * 100:.2f} %" if self.is_share else f"{number:,.1f}".removesuffix(".0")
        return f"{shown} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One cause and what it is judged by; any gauge beyond its limit trips it."""

    cause: Cause
    gauges: tuple[Gauge, ...]


def _loss(share: Decimal | None) -> float | None:
    return None if share is None else max(0.0, float(share))


BREAKERS: tuple[Breaker, ...] = (
    Breaker(
        cause=Cause.DAILY_LOSS,
        gauges=(
            Gauge(
                setting="MAX_DAILY_LOSS_PERCENT",
                unit="lost today",
                read=lambda r: _loss(r.daily_loss),
                is_share=True,
            ),
        ),
    ),
    Breaker(
        cause=Cause.DRAWDOWN,
        gauges=(
            Gauge(
                setting="MAX_DRAWDOWN_PERCENT",
                unit="below the peak",
                read=lambda r: _loss(r.drawdown),
                is_share=True,
            ),
        ),
    ),
    Breaker(
        cause=Cause.ORDER_RATE,
        gauges=(
            Gauge(
                setting="ORDERS_SENT_PER_MINUTE_MAX",
                unit="orders in a minute",
                read=lambda r: r.orders_sent,
            ),
        ),
    ),
    Breaker(
        cause=Cause.REJECT_RATE,
        gauges=(
            Gauge(
                setting="REJECTS_PER_HOUR_MAX",
                unit="rejected in an hour",
                read=lambda r: r.rejects,
            ),
        ),
    ),
    Breaker(
        cause=Cause.STALE_DATA,
        gauges=(
            Gauge(
                setting="STALE_DATA_SECONDS_MAX",
                unit="s since the newest quote",
                read=lambda r: r.quote_age_s,
            ),
        ),
    ),
    Breaker(
        cause=Cause.RECONCILE_MISMATCH,
        gauges=(
            Gauge(
                setting="MISMATCHES_IN_A_ROW_MAX",
                unit="reports in a row that differ",
                read=lambda r: r.mismatches,
            ),
        ),
    ),
    Breaker(
        cause=Cause.REPEATED_EXECUTION,
        gauges=(
            Gauge(
                setting="REPEATED_EXECUTIONS_PER_HOUR_MAX",
                unit="turns of one symbol in an hour",
                read=lambda r: r.repeats,
            ),
        ),
    ),
    Breaker(
        cause=Cause.CLOCK_SKEW,
        gauges=(
            Gauge(
                setting="CLOCK_SKEW_SECONDS_MAX",
                unit="s from the venue's clock",
                read=lambda r: None if r.clock_skew_s is None else abs(r.clock_skew_s),
            ),
        ),
    ),
    Breaker(
        cause=Cause.LOOP_LAG,
        gauges=(
            Gauge(
                setting="LOOP_LAG_SECONDS_MAX",
                unit="s of standing still",
                read=lambda r: r.loop_lag_s,
            ),
        ),
    ),
    Breaker(
        cause=Cause.DISK,
        gauges=(
            Gauge(
                setting="DISK_FREE_MB_MIN",
                unit="MB free",
                read=lambda r: r.disk_free_mb,
                is_floor=True,
            ),
            Gauge(setting="FSYNC_SECONDS_MAX", unit="s for an fsync", read=lambda r: r.fsync_s),
        ),
    ),
)

_LOSSES = frozenset({Cause.DAILY_LOSS, Cause.DRAWDOWN})
_JUDGED = tuple(
    (gauge.read, gauge.setting.lower(), gauge.is_floor)
    for breaker in BREAKERS
    if breaker.cause not in _LOSSES
    for gauge in breaker.gauges
)
"""What `trips` judges: how it is read, the field of its limit, and which way it counts."""
_HELD_AS: Mapping[Cause, frozenset[Cause]] = {
    Cause.DAILY_LOSS: frozenset({Cause.DAILY_LOSS, Cause.REPEATED_DAILY_LOSS})
}
"""A second daily loss within the window latches under a name of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How one gauge stands, in words; `headroom_share` is of the limit, None when unmeasured."""

    cause: Cause
    setting: str
    limit: str
    value: str
    headroom: str
    headroom_share: float | None
    is_tripped: bool


def armed(limits: BreakerLimits, losses: RiskLimits) -> dict[str, float]:
    """Return the limit of every gauge by its setting."""
    return {
        **_values(limits),
        "MAX_DAILY_LOSS_PERCENT": float(losses.max_daily_loss_percent),
        "MAX_DRAWDOWN_PERCENT": float(losses.max_drawdown_percent),
    }


@lru_cache(maxsize=8)
def _values(limits: BreakerLimits) -> Mapping[str, float]:
    return {name.upper(): float(limit) for name, limit in asdict(limits).items()}


def is_calm(readings: Readings, limits: BreakerLimits) -> bool:
    """Return whether nothing trips: asked after every order, so without a word."""
    for read, name, is_floor in _JUDGED:
        value = read(readings)
        if value is not None:
            limit = getattr(limits, name)
            if value < limit if is_floor else not value <= limit:
                return False
    return True


def trips(readings: Readings, limits: BreakerLimits) -> dict[Cause, str]:
    """Return what trips, and the evidence; losses are not judged here."""
    if is_calm(readings, limits):
        return {}
    values = _values(limits)
    found: dict[Cause, str] = {}
    for breaker in BREAKERS:
        if breaker.cause in _LOSSES:
            continue
        for gauge in breaker.gauges:
            value, limit = gauge.read(readings), values[gauge.setting]
            if value is not None and gauge.is_beyond(value, limit):
                whose = f"{readings.repeated_symbol}: " if gauge.read(_ONLY_REPEATS) else ""
                found[breaker.cause] = (
                    f"{whose}{gauge.text(value)}, limit {gauge.text(limit)} ({gauge.setting})"
                )
    return found


_ONLY_REPEATS = Readings(repeats=1)


def levels(
    readings: Readings, limits: Mapping[str, float], held: Sequence[Cause]
) -> tuple[Level, ...]:
    """Return how every gauge stands; `limits` are `armed`, `held` the causes latched now."""
    found = []
    for breaker in BREAKERS:
        is_tripped = bool(_HELD_AS.get(breaker.cause, frozenset({breaker.cause})) & set(held))
        for gauge in breaker.gauges:
            value, limit = gauge.read(readings), limits[gauge.setting]
            left = None if value is None else gauge.headroom(value, limit)
            found.append(
                Level(
                    cause=breaker.cause,
                    setting=gauge.setting,
                    limit=gauge.text(limit),
                    value="not measured" if value is None else gauge.text(value),
                    headroom="unknown" if left is None else gauge.text(left),
                    headroom_share=None if left is None or not limit else left / limit,
                    is_tripped=is_tripped,
                )
            )
    return tuple(found)

"""The documents of /api/v1, from a live snapshot or a saved one: same names, same fields."""

from collections.abc import Callable, Mapping, Sequence

from daemon import views
from domain.instruments import Instrument, Symbol
from domain.snapshot import Snapshot
from risk.breakers import Level

OVERVIEW_ROWS = 20
"""Orders and fills in an overview unless `limit` says otherwise."""
DOCUMENTS = (
    "status",
    "portfolio",
    "positions",
    "orders",
    "fills",
    "signals",
    "decisions",
    "risk",
    "performance",
    "overview",
)
"""What there is to read."""
_RISK_KEYS = (
    "as_of",
    "trading_state",
    "trading_state_since",
    "cause",
    "evidence",
    "action",
    "resumes",
    "equity_usd",
    "profit_today_usd",
    "drawdown",
    "quarantined",
    "benched",
    "counters",
)
_PERFORMANCE_KEYS = ("as_of", "equity_usd", "profit_today_usd", "drawdown", "counters")


def document(
    name: str,
    snapshot: Snapshot,
    instruments: Mapping[Symbol, Instrument],
    *,
    running: bool,
    limit: int | None = None,
    breakers: Sequence[Level] = (),
) -> views.Document:
    """Return one of the documents of /api/v1, from a live or a saved snapshot.

    `limit` keeps the newest rows of a list of orders or fills; None keeps all. `breakers` are the
    circuit breakers as they stand, for "risk" and "status".
    """
    status = views.status(snapshot, running=running)
    shown: dict[str, Callable[[], views.Document]] = {
        "status": lambda: {
            **status,
            "exposure": views.exposure(snapshot, instruments.values()),
            "breakers_tripped": [b["breaker"] for b in breaker_rows(breakers) if b["tripped"]],
        },
        "portfolio": lambda: views.portfolio(snapshot),
        "positions": lambda: views.positions(snapshot, instruments),
        "orders": lambda: views.orders(snapshot, limit),
        "fills": lambda: views.fills(snapshot, limit),
        "signals": lambda: views.signals(snapshot),
        "decisions": lambda: views.decision(snapshot.last_decision),
        "risk": lambda: {
            **{k: status[k] for k in _RISK_KEYS},
            "exposure": views.exposure(snapshot, instruments.values()),
            "denials": views.denials(snapshot.last_decision),
            "cooldowns": views.cooldowns(snapshot),
            "breakers": breaker_rows(breakers),
        },
        "performance": lambda: {
            **{k: status[k] for k in _PERFORMANCE_KEYS},
            "books": views.portfolio(snapshot)["books"],
        },
        "overview": lambda: {
            **status,
            **views.overview(snapshot, instruments, limit or OVERVIEW_ROWS),
        },
    }
    return {"running": running, **shown[name]()}


def breaker_rows(levels: Sequence[Level]) -> list[views.Document]:
    """Return how every circuit breaker stands against its limit."""
    return [
        {
            "breaker": level.cause.value,
            "setting": level.setting,
            "limit": level.limit,
            "value": level.value,
            "headroom": level.headroom,
            "tripped": level.is_tripped,
        }
        for level in levels
    ]

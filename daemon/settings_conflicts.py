"""Settings that are each well formed and do not go together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from daemon.settings import Settings

WHERE_TO_GET_KEYS = (
    "sign in at https://app.alpaca.markets, switch to Paper trading (top left), "
    "Home → API keys → Generate, and write both into .env"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Settings that are each well formed but not together."""

    keys: tuple[str, ...]
    message: str


class Disagreement(ValueError):
    """Some settings do not go together."""

    def __init__(self, found: tuple[Conflict, ...]) -> None:
        super().__init__("; ".join(c.message for c in found))
        self.conflicts = found


def conflicts(settings: "Settings") -> Iterator[Conflict]:
    """Yield what does not go together."""
    yield from _out_of_order(settings)
    yield from _wrong_keys(settings)
    yield from _not_there_yet(settings)


IN_ORDER = (
    ("TARGET_POSITION_SIZE", "MAX_POSITION_SIZE"),
    ("MAX_POSITION_SIZE", "MAX_GROSS_EXPOSURE"),
    ("EXIT_STRENGTH", "ENTER_STRENGTH"),
    ("MAX_DAILY_LOSS_PERCENT", "MAX_DRAWDOWN_PERCENT"),
    ("POLL_SECONDS", "PRICE_TTL_SECONDS"),
    ("COLLAR_BPS", "EXIT_COLLAR_BPS"),
    ("BAR_SETTLE_SECONDS", "DECISION_MAX_AGE_SECONDS"),
    ("POLL_SECONDS", "STALE_DATA_SECONDS_MAX"),
)
"""Pairs of keys of which the first may not be above the second."""
STRICTLY_BELOW = frozenset({"EXIT_STRENGTH"})


def _out_of_order(settings: "Settings") -> Iterator[Conflict]:
    for small, large in IN_ORDER:
        less, more = getattr(settings, small.lower()), getattr(settings, large.lower())
        if less > more or (less == more and small in STRICTLY_BELOW):
            yield Conflict(
                keys=(small, large),
                message=f"{small}={less} does not stay below {large}={more}",
            )
    first_s = settings.no_entry_first_minutes * 60
    if settings.open_delay_seconds < first_s:
        yield Conflict(
            keys=("OPEN_DELAY_SECONDS", "NO_ENTRY_FIRST_MINUTES"),
            message=f"OPEN_DELAY_SECONDS={settings.open_delay_seconds:g} is inside "
            f"NO_ENTRY_FIRST_MINUTES={settings.no_entry_first_minutes}: the gate would deny what "
            f"waited for the open; write {first_s} or more",
        )
    if settings.strategy_budget_ms >= settings.watchdog_seconds * 1000:
        yield Conflict(
            keys=("STRATEGY_BUDGET_MS", "WATCHDOG_SECONDS"),
            message=f"STRATEGY_BUDGET_MS={settings.strategy_budget_ms:g} does not stay below "
            f"WATCHDOG_SECONDS={settings.watchdog_seconds:g}: a slow strategy would look hung",
        )


def _not_there_yet(s: "Settings") -> Iterator[Conflict]:
    """Refuse what the words allow and no code does: better than a setting that does nothing."""
    if s.extended_hours:
        message = "EXTENDED_HOURS=on is not there yet; write off"
        yield Conflict(keys=("EXTENDED_HOURS",), message=message)


def _wrong_keys(s: "Settings") -> Iterator[Conflict]:
    key, secret = s.alpaca_api_key, s.alpaca_secret_key
    if key and key.get_secret_value().startswith("AK"):
        yield Conflict(
            keys=("ALPACA_API_KEY",),
            message=f"ALPACA_API_KEY=***: a live key; only paper keys (PK…): {WHERE_TO_GET_KEYS}",
        )
    host = urlsplit(s.exchange_url).hostname or ""
    if host in LIVE_HOSTS:
        yield Conflict(keys=("EXCHANGE_URL",), message="EXCHANGE_URL: a live URL is never used")
    elif host.endswith(".alpaca.markets"):
        message = "EXCHANGE_URL is the embedded exchange's; for Alpaca's write VENUE=paper instead"
        yield Conflict(keys=("EXCHANGE_URL",), message=message)
    if s.venue == "paper" and not (key and secret):
        absent = [n for n, v in (("ALPACA_API_KEY", key), ("ALPACA_SECRET_KEY", secret)) if not v]
        yield Conflict(
            keys=tuple(absent),
            message=f"VENUE=paper needs {' and '.join(absent)}: {WHERE_TO_GET_KEYS}",
        )


LIVE_HOSTS = frozenset({"api.alpaca.markets"})

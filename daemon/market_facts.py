"""What the terminal view's header says of the market, as the embedded exchange tells it."""

import http.client
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from daemon.api_client import Document
from daemon.clock import stopwatch_s
from daemon.screen import MarketFacts
from daemon.words import parsed

TIMEOUT_S: Final = 1.0
"""The view must not stand still for an exchange that does not answer."""
AGAIN_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 4_000_000
PAPER = MarketFacts(market="Alpaca's paper API", pace="real time")


class MarketReader:
    """Asks the exchange at EXCHANGE_URL now and then; without an answer the header says less."""

    def __init__(self, exchange_url: str) -> None:
        self._url = exchange_url
        self._asked_s: float | None = None
        self._answer: dict[str, Any] | None = None

    def facts(self, overview: Document) -> MarketFacts:
        """Return what is known of the market that this daemon trades on."""
        if overview["venue"] == "paper":
            return PAPER
        now_s = stopwatch_s()
        if self._asked_s is None or now_s - self._asked_s > AGAIN_S:
            self._asked_s = now_s
            self._answer = _clock_of(self._url) or self._answer
        return facts_of(self._answer, parsed(overview["as_of"])) if self._answer else MarketFacts()


def facts_of(answer: Document, at: datetime | None) -> MarketFacts:
    """Return the header's words of an exchange's clock at a market instant; what the answer does
    not hold is left out."""
    pace = "lockstep" if answer.get("lockstep") else ""
    speed = answer.get("speed")
    if not pace and isinstance(speed, int | float):
        pace = "real time" if speed == 1 else f"{speed:g}× time"
    return MarketFacts(
        market=str(answer.get("market", "")), pace=pace, phase=_phase(answer.get("sessions"), at)
    )


def _phase(sessions: object, at: datetime | None) -> str:
    if at is None or not isinstance(sessions, list):
        return ""
    for session in sessions:
        opens_at, closes_at = _instant(session["opens_at"]), _instant(session["closes_at"])
        if at < opens_at:
            return "closed"
        if at < closes_at:
            return "open"
    return "closed"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _clock_of(url: str) -> dict[str, Any] | None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "127.0.0.1", parts.port or 80, timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", "/_exchange/clock")
        answer = orjson.loads(connection.getresponse().read(ANSWER_BYTES_MAX))
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None

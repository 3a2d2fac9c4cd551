"""What may be concluded from an answer that is not a success.

The venue keeps status and code stable and changes messages freely, so those two decide first; a
body may be JSON, HTML from a proxy, or nothing.
"""

from dataclasses import dataclass

import msgspec

from daemon.alpaca.refusals import why_refused
from domain.errors import (
    AccountBlocked,
    NotAuthorized,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)

MESSAGE_CHARACTERS_MAX = 300
INVALID_PARAMETER = 40010001
"""The code of requests that were malformed, whatever they asked for."""
_REFUSALS = frozenset({400, 403, 404, 405, 409, 410, 413, 414, 422})
_BLOCKED = (
    "account is not authorized",
    "account is blocked",
    "account is restricted",
    "not eligible to trade",
    "trading is blocked",
    "rejected by user request",
)
"""What a refusal of an order says that is one of the whole account."""


class RateLimited(VenueUnavailable):
    """429: the request was most likely not processed; the budget pauses."""


class _ErrorBody(msgspec.Struct):
    code: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAnswer:
    """An answer that is not 2xx. `asked` is method and path, for messages."""

    method: str
    asked: str
    status: int
    body: bytes
    request_id: str = ""

    def fault(self) -> VenueError:
        """Return the error to raise: refused, not authorized, limited, or proving nothing."""
        parsed = _parse(self.body)
        code = parsed.code if parsed else None
        said = (parsed.message if parsed else None) or _excerpt(self.body) or "no reason given"
        text = f"{self.asked}: {self.status} {said}"
        if code is not None:
            text += f" (code {code})"
        if self.request_id:
            text += f" [request {self.request_id}]"
        if self.status == 429:
            return RateLimited(text)
        # Refusals of one order carry a code; a missing right (plan, key) comes without.
        if self.status == 401 or (self.status == 403 and parsed is not None and code is None):
            return NotAuthorized(text, http_status=self.status, code=code)
        if self.status == 403 and code is not None and any(words in said for words in _BLOCKED):
            return AccountBlocked(text, http_status=self.status, code=code)
        # Proxies answer too, in HTML: for a POST only the venue's own words are a refusal.
        is_definite = parsed is not None or self.method != "POST"
        if self.status in _REFUSALS and is_definite:
            why = why_refused(code, said)
            return VenueRejected(text, http_status=self.status, code=code, why=why)
        if 300 <= self.status < 400 and self.method != "POST":
            text += "; redirects are not followed: correct the venue's URL"
            return VenueRejected(text, http_status=self.status, code=code)
        return VenueUnavailable(text)


def is_duplicate_id(fault: VenueRejected) -> bool:
    """Return whether the venue refused an order because it has one of that client order id."""
    return fault.http_status in (409, 422) and "client_order_id must be unique" in str(fault)


def is_finished(fault: VenueRejected) -> bool:
    """Return whether a cancellation was refused because the order has nothing left to cancel."""
    return fault.http_status == 422 and fault.code != INVALID_PARAMETER


def is_unknown(fault: VenueRejected) -> bool:
    """Return whether the venue definitely has no such thing: its own 404, not a missing route."""
    return (
        fault.http_status == 404
        and fault.code is not None
        and "endpoint not found" not in str(fault)
    )


def _parse(body: bytes) -> _ErrorBody | None:
    try:
        return msgspec.json.decode(body, type=_ErrorBody, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _excerpt(body: bytes) -> str:
    text = body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", errors="replace")
    return " ".join(text.split())[:MESSAGE_CHARACTERS_MAX]

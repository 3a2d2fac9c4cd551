"""What a client is answered instead of, or after, the truth. Pure."""

from http import HTTPStatus

from exchange import errors
from exchange.faults.plan import Hit

HTML_TYPE = "text/html"
JSON_TYPE = "application/json; charset=UTF-8"
_CODES = {500: 50010000, 503: 50310000, 504: 50410000}
_MESSAGES = {
    500: "internal server error occurred",
    503: "service unavailable",
    504: "request timed out",
}


def page(status: int) -> bytes:
    """Return what a proxy in between says in HTML."""
    title = f"{status} {HTTPStatus(status).phrase if status in _STANDARD else 'Error'}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


_STANDARD = frozenset(int(status) for status in HTTPStatus)


def failing(status: int) -> errors.Refusal:
    """Return a server's failure as the venue words it."""
    message = _MESSAGES.get(status, "internal server error occurred")
    return errors.Refusal(status, _CODES.get(status, status * 100_000 + 10_000), message)


def limited(*, is_data: bool) -> errors.Refusal:
    """Return the 429 of the API asked."""
    return errors.data_rate_limited() if is_data else errors.trading_rate_limited()


def refused() -> errors.Refusal:
    """Return the refusal that an order meets whose own first copy holds the buying power."""
    return errors.forbidden("insufficient buying power")


def garbled(hit: Hit, body: bytes, status: int) -> tuple[bytes, str]:
    """Return a reply's body and type as the fault leaves them."""
    match hit.rule.how:
        case "invalid":
            return body[:-1] + b",}" if body else b"{", JSON_TYPE
        case "empty":
            return b"", JSON_TYPE
        case "html":
            return page(status), HTML_TYPE
    return body[: len(body) // 2], JSON_TYPE

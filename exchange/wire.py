"""What every handler needs: the exchange of a request, JSON in and out, queries."""

import gzip
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import orjson
from aiohttp import web

from exchange import errors
from exchange.instants import SECOND_NS, new_york_day, parse_instant
from exchange.service import Exchange

EXCHANGE: web.AppKey[Exchange] = web.AppKey("exchange", Exchange)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON_TYPE = "application/json; charset=UTF-8"
LAST_DATE = date(9000, 1, 1)
GZIP_LEVEL = 1
BODY_MAX_BYTES = 1_000_000
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that is half of a character unless the other half stands beside it."""
UNAUTHORIZED_PAGE = (
    "<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n"
    "<center><h1>401 Authorization Required</h1></center>\r\n<hr><center>nginx</center>\r\n"
    "</body>\r\n</html>\r\n"
)


def reply(body: object, status: int = 200) -> web.Response:
    """Return a JSON reply."""
    return web.Response(body=orjson.dumps(body), status=status, headers={"Content-Type": JSON_TYPE})


def compress(request: web.Request, response: web.StreamResponse, bytes_min: int) -> None:
    """Compress a reply that is large enough, if its client accepts that.

    By hand: the server's own compression leaves the loop for a thread.
    """
    if not bytes_min or not isinstance(response, web.Response):
        return
    body = response.body
    if not isinstance(body, bytes) or len(body) < bytes_min:
        return
    if "gzip" in request.headers.get("Accept-Encoding", "").lower():
        response.body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"


def refuse(refusal: errors.Refusal) -> web.Response:
    """Return a refusal's reply."""
    return reply(refusal.body(), refusal.http_status)


async def read_object(request: web.Request) -> dict[str, object]:
    """Return the JSON object of a request's body, its numbers exact; empty for no body.

    Raises the Refusal of a malformed one.
    """
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = read_json(raw)
    except ValueError as fault:
        raise errors.malformed_body() from fault
    if not isinstance(body, dict):
        raise errors.malformed_body()
    return body


def read_json(raw: str | bytes) -> Any:
    """Return what a client's JSON says, its numbers exact. Raises ValueError, for text too that
    cannot be written again: JSON can escape halves of characters, UTF-8 has none."""
    try:
        found = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
        if _HALF.search(raw if isinstance(raw, bytes) else raw.encode()):
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def query_flag(query: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return a query's boolean, whatever its case."""
    text = query.get(name)
    return default if text is None else text.strip().lower() in ("true", "1", "t")


def query_list(query: Mapping[str, str], name: str) -> list[str]:
    """Return the parts of a comma-separated query, without the empty ones."""
    return [part for part in (p.strip() for p in query.get(name, "").split(",")) if part]


def query_count(query: Mapping[str, str], name: str, default: int, highest: int) -> int:
    """Return a count from a query, at most `highest`. Raises the Refusal of a bad one."""
    text = query.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise errors.invalid(f"invalid {name}: {text[:40]}")
    return min(int(text), highest)


def query_instant(query: Mapping[str, str], name: str, *, day_ends: bool = False) -> int | None:
    """Return an instant from a query, None without one. Raises the Refusal of a bad one."""
    text = query.get(name)
    if not text:
        return None
    try:
        return parse_instant(text.replace(" ", "+"), day_ends=day_ends)
    except ValueError as fault:
        raise errors.invalid(f"invalid {name}: {text[:60]}") from fault


def query_day(query: Mapping[str, str], name: str) -> date | None:
    """Return a New York date from a query, None without one. Raises the Refusal of a bad one."""
    at_ns = query_instant(query, name)
    return None if at_ns is None else min(new_york_day(at_ns), LAST_DATE)


def written_day(query: Mapping[str, str], name: str) -> date | None:
    """Return the date a query writes, alone or before a time, None without one: clients that have
    only instants mean a day by its midnight, whatever the zone. Raises the Refusal of a bad one."""
    text = query.get(name)
    if not text:
        return None
    try:
        parse_instant(text.replace(" ", "+"))
        return date.fromisoformat(text[:10])
    except ValueError as fault:
        raise errors.invalid(f"invalid {name}: {text[:60]}") from fault


def http_date(at_ns: int) -> str:
    """Return an instant as HTTP's Date header."""
    return formatdate(at_ns // SECOND_NS, usegmt=True)

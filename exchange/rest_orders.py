"""The trading API's orders: place, read, list, replace, cancel."""

import re
from dataclasses import dataclass

from aiohttp import web

from exchange import errors
from exchange.encoding import Json, order_json
from exchange.numbers import read_decimal
from exchange.orders import TimeInForce, VenueOrder
from exchange.parsing import CLIENT_ORDER_ID_MAX, on_grid, parse_order
from exchange.replacing import Replacement
from exchange.rest_trading import resolver
from exchange.venue import Venue
from exchange.wire import (
    EXCHANGE,
    query_count,
    query_flag,
    query_instant,
    query_list,
    read_object,
    reply,
)

LIST_DEFAULT, LIST_MAX = 50, 500
COUNT_MAX = 10**9
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [
        web.post("/v2/orders", post_order),
        web.get("/v2/orders", list_orders),
        web.delete("/v2/orders", cancel_orders),
        web.get("/v2/orders:by_client_order_id", get_by_client_id),
        web.get("/v2/orders/{order_id}", get_order),
        web.patch("/v2/orders/{order_id}", patch_order),
        web.delete("/v2/orders/{order_id}", cancel_order),
    ]


async def post_order(request: web.Request) -> web.Response:
    """Take an order."""
    exchange = request.app[EXCHANGE]
    venue = exchange.venue
    body = await read_object(request)
    exchange.step()
    order = venue.submit(parse_order(body, resolver(venue)))
    exchange.settle()
    return reply(order_json(order, venue.book, nested=True))


def _order_id(request: web.Request) -> str:
    order_id = request.match_info["order_id"]
    if not _UUID.fullmatch(order_id):
        raise errors.invalid("order_id is missing")
    return order_id.lower()


async def get_order(request: web.Request) -> web.Response:
    """Serve an order by id."""
    venue = request.app[EXCHANGE].venue
    nested = query_flag(request.query, "nested")
    return reply(order_json(venue.order(_order_id(request)), venue.book, nested=nested))


async def get_by_client_id(request: web.Request) -> web.Response:
    """Serve an order by the client's id."""
    venue = request.app[EXCHANGE].venue
    client_id = request.query.get("client_order_id", "")
    if not client_id:
        raise errors.invalid("client_order_id is missing")
    found = venue.book.by_client(client_id)
    if found is None:
        raise errors.unknown_order(client_id)
    nested = query_flag(request.query, "nested")
    return reply(order_json(venue.order(found.id), venue.book, nested=nested))


async def cancel_order(request: web.Request) -> web.Response:
    """Cancel an order: 204 without a body."""
    exchange = request.app[EXCHANGE]
    exchange.venue.cancel(_order_id(request))
    exchange.settle()
    return web.Response(status=204)


async def cancel_orders(request: web.Request) -> web.Response:
    """Cancel every open order; 207 with each one's outcome."""
    exchange = request.app[EXCHANGE]
    outcomes = exchange.venue.cancel_all()
    exchange.settle()
    return reply([{"id": outcome.subject, "status": 200} for outcome in outcomes], 207)


async def patch_order(request: web.Request) -> web.Response:
    """Replace an order by a changed one with a new id."""
    exchange = request.app[EXCHANGE]
    venue = exchange.venue
    order_id = _order_id(request)
    change = _change(await read_object(request))
    exchange.step()
    order = venue.replace(order_id, change)
    exchange.settle()
    return reply(order_json(order, venue.book, nested=True))


def _change(body: Json) -> Replacement:
    numbers = {}
    for name in ("qty", "limit_price", "stop_price", "trail"):
        value = body.get(name)
        if value is None or value == "":
            continue
        try:
            number = read_decimal(value)
        except ValueError as fault:
            raise errors.invalid(f"{name} is not a number: {str(value)[:40]}") from fault
        if number <= 0:
            raise errors.invalid(f"{name} must be > 0")
        numbers[name] = on_grid(number, name) if name.endswith("_price") else number
    client_id, tif = body.get("client_order_id"), body.get("time_in_force")
    if client_id is not None and not isinstance(client_id, str):
        raise errors.malformed_body()
    if client_id and len(client_id) > CLIENT_ORDER_ID_MAX:
        raise errors.invalid("client_order_id must be no more than 128 characters")
    if tif is not None and tif not in tuple(TimeInForce):
        raise errors.invalid("invalid time_in_force")
    return Replacement(
        qty=numbers.get("qty"),
        limit_price=numbers.get("limit_price"),
        stop_price=numbers.get("stop_price"),
        trail=numbers.get("trail"),
        time_in_force=TimeInForce(str(tif)) if tif else None,
        client_order_id=client_id or None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """What a listing keeps. Instants are exclusive."""

    status: str
    symbols: frozenset[str]
    side: str
    after_ns: int | None
    until_ns: int | None
    nested: bool

    def keeps(self, order: VenueOrder) -> bool:
        if self.nested and order.parent_id is not None:
            return False
        is_open = order.status.is_listed_open
        if self.status != "all" and is_open != (self.status == "open"):
            return False
        if self.status == "closed" and not order.status.is_listed_closed:
            return False
        in_time = (self.after_ns is None or order.submitted_ns > self.after_ns) and (
            self.until_ns is None or order.submitted_ns < self.until_ns
        )
        named = not self.symbols or order.symbol in self.symbols
        return in_time and named and (not self.side or order.side.value == self.side)


async def list_orders(request: web.Request) -> web.Response:
    """List orders by the filters asked for, newest first unless asked otherwise."""
    venue, query = request.app[EXCHANGE].venue, request.query
    status = query.get("status", "open").lower() or "open"
    if status not in ("open", "closed", "all"):
        raise errors.invalid("invalid status")
    limit = query_count(query, "limit", LIST_DEFAULT, COUNT_MAX)
    if limit > LIST_MAX and not venue.config.knobs.order_list_clamps:
        raise errors.invalid(f"limit must be no more than {LIST_MAX}")
    limit = min(limit, LIST_MAX)
    keep = _Filter(
        status=status,
        symbols=frozenset(query_list(query, "symbols")),
        side=query.get("side", "").lower(),
        after_ns=query_instant(query, "after"),
        until_ns=query_instant(query, "until"),
        nested=query_flag(query, "nested"),
    )
    if query.get("asset_class", "us_equity") not in ("", "us_equity", "all"):
        return reply([])
    marks = query.get("before_order_id") or query.get("after_order_id")
    if marks and (query.get("after") or query.get("until")):
        raise errors.invalid("before_order_id and after_order_id go without after and until")
    rows = [o for o in _candidates(venue, keep) if keep.keeps(o)]
    rows.sort(key=_listing_key, reverse=query.get("direction", "desc").lower() != "asc")
    rows = _cut(rows, query.get("before_order_id"), query.get("after_order_id"))
    book = venue.book
    return reply([order_json(o, book, nested=keep.nested) for o in rows[:limit]])


def _candidates(venue: Venue, keep: _Filter) -> list[VenueOrder]:
    for symbol in venue.book.symbols_with_open():
        venue.refresh(symbol)
    if keep.status == "open":
        return venue.book.open_orders()
    return list(venue.book.by_id.values())


def _listing_key(order: VenueOrder) -> tuple[int, int]:
    return order.submitted_ns, order.ordinal


def _cut(rows: list[VenueOrder], before: str | None, after: str | None) -> list[VenueOrder]:
    """Return the rows older than `before` or newer than `after`, whichever is named."""
    mark = before or after
    found = next((o for o in rows if o.id == mark), None) if mark else None
    if found is None:
        return rows
    edge = _listing_key(found)
    if before:
        return [o for o in rows if _listing_key(o) < edge]
    return [o for o in rows if _listing_key(o) > edge]

"""The trading API's watchlists, by id and by name.

Source: the published reference and client libraries; refusals are worded like those of orders,
since none is recorded.
"""

from aiohttp import web

from exchange import errors
from exchange.encoding import Json, asset_json
from exchange.instants import rfc3339_micro
from exchange.rest_trading import resolver
from exchange.venue import Venue
from exchange.watchlists import (
    Watchlist,
    by_id,
    by_name,
    updated,
    with_changed,
    with_new,
    with_symbol,
    without,
    without_symbol,
)
from exchange.wire import EXCHANGE, read_object, reply

SYMBOLS_MAX = 10_000


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    one, named = "/v2/watchlists/{watchlist_id}", "/v2/watchlists:by_name"
    both = [
        route
        for path in (named, one)
        for route in (
            web.get(path, get_watchlist),
            web.put(path, put_watchlist),
            web.post(path, post_symbol),
            web.delete(path, delete_watchlist),
        )
    ]
    return [
        web.get("/v2/watchlists", list_watchlists),
        web.post("/v2/watchlists", post_watchlist),
        *both,
        web.delete(one + "/{symbol}", delete_symbol),
    ]


async def list_watchlists(request: web.Request) -> web.Response:
    """Serve the lists, without their assets."""
    venue = request.app[EXCHANGE].venue
    return reply([_head(venue, known) for known in venue.register.watchlists])


async def post_watchlist(request: web.Request) -> web.Response:
    """Make a list."""
    venue, body = request.app[EXCHANGE].venue, await read_object(request)
    name, symbols = _name(body), _symbols(venue, body)
    new = Watchlist(
        id=venue.register.next_watchlist_id(),
        name=name or "",
        symbols=tuple(dict.fromkeys(symbols or ())),
        created_ns=venue.now_ns,
        updated_ns=venue.now_ns,
    )
    return _kept(request, with_new(venue.register.watchlists, new), new)


async def get_watchlist(request: web.Request) -> web.Response:
    """Serve a list with its assets."""
    venue = request.app[EXCHANGE].venue
    return reply(_whole(venue, _asked(request)))


async def put_watchlist(request: web.Request) -> web.Response:
    """Give a list another name, other symbols, or both."""
    venue, body = request.app[EXCHANGE].venue, await read_object(request)
    old = _asked(request)
    name, symbols = _name(body), _symbols(venue, body)
    changed = updated(old, venue.now_ns, name=name, symbols=symbols)
    return _kept(request, with_changed(venue.register.watchlists, changed), changed)


async def post_symbol(request: web.Request) -> web.Response:
    """Put one more symbol on a list."""
    venue, body = request.app[EXCHANGE].venue, await read_object(request)
    old = _asked(request)
    changed = with_symbol(old, _symbol(venue, body.get("symbol")), venue.now_ns)
    return _kept(request, with_changed(venue.register.watchlists, changed), changed)


async def delete_symbol(request: web.Request) -> web.Response:
    """Take a symbol off a list."""
    venue = request.app[EXCHANGE].venue
    changed = without_symbol(_asked(request), request.match_info["symbol"], venue.now_ns)
    return _kept(request, with_changed(venue.register.watchlists, changed), changed)


async def delete_watchlist(request: web.Request) -> web.Response:
    """Do away with a list: 204 without a body."""
    exchange = request.app[EXCHANGE]
    lists = without(exchange.venue.register.watchlists, _asked(request))
    exchange.venue.register.record_watchlists(lists)
    exchange.settle()
    return web.Response(status=204)


def _kept(request: web.Request, lists: tuple[Watchlist, ...], changed: Watchlist) -> web.Response:
    exchange = request.app[EXCHANGE]
    exchange.venue.register.record_watchlists(lists)
    exchange.settle()
    return reply(_whole(exchange.venue, changed))


def _asked(request: web.Request) -> Watchlist:
    """Return the list a request names in its path or, by name, in its query."""
    lists = request.app[EXCHANGE].venue.register.watchlists
    list_id = request.match_info.get("watchlist_id")
    if list_id is not None:
        return by_id(lists, list_id.lower())
    name = request.query.get("name", "")
    if not name:
        raise errors.invalid("name is required")
    return by_name(lists, name)


def _name(body: Json) -> str | None:
    name = body.get("name")
    if name is not None and not isinstance(name, str):
        raise errors.malformed_body()
    return name


def _symbols(venue: Venue, body: Json) -> list[str] | None:
    symbols = body.get("symbols")
    if symbols is None:
        return None
    if not isinstance(symbols, list) or len(symbols) > SYMBOLS_MAX:
        raise errors.malformed_body()
    return [_symbol(venue, name) for name in symbols]


def _symbol(venue: Venue, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise errors.invalid("symbol is required")
    symbol = resolver(venue)(name)
    if symbol is None:
        raise errors.against_rule(f'asset "{name[:40]}" not found')
    return symbol


def _head(venue: Venue, known: Watchlist) -> Json:
    return {
        "id": known.id,
        "account_id": venue.account.id,
        "created_at": rfc3339_micro(known.created_ns),
        "updated_at": rfc3339_micro(known.updated_ns),
        "name": known.name,
    }


def _whole(venue: Venue, known: Watchlist) -> Json:
    knobs = venue.config.knobs
    assets = [asset_json(venue.assets[s], knobs) for s in known.symbols if s in venue.assets]
    return {**_head(venue, known), "assets": assets}

"""The exchange as an aiohttp application: routes, keys, budgets, refusals, headers."""

import asyncio

from aiohttp import web

from exchange import (
    control,
    errors,
    rest_actions,
    rest_activities,
    rest_announcements,
    rest_data,
    rest_history,
    rest_markets,
    rest_orders,
    rest_reference,
    rest_trading,
    rest_watchlists,
)
from exchange.data_stream import DATA_STREAM, DataStream, serve_data_stream
from exchange.knobs import WireLimits
from exchange.limits import TokenBucket
from exchange.service import Exchange
from exchange.stream import TRADE_STREAM, TradeStream, serve_stream
from exchange.wire import (
    BODY_MAX_BYTES,
    EXCHANGE,
    UNAUTHORIZED_PAGE,
    Handler,
    compress,
    http_date,
    refuse,
    reply,
)

DATA_PREFIXES = ("/v2/stocks/", "/v1beta1/", "/v1/corporate-actions")
DATA_STREAM_PATHS = ("/v2/iex", "/v2/sip", "/v2/delayed_sip", "/v2/test")
TRADE_STREAM_PATHS = ("/stream", "/stream/")
"""The second is what alpaca-trade-api for Python asks for."""
STREAM_PATHS = frozenset({*TRADE_STREAM_PATHS, *DATA_STREAM_PATHS})
CONTROL_PREFIX = "/_exchange/"


def make_app(exchange: Exchange) -> web.Application:
    """Return the application that serves an exchange."""
    app = web.Application(middlewares=[envelope], client_max_size=BODY_MAX_BYTES)
    app[EXCHANGE] = exchange
    app[TRADE_STREAM] = TradeStream(exchange)
    app[DATA_STREAM] = DataStream(exchange)
    app[control.STOP] = asyncio.Event()
    exchange.listeners.append(app[TRADE_STREAM].broadcast)
    exchange.listeners.append(app[DATA_STREAM].tell)
    exchange.flushes.append(app[TRADE_STREAM].flush)
    exchange.followers.append(app[DATA_STREAM].follow)
    exchange.alarms.append(app[DATA_STREAM].next_ns)
    exchange.flushes.append(app[DATA_STREAM].flush)
    app.add_routes(control.routes())
    app.add_routes(rest_trading.routes())
    app.add_routes(rest_history.routes())
    app.add_routes(rest_markets.routes())
    app.add_routes(rest_orders.routes())
    app.add_routes(rest_activities.routes())
    app.add_routes(rest_watchlists.routes())
    app.add_routes(rest_announcements.routes())
    app.add_routes(rest_reference.routes())
    app.add_routes(rest_data.routes())
    app.add_routes(rest_actions.routes())
    for path in TRADE_STREAM_PATHS:
        app.router.add_get(path, serve_stream)
    for path in DATA_STREAM_PATHS:
        app.router.add_get(path, serve_data_stream)
    app.on_shutdown.append(_close_streams)
    return app


async def _close_streams(app: web.Application) -> None:
    await app[TRADE_STREAM].close()
    await app[DATA_STREAM].close()


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Judge keys and budget, carry the request out, and word whatever comes of it."""
    exchange = request.app[EXCHANGE]
    path = request.path
    if path in STREAM_PATHS:
        return await handler(request)
    now_ns = exchange.step()
    if path.startswith(CONTROL_PREFIX):
        return await _answered(request, handler)
    is_data = path.startswith(DATA_PREFIXES)
    bucket = exchange.data_bucket if is_data else exchange.trading_bucket
    if not exchange.credentials.admits_headers(request.headers):
        response: web.StreamResponse = _unauthorized(exchange.limits, is_data=is_data)
    elif not bucket.take(now_ns):
        response = refuse(errors.data_rate_limited() if is_data else errors.trading_rate_limited())
    else:
        response = await _answered(request, handler)
    is_limited = response.status == 429
    bare = (is_data and response.status == 401) or (
        is_limited and (is_data or not exchange.limits.trading_429_headers)
    )
    if not bare:
        _add_budget(response, bucket, now_ns)
    compress(request, response, exchange.limits.gzip_bytes_min)
    response.headers["X-Request-ID"] = exchange.request_id()
    response.headers["Date"] = http_date(now_ns)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.Refusal as refusal:
        knobs = request.app[EXCHANGE].venue.config.knobs
        return refuse(refusal.told(lambda name: bool(getattr(knobs, name))))
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return refuse(errors.endpoint_not_found())
    except web.HTTPRequestEntityTooLarge:
        return refuse(errors.malformed_body())


def _add_budget(response: web.StreamResponse, bucket: TokenBucket, now_ns: int) -> None:
    for name, value in bucket.headers(now_ns).items():
        response.headers[name] = value


def _unauthorized(limits: WireLimits, *, is_data: bool) -> web.Response:
    if is_data and limits.html_unauthorized:
        return web.Response(status=401, text=UNAUTHORIZED_PAGE, content_type="text/html")
    if limits.unauthorized_has_code:
        return reply({"code": 40110000, "message": "request is not authorized"}, 401)
    return reply({"message": "unauthorized."}, 401)

"""The trading API: account, clock, calendar, assets, positions."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from aiohttp import web

from exchange import errors
from exchange.admission import Configuration
from exchange.encoding import (
    Json,
    Marks,
    account_json,
    asset_json,
    clock_json,
    configuration_json,
    day_trade_fields,
    order_json,
    position_json,
    session_json,
)
from exchange.equity import equity_history, first_day, period_days
from exchange.instants import from_ns, new_york_day, to_ns
from exchange.numbers import has_places, read_decimal
from exchange.service import Exchange
from exchange.venue import Outcome, Venue
from exchange.wire import (
    EXCHANGE,
    query_flag,
    query_instant,
    query_list,
    read_object,
    reply,
    written_day,
)

DAYS_OF_MINUTES = 7
"""Periods up to this long are shown within the day unless asked otherwise."""
CALENDAR_DAYS_MAX = 20_000


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [
        web.get("/v2/account", get_account),
        web.get("/v2/account/configurations", get_configuration),
        web.patch("/v2/account/configurations", patch_configuration),
        web.get("/v2/account/portfolio/history", get_portfolio_history),
        web.get("/v2/clock", get_clock),
        web.get("/v2/calendar", get_calendar),
        web.get("/v2/assets", get_assets),
        web.get("/v2/assets/{asset}", get_asset),
        web.get("/v2/positions", get_positions),
        web.delete("/v2/positions", close_positions),
        web.get("/v2/positions/{asset}", get_position),
        web.delete("/v2/positions/{asset}", close_position),
    ]


def resolver(venue: Venue) -> Callable[[str], str | None]:
    """Return symbol or asset id → listed symbol, None when there is none."""

    def resolve(name: str) -> str | None:
        if name in venue.assets:
            return name
        return next((a.symbol for a in venue.assets.values() if a.id == name), None)

    return resolve


async def get_account(request: web.Request) -> web.Response:
    """Serve the account."""
    venue = request.app[EXCHANGE].venue
    totals, configuration = venue.totals(), venue.register.configuration
    body = account_json(venue.account, totals, configuration, venue.now_ns)
    if venue.config.knobs.pdt_protection:
        body |= day_trade_fields(venue.day_trade_count(), totals)
    return reply(body)


async def get_configuration(request: web.Request) -> web.Response:
    """Serve the account's configuration."""
    return reply(configuration_json(request.app[EXCHANGE].venue.register.configuration))


async def patch_configuration(request: web.Request) -> web.Response:
    """Change the account's configuration; nulls change nothing."""
    exchange = request.app[EXCHANGE]
    body = await read_object(request)
    configuration = _configured(exchange.venue.register.configuration, body)
    exchange.venue.configure(configuration)
    exchange.settle()
    return reply(configuration_json(configuration))


def _flag(body: Json, name: str, known: object) -> bool:
    value = body.get(name)
    if value is None:
        value = known
    if not isinstance(value, bool):
        raise errors.invalid(f"invalid {name}")
    return value


def _configured(configuration: Configuration, body: Json) -> Configuration:
    configuration = replace(
        configuration,
        fractional_trading=_flag(body, "fractional_trading", configuration.fractional_trading),
        no_shorting=_flag(body, "no_shorting", configuration.no_shorting),
        suspend_trade=_flag(body, "suspend_trade", configuration.suspend_trade),
        ptp_no_exception_entry=_flag(
            body, "ptp_no_exception_entry", configuration.ptp_no_exception_entry
        ),
    )
    multiplier = body.get("max_margin_multiplier")
    if multiplier is not None:
        if str(multiplier) not in ("1", "2", "4"):
            raise errors.invalid("invalid max_margin_multiplier")
        configuration = replace(configuration, max_margin_multiplier=int(str(multiplier)))
    email = body.get("trade_confirm_email")
    if email is not None:
        if email not in ("all", "none"):
            raise errors.invalid("invalid trade_confirm_email")
        configuration = replace(configuration, trade_confirm_email=str(email))
    return configuration


async def get_clock(request: web.Request) -> web.Response:
    """Serve the market's clock."""
    venue = request.app[EXCHANGE].venue
    at, calendar = from_ns(venue.now_ns), venue.market.calendar
    session = calendar.session_at(at)
    following = calendar.next_open(at)
    closing = session or following
    return reply(
        clock_json(
            venue.now_ns,
            is_open=session is not None,
            next_open_ns=to_ns(following.opens_at),
            next_close_ns=to_ns(closing.closes_at),
        )
    )


async def get_calendar(request: web.Request) -> web.Response:
    """Serve the sessions between two dates."""
    sessions = request.app[EXCHANGE].venue.market.calendar.sessions
    days = [s.day for s in sessions]
    start = written_day(request.query, "start") or days[0]
    end = written_day(request.query, "end") or days[-1]
    first, last = bisect_left(days, start), bisect_right(days, end)
    rows = []
    for index in range(first, last):
        settles = days[min(index + 1, len(days) - 1)]
        rows.append(session_json(sessions[index], settles.isoformat()))
    return reply(rows[:CALENDAR_DAYS_MAX])


async def get_assets(request: web.Request) -> web.Response:
    """Serve the listed assets."""
    query, knobs = request.query, request.app[EXCHANGE].venue.config.knobs
    status, listing = query.get("status", ""), query.get("exchange", "")
    if query.get("asset_class", "us_equity") not in ("", "us_equity"):
        return reply([])
    if query_list(query, "attributes"):
        return reply([])
    return reply(
        [
            asset_json(asset, knobs)
            for asset in request.app[EXCHANGE].venue.assets.values()
            if (not status or status == "all" or asset.is_active == (status == "active"))
            and (not listing or asset.exchange == listing)
        ]
    )


async def get_asset(request: web.Request) -> web.Response:
    """Serve one asset by symbol or id."""
    venue, name = request.app[EXCHANGE].venue, request.match_info["asset"]
    symbol = resolver(venue)(name)
    if symbol is None:
        raise errors.not_found(f"asset not found for {name}")
    return reply(asset_json(venue.assets[symbol], venue.config.knobs))


def _marks(venue: Venue) -> Marks:
    view = venue.views.latest(venue.now_ns)
    has_begun = view is not None and venue.register.begun == view.session.day
    return Marks(
        price_of=venue.prices.at(venue.now_ns),
        lastday_of=venue.prices.lastday(venue.now_ns, has_begun=has_begun),
    )


def _position(venue: Venue, symbol: str, marks: Marks) -> Json:
    holding = venue.account.holdings[symbol]
    return position_json(venue.assets[symbol], holding, venue.account.available_qty(symbol), marks)


async def get_positions(request: web.Request) -> web.Response:
    """Serve the positions."""
    venue = request.app[EXCHANGE].venue
    marks = _marks(venue)
    return reply([_position(venue, symbol, marks) for symbol in sorted(venue.account.holdings)])


def _held_symbol(request: web.Request) -> str:
    venue = request.app[EXCHANGE].venue
    symbol = resolver(venue)(request.match_info["asset"])
    if symbol is None or symbol not in venue.account.holdings:
        raise errors.not_found("position does not exist")
    return symbol


async def get_position(request: web.Request) -> web.Response:
    """Serve one position by symbol or asset id."""
    venue = request.app[EXCHANGE].venue
    return reply(_position(venue, _held_symbol(request), _marks(venue)))


async def close_position(request: web.Request) -> web.Response:
    """Close one position, all of it or the `qty` or `percentage` asked for."""
    exchange = request.app[EXCHANGE]
    symbol = _held_symbol(request)
    qty, percentage = _amount(request, "qty"), _amount(request, "percentage")
    if qty is not None and percentage is not None:
        raise errors.invalid("only one of qty or percentage is accepted")
    if percentage is not None and percentage > 100:
        raise errors.invalid("percentage must be <= 100")
    order = exchange.venue.close_position(symbol, qty, percentage)
    exchange.settle()
    return reply(order_json(order, exchange.venue.book, nested=True))


def _amount(request: web.Request, name: str) -> Decimal | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        amount = read_decimal(text)
    except ValueError as fault:
        raise errors.invalid(f"invalid {name}: {text[:40]}") from fault
    if amount <= 0 or not has_places(amount, 9):
        raise errors.invalid(f"{name} must be > 0, with no more than 9 decimal places")
    return amount


async def close_positions(request: web.Request) -> web.Response:
    """Close every position; 207 with each one's outcome."""
    exchange = request.app[EXCHANGE]
    cancel_orders = query_flag(request.query, "cancel_orders")
    outcomes = exchange.venue.close_all(cancel_orders=cancel_orders)
    exchange.settle()
    return reply([_closed(exchange, outcome) for outcome in outcomes], 207)


def _closed(exchange: Exchange, outcome: Outcome) -> Json:
    if outcome.refusal is not None:
        refusal = outcome.refusal
        return {
            "symbol": outcome.subject,
            "status": refusal.http_status,
            "body": refusal.body(),
        }
    assert outcome.order is not None
    body = order_json(outcome.order, exchange.venue.book, nested=True)
    return {"symbol": outcome.subject, "status": 200, "body": body}


async def get_portfolio_history(request: web.Request) -> web.Response:
    """Serve the equity through time; numbers, never null."""
    venue, query = request.app[EXCHANGE].venue, request.query
    end_ns = query_instant(query, "end") or query_instant(query, "date_end") or venue.now_ns
    start_ns = query_instant(query, "start")
    if start_ns is not None and query.get("end") and query.get("period"):
        raise errors.invalid("only two of start, end and period are accepted")
    try:
        days = period_days(query.get("period") or "1M")
        default = "1D" if days > DAYS_OF_MINUTES or start_ns is not None else "15Min"
        timeframe = query.get("timeframe") or default
        last = min(new_york_day(end_ns), new_york_day(venue.now_ns))
        first = first_day(end_ns, days) if start_ns is None else new_york_day(start_ns)
        history = equity_history(venue, timeframe, first, last)
    except (ValueError, OverflowError) as fault:
        raise errors.invalid(str(fault)) from fault
    base = history.base
    return reply(
        {
            "timestamp": history.timestamps,
            "equity": [float(equity) for equity in history.equity],
            "profit_loss": [float(equity - base) for equity in history.equity],
            "profit_loss_pct": [float((equity - base) / base) for equity in history.equity],
            "base_value": float(base),
            "base_value_asof": history.base_day.isoformat() if history.base_day else None,
            "timeframe": timeframe,
            "cashflow": {},
        }
    )

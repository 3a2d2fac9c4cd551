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
    attributes_of,
    clock_json,
    configuration_json,
    day_trade_fields,
    order_json,
    position_json,
    session_json,
)
from exchange.instants import from_ns, to_ns
from exchange.numbers import has_places, read_decimal
from exchange.service import Exchange
from exchange.venue import Outcome, Venue
from exchange.wire import (
    EXCHANGE,
    query_flag,
    query_list,
    read_object,
    reply,
    written_day,
)

CALENDAR_DAYS_MAX = 20_000
OPTIONS_LEVELS = (0, 1, 2, 3)
"""What an account may be limited to in options, of which there are none here."""


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [
        web.get("/v2/account", get_account),
        web.get("/v2/account/configurations", get_configuration),
        web.patch("/v2/account/configurations", patch_configuration),
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
        disable_overnight_trading=_flag(
            body, "disable_overnight_trading", configuration.disable_overnight_trading
        ),
    )
    level = body.get("max_options_trading_level")
    if level is not None:
        if not isinstance(level, int) or level is True or level not in OPTIONS_LEVELS:
            raise errors.invalid("invalid max_options_trading_level")
        configuration = replace(configuration, max_options_trading_level=int(level))
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
    """Serve the sessions between two dates: of trading, or of settlement if that is asked for."""
    sessions = request.app[EXCHANGE].venue.market.calendar.sessions
    days = [s.day for s in sessions]
    # What is traded on a day settles on the next.
    settled = [*days[1:], days[-1]]
    date_type = request.query.get("date_type", "").upper() or "TRADING"
    if date_type not in ("TRADING", "SETTLEMENT"):
        raise errors.invalid(f"invalid date_type: {date_type[:40]}")
    looked_at = days if date_type == "TRADING" else settled
    start = written_day(request.query, "start") or days[0]
    end = written_day(request.query, "end") or days[-1]
    first, last = bisect_left(looked_at, start), bisect_right(looked_at, end)
    rows = [session_json(sessions[n], settled[n].isoformat()) for n in range(first, last)]
    return reply(rows[:CALENDAR_DAYS_MAX])


async def get_assets(request: web.Request) -> web.Response:
    """Serve the listed assets."""
    query, knobs = request.query, request.app[EXCHANGE].venue.config.knobs
    status, listing = query.get("status", ""), query.get("exchange", "")
    if query.get("asset_class", "us_equity") not in ("", "us_equity"):
        return reply([])
    attributes = set(query_list(query, "attributes"))
    return reply(
        [
            asset_json(asset, knobs)
            for asset in request.app[EXCHANGE].venue.assets.values()
            if (not status or status == "all" or asset.is_active == (status == "active"))
            and (not listing or asset.exchange == listing)
            and (not attributes or attributes.intersection(attributes_of(asset, knobs)))
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
    return position_json(venue.assets[symbol], holding, venue.available_qty(symbol), marks)


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

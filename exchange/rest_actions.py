"""`GET /v1/corporate-actions`: splits and cash dividends, filtered and paged."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import date

from aiohttp import web

from exchange import errors
from exchange.agenda import begun_day
from exchange.corporate_actions import ActionKind, ActionTable, CorporateAction
from exchange.instants import new_york_day
from exchange.wire import EXCHANGE, query_list, reply

Json = dict[str, object]
LIMIT_DEFAULT, LIMIT_MAX = 100, 1_000
GROUPS = {
    ActionKind.FORWARD_SPLIT: "forward_splits",
    ActionKind.REVERSE_SPLIT: "reverse_splits",
    ActionKind.CASH_DIVIDEND: "cash_dividends",
}
OTHER_TYPES = frozenset(
    {
        "unit_split",
        "stock_dividend",
        "spin_off",
        "cash_merger",
        "stock_merger",
        "stock_and_cash_merger",
        "redemption",
        "name_change",
        "worthless_removal",
        "rights_distribution",
    }
)
"""Types that may be asked for and never happen here."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API, under its name and its earlier one."""
    return [
        web.get("/v1/corporate-actions", get_corporate_actions),
        web.get("/v1beta1/corporate-actions", get_corporate_actions),
    ]


async def get_corporate_actions(request: web.Request) -> web.Response:
    """Serve what has been declared by now, by process date."""
    exchange, query = request.app[EXCHANGE], request.query
    now_ns = exchange.venue.now_ns
    known = _known(exchange.venue.market.actions, begun_day(now_ns))
    chosen = _chosen(known, query, new_york_day(now_ns))
    descending = _sort(query) == "desc"
    chosen.sort(key=_order, reverse=descending)
    after = _read_token(query.get("page_token"))
    if after is not None:
        sign = -1 if descending else 1
        chosen = [a for a in chosen if sign * _compared(_order(a), after) > 0]
    limit = _limit(query)
    page, rest = chosen[:limit], chosen[limit:]
    groups: dict[str, list[Json]] = {}
    for action in page:
        groups.setdefault(GROUPS[action.kind], []).append(action_json(action))
    token = _token(page[-1]) if rest else None
    return reply({"corporate_actions": groups, "next_page_token": token})


def _known(table: ActionTable, today: date) -> list[CorporateAction]:
    return [action for action in table.actions if action.declared_on <= today]


def _chosen(
    known: list[CorporateAction], query: Mapping[str, str], today: date
) -> list[CorporateAction]:
    ids = query_list(query, "ids")
    if ids:
        return [action for action in known if action.id in ids]
    symbols = {name.upper() for name in query_list(query, "symbols")}
    cusips = set(query_list(query, "cusips"))
    types = set(query_list(query, "types"))
    strange = types - OTHER_TYPES - set(ActionKind)
    if strange:
        raise errors.bad_data_request(f"invalid type: {min(strange)[:40]}")
    start, end = _day(query, "start", today), _day(query, "end", today)
    if end < start:
        raise errors.bad_data_request("end should not be before start")
    return [
        action
        for action in known
        if start <= action.process_date <= end
        and (not symbols or action.symbol in symbols)
        and (not cusips or cusip(action.symbol) in cusips)
        and (not types or action.kind in types)
    ]


def action_json(action: CorporateAction) -> Json:
    """Return an action as the wire writes it; rates are numbers."""
    body: Json = {
        "id": action.id,
        "symbol": action.symbol,
        "ex_date": action.ex_date.isoformat(),
        "record_date": action.record_date.isoformat(),
        "payable_date": action.payable_date.isoformat(),
        "process_date": action.process_date.isoformat(),
    }
    if action.kind is ActionKind.CASH_DIVIDEND:
        return {
            **body,
            "cusip": cusip(action.symbol),
            "rate": float(action.cash_usd),
            "special": False,
            "foreign": False,
        }
    rates = {"new_rate": _number(action.new_rate), "old_rate": _number(action.old_rate)}
    if action.kind is ActionKind.FORWARD_SPLIT:
        return {**body, **rates, "cusip": cusip(action.symbol)}
    number = cusip(action.symbol)
    return {**body, **rates, "new_cusip": number[:-3] + "200", "old_cusip": number}


def cusip(symbol: str) -> str:
    """Return a made-up number in the form of a CUSIP, the same for a symbol always."""
    letters = "".join(c for c in symbol if c.isalnum())[:6]
    return f"{letters:0<6}100"


def _number(rate: object) -> int | float:
    number = float(str(rate))
    return int(number) if number.is_integer() else number


def _compared(one: tuple[date, str, str], other: tuple[date, str, str]) -> int:
    return (one > other) - (one < other)


def _order(action: CorporateAction) -> tuple[date, str, str]:
    return action.process_date, action.symbol, action.kind.value


def _token(action: CorporateAction) -> str:
    text = "|".join((action.process_date.isoformat(), action.symbol, action.kind.value))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str | None) -> tuple[date, str, str] | None:
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        day, symbol, kind = text.decode("utf-8").split("|")
        return date.fromisoformat(day), symbol, kind
    except (binascii.Error, ValueError) as fault:
        raise errors.bad_data_request("invalid page_token") from fault


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name)
    if not text:
        return default
    try:
        if _DAY.fullmatch(text[:10]):
            return date.fromisoformat(text[:10])
    except ValueError:
        pass
    raise errors.bad_data_request(
        f"Invalid format for parameter {name}: error parsing '{text[:60]}' as 2006-01-02 time"
    )


def _sort(query: Mapping[str, str]) -> str:
    sort = query.get("sort") or "asc"
    if sort not in ("asc", "desc"):
        raise errors.bad_data_request("invalid sort")
    return sort


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit")
    if not text:
        return LIMIT_DEFAULT
    is_count = text.isascii() and text.isdigit() and len(text) < 8
    if not is_count or not 1 <= int(text) <= LIMIT_MAX:
        raise errors.bad_data_request(f"invalid limit: {text[:40]}; it must be 1 to {LIMIT_MAX}")
    return int(text)

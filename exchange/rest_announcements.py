"""`GET /v2/corporate_actions/announcements`: the trading API's older view of splits and dividends.

Source: the published reference and alpaca-py's models.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from aiohttp import web

from exchange import errors
from exchange.agenda import begun_day
from exchange.corporate_actions import ActionKind, CorporateAction
from exchange.encoding import Json
from exchange.numbers import decimal_text
from exchange.rest_actions import cusip
from exchange.venue import Venue
from exchange.wire import EXCHANGE, query_list, reply, written_day

SPAN_MAX = timedelta(days=90)
TYPES = frozenset({"dividend", "merger", "spinoff", "split"})
"""What may be asked for; mergers and spin-offs never happen here."""
SUB_TYPES = {
    ActionKind.FORWARD_SPLIT: "stock_split",
    ActionKind.REVERSE_SPLIT: "reverse_split",
    ActionKind.CASH_DIVIDEND: "cash",
}
DATE_TYPES = ("declaration_date", "ex_date", "record_date", "payable_date")


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    path = "/v2/corporate_actions/announcements"
    return [web.get(path, list_announcements), web.get(path + "/{id}", get_announcement)]


async def list_announcements(request: web.Request) -> web.Response:
    """Serve what has been declared by now, of the types and days asked for."""
    query = request.query
    types = {name.lower() for name in query_list(query, "ca_types")}
    if not types:
        raise errors.invalid("ca_types is required")
    if types - TYPES:
        raise errors.invalid(f"invalid ca_types: {min(types - TYPES)[:40]}")
    since, until = _day(query, "since"), _day(query, "until")
    if until < since:
        raise errors.invalid("until should not be before since")
    if until - since > SPAN_MAX:
        raise errors.invalid(f"the date range is limited to {SPAN_MAX.days} days")
    date_type = query.get("date_type") or "ex_date"
    if date_type not in DATE_TYPES:
        raise errors.invalid(f"invalid date_type: {date_type[:40]}")
    symbol, number = query.get("symbol", "").upper(), query.get("cusip", "")
    rows = [
        row
        for row in map(announcement_json, _known(request.app[EXCHANGE].venue))
        if row["ca_type"] in types
        and since.isoformat() <= str(row[date_type]) <= until.isoformat()
        and (not symbol or row["initiating_symbol"] == symbol)
        and (not number or row["initiating_original_cusip"] == number)
    ]
    return reply(rows)


async def get_announcement(request: web.Request) -> web.Response:
    """Serve one announcement by its id."""
    wanted = request.match_info["id"].lower()
    for action in _known(request.app[EXCHANGE].venue):
        if action.id == wanted:
            return reply(announcement_json(action))
    raise errors.not_found(f"announcement not found for {wanted[:80]}")


def announcement_json(action: CorporateAction) -> Json:
    """Return an action as this part of the wire writes it; amounts are strings."""
    number = cusip(action.symbol)
    return {
        "id": action.id,
        "corporate_action_id": f"{number}_{action.ex_date:%y%m%d}",
        "ca_type": "split" if action.is_split else "dividend",
        "ca_sub_type": SUB_TYPES[action.kind],
        "initiating_symbol": action.symbol,
        "initiating_original_cusip": number,
        "target_symbol": action.symbol,
        "target_original_cusip": number,
        "declaration_date": action.declared_on.isoformat(),
        "ex_date": action.ex_date.isoformat(),
        "record_date": action.record_date.isoformat(),
        "payable_date": action.payable_date.isoformat(),
        "cash": decimal_text(action.cash_usd),
        "old_rate": decimal_text(action.old_rate),
        "new_rate": decimal_text(action.new_rate),
    }


def _known(venue: Venue) -> list[CorporateAction]:
    today = begun_day(venue.now_ns)
    return [action for action in venue.market.actions.actions if action.declared_on <= today]


def _day(query: Mapping[str, str], name: str) -> date:
    day = written_day(query, name)
    if day is None:
        raise errors.invalid(f"{name} is required")
    return day

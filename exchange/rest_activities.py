"""The account's activities: executions, dividends, splits, fees; paged by their ids."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from exchange import errors
from exchange.activities import Activity, ActivityKind
from exchange.encoding import Json, activity_json, entry_json, stamped_id
from exchange.instants import new_york_day
from exchange.orders import Execution
from exchange.register import Register
from exchange.wire import EXCHANGE, query_count, query_day, query_instant, query_list, reply

PAGE_MAX = 100
FILL = "FILL"
CATEGORIES = ("trade_activity", "non_trade_activity")


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [
        web.get("/v2/account/activities", get_activities),
        web.get("/v2/account/activities/{kind}", get_activities),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One activity; its id and body are made only where they are asked for."""

    at_ns: int
    order_id: str | None
    source: Activity | Execution

    @property
    def id(self) -> str:
        return stamped_id(self.at_ns, self.source.id)

    @property
    def body(self) -> Json:
        source = self.source
        return activity_json(source) if isinstance(source, Execution) else entry_json(source)


async def get_activities(request: web.Request) -> web.Response:
    """Serve the activities of the kinds asked for, newest first unless asked otherwise."""
    query = request.query
    size = query_count(query, "page_size", PAGE_MAX, PAGE_MAX)
    after = query_instant(query, "after")
    rows = _rows(request.app[EXCHANGE].venue.register, _kinds(request), after)
    return reply([row.body for row in _chosen(rows, query)[:size]])


def _kinds(request: web.Request) -> frozenset[str]:
    single = request.match_info.get("kind")
    kinds = [single] if single else query_list(request.query, "activity_types")
    category = request.query.get("category", "")
    if category and category not in CATEGORIES:
        raise errors.invalid("invalid category")
    if category and kinds:
        raise errors.invalid("only one of category or activity_types is accepted")
    if category == CATEGORIES[0]:
        return frozenset({FILL})
    if category:
        return frozenset(ActivityKind)
    return frozenset(kinds) or frozenset({FILL, *ActivityKind})


def _rows(register: Register, kinds: frozenset[str], after_ns: int | None) -> list[_Row]:
    """Return the rows after an instant by time; of one instant the account's entries go before its
    fills."""
    entries = [
        _Row(at_ns=a.at_ns, order_id=None, source=a)
        for a in register.activities
        if a.kind in kinds and (after_ns is None or a.at_ns > after_ns)
    ]
    executions = register.executions if FILL in kinds else []
    begin = 0 if after_ns is None else bisect_right(executions, after_ns, key=_instant)
    fills = [
        _Row(at_ns=e.at_ns, order_id=e.order_id, source=e)
        for e in executions[begin:]
        if register.stands(e)
    ]
    return sorted(entries + fills, key=lambda row: row.at_ns) if entries else fills


def _instant(execution: Execution) -> int:
    return execution.at_ns


def _chosen(rows: list[_Row], query: Mapping[str, str]) -> list[_Row]:
    order_id, day = query.get("order_id"), query_day(query, "date")
    until = query_instant(query, "until")
    token = query.get("page_token")
    rows = [
        row
        for row in rows
        if (not order_id or row.order_id == order_id)
        and (day is None or new_york_day(row.at_ns) == day)
        and (until is None or row.at_ns < until)
    ]
    if query.get("direction", "desc").lower() != "asc":
        rows.reverse()
    if token:
        found = next((i for i, row in enumerate(rows) if row.id == token), len(rows) - 1)
        rows = rows[found + 1 :]
    return rows

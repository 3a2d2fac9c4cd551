"""The account at Alpaca: orders, executions, positions, sessions (`domain.ports.Broker`)."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing
from datetime import date, datetime, timedelta
from urllib.parse import quote as escape

import structlog

from daemon.alpaca.account_codec import (
    AssetFacts,
    VenueTime,
    decode_account,
    decode_asset,
    decode_assets,
    decode_calendar,
    decode_clock,
)
from daemon.alpaca.client import LONG_LIST_LIMITS, ORDER_LIMITS, AlpacaApi
from daemon.alpaca.codec import (
    ActivityWire,
    OrderWire,
    decode_activities,
    decode_order,
    decode_order_rows,
    encode_instant,
    encode_order,
    to_fill,
    to_report,
    to_utc,
)
from daemon.alpaca.errors import is_duplicate_id, is_finished, is_unknown
from daemon.alpaca.stream import StreamEndpoint, TradeStream
from daemon.backoff import Jitter
from daemon.budget import Lane
from domain.calendar import Calendar
from domain.errors import VenueRejected, VenueUnavailable
from domain.instruments import Symbol
from domain.orders import ApprovedOrder, Bust, Fill, Leg, OrderReport, OrderUpdate
from domain.portfolio import AccountReport
from domain.ports import Clock, StreamConnected

ORDERS_PAGE = 500
ACTIVITIES_PAGE = 100
PAGES_MAX = 200
"""More than this is no account but a venue that pages in circles."""
NAMES_MAX = 20_000
"""Venue order ids whose client order id is remembered."""
LEGS_LOOK_BACK = timedelta(days=1)
"""How long before a working leg's submission the rest of its bracket is looked for."""
NAME_LOOK_UPS_MAX = 3
"""Unknown orders of executions looked up one by one; more are found by a list first."""

_SIMPLE_CLASSES = (None, "", "simple")
_CLOSING = frozenset({Leg.CLOSE, Leg.EXIT, Leg.FLATTEN})
_log = structlog.get_logger(__name__)


class AlpacaBroker:
    """Implements `domain.ports.Broker` over Alpaca's trading API."""

    def __init__(
        self, api: AlpacaApi, endpoint: StreamEndpoint, *, clock: Clock, jitter: Jitter
    ) -> None:
        self.api = api
        self._clock = clock
        self._names: OrderedDict[str, str] = OrderedDict()
        self.stream = TradeStream(
            api.session, endpoint, clock=clock, jitter=jitter, reread=self.order
        )

    # --- orders -------------------------------------------------------------------------------

    async def submit(self, order: ApprovedOrder) -> OrderReport:
        """Place the order; sent once. Raises VenueRejected (definite), RequestNotSent (nothing
        left), or VenueUnavailable (ambiguous: look the id up)."""
        intent = order.intent
        lane = Lane.CANCEL if intent.leg in _CLOSING else Lane.SUBMIT
        try:
            body = await self.api.post_once("/orders", encode_order(order), lane=lane)
        except VenueRejected as refusal:
            if not is_duplicate_id(refusal):
                raise
            return await self._landed_before(intent.client_order_id, lane)
        report = self._seen(decode_order(body))
        if report.client_order_id != intent.client_order_id:
            raise VenueUnavailable(
                f"the venue answered for order {report.client_order_id!r}, not for"
                f" {intent.client_order_id!r}"
            )
        return report

    async def _landed_before(self, client_order_id: str, lane: Lane) -> OrderReport:
        report = await self._look_up(client_order_id, lane)
        if report is None:
            raise VenueUnavailable(f"the venue has an order {client_order_id!r} and cannot show it")
        return report

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for cancellation; done, finished and unknown all return. Raises VenueUnavailable."""
        if not venue_order_id:
            # DELETE on the bare path would cancel everything the account has.
            raise ValueError("an order without a venue id cannot be cancelled: look it up first")
        try:
            await self.api.delete(f"/orders/{escape(venue_order_id, safe='')}", lane=Lane.CANCEL)
        except VenueRejected as refusal:
            if not (is_finished(refusal) or is_unknown(refusal)):
                raise
            _log.debug("cancel_came_late", venue_order_id=venue_order_id, answer=str(refusal))

    async def order(self, client_order_id: str) -> OrderReport | None:
        """Return the venue's view of an order, None when it definitely has none."""
        return await self._look_up(client_order_id, Lane.RECONCILE)

    async def _look_up(self, client_order_id: str, lane: Lane) -> OrderReport | None:
        try:
            body = await self.api.get(
                "/orders:by_client_order_id",
                {"client_order_id": client_order_id},
                lane=lane,
                limits=ORDER_LIMITS,
            )
        except VenueRejected as refusal:
            if is_unknown(refusal):
                return None
            raise
        return self._seen(decode_order(body))

    async def open_orders(self) -> list[OrderReport]:
        """Return every order that can still fill, all pages, oldest first.

        The venue hides `held` legs from its list of open orders: when a working order belongs to
        a bracket, its whole group is read as well.
        """
        rows = await self._order_pages({"status": "open"})
        found = {row.id: row for row in _flatten(rows)}
        grouped = [row for row in rows if row.order_class not in _SIMPLE_CLASSES]
        if grouped:
            since_at = min(_submitted_at(row) for row in grouped) - LEGS_LOOK_BACK
            query = {"status": "all", "nested": "true", "after": encode_instant(since_at)}
            for row in _flatten(await self._order_pages(query)):
                found.setdefault(row.id, row)
        reports = [self._seen(to_report(row)) for row in found.values()]
        working = (report for report in reports if not report.status.is_terminal)
        return sorted(working, key=lambda r: (r.submitted_at, r.venue_order_id))

    async def _order_pages(self, query: Mapping[str, str]) -> list[OrderWire]:
        """Return all rows of an order list, newest first.

        Pages overlap by the last instant, since several orders may share it.
        """
        found: dict[str, OrderWire] = {}
        params = {"limit": str(ORDERS_PAGE), "direction": "desc", **query}
        for _ in range(PAGES_MAX):
            body = await self.api.get("/orders", params, lane=Lane.RECONCILE)
            rows = decode_order_rows(body)
            news = [row for row in rows if row.id not in found]
            found.update((row.id, row) for row in news)
            if len(rows) < ORDERS_PAGE:
                return list(found.values())
            if not news:
                break
            until_at = _submitted_at(rows[-1]) + timedelta(microseconds=1)
            params["until"] = encode_instant(until_at)
        raise VenueUnavailable("the venue's list of orders does not end")

    # --- executions ---------------------------------------------------------------------------

    async def fills_since(self, since_at: datetime) -> list[Fill]:
        """Return executions at or after `since_at`, oldest first, all pages."""
        rows = await self._activity_pages(since_at)
        await self._learn_names({row.order_id for row in rows}, since_at)
        fills = (to_fill(row, client_order_id=self._names.get(row.order_id, "")) for row in rows)
        return sorted(
            (fill for fill in fills if fill.filled_at >= since_at),
            key=lambda fill: (fill.filled_at, fill.fill_id),
        )

    async def _activity_pages(self, since_at: datetime) -> list[ActivityWire]:
        found: dict[str, ActivityWire] = {}
        params = {
            "activity_types": "FILL",
            # Exclusive at the venue, and its ids are cut to milliseconds: ask for a little more.
            "after": encode_instant(since_at - timedelta(milliseconds=2)),
            "direction": "asc",
            "page_size": str(ACTIVITIES_PAGE),
        }
        for _ in range(PAGES_MAX):
            body = await self.api.get("/account/activities", params, lane=Lane.RECONCILE)
            rows = decode_activities(body)
            is_new = any(row.id not in found for row in rows)
            found.update((row.id, row) for row in rows)
            if len(rows) < ACTIVITIES_PAGE:
                return list(found.values())
            if not is_new:
                break
            params["page_token"] = rows[-1].id
        raise VenueUnavailable("the venue's list of activities does not end")

    async def _learn_names(self, order_ids: Collection[str], since_at: datetime) -> None:
        """Learn the client order ids of executions: the venue names them on orders only."""
        if len(self._unnamed(order_ids)) > NAME_LOOK_UPS_MAX:
            after = encode_instant(since_at - LEGS_LOOK_BACK)
            rows = await self._order_pages({"status": "all", "nested": "true", "after": after})
            for row in _flatten(rows):
                self._remember(row.id, row.client_order_id or "")
        for order_id in self._unnamed(order_ids):
            try:
                path = f"/orders/{escape(order_id, safe='')}"
                self._seen(decode_order(await self.api.get(path, lane=Lane.RECONCILE)))
            except VenueRejected as refusal:
                if not is_unknown(refusal):
                    raise
                self._remember(order_id, "")

    def _unnamed(self, order_ids: Collection[str]) -> list[str]:
        return sorted(order_id for order_id in order_ids if order_id not in self._names)

    def _seen(self, report: OrderReport) -> OrderReport:
        self._remember(report.venue_order_id, report.client_order_id)
        return report

    def _remember(self, venue_order_id: str, client_order_id: str) -> None:
        self._names[venue_order_id] = client_order_id
        self._names.move_to_end(venue_order_id)
        while len(self._names) > NAMES_MAX:
            self._names.popitem(last=False)

    # --- the account --------------------------------------------------------------------------

    async def account(self) -> AccountReport:
        """Return cash, equity, buying power and positions as the venue sees them."""
        account = await self.api.get("/account", lane=Lane.RECONCILE)
        # They are as of some instant since: what is seen from here on may not be in them.
        reported_at = self._clock.now()
        positions = await self.api.get("/positions", lane=Lane.RECONCILE)
        return decode_account(account, positions, reported_at=reported_at)

    async def calendar(self, start: date, end: date) -> Calendar:
        """Return the venue's sessions between two dates, both included."""
        params = {"start": start.isoformat(), "end": end.isoformat()}
        return decode_calendar(await self.api.get("/calendar", params, lane=Lane.RECONCILE))

    async def assets(self) -> Mapping[Symbol, AssetFacts]:
        """Return what may be done with each US equity the venue lists as active (one long list:
        ask rarely)."""
        params = {"status": "active", "asset_class": "us_equity"}
        body = await self.api.get("/assets", params, lane=Lane.HISTORY, limits=LONG_LIST_LIMITS)
        return decode_assets(body)

    async def asset(self, symbol: Symbol) -> AssetFacts:
        """Return what may be done with one asset."""
        body = await self.api.get(f"/assets/{escape(symbol, safe='')}", lane=Lane.RECONCILE)
        return decode_asset(body)

    async def clock(self) -> VenueTime:
        """Return the venue's own clock."""
        return decode_clock(await self.api.get("/clock", lane=Lane.RECONCILE))

    async def now(self) -> datetime:
        """Return the venue's market time."""
        return (await self.clock()).at

    async def updates(self) -> AsyncGenerator[OrderUpdate | Fill | Bust | StreamConnected, None]:
        """Yield what happens to our orders; reconnects by itself, each event at least once."""
        async with aclosing(self.stream.updates()) as events:
            async for event in events:
                if isinstance(event, OrderUpdate):
                    self._seen(event.report)
                yield event


def _submitted_at(row: OrderWire) -> datetime:
    at = row.submitted_at or row.created_at
    if at is None:
        raise VenueUnavailable(f"order {row.id} came without a time of submission")
    return to_utc(at)


def _flatten(rows: Iterable[OrderWire]) -> Iterator[OrderWire]:
    for row in rows:
        yield row
        yield from _flatten(row.legs or ())

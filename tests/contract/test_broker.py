"""The contract of `domain.ports.Broker`, held against every adapter."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from domain.calendar import Session
from domain.errors import NotAuthorized, VenueRejected, VenueUnavailable
from domain.instruments import Symbol
from domain.orders import (
    ApprovedOrder,
    AtLimit,
    AtMarket,
    AtStop,
    AtStopLimit,
    Fill,
    OrderStatus,
    OrderUpdate,
    Side,
    Terms,
    TimeInForce,
)
from domain.ports import Broker, StreamConnected
from tests.support.fake_venue import FakeVenue
from tests.support.orders import an_intent
from tests.support.rigs import OpenRig, in_memory, over_http
from tests.support.virtual_loop import in_virtual_time

adapters = pytest.mark.parametrize("rig", [in_memory, over_http], ids=["memory", "alpaca"])
ALL_TERMS = [
    AtMarket(),
    AtLimit(Decimal("187.31")),
    AtStop(Decimal("0.1234")),
    AtStopLimit(Decimal("190"), Decimal("190.05")),
]
ONE_CENT = Decimal("0.01")


def approved(client_order_id: str = "tw1-a", **changes: object) -> ApprovedOrder:
    intent = an_intent(client_order_id=client_order_id, **changes)
    expires_at = intent.intended_at + timedelta(minutes=1)
    return ApprovedOrder(
        intent=intent, approved_at=intent.intended_at, expires_at=expires_at, epoch=1
    )


def accept(venue: FakeVenue, client_order_id: str, quantity: int = 10) -> None:
    venue.accept(client_order_id, "AAPL", Side.BUY, Decimal(quantity), terms=AtMarket())


async def first(events: AsyncIterator[object], count: int) -> list[object]:
    return [await anext(events) for _ in range(count)]


@adapters
@in_virtual_time
async def test_the_ports_protocol_is_met(rig: OpenRig) -> None:
    async with rig() as it:
        broker: Broker = it.broker
        assert await broker.open_orders() == []


@adapters
@pytest.mark.parametrize("terms", ALL_TERMS, ids=lambda terms: type(terms).__name__)
@in_virtual_time
async def test_an_order_arrives_with_exactly_its_terms(rig: OpenRig, terms: Terms) -> None:
    order = approved(
        side=Side.SELL,
        quantity="7",
        terms=terms,
        time_in_force=TimeInForce.GTC,
        deltas={"sma": Decimal(-7)},
    )
    async with rig() as it:
        report = await it.broker.submit(order)
        assert it.venue.orders["tw1-a"] == report
        assert (report.terms, report.time_in_force) == (terms, TimeInForce.GTC)
        assert (report.side, report.quantity_shares) == (Side.SELL, Decimal(7))
        assert report.status is OrderStatus.WORKING
        assert report.submitted_at.tzinfo is UTC


@adapters
@in_virtual_time
async def test_one_id_makes_one_order_however_often_it_is_submitted(rig: OpenRig) -> None:
    async with rig() as it:
        once = await it.broker.submit(approved())
        again = await it.broker.submit(approved())
        assert again.venue_order_id == once.venue_order_id
        assert len(it.venue.orders) == 1


@adapters
@in_virtual_time
async def test_a_refusal_is_definite_and_keeps_its_code(rig: OpenRig) -> None:
    async with rig() as it:
        it.venue.refusals.append(
            VenueRejected("insufficient buying power", http_status=403, code=40310000)
        )
        with pytest.raises(VenueRejected, match="insufficient buying power") as refusal:
            await it.broker.submit(approved())
        assert (refusal.value.http_status, refusal.value.code) == (403, 40310000)
        assert await it.broker.order("tw1-a") is None


@adapters
@in_virtual_time
async def test_an_order_is_found_by_our_id(rig: OpenRig) -> None:
    async with rig() as it:
        assert await it.broker.order("tw1-a") is None
        accept(it.venue, "tw1-a")
        it.venue.fill("tw1-a", 3, 100)
        found = await it.broker.order("tw1-a")
        assert found is not None
        assert (found.status, found.filled_shares) == (OrderStatus.PARTIALLY_FILLED, Decimal(3))


@adapters
@in_virtual_time
async def test_cancelling_what_is_finished_or_unknown_returns(rig: OpenRig) -> None:
    async with rig() as it:
        report = await it.broker.submit(approved())
        await it.broker.cancel(report.venue_order_id)
        assert it.venue.orders["tw1-a"].status is OrderStatus.CANCELED
        await it.broker.cancel(report.venue_order_id)
        await it.broker.cancel("00000000-0000-4000-8000-00000000dead")


@adapters
@in_virtual_time
async def test_cancelling_without_an_id_is_refused_before_anything_is_sent(rig: OpenRig) -> None:
    async with rig() as it:
        accept(it.venue, "tw1-a")
        with pytest.raises(ValueError, match="without a venue id"):
            await it.broker.cancel("")
        assert it.venue.orders["tw1-a"].status is OrderStatus.WORKING


@adapters
@in_virtual_time
async def test_open_orders_are_all_that_can_still_fill_oldest_first(rig: OpenRig) -> None:
    async with rig() as it:
        # Twelve hundred orders in four instants: more than a page shares one.
        for number in range(1_200):
            accept(it.venue, f"tw1-{number:04d}")
            if number % 300 == 299:
                await asyncio.sleep(1.0)
        it.venue.end("tw1-0000", OrderStatus.CANCELED)
        it.venue.fill("tw1-0001", 10, 100)
        it.venue.fill("tw1-0002", 4, 100)
        names = [report.client_order_id for report in await it.broker.open_orders()]
        assert names == [f"tw1-{number:04d}" for number in range(2, 1_200)]


@adapters
@in_virtual_time
async def test_fills_are_complete_in_order_and_named(rig: OpenRig) -> None:
    async with rig() as it:
        for number in range(130):
            accept(it.venue, f"tw1-{number}", 2)
            it.venue.fill(f"tw1-{number}", 1, Decimal("100.01"))
            await asyncio.sleep(0.25)
            it.venue.fill(f"tw1-{number}", 1, Decimal("100.02"))
        since_at = it.venue.fills[9].filled_at
        expected = [fill for fill in it.venue.fills if fill.filled_at >= since_at]
        fills = await it.broker.fills_since(since_at)
        assert sorted(fills, key=lambda f: f.fill_id) == sorted(expected, key=lambda f: f.fill_id)
        assert [f.filled_at for f in fills] == sorted(f.filled_at for f in fills)


@adapters
@in_virtual_time
async def test_fills_begin_exactly_where_asked(rig: OpenRig) -> None:
    async with rig() as it:
        accept(it.venue, "tw1-a")
        it.venue.fill("tw1-a", 1, 100)
        await asyncio.sleep(0.001)
        wanted = it.venue.fill("tw1-a", 2, 100)
        assert await it.broker.fills_since(wanted.filled_at) == [wanted]


@adapters
@in_virtual_time
async def test_the_account_shows_shorts_as_negative_and_money_exactly(rig: OpenRig) -> None:
    async with rig() as it:
        it.venue.cash_usd = Decimal("12345.67")
        it.venue.accept("a", "MSFT", Side.SELL, Decimal(3), terms=AtMarket())
        it.venue.fill("a", 3, Decimal("410.10"))
        account = await it.broker.account()
        assert account == replace(it.venue.account(), reported_at=account.reported_at)
        assert account.reported_at <= it.clock.now()
        assert account.positions[Symbol("MSFT")].quantity_shares == Decimal(-3)
        assert account.cash_usd == Decimal("12345.67") + 3 * Decimal("410.10")


@adapters
@in_virtual_time
async def test_the_calendar_includes_both_ends_and_half_days(rig: OpenRig) -> None:
    days = [
        Session(
            day=date(2025, 11, day),
            opens_at=datetime(2025, 11, day, 14, 30, tzinfo=UTC),
            closes_at=datetime(2025, 11, day, 18 if day == 28 else 21, tzinfo=UTC),
        )
        for day in (25, 26, 28)
    ]
    async with rig() as it:
        it.venue.sessions = days
        calendar = await it.broker.calendar(date(2025, 11, 26), date(2025, 11, 28))
        assert calendar.sessions == tuple(days[1:])


@adapters
@in_virtual_time
async def test_updates_begin_with_the_connection_and_tell_a_fill_before_its_order(
    rig: OpenRig,
) -> None:
    async with rig() as it:
        events = it.broker.updates()
        assert await anext(events) == StreamConnected(at=it.clock.now(), is_reconnect=False)
        accept(it.venue, "tw1-a")
        fill = it.venue.fill("tw1-a", 10, Decimal("99.99"))
        new, told, filled = await first(events, 3)
        assert isinstance(new, OrderUpdate)
        assert new.report.status is OrderStatus.WORKING
        assert told == fill
        assert isinstance(filled, OrderUpdate)
        assert filled.report == it.venue.orders["tw1-a"]


@adapters
@in_virtual_time
async def test_a_broken_stream_comes_back_and_says_that_events_may_be_missing(
    rig: OpenRig,
) -> None:
    async with rig() as it:
        events = it.broker.updates()
        await anext(events)
        accept(it.venue, "tw1-a")
        await anext(events)
        it.venue.break_streams()
        lost = it.venue.fill("tw1-a", 1, 100)
        again = await anext(events)
        assert isinstance(again, StreamConnected)
        assert again.is_reconnect
        assert [fill.fill_id for fill in await it.broker.fills_since(lost.filled_at)] == [
            lost.fill_id
        ]


@adapters
@in_virtual_time
async def test_an_execution_has_one_id_on_the_stream_and_in_the_list(rig: OpenRig) -> None:
    async with rig() as it:
        events = it.broker.updates()
        await anext(events)
        accept(it.venue, "tw1-a")
        it.venue.fill("tw1-a", 10, ONE_CENT)
        _, streamed, _ = await first(events, 3)
        assert isinstance(streamed, Fill)
        assert await it.broker.fills_since(streamed.filled_at) == [streamed]


@adapters
@in_virtual_time
async def test_a_venue_that_fails_proves_nothing_about_an_order(rig: OpenRig) -> None:
    async with rig() as it:
        it.shut()
        with pytest.raises(VenueUnavailable):
            await it.broker.submit(approved())
        with pytest.raises(VenueUnavailable):
            await it.broker.order("tw1-a")


@adapters
@in_virtual_time
async def test_keys_that_are_not_accepted_are_the_operators_matter(rig: OpenRig) -> None:
    async with rig() as it:
        it.lock_out()
        with pytest.raises(NotAuthorized):
            await it.broker.account()

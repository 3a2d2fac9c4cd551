"""The HTTP client and the broker on it: retries, ambiguity, paging, secrets."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from daemon.alpaca.client import ATTEMPTS_MAX, CallLimits, Credentials
from daemon.budget import Lane
from domain.errors import (
    NotAuthorized,
    RequestNotSent,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from domain.orders import ApprovedOrder, AtMarket, Leg, OrderStatus, Side
from tests.support.fake_alpaca import KEY_ID, Fault, order_row, wire_time
from tests.support.orders import NOON, a_report, an_intent
from tests.support.rigs import START, AlpacaRig, alpaca_rig
from tests.support.virtual_loop import current_loop, in_virtual_time


def approved(client_order_id: str = "tw1-a", **changes: Any) -> ApprovedOrder:
    intent = an_intent(client_order_id=client_order_id, **changes)
    return ApprovedOrder(intent=intent, approved_at=NOON, expires_at=NOON, epoch=1)


def accept(rig: AlpacaRig, client_order_id: str) -> None:
    rig.venue.accept(client_order_id, "AAPL", Side.BUY, Decimal(10), terms=AtMarket())


def a_wire_order(venue_order_id: str, **changes: Any) -> dict[str, Any]:
    report = a_report(OrderStatus.WORKING, venue_order_id=venue_order_id, submitted_at=START)
    return {**order_row(report), "client_order_id": venue_order_id, **changes}


TRANSIENT = [
    Fault("/clock", status=500),
    Fault("/clock", status=502, body=b"<html>Bad Gateway</html>", content_type="text/html"),
    Fault("/clock", status=0),
    Fault("/clock", status=429, body=b'{"message":"too many requests."}'),
    Fault("/clock", status=200, delay_s=3_600.0),
]


@pytest.mark.parametrize("fault", TRANSIENT, ids=["500", "502", "reset", "429", "silence"])
@in_virtual_time
async def test_a_read_is_tried_again_after_what_proves_nothing(fault: Fault) -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.append(fault)
        assert (await rig.broker.clock()).is_open
        assert len(rig.server.requests_to("/clock")) == 2
        assert rig.trading.budget.counts.by_lane[Lane.RECONCILE] == 2


@in_virtual_time
async def test_a_429_pauses_whatever_else_wants_to_leave() -> None:
    async with alpaca_rig() as rig:
        body = b'{"message":"too many requests."}'
        rig.server.faults.append(Fault("/orders", status=429, body=body))
        with pytest.raises(VenueUnavailable):
            await rig.broker.submit(approved())
        began_s = current_loop().time()
        await rig.broker.clock()
        assert 0.25 <= current_loop().time() - began_s <= 1.1
        assert rig.trading.budget.counts.limited == 1


@in_virtual_time
async def test_a_read_is_given_up_after_so_many_attempts() -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.extend(Fault("/clock") for _ in range(20))
        with pytest.raises(VenueUnavailable, match="GET /clock: 500 internal server error"):
            await rig.broker.clock()
        assert len(rig.server.requests_to("/clock")) == ATTEMPTS_MAX
        assert rig.trading.outcomes == {"500": ATTEMPTS_MAX}


@in_virtual_time
async def test_a_read_is_given_up_at_its_deadline() -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.extend(Fault("/clock", delay_s=3_600.0) for _ in range(20))
        limits = CallLimits(attempt_s=2.0, deadline_s=5.0)
        with pytest.raises(VenueUnavailable, match="no answer within"):
            await rig.trading.get("/clock", lane=Lane.QUOTES, limits=limits)
        assert 4.0 <= current_loop().time() <= 5.1


@pytest.mark.parametrize("status", [500, 502, 503, 0, 429])
@in_virtual_time
async def test_an_order_is_sent_once_and_its_outcome_left_open(status: int) -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.append(Fault("/orders", status=status, body=b"", after_effect=True))
        with pytest.raises(VenueUnavailable) as outcome:
            await rig.broker.submit(approved())
        assert not isinstance(outcome.value, RequestNotSent)
        assert len(rig.server.requests_to("/orders")) == 1
        landed = await rig.broker.order("tw1-a")
        assert landed is not None


@in_virtual_time
async def test_an_order_without_an_answer_is_open_after_five_seconds() -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.append(Fault("/orders", delay_s=3_600.0))
        with pytest.raises(VenueUnavailable, match="no answer within 5 s"):
            await rig.broker.submit(approved())
        assert current_loop().time() == pytest.approx(5.0, abs=0.1)


@in_virtual_time
async def test_an_answer_that_cannot_be_read_leaves_the_order_open() -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.append(Fault("/orders", status=200, body=b"<html>", after_effect=True))
        with pytest.raises(VenueUnavailable, match="cannot be read"):
            await rig.broker.submit(approved())


@in_virtual_time
async def test_an_answer_about_another_order_leaves_ours_open() -> None:
    async with alpaca_rig() as rig:
        body = orjson.dumps(a_wire_order("other"))
        rig.server.faults.append(Fault("/orders", status=200, body=body))
        with pytest.raises(VenueUnavailable, match="answered for order 'other'"):
            await rig.broker.submit(approved())


@in_virtual_time
async def test_a_duplicate_that_cannot_be_shown_leaves_the_order_open() -> None:
    async with alpaca_rig() as rig:
        rig.venue.refusals.append(
            VenueRejected("client_order_id must be unique", http_status=422, code=40010001)
        )
        with pytest.raises(VenueUnavailable, match="cannot show it"):
            await rig.broker.submit(approved())


@in_virtual_time
async def test_nobody_at_the_other_end_means_that_nothing_was_sent() -> None:
    async with alpaca_rig(base_url="http://127.0.0.1:1") as rig:
        with pytest.raises(RequestNotSent, match=r"no connection to http://127\.0\.0\.1:1"):
            await rig.broker.submit(approved())


@in_virtual_time
async def test_an_order_that_only_closes_goes_in_the_first_lane() -> None:
    async with alpaca_rig() as rig:
        await rig.broker.submit(approved())
        await rig.broker.submit(approved("tw1-b", leg=Leg.EXIT))
        assert rig.trading.budget.counts.by_lane[Lane.SUBMIT] == 1
        assert rig.trading.budget.counts.by_lane[Lane.CANCEL] == 1


@in_virtual_time
async def test_a_cancel_whose_answer_was_lost_is_sent_again() -> None:
    async with alpaca_rig() as rig:
        report = await rig.broker.submit(approved())
        rig.server.faults.append(Fault("/orders/", status=0, after_effect=True))
        await rig.broker.cancel(report.venue_order_id)
        assert rig.venue.orders["tw1-a"].status is OrderStatus.CANCELED


@in_virtual_time
async def test_a_cancel_that_names_nothing_sensible_is_refused() -> None:
    async with alpaca_rig() as rig:
        body = b'{"code":40010001,"message":"order_id is missing"}'
        rig.server.faults.append(Fault("/orders/", status=422, body=body))
        with pytest.raises(VenueRejected, match="order_id is missing"):
            await rig.broker.cancel("what?")


@in_virtual_time
async def test_an_id_never_becomes_a_part_of_the_path() -> None:
    async with alpaca_rig() as rig:
        accept(rig, "tw1-a")
        await rig.broker.cancel("../orders?x=")
        assert rig.server.seen[-1].path == "/v2/orders/../orders?x="
        assert rig.venue.orders["tw1-a"].status is OrderStatus.WORKING


@in_virtual_time
async def test_a_missing_route_is_not_taken_for_a_missing_order() -> None:
    async with alpaca_rig() as rig:
        body = b'{"code":40410000,"message":"endpoint not found."}'
        rig.server.faults.append(Fault("by_client_order_id", status=404, body=body))
        with pytest.raises(VenueRejected, match="endpoint not found"):
            await rig.broker.order("tw1-a")


@in_virtual_time
async def test_redirects_are_not_followed() -> None:
    async with alpaca_rig() as rig:
        headers = {"Location": "http://127.0.0.1:8900/v2/account"}
        rig.server.faults.append(Fault("/clock", status=302, body=b"", headers=headers))
        with pytest.raises(VenueRejected, match="redirects are not followed"):
            await rig.broker.clock()
        assert len(rig.server.seen) == 1


@in_virtual_time
async def test_an_endless_body_is_cut_off() -> None:
    async with alpaca_rig() as rig:
        rig.server.faults.extend(
            Fault("/clock", status=200, body=b" " * 200_000) for _ in range(ATTEMPTS_MAX)
        )
        limits = CallLimits(body_max_bytes=100_000)
        with pytest.raises(VenueUnavailable, match="longer than 100000 bytes"):
            await rig.trading.get("/clock", lane=Lane.QUOTES, limits=limits)


@in_virtual_time
async def test_wrong_keys_are_refused_and_never_shown() -> None:
    wrong = Credentials(key_id=KEY_ID, secret_key=SecretStr("hush-hush"))
    async with alpaca_rig(credentials=wrong) as rig:
        with pytest.raises(NotAuthorized) as refusal:
            await rig.broker.account()
        assert "hush" not in f"{refusal.value!r} {wrong!r} {rig.trading!r}"
        assert len(rig.server.seen) == 1


@in_virtual_time
async def test_the_venues_own_count_holds_us_back() -> None:
    async with alpaca_rig() as rig:
        rig.server.headers = {"X-Ratelimit-Limit": "200", "X-Ratelimit-Remaining": "0"}
        await rig.broker.clock()
        began_s = current_loop().time()
        await rig.broker.clock()
        assert current_loop().time() - began_s == pytest.approx(0.3, abs=0.05)


@in_virtual_time
async def test_working_brackets_show_the_legs_that_the_venue_hides() -> None:
    async with alpaca_rig() as rig:
        stop = a_wire_order("stop-loss", status="held", order_class="bracket")
        entry = a_wire_order("entry", status="filled", order_class="bracket", legs=[stop])
        rig.server.raw_orders = [entry, a_wire_order("profit", order_class="bracket")]
        accept(rig, "tw1-a")
        names = {report.client_order_id for report in await rig.broker.open_orders()}
        assert names == {"profit", "stop-loss", "tw1-a"}


@in_virtual_time
async def test_simple_orders_need_one_request() -> None:
    async with alpaca_rig() as rig:
        accept(rig, "tw1-a")
        await rig.broker.open_orders()
        assert len(rig.server.seen) == 1


@in_virtual_time
async def test_a_list_that_never_ends_is_not_believed() -> None:
    async with alpaca_rig() as rig:
        same = [a_wire_order(f"o{n}", submitted_at=wire_time(START)) for n in range(600)]
        rig.server.raw_orders = same
        with pytest.raises(VenueUnavailable, match="does not end"):
            await rig.broker.open_orders()


@in_virtual_time
async def test_executions_of_orders_seen_before_need_no_look_up() -> None:
    async with alpaca_rig() as rig:
        await rig.broker.submit(approved())
        rig.venue.fill("tw1-a", 10, 100)
        (fill,) = await rig.broker.fills_since(START)
        assert fill.client_order_id == "tw1-a"
        assert len(rig.server.requests_to("/orders")) == 1


@in_virtual_time
async def test_an_execution_whose_order_is_gone_has_no_name() -> None:
    async with alpaca_rig() as rig:
        accept(rig, "tw1-a")
        rig.venue.fill("tw1-a", 10, 100)
        rig.venue.orders.clear()
        for _ in range(2):
            (fill,) = await rig.broker.fills_since(START)
            assert fill.client_order_id == ""
        assert len(rig.server.requests_to("/orders/")) == 1


@in_virtual_time
async def test_many_unknown_executions_are_named_by_one_list() -> None:
    async with alpaca_rig() as rig:
        for number in range(50):
            accept(rig, f"tw1-{number}")
            rig.venue.fill(f"tw1-{number}", 10, 100)
        fills = await rig.broker.fills_since(START - timedelta(seconds=1))
        assert len({fill.client_order_id for fill in fills}) == 50
        assert len(rig.server.requests_to("/orders")) == 1


@in_virtual_time
async def test_assets_say_what_may_be_done() -> None:
    async with alpaca_rig() as rig:
        rig.venue.quote("AAPL", 1.0, 1.1)
        (asset,) = (await rig.broker.assets()).values()
        assert (asset.symbol, asset.tradable, asset.shortable) == ("AAPL", True, False)


@in_virtual_time
async def test_a_request_that_finds_no_budget_is_not_sent() -> None:
    async with alpaca_rig(per_minute=1) as rig:
        await rig.broker.clock()
        with pytest.raises(VenueError) as refusal:
            await rig.broker.submit(approved())
        assert isinstance(refusal.value, RequestNotSent)
        await asyncio.sleep(0)
        assert len(rig.server.seen) == 1

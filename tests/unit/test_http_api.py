"""The daemon's HTTP interface: who may ask, what is answered, and what a request may say."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from daemon import http_api
from daemon.documents import DOCUMENTS
from daemon.http_api import EventFeed
from domain.events import Action, OperatorOrder
from domain.orders import AtLimit, AtStop, AtStopLimit, Side, Terms, TimeInForce
from tests.support.daemons import CONTROL_TOKEN, ShownDaemon, an_app

Client = TestClient[Any, Any]
CONTROL = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
AN_ORDER = {"symbol": "aapl", "side": "buy", "quantity_shares": "3"}


@asynccontextmanager
async def serving(daemon: ShownDaemon | None = None, **more: Any) -> AsyncIterator[Client]:
    async with TestClient(TestServer(an_app(daemon or ShownDaemon(), **more))) as client:
        yield client


async def posted(
    action: str, body: Mapping[str, object], daemon: ShownDaemon | None = None
) -> ClientResponse:
    async with serving(daemon) as client:
        response = await client.post(f"/api/v1/{action}", json=body, headers=CONTROL)
        await response.read()
        return response


# --- health and metrics --------------------------------------------------------------------------


async def test_a_daemon_that_lives_is_healthy() -> None:
    async with serving() as client:
        assert (await client.get("/healthz")).status == 200


async def test_a_daemon_that_is_not_ready_says_503_and_stays_healthy() -> None:
    async with serving(ShownDaemon(is_ready=False)) as client:
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/healthz")).status == 200


async def test_a_daemon_that_hangs_is_not_healthy() -> None:
    async with serving(ShownDaemon(is_live=False)) as client:
        assert (await client.get("/healthz")).status == 503


async def test_metrics_are_served_as_text() -> None:
    async with serving() as client:
        response = await client.get("/metrics")

        assert response.content_type == "text/plain"
        assert b"tradewind_up 1" in await response.read()


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_every_document_is_served_as_json_of_a_running_daemon(name: str) -> None:
    async with serving() as client:
        response = await client.get(f"/api/v1/{name}")

        assert response.status == 200
        assert (await response.json())["running"] is True


async def test_the_status_shows_what_was_said_about_the_process() -> None:
    async with serving(about={"state_dir": "/var/x"}) as client:
        assert (await (await client.get("/api/v1/status")).json())["state_dir"] == "/var/x"


async def test_a_limit_keeps_the_newest_rows() -> None:
    async with serving() as client:
        fills = (await (await client.get("/api/v1/fills?limit=1")).json())["fills"]

        assert [fill["fill_id"] for fill in fills] == ["f2"]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "1.5", "²"])
async def test_a_limit_that_is_no_sensible_number_is_refused(limit: str) -> None:
    async with serving() as client:
        response = await client.get("/api/v1/fills", params={"limit": limit})

        assert response.status == 400
        assert "limit" in (await response.json())["error"]


async def test_reading_needs_no_token_until_one_is_set() -> None:
    async with serving(read_token="read-me") as client:
        assert (await client.get("/api/v1/status")).status == 401


@pytest.mark.parametrize("token", ["read-me", CONTROL_TOKEN])
async def test_the_read_token_and_the_control_token_open_reading(token: str) -> None:
    async with serving(read_token="read-me") as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/api/v1/status", headers=headers)).status == 200


async def test_health_needs_no_token_even_when_reading_does() -> None:
    async with serving(read_token="read-me") as client:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/metrics")).status == 401


# --- who may control -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {CONTROL_TOKEN}"},
        {"Authorization": CONTROL_TOKEN},
    ],
)
async def test_control_without_the_token_is_refused_and_does_nothing(
    headers: dict[str, str],
) -> None:
    daemon = ShownDaemon()
    async with serving(daemon) as client:
        response = await client.post("/api/v1/halt", json={}, headers=headers)

        assert response.status == 401
    assert daemon.asked == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_before_anything_looks_at_them(method: str) -> None:
    async with serving() as client:
        assert (await client.request(method, "/api/v1/status")).status == 401


async def test_the_read_token_does_not_control() -> None:
    daemon = ShownDaemon()
    async with serving(daemon, read_token="read-me") as client:
        headers = {"Authorization": "Bearer read-me"}
        assert (await client.post("/api/v1/halt", json={}, headers=headers)).status == 401
    assert daemon.asked == []


async def test_a_name_that_is_not_ours_is_refused_even_with_the_token() -> None:
    daemon = ShownDaemon()
    async with serving(daemon) as client:
        headers = {**CONTROL, "Host": "evil.example:8420"}
        assert (await client.post("/api/v1/halt", json={}, headers=headers)).status == 403
    assert daemon.asked == []


async def test_a_page_from_elsewhere_is_refused_even_with_the_token() -> None:
    daemon = ShownDaemon()
    async with serving(daemon) as client:
        headers = {**CONTROL, "Origin": "https://evil.example"}
        assert (await client.post("/api/v1/halt", json={}, headers=headers)).status == 403
    assert daemon.asked == []


async def test_an_empty_control_token_opens_nothing() -> None:
    async with serving(control_token="") as client:
        headers = {"Authorization": "Bearer "}
        assert (await client.post("/api/v1/halt", json={}, headers=headers)).status == 401


# --- what may be asked for -----------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.HALT, Action.REDUCE, Action.FLATTEN, Action.CANCEL_ALL])
async def test_an_action_reaches_the_engine_with_its_reason(action: Action) -> None:
    daemon = ShownDaemon()

    response = await posted(action.value, {"reason": "lunch"}, daemon)

    assert response.status == 200
    assert [(asked.action, asked.reason) for asked in daemon.asked] == [(action, "lunch")]


async def test_a_resume_names_what_it_lifts() -> None:
    daemon = ShownDaemon()

    await posted("resume", {"subject": "drawdown,distrust"}, daemon)

    assert daemon.asked[0].subject == "drawdown,distrust"


async def test_an_order_without_prices_leaves_them_to_the_policy() -> None:
    daemon = ShownDaemon()

    await posted("order", AN_ORDER, daemon)

    assert daemon.asked[0].order == OperatorOrder(
        symbol="AAPL", side=Side.BUY, quantity_shares=Decimal(3)
    )


@pytest.mark.parametrize(
    ("prices", "terms"),
    [
        ({"limit_usd": "101.25"}, AtLimit(Decimal("101.25"))),
        ({"stop_usd": 99}, AtStop(Decimal(99))),
        (
            {"limit_usd": "98.5", "stop_usd": "99"},
            AtStopLimit(stop_usd=Decimal(99), limit_usd=Decimal("98.5")),
        ),
        ({"limit_usd": "0.1234"}, AtLimit(Decimal("0.1234"))),
    ],
)
async def test_an_order_takes_a_limit_a_stop_or_both(
    prices: dict[str, object], terms: Terms
) -> None:
    daemon = ShownDaemon()

    await posted("order", {**AN_ORDER, **prices}, daemon)

    assert daemon.asked[0].order is not None
    assert daemon.asked[0].order.terms == terms


async def test_an_order_may_live_over_nights() -> None:
    daemon = ShownDaemon()

    await posted("order", {**AN_ORDER, "time_in_force": "gtc"}, daemon)

    assert daemon.asked[0].order is not None
    assert daemon.asked[0].order.time_in_force is TimeInForce.GTC


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"quantity_shares": "NaN"}, "quantity_shares"),
        ({"quantity_shares": "0"}, "quantity_shares"),
        ({"quantity_shares": "-3"}, "quantity_shares"),
        ({"quantity_shares": "Infinity"}, "quantity_shares"),
        ({"quantity_shares": "1e400"}, "quantity_shares"),
        ({"quantity_shares": None}, "quantity_shares"),
        ({"quantity_shares": ["3"]}, "quantity_shares"),
        ({"symbol": " "}, "symbol"),
        ({"side": "hold"}, "side"),
        ({"side": None}, "side"),
        ({"limit_usd": "101.255"}, "limit_usd"),
        ({"limit_usd": "1e30"}, "limit_usd"),
        ({"limit_usd": "x"}, "limit_usd"),
        ({"stop_usd": "-1"}, "stop_usd"),
        ({"time_in_force": "ioc"}, "time_in_force"),
        ({"limit": "3"}, "limit"),
    ],
)
async def test_an_order_that_cannot_be_meant_is_refused_by_the_name_of_its_field(
    changed: dict[str, object], named: str
) -> None:
    daemon = ShownDaemon()

    response = await posted("order", {**AN_ORDER, **changed}, daemon)

    assert response.status == 400
    assert named in (await response.json())["error"]
    assert daemon.asked == []


async def test_a_field_of_an_order_means_nothing_to_a_halt() -> None:
    response = await posted("halt", {"symbol": "AAPL"})

    assert response.status == 400


async def test_an_unbench_must_name_its_strategy() -> None:
    assert (await posted("unbench", {})).status == 400


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")],
)
async def test_a_body_that_is_no_json_object_is_refused(raw: bytes, content_type: str) -> None:
    daemon = ShownDaemon()
    async with serving(daemon) as client:
        headers = {**CONTROL, "Content-Type": content_type}
        response = await client.post("/api/v1/halt", data=raw, headers=headers)

        assert response.status == 400
    assert daemon.asked == []


async def test_a_body_that_is_too_large_is_refused() -> None:
    daemon = ShownDaemon()

    response = await posted("halt", {"reason": "x" * http_api.BODY_BYTES_MAX}, daemon)

    assert response.status == 413
    assert daemon.asked == []


# --- the event stream ----------------------------------------------------------------------------


async def test_an_event_reaches_every_reader() -> None:
    feed = EventFeed()
    async with serving(feed=feed) as client:
        first = await client.get("/api/v1/events")
        second = await client.get("/api/v1/events")
        feed.publish("fill", {"symbol": "AAPL"})
        feed.close()

        for reader in (first, second):
            assert await reader.read() == b'event: fill\ndata: {"symbol":"AAPL"}\n\n'


async def test_a_reader_that_falls_behind_is_cut_off_and_the_others_go_on() -> None:
    feed = EventFeed()
    slow, quick = feed.join(), feed.join()

    for number in range(http_api.EVENTS_WAITING_MAX + 1):
        feed.publish("tick", {"number": number})
        quick.get_nowait()
    feed.publish("tick", {"number": "after"})

    waiting = [slow.get_nowait() for _ in range(slow.qsize())]
    assert waiting[-1] is None
    assert quick.get_nowait() is not None


async def test_there_is_room_for_so_many_readers_and_no_more() -> None:
    feed = EventFeed()
    for _ in range(http_api.EVENT_READERS_MAX):
        feed.join()

    async with serving(feed=feed) as client:
        assert (await client.get("/api/v1/events")).status == 503


async def test_a_reader_that_left_makes_room() -> None:
    feed = EventFeed()
    queues: list[asyncio.Queue[bytes | None]] = [
        feed.join() for _ in range(http_api.EVENT_READERS_MAX)
    ]
    feed.leave(queues[0])

    assert feed.join() is not None

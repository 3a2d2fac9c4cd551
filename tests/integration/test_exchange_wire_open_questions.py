"""What sources leave open is a knob each: the default, and what turning it changes on the wire."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from exchange.assets import list_assets
from exchange.knobs import Knobs, WireLimits
from tests.support.exchanges import (
    EXACT,
    KEYS,
    MONDAY,
    UNLIMITED,
    HandMarket,
    make_exchange,
    make_served_app,
    make_venue,
    tick_ns,
)

Client = TestClient[Any, Any]
Begin = Callable[..., Any]
BUY = {"symbol": "AAA", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:

        async def begin(
            market: HandMarket | None = None, limits: WireLimits = UNLIMITED, **turned: Any
        ) -> Client:
            market = market or HandMarket()
            assets = list_assets(market, {})
            assets["BBB"] = replace(assets["BBB"], shortable=False)
            knobs: Knobs = replace(EXACT, **turned)
            venue = make_venue(market, at_ns=tick_ns(0), knobs=knobs, assets=assets)
            server = TestServer(make_served_app(make_exchange(venue, limits=limits)))
            client: Client = TestClient(server, headers=KEYS)
            return await stack.enter_async_context(client)

        yield begin


async def ask(client: Client, method: str, path: str, **sent: Any) -> tuple[int, Any]:
    async with client.request(method, path, **sent) as reply:
        return reply.status, await reply.json()


@pytest.mark.wire("open.codes")
@pytest.mark.parametrize(
    ("knob", "body", "as_default", "as_turned"),
    [
        ("price_errors_are_rules", {"type": "limit"}, (422, 40010001), (422, 42210000)),
        ("price_errors_are_rules", {"type": "trailing_stop"}, (422, 40010001), (422, 42210000)),
        (
            "not_shortable_is_422",
            {"symbol": "BBB", "side": "sell"},
            (403, 40310000),
            (422, 42210000),
        ),
        ("malformed_body_is_422", {"symbol": 7}, (400, 40010000), (422, 40010000)),
    ],
)
async def test_refusals_seen_with_two_codes_have_a_knob_for_the_other(
    begin: Begin,
    knob: str,
    body: dict[str, Any],
    as_default: tuple[int, int],
    as_turned: tuple[int, int],
) -> None:
    messages = set()
    for turned, expected in (({}, as_default), ({knob: True}, as_turned)):
        client = await begin(**turned)
        status, reply = await ask(client, "POST", "/v2/orders", json={**BUY, **body})
        assert (status, reply["code"]) == expected
        messages.add(reply["message"])
    assert len(messages) == 1


async def test_wrong_keys_may_be_told_with_the_older_code(begin: Begin) -> None:
    limits = replace(UNLIMITED, unauthorized_has_code=True)
    client = await begin(limits=limits)
    keys = {"APCA-API-KEY-ID": ""}
    assert await ask(client, "GET", "/v2/account", headers=keys) == (
        401,
        {"code": 40110000, "message": "request is not authorized"},
    )


@pytest.mark.wire("open.codes")
async def test_less_than_a_dollar_is_refused_in_either_of_two_ways(begin: Begin) -> None:
    half = {**BUY, "qty": None, "notional": ".5"}
    for turned, expected in (
        (False, (422, {"code": 40010001, "message": "notional must be >= 1.00"})),
        (
            True,
            (
                403,
                {"code": 40310000, "message": "cost basis must be >= minimal amount of order 1"},
            ),
        ),
    ):
        client = await begin(minimum_notional_is_403=turned)
        assert await ask(client, "POST", "/v2/orders", json=half) == expected


@pytest.mark.wire("open.codes")
async def test_a_wash_trade_is_refused_as_today_or_as_in_2024(begin: Begin) -> None:
    bid = {**BUY, "type": "limit", "limit_price": "90"}
    for turned, expected in ((False, (403, 40310000)), (True, (422, 42210000))):
        client = await begin(wash_trade_is_422=turned)
        await ask(client, "POST", "/v2/orders", json=BUY)
        _, other = await ask(client, "POST", "/v2/orders", json=bid)
        status, reply = await ask(client, "POST", "/v2/orders", json={**BUY, "side": "sell"})
        assert (status, reply["code"]) == expected
        assert reply["existing_order_id"] == other["id"]


@pytest.mark.wire("open.codes")
async def test_recent_sip_data_are_refused_with_the_older_code_or_none(begin: Begin) -> None:
    path = "/v2/stocks/quotes/latest?symbols=AAA&feed=sip"
    words = {"message": "subscription does not permit querying recent SIP data"}
    for turned, expected in ((False, words), (True, {"code": 42210000, **words})):
        client = await begin(limits=replace(UNLIMITED, sip_refusal_has_code=turned))
        assert await ask(client, "GET", path) == (403, expected)


@pytest.mark.wire("open.pending-new")
async def test_pending_new_is_told_before_new_or_kept_quiet(begin: Begin) -> None:
    for tells, expected in ((True, ["pending_new", "new"]), (False, ["new"])):
        client = await begin(emits_pending_new=tells)
        async with client.ws_connect("/stream") as socket:
            await socket.send_json({"action": "auth", "key": "k", "secret": "s"})
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            for _ in range(2):
                await socket.receive(timeout=5)
            bid = {**BUY, "type": "limit", "limit_price": "90"}
            _, order = await ask(client, "POST", "/v2/orders", json=bid)
            assert order["status"] == "pending_new"
            told = [orjson.loads(await socket.receive_bytes(timeout=5)) for _ in expected]
        assert [message["data"]["event"] for message in told] == expected


@pytest.mark.wire("open.recancel")
async def test_cancelling_again_what_is_cancelled_is_accepted_or_refused(begin: Begin) -> None:
    for is_accepted, expected in ((False, 422), (True, 204)):
        client = await begin(recancel_accepted=is_accepted)
        bid = {**BUY, "type": "limit", "limit_price": "90"}
        _, order = await ask(client, "POST", "/v2/orders", json=bid)
        for status in (204, expected):
            async with client.delete(f"/v2/orders/{order['id']}") as reply:
                assert reply.status == status


@pytest.mark.wire("open.release")
async def test_shares_are_free_at_once_when_their_order_ends_or_a_while_later(begin: Begin) -> None:
    offer = {**BUY, "side": "sell", "type": "limit", "limit_price": "120"}
    for lag_s, expected in ((0.0, 200), (30.0, 403)):
        client = await begin(release_lag_s=lag_s)
        await ask(client, "POST", "/v2/orders", json=BUY)
        _, order = await ask(client, "POST", "/v2/orders", json=offer)
        async with client.delete(f"/v2/orders/{order['id']}") as reply:
            assert reply.status == 204
        _, position = await ask(client, "GET", "/v2/positions/AAA")
        assert position["qty_available"] == ("0" if lag_s else "10")
        assert (await ask(client, "POST", "/v2/orders", json=offer))[0] == expected
    await ask(client, "POST", "/_exchange/advance", json={"to": "2026-01-05T14:31:00Z"})
    assert (await ask(client, "POST", "/v2/orders", json=offer))[0] == 200


@pytest.mark.wire("open.brackets")
async def test_a_bracket_on_a_position_is_refused_or_enlarges_it(begin: Begin) -> None:
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    body = {**BUY, "order_class": "bracket", **exits}
    for adds, expected in ((False, 422), (True, 200)):
        client = await begin(adds_brackets_to_positions=adds)
        await ask(client, "POST", "/v2/orders", json=BUY)
        assert (await ask(client, "POST", "/v2/orders", json=body))[0] == expected


@pytest.mark.wire("open.quiet-leg")
async def test_the_other_leg_s_cancel_is_quiet_or_told(begin: Begin) -> None:
    rising = HandMarket(ticks={MONDAY: {"AAA": [100, 100, 100, 111]}})
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    for is_quiet in (True, False):
        client = await begin(rising, quiet_leg_cancel=is_quiet)
        async with client.ws_connect("/stream") as socket:
            await socket.send_json({"action": "auth", "key": "k", "secret": "s"})
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            for _ in range(2):
                await socket.receive(timeout=5)
            body = {**BUY, "order_class": "bracket", **exits}
            await ask(client, "POST", "/v2/orders", json=body)
            await ask(client, "POST", "/_exchange/advance", json={"to": "2026-01-05T14:35:00Z"})
            await ask(client, "POST", "/v2/orders", json={**BUY, "symbol": "BBB"})
            events = []
            while "BBB" not in (events[-1] if events else ""):
                told = orjson.loads(await socket.receive_bytes(timeout=5))
                events.append(f"{told['data']['event']} {told['data']['order']['symbol']}")
        assert ("canceled AAA" in events) is not is_quiet


@pytest.mark.wire("open.limit")
async def test_a_listing_of_more_than_five_hundred_is_cut_or_refused(begin: Begin) -> None:
    for clamps, expected in ((True, 200), (False, 422)):
        client = await begin(order_list_clamps=clamps)
        assert (await ask(client, "GET", "/v2/orders?limit=501"))[0] == expected
        assert (await ask(client, "GET", "/v2/orders?limit=500"))[0] == 200


@pytest.mark.wire("open.buying-power")
async def test_what_was_opened_today_may_be_left_out_of_buying_power(begin: Begin) -> None:
    for counts, expected in ((True, "398999.9"), (False, "400000")):
        client = await begin(opened_today_counts=counts)
        await ask(client, "POST", "/v2/orders", json=BUY)
        _, account = await ask(client, "GET", "/v2/account")
        assert account["buying_power"] == expected


@pytest.mark.wire("open.taken-leg")
async def test_a_triggered_stop_cancels_or_replaces_its_profit_taker(begin: Begin) -> None:
    falling = HandMarket(ticks={MONDAY: {"AAA": [100, 100, 100, 89]}})
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    for is_replaced, expected in ((False, "canceled"), (True, "replaced")):
        client = await begin(falling, taken_leg_is_replaced=is_replaced)
        body = {**BUY, "order_class": "bracket", **exits}
        _, head = await ask(client, "POST", "/v2/orders", json=body)
        await ask(client, "POST", "/_exchange/advance", json={"to": "2026-01-05T14:35:00Z"})
        _, head = await ask(client, "GET", f"/v2/orders/{head['id']}?nested=true")
        profit, stop = sorted(head["legs"], key=lambda leg: str(leg["type"]))
        assert (stop["type"], stop["status"]) == ("stop", "filled")
        assert (profit["status"], profit["replaced_by"]) == (
            expected,
            stop["id"] if is_replaced else None,
        )


@pytest.mark.wire("open.closing")
async def test_the_data_stream_s_errors_end_the_connection_or_not(begin: Begin) -> None:
    refused = {"action": "auth", "key": "k", "secret": ""}
    for closes in (True, False):
        client = await begin(limits=replace(UNLIMITED, data_errors_close=closes))
        async with client.ws_connect("/v2/iex", headers={"APCA-API-KEY-ID": ""}) as socket:
            await socket.receive(timeout=5)
            for _ in range(2):
                await socket.send_json(refused)
            assert (await socket.receive_json(timeout=5))[0]["code"] == 402
            kind = (await socket.receive(timeout=5)).type
        assert kind is (WSMsgType.CLOSE if closes else WSMsgType.TEXT)


@pytest.mark.wire("open.bookkeeping")
async def test_an_oco_right_after_its_fill_is_taken_or_refused(begin: Begin) -> None:
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    wish = {**BUY, "side": "sell", "type": "limit", "order_class": "oco", **exits}
    for lag_s, expected in ((0.0, 200), (30.0, 422)):
        client = await begin(bookkeeping_lag_s=lag_s)
        await ask(client, "POST", "/v2/orders", json=BUY)
        status, reply = await ask(client, "POST", "/v2/orders", json=wish)
        assert status == expected
    assert reply == {"code": 42210000, "message": "oco orders must be exit orders"}
    await ask(client, "POST", "/_exchange/advance", json={"to": "2026-01-05T14:31:00Z"})
    assert (await ask(client, "POST", "/v2/orders", json=wish))[0] == 200


@pytest.mark.wire("open.partials")
async def test_one_fill_in_ten_is_partial_like_on_paper(begin: Begin) -> None:
    fills = replace(EXACT.fills, volume_share_max=1e9, partial_share=0.1)
    client = await begin(fills=fills)
    partial = 0
    for _ in range(200):
        _, order = await ask(client, "POST", "/v2/orders", json=BUY)
        _, order = await ask(client, "GET", f"/v2/orders/{order['id']}")
        partial += order["status"] == "partially_filled"
        assert 1 <= int(order["filled_qty"]) <= 10
    assert 8 <= partial <= 36
    await ask(client, "POST", "/_exchange/advance", json={"to": "2026-01-05T14:39:00Z"})
    assert await ask(client, "GET", "/v2/orders?status=open") == (200, [])
    _, position = await ask(client, "GET", "/v2/positions/AAA")
    assert position["qty"] == "2000"

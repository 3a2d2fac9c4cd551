"""Trade updates over the websocket: reconnecting, odd events, refused keys."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from daemon.alpaca.client import Credentials
from daemon.alpaca.reconnecting import HEARTBEAT_S
from domain.errors import NotAuthorized
from domain.orders import AtMarket, Bust, Fill, OrderStatus, OrderUpdate, Side
from domain.ports import StreamConnected
from tests.support.fake_alpaca import KEY_ID, order_row, wire_time
from tests.support.rigs import START, AlpacaRig, alpaca_rig
from tests.support.virtual_loop import current_loop, in_virtual_time


def accept(rig: AlpacaRig, client_order_id: str = "tw1-a") -> dict[str, Any]:
    report = rig.venue.accept(client_order_id, "AAPL", Side.BUY, Decimal(10), terms=AtMarket())
    return order_row(report)


async def connected(rig: AlpacaRig) -> AsyncIterator[object]:
    """Return the updates after their first StreamConnected."""
    events = rig.broker.updates()
    assert isinstance(await anext(events), StreamConnected)
    return events


async def say(rig: AlpacaRig, event: str, order: dict[str, Any], **extra: Any) -> None:
    data = {"event": event, "timestamp": wire_time(START), "order": order, **extra}
    await rig.server.say(rig.server.sockets[-1], "trade_updates", data)


@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "text"])
@in_virtual_time
async def test_text_and_binary_frames_mean_the_same(is_binary: bool) -> None:
    async with alpaca_rig() as rig:
        rig.server.stream_is_binary = is_binary
        events = await connected(rig)
        accept(rig)
        update = await anext(events)
        assert isinstance(update, OrderUpdate)
        assert update.report == rig.venue.orders["tw1-a"]


@in_virtual_time
async def test_refused_keys_end_the_stream() -> None:
    wrong = Credentials(key_id=KEY_ID, secret_key=SecretStr("wrong"))
    async with alpaca_rig(credentials=wrong) as rig:
        with pytest.raises(NotAuthorized, match="ALPACA_API_KEY"):
            await anext(rig.broker.updates())


@in_virtual_time
async def test_a_handshake_refused_for_the_keys_ends_the_stream() -> None:
    async with alpaca_rig() as rig:
        rig.server.stream_handshakes.append(403)
        with pytest.raises(NotAuthorized):
            await anext(rig.broker.updates())


@in_virtual_time
async def test_another_connection_of_the_account_is_given_time_to_end() -> None:
    async with alpaca_rig() as rig:
        rig.server.stream_handshakes.extend([429, 429])
        await connected(rig)
        assert current_loop().time() >= 10.0


@in_virtual_time
async def test_reconnecting_waits_longer_and_longer_but_never_long() -> None:
    async with alpaca_rig() as rig:
        rig.server.stream_handshakes.extend([503] * 12)
        await connected(rig)
        assert 20.0 < current_loop().time() < 12 * 30.0
        assert rig.broker.stream.connections == 1


@in_virtual_time
async def test_a_connection_that_carries_nothing_any_more_is_replaced() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        began_s = current_loop().time()
        current_loop().network.mute_all()
        again = await anext(events)
        assert isinstance(again, StreamConnected)
        assert again.is_reconnect
        assert current_loop().time() - began_s < 3 * HEARTBEAT_S


@in_virtual_time
async def test_a_connection_that_was_given_up_is_replaced() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        waiting = current_loop().create_task(anext(events))  # type: ignore[arg-type]
        await rig.broker.stream.give_up()
        again = await waiting
        assert isinstance(again, StreamConnected)
        assert again.is_reconnect


@in_virtual_time
async def test_a_reset_connection_is_replaced() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        current_loop().network.reset_all()
        assert isinstance(await anext(events), StreamConnected)
        assert rig.broker.stream.is_connected


@in_virtual_time
async def test_a_message_that_cannot_be_read_starts_over_rather_than_being_lost() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        accept(rig)
        await anext(events)
        await rig.server.sockets[-1].send_bytes(b"{not json")
        assert isinstance(await anext(events), StreamConnected)


@in_virtual_time
async def test_other_streams_are_passed_over() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig)
        await anext(events)
        await rig.server.say(rig.server.sockets[-1], "weather", {"sunny": True})
        await say(rig, "canceled", {**row, "status": "canceled"})
        update = await anext(events)
        assert isinstance(update, OrderUpdate)
        assert update.report.status is OrderStatus.CANCELED


@in_virtual_time
async def test_an_unknown_event_has_the_order_read_again() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig)
        await anext(events)
        rig.venue.orders["tw1-a"] = rig.venue.end("tw1-a", OrderStatus.EXPIRED)
        await anext(events)
        await say(rig, "teleported", row)
        update = await anext(events)
        assert isinstance(update, OrderUpdate)
        assert update.report.status is OrderStatus.EXPIRED


@in_virtual_time
async def test_an_unknown_status_has_the_order_read_again() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig)
        await anext(events)
        await say(rig, "new", {**row, "status": "superposed"})
        update = await anext(events)
        assert isinstance(update, OrderUpdate)
        assert update.report == rig.venue.orders["tw1-a"]


@in_virtual_time
async def test_an_order_that_cannot_be_read_again_is_told_as_it_came() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig, "foreign")
        await anext(events)
        rig.venue.orders.clear()
        await say(rig, "teleported", row)
        update = await anext(events)
        assert isinstance(update, OrderUpdate)
        assert update.report.client_order_id == "foreign"


@in_virtual_time
async def test_what_cannot_be_booked_has_the_account_read_again() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig)
        await anext(events)
        await say(rig, "fill", {**row, "status": "filled"})
        assert isinstance(await anext(events), StreamConnected)
        assert isinstance(await anext(events), OrderUpdate)


async def taken_back(event: str, **extra: str) -> Bust:
    """Return what the stream makes of an execution taken back; the account is read after it."""
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig)
        await anext(events)
        await say(rig, event, {**row, "status": "filled"}, **extra)
        bust = await anext(events)
        assert isinstance(await anext(events), StreamConnected)
        assert isinstance(await anext(events), OrderUpdate)
    assert isinstance(bust, Bust)
    assert (bust.client_order_id, bust.symbol) == ("tw1-a", "AAPL")
    return bust


@in_virtual_time
async def test_a_bust_names_the_execution_that_never_was() -> None:
    told = {"previous_execution_id": "e1", "execution_id": "e2", "price": "99", "qty": "4"}
    bust = await taken_back("trade_bust", **told)
    assert (bust.fill_id, bust.corrected) == ("e1", None)


@in_virtual_time
async def test_a_correction_brings_what_stands_in_its_place() -> None:
    told = {"previous_execution_id": "e1", "execution_id": "e2", "price": "99", "qty": "4"}
    bust = await taken_back("trade_correct", **told)
    assert bust.fill_id == "e1"
    assert bust.corrected is not None
    assert (bust.corrected.fill_id, bust.corrected.price_usd) == ("e2", 99)


@pytest.mark.parametrize("event", ["trade_bust", "trade_correct"])
@in_virtual_time
async def test_a_bust_may_name_no_execution_at_all(event: str) -> None:
    bust = await taken_back(event)
    assert (bust.fill_id, bust.corrected) == ("", None)


@in_virtual_time
async def test_a_partial_fill_carries_its_own_quantity_and_price() -> None:
    async with alpaca_rig() as rig:
        events = await connected(rig)
        row = accept(rig)
        await anext(events)
        partly = {**row, "status": "partially_filled", "filled_qty": "7"}
        execution = {"execution_id": "e2", "price": "99.5", "qty": "4", "position_qty": "7"}
        await say(rig, "partial_fill", partly, **execution)
        fill = await anext(events)
        assert isinstance(fill, Fill)
        assert (fill.fill_id, fill.quantity_shares, fill.filled_at) == ("e2", Decimal(4), START)
        update = await anext(events)
        assert isinstance(update, OrderUpdate)
        assert update.report.filled_shares == Decimal(7)

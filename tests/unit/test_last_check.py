"""An order is judged once more in the instant its first byte would leave."""

import pytest

from daemon.alpaca.client import LAST_CHECK
from daemon.budget import Lane
from domain.errors import RequestNotSent
from tests.support.rigs import alpaca_rig
from tests.support.virtual_loop import in_virtual_time


@in_virtual_time
async def test_a_post_that_became_void_while_it_waited_does_not_leave() -> None:
    async with alpaca_rig() as rig:
        token = LAST_CHECK.set(lambda: "trading is HALTED")
        with pytest.raises(RequestNotSent, match="HALTED"):
            await rig.trading.post_once("/orders", {}, lane=Lane.SUBMIT)
        LAST_CHECK.reset(token)
        assert not rig.server.requests_to("/orders")


@in_virtual_time
async def test_a_look_up_is_never_void() -> None:
    async with alpaca_rig() as rig:
        token = LAST_CHECK.set(lambda: "trading is HALTED")
        assert await rig.broker.order("tw1-none") is None
        LAST_CHECK.reset(token)

"""Keeping the embedded exchange alive while we trade on it, and our clock on its time."""

import asyncio
from collections import deque

import aiohttp
import structlog

from daemon.clock import VenueClock
from daemon.embedded import EmbeddedExchange
from domain.errors import Refused, TradewindError

STARTS_MAX, STARTS_WINDOW_S = 5, 600.0
"""So many times an exchange that ended by itself is started again, within so long."""

_log = structlog.get_logger("tradewind")


class ExchangeKeeper:
    """Starts an exchange of ours again when it ends, and reads its time anew whenever it was away:
    market time stood still meanwhile."""

    def __init__(
        self, exchange: EmbeddedExchange, clock: VenueClock, session: aiohttp.ClientSession
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._session = session

    async def keep(self) -> None:
        """Run until cancelled. Raises TradewindError when it ends again and again."""
        ends: deque[float] = deque(maxlen=STARTS_MAX)
        while True:
            await self._exchange.ended()
            now_s = asyncio.get_running_loop().time()
            if len(ends) == STARTS_MAX and now_s - ends[0] < STARTS_WINDOW_S:
                raise TradewindError(
                    f"the exchange ended {STARTS_MAX + 1} times within "
                    f"{STARTS_WINDOW_S / 60:.0f} minutes; see "
                    f"{self._exchange.options.state_dir / 'exchange.log'}"
                )
            ends.append(now_s)
            _log.error("exchange_ended", hint="starting it again")
            await self._exchange.start_again(self._session)
            self._clock.follow(self._exchange.identity.clock)

    async def follow(self) -> None:
        """Read its time anew. Raises Refused when another exchange answers now."""
        try:
            await self._exchange.read_again(self._session)
        except Refused:
            raise
        except TradewindError as fault:
            _log.warning("exchange_away", reason=str(fault))
        else:
            self._clock.follow(self._exchange.identity.clock)

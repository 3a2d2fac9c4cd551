"""What befalls the account and its symbols besides orders: halts, blocks, money of its owner."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal

from domain.instruments import Symbol
from exchange.activities import ActivityKind
from exchange.faults.kinds import Kind
from exchange.records import EventKind, VenueEvent
from research.simulation.gateway import Count
from research.simulation.kernel.chance import Chance
from research.simulation.swarm import OtherFaults
from research.simulation.venue import SimulatedVenue

LASTS_S = (300.0, 3_600.0)
"""Market seconds that a halt or a block lasts."""
HELD_SHARE = 0.7
"""The share of halts that fall on what is held."""
REASONS = ("T1", "T5", "M1")
AMOUNTS_USD = (100, 5_000)
AGAIN_S = 0.5
"""Virtual seconds until an exchange that is away is asked again."""
DIVIDEND, SPLIT, PAUSED = "company.dividend", "company.split", "market.paused"
DEPOSIT, WITHDRAWAL = "account.deposit", "account.withdrawal"
_TOLD = {
    EventKind.DIVIDEND_OWED: DIVIDEND,
    EventKind.REORGANIZED: SPLIT,
}


class Upheavals:
    """Lets them happen now and then, and counts those that the market brings by itself."""

    def __init__(self, others: OtherFaults, venue: SimulatedVenue, count: Count) -> None:
        self._others = others
        self._venue = venue
        self._count = count
        self.is_over = False
        venue.watchers.append(self._happened)

    def _happened(self, events: list[VenueEvent]) -> None:
        for event in events:
            if event.kind in _TOLD:
                self._count(_TOLD[event.kind])
            if event.kind is EventKind.HALTED and event.halt is not None:
                self._count(PAUSED if event.halt.reason == "LUDP" else Kind.HALTED)
            for activity in event.activities:
                if activity.kind in (ActivityKind.DEPOSIT, ActivityKind.WITHDRAWAL):
                    self._count(DEPOSIT if activity.net_amount > 0 else WITHDRAWAL)

    def jobs(self, chance: Chance) -> Iterator[Coroutine[None, None, None]]:
        """Return what is to run beside the world."""
        others = self._others
        for mean_s, name, befall in (
            (others.halted, "halted", self._halt),
            (others.transfer, "transfer", self._transfer),
        ):
            if mean_s:
                yield self._now_and_then(mean_s, chance.fork(name), befall)
        if others.blocked:
            yield self._block_now_and_then(others.blocked, chance.fork("blocked"))

    async def end(self) -> None:
        """Let nothing more befall, and lift what has."""
        self.is_over = True
        await self._set_blocked(is_blocked=False)
        for halt in list(self._venue.venue.register.running_halts):
            self._venue.resume(halt.symbol)

    async def _now_and_then(
        self, mean_s: float, chance: Chance, befall: Callable[[Chance], None]
    ) -> None:
        while True:
            await asyncio.sleep(2.0 * mean_s * chance.share() / self._venue.speed)
            if not self.is_over and self._venue.is_up:
                befall(chance)

    def _halt(self, chance: Chance) -> None:
        venue = self._venue.venue
        held = list(venue.account.holdings)
        symbols = held if held and chance.hits(HELD_SHARE) else list(venue.assets)
        symbol = Symbol(chance.pick(symbols))
        self._venue.halt(symbol, chance.pick(REASONS), lasts_s=chance.between(*LASTS_S))

    def _transfer(self, chance: Chance) -> None:
        low, high = AMOUNTS_USD
        cents = 100 * low + chance.below(100 * (high - low))
        sign = chance.pick((1, -1))
        self._venue.transfer(sign * Decimal(cents) / 100)

    async def _block_now_and_then(self, mean_s: float, chance: Chance) -> None:
        speed = self._venue.speed
        while True:
            await asyncio.sleep(2.0 * mean_s * chance.share() / speed)
            if self.is_over:
                return
            await self._set_blocked(is_blocked=True)
            self._count(Kind.BLOCKED)
            await asyncio.sleep(chance.between(*LASTS_S) / speed)
            await self._set_blocked(is_blocked=False)

    async def _set_blocked(self, *, is_blocked: bool) -> None:
        while not self._venue.is_up:  # noqa: ASYNC110
            await asyncio.sleep(AGAIN_S)
        if self._venue.venue.register.configuration.is_blocked is not is_blocked:
            self._venue.set_blocked(is_blocked=is_blocked)

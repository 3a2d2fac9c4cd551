"""Who else acts in a world: a person at the controls, somebody else on the account, and fate."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any

from daemon.assembly import Assembly
from domain.events import Action, OperatorAsked, OperatorOrder
from domain.instruments import Symbol
from domain.orders import Side
from domain.snapshot import TradingState
from exchange.faults.kinds import Kind
from research.simulation.journaled import Report
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.loop import VirtualLoop
from research.simulation.process import Count, Say, SimulatedDaemon
from research.simulation.swarm import OtherFaults
from research.simulation.venue import SimulatedVenue
from risk.halts import Cause

ORDERS_BY_HAND = 0.3
"""The share of a person's looks that end in an order of a size drawn blindly."""
LOOK_S = (300.0, 3_600.0)
"""Market seconds between two looks of a person."""
AWAY_S = (0.2, 20.0)
"""How long the exchange is away when its process ends."""
SKEWS_S = (0.0, 0.05, -0.05, 0.5, -0.5, 3.0, -3.0)
"""By how much the daemon's machine clock is wrong."""
EVERY_CAUSE = ",".join([*Cause, "quarantine"])


class Person:
    """Resumes what latched, starts anew what failed, and orders by hand, often far too much."""

    def __init__(
        self, loop: VirtualLoop, daemon: SimulatedDaemon, *, count: Count, say: Say, report: Report
    ) -> None:
        self._loop = loop
        self._daemon = daemon
        self._count = count
        self._say = say
        self._report = report

    async def operate(self, chance: Chance, speed: float) -> None:
        """Resume what was halted, after a while; start a daemon anew whose disk had failed."""
        while True:
            await asyncio.sleep(chance.between(*LOOK_S) / speed)
            assembly = self._daemon.assembly
            if assembly is None:
                continue
            if assembly.recorder.is_failed:
                self._count("operator.restart")
                self._daemon.kill("operator", delay_s=1.0, power=False)
                continue
            self.resume(assembly)
            if chance.hits(ORDERS_BY_HAND):
                self._order_by_hand(assembly, chance)

    def _order_by_hand(self, assembly: Assembly, chance: Chance) -> None:
        """Order what may be far too much: the gate is there for that."""
        symbol = chance.pick(assembly.engine.core.universe.symbols)
        self._count("operator.order")
        order = OperatorOrder(
            symbol=symbol,
            side=chance.pick((Side.BUY, Side.BUY, Side.SELL)),
            quantity_shares=Decimal(1 + chance.below(120)),
        )
        self.ask(assembly, Action.ORDER, order=order)

    def resume(self, assembly: Assembly) -> None:
        """Name every cause, unless nothing is latched. A halt without cause breaks a promise."""
        memory = assembly.engine.memory
        if memory.trading.state is not TradingState.ACTIVE:
            why = f"{memory.trading.cause}: {memory.trading.evidence}"
            self._say(f"{memory.trading.state.value} {why}")
            for cause in memory.trading.cause.split(", "):
                self._count(f"latched.{cause}")
            if Cause.DISTRUST in memory.trading.cause and "simulated" not in why:
                self._report("halted without cause", why)
        if memory.trading.state is TradingState.ACTIVE and not memory.quarantined:
            return
        self._count("operator.resume")
        self.ask(assembly, Action.RESUME, EVERY_CAUSE)

    def ask(
        self,
        assembly: Assembly,
        action: Action,
        subject: str = "",
        order: OperatorOrder | None = None,
    ) -> None:
        """Ask as the HTTP interface does, from inside the daemon's process."""
        life = self._daemon.life
        assert life is not None
        asked = OperatorAsked(
            at=assembly.clock.now(),
            action=action,
            reason="simulated",
            subject=subject,
            order=order,
        )
        self._loop.start(life, assembly.operate(asked), "asked")


class Fates:
    """What befalls now and then, besides what lies on the way of a request."""

    def __init__(
        self, others: OtherFaults, venue: SimulatedVenue, daemon: SimulatedDaemon, count: Count
    ) -> None:
        self._others = others
        self._venue = venue
        self._daemon = daemon
        self._count = count
        self.is_over = False

    def jobs(self, chance: Chance) -> Iterator[Coroutine[Any, Any, None]]:
        """Return what is to run beside the world."""
        others = self._others
        if others.exchange_kill:
            yield self._now_and_then(others.exchange_kill, chance.fork("kill"), self._kill_exchange)
        if others.skew:
            yield self._now_and_then(others.skew, chance.fork("skew"), self._skew)
        if others.by_another:
            yield self._now_and_then(others.by_another, chance.fork("another"), self._trade)

    async def _now_and_then(
        self, mean_s: float, chance: Chance, befall: Callable[[Chance], None]
    ) -> None:
        while True:
            await asyncio.sleep(2.0 * mean_s * chance.share() / self._venue.speed)
            if not self.is_over:
                befall(chance)

    def _kill_exchange(self, chance: Chance) -> None:
        self._venue.kill(chance.between(*AWAY_S))

    def _skew(self, chance: Chance) -> None:
        self._count(Kind.CLOCK_SKEWED)
        self._daemon.skew_s = chance.pick(SKEWS_S)

    def _trade(self, chance: Chance) -> None:
        symbols = list(self._venue.venue.account.holdings) or list(self._venue.venue.assets)
        side = chance.pick((Side.BUY, Side.SELL, Side.SELL))
        shares = Decimal(1 + chance.below(30))
        self._venue.order_by_another(Symbol(chance.pick(symbols)), side, shares)

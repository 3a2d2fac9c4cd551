"""Who else acts in a world: a person at the controls, somebody else on the account, and fate."""

import asyncio
import contextvars
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

RESUMES = 0.8
"""The share of a person's looks that lift what is latched; they order by hand all the same."""
HALT_IN_S = (0.0, 0.005)
"""How long after an order's record is durable a person halts: the order is leaving then."""
AWAY_S = (0.2, 20.0)
"""How long the exchange is away when its process ends."""
SKEWS_S = (0.0, 0.05, -0.05, 0.5, -0.5, 3.0, -3.0)
"""By how much the daemon's machine clock is wrong."""
EVERY_CAUSE = ",".join([*Cause, "quarantine"])


class Person:
    """Resumes what latched, starts anew what failed, halts in the midst of things, and orders by
    hand, often far too much."""

    def __init__(
        self, loop: VirtualLoop, daemon: SimulatedDaemon, *, count: Count, say: Say, report: Report
    ) -> None:
        self._outside = contextvars.copy_context()
        self._halts, self._chance = 0.0, Chance(0)
        self._loop = loop
        self._daemon = daemon
        self._count = count
        self._say = say
        self._report = report

    def begin_halting(self, share: float, chance: Chance) -> None:
        """Halt trading while an order leaves, at so many of them; 0 ends it."""
        self._halts, self._chance = share, chance

    def order_leaves(self) -> None:
        """Hear that an order's record has become durable."""
        if self._chance.hits(self._halts):
            in_s = self._chance.between(*HALT_IN_S)
            # The person is not part of the process that writes the record.
            self._loop.call_later(in_s, self._halt, context=self._outside.copy())

    def _halt(self) -> None:
        assembly = self._daemon.assembly
        if assembly is not None and self._halts:
            self._count("operator.halt")
            self.ask(assembly, self._chance.pick((Action.HALT, Action.REDUCE)))

    async def operate(self, chance: Chance, speed: float, others: OtherFaults) -> None:
        """Resume what was halted, after a while; start a daemon anew whose disk had failed."""
        while True:
            await asyncio.sleep(chance.between(*others.look_s) / speed)
            assembly = self._daemon.assembly
            if assembly is None:
                continue
            if assembly.recorder.is_failed:
                self._count("operator.restart")
                self._daemon.kill("operator", delay_s=1.0, power=False)
                continue
            if chance.hits(RESUMES):
                self.resume(assembly)
            if chance.hits(others.by_hand):
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

"""One seed, one world: an exchange, a daemon, what befalls them, and the judge of it all."""

import asyncio
import gc
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from daemon.assembly import Assembly
from domain.events import Action
from domain.instruments import Symbol
from exchange.assets import shipped_instruments
from execution.identity import PREFIX
from research.simulation.apart import Log, alone
from research.simulation.bookkeeping import Bookkeeper
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.loop import Deadlock, VirtualLoop
from research.simulation.kernel.network import NO_FAULTS
from research.simulation.kernel.node import Life
from research.simulation.oracle import Oracle
from research.simulation.others import Fates, Person
from research.simulation.process import Profile, SimulatedDaemon, told
from research.simulation.swarm import CALM, GENERATION, Swarm, draw_swarm
from research.simulation.turns import Turns
from research.simulation.upheavals import Upheavals
from research.simulation.venue import SESSION, SimulatedVenue

SPEEDS = (30.0, 60.0, 60.0, 120.0, 120.0, 240.0, 240.0, 240.0, 240.0, 240.0)
"""Market seconds in a second of virtual time; each seed draws its own. Slow worlds have time to
settle every fault before the next slot, fast ones have faults that reach over several."""
SYMBOLS = 12
SYMBOL_SETS = 6
"""So many choices of symbols: a market that one world has drawn is there for the next."""
SLOW_SHARE, SLOW_SPEED = 0.05, 4.0
"""In so many seeds approvals live long enough for an order in doubt to be sent again; a session
takes them sixty times as long, so they live through SLOW_DAYS at most."""
SLOW_DAYS = 1
WIDE_SHARE = 0.05
"""The share of seeds with all symbols and one-minute bars, played for WIDE_DAYS at most."""
WIDE_DAYS = 1
TAPED_SHARE = 0.05
TIGHT_SHARE = 0.3
"""The share of seeds in which the circuit breakers trip under what befalls."""
WHOLE_SHARE = 0.25
"""The share of seeds in which every shipped strategy takes part."""
POSITION_MAX = Decimal("0.05")
LOOK_S = 6.0
POLLS_S = (120, 300)
"""Market seconds between two looks at the quotes; each seed draws its own."""
SETTLE_S_MAX = 400.0
"""Virtual seconds after the last fault within which everything must be settled…"""
STOP_S_MAX = 60.0
"""…and after SIGTERM within which the daemon must be gone."""
HEAL_LEFT = 0.05, 0.4
"""The faults stop when so much of the last session is left."""
SECONDS_A_DAY_MAX = 40_000.0
VIOLATIONS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which world, and for how long."""

    seed: int
    days: int = 1
    swarm: Swarm | None = None
    """None draws one from the seed…"""
    generation: int = GENERATION
    """…as it was drawn then."""
    wide: bool | None = None
    speed: float | None = None
    symbols: int = SYMBOLS
    more: dict[str, object] = field(default_factory=dict)
    """Settings of the daemon other than the profile's."""
    log: Log | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise broken, and when."""

    what: str
    detail: str
    at_s: float

    def __str__(self) -> str:
        return f"{self.at_s:.3f} s: {self.what}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one world."""

    seed: int
    days: float
    """Sessions, parts of them included, through which a daemon was running."""
    violations: tuple[Violation, ...]
    counts: Counter[str]
    trace: str
    """A hash of everything that went over the wire and to the disk, and when."""
    steps: int


@dataclass(slots=True)
class _Trace:
    """Hashes what happens; `log` hears of it in words."""

    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=8))

    def segment(self, at_s: float, side: str, data: bytes) -> None:
        self.digest.update(b"%s %.9f %d " % (side.encode(), at_s, len(data)))
        # Keys and masks of websockets, and the Date of some answers, are the machine's own.
        if data[:4] in (b"POST", b"HTTP"):
            self.digest.update(data.partition(b"\r\n\r\n")[2])
        elif data[:1] == b"{":
            self.digest.update(data)

    def note(self, text: str) -> None:
        self.digest.update(text.encode())


class World:
    """Everything of one seed. Run it once."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._chance = chance = Chance(wish.seed)
        self.loop = VirtualLoop(horizon_s=SECONDS_A_DAY_MAX * (wish.days + 1))
        self.counts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.lets_go = True
        """Cleared where the process ends with the world: tidying up would be for nobody."""
        self._trace = _Trace()
        drawn = draw_swarm(chance.fork("swarm"), generation=wish.generation)
        self.swarm = wish.swarm if wish.swarm is not None else drawn
        is_wide = chance.fork("wide").hits(WIDE_SHARE) if wish.wide is None else wish.wide
        is_slow = chance.fork("slow").hits(SLOW_SHARE)
        days_max = min(WIDE_DAYS if is_wide else wish.days, SLOW_DAYS if is_slow else wish.days)
        self._days = min(wish.days, days_max)
        symbols = _symbols(chance.fork("symbols"), wish.symbols, is_wide=is_wide)
        drawn_speed = SLOW_SPEED if is_slow else chance.fork("speed").pick(SPEEDS)
        speed = wish.speed if wish.speed is not None else drawn_speed
        self.venue = SimulatedVenue(
            self.loop, chance.fork("venue"), symbols, speed=speed, others=self.swarm.others
        )
        self.daemon = SimulatedDaemon(
            self.loop,
            chance.fork("daemon"),
            Profile(
                symbols=symbols,
                bar_timeframe="1Min" if is_wide else "5Min",
                poll_s=chance.fork("poll").pick(POLLS_S),
                speed=speed,
                is_whole=chance.fork("whole").hits(WHOLE_SHARE),
                is_loose=not chance.fork("tight").hits(TIGHT_SHARE),
                is_taped=chance.fork("tape").hits(TAPED_SHARE),
                chatter_seed=chance.fork("chatter").below(1 << 30),
                seed=chance.fork("jitter").below(1 << 30),
                more=wish.more,
            ),
            count=self._count,
            on_violation=self.violated,
            say=self._say,
        )
        self.daemon.days_now = self.venue.days_traded
        self.oracle = Oracle(
            lambda: self.venue.venue, report=self.violated, position_max=POSITION_MAX
        )
        self.oracle.assembly_of = lambda: self.daemon.assembly
        self.oracle.is_alone = not self.swarm.others.by_another
        self.bookkeeper = Bookkeeper(
            lambda: self.venue.venue,
            self.oracle.durable,
            self.violated,
            is_exact=self.oracle.is_alone and not self.swarm.others.skew,
        )
        self.bookkeeper.assembly_of = self.oracle.assembly_of
        self.person = Person(
            self.loop, self.daemon, count=self._count, say=self._say, report=self.violated
        )
        self.person.begin_halting(self.swarm.others.halts, chance.fork("halts"))
        self.fates = Fates(self.swarm.others, self.venue, self.daemon, self._count)
        self.upheavals = Upheavals(self.swarm.others, self.venue, self._count)
        self._connect()

    def _connect(self) -> None:
        chance = self._chance.fork("turns")
        self.turns = Turns(self.loop, self.swarm.others, self.venue, chance, self._count)
        self.daemon.disk.on_synced = self.oracle.durable.synced
        self.oracle.durable.on_order = self.person.order_leaves
        self.daemon.on_assembled = self._assembled
        self.venue.watchers.append(self._happened)
        self.loop.set_exception_handler(self._unhandled)
        network = self.loop.network
        network.watch = self.oracle.sent
        network.trace = self._trace.segment

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        if isinstance(fault, Exception) and "handle" in context:
            self.violated("an error that nobody handles", told(fault))

    def _happened(self, events: list[Any]) -> None:
        for event in events:
            self._count(f"venue.{event.kind.value}")
            self._trace.note(f"{event.seq} {event.kind} {event.cash}")
        self.oracle.happened(events)
        self.bookkeeper.happened(events)

    def _assembled(self, assembly: Assembly) -> None:
        self._count("process.assembled")

    # --- telling ------------------------------------------------------------------------------

    def violated(self, what: str, detail: str) -> None:
        """Remember a broken promise."""
        self._say(f"VIOLATION {what}: {detail}")
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(what=what, detail=detail, at_s=self.loop.time()))

    def _count(self, what: str) -> None:
        self.counts[str(what)] += 1
        if self._wish.log is not None and not what.startswith(("venue.", "network.split")):
            self._say(what)

    def _say(self, line: str) -> None:
        if self._wish.log is not None:
            at = self.venue.exchange.time.clock.market_time(self.loop.wall())
            self._wish.log(f"{self.loop.time():11.4f}  {at:%m-%d %H:%M:%S}  {line}")

    # --- running ------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Live through it; return what came of it."""
        with alone(self.loop, self._wish.seed, self._wish.log):
            try:
                self.loop.run_until_complete(self._live())
            except Deadlock as fault:
                self.violated("nothing moves any more", str(fault))
            self.daemon.count_days()
            self.counts["tasks.shuffled"] += self.loop.shuffled
            outcome = Outcome(
                seed=self._wish.seed,
                days=self.daemon.days_up,
                violations=tuple(self.violations),
                counts=self.counts,
                trace=self._trace.digest.hexdigest(),
                steps=self.loop.steps,
            )
            if self.lets_go:
                self._let_go()
        return outcome

    def _let_go(self) -> None:
        """Let the dead be finalised, where nothing of it can reach another world."""
        nobody = Life("nobody")
        nobody.is_dead = True
        self.loop._ready.clear()
        self.loop._scheduled.clear()
        self.loop.close()
        self.daemon.let_go()
        self.venue.let_go()
        self.oracle.assembly_of = self.bookkeeper.assembly_of = lambda: None
        self.loop.network.buried.clear()
        self.loop.network.wires.clear()
        self.loop.network.listeners.clear()
        nobody.context.run(gc.collect)

    async def _live(self) -> None:
        await self.venue.serve(self._count)
        self._befall()
        self.daemon.start()
        jobs = [
            *self.fates.jobs(self._chance.fork("others")),
            *self.upheavals.jobs(self._chance.fork("upheavals")),
        ]
        watchers = [
            self.loop.create_task(self._look(), name="oracle"),
            self.loop.create_task(
                self.person.operate(
                    self._chance.fork("operator"), self.venue.speed, self.swarm.others
                ),
                name="operator",
            ),
            *(self.loop.create_task(job, name="fate") for job in jobs),
        ]
        while not self.is_time_to_heal() and not self.violations:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        if not self.violations:
            await self._end_well()
        for task in watchers:
            task.cancel()
        self.oracle.identity_of_money()

    def _befall(self) -> None:
        swarm, chance = self.swarm, self._chance.fork("befall")
        if swarm is CALM:
            return
        self.loop.network.use_faults(swarm.link, chance, self._count)
        self.venue.gateway.api = swarm.api
        self.venue.gateway.news = swarm.stream
        self.daemon.disk.faults = swarm.disk
        self.daemon.faults = swarm.process
        if swarm.others.shuffled:
            self.loop.shuffle = chance.fork("shuffle")

    def is_time_to_heal(self) -> bool:
        """Return whether the last day is so far that there is time to settle before its close."""
        if self.venue.days_closed < self._days - 1:
            return False
        left = self.venue.until_close()
        if left is None:
            return False
        return left / SESSION < self._chance.fork("heal").between(*HEAL_LEFT)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.oracle.look()
            self.bookkeeper.look()

    # --- the end ------------------------------------------------------------------------------

    async def _end_well(self) -> None:
        """Stop every fault; then all must be settled in time, and a stop be clean."""
        self._say("HEALED")
        self.fates.is_over = self.turns.is_over = True
        self.daemon.skew_s = 0.0
        self.person.begin_halting(0.0, self._chance)
        self.venue.start_now()
        await self.upheavals.end()
        self.loop.network.faults = NO_FAULTS
        self.venue.gateway.heal()
        self.daemon.disk.faults = CALM.disk
        self.daemon.disarm()
        self.daemon.start_now()
        due_s = self.loop.time() + SETTLE_S_MAX
        asked_of: Assembly | None = None
        differences = ["nothing was looked at"]
        while self.loop.time() < due_s and not self.violations:
            await asyncio.sleep(1.0)
            assembly = self.daemon.assembly
            if assembly is None or not assembly.engine.memory.is_reconciled:
                continue
            if assembly.recorder.is_failed:
                self.daemon.kill("operator", delay_s=1.0, power=False)
                continue
            self.person.resume(assembly)
            if asked_of is not assembly:
                asked_of = assembly
                self.person.ask(assembly, Action.REDUCE)
            self.person.ask(assembly, Action.CANCEL_ALL)
            if not self.oracle.is_alone:
                self.venue.cancel_of_others(lambda identity: identity.startswith(PREFIX))
            differences = self.oracle.differences()
            if not differences and not assembly.runner.submitter.in_flight:
                await self._stop_cleanly()
                return
        if not self.violations:
            self.violated("not settled in time", "; ".join(differences[:8]))

    def _is_stopped(self, due_s: float) -> bool:
        return bool(self.violations) or self.daemon.report is not None or self.loop.time() > due_s

    async def _stop_cleanly(self) -> None:
        self._count("world.settled")
        due_s, splits = self.loop.time() + STOP_S_MAX, self.counts["company.split"]
        if not self.daemon.stop():
            self.violated("SIGTERM was not heard", "")
        while not self._is_stopped(due_s):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        report = self.daemon.report
        if report is None:
            self.violated("not stopped in time", f"{STOP_S_MAX:.0f} s after SIGTERM")
        elif not report.fields["book_matches_venue"]:
            mismatch = str(report.fields["book_mismatch"])
            # An average depends on the order of fills: one of others' that was heard of late, or
            # one that was taken back, is put right by a later comparison.
            is_loose = not self.oracle.is_alone or self.oracle.has_busts()
            # Where a day is minutes, shares may split between the last word and the last look.
            has_split = self.counts["company.split"] > splits
            if not has_split and (not is_loose or "average entry" not in mismatch):
                self.violated("the book does not match", mismatch)


def _symbols(chance: Chance, count: int, *, is_wide: bool) -> tuple[Symbol, ...]:
    known = [Symbol(name) for name in shipped_instruments()]
    if is_wide:
        return tuple(known)
    start = chance.below(SYMBOL_SETS) * (len(known) // SYMBOL_SETS)
    step = 5
    return tuple(known[(start + step * number) % len(known)] for number in range(count))

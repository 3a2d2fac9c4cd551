"""The unmodified daemon as a process that is killed, and comes back, on a disk that forgets."""

import asyncio
import contextvars
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.alpaca.client import open_session
from daemon.assembly import Assembly
from daemon.embedded import ExchangeOptions
from daemon.machine import Machine
from daemon.program import RunOptions, run
from daemon.report import RunReport
from daemon.settings import Settings
from daemon.settings_env import load_settings
from domain.errors import TradewindError
from domain.instruments import Symbol
from domain.signals import StrategyName
from research.simulation import strategies, venue
from research.simulation.kernel.chance import Chance
from research.simulation.kernel.disk import Disk, DiskQueue
from research.simulation.kernel.loop import VirtualLoop
from research.simulation.kernel.node import Killed, Life
from research.simulation.swarm import CALM, ProcessFaults

NO_FOLDER = Path("/dev/null/tradewind")
"""STATE_DIR: its files lie on the simulated disk, and no real one can be made in it."""
RESTART_S = (0.5, 3.0)
NEXT_BAR_S = (100.0, 1_800.0)
NEXT_DAY_S = (14_000.0, 40_000.0)
"""Virtual seconds at once, market seconds otherwise."""
NEXT_DAY_SHARE = 0.1
WHOLE = "sma_crossover,rsi_reversion,mean_reversion"
BRIEF = "sma_crossover(fast_bars=5,slow_bars=20,timeframe={})"
EARLY_STEPS = 200
"""Start-up and recovery take about a hundred callbacks."""
STRATEGIES_FOLDER = Path(strategies.__file__).parent
LOOSE = {
    "ORDERS_SENT_PER_MINUTE_MAX": "100000",
    "REJECTS_PER_HOUR_MAX": "100000",
    "STALE_DATA_SECONDS_MAX": "86400",
    "MISMATCHES_IN_A_ROW_MAX": "10000",
    "REPEATED_EXECUTIONS_PER_HOUR_MAX": "100000",
    "CLOCK_SKEW_SECONDS_MAX": "3600",
    "LOOP_LAG_SECONDS_MAX": "600",
    "FSYNC_SECONDS_MAX": "600",
}
TIGHT = {"STALE_DATA_SECONDS_MAX": "900", "FSYNC_SECONDS_MAX": "1"}
_AWAY_S = {"next_bar": NEXT_BAR_S, "next_day": NEXT_DAY_S}
Count = Callable[[str], None]
Say = Callable[[str], None]


class _Lock:
    """The system frees the lock of a dead process."""

    def acquire(self) -> None:
        """Take it."""

    def release(self) -> None:
        """Give it back."""


@dataclass(slots=True)
class _Note:
    """Who is being asked; survives the process."""

    name: StrategyName = ""

    def write(self, name: StrategyName) -> None:
        """Note that this strategy is being asked."""
        self.name = name

    def clear(self) -> None:
        """Note that nobody is being asked."""
        self.name = ""

    def read(self) -> StrategyName:
        """Return who was being asked when the last process ended."""
        return self.name


class _NoWatch:
    """A loop in virtual time cannot stand still."""

    def start(self) -> None:
        """Nothing is watched."""

    def beat(self) -> None:
        """Nothing is watched."""

    def stop(self) -> None:
        """Nothing is watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a simulated daemon trades, and how."""

    symbols: tuple[Symbol, ...]
    bar_timeframe: str = "5Min"
    poll_s: int = 120
    speed: float = 60.0
    """Market seconds in a virtual second."""
    chatter_seed: int = 0
    is_whole: bool = True
    """Whether every shipped strategy takes part, on three timeframes, with all its history: a
    start then costs five times as much."""
    is_loose: bool = True
    """Whether the circuit breakers are set so wide that trading goes on under every fault."""
    is_taped: bool = False
    """Whether the tape is written: it costs as much as all the rest, and decides nothing."""
    seed: int = 1
    more: dict[str, object] = field(default_factory=dict)

    def settings(self) -> Settings:
        """Return the daemon's settings."""
        frame = self.bar_timeframe
        chatter = (
            f"chatter(seed={self.chatter_seed},enter=0.03,leave=0.03,timeframe={frame},weight=3)"
        )
        others = WHOLE if self.is_whole else BRIEF.format(frame)
        chosen: dict[str, object] = {
            "VENUE": "embedded",
            "EXCHANGE_URL": venue.URL,
            "STATE_DIR": str(NO_FOLDER),
            "TAPE_MAX_MB": "512" if self.is_taped else "0",
            "HTTP_TOKEN": "simulated-simulated-simulated-simulated",
            "TRADING_SYMBOLS": ",".join(self.symbols),
            "STRATEGIES": f"{others},{chatter}",
            "CLUSTER_DAYS": "60" if self.is_whole else "20",
            "STRATEGIES_DIR": str(STRATEGIES_FOLDER),
            "BAR_TIMEFRAME": self.bar_timeframe,
            "POLL_SECONDS": str(self.poll_s),
            "PRICE_TTL_SECONDS": str(max(60, self.poll_s)),
            "DAILY_TURNOVER_MAX": "1000%",
            "MIN_HOLD_BARS": "1",
            "TARGET_POSITION_SIZE": "0.04",
            "MAX_POSITION_SIZE": "0.05",
            "ORDERS_PER_DAY_MAX": "5000",
            "ORDERS_PER_MINUTE_MAX": "40",
            # The strategy that chatters turns round for turning round's sake.
            "REPEATED_EXECUTIONS_PER_HOUR_MAX": "1000",
            "SEED": str(self.seed),
            **(LOOSE if self.is_loose else TIGHT),
            **self.more,
        }
        return load_settings(None, {}, chosen)


class SimulatedDaemon:
    """One daemon on one machine, started again whenever it ends."""

    def __init__(
        self,
        loop: VirtualLoop,
        chance: Chance,
        profile: Profile,
        *,
        count: Count,
        on_violation: Callable[[str, str], None],
        say: Say = lambda line: None,
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._settings = profile.settings()
        self._speed = profile.speed
        self._count = count
        self._on_violation = on_violation
        self._say = say
        self.faults: ProcessFaults = CALM.process
        self._outside = contextvars.copy_context()
        self.disk = Disk(chance.fork("disk"), count)
        self.disk.before_operation = self._before_operation
        self._note = _Note()
        self._dies_at_operation: int | None = None
        self.life: Life | None = None
        self.assembly: Assembly | None = None
        self.report: RunReport | None = None
        self.is_stopping = False
        self.skew_s = 0.0
        """How far the machine's clock is wrong."""
        self.kills = 0
        self.starts = 0
        self.days_up = 0.0
        """Sessions through which a process was running, parts of them included."""
        self.days_now: Callable[[], float] = lambda: 0.0
        self._days_counted = 0.0
        self.dead: list[Life] = []
        self.on_assembled: Callable[[Assembly], None] = lambda assembly: None

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the program; it must not be running."""
        assert self.life is None
        self.starts += 1
        self._days_counted = self.days_now()
        self.life = life = Life(f"daemon-{self.starts}")
        life.on_death = lambda: self.kill("step")
        self.assembly = None
        self._arm(life)
        task = self._loop.start(life, run(self._settings, self._options()), life.name)
        task.add_done_callback(lambda done: self._ended(life, done), context=self._outside.copy())

    def _options(self) -> RunOptions:
        disk, loop = self.disk, self._loop
        return RunOptions(
            exchange=ExchangeOptions(url=venue.URL, state_dir=NO_FOLDER),
            say=self._say,
            machine=Machine(
                open_session=open_session,
                fs=disk,
                lock=lambda directory: _Lock(),
                note=lambda path: self._note,
                writer=lambda: DiskQueue(disk, loop),
                watch=lambda limit_s: _NoWatch(),
                real_time_s=self._wall,
                stopwatch_s=loop.time,
            ),
            on_assembled=self._assembled,
        )

    def _wall(self) -> float:
        return self._loop.wall() + self.skew_s

    def _assembled(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.on_assembled(assembly)

    def _arm(self, life: Life) -> None:
        """Decide when this life ends."""
        faults, chance = self.faults, self._chance
        self._dies_at_operation = None
        if not faults.life_steps:
            return
        if chance.hits(faults.at_disk):
            reach = 30 if chance.hits(faults.early) else 1_000
            self._dies_at_operation = self.disk.operations + 1 + chance.below(reach)
        elif chance.hits(faults.early):
            life.dies_at_step = 1 + chance.below(EARLY_STEPS)
        else:
            life.dies_at_step = 1 + chance.below(2 * faults.life_steps)

    def disarm(self) -> None:
        """Let the present life last."""
        self.faults = CALM.process
        self._dies_at_operation = None
        if self.life is not None:
            self.life.dies_at_step = None

    def _before_operation(self, number: int) -> None:
        if self._dies_at_operation is not None and number >= self._dies_at_operation:
            self.kill("disk")
            raise Killed

    # --- ends ---------------------------------------------------------------------------------

    def kill(self, where: str, *, delay_s: float | None = None, power: bool | None = None) -> None:
        """End the process now, and start it again later."""
        life = self.life
        if life is None:
            return
        self._dies_at_operation = None
        self.kills += 1
        self._count(f"process.kill_{where}")
        if self.assembly is None:
            self._count("process.kill_in_recovery")
        is_power = self._chance.hits(self.faults.power) if power is None else power
        if is_power:
            self._count("process.power_cut")
            self.disk.lose_power()
        else:
            self.disk.kill()
        self._loop.kill(life, silently=is_power and self._chance.hits(0.5))
        self._bury(life)
        self._start_in(self._restart_s() if delay_s is None else delay_s)

    def count_days(self) -> None:
        """Count the time since the present process was started, or last counted."""
        if self.life is not None:
            now = self.days_now()
            self.days_up += now - self._days_counted
            self._days_counted = now

    def _bury(self, life: Life) -> None:
        self.count_days()
        if self.assembly is not None:
            life.graveyard.append(self.assembly)
        self.dead.append(life)
        self.life = self.assembly = None

    def _restart_s(self) -> float:
        kind = self._chance.pick(("at_once", "at_once", "at_once", "next_bar", "next_bar", "later"))
        if kind == "later" and self._chance.hits(NEXT_DAY_SHARE):
            kind = "next_day"
        self._count(f"process.restart_{kind}")
        if kind == "at_once":
            return self._chance.between(*RESTART_S)
        return self._chance.between(*_AWAY_S.get(kind, NEXT_BAR_S)) / self._speed

    def _start_in(self, delay_s: float) -> None:
        # Not in the context of the dying: nothing of that would run.
        self._loop.call_later(delay_s, self._start_again, context=self._outside.copy())

    def start_now(self) -> None:
        """Start it unless it runs, however long it was to be left off."""
        self._start_again()

    def _start_again(self) -> None:
        if self.life is None and not self.is_stopping:
            self.start()

    def _ended(self, life: Life, task: "asyncio.Task[RunReport | None]") -> None:
        """The program ended by itself."""
        if life.is_dead:
            return
        was_running = self.assembly is not None
        self.disk.kill()
        self._loop.kill(life)
        self._bury(life)
        fault = None if task.cancelled() else task.exception()
        if fault is None and not task.cancelled():
            self.report = task.result()
        if self.is_stopping:
            if fault is not None:
                self._on_violation("stopped with an error", told(fault))
            return
        self._judge_end(fault, was_running=was_running)
        self._start_in(self._chance.between(*RESTART_S))

    def _judge_end(self, fault: BaseException | None, *, was_running: bool) -> None:
        """A start may fail while the venue cannot be reached; nothing else may end the daemon."""
        if was_running or not isinstance(fault, TradewindError):
            self._on_violation("the daemon ended by itself", told(fault))
        elif type(fault).__name__ == "StateCorrupt":
            self._on_violation("its own state cannot be read", told(fault))
        else:
            self._count("process.start_failed")

    def let_go(self) -> None:
        """Forget every process that was."""
        for life in (*self.dead, *([self.life] if self.life else [])):
            life.is_dead = True
            life.graveyard.clear()
        self.dead.clear()
        self.life = self.assembly = None

    def stop(self) -> bool:
        """Send SIGTERM; return whether somebody was there to hear it."""
        self.is_stopping = True
        return self.life is not None and self._loop.signal(self.life, signal.SIGTERM)


def told(fault: BaseException | None) -> str:
    """Return what went wrong and where, in one line."""
    if fault is None:
        return "without an error"
    if isinstance(fault, BaseExceptionGroup):
        return "; ".join(told(inner) for inner in fault.exceptions)
    return f"{type(fault).__name__}: {fault}{_place(fault)}"


def _place(fault: BaseException) -> str:
    trace: Any = fault.__traceback__
    place = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" [{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}]"
        trace = trace.tb_next
    return place

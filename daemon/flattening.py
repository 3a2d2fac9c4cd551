"""`flatten` while no daemon runs: latched on disk first, then carried out by a short run."""

from dataclasses import dataclass
from time import sleep
from typing import Final

from daemon import settings_rules, startup
from daemon.api_client import ApiClient, Document
from daemon.child import ChildDaemon, ChildEnded, Say
from daemon.clock import LockstepClock, SystemClock, stopwatch_s
from daemon.machine import this_machine
from daemon.saved_state import StateFolder
from daemon.settings import Settings
from domain.errors import DaemonNotRunning, TradewindError
from domain.events import Action, OperatorAsked
from domain.ports import Clock
from domain.snapshot import TradingStatus
from risk.halts import next_status
from state.records import StatusChanged, encode

CLOSE_S_MAX: Final = 90.0
"""How long the short run may take to close everything; after that the next start goes on."""
LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """What came of it: how much is still held or working, and why that is so."""

    positions: int
    working_orders: int
    problem: str = ""

    @property
    def is_flat(self) -> bool:
        """Whether nothing is held and nothing works."""
        return not (self.positions or self.working_orders or self.problem)


def latch(settings: Settings, folder: StateFolder, reason: str) -> TradingStatus:
    """Record, durably, that everything is to be closed: whatever runs next does that first.

    Returns the trading state from now on. Raises Refused while a daemon uses the state, and
    StateCorrupt.
    """
    saved = folder.load()
    if saved is None:
        raise TradewindError(f"{folder.path}: nothing was ever saved here")
    # Market time stands where it was saved; on paper it is the real one.
    clock: Clock = LockstepClock(saved.saved_at)
    if folder.venue == "paper":
        clock = SystemClock()
    files = startup.open_state(
        folder.path.parent,
        venue=folder.venue,
        account_id=folder.account_id,
        clock=clock,
        machine=this_machine(),
    )
    try:
        before = files.recovered.trading if files.recovered else saved.trading
        now = clock.now()
        asked = OperatorAsked(at=now, action=Action.FLATTEN, reason=reason)
        after = next_status(before, asked, settings_rules.risk_limits(settings), now)
        if after is None:
            return before
        files.journal.append_durable(*encode(StatusChanged(at=now, trading=after)))
        return after
    finally:
        files.journal.close()
        files.lock.release()


def close_all(
    settings: Settings, client: ApiClient, arguments: tuple[str, ...], *, say: Say
) -> Flattened:
    """Run the daemon until nothing is held and nothing works, at most CLOSE_S_MAX, and stop it.

    The latch must be set: the run then closes everything by itself, through gate and journal.
    """
    child = ChildDaemon.start(arguments, settings.state_dir)
    finished = False
    try:
        child.wait_until_ready(client, say)
        status = _wait_until_flat(child, client)
        child.stop(say)
        finished = True
    except ChildEnded as fault:
        finished = True
        return Flattened(positions=0, working_orders=0, problem=str(fault))
    finally:
        if not finished:
            child.kill()
    return Flattened(positions=status["positions"], working_orders=status["working_orders"])


def _wait_until_flat(child: ChildDaemon, client: ApiClient) -> Document:
    due_s = stopwatch_s() + CLOSE_S_MAX
    status = client.get("status")
    while (status["positions"] or status["working_orders"]) and stopwatch_s() < due_s:
        sleep(LOOK_EVERY_S)
        child.check()
        try:
            status = client.get("status")
        except DaemonNotRunning:
            child.check()
    return status

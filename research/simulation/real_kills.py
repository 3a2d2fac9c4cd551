"""Real processes on real files and sockets: the daemon ended by SIGKILL at random, a third of the
times while it recovers; nothing is ordered twice or lost, and it is ready again in time."""

import signal
import tempfile
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import orjson

from daemon.clock import stopwatch_s
from research.simulation.journaled import Journaled
from research.simulation.kernel.chance import Chance
from research.simulation.site import Site, share_of

READY_S_MAX = 60.0
STOP_S_MAX = 60.0
ALIVE_S = (0.2, 2.5)
IN_RECOVERY = 1 / 3


@dataclass(slots=True)
class RealKills:
    """What came of it."""

    kills: int = 0
    in_recovery: int = 0
    orders: int = 0
    ready_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def ready_at(self, share: float) -> float:
        """Return within how many seconds this share of the starts was ready."""
        return share_of(self.ready_s, share)


def kill_often(kills: int, *, seed: int = 1) -> RealKills:
    """Kill the daemon so many times, then let it settle, and judge what is there."""
    chance, found = Chance(seed).fork("kills"), RealKills()
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder)) as site:
        for _ in range(kills):
            site.start()
            if chance.hits(IN_RECOVERY):
                is_ready = site.wait_ready(chance.share() * max(0.5, found.ready_at(0.5)))
            else:
                is_ready = site.wait_ready(READY_S_MAX)
                if not is_ready:
                    found.failed.append(f"not ready in {READY_S_MAX:.0f} s: {site.last_words()}")
                    return found
                found.ready_s.append(stopwatch_s() - site.started_s)
                time.sleep(chance.between(*ALIVE_S))
            found.in_recovery += not is_ready
            site.kill()
            found.kills += 1
        _judge_end(site, found)
    return found


def _judge_end(site: Site, found: RealKills) -> None:
    daemon = site.start()
    if not site.wait_ready(READY_S_MAX):
        found.failed.append(f"not ready after the last kill: {site.last_words()}")
        return
    site.control("reduce")
    due_s = stopwatch_s() + STOP_S_MAX
    while site.ask("/v2/orders?status=open&limit=500") and stopwatch_s() < due_s:
        site.control("cancel-all")
        time.sleep(0.5)
    daemon.send_signal(signal.SIGTERM)
    code = daemon.wait(STOP_S_MAX)
    report = orjson.loads(site.output.read_bytes().splitlines()[-1])
    if code or not report["book_matches_venue"]:
        found.failed.append(f"exit {code}, {report.get('book_mismatch')}")
    orders = site.all_orders()
    found.orders = len(orders)
    judged = Journaled(lambda what, detail: found.failed.append(f"{what}: {detail}"))
    for path in site.journal():
        judged.synced(path, path.read_bytes())
    filled: dict[tuple[str, str, str], Decimal] = {}
    for order in orders:
        meant = judged.journaled.get(order["client_order_id"])
        if meant is None:
            found.failed.append(f"an order without a decision: {order['client_order_id']}")
        elif Decimal(order["qty"]) != meant.quantity_shares or order["symbol"] != meant.symbol:
            found.failed.append(f"not the order that was decided: {order} is not {meant}")
        else:
            wish = meant.slot_and_leg
            filled[wish] = filled.get(wish, Decimal(0)) + Decimal(order["filled_qty"])
            if filled[wish] > judged.first_of[wish]:
                found.failed.append(f"more executed than intended: {wish}: {filled[wish]}")

"""Real processes on real files and sockets: the daemon ended by SIGKILL at random, a third of the
times while it recovers; nothing is ordered twice or lost, and it is ready again in time."""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from daemon.clock import stopwatch_s
from execution.identity import PREFIX
from research.simulation import strategies
from research.simulation.journaled import Journaled
from research.simulation.kernel.chance import Chance

SPEED = 60
LOOK_S = 0.01
READY_S_MAX = 60.0
STOP_S_MAX = 60.0
ALIVE_S = (0.2, 2.5)
IN_RECOVERY = 1 / 3
READY = b"Ready; trading"
REPOSITORY = Path(__file__).parents[2]
SETTINGS = {
    "TRADING_SYMBOLS": "AAPL,MSFT,JPM,XOM,KO,SPY",
    "STRATEGIES": "chatter(seed=3,enter=0.3,leave=0.3,timeframe=1Min)",
    "STRATEGIES_DIR": str(Path(strategies.__file__).parent),
    "BAR_TIMEFRAME": "1Min",
    "POLL_SECONDS": "30",
    "DAILY_TURNOVER_MAX": "1000%",
    "MIN_HOLD_BARS": "1",
    "ORDERS_PER_DAY_MAX": "100000",
    "ORDERS_PER_MINUTE_MAX": "100",
    "CLUSTER_DAYS": "20",
    "TAPE_MAX_MB": "0",
    "OMP_NUM_THREADS": "1",
}


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
        ordered = sorted(self.ready_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def kill_often(kills: int, *, seed: int = 1) -> RealKills:
    """Kill the daemon so many times, then let it settle, and judge what is there."""
    chance, found = Chance(seed).fork("kills"), RealKills()
    with tempfile.TemporaryDirectory() as folder, _Site(Path(folder)) as site:
        for _ in range(kills):
            daemon = site.start()
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
            daemon.kill()
            daemon.wait()
            found.kills += 1
        _judge_end(site, found)
    return found


def _judge_end(site: "_Site", found: RealKills) -> None:
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
    for path in sorted(site.state.glob("*/journal/*.jsonl")):
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


class _Site:
    """An exchange that runs on, and a daemon that is started again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.output, self.said = folder / "out", folder / "err"
        self.url, self.http = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        self.started_s = 0.0
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "_Site":
        port = self.url.rpartition(":")[2]
        given = ["--port", port, "--speed", str(SPEED), "--state-dir", str(self.folder / "venue")]
        self._start([sys.executable, "-m", "exchange", *given], self.folder / "x.out")
        _until(self._answers, READY_S_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.ask("/v2/clock"))
        return False

    def _start(self, command: list[str], output: Path) -> subprocess.Popen[bytes]:
        settings = SETTINGS | {
            "PYTHONPATH": str(REPOSITORY),
            "EXCHANGE_URL": self.url,
            "HTTP_PORT": self.http.rpartition(":")[2],
            "HTTP_TOKEN": "simulated-simulated-simulated-simulated",
        }
        with output.open("wb") as out, self.said.open("wb") as said:
            process = subprocess.Popen(
                ["env", *(f"{name}={value}" for name, value in settings.items()), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=said,
                cwd=self.folder,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon."""
        self.started_s = stopwatch_s()
        given = ["run", "--venue", "embedded", "--state-dir", str(self.state), "--json"]
        return self._start([sys.executable, "-m", "daemon.cli", *given], self.output)

    def wait_ready(self, limit_s: float) -> bool:
        """Return whether the daemon trades within so many seconds."""
        daemon = self._running[-1]
        _until(lambda: READY in self.said.read_bytes() or daemon.poll() is not None, limit_s)
        return READY in self.said.read_bytes()

    def last_words(self) -> str:
        """Return the end of what the daemon said."""
        return self.said.read_text(errors="replace")[-600:]

    def ask(self, path: str) -> Any:
        """Ask the exchange."""
        keys = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "any"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=keys)) as reply:
            return orjson.loads(reply.read())

    def all_orders(self) -> list[dict[str, Any]]:
        """Return every order of ours that the exchange ever took."""
        known: dict[str, dict[str, Any]] = {}
        until = ""
        while True:
            page = self.ask(f"/v2/orders?status=all&limit=500&direction=desc{until}")
            new = [order for order in page if order["id"] not in known]
            if not new:
                return [o for o in known.values() if o["client_order_id"].startswith(PREFIX)]
            known |= {order["id"]: order for order in new}
            until = f"&until={new[-1]['submitted_at']}"

    def control(self, action: str) -> None:
        """Have the daemon do something."""
        token = "simulated-simulated-simulated-simulated"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = orjson.dumps({"reason": "simulated"})
        asked = urllib.request.Request(f"{self.http}/api/v1/{action}", data=body, headers=headers)
        with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=5):
            return


def _until(condition: Callable[[], bool], limit_s: float) -> None:
    due_s = stopwatch_s() + limit_s
    while not condition() and stopwatch_s() < due_s:
        time.sleep(LOOK_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

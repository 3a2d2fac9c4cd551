"""A real exchange and a real daemon on real files and sockets, each a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from daemon.clock import stopwatch_s
from execution.identity import PREFIX
from research.simulation import strategies

SPEED = 60
LOOK_S = 0.01
ANSWER_S_MAX = 60.0
TOKEN = "simulated-simulated-simulated-simulated"
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


class Site:
    """An exchange that runs on, and a daemon that is started again and again."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = SETTINGS) -> None:
        self.folder, self.state = folder, folder / "state"
        self._settings = settings
        self.output, self.said = folder / "out", folder / "err"
        self.url, self.http = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.venue_url = self.url
        """Where the daemon looks for the exchange."""
        self.started_s = 0.0
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Site":
        port = self.url.rpartition(":")[2]
        given = ["--port", port, "--speed", str(SPEED), "--state-dir", str(self.folder / "venue")]
        self.launch([sys.executable, "-m", "exchange", *given], self.folder / "venue.out")
        until(self._answers, ANSWER_S_MAX)
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

    def launch(
        self, command: list[str], output: Path, said: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with the site; what it says goes beside its output."""
        settings = {
            **self._settings,
            "PYTHONPATH": str(REPOSITORY),
            "EXCHANGE_URL": self.venue_url,
            "HTTP_PORT": self.http.rpartition(":")[2],
            "HTTP_TOKEN": TOKEN,
        }
        with output.open("wb") as out, (said or output.with_suffix(".err")).open("wb") as err:
            process = subprocess.Popen(
                ["env", *(f"{name}={value}" for name, value in settings.items()), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon."""
        self.started_s = stopwatch_s()
        given = ["run", "--venue", "embedded", "--state-dir", str(self.state), "--json"]
        return self.launch([sys.executable, "-m", "daemon.cli", *given], self.output, self.said)

    def wait_ready(self, limit_s: float) -> bool:
        """Return whether the daemon trades within so many seconds."""
        daemon = self._running[-1]
        until(lambda: READY in self.said.read_bytes() or daemon.poll() is not None, limit_s)
        return READY in self.said.read_bytes()

    def kill(self) -> None:
        """End the daemon by SIGKILL."""
        daemon = self._running.pop()
        daemon.kill()
        daemon.wait()

    def terminate(self) -> None:
        """Have the daemon stop cleanly."""
        self._running[-1].terminate()
        self._running[-1].wait(ANSWER_S_MAX)

    def journal(self) -> list[Path]:
        """Return the files of the daemon's journal, oldest first."""
        return sorted(self.state.glob("*/journal/*.jsonl"))

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
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        body = orjson.dumps({"reason": "simulated"})
        asked = urllib.request.Request(f"{self.http}/api/v1/{action}", data=body, headers=headers)
        with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=5):
            return


def share_of(times_s: list[float], share: float) -> float:
    """Return what this share of the times stays within, 0 without any."""
    ordered = sorted(times_s)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def busy_s(pid: int) -> float:
    """Return the processor time that a process has used, 0 for none. Source: proc(5), its stat."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def until(condition: Callable[[], bool], limit_s: float) -> None:
    """Wait until it is so, at most so long."""
    due_s = stopwatch_s() + limit_s
    while not condition() and stopwatch_s() < due_s:
        time.sleep(LOOK_S)


def free_port() -> int:
    """Return a port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The real program as a process: started, watched line by line, signalled, and cleaned up after.

Each run has its own folder, its own ports, and an environment that holds none of ours. Only what a
run started is ever ended: its process, and the exchange that names the run's state directory.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
KEPT_FROM_OUR_ENVIRONMENT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
START_S_MAX = 45.0
END_S_MAX = 100.0
"""An order that nobody knows after a kill is given up after 60 s; an end may wait for that."""
LOOK_S = 0.02
KEYS = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "any"}
"""What the embedded exchange lets in."""


class Unmet(AssertionError):
    """What a test waited for did not come in time; the message ends with the last lines said."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP reply: status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def free_port() -> int:
    """Return a port of this machine that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def request(
    url: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    timeout_s: float = 5,
) -> Answer:
    """Ask over HTTP: GET, or POST of JSON when there is a body, unless a method is named; any
    status is an answer."""
    given = dict(headers or {})
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        given.setdefault("Content-Type", "application/json")
    asked = urllib.request.Request(url, data=data, headers=given, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=timeout_s) as reply:
            return Answer(reply.status, dict(reply.headers), reply.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, dict(refusal.headers), refusal.read())


@dataclass(slots=True, kw_only=True)
class Site:
    """Where runs of the program live that share state, exchange and ports."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    exchange_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    started: list["Run"] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        """The run's STATE_DIR."""
        return self.folder / "state"

    @property
    def exchange_url(self) -> str:
        """Where the embedded exchange answers."""
        return f"http://127.0.0.1:{self.exchange_port}"

    @property
    def http_url(self) -> str:
        """Where the daemon answers."""
        return f"http://127.0.0.1:{self.http_port}"

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of a run: nothing of ours but what any program needs."""
        kept = {k: os.environ[k] for k in KEPT_FROM_OUR_ENVIRONMENT if k in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(REPOSITORY),
            "EXCHANGE_URL": self.exchange_url,
            "HTTP_PORT": str(self.http_port),
            **self.settings,
            **settings,
        }

    def daemon(self, *arguments: str, **settings: str) -> "Run":
        """Start `tradewind run` with these arguments and settings."""
        return self.tradewind("run", "--state-dir", str(self.state_dir), *arguments, **settings)

    def tradewind(self, *arguments: str, **settings: str) -> "Run":
        """Start any command of `tradewind`."""
        return self._start([sys.executable, "-m", "daemon.cli", *arguments], settings)

    def exchange(self, *arguments: str) -> "Run":
        """Start the embedded exchange alone, on the port the daemon will look at."""
        command = [sys.executable, "-m", "exchange", "--port", str(self.exchange_port)]
        return self._start([*command, *arguments], {})

    def _start(self, command: list[str], settings: Mapping[str, str]) -> "Run":
        self.folder.mkdir(parents=True, exist_ok=True)
        run = Run.start(
            command,
            folder=self.folder,
            environment=self.environment(**settings),
            number=len(self.started),
        )
        self.started.append(run)
        return run

    # --- asking the two ends ---------------------------------------------------------------------

    def ask(self, path: str, **more: Any) -> Answer:
        """Ask the daemon's HTTP interface."""
        return request(self.http_url + path, **more)

    def document(self, name: str) -> Any:
        """Return a document of /api/v1."""
        answer = self.ask(f"/api/v1/{name}")
        assert answer.status == 200, answer
        return answer.json()

    def control(self, action: str, **body: str) -> Answer:
        """Have the daemon do something, with its own token."""
        token = next(self.state_dir.glob("*/http-token")).read_text().strip()
        return self.ask(
            f"/api/v1/{action}", body=body, headers={"Authorization": f"Bearer {token}"}
        )

    def venue(self, path: str) -> Any:
        """Ask the exchange, as any client of Alpaca's would."""
        answer = request(self.exchange_url + path, headers=KEYS)
        assert answer.status == 200, answer
        return answer.json()

    def venue_orders(self) -> list[dict[str, Any]]:
        """Return every order the exchange ever took, whatever became of it."""
        orders: list[dict[str, Any]] = []
        until = ""
        while True:
            page = self.venue(f"/v2/orders?status=all&limit=500&direction=desc{until}")
            new = [o for o in page if o["id"] not in {known["id"] for known in orders}]
            if not new:
                return orders
            orders += new
            until = f"&until={new[-1]['submitted_at']}"

    def venue_shares(self) -> dict[str, str]:
        """Return the exchange's positions: symbol → signed shares."""
        return {p["symbol"]: p["qty"] for p in self.venue("/v2/positions")}

    # --- the exchange a daemon started -----------------------------------------------------------

    def exchange_process(self) -> int | None:
        """Return the process id of the exchange on this state directory, None when none runs."""
        ours = str(self.state_dir).encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[1:3] == [b"-m", b"exchange"] and ours in words:
                    return int(entry.name)
        return None

    def kill_exchange(self) -> None:
        """End the exchange at once, as a crash would."""
        process = self.exchange_process()
        assert process is not None, "no exchange runs on this state directory"
        os.kill(process, signal.SIGKILL)
        self.await_exchange_gone()

    def await_exchange_gone(self, timeout_s: float = 10.0) -> None:
        """Return once no exchange runs on this state directory. Raises Unmet."""
        if not until(lambda: self.exchange_process() is None, timeout_s):
            raise Unmet(f"the exchange (pid {self.exchange_process()}) still runs")

    def clean_up(self) -> None:
        """End whatever of this site still runs."""
        for run in self.started:
            run.kill()
        process = self.exchange_process()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _listen_to_ctrl_c() -> None:
    """A shell's background job ignores SIGINT, and so would all it starts: CI may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(slots=True, kw_only=True)
class Run:
    """One process of the program, what it says kept in files."""

    process: subprocess.Popen[bytes]
    output_path: Path
    said_path: Path
    started_s: float

    @classmethod
    def start(
        cls, command: list[str], *, folder: Path, environment: Mapping[str, str], number: int
    ) -> "Run":
        """Start a command in a folder."""
        output_path, said_path = folder / f"run-{number}.out", folder / f"run-{number}.err"
        started_s = time.monotonic()
        with output_path.open("wb") as output, said_path.open("wb") as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=said,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_listen_to_ctrl_c,
            )
        return cls(
            process=process, output_path=output_path, said_path=said_path, started_s=started_s
        )

    # --- what it says ----------------------------------------------------------------------------

    def said(self) -> str:
        """Return everything on standard error so far."""
        return self.said_path.read_text(errors="replace")

    def output(self) -> str:
        """Return everything on standard output so far."""
        return self.output_path.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log records of one event so far."""
        records = [r for line in self.said().splitlines() if (r := _record(line))]
        return [r for r in records if r.get("event") == name]

    def await_line(self, pattern: str, timeout_s: float = START_S_MAX, *, count: int = 1) -> str:
        """Return the `count`-th line on standard error that matches. Raises Unmet when the process
        ends, or the time does, before there are so many."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [x for x in self.said().splitlines() if re.search(pattern, x)]
            return len(found) >= count or self.process.poll() is not None

        until(look, timeout_s)
        if len(found) < count:
            raise Unmet(f"{pattern!r} was said {len(found)} of {count} times; {self.last_words()}")
        return found[count - 1]

    def await_ready(self, timeout_s: float = START_S_MAX) -> None:
        """Return once the daemon trades."""
        self.await_line("Ready; trading", timeout_s)

    def last_words(self) -> str:
        """Return the end of what was said, for an assertion's message."""
        code = self.process.poll()
        tail = "\n".join(self.said().splitlines()[-25:])
        return f"exit code {code}; it said last:\n{tail}"

    def await_end(self, timeout_s: float = END_S_MAX) -> int:
        """Return the exit code. Raises Unmet when it does not end in time."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as late:
            raise Unmet(f"not ended within {timeout_s:g} s; {self.last_words()}") from late

    def report(self) -> dict[str, Any]:
        """Return the one JSON object on standard output."""
        lines = self.output().splitlines()
        assert len(lines) == 1, f"not one line on standard output: {lines[:3]}"
        found: dict[str, Any] = json.loads(lines[0])
        return found

    # --- what is done to it ----------------------------------------------------------------------

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end: SIGTERM, or SIGINT as Ctrl-C does."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, wait, and return the exit code."""
        self.terminate(number)
        return self.await_end()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def until(condition: Any, timeout_s: float) -> bool:
    """Return whether a condition came true in time."""
    due_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > due_s:
            return False
        time.sleep(LOOK_S)
    return True


@contextlib.contextmanager
def site(folder: Path, **settings: str) -> Iterator[Site]:
    """Yield a place for runs; whatever of it still runs at the end is ended."""
    place = Site(folder=folder, settings=settings)
    try:
        yield place
    finally:
        place.clean_up()


def _record(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

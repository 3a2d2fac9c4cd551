"""A daemon started by another command: its steps told as it says them, stopped in order."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO, Final

import orjson

from daemon.api_client import ApiClient
from daemon.clock import stopwatch_s
from domain.errors import DaemonNotRunning, Refused, TradewindError

START_S_MAX: Final = 120.0
"""Loading a long file market takes most of it."""
READY_S_MAX: Final = 20.0
"""After it serves: how long its first comparison with the venue is waited for."""
STOP_S_MAX: Final = 45.0
"""The daemon's own limits on stopping come to less."""
KILL_S_MAX: Final = 5.0
LOOK_EVERY_S: Final = 0.1
LAST_LINES: Final = 20
LOG_FILE: Final = "daemon.log"
REPORT_FILE: Final = "last-run.json"
SERVING, READY = "Serving ", "Ready"
"""How the steps begin with which it says that it answers, and that it trades."""
STEP = re.compile(r"  \d\d:\d\d:\d\d  (?P<step>.*)")

Say = Callable[[str], None]


class ChildEnded(TradewindError):
    """The daemon ended by itself; its exit code becomes ours."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code if 0 < exit_code < 128 else TradewindError.exit_code


class ChildDaemon:
    """One `tradewind run` in a process group of its own; its log lies in the state directory."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: BinaryIO, report: Path) -> None:
        """`log` is open for reading where this run's words begin."""
        self._process = process
        self._report = report
        self._log = log
        self._unfinished = b""
        self._last: list[str] = []

    @staticmethod
    def start(arguments: Sequence[str], state_dir: Path) -> "ChildDaemon":
        """Start `tradewind run` with these arguments. Raises Refused for an unwritable folder."""
        log, report = state_dir / LOG_FILE, state_dir / REPORT_FILE
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            said, reported, heard = log.open("ab"), report.open("wb"), log.open("rb")
        except OSError as fault:
            raise Refused(f"{state_dir} cannot be written: {fault.strerror}") from fault
        heard.seek(0, os.SEEK_END)
        with said, reported:
            process = subprocess.Popen(
                [sys.executable, "-m", "daemon", "run", "--json", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=reported,
                stderr=said,
                # A terminal's Ctrl-C must reach only the command that started it.
                start_new_session=True,
            )
        return ChildDaemon(process, heard, report)

    @property
    def process_id(self) -> int:
        """The daemon's process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def steps(self) -> list[str]:
        """Return what it said it is doing since last asked."""
        lines = (self._unfinished + self._log.read()).split(b"\n")
        self._unfinished = lines.pop()
        found = []
        for line in (raw.decode(errors="replace") for raw in lines):
            match = STEP.fullmatch(line)
            if match:
                found.append(match["step"])
            else:
                self._last = [*self._last, line][-LAST_LINES:]
        return found

    def wait_until_ready(self, client: ApiClient, say: Say) -> None:
        """Return once it answers and has compared its book with the venue, telling its steps.

        Raises ChildEnded with its last words when it ends instead.
        """
        started_s, serving_s = stopwatch_s(), None
        while True:
            for step in self.steps():
                say(step)
                # Not by asking: somebody else may answer at that address.
                if step.startswith(SERVING):
                    serving_s = stopwatch_s()
                if step.startswith(READY):
                    return
            self.check()
            now_s = stopwatch_s()
            if serving_s is not None:
                if _is_ready(client) or now_s - serving_s > READY_S_MAX:
                    return
            elif now_s - started_s > START_S_MAX:
                self.kill()
                raise TradewindError(
                    f"the daemon did not start within {START_S_MAX:.0f} s; see {self._log.name}"
                )
            sleep(LOOK_EVERY_S)

    def check(self) -> None:
        """Raise ChildEnded when it is gone."""
        if not self.has_ended:
            return
        self.steps()
        said = [line for line in self._last if line.startswith(("tradewind:", "  ", "Traceback"))]
        words = "\n".join(said or self._last[-3:]).removeprefix("tradewind: ").strip()
        code = self._process.returncode
        raise ChildEnded(words or f"the daemon ended with code {code}; see {self._log.name}", code)

    def stop(self, say: Say) -> dict[str, Any] | None:
        """Ask it to stop, telling its steps, and return its closing report, None without one.

        KeyboardInterrupt passes through: call `kill` then. One that does not stop within
        STOP_S_MAX is killed.
        """
        self.steps()  # said while something else was shown: no news any more
        if not self.has_ended:
            self._process.send_signal(signal.SIGTERM)
        due_s = stopwatch_s() + STOP_S_MAX
        while not self.has_ended:
            for step in self.steps():
                say(step)
            if stopwatch_s() > due_s:
                say(f"It did not stop within {STOP_S_MAX:.0f} s and is killed")
                self.kill()
                return None
            sleep(LOOK_EVERY_S)
        for step in self.steps():
            say(step)
        return self._closing_report()

    def kill(self) -> None:
        """End it at once; what it was doing is settled at its next start."""
        if not self.has_ended:
            self._process.kill()
            self._process.wait(KILL_S_MAX)

    def _closing_report(self) -> dict[str, Any] | None:
        try:
            report = orjson.loads(self._report.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return report if isinstance(report, dict) else None


def _is_ready(client: ApiClient) -> bool:
    try:
        return bool(client.health().get("ready"))
    except (DaemonNotRunning, Refused):
        return False

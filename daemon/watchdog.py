"""Restarting a daemon whose loop no longer turns: a strategy that never returns must not stop all.

Three rings: this thread notices a loop that stands still although Python runs (`while True: pass`)
and starts the program over in place; the C-level timer of faulthandler ends a process stuck in
native code; systemd's own watchdog ends whatever is left.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

CHECKS_PER_LIMIT = 10
NATIVE_GRACE = 1.5
"""How many times the limit a process stuck in native code may live, in limits."""


class Watchdog:
    """Calls `on_hang` from a thread of its own once `beat` was not called for `limit_s`."""

    def __init__(
        self, limit_s: float, *, stopwatch_s: Callable[[], float], on_hang: Callable[[], None]
    ) -> None:
        self._limit_s = limit_s
        self._stopwatch_s = stopwatch_s
        self._on_hang = on_hang
        self._last_beat_s = stopwatch_s()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; call `beat` from the loop from now on."""
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """Say that the loop turns."""
        self._last_beat_s = self._stopwatch_s()
        if sys.stderr is not None and not sys.stderr.closed:
            faulthandler.dump_traceback_later(
                self._limit_s * NATIVE_GRACE, exit=True, file=sys.__stderr__ or sys.stderr
            )

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while not self._stopped.wait(self._limit_s / CHECKS_PER_LIMIT):
            if self._stopwatch_s() - self._last_beat_s > self._limit_s:
                self._stopped.set()
                self._on_hang()
                return


def start_over() -> None:
    """Replace this process by a fresh one with the same arguments: files and sockets close, the
    process id stays, so that systemd sees no end."""
    sys.stderr.write("tradewind: the loop stood still; starting over\n")
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

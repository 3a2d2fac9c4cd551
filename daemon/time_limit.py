"""Ending foreign code that does not return."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from daemon.clock import stopwatch_s


class OutOfTime(BaseException):
    """Raised inside code that took too long; no `except Exception` of that code stops it."""


@contextmanager
def at_most(limit_s: float) -> Iterator[None]:
    """Raise OutOfTime inside the block after so many real seconds.

    Works by SIGALRM, so it interrupts Python code and waits of the main thread; in other threads,
    and inside libraries that never come back to Python, nothing is limited. A timer that was set
    before goes on afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    handler = signal.signal(signal.SIGALRM, interrupt)
    began_s = stopwatch_s()
    left_s, interval_s = signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left_s:
            remains_s = max(left_s - (stopwatch_s() - began_s), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, remains_s, interval_s)

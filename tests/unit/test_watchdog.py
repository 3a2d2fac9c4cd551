"""A loop that stands still is noticed; one that turns is left alone.

The limit is long, for its timer in C is real and ends the process; the stopwatch is not.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from daemon import watchdog as watchdog_module
from daemon.watchdog import CHECKS_PER_LIMIT, Watchdog

LIMIT_S = 60.0
FAR_S = 5.0
"""How long a test waits for what must come, at most."""


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog_module, "CHECKS_PER_LIMIT", 20_000)


class Stopwatch:
    """Moves when told; counts who looks."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._looked = threading.Condition()
        self.looks = 0

    def __call__(self) -> float:
        with self._looked:
            self.looks += 1
            self._looked.notify_all()
        return self.at_s

    def wait_for_looks(self, more: int) -> bool:
        """Return whether the stopwatch was looked at so many times more."""
        with self._looked:
            wanted = self.looks + more
            return self._looked.wait_for(lambda: self.looks >= wanted, timeout=FAR_S)


@contextmanager
def watching(stopwatch: Stopwatch, on_hang: Callable[[], None]) -> Iterator[Watchdog]:
    watchdog = Watchdog(LIMIT_S, stopwatch_s=stopwatch, on_hang=on_hang)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()
        watchdog._thread.join(FAR_S)


def test_a_loop_that_does_not_beat_is_called_hung() -> None:
    stopwatch, hung = Stopwatch(), threading.Event()
    with watching(stopwatch, hung.set):
        stopwatch.at_s += LIMIT_S * 1.01
        assert hung.wait(FAR_S)


def test_a_loop_within_its_limit_is_left_alone() -> None:
    stopwatch, hung = Stopwatch(), threading.Event()
    with watching(stopwatch, hung.set):
        stopwatch.at_s += LIMIT_S * 0.99
        assert stopwatch.wait_for_looks(3)
        assert not hung.is_set()


def test_a_beat_starts_the_limit_anew() -> None:
    stopwatch, hung = Stopwatch(), threading.Event()
    with watching(stopwatch, hung.set) as watchdog:
        for _ in range(3):
            stopwatch.at_s += LIMIT_S * 0.9
            watchdog.beat()
            assert stopwatch.wait_for_looks(2)
        assert not hung.is_set()


def test_hanging_is_told_once() -> None:
    stopwatch, calls = Stopwatch(), list[float]()
    with watching(stopwatch, lambda: calls.append(stopwatch.at_s)) as watchdog:
        stopwatch.at_s += 10 * LIMIT_S
        watchdog._thread.join(FAR_S)
        assert len(calls) == 1


def test_after_a_stop_nobody_is_called_hung() -> None:
    stopwatch, hung = Stopwatch(), threading.Event()
    with watching(stopwatch, hung.set) as watchdog:
        watchdog.stop()
        watchdog._thread.join(FAR_S)
        stopwatch.at_s += 10 * LIMIT_S
    assert not hung.is_set()


def test_a_hang_is_noticed_well_within_two_limits() -> None:
    assert CHECKS_PER_LIMIT >= 4

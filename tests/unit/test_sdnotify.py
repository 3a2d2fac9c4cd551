"""Speaking to systemd over a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.sdnotify import STATUS_CHARACTERS_MAX, ServiceManager

OWN = os.getpid()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def a_manager(listener: socket.socket, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": listener.getsockname(), **environ}, process_id=OWN)


def heard(listener: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(listener.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_ready_is_said_once(systemd: socket.socket) -> None:
    manager = a_manager(systemd)
    manager.ready("66 symbols")
    manager.ready("66 symbols")
    manager.close()

    assert heard(systemd) == ["READY=1\nSTATUS=66 symbols"]


def test_the_watchdog_is_fed_only_when_it_watches_us(systemd: socket.socket) -> None:
    cases = [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(OWN)}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(OWN + 1)}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ]
    for environ, watchdog_s in cases:
        manager = a_manager(systemd, **environ)
        manager.progressed()
        manager.close()

        assert manager.watchdog_s == watchdog_s
        assert heard(systemd) == (["WATCHDOG=1"] if watchdog_s else [])


def test_a_status_is_one_short_line(systemd: socket.socket) -> None:
    manager = a_manager(systemd)
    manager.status("halted\nREADY=1 " + "x" * 1000)
    manager.close()

    (message,) = heard(systemd)
    assert "\n" not in message
    assert len(message) == len("STATUS=") + STATUS_CHARACTERS_MAX


def test_stopping_and_more_time_are_asked_for(systemd: socket.socket) -> None:
    manager = a_manager(systemd)
    manager.still_starting(20)
    manager.stopping("saving")
    manager.close()

    assert heard(systemd) == ["EXTEND_TIMEOUT_USEC=20000000", "STOPPING=1\nSTATUS=saving"]


def test_the_abstract_namespace_is_understood() -> None:
    name = f"tradewind-test-{OWN}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.setblocking(False)
        manager = ServiceManager({"NOTIFY_SOCKET": f"@{name}"}, process_id=OWN)
        manager.ready("x")
        manager.close()

        assert heard(listener) == ["READY=1\nSTATUS=x"]


def test_without_a_service_manager_nothing_happens() -> None:
    manager = ServiceManager({"WATCHDOG_USEC": "1"}, process_id=OWN)
    manager.ready("x")
    manager.progressed()
    manager.stopping("x")
    manager.close()

    assert not manager.is_listening
    assert manager.watchdog_s is None


def test_a_service_manager_that_went_away_is_no_fault_of_ours(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "gone")}
    manager = ServiceManager(environ, process_id=OWN)
    manager.ready("x")
    manager.close()


def test_a_full_queue_does_not_hold_us_up(systemd: socket.socket) -> None:
    manager = a_manager(systemd, WATCHDOG_USEC="1000000")
    for _ in range(10_000):
        manager.progressed()
    manager.close()

    assert 0 < len(heard(systemd)) < 10_000

"""Telling systemd how we are: READY, STATUS, WATCHDOG, STOPPING over its datagram socket.

Protocol: sd_notify(3). Without `NOTIFY_SOCKET` every call does nothing.
"""

import socket
from collections.abc import Mapping

STATUS_CHARACTERS_MAX = 200


class ServiceManager:
    """The service manager that started us, or none. Calls never wait and never raise: a full or
    vanished socket must not stop trading."""

    def __init__(self, environ: Mapping[str, str], *, process_id: int) -> None:
        """`environ` and `process_id` say whether systemd is there and awaits a watchdog ping."""
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = _datagram_socket() if address else None
        self._is_ready = False
        self.watchdog_s = _watchdog_s(environ, process_id) if address else None
        """Time without a ping after which we are restarted; None when nobody watches."""

    @property
    def is_listening(self) -> bool:
        """Whether a service manager is there."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """Say, once, that the first full cycle is done."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1", f"STATUS={_one_line(status)}")

    def progressed(self) -> None:
        """Feed the watchdog: to be called for work done, never by a timer of its own."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(f"STATUS={_one_line(text)}")

    def still_starting(self, extend_s: float) -> None:
        """Ask for more time while reconciling or warming up."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}")

    def stopping(self, status: str) -> None:
        """Say that an orderly stop has begun."""
        self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            # Nobody reads, or the queue is full: systemd then acts on its own time-outs.
            return


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    return made


def _watchdog_s(environ: Mapping[str, str], process_id: int) -> float | None:
    microseconds, watched = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or watched not in {"", str(process_id)}:
        return None
    return int(microseconds) / 1e6


def _one_line(text: str) -> str:
    return " ".join(text.split())[:STATUS_CHARACTERS_MAX]

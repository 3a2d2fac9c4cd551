"""One daemon for one account: where its state lies, and the lock on it."""

import os
import re
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from domain.errors import Refused

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def state_directory(root: Path, venue: str, account_id: str) -> Path:
    """Return where the state of one account at one venue lies: ROOT/VENUE-ACCOUNT.

    Raises Refused for a name that could lead elsewhere.
    """
    for name in (venue, account_id):
        if not _PLAIN_NAME.fullmatch(name):
            raise Refused(f"{name!r} cannot be part of a directory's name: letters, digits, _.-")
    return root / f"{venue}-{account_id}"


class StateLock:
    """The right to use a state directory, held while the process lives; a context manager.

    Taken, `lock.pid` names the process. The system frees it when the process ends, however.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = FileLock(directory / "lock", timeout=0, mode=0o600)

    def acquire(self) -> None:
        """Take the lock. Raises Refused when another process has it or it cannot be written."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self._pid_path.write_text(f"{os.getpid()}\n")
        except Timeout:
            raise Refused(
                f"{self._directory}: another daemon{self._holder()} is using this state; "
                "stop it first, or name another directory with --state-dir"
            ) from None
        except OSError as fault:
            raise Refused(f"{self._directory}: cannot be written ({fault})") from fault

    def release(self) -> None:
        """Give the lock back; without it, nothing happens."""
        if self._lock.is_locked:
            self._pid_path.unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> "StateLock":
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def _pid_path(self) -> Path:
        return self._directory / "lock.pid"

    def _holder(self) -> str:
        try:
            text = self._pid_path.read_text().strip()
        except OSError:
            return ""
        return f" (pid {text})" if text.isdigit() else ""

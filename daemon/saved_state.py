"""What a stopped daemon left on disk, read exactly and without touching anything."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import StateCorrupt
from domain.snapshot import Snapshot
from execution.order_states import apply_fill
from state import journal, recovery
from state.filesystem import LocalFileSystem
from state.json_store import CURRENT, JsonStateStore

TOKEN_FILE = "http-token"
"""The control token that the daemon makes and keeps beside its state when none is set."""
DIRECTORIES_MAX = 1_000
"""State directories looked at; more is no state directory's parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFolder:
    """The state directory of one account at one venue."""

    path: Path
    venue: str
    account_id: str

    def load(self) -> Snapshot | None:
        """Return the state as of the last record written, None when nothing was ever saved.

        Takes no lock and changes nothing. Raises StateCorrupt and Refused.
        """
        saved = JsonStateStore(LocalFileSystem(), self.path).load()
        covered = saved.journal_seq if saved else 0
        found = self.journal(after_seq=covered)
        if found.last_seq < covered:
            raise StateCorrupt(
                f"{self.path / 'journal'}: ends at record {found.last_seq}, though the snapshot "
                f"covers record {covered}: run `tradewind state verify`"
            )
        return recovery.fold(saved, found.records, apply_fill)

    def journal(self, *, after_seq: int = 0) -> journal.JournalScan:
        """Return the journal's records after a number. Raises StateCorrupt."""
        return journal.scan(LocalFileSystem(), self.path / "journal", after_seq=after_seq)

    def token(self) -> str:
        """Return the control token kept here, "" when there is none or it may not be read."""
        try:
            return (self.path / TOKEN_FILE).read_text().strip()
        except OSError:
            return ""

    def holder(self) -> int | None:
        """Return the process that uses this state, None when there is none."""
        try:
            text = (self.path / "lock.pid").read_text().strip()
        except OSError:
            return None
        return int(text) if text.isdigit() and is_alive(int(text)) else None


def is_alive(process_id: int) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def folder_of(root: Path, venue: str, account_id: str) -> StateFolder:
    """Return where the state of an account lies under STATE_DIR, there or not."""
    path = root / f"{venue}-{account_id}"
    return StateFolder(path=path, venue=venue, account_id=account_id)


def state_folders(root: Path, venue: str) -> list[StateFolder]:
    """Return every state directory under STATE_DIR: the venue's before others', newest first."""
    found = list(_state_folders(root))
    return sorted(found, key=lambda f: (f.venue != venue, -_saved_s(f.path)))


def _state_folders(root: Path) -> Iterator[StateFolder]:
    if not root.is_dir():
        return
    for path in sorted(root.iterdir())[:DIRECTORIES_MAX]:
        venue, dash, account_id = path.name.partition("-")
        if dash and account_id and _holds_state(path):
            yield StateFolder(path=path, venue=venue, account_id=account_id)


def _holds_state(path: Path) -> bool:
    return any(path.glob("portfolio*.json")) or (path / "journal").is_dir()


def _saved_s(path: Path) -> float:
    try:
        return (path / CURRENT).stat().st_mtime
    except OSError:
        return 0.0

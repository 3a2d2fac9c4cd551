"""Where the commands' data comes from: the running daemon, else the saved state, else nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daemon import settings_rules
from daemon.api_client import ApiClient, Document
from daemon.documents import document
from daemon.saved_state import StateFolder, folder_of, state_folders
from daemon.settings import Settings
from daemon.universe import load_universe
from domain.errors import DaemonNotRunning, Refused
from domain.instruments import Instrument, Symbol
from domain.snapshot import Snapshot
from risk.breakers import Readings, levels
from risk.halts import causes_of

HOW_TO_START = "start it with `tradewind run` (or `make run` for the demonstration)"
NOTHING_SAVED: Mapping[str, Document] = {
    "positions": {"positions": []},
    "orders": {"orders": []},
    "fills": {"fills": []},
    "signals": {"opinions": {}},
    "decisions": {"slot_at": None, "outcomes": []},
    "portfolio": {"positions": [], "books": {}},
}
"""What the documents hold when nothing was ever saved."""


class Source(Protocol):
    """What read commands print."""

    @property
    def is_running(self) -> bool:
        """Whether a daemon gave it."""
        ...

    @property
    def folder(self) -> StateFolder | None:
        """The state directory it belongs to, when it lies on this machine."""
        ...

    def heading(self) -> str:
        """Return the line that says whose figures these are."""
        ...

    def document(self, name: str, limit: int | None = None) -> Document:
        """Return one of the documents of /api/v1; `limit` keeps the newest rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSource:
    """A running daemon."""

    client: ApiClient
    status: Document
    folder: StateFolder | None

    @property
    def is_running(self) -> bool:
        """True."""
        return True

    def heading(self) -> str:
        """Return venue, account, state directory and where the daemon answers."""
        venue, account = self.status.get("venue"), self.status.get("account_id")
        return f"{venue} · account {account} · {_place(self.folder)} · running at {self.client.url}"

    def document(self, name: str, limit: int | None = None) -> Document:
        """Ask the daemon."""
        return self.client.get(name, **({"limit": limit} if limit else {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSource:
    """What a stopped daemon saved."""

    folder: StateFolder
    snapshot: Snapshot
    instruments: Mapping[Symbol, Instrument]
    limits: Mapping[str, float]
    """Of the circuit breakers, by setting."""

    @property
    def is_running(self) -> bool:
        """False."""
        return False

    def heading(self) -> str:
        """Return venue, account, state directory and when it was saved."""
        holder = self.folder.holder()
        state = f"not running; saved {self.snapshot.saved_at:%Y-%m-%d %H:%M:%S} UTC"
        if holder is not None:
            state = f"process {holder} holds this state but does not answer (is it starting?)"
        return (
            f"{self.snapshot.venue} · account {self.snapshot.account_id} · "
            f"{_place(self.folder)} · {state}"
        )

    def document(self, name: str, limit: int | None = None) -> Document:
        """Make the document of the saved snapshot."""
        # Nothing is measured while nothing runs: what is armed, and what holds, is known.
        held = causes_of(self.snapshot.trading)
        shown = document(
            name,
            self.snapshot,
            self.instruments,
            running=False,
            limit=limit,
            breakers=levels(Readings(), self.limits, held),
        )
        return {**shown, "state_dir": str(self.folder.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSource:
    """No daemon answers and nothing was ever saved."""

    root: Path
    venue: str

    @property
    def is_running(self) -> bool:
        """False."""
        return False

    @property
    def folder(self) -> StateFolder | None:
        """None."""
        return None

    def heading(self) -> str:
        """Return where was looked, and what to do."""
        return (
            f"{self.venue} · no account yet · state {self.root} · not running and nothing saved; "
            f"{HOW_TO_START}"
        )

    def document(self, name: str, limit: int | None = None) -> Document:
        """Return the document without any rows."""
        return {
            "running": False,
            "saved": False,
            "venue": self.venue,
            "state_dir": str(self.root),
            "as_of": None,
            **NOTHING_SAVED.get(name, {}),
        }


def find_source(settings: Settings) -> LiveSource | SavedSource | NoSource:
    """Return the running daemon, else the last saved state, else nothing; changes nothing.

    Raises StateCorrupt and Refused for a saved state that cannot be read.
    """
    live = find_live(settings)
    if live is not None:
        return live
    for folder in state_folders(settings.state_dir, settings.venue):
        snapshot = folder.load()
        if snapshot is not None:
            known = {i.symbol: i for i in load_universe(settings).instruments}
            limits = settings_rules.armed_limits(settings)
            return SavedSource(folder=folder, snapshot=snapshot, instruments=known, limits=limits)
    return NoSource(root=settings.state_dir, venue=settings.venue)


def find_live(settings: Settings) -> LiveSource | None:
    """Return the daemon at HTTP_HOST:HTTP_PORT, None when none answers or it is another's.

    Another's is one whose state lies elsewhere than an explicitly given STATE_DIR.
    """
    client = ApiClient(settings.http_host, settings.http_port, token=_read_token(settings))
    status = _status_of(client)
    if status is None:
        # It may want a token to read: the control token opens that door too.
        for token in _control_tokens(settings):
            client = client.with_token(token)
            status = _status_of(client)
            if status is not None:
                break
    if status is None or "account_id" not in status:
        return None
    folder = _folder_of(settings, status)
    if "state_dir" in settings.model_fields_set:
        here = settings.state_dir.resolve()
        if folder is None or folder.path.resolve().parent != here:
            return None
    return LiveSource(client=client, status=status, folder=folder)


def require_control(settings: Settings) -> ApiClient:
    """Return a client that may control the daemon. Raises DaemonNotRunning when none runs."""
    live = find_live(settings)
    if live is None:
        client = ApiClient(settings.http_host, settings.http_port)
        raise DaemonNotRunning(
            f"no daemon of {settings.state_dir} answers at {client.url}; {HOW_TO_START}"
        )
    token = settings.http_token.get_secret_value() if settings.http_token else ""
    if not token and live.folder is not None:
        token = live.folder.token()
    if not token:
        where = live.folder.path if live.folder else settings.state_dir
        raise Refused(
            f"the daemon's token was not found in {where}: name its state directory with "
            "--state-dir, or set HTTP_TOKEN"
        )
    return live.client.with_token(token)


def _status_of(client: ApiClient) -> Document | None:
    try:
        return client.get("status")
    except (DaemonNotRunning, Refused):
        return None


def _read_token(settings: Settings) -> str:
    return settings.http_read_token.get_secret_value() if settings.http_read_token else ""


def _control_tokens(settings: Settings) -> list[str]:
    if settings.http_token:
        return [settings.http_token.get_secret_value()]
    folders = state_folders(settings.state_dir, settings.venue)
    return [token for token in (folder.token() for folder in folders) if token]


def _folder_of(settings: Settings, status: Document) -> StateFolder | None:
    venue, account_id = str(status.get("venue", "")), str(status["account_id"])
    reported = status.get("state_dir")
    if reported is not None:
        folder = StateFolder(path=Path(str(reported)), venue=venue, account_id=account_id)
    else:
        folder = folder_of(settings.state_dir, venue, account_id)
    return folder if folder.path.is_dir() else None


def _place(folder: StateFolder | None) -> str:
    return f"state {folder.path}" if folder else "state not on this machine, or elsewhere"

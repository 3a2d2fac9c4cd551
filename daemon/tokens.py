"""The token that lets its holder control the daemon."""

import secrets
from pathlib import Path

from daemon.settings import Settings

TOKEN_BYTES = 32


def control_token(settings: Settings, directory: Path) -> str:
    """Return the control token: the settings' own, else one made and kept 0600 beside the state."""
    if settings.http_token:
        return settings.http_token.get_secret_value()
    path = directory / "http-token"
    if path.exists():
        return path.read_text().strip()
    token = secrets.token_urlsafe(TOKEN_BYTES)
    path.touch(mode=0o600)
    path.write_text(token + "\n")
    return token

"""Whether two runs had the same settings."""

import hashlib

from daemon.settings import Settings

SECRET_FIELDS = (
    "alpaca_api_key",
    "alpaca_secret_key",
    "http_token",
    "http_read_token",
    "notify_url",
)


def settings_hash(settings: Settings) -> str:
    """Return a short fingerprint of the settings, secrets left out."""
    shown = settings.model_dump_json(exclude=set(SECRET_FIELDS))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]

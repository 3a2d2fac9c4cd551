"""Settings for tests: read from nothing but the arguments."""

from daemon.settings import Settings
from daemon.settings_env import load_settings


def some_settings(**chosen: object) -> Settings:
    """Return the defaults with some fields changed, values as typed or as in `.env`."""
    return load_settings(None, {}, {name.upper(): value for name, value in chosen.items()})

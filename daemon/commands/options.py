"""What several commands share: options, settings, and where the daemon or its state is found."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from daemon.settings import Settings
from daemon.settings_env import default_env_file, load_settings

EnvFile = Annotated[Path | None, typer.Option("--env-file", help="Settings; .env here by default.")]


def settings_of(
    env_file: Path | None,
    overrides: Mapping[str, object] | None = None,
    fallbacks: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings of file, environment and command line. Raises ConfigurationFault."""
    path = env_file if env_file is not None else default_env_file(Path.cwd())
    return load_settings(path, os.environ, overrides or {}, fallbacks=fallbacks or {})

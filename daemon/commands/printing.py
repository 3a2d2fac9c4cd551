"""What the commands that print data share: their options, and JSON or tables on standard output."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from daemon.clock import SystemClock
from daemon.commands.options import settings_of
from daemon.logs import Secrets, configure_logs
from daemon.settings import Settings
from daemon.tables import console_for

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Where the book survives (STATE_DIR).")
]


def settings_here(env_file: Path | None, state_dir: Path | None) -> Settings:
    """Return the settings that say which daemon and which state is meant.

    From then on the libraries' logs go to standard error, warnings only: the output is data.
    """
    overrides = {} if state_dir is None else {"STATE_DIR": str(state_dir)}
    settings = settings_of(env_file, overrides)
    configure_logs(
        level="warning",
        log_format="console",
        secrets=Secrets(settings.secret_values()),
        stream=sys.stderr,
        now=SystemClock().now,
    )
    return settings


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    sys.stdout.buffer.write(orjson.dumps(dict(document), option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def print_page(heading: str, body: RenderableType) -> None:
    """Print what is shown under the line that says whose figures these are."""
    console = console_for()
    console.print(Group(Text(heading, style="dim"), Text(""), body))


def say(line: str) -> None:
    """Tell a person something that is no data."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

"""The `tradewind` command: finds its groups, and turns every error into one line and a code."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

import typer

from domain.errors import TradewindError

INTERRUPTED = 130
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "running": ("run",),
    "exchanging": ("exchange",),
    "demo": ("demo", "top"),
    "doctor": ("doctor",),
    "reading": (
        *("status", "positions", "orders", "fills", "signals", "risk", "why-not", "explain"),
    ),
    "control": (
        *("halt", "reduce", "resume", "flatten", "cancel-all", "order", "unbench", "notify"),
    ),
    "state": ("state",),
    "strategies": ("strategies", "new-strategy"),
}
"""The files of `daemon.commands` and what each adds, in the order in which help shows them."""


def application(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line with the command that the arguments name, or with all commands.

    A command waits for the imports of its own file alone: those of all take half a second.
    """
    app = typer.Typer(
        name="tradewind",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    # With a callback a single command keeps its name; its docstring is the help.
    app.callback()(_tradewind)
    named = next((name for name in arguments if not name.startswith("-")), "")
    owner = next((file for file, names in COMMANDS.items() if named in names), None)
    for file in COMMANDS if owner is None else (owner,):
        import_module(f"daemon.commands.{file}").add_to(app)
    if owner is None:
        # Other packages (research, …) add their commands here; none of them need be installed.
        for entry in entry_points(group="tradewind.commands"):
            entry.load()(app)
    return app


def _tradewind() -> None:
    """Trade US equities on Alpaca's paper API, or on the embedded exchange."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with the codes of the design: 0, 1, 2, 3, 4, 5."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        application(given)(args=given)
    except TradewindError as fault:
        sys.stderr.write(f"tradewind: {fault}\n")
        sys.exit(fault.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

"""`tradewind exchange`: the embedded exchange alone."""

import os
import sys

import typer


def add_to(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command(
        "exchange",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(exchange_command)


def exchange_command(context: typer.Context) -> None:
    """Run the embedded exchange alone; `tradewind exchange --help` tells its options."""
    # Another program on the far side of the wire: nothing of it is imported here.
    os.execv(sys.executable, [sys.executable, "-m", "exchange", *context.args])

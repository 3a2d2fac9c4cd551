"""The `tradewind` command: finds its groups, and turns every error into one line and a code."""

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

import typer

from daemon.commands import control, demo, doctor, reading, running, state, strategies
from domain.errors import TradewindError

INTERRUPTED = 130

app = typer.Typer(
    name="tradewind",
    help="Trade US equities on Alpaca's paper API, or on the embedded exchange.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for group in (running, demo, doctor, reading, control, state, strategies):
    group.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with the codes of the design: 0, 1, 2, 3, 4, 5."""
    # Other packages (research, …) add their commands here; none of them need be installed.
    for entry in entry_points(group="tradewind.commands"):
        entry.load()(app)
    try:
        app(args=list(arguments) if arguments is not None else None)
    except TradewindError as fault:
        sys.stderr.write(f"tradewind: {fault}\n")
        sys.exit(fault.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
